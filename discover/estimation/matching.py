"""refine: move the coefficients of a law until its trajectories match the data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from discover.dynamics.integrators import Reading
from discover.estimation.observing import Samples, observe, read_runs
from discover.estimation.shooting import (
    Shooting,
    Solution,
    cut,
    first_states,
    rms,
    settle_substeps,
)
from discover.exceptions import DataError, SimulationError
from discover.observations import Trajectory
from discover.symbolic import SymbolicModel
from discover.typing import BoolArray, FloatArray

__all__ = ["Refinement", "refine"]

_TIGHTENING = (1.0, 0.1, 0.01, 0.001)  # standard deviation of gaps over that of the noise
_ROUGH, _FINE = 1e-3, 1e-10  # relative fall of the cost that ends a stage, and the last
_HORIZON = 4  # segments in a window of the simulation error
_HUBER = 1.345  # standard deviations: 95 % efficient where the noise is normal
_REWEIGHTINGS = 8
_STEPS_TO_JUDGE = 20  # to fit initial states alone
_SHORTEST = 2  # samples in a segment
_ACCURACY = (1e-3, 1e-10)  # of the integration: of the noise, of the spread of the data
_LEAST_NOISE = 1e-13  # of the spread


@dataclass(frozen=True, eq=False)
class Refinement:
    """What :func:`refine` found.

    Parameters
    ----------
    model : SymbolicModel
        The refined law, with the covariance of its coefficients; the law it started from
        when `improved` is False.
    start : SymbolicModel
    improved : bool
        Whether the refined law matches the data better than the start.
    converged : bool
        Whether the last stage ended before its limit of iterations.
    interrupted : bool
        Whether the keyboard ended it; `model` is then the best law so far.
    noise : ndarray of shape (n_states,)
        Standard deviation of the measurement noise; NaN for states that were not observed.
    error_before, error_after : ndarray of shape (n_states,)
        Root-mean-square difference between data and simulations over windows of about
        `horizon` samples, whose initial states are fitted, with the start and with `model`.
        On the held-out samples if there are any. NaN for states that were not observed.
    horizon : int
    states : list of ndarray, each of shape (n_samples, n_states)
        The trajectory of `model` closest to each run, at its samples; NaN where samples
        were held out or left out.
    n_iter : int
        Gauss-Newton steps.
    """

    model: SymbolicModel
    start: SymbolicModel
    improved: bool
    converged: bool
    interrupted: bool
    noise: FloatArray
    error_before: FloatArray
    error_after: FloatArray
    horizon: int
    states: list[FloatArray]
    n_iter: int

    def __repr__(self) -> str:
        """Return the law, and what refining it has changed."""
        return "\n".join([repr(self.model), *(f"({note})" for note in self.notes())])

    def notes(self) -> tuple[str, ...]:
        """Return what refining has changed, state by state, and how it ended, in words."""
        notes = [
            f"{name}: noise {sigma:.3g}, simulation error over {self.horizon} samples "
            f"{before:.3g} before, {after:.3g} after"
            for name, sigma, before, after in zip(
                self.model.state_names, self.noise, self.error_before, self.error_after,
                strict=True,
            )
            if np.isfinite(before)
        ]  # fmt: skip
        if self.interrupted:
            notes.append("interrupted: the best law so far")
        elif not self.improved:
            notes.append("no better law was found: this is the start")
        elif not self.converged:
            notes.append("not converged: raise max_iter")
        return tuple(notes)


def refine(
    model: Any,
    X: Any,
    t: Any = None,
    u: Any = None,
    *,
    observed: Sequence[str] | None = None,
    segment: int | None = None,
    loss: Literal["squares", "huber"] = "squares",
    holdout: float = 0.0,
    u_interpolation: Reading = "auto",
    max_iter: int = 50,
    progress: bool | None = None,
) -> Refinement:
    """Refine the coefficients of a law by matching its trajectories to the data.

    Parameters
    ----------
    model : SymbolicModel, or fitted SINDy or DiscreteSINDy
        The start. Its terms stay; coefficients whose standard error is exactly 0 are kept.
    X, t, u
        Observations, as for :meth:`discover.SINDy.fit`; NaN where nothing was observed.
        Columns are matched to the states by name. An array may also hold just the
        coordinates of a second-order law.
    observed : sequence of str, optional
        Which states the columns of an array are, when they are not all of them.
    segment : int, optional
        Samples in a segment; by default half of the period of the fastest state, 2 samples
        of a map. More than the samples of a run means one segment per run. Segments in
        which the start diverges are halved.
    loss : {"squares", "huber"}, default="squares"
        "huber" bounds the influence of outliers.
    holdout : float, default=0.0
        Share of every run, at its end, that is only used for the simulation errors.
    u_interpolation : str, default="auto"
        See :func:`discover.dynamics.simulate`.
    max_iter : int, default=50
        Most Gauss-Newton steps in each of the four stages.
    progress : bool, optional
        Whether to show a progress bar; by default on a terminal, after two seconds.

    Returns
    -------
    Refinement

    Raises
    ------
    DataError
        If the data cannot be used, or are too few for the coefficients and initial states.
    SimulationError
        If the law diverges within a few samples of the data.

    Notes
    -----
    Multiple shooting [1]_: runs are cut into segments with initial states of their own,
    and the gaps between segments are penalised, loosely at first and a thousand times below
    the noise at the end. So the law is confronted with its own trajectories, which no noise
    of the regressors biases, but never over longer than chaos allows. Sensitivities obey
    the variational equations, integrated with the law by the fifth-order formula of Dormand
    and Prince in steps fine enough for the noise. Each Gauss-Newton step eliminates the
    initial states segment by segment: time and memory grow linearly with the samples.

    The noise of each state is estimated from the residuals between stages and weighs them.
    The covariance is the inverse of the Gauss-Newton Hessian, initial states profiled out:
    it holds where the law is right and the noise is white. A refined law that matches the
    data no better than the start, initial states fitted for both, is not returned.
    Ctrl-C returns the best law so far.

    References
    ----------
    .. [1] H. G. Bock, "Recent advances in parameter identification techniques for O.D.E.",
       in Numerical Treatment of Inverse Problems in Differential and Integral Equations,
       Birkhauser 1983, 95-121.

    Examples
    --------
    >>> import numpy as np
    >>> from discover import SINDy
    >>> t = np.linspace(0, 20, 400)
    >>> y = np.exp(-0.1 * t) * np.cos(t) + 0.02 * np.random.default_rng(0).normal(size=400)
    >>> found = SINDy("y, y_dot", names=["y"], order=2).fit(y, t)
    >>> refine(found, y, t).model.equations()
    ["y'' = -1.01...(14) y - 0.19...(13) y_dot"]
    """
    law = _checked(model, loss, holdout, segment, max_iter)
    runs = read_runs(law, X, t, u, observed)
    kept, tested = _split(runs, holdout)
    samples = observe(law, kept, u_interpolation)
    stages = Stages(law, samples, segment or samples.segment, loss)
    stages.check_enough()
    with _bar(progress, (len(_TIGHTENING) + 1) * max_iter) as report:
        found = stages.run(max_iter, report)
    test = samples if not tested else observe(law, tested, u_interpolation)
    return _finished(stages, found, test, runs)


def _split(
    runs: Sequence[Trajectory], holdout: float
) -> tuple[Sequence[Trajectory], Sequence[Trajectory]]:
    """Split every run into the samples that are fitted and those that are held out."""
    if holdout == 0:
        return runs, []
    places = [len(run) - int(holdout * len(run)) for run in runs]
    kept = [run.select(slice(0, k)) for run, k in zip(runs, places, strict=True) if k]
    held = zip(runs, places, strict=True)
    return kept, [run.select(slice(k, None)) for run, k in held if k < len(run)]


def _checked(
    model: Any, loss: str, holdout: float, segment: int | None, max_iter: int
) -> SymbolicModel:
    law = getattr(model, "symbolic_", model)
    if not isinstance(law, SymbolicModel):
        raise TypeError(f"refine: model must be a SymbolicModel or a fitted SINDy; got {model!r}.")
    if law.kind == "direct" or not law.complexity:
        raise ValueError("refine: model must be a law of motion with at least one term.")
    if loss not in ("squares", "huber"):
        raise ValueError(f"refine: loss must be 'squares' or 'huber'; got {loss!r}.")
    if not 0 <= holdout < 1:
        raise ValueError(f"refine: holdout must be in [0, 1); got {holdout!r}.")
    if segment is not None and not segment >= 2:
        raise ValueError(f"refine: segment must be at least 2 samples; got {segment!r}.")
    if not max_iter >= 1:
        raise ValueError(f"refine: max_iter must be at least 1; got {max_iter!r}.")
    return law


@contextmanager
def _bar(progress: bool | None, total: int) -> Iterator[Any]:
    from tqdm import tqdm

    disable = None if progress is None else not progress
    with tqdm(
        total=total, desc="refine", unit="step", disable=disable, delay=0 if progress else 2,
        leave=False,
    ) as bar:  # fmt: skip
        yield lambda: bar.update()


class Stages:
    """The stages of a refinement: gaps ever tighter, noise estimated in between.

    Parameters
    ----------
    law : SymbolicModel
    samples : Samples
    segment : int
        Samples in a segment.
    loss : {"squares", "huber"}
    window : int, optional
        Segments after which the trajectory may jump; by default it never may.
    """

    def __init__(
        self,
        law: SymbolicModel,
        samples: Samples,
        segment: int,
        loss: str,
        window: int | None = None,
    ) -> None:
        self.law, self.samples, self.loss = law, samples, loss
        self.window = window
        self.cut(segment)
        self.noise = np.maximum(samples.noise, _LEAST_NOISE * samples.spread)
        self.n_substeps = np.ones(len(samples.times), dtype=np.int64)
        self.free = _free(law)
        self.n_iter, self.converged, self.interrupted = 0, False, False

    @property
    def resting(self) -> BoolArray:
        """No coefficient moves."""
        return np.zeros_like(self.free)

    def cut(self, segment: int) -> None:
        """Cut the runs into segments, and these into windows."""
        self.segment = segment
        self.starts, self.linked = cut(self.samples.edges, segment)
        if self.window is not None:
            self.linked[self.window - 1 :: self.window] = False

    def check_enough(self) -> None:
        """Raise if there are fewer observations than unknowns."""
        unknowns = int(self.free.sum()) + self.law.n_states * (len(self.samples.edges) - 1)
        n = int(self.samples.seen.sum())
        if n <= unknowns:
            raise DataError(
                f"refine: {n} observations are too few for {unknowns} unknowns: "
                f"{int(self.free.sum())} coefficients and {self.law.n_states} initial states in "
                f"each of {len(self.samples.edges) - 1} stretches."
            )

    def problem(
        self, tightness: float, free: BoolArray, weights: FloatArray | float = 1.0
    ) -> Shooting:
        """Pose the problem of one stage."""
        return Shooting(
            self.law, self.samples, self.starts, self.linked, self.n_substeps,
            np.where(self.samples.seen, weights / self.noise**2, 0.0),
            1 / (tightness * self.noise) ** 2, free,
        )  # fmt: skip

    def run(self, max_iter: int, report: Callable[[], object]) -> Solution:
        """Descend through all stages; an interruption keeps what there is."""
        self.best = self.begin(self.free)
        try:
            for tightness in _TIGHTENING:
                last = tightness == _TIGHTENING[-1]
                self.stage(tightness, _FINE if last else _ROUGH, max_iter, report)
            self.stage(_TIGHTENING[-1], _FINE, max_iter, report)  # weighed by the final noise
        except KeyboardInterrupt:
            self.interrupted = True
        return self.best

    def begin(self, free: BoolArray) -> Solution:
        """Follow the start; segments in which it diverges are halved.

        Raises
        ------
        SimulationError
            If it diverges within two samples.
        """
        while True:
            try:
                x0 = self.prepare()
                here = self.problem(_TIGHTENING[0], free).follow(self.law.program[4], x0)
            except SimulationError:
                if self.segment <= _SHORTEST:
                    raise
            else:
                if np.isfinite(here.cost) or self.segment <= _SHORTEST:
                    return here
            self.cut(max(_SHORTEST, min(self.segment, len(self.samples.times)) // 2))

    def prepare(self) -> FloatArray:
        """Choose the steps of the integration; returns the initial states to begin with."""
        resting = self.problem(1.0, self.resting)
        x0 = first_states(resting, self.samples.guess)
        share, floor = _ACCURACY
        tolerance = np.maximum(share * self.noise, floor * self.samples.spread)
        self.n_substeps = settle_substeps(resting, x0, tolerance)
        return x0

    def stage(
        self, tightness: float, tolerance: float, max_iter: int, report: Callable[[], object]
    ) -> None:
        """Descend with one stiffness, then estimate the noise again."""
        for _ in range(1 if self.loss == "squares" else _REWEIGHTINGS):
            problem = self.problem(tightness, self.free, self.robust_weights())
            steps = 0
            for better in problem.descent(self.best, tolerance):
                self.best, steps = better, steps + 1
                report()
                if steps == max_iter:
                    break
            self.n_iter, self.converged = self.n_iter + steps, steps < max_iter
        self.noise = self.estimated_noise()

    def residuals(self) -> FloatArray:
        """Return observations minus predictions; 0 where nothing was observed."""
        return np.where(self.samples.seen, self.samples.Y - self.best.predicted, 0.0)

    def robust_weights(self) -> FloatArray | float:
        """Return Huber's weights, or 1 for least squares."""
        if self.loss == "squares":
            return 1.0
        residual = np.abs(self.residuals())
        known = np.where(self.samples.seen, residual, np.nan)
        limit = np.ones(residual.shape[1])
        any_seen = self.samples.seen.any(axis=0)
        limit[any_seen] = _HUBER / 0.6745 * np.nanmedian(known[:, any_seen], axis=0)
        limit = np.maximum(limit, _LEAST_NOISE * self.samples.spread)
        return np.asarray(np.where(residual > limit, limit / np.maximum(residual, limit), 1.0))

    def estimated_noise(self) -> FloatArray:
        """Return the standard deviation of the residuals, corrected for what was fitted."""
        residual = self.residuals() * np.sqrt(self.robust_weights())
        fitted = int(self.free.sum()) + self.law.n_states * (len(self.samples.edges) - 1)
        n = int(self.samples.seen.sum())
        noise = rms(residual, self.samples.seen) * np.sqrt(n / max(n - fitted, 1))
        ratio = np.nanmean(noise / self.noise)  # hidden states keep to those that are observed
        noise = np.where(np.isnan(noise), ratio * self.noise, noise)
        return np.asarray(np.maximum(noise, _LEAST_NOISE * self.samples.spread))

    def is_better(self) -> bool:
        """Whether the law found matches the data better than the start, states fitted anew."""
        fixed = self.problem(_TIGHTENING[-1], self.resting, self.robust_weights())
        ours = fixed.follow(self.best.coefficients, self.best.x0, sensitivities=False).cost
        theirs = fixed.follow(self.law.program[4], self.best.x0)
        for tightness in _TIGHTENING[1::2]:
            fixed = self.problem(tightness, self.resting, self.robust_weights())
            theirs = fixed.settled(theirs, _ROUGH, _STEPS_TO_JUDGE)
        return bool(ours < theirs.cost)


def _free(law: SymbolicModel) -> BoolArray:
    """Say which coefficients move: all but those whose standard error is exactly 0."""
    support = np.asarray(law.support)
    fixed = support & (law.standard_errors == 0)
    fixed[list(law.velocities)] = True
    return np.asarray(~fixed[support])


def _finished(
    stages: Stages, found: Solution, test: Samples, runs: Sequence[Trajectory]
) -> Refinement:
    """Judge what was found, and put it together."""
    law = stages.law
    improved = bool(np.any(found.coefficients != law.program[4]))
    if not stages.interrupted:
        improved = improved and stages.is_better()
    refined = _refined(stages, found) if improved else law
    before = simulation_error(law, test, stages)
    after = simulation_error(refined, test, stages) if improved else before
    observed = stages.samples.seen.any(axis=0)
    return Refinement(
        model=refined,
        start=law,
        improved=improved,
        converged=stages.converged,
        interrupted=stages.interrupted,
        noise=np.where(observed, stages.noise, np.nan),
        error_before=before,
        error_after=after,
        horizon=int(min(_HORIZON * stages.segment, np.diff(test.edges).max())),
        states=_states(stages.samples, found.predicted, runs),
        n_iter=stages.n_iter,
    )


def _refined(stages: Stages, found: Solution) -> SymbolicModel:
    """Return the law with new coefficients and their covariance."""
    law = stages.law
    coefficients = law.coefficients.copy()
    coefficients[law.support] = found.coefficients
    covariance = None
    problem = stages.problem(_TIGHTENING[-1], stages.free, stages.robust_weights())
    moving = problem.covariance(problem.follow(found.coefficients, found.x0))
    if moving is not None:
        covariance = np.zeros((len(stages.free),) * 2)
        covariance[np.ix_(stages.free, stages.free)] = moving
    return replace(law, coefficients=coefficients, covariance=covariance)


def simulation_error(law: SymbolicModel, samples: Samples, stages: Stages) -> FloatArray:
    """Return the root-mean-square error of simulations over windows of a few segments.

    Parameters
    ----------
    law : SymbolicModel
    samples : Samples
    stages : Stages
        Where the noise and the length of segments come from.

    Returns
    -------
    ndarray of shape (n_states,)
        NaN for states that were not observed; infinite where the law diverges.
    """
    windows = Stages(law, samples, stages.segment, "squares", window=_HORIZON)
    windows.noise = stages.noise
    observed = samples.seen.any(axis=0)
    failed = np.where(observed, np.inf, np.nan)
    try:
        here = windows.begin(windows.resting)
    except SimulationError:
        return failed
    for tightness in _TIGHTENING:
        problem = windows.problem(tightness, windows.resting)
        here = problem.settled(here, _ROUGH, _STEPS_TO_JUDGE)
    return rms(samples.Y - here.predicted, samples.seen) if np.isfinite(here.cost) else failed


def _states(
    samples: Samples, predicted: FloatArray, runs: Sequence[Trajectory]
) -> list[FloatArray]:
    """Put predictions back where their samples came from."""
    states = [np.full((len(run), predicted.shape[1]), np.nan) for run in runs]
    for k, (number, rows) in enumerate(samples.rows):
        states[number][rows] = predicted[samples.edges[k] : samples.edges[k + 1]]
    return states
