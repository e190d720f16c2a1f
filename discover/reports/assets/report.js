"use strict";
(() => {
  const page = JSON.parse(document.getElementById("data").textContent);
  const SVG = "http://www.w3.org/2000/svg";
  const redraws = [];

  // -- small helpers ---------------------------------------------------------------

  const make = (parent, tag, attributes = {}, text = null) => {
    const node = document.createElementNS(SVG, tag);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (text !== null) node.textContent = text;
    parent.appendChild(node);
    return node;
  };
  const element = (parent, tag, text = null, cls = null) => {
    const node = document.createElement(tag);
    if (text !== null) node.textContent = text;
    if (cls !== null) node.className = cls;
    parent.appendChild(node);
    return node;
  };
  const extent = (lists) => {
    let low = Infinity, high = -Infinity;
    for (const list of lists) for (const v of list || []) if (v !== null) {
      if (v < low) low = v;
      if (v > high) high = v;
    }
    if (!(low <= high)) return [0, 1];
    if (low === high) { const d = Math.abs(low) || 1; return [low - d, high + d]; }
    return [low, high];
  };
  const padded = ([low, high], share) => [low - share * (high - low), high + share * (high - low)];
  const round = (v) => Math.round(v * 100) / 100;
  const minus = (text) => text.replace(/-/g, "\u2212");
  const short = (v) => {
    if (v === 0) return "0";
    const size = Math.abs(v);
    return minus(size >= 1e5 || size < 1e-3 ? v.toExponential(1) : String(+v.toPrecision(4)));
  };

  const ticks = (low, high, most) => {
    const rough = (high - low) / Math.max(most, 1);
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((s) => s >= rough * 0.999);
    const found = [];
    for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k++) {
      found.push(+(k * step).toPrecision(12));
    }
    return found;
  };

  // -- one chart ---------------------------------------------------------------------

  // spec: x, y (extents), height, xlabel, ylabel, logy, draw(svg, X, Y, box)
  const chart = (parent, spec) => {
    const svg = make(parent, "svg", { class: "chart", role: "img" });
    if (spec.alt) svg.setAttribute("aria-label", spec.alt);
    const draw = () => {
      const width = parent.clientWidth && svg.getBoundingClientRect().width || 640;
      const height = spec.height;
      const left = 58, right = 10, top = spec.ylabel ? 24 : 10, bottom = spec.xlabel ? 38 : 22;
      svg.setAttribute("viewBox", `0 0 ${round(width)} ${height}`);
      svg.setAttribute("height", height);
      svg.replaceChildren();
      const { x, y } = spec;
      const X = (v) => left + (v - x[0]) / (x[1] - x[0]) * (width - left - right);
      const Y = (v) => height - bottom - (v - y[0]) / (y[1] - y[0]) * (height - top - bottom);
      for (const v of ticks(y[0], y[1], height < 140 ? 3 : 5)) {
        if (spec.logy && Math.abs(v - Math.round(v)) > 1e-6) continue;
        make(svg, "line", { class: "grid", x1: left, x2: width - right, y1: round(Y(v)), y2: round(Y(v)) });
        const label = make(svg, "text", { x: left - 6, y: round(Y(v)) + 4, "text-anchor": "end" });
        label.textContent = spec.logy ? (v > -4 && v < 4 ? short(10 ** v) : minus(`1e${v}`)) : short(v);
      }
      for (const v of ticks(x[0], x[1], Math.max(2, Math.floor((width - left) / 90)))) {
        if (spec.integer && !Number.isInteger(v)) continue;
        const at = X(v), anchor = at > width - right - 14 ? "end" : "middle";
        make(svg, "text", { x: round(at + (anchor === "end" ? 6 : 0)), y: height - bottom + 16, "text-anchor": anchor }, short(v));
      }
      if (spec.xlabel) {
        make(svg, "text", { x: width - right, y: height - 5, "text-anchor": "end" }, spec.xlabel);
      }
      if (spec.ylabel) make(svg, "text", { x: 4, y: 13 }, spec.ylabel);
      spec.draw(svg, X, Y, { left, right: width - right, top, bottom: height - bottom });
    };
    draw();
    redraws.push(draw);
    return draw;
  };

  const path = (xs, ys, X, Y) => {
    let d = "", pen = false;
    for (let k = 0; k < xs.length; k++) {
      if (ys[k] === null || xs[k] === null) { pen = false; continue; }
      d += `${pen ? "L" : "M"}${round(X(xs[k]))} ${round(Y(ys[k]))}`;
      pen = true;
    }
    return d;
  };
  const bars = (xs, low, high, X, Y) => {
    let d = "";
    for (let k = 0; k < xs.length; k++) {
      if (low[k] === null) continue;
      const x = round(X(xs[k])), y1 = Y(low[k]), y2 = Y(high[k]);
      d += `M${x} ${round(Math.max(y1, y2) + 0.6)}V${round(Math.min(y1, y2) - 0.6)}`;
    }
    return d;
  };
  const ribbons = (xs, low, high, X, Y) => {
    const out = [];
    let run = [];
    const close = () => {
      if (run.length > 1) {
        const up = run.map((k) => `${round(X(xs[k]))} ${round(Y(high[k]))}`);
        const down = run.slice().reverse().map((k) => `${round(X(xs[k]))} ${round(Y(low[k]))}`);
        out.push(`M${up.join("L")}L${down.join("L")}Z`);
      }
      run = [];
    };
    for (let k = 0; k < xs.length; k++) {
      if (low[k] === null || high[k] === null) close(); else run.push(k);
    }
    close();
    return out.join("");
  };
  const points = (svg, xs, ys, X, Y, cls = "data") => {
    const r = xs.length < 60 ? 3 : xs.length < 400 ? 2 : 1.3;
    let d = "";
    for (let k = 0; k < xs.length; k++) {
      if (ys[k] === null || xs[k] === null) continue;
      d += `M${round(X(xs[k]) - r)} ${round(Y(ys[k]))}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0`;
    }
    make(svg, "path", { class: cls, d });
  };

  // -- runs ----------------------------------------------------------------------------

  let drawn = 0;
  const runCharts = (parent, which, withBand, only = null) => {
    const list = [];
    page.panels.forEach((panel, p) => {
      if (only !== null && p !== only) return;
      if (panel.title) element(parent, "h3", panel.title);
      page.states.forEach((state, j) => {
        const data = panel.data[j], last = j === page.states.length - 1;
        const band = withBand && panel.band ? panel.band[j] : null;
        const fixed = panel.kind === "envelope" ? [data.low, data.high] : [data.y];
        const base = extent(fixed);
        const reach = padded(base, 0.6);
        const shown = band ? extent([base, band.low, band.high].map(
          (list) => list.map((v) => v === null ? null : Math.min(Math.max(v, reach[0]), reach[1])))) : base;
        const times = panel.kind === "envelope" ? panel.t : data.t.concat(panel.t);
        const id = `clip${drawn++}`;
        list.push(chart(parent, {
          x: padded(extent([times]), 0.012), y: padded(shown, 0.06), height: last ? 190 : 164,
          xlabel: last ? page.time : "", ylabel: state.label, alt: `${state.name} over time`,
          draw: (svg, X, Y, box) => {
            const clip = make(make(svg, "defs"), "clipPath", { id });
            make(clip, "rect", { x: box.left, y: box.top - 2, width: Math.max(box.right - box.left, 1),
              height: box.bottom - box.top + 4 });
            const inside = make(svg, "g", { "clip-path": `url(#${id})` });
            const series = page.models[which()].series[p][j];
            if (band) make(inside, "path", { class: "band", d: ribbons(panel.t, band.low, band.high, X, Y) });
            if (panel.split !== undefined && extent([times])[0] < panel.split) {
              make(inside, "line", { class: "split", x1: X(panel.split), x2: X(panel.split), y1: box.top, y2: box.bottom });
            }
            if (panel.kind === "envelope") {
              make(inside, "path", { class: "data-bars", d: bars(panel.t, data.low, data.high, X, Y) });
              make(inside, "path", { class: "law-bars", d: bars(panel.t, series.low, series.high, X, Y) });
            } else {
              points(inside, data.t, data.y, X, Y);
              make(inside, "path", { class: "law", d: path(panel.t, series.y, X, Y) });
            }
          },
        }));
      });
      if (panel.note) element(parent, "p", panel.note, "small");
    });
    return list;
  };

  const runs = document.getElementById("runs");
  if (runs) runCharts(runs, () => page.chosen, true);

  // -- the path ------------------------------------------------------------------------

  const slider = document.getElementById("slider");
  if (slider) {
    const which = () => Number(slider.value);
    const output = document.getElementById("which");
    const candidate = document.getElementById("candidate");
    const back = document.getElementById("back");
    const log = (v) => v > 0 ? Math.log10(v) : null;
    const terms = page.models.map((m) => m.terms);
    const error = page.models.map((m) => log(m.error));
    const paretoDraw = chart(document.getElementById("pareto"), {
      x: padded(extent([terms]), 0.04), y: padded(extent([error]), 0.1), height: 210, logy: true,
      integer: true, xlabel: "terms", ylabel: "unexplained, root mean square",
      alt: "Error of every law against its number of terms",
      draw: (svg, X, Y) => {
        make(svg, "path", { class: "step", d: path(terms, error, X, Y) });
        points(svg, terms, error, X, Y, "dot");
        const spot = (k, r, cls) => {
          if (error[k] !== null) make(svg, "circle", { class: cls, cx: X(terms[k]), cy: Y(error[k]), r });
        };
        spot(page.chosen, 9, "ring");
        spot(which(), 5, "here");
      },
    });
    const runDraws = runCharts(document.getElementById("candidate-runs"), which, false, 0);
    const show = () => {
      const model = page.models[which()];
      const said = [`${model.terms} term${model.terms === 1 ? "" : "s"}`];
      if (which() === page.chosen) said[0] += " (the chosen law)";
      if (model.error !== null) said.push(`unexplained in training ${short(+model.error.toPrecision(3))}`);
      said.push(model.run === null ? model.failed || "leaves the data"
        : `error of the free run ${short(+model.run.toPrecision(3))} standard deviations`);
      output.textContent = said.join(" \u00b7 ");
      slider.setAttribute("aria-valuetext", said.join(", "));
      candidate.innerHTML = model.equations; // markup made by the report, names escaped
      back.hidden = which() === page.chosen;
      paretoDraw();
      runDraws.forEach((draw) => draw());
    };
    slider.addEventListener("input", show);
    slider.addEventListener("change", show);
    back.addEventListener("click", () => { slider.value = page.chosen; show(); slider.focus(); });
    show();
  }

  // -- residuals, phase ------------------------------------------------------------------

  const left = document.getElementById("left");
  if (left) page.residuals.forEach((item, j) => {
    const last = j === page.residuals.length - 1;
    const values = item.y ? [item.y] : [item.low, item.high];
    chart(left, {
      x: padded(extent([item.t]), 0.012), y: padded(extent([...values, [-3, 3]]), 0.05), height: 150,
      xlabel: last ? page.time : "", ylabel: item.name, alt: `Residuals of ${item.name} over time`,
      draw: (svg, X, Y, box) => {
        make(svg, "rect", { class: "grey", x: box.left, width: Math.max(box.right - box.left, 1), y: Y(2), height: Y(-2) - Y(2) });
        if (item.y) points(svg, item.t, item.y, X, Y);
        else make(svg, "path", { class: "data-bars", d: bars(item.t, item.low, item.high, X, Y) });
      },
    });
    const lags = item.correlation.map((_, k) => k + 1), b = item.bound || 0;
    chart(left, {
      x: [0, Math.max(lags.length, 1) + 0.5], y: padded(extent([item.correlation, [-b, b], [-0.2, 0.2]]), 0.1),
      height: 150, integer: true, xlabel: last ? "lag [samples]" : "",
      ylabel: item.p === null ? "too few samples" : `correlation, p = ${short(+item.p.toPrecision(2))}`,
      alt: `Autocorrelation of the residuals of ${item.name}`,
      draw: (svg, X, Y, box) => {
        make(svg, "rect", { class: "grey", x: box.left, width: Math.max(box.right - box.left, 1), y: Y(b), height: Math.max(Y(-b) - Y(b), 0) });
        make(svg, "line", { class: "grid", x1: box.left, x2: box.right, y1: Y(0), y2: Y(0) });
        lags.forEach((k) => make(svg, "line", { class: "stem", x1: X(k), x2: X(k), y1: Y(0), y2: Y(item.correlation[k - 1]) }));
      },
    });
  });

  const plane = document.getElementById("plane");
  if (plane && page.phase) {
    const { data, law } = page.phase;
    chart(plane, {
      x: padded(extent([data.x, law.x]), 0.05), y: padded(extent([data.y, law.y]), 0.05), height: 340,
      xlabel: page.phase.x, ylabel: page.phase.y, alt: `${page.phase.y} against ${page.phase.x}`,
      draw: (svg, X, Y) => {
        make(svg, "path", { class: "trace", d: path(data.x, data.y, X, Y) });
        points(svg, data.x, data.y, X, Y);
        make(svg, "path", { class: "law", d: path(law.x, law.y, X, Y) });
      },
    });
  }

  let asked = 0, before = window.innerWidth;
  const redraw = () => redraws.forEach((draw) => draw());
  window.addEventListener("resize", () => {
    if (window.innerWidth === before) return; // phones resize when their bars hide
    before = window.innerWidth;
    cancelAnimationFrame(asked);
    asked = requestAnimationFrame(redraw);
  });
  window.addEventListener("beforeprint", redraw);
})();
