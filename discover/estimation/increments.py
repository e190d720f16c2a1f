"""Model errors from bursts: the slope that was observed minus the slope a solver stands for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

import numpy as np
from scipy.linalg import block_diag

from discover.dynamics.solvers import Solver
from discover.observations.grid import Grid
from discover.problems.burst_filter import BurstFilter
from discover.problems.bursts import Bursts, second_difference_variance
from discover.problems.field_rows import FieldTerms, product_degree
from discover.problems.local_rows import LocalTerms
from discover.problems.spectra import FourierTests, Spectrum
from discover.regression import (
    Estimate,
    SparseRegressor,
    identify,
)
from discover.regression.base import ArrayRows
from discover.statistics import SufficientStatistics
from discover.typing import FloatArray

__all__ = [
    "FieldIncrements",
    "IncrementSource",
    "Increments",
    "PointIncrements",
    "fit_increments",
    "resampled",
]

_DRAWS = 30  # draws of the state's error, from which its effect on the rows is measured
_ROUNDS = 3  # weights depend on the law that is found; this often they are made anew
_FLOOR = 1e-4  # of the residual: what is left of it is not looked at
_CURVED = 0.1  # share of the ratio of orders that a quadrature may be off, many frequencies at once
_SMOOTH = 1e-10  # of the variance: second differences that small are curvature, or rounding
_ROUNDING = 1e-8  # of the slopes: differences of neighbouring states are not more exact


@dataclass(frozen=True, eq=False)
class Increments:
    """Projected residuals and terms, target by target.

    Parameters
    ----------
    targets : list of ndarray of shape (n_bursts, n_rows)
        Observed slope minus the solver's, for every component.
    terms : list of ndarray of shape (n_bursts, n_rows, n_terms)
    slope_variance : list of ndarray of shape (n_rows,)
        Of the noise of the slopes; zero for clean data.
    floor : ndarray of shape (n_components,)
        Root-mean-square error of the residuals that is not noise: of placing them in time.
    systematic : list of ndarray of shape (n_rows,), optional
        Further variance that is none: errors that no number of rows averages out.
    """

    targets: list[FloatArray]
    terms: list[FloatArray]
    slope_variance: list[FloatArray]
    floor: FloatArray
    systematic: list[FloatArray] | None = None


class Truncation(NamedTuple):
    """The error of a solver that no step is free of.

    Attributes
    ----------
    own : float
        Over a step between observations.
    residual : float
        What is to be explained: the observed slope minus the tendency.
    doubt : float
        How far the tendency itself is in doubt: its extrapolation from tiny steps.
    rate : float
        How fast the tiny steps converge; see :meth:`Solver.extrapolation`.
    """

    own: float
    residual: float
    doubt: float
    rate: float


class IncrementSource(Protocol):
    """Bursts of states against a solver, whatever the states are."""

    bursts: Bursts
    is_clean: bool
    noise_variance: FloatArray  # of the observations, per component

    def rows(self) -> Increments:
        """Return residuals and terms."""
        ...

    def state_error(self, coefficients: FloatArray) -> list[FloatArray]:
        """Return the variance that errors of the states cause in the rows, per component."""
        ...

    def truncation(self) -> Truncation:
        """Return what is known of the solver's own error, against the residual."""
        ...


def _clean_floor(residual: FloatArray, slopes: FloatArray, rates: FloatArray) -> float:
    """Return the error of residuals of clean data.

    Of the quadrature it is estimated by the ratio of successive orders: how far the states
    within are from the line between the ends, squared, over the tendency (of one frequency
    Simpson's rule is off by 1/45 of that, the three-eighths rule by 1/80). Two states show
    only how fast the tendency changes; one that goes on like that is off by
    ``(h f')^2 / (12 f)``.

    Parameters
    ----------
    residual, slopes : ndarray
    rates : ndarray of shape (m, ...)
        Tendency at every state of the bursts: of the solver, for pairs with the error.
    """
    quadrature = 0.0
    if len(rates) == 2:
        quadrature = float(np.mean((rates[1] - rates[0]) ** 2)) / (12.0 * _rms([rates]))
    if len(rates) > 2:
        middle = rates[1:-1].mean(axis=0) - 0.5 * (rates[0] + rates[-1])
        quadrature = _CURVED * float(np.mean(middle**2)) / _rms([rates])
    return float(
        np.sqrt(
            (_FLOOR * _rms([residual])) ** 2 + (_ROUNDING * _rms([slopes])) ** 2 + quadrature**2
        )
    )


def _whole(
    rates: FloatArray, residual: FloatArray, mean: FloatArray, terms: Sequence[FloatArray]
) -> FloatArray:
    """Add to the solver's tendency what all terms together say is missing; for pairs only."""
    if len(rates) > 2:
        return rates
    p = mean.shape[-1]
    rough = np.linalg.lstsq(mean.reshape(-1, p), residual.ravel(), rcond=1e-10)[0]
    return np.asarray(rates + np.array([at @ rough for at in terms]))


def _rms(arrays: Sequence[FloatArray]) -> float:
    flat = np.concatenate([a.ravel() for a in arrays])
    return max(float(np.sqrt(np.mean(flat**2))), np.finfo(float).tiny)


class PointIncrements:
    """Bursts of flat states, of one system or of sites that share a law, against a solver.

    Tendency and terms are averaged over the burst: the weights of the quadrature are
    symmetric, so the noise of the average is independent of that of the slope.

    Parameters
    ----------
    bursts : Bursts
        States of shape (n_states,).
    solver : Solver
    terms : LocalTerms
        Candidates; every site is a row.
    noise_std : float, optional
        By default from second differences, which need three states in a burst.
    controls : ndarray of shape (n_bursts, m, n_controls), optional
        The terms are then over states and controls.
    """

    def __init__(
        self,
        bursts: Bursts,
        solver: Solver,
        terms: LocalTerms,
        noise_std: float | None,
        controls: FloatArray | None = None,
    ) -> None:
        self.bursts, self.solver, self.terms, self.controls = bursts, solver, terms, controls
        d = len(terms.components)
        sites = self._by_site(bursts.states)
        bound = [second_difference_variance(sites[..., j]) for j in range(d)]
        known = np.full(d, np.inf if noise_std is None else noise_std**2)
        noise = np.minimum(bound, known)
        self.noise_variance = np.where(np.isfinite(noise), noise, 0.0)
        size = sites.reshape(-1, d).var(axis=0)
        self.is_clean = bool((self.noise_variance <= _SMOOTH * size).all())

    def _by_site(self, states: FloatArray) -> FloatArray:
        return states.reshape(*states.shape[:-1], -1, len(self.terms.components))

    def rows(self) -> Increments:
        """Return residuals and terms, component by component."""
        bursts = self.bursts
        driven = self.controls
        parts = [
            (bursts.states[:, i], bursts.times[:, i], None if driven is None else driven[:, i])
            for i in range(bursts.size)
        ]
        rates = np.array([self.solver.tendency(x, t, bursts.dt, u) for x, t, u in parts])
        tendency = np.tensordot(bursts.quadrature, rates, 1)
        at = [self.terms.evaluate(x, u) for x, _, u in parts]
        terms = np.tensordot(bursts.quadrature, np.array(at), 1)
        slopes, rates = self._by_site(bursts.slopes), self._by_site(rates)
        residual = slopes - self._by_site(tendency)
        noise = np.zeros(len(self.noise_variance))
        if not self.is_clean:
            noise = 2.0 * self.noise_variance / bursts.span**2
        floor = [
            _clean_floor(r, slopes[..., j], _whole(rates[..., j], r, terms, at))
            for j, r in enumerate(np.moveaxis(residual, -1, 0))
        ]
        return Increments(
            list(np.moveaxis(residual, -1, 0)), [terms] * len(floor), list(noise[:, None]),
            np.array(floor),
        )  # fmt: skip

    def truncation(self) -> Truncation:
        """Return what is known of the solver's own error, against the residual."""
        times = self.bursts.times.mean(axis=1)
        controls = None if self.controls is None else self.controls.mean(axis=1)
        told = (self.bursts.means, times, self.bursts.dt, controls)
        own = _rms([self.solver.truncation(*told)])
        return Truncation(own, _rms(self.rows().targets), *self.solver.extrapolation(*told))

    def state_error(self, coefficients: FloatArray) -> list[FloatArray]:
        """Return nothing more: at the short spacing of bursts the slope's noise rules."""
        return [np.zeros(1)] * len(self.noise_variance)


class FieldIncrements:
    """Bursts of snapshots of a periodic field, against a solver.

    Parameters
    ----------
    bursts : Bursts
        States of shape ``(*grid, n_components)``.
    grid : Grid
        Of the snapshots.
    solver : Solver
    solver_grid : Grid
        On which the solver works: that of the snapshots, or a finer one of the same box.
    terms : FieldTerms
    noise_std : float, optional
        Of the observations; by default estimated.
    rng : numpy.random.Generator
    """

    def __init__(
        self,
        bursts: Bursts,
        grid: Grid,
        solver: Solver,
        solver_grid: Grid,
        terms: FieldTerms,
        noise_std: float | None,
        rng: np.random.Generator,
    ) -> None:
        self.bursts, self.grid, self.solver = bursts, grid, solver
        self.solver_grid, self.terms, self.rng = solver_grid, terms, rng
        n_components = bursts.states.shape[-1]
        self.spectra = [self._spectrum(j, noise_std) for j in range(n_components)]
        self.tests = [self._tests(s) for s in self.spectra]
        self.is_clean = all(self._is_clean(s) for s in self.spectra)
        self.noise_variance = np.array([s.noise_variance for s in self.spectra])
        if self.is_clean:
            weights = bursts.quadrature
            parts = [self._parts(bursts.states[:, i], i) for i in range(bursts.size)]
            self.rates = [part[0] for part in parts]
            self.mean_tendency = sum(w * r for w, r in zip(weights, self.rates, strict=True))
            self.terms_at = [[part[1][j] for part in parts] for j in range(n_components)]
            self.mean_terms = [
                sum(w * terms for w, terms in zip(weights, at, strict=True)) for at in self.terms_at
            ]
        else:
            self.filtered = BurstFilter(bursts, grid, self.spectra)
            self.states = self.filtered.states
            self.mean_tendency, self.mean_terms = self._averaged()

    def _spectrum(self, component: int, noise_std: float | None) -> Spectrum:
        states = self.bursts.states[..., component]
        variance = second_difference_variance(states) if noise_std is None else noise_std**2
        return Spectrum.estimate(self.grid, states.reshape(-1, *self.grid.shape), variance)

    def _tests(self, spectrum: Spectrum) -> Any:
        """Return what the rows of a component are integrated against."""
        return FourierTests(self.grid, spectrum.tested())

    @staticmethod
    def _is_clean(spectrum: Spectrum) -> bool:
        """Whether states need no filter."""
        return spectrum.is_clean

    def _averaged(self) -> tuple[Any, list[FloatArray]]:
        """Return tendency and terms of noisy bursts, averaged over each."""
        slopes, bursts = self.filtered.slopes, self.bursts
        if slopes is None:
            return self._parts(self.states, None)
        w = bursts.quadrature
        parts = [self._parts(self.states + tau * slopes, i) for i, tau in enumerate(bursts.offsets)]
        tendency = np.tensordot(w, [rate for rate, _ in parts], 1)
        at = zip(*[values for _, values in parts], strict=True)
        return tendency, [np.tensordot(w, values, 1) for values in at]

    def _parts(self, states: FloatArray, position: int | None) -> tuple[Any, list[FloatArray]]:
        """Return the solver's tendency and all terms at states, projected, per component."""
        times = self.bursts.times
        t = times.mean(axis=1) if position is None else times[:, position]
        return self.tendency(states, t), self._projected(self.terms, states)

    def _projected(self, terms: FieldTerms, states: FloatArray) -> list[FloatArray]:
        """Return terms at states on all test functions, per component."""
        grid, fine = self._library_grid(states)
        return [terms.project(grid, fine, tests) for tests in self.tests]

    def _library_grid(self, states: FloatArray) -> tuple[Grid, FloatArray]:
        """Return states on a grid fine enough for the products of the library."""
        m = self.bursts.size
        reach = max(self.grid.radius[s.gain(m) > 0].max() for s in self.spectra)
        wanted = self.grid.resolving(float(reach), product_degree(self.terms.table))
        shape = tuple(max(w, n) for w, n in zip(wanted, self.grid.shape, strict=True))
        return self.grid.with_shape(shape), resampled(self.grid, states, shape)

    def tendency(self, states: FloatArray, times: FloatArray) -> FloatArray:
        """Return the solver's tendency on the solver's grid, shape ``(n, *grid, n_components)``."""
        fine = resampled(self.grid, states, self.solver_grid.shape)
        single = fine.shape[-1] == 1
        given = fine[..., 0] if single else fine
        found = self.solver.tendency(given, times, self.bursts.dt)
        return found[..., None] if single else found

    def rows(self) -> Increments:
        """Return residuals and terms in the modes that are tested."""
        slopes = self.bursts.slopes
        targets, variances, floor = [], [], []
        for j, (tests, spectrum) in enumerate(zip(self.tests, self.spectra, strict=True)):
            observed = tests.project(self.grid, slopes[..., j])
            modelled = tests.project(self.solver_grid, self.mean_tendency[..., j])
            targets.append(observed - modelled)
            noise = 0.0 if self.is_clean else 2.0 * spectrum.noise / self.bursts.span**2
            variances.append(np.full(tests.n_rows, noise))
            level = 0.0
            if self.is_clean:
                rates = tests.project(self.solver_grid, np.array([r[..., j] for r in self.rates]))
                rates = _whole(rates, targets[-1], self.mean_terms[j], self.terms_at[j])
                level = _clean_floor(targets[-1], observed, rates)
            floor.append(level)
        return Increments(targets, self.mean_terms, variances, np.array(floor))

    def truncation(self) -> Truncation:
        """Return what is known of the solver's own error, against the residual."""
        states = self.bursts.means if self.is_clean else self.states
        fine = resampled(self.grid, states[:8], self.solver_grid.shape)
        given = fine[..., 0] if fine.shape[-1] == 1 else fine
        times = self.bursts.times[: len(given)].mean(axis=1)
        own = _rms([self.solver.truncation(given, times, self.bursts.dt)])
        # a row is a mean square per wave: the sum over waves is that of the field
        rows = [np.sqrt(t.shape[1]) * t for t in self.rows().targets]
        doubt = self.solver.extrapolation(given, times, self.bursts.dt)
        return Truncation(own, _rms(rows), *doubt)

    def state_error(self, coefficients: FloatArray) -> list[FloatArray]:
        """Return the variance that errors of the states cause in the rows, per component.

        Parameters
        ----------
        coefficients : ndarray of shape (n_components, n_terms)
            Of the model error found so far: it amplifies the errors of states, too.

        Notes
        -----
        The posterior of the filtered states is sampled and pushed through the solver and
        the terms, so that nothing need be known of either.
        """
        chosen = np.arange(_DRAWS) % len(self.bursts)
        states, times = self.states[chosen], self.bursts.times[chosen].mean(axis=1)
        shaken = states + self._draw(_DRAWS)
        change = self.tendency(shaken, times) - self.tendency(states, times)
        effects = [t.project(self.solver_grid, change[..., j]) for j, t in enumerate(self.tests)]
        if coefficients.any():
            effects = self._with_terms(effects, states, shaken, coefficients)
        return [np.mean(effect**2, axis=0) for effect in effects]

    def _with_terms(
        self,
        effects: list[FloatArray],
        states: FloatArray,
        shaken: FloatArray,
        coefficients: FloatArray,
    ) -> list[FloatArray]:
        used = np.flatnonzero(coefficients.any(axis=0))
        terms = replace(self.terms, table=self.terms.table.select(used.tolist()))
        after, before = self._projected(terms, shaken), self._projected(terms, states)
        return [
            effect + (b - a) @ row[used]
            for effect, a, b, row in zip(effects, before, after, coefficients, strict=True)
        ]

    def _draw(self, size: int) -> FloatArray:
        """Draw errors of the filtered states, shape ``(size, *grid, n_components)``."""
        white = self.rng.standard_normal((size, *self.grid.shape, len(self.spectra)))
        out = [
            self.grid.from_modes(
                self.grid.to_modes(white[..., j]) * np.sqrt(posterior * self.grid.size)
            )
            for j, posterior in enumerate(self.filtered.posterior)
        ]
        return np.stack(out, axis=-1)


def resampled(grid: Grid, states: FloatArray, shape: Sequence[int]) -> FloatArray:
    """Interpolate states of shape (n, *grid, n_components) to a grid of another shape."""
    if tuple(shape) == grid.shape:
        return states
    parts = [grid.resampled(states[..., j], shape) for j in range(states.shape[-1])]
    return np.stack(parts, axis=-1)


def fit_increments(
    source: IncrementSource,
    regressor: SparseRegressor,
    *,
    term_names: Sequence[str],
    target_names: Sequence[str],
) -> tuple[Estimate, list[tuple[Estimate, SufficientStatistics]]]:
    """Regress residuals on terms, each row by the inverse of its variance.

    Parameters
    ----------
    source : IncrementSource
    regressor : SparseRegressor
    term_names, target_names : sequence of str

    Returns
    -------
    estimate : Estimate
    parts : list of (Estimate, SufficientStatistics)
        The same target by target, with what it was made from: their rows differ.

    Notes
    -----
    The variance of a row is that of the slope plus what the error of the state does to the
    tendency and to the error found so far, so the fit is repeated with the weights that
    its answer implies.
    """
    rows = source.rows()
    n_terms = rows.terms[0].shape[2]
    coefficients = np.zeros((len(rows.targets), n_terms))
    for _ in range(1 if source.is_clean else _ROUNDS):
        extra = None if source.is_clean else source.state_error(coefficients)
        found = []
        for j, name in enumerate(target_names):
            variance = None if extra is None else rows.slope_variance[j] + extra[j]
            if variance is not None and rows.systematic is not None:
                variance = variance + rows.systematic[j]
            found.append(_regress(rows, j, variance, regressor, term_names, name))
        estimate = _joined([f for f, _ in found])
        if np.array_equal(estimate.support, coefficients != 0) and coefficients.any():
            break
        coefficients = estimate.coefficients
    return estimate, found


def _regress(
    rows: Increments,
    component: int,
    variance: FloatArray | None,
    regressor: SparseRegressor,
    term_names: Sequence[str],
    target_name: str,
) -> tuple[Estimate, SufficientStatistics]:
    y, Theta = rows.targets[component], rows.terms[component]
    weights = np.ones(y.shape[1]) if variance is None else 1.0 / np.sqrt(variance)
    A = (Theta * weights[:, None]).reshape(-1, Theta.shape[2])
    b = (y * weights).reshape(-1, 1)
    source = ArrayRows(A, b)
    stats = source.statistics(regressor.n_blocks)
    level = rows.floor[component] * float(np.sqrt(np.mean(weights**2)))
    if rows.systematic is not None:
        level = float(np.hypot(level, np.sqrt(np.mean(rows.systematic[component] * weights**2))))
    if level:
        stats = replace(stats, floor=np.array([level]))
    found = identify(
        source, stats, regressor, term_names=term_names, target_names=[target_name], strict=False
    )
    return found, stats


def _joined(found: Sequence[Estimate]) -> Estimate:
    """Put the estimates of several targets into one."""
    if len(found) == 1:
        return found[0]
    return replace(
        found[0],
        coefficients=np.concatenate([f.coefficients for f in found]),
        support=np.concatenate([f.support for f in found]),
        covariance=block_diag(*[f.covariance for f in found]),
        noise_variance=np.concatenate([f.noise_variance for f in found]),
        n_iter=max(f.n_iter for f in found),
        path=(),
    )
