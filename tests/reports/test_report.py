"""The report: written whole or not at all, escaped throughout, and alive in a browser."""

import itertools
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from discover import (
    PolynomialLibrary,
    SINDy,
    SymbolicLibrary,
    SymbolicModel,
    hold_out,
    load_hare_lynx,
    report,
)
from discover.observations import as_trajectories
from discover.regression.normal import NormalEquations
from discover.reports.contents import Contents
from discover.reports.path import _refitted, pareto_path
from discover.reports.series import compact, envelope
from discover.validation import validate

FILES = {
    "report.html", "model.json", "equations.tex", "coefficients.csv", "verdict.json",
    "forecast.png", "residuals.png", "phase.png", "path.png",
}  # fmt: skip
MOST_BYTES = 5_000_000


@pytest.fixture(scope="module")
def hares(tmp_path_factory):
    """A report on hares and lynx, the last years held out."""
    train, test = hold_out(as_trajectories(load_hare_lynx()))
    model = SINDy().fit(train)
    folder = tmp_path_factory.mktemp("reports") / "law"
    report(model, folder, data=train, holdout=test, command="discover fit lynx_hare.csv",
           date="1 May")  # fmt: skip
    return model, train, test, folder


def driven(n=6000, noise=0.005):
    """A driven oscillator of which only the position is measured."""
    law = SymbolicModel(
        SymbolicLibrary("q, v, q**3, u").build(["q", "v", "u"]),
        [[0, 1, 0, 0], [-1, -0.2, -1, 1]], ["q", "v"], ["u"],
    )  # fmt: skip
    t = 0.05 * np.arange(n)
    u = np.cos(0.7 * t) + 0.5 * np.sin(1.9 * t)
    q = np.asarray(law.simulate([0, 0], t, u))[:, 0]
    q = q + noise * np.random.default_rng(0).normal(size=n)
    return as_trajectories(q, t, u, names=["q [mm]"], control_names=["u [N]"])


# -- the folder --------------------------------------------------------------------


def test_the_folder_holds_the_law_and_the_verdict(hares):
    model, _, _, folder = hares
    assert {path.name for path in folder.iterdir()} == FILES
    law = SymbolicModel.load(folder / "model.json")
    np.testing.assert_array_equal(law.coefficients, model.symbolic_.coefficients)
    assert len(pd.read_csv(folder / "coefficients.csv")) == law.complexity
    assert json.loads((folder / "verdict.json").read_text())["n_samples"] == 4
    page = (folder / "report.html").read_text()
    assert "discover fit lynx_hare.csv" in page
    assert "1 May" in page


def test_the_same_input_makes_the_same_page(hares, tmp_path):
    model, train, test, folder = hares
    again = report(model, tmp_path / "x", data=train, holdout=test,
                   command="discover fit lynx_hare.csv", date="1 May")  # fmt: skip
    assert (again / "report.html").read_bytes() == (folder / "report.html").read_bytes()


def test_only_a_report_or_an_empty_folder_is_replaced(hares, tmp_path, monkeypatch):
    model, train, test, _ = hares
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    with pytest.raises(FileExistsError, match="is not a report"):
        report(model, tmp_path / "mine", data=train, holdout=test)
    (tmp_path / "law").mkdir()
    report(model, tmp_path / "law", data=train, holdout=test)
    before = (tmp_path / "law" / "report.html").stat().st_ino
    report(model, tmp_path / "law", data=train, holdout=test)
    assert (tmp_path / "law" / "report.html").stat().st_ino != before

    def fail(*_):
        raise OSError("the disk is full")

    monkeypatch.setattr("discover.reports.writing._draw", fail)
    with pytest.raises(OSError, match="disk is full"):
        report(model, tmp_path / "law", data=train, holdout=test)
    assert {path.name for path in (tmp_path / "law").iterdir()} == FILES
    assert {path.name for path in tmp_path.iterdir()} == {"law", "mine"}


# -- what is in it -----------------------------------------------------------------


def test_an_envelope_hides_no_extreme():
    rng = np.random.default_rng(0)
    t, y = np.arange(10_007.0), rng.normal(size=10_007)
    y[[17, 5000]] = [40.0, -60.0]
    y[300:400] = np.nan
    middle, low, high = envelope(t, y, 100)
    assert (np.nanmin(low), np.nanmax(high)) == (-60.0, 40.0)
    edges = np.searchsorted(middle, t).clip(0, 99)
    assert len(middle) == 100
    assert (edges[1:] >= edges[:-1]).all()
    assert compact(np.array([1.23456, np.nan, np.inf]), 1.0) == [1.2346, None, None]


def test_the_path_joins_equations_and_holds_the_chosen_law(hares):
    model = hares[0]
    path = pareto_path(model)
    sizes = [item.n_terms for item in path]
    assert sizes == sorted(set(sizes))
    (chosen,) = [item for item in path if item.chosen]
    assert chosen.law is model.symbolic_
    errors = [item.error for item in path]
    assert all(a >= b - 1e-12 for a, b in itertools.pairwise(errors))
    # least squares on the same support is what the fit itself found
    law, _ = _refitted(model.symbolic_, NormalEquations(model.statistics_), chosen.law.support)
    np.testing.assert_allclose(law.coefficients, model.symbolic_.coefficients, rtol=1e-8)


def test_second_order_laws_with_controls_and_many_samples_make_a_small_page(tmp_path):
    train, test = hold_out(driven(), 0.4)
    model = SINDy("1, q, q_dot, u, q**2, q**3", order=2).fit(train)
    folder = report(model, tmp_path / "law", data=train, holdout=test)
    page = (folder / "report.html").read_text()
    assert len(page) < MOST_BYTES / 5
    data = Contents(model, validate(model, test, train=train, n_draws=0), train).to_dict()
    assert [panel["kind"] for panel in data["panels"]] == ["points", "envelope"]
    assert data["models"][data["chosen"]]["terms"] == model.symbolic_.complexity


@pytest.fixture
def hostile():
    """Data whose columns are called after an attack."""
    data = load_hare_lynx()
    data.columns = ["<script>alert(1)</script> [<b>]", "x\"'><img src=q onerror=alert(2)>"]
    return data


def test_names_from_the_data_are_escaped(hostile, tmp_path):
    model = SINDy().fit(hostile)
    note = "</script><script>alert(3)</script>"
    folder = report(model, tmp_path / "law", data=hostile, title=note, command=note, date=note,
                    sources=[note])  # fmt: skip
    page = (folder / "report.html").read_text()
    assert page.count("<script") == 2
    for tag in ("<img", "<b>", "alert(3)</script>"):
        assert tag not in page


# -- in a browser ------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser():
    api = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    options = {"args": ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]}
    if chromium:
        options["executable_path"] = chromium
    with api.sync_playwright() as play:
        try:
            opened = play.chromium.launch(**options)
        except api.Error:
            pytest.skip("there is no chromium")
        yield opened
        opened.close()


def open_page(browser, path: Path, width: int, **options):
    """Open a page; returns it with what it complained about and asked the network for."""
    page = browser.new_page(viewport={"width": width, "height": 800}, **options)
    said, asked = [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.on("dialog", lambda dialog: said.append(dialog.message))
    page.goto(path.as_uri())
    return page, said, asked


def check_page(browser, path: Path):
    """Open a report on a desk and a phone, and move the slider."""
    assert path.stat().st_size <= MOST_BYTES
    for width in (390, 1280):
        for scheme in ("light", "dark"):
            page, said, asked = open_page(browser, path, width, color_scheme=scheme)
            assert said == []
            assert asked == [path.as_uri()]
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert page.locator("svg.chart path.law, svg.chart path.law-bars").count() > 0
            page.close()
    page, said, _ = open_page(browser, path, 1280)
    curve = "#candidate-runs path.law"

    def state():
        return (
            page.inner_html("#candidate"),
            page.locator(curve).first.get_attribute("d"),
            page.inner_text("#which"),
        )

    slider = page.locator("#slider")
    start = state()
    assert "the chosen law" in start[2]
    assert page.inner_html("#candidate") == page.inner_html("#law .equations")
    slider.focus()
    page.keyboard.press("ArrowLeft")
    by_key = state()
    assert all(a != b for a, b in zip(start, by_key, strict=True))
    seen = set()
    for value in range(int(slider.get_attribute("max")) + 1):
        slider.evaluate("(s, v) => { s.value = v; s.dispatchEvent(new Event('input')); }", value)
        seen.add(state()[0])
    assert len(seen) == int(slider.get_attribute("max")) + 1
    page.click("#back")
    assert state() == start
    assert said == []
    page.close()


def test_the_page_works_in_a_browser(hares, browser):
    check_page(browser, hares[3] / "report.html")


def test_a_dense_page_works_in_a_browser(browser, tmp_path):
    train, test = hold_out(driven(), 0.4)
    model = SINDy("1, q, q_dot, u, q**2, q**3", order=2).fit(train)
    folder = report(model, tmp_path / "law", data=train, holdout=test)
    check_page(browser, folder / "report.html")


def test_hostile_names_run_nothing(hostile, browser, tmp_path):
    model = SINDy().fit(hostile)
    folder = report(model, tmp_path / "law", data=hostile)
    page, said, asked = open_page(browser, folder / "report.html", 390)
    assert said == []
    assert len(asked) == 1
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.close()


@pytest.mark.slow
def test_the_silverbox_report_works_in_a_browser(measured, browser, tmp_path):
    table = pd.read_csv(measured("silverbox_SNLS80mV.csv"))
    voltage, drive = table["V2"].to_numpy(), table["V1"].to_numpy()
    t = np.arange(len(table)) / 610.35
    train, test = (
        as_trajectories(voltage[rows], t[rows], drive[rows], names=["V2 [V]"],
                        control_names=["V1 [V]"])
        for rows in (slice(40_650, 127_400), slice(0, 40_600))
    )  # fmt: skip
    model = SINDy(PolynomialLibrary(3), order=2).fit(train)
    folder = report(model, tmp_path / "law", data=train, holdout=test)
    check_page(browser, folder / "report.html")
