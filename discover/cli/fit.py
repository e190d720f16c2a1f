"""``discover fit``: runs, a law, a check on what was held out, files."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, cast

import typer

from discover.cli import data
from discover.cli.app import app, examples
from discover.cli.boundary import COMMAND
from discover.cli.progress import progress
from discover.exceptions import DataWarning

if TYPE_CHECKING:
    from discover.observations import Trajectory
    from discover.validation import Validation

LARGE = 256_000_000  # bytes of files, above which they are read piece by piece
_FEWEST_TO_HOLD_OUT = 100  # samples, below which every one is needed for the law
_HOLD_OUT = 0.2
_MANY_TERMS = 1_000  # in one library, above which a fit takes minutes
_METHODS = ("weak", "derivative", "joint", "wendy", "auto")
_WHOLE = ("joint", "wendy")  # these need whole runs in memory
_EXAMPLES = examples(
    "discover fit lynx_hare.csv --time year",
    "discover fit tank.csv -t t -s h1,h2 -u pump --library 'sqrt(h1), sqrt(h2), pump, h1, h2'",
    "discover fit silverbox.csv --rate 610.35 -s V2 -u V1 --order 2 --degree 3 --refine",
    "discover fit a.csv b.csv --time 'time [s]' --out law/",
    "discover fit runs.parquet --run experiment --json",
)


@app.command(epilog=_EXAMPLES)
def fit(
    context: typer.Context,
    files: data.Files,
    time: data.Time = None,
    rate: data.Rate = None,
    dt: data.Dt = None,
    state: data.States = None,
    inputs: data.Inputs = None,
    run: data.Run = None,
    rows: data.Rows = None,
    encoding: data.Encoding = None,
    library: Annotated[
        str | None, typer.Option("--library", "-l", metavar="TERMS", help="'x, x*y, sin(x)'")
    ] = None,
    degree: Annotated[
        int | None, typer.Option(min=0, max=12, help="Polynomials up to this degree. [default: 2]")
    ] = None,
    order: Annotated[
        int, typer.Option(min=1, max=2, help="2: for y'' where only y is measured.")
    ] = 1,
    steps: Annotated[
        bool, typer.Option("--steps", help="A law from one sample to the next, not in time.")
    ] = False,
    method: Annotated[
        str,
        typer.Option(
            metavar="FORM",
            help="auto (joint where noise shows, else weak), weak, derivative, joint or wendy.",
        ),
    ] = "auto",
    regressor: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="How terms are chosen: stlsq, rvm or ensemble. [default: stlsq]"
        ),
    ] = None,
    refine: Annotated[
        bool, typer.Option("--refine", help="Then match its trajectories to the data.")
    ] = False,
    holdout: Annotated[
        float | None,
        typer.Option(
            min=0, max=0.9, help="Share at the end of every run that is kept for the check. "
            f"[default: {_HOLD_OUT}, or 0 below {_FEWEST_TO_HOLD_OUT} samples]",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write a report there: law, tables, a page.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
) -> None:  # fmt: skip
    """Find the law behind measurements."""
    table = data.Table(files, time, rate, dt, state, inputs, run, rows, encoding)
    estimator = _estimator(library, degree, order, steps, method, regressor, refine)
    if out is not None:
        _refuse_unwritable(out)
    typed = str((context.find_root().obj or {}).get(COMMAND, ""))
    try:
        if table.size > LARGE and estimator.order == 1 and method not in _WHOLE and not refine:
            result = _fit_pieces(estimator, table.pieces())
        else:
            training, held_out = _split(table.read(), holdout)
            _warn_of_many(estimator, training[0])
            result = Result(estimator.fit(training), training, held_out)
    except Exception as error:
        error.add_note(f"data: {', '.join(map(str, files[:3]))}{', ...' if files[3:] else ''}")
        raise
    check = _check(result)
    typer.echo(_as_json(result, check) if as_json else _as_text(result, check))
    if out is not None:
        _write(result, check, out, files, typed)
        if not as_json:
            written = ", ".join(sorted(file.name for file in out.iterdir()))
            typer.echo(f"\nWritten to {out}: {written}")


class Result(NamedTuple):
    """A law, runs it was learnt from, and runs it has not seen.

    Of files that are read in pieces, the first piece stands for those it was learnt from.
    """

    model: Any
    training: list[Trajectory]
    held_out: list[Trajectory]
    samples: int | None = None

    @property
    def n_samples(self) -> int:
        """Samples the law was learnt from."""
        return self.samples or sum(run.n_samples for run in self.training)


def _fit_pieces(estimator: Any, pieces: Iterator[Trajectory]) -> Result:
    """Fit in one pass, in memory that does not grow; the last piece is held out."""
    seen: list[Trajectory] = []
    held_out: list[Trajectory] = []
    count = 0

    def all_but_the_last() -> Iterator[Trajectory]:
        nonlocal count
        before = next(pieces)
        for piece in progress(pieces):
            seen[:] = seen or [before]
            count += before.n_samples
            yield before
            before = piece
        (held_out if seen else seen).append(before)
        if not held_out:
            count += before.n_samples
            yield before

    model = estimator.fit_stream(all_but_the_last())
    return Result(model, seen, held_out, count)


# -- what to fit -----------------------------------------------------------------------


def _estimator(
    library: str | None,
    degree: int | None,
    order: int,
    steps: bool,
    method: str,
    regressor: str | None,
    refine: bool,
) -> Any:
    """Compose the estimator; imports come after the options have been looked at."""
    if method not in _METHODS:
        known = ", ".join(_METHODS)
        raise typer.BadParameter(f"{method!r} is not one of {known}.", param_hint="--method")
    from discover.sindy import DiscreteSINDy, SINDy

    options: dict[str, Any] = {
        "library": _library(library, degree),
        "regressor": None if regressor is None else _regressor(regressor),
        "refine": refine,
        "include_time": library is not None and re.search(r"\bt\b", library) is not None,
    }
    if steps:
        if order != 1:
            raise typer.BadParameter("a law of steps has order 1.", param_hint="--order")
        return DiscreteSINDy(**options)
    return SINDy(**options, method=method, order=cast(Any, order))


def _library(text: str | None, degree: int | None) -> Any:
    from discover.libraries import PolynomialLibrary, SymbolicLibrary

    if text is None:
        return PolynomialLibrary(2 if degree is None else degree)
    terms = SymbolicLibrary(text)
    return terms if degree is None else PolynomialLibrary(degree) + terms


def _regressor(name: str) -> Any:
    """Make the regressor of a short name."""
    from discover import regression

    known = {
        "stlsq": regression.STLSQ,
        "rvm": regression.RelevanceVectorRegressor,
        "ensemble": regression.EnsembleRegressor,
    }
    if name.lower() not in known:
        listed = ", ".join(known)
        raise typer.BadParameter(f"{name!r} is not one of {listed}.", param_hint="--regressor")
    return known[name.lower()]()


def _warn_of_many(estimator: Any, run: Trajectory) -> None:
    """Say what makes a fit long: polynomials of many columns."""
    from discover.libraries import PolynomialLibrary

    if not isinstance(estimator.library, PolynomialLibrary):
        return
    n = run.n_states * estimator.order + run.n_controls
    terms = math.comb(n + estimator.library.degree, n)
    if terms > _MANY_TERMS:
        warnings.warn(
            f"{terms:,} terms for each of {run.n_states} states: this takes long, and can seldom "
            "be told apart. Name fewer columns with --state, or lower --degree.",
            DataWarning,
            stacklevel=2,
        )


def _split(
    runs: Sequence[Trajectory], share: float | None
) -> tuple[list[Trajectory], list[Trajectory]]:
    """Cut the last part of every run off; runs too short for it are kept whole."""
    if share is None:
        few = sum(run.n_samples for run in runs) < _FEWEST_TO_HOLD_OUT
        share = 0.0 if few else _HOLD_OUT
    training, held_out = [], []
    for run in runs:
        cut = run.n_samples - round(share * run.n_samples)
        last = run.select(slice(cut, None)) if 2 <= cut <= run.n_samples - 2 else None
        if last is None or not last.complete.any():
            training.append(run)  # what has no complete sample judges nothing
            continue
        training.append(run.select(slice(0, cut)))
        held_out.append(last)
    return training, held_out


# -- what to say -----------------------------------------------------------------------


def _check(result: Result) -> Validation | None:
    """Judge the law by what it has not seen, or else by what it has; None if it cannot be."""
    from discover.exceptions import DiscoverError
    from discover.validation import validate

    judge = result.held_out or result.training
    try:
        return validate(result.model, judge, train=result.training)
    except (DiscoverError, ValueError) as error:
        warnings.warn(f"the law was not checked: {error}", DataWarning, stacklevel=2)
        return None


def _as_text(result: Result, check: Validation | None) -> str:
    read = data.summary([*result.training, *result.held_out], result.samples)
    verdict = f"\n{check.verdict}" if check else ""
    return f"{read}\n\n{result.model!r}\n\n{_explained(result)}{verdict}"


def _scores(result: Result) -> tuple[float, float | None]:
    """Return the share of the changes that the law explains: seen, and held out."""
    seen = float(result.model.score(result.training))
    try:
        unseen = float(result.model.score(result.held_out)) if result.held_out else None
    except ValueError:  # too short, or too full of gaps, for a single row
        unseen = None
    return seen, unseen


def _explained(result: Result) -> str:
    seen, unseen = _scores(result)
    told = f"The law explains {_percent(seen)} of the changes it was learnt from"
    if unseen is None:
        return f"{told}; nothing was held out to check it."
    return f"{told}, and {_percent(unseen)} of those it had not seen."


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if share < 0.999 else f"{100 * share:.3f} %"


def _as_json(result: Result, check: Validation | None) -> str:
    import json

    seen, unseen = _scores(result)
    law = result.model.symbolic_
    told = {
        "equations": law.equations(),
        "samples": result.n_samples,
        "samples_held_out": sum(run.n_samples for run in result.held_out),
        "r2": seen,
        "r2_held_out": unseen,
        "left_out": list(result.model.left_out_),
        "refinement": list(result.model.refinement_.notes()) if result.model.refine else None,
        "validation": check.to_dict() if check else None,
        "model": law.to_dict(),
    }
    return json.dumps(told, ensure_ascii=False)


# -- what to write ---------------------------------------------------------------------


def _refuse_unwritable(out: Path) -> None:
    """Complain now rather than after the fit."""
    from discover.reports.writing import refuse_other

    if out.exists() and not out.is_dir():
        raise typer.BadParameter(f"{out} is there and is not a folder.", param_hint="--out")
    refuse_other(out)


def _write(
    result: Result, check: Validation | None, out: Path, files: Sequence[Path], typed: str
) -> None:
    """Write the report; a law that cannot be followed in time gets its tables only."""
    if check is not None:
        from discover.reports import report

        report(
            result.model, out, data=result.training, holdout=result.held_out or None,
            validation=check, command=typed, sources=[file.name for file in files],
        )  # fmt: skip
        return
    law = result.model.symbolic_
    out.mkdir(parents=True, exist_ok=True)
    law.save(out / "model.json")
    (out / "equations.tex").write_text(law.to_latex() + "\n", encoding="utf-8")
    law.coefficient_table().to_csv(out / "coefficients.csv", index=False)
