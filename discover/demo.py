"""A first discovery: the law behind two decades of hare and lynx pelts."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from discover.observations.datasets import load_hare_lynx
from discover.plotting import plot_simulation
from discover.plotting.style import DATA, LAW, tidy
from discover.sindy import SINDy
from discover.typing import FloatArray

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["run"]


def run(out: Path) -> None:
    """Find the law of hare and lynx with nothing set, print it, and write it down.

    Parameters
    ----------
    out : Path
        Folder for ``hare_lynx.png``, ``law.json`` and ``law.tex``; made if missing.
    """
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    data = load_hare_lynx()
    first, last = data.index[0], data.index[-1]
    print(f"{len(data)} yearly counts of hare and lynx pelts, {first} to {last}, in thousands")
    print("(Hudson's Bay Company).\n")
    model = SINDy().fit(data)
    print("SINDy().fit(data) finds, with the standard error of the last digits in brackets:\n")
    print("\n".join(f"    {line}" for line in model.equations()))
    times = np.linspace(first, last, 20 * (len(data) - 1) + 1)
    path = model.simulate(data.iloc[0].to_numpy(), times)
    print(f"\nFollowed from the counts of {first} alone, for {last - first} years:\n")
    print(_phases(data, path))
    _draw(model, data, path, out / "hare_lynx.png")
    model.symbolic_.save(out / "law.json")
    (out / "law.tex").write_text(model.symbolic_.to_latex() + "\n", encoding="utf-8")
    print(f"\nWritten to {out}: hare_lynx.png, law.json, law.tex")
    print(_what_next(out))


# -- in phase? ---------------------------------------------------------------------


def _phases(data: pd.DataFrame, path: Any) -> str:
    """Compare the years of the peaks, species by species."""
    lines, shifts = [], []
    for name in data.columns:
        seen = _peaks(data.index.to_numpy(dtype=float), data[name].to_numpy())
        told = _peaks(path.times, path[name])
        lines.append(f"    {name} peaks   data {_years(seen, 0)}   law {_years(told, 1)}")
        if len(seen) == len(told):
            shifts.append(float(np.abs(seen - told).max()))
    if len(shifts) == data.shape[1]:
        lines.append(f"    never more than {max(shifts):.1f} years apart")
    return "\n".join(lines)


def _peaks(times: FloatArray, values: FloatArray) -> FloatArray:
    """Return the times of peaks that stand out by half the range of the values."""
    from scipy.signal import find_peaks

    return np.asarray(times[find_peaks(values, prominence=0.5 * np.ptp(values))[0]])


def _years(times: FloatArray, digits: int) -> str:
    return ", ".join(f"{time:.{digits}f}" for time in times) or "none"


# -- the picture -------------------------------------------------------------------


def _draw(model: SINDy, data: pd.DataFrame, path: Any, file: Path) -> None:
    """Draw both species over time, and against each other; no window is opened."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(10.0, 4.2), layout="constrained")
    axes = figure.subplot_mosaic([["hare", "phase"], ["lynx", "phase"]], width_ratios=[1.5, 1])
    axes["hare"].sharex(axes["lynx"])
    axes["hare"].tick_params(labelbottom=False)
    plot_simulation(model, data, axes=[axes["hare"], axes["lynx"]])
    axes["lynx"].set_xlabel("year")
    axes["lynx"].xaxis.set_major_locator(MaxNLocator(integer=True))
    for name in ("hare", "lynx"):
        axes[name].set_ylabel(f"{name} [thousands]")
    phase = axes["phase"]
    phase.plot(data["hare"], data["lynx"], **{**DATA, "linestyle": "-", "linewidth": 0.5})
    phase.plot(path["hare"], path["lynx"], **LAW)
    phase.set(xlabel="hare [thousands]", ylabel="lynx [thousands]")
    tidy(phase)
    figure.savefig(file, dpi=150)


# -- what next ---------------------------------------------------------------------


def _what_next(out: Path) -> str:
    python, law = _python(), (out / "law.json").as_posix()
    load = f"import discover; print(discover.SymbolicModel.load('{law}'))"
    return f"""
What next
    read the law back:       {python} -c "{load}"
    what SINDy can be told:  {python} -m pydoc discover.SINDy
    time a first fit here:   {python} -m discover bench coldstart"""


def _python() -> str:
    """Return what to type for the interpreter that runs this."""
    running, here = Path(sys.executable), Path.cwd()
    for name in ("python", "python3"):
        if shutil.which(name) == str(running):
            return name
    return str(running.relative_to(here) if running.is_relative_to(here) else running)
