"""report: a folder with everything about a law, written in one step."""

from __future__ import annotations

import json
import platform
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

import discover
from discover.control import SINDyRL, learning_curve
from discover.exceptions import DataError
from discover.medida import ModelErrorDiscovery
from discover.observations import Trajectory, as_trajectories
from discover.reports.contents import Contents
from discover.reports.control_page import render_control
from discover.reports.error_page import render_error
from discover.reports.error_verdict import judge_error
from discover.reports.markup import GENERATOR
from discover.reports.page import render
from discover.symbolic import SymbolicModel
from discover.validation import Validation, validate

__all__ = ["report"]

_PAGE = "report.html"


def report(
    found: Any,
    path: str | Path,
    *,
    data: Any = None,
    holdout: Any = None,
    t: Any = None,
    u: Any = None,
    validation: Validation | None = None,
    title: str | None = None,
    command: str | None = None,
    date: str | None = None,
    sources: Sequence[str] = (),
) -> Path:
    """Write a folder that says what was found, and whether to believe it.

    Parameters
    ----------
    found : fitted SINDy, DiscreteSINDy, ModelErrorDiscovery or SINDyRL, or SymbolicModel
    path : str or Path
        The folder. It is written beside its place and moved there when it is complete; an
        earlier report, or an empty folder, is replaced, anything else is refused.
    data : list of Trajectory, table or array
        What the law was fitted to. Not needed for a ModelErrorDiscovery or a SINDyRL.
    holdout : list of Trajectory, table, array, or Field, optional
        What it is judged by; see :func:`discover.hold_out`. Without it the law is judged by
        `data`, and the page says so. For a ModelErrorDiscovery a complete record to forecast;
        by default the series it was fitted to. For a SINDyRL the
        :class:`~discover.control.Transitions` of fresh episodes.
    t, u : optional
        Times and controls of `data`, as for :meth:`discover.SINDy.fit`; for a
        ModelErrorDiscovery they are those of `holdout`.
    validation : Validation, optional
        Of `holdout`, if it was made already.
    title : str, optional
    command : str, optional
        What was typed, to be shown.
    date : str, optional
        To be shown; nothing reads the clock, so equal input makes an equal page.
    sources : sequence of str, optional
        Files the data came from.

    Returns
    -------
    Path
        The folder, with ``report.html``, ``model.json``, ``equations.tex``,
        ``coefficients.csv``, ``verdict.json`` and ``forecast.png``, ``residuals.png``,
        ``phase.png``, ``path.png`` where there is something to show; of a
        ModelErrorDiscovery ``model.json`` is the error, and with it come ``repaired.json``
        (where the solver is a law), ``rivals.csv`` and ``forecast.csv``; of a SINDyRL the page,
        ``model.json``, ``reward.json``, ``policy.json`` and ``learning.csv``.

    Raises
    ------
    FileExistsError
        If there is a file, or a folder that is not a report.
    DataError
        If data are missing or cannot be used.
    """
    path = Path(path)
    refuse_other(path)
    facts = _facts(command, date, sources)
    if isinstance(found, ModelErrorDiscovery):
        return _report_error(found, path, (holdout, t, u), title, facts)
    if isinstance(found, SINDyRL):
        return _report_control(found, path, holdout, title, facts)
    if data is None:
        raise DataError("report: data must be what the law was fitted to; got None.")
    train = _runs(found, data, t, u)
    if validation is None:
        if holdout is None:
            validation = validate(found, train, train=train)
        else:
            validation = validate(found, _runs(found, holdout, None, None), train=train)
    contents = Contents(found, validation, train)
    title = title or f"A law for {', '.join(validation.names)}"
    refinement = getattr(found, "refinement_", None)
    if refinement is not None:
        facts.append(("Refined", "; ".join(refinement.notes())))
    page = render(contents, title, facts)
    with _replaced(path) as folder:
        _write_law(contents.law, validation.to_dict(), page, folder)
        _draw(contents, folder)
    return path


def _write_law(law: SymbolicModel, verdict: Any, page: str, folder: Path) -> None:
    law.save(folder / "model.json")
    (folder / "equations.tex").write_text(law.to_latex() + "\n", encoding="utf-8")
    law.coefficient_table().to_csv(folder / "coefficients.csv", index=False)
    text = json.dumps(verdict, ensure_ascii=False, allow_nan=False, indent=1)
    (folder / "verdict.json").write_text(text + "\n", encoding="utf-8")
    (folder / _PAGE).write_text(page, encoding="utf-8")


def _report_error(
    found: ModelErrorDiscovery,
    path: Path,
    record: tuple[Any, Any, Any],
    title: str | None,
    facts: list[tuple[str, str]],
) -> Path:
    compared = None
    if record[0] is not None or found.can_forecast:
        compared = found.forecast(*record)
    verdict = judge_error(found, compared)
    page = render_error(
        found, compared, verdict, title or "What the solver gets wrong", facts,
        seen_before=record[0] is None,
    )  # fmt: skip
    with _replaced(path) as folder:
        _write_law(found.error_, verdict.to_dict(), page, folder)
        if hasattr(found, "repaired_"):
            found.repaired_.save(folder / "repaired.json")
        found.identifiability_.table().to_csv(folder / "rivals.csv", index=False)
        if compared is not None:
            compared.table().to_csv(folder / "forecast.csv", index=False)
    return path


def _report_control(
    found: SINDyRL, path: Path, fresh: Any, title: str | None, facts: list[tuple[str, str]]
) -> Path:
    if not hasattr(found, "policy_"):
        raise DataError("report: found must be a SINDyRL that has learned; call learn first.")
    if not isinstance(found.policy_, SymbolicModel):
        raise DataError("report: the policy must be a formula; a planner has nothing to show.")
    page = render_control(found, fresh, title or "A policy from few real steps", facts)
    with _replaced(path) as folder:
        found.dynamics_.save(folder / "model.json")
        found.reward_.save(folder / "reward.json")
        found.policy_.save(folder / "policy.json")
        learning_curve(found).table().to_csv(folder / "learning.csv", index=False)
        (folder / _PAGE).write_text(page, encoding="utf-8")
    return path


def _runs(found: Any, X: Any, t: Any, u: Any) -> list[Trajectory]:
    first = X[0] if isinstance(X, list | tuple) and len(X) else X
    options = {}
    if not isinstance(found, SymbolicModel) and not isinstance(first, Trajectory):
        options = {key: getattr(found, key) for key in ("names", "control_names", "controls")}
    return as_trajectories(X, t, u, owner="report", **options)


def _facts(command: str | None, date: str | None, sources: Sequence[str]) -> list[tuple[str, str]]:
    import numba
    import scipy

    versions = (
        f"discover {discover.__version__}, Python {platform.python_version()}, "
        f"NumPy {np.__version__}, SciPy {scipy.__version__}, numba {numba.__version__}"
    )
    return [
        ("Command", command or ""),
        ("Data", ", ".join(sources)),
        ("Date", date or ""),
        ("Versions", versions),
        ("Machine", f"{platform.system()}, {platform.machine()}"),
    ]


# -- pictures ----------------------------------------------------------------------


def _draw(contents: Contents, folder: Path) -> None:
    """Write the pictures; no window is opened."""
    from matplotlib.figure import Figure

    from discover.plotting import plot_forecast, plot_path, plot_phase, plot_residuals

    validation, n = contents.validation, len(contents.validation.names)
    figure = Figure(figsize=(7.0, max(2.0 * n, 2.6)), layout="constrained")
    plot_forecast(validation, axes=figure.subplots(n, 1, sharex=True, squeeze=False)[:, 0])
    figure.savefig(folder / "forecast.png", dpi=150)
    if validation.innovations:
        figure = Figure(figsize=(7.0, max(2.0 * n, 2.6)), layout="constrained")
        plot_residuals(validation, axes=figure.subplots(n, 2, squeeze=False))
        figure.savefig(folder / "residuals.png", dpi=150)
    if contents.law.n_states > 1:
        figure = Figure(figsize=(4.2, 4.0), layout="constrained")
        plot_phase(validation, contents.law, axes=figure.subplots())
        figure.savefig(folder / "phase.png", dpi=150)
    if getattr(getattr(contents.found, "estimate_", None), "path", ()):
        figure = Figure(figsize=(6.0, 3.2), layout="constrained")
        plot_path(contents.found, axes=figure.subplots())
        figure.savefig(folder / "path.png", dpi=150)


# -- the folder --------------------------------------------------------------------


def refuse_other(path: Path) -> None:
    """Complain about a place that holds something else, before any work is done."""
    if not path.exists():
        return
    ours = path.is_dir() and (_is_report(path) or not any(path.iterdir()))
    if not ours:
        raise FileExistsError(
            f"report: {path} is there and is not a report; choose another folder, or remove it."
        )


def _is_report(path: Path) -> bool:
    page = path / _PAGE
    if not page.is_file():
        return False
    with page.open(encoding="utf-8", errors="replace") as file:
        return f'content="{GENERATOR}"' in file.read(1000)


@contextmanager
def _replaced(path: Path) -> Iterator[Path]:
    """Yield a folder beside the place; move it there if all went well, else remove it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    try:
        yield draft
        draft.chmod(0o755)
        if path.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
            path.replace(old / "old")
            draft.replace(path)
            shutil.rmtree(old)
        else:
            draft.replace(path)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
