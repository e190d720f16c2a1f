"""Harvest planning: how much of a stock to leave, from few observations of its growth."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial, reduce
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, clone

from discover.exceptions import DataError, NotIdentifiableError
from discover.libraries import FeatureLibrary, PolynomialLibrary, SymbolicLibrary
from discover.libraries.termtable import TermTable, TermTableBuilder
from discover.regression import STLSQ
from discover.symbolic import SymbolicModel
from discover.typing import FloatArray

__all__ = ["HarvestPlanner"]

_NAME = "stock"
_BOUND = 2.0  # a stock that is left alone shrinks above this many times the largest seen
_ATTEMPTS = 50  # draws per draw that is kept
_LARGEST_STEP = 20.0  # of the log of a stock
_NODES = 9  # of the quadrature over good and bad years


class HarvestPlanner(BaseEstimator):
    r"""Choose the stock to leave each year, with what is not known of its growth.

    Parameters
    ----------
    library : FeatureLibrary, optional
        Candidate terms of the yearly growth of the log of the stock, over the input
        ``stock``; by default a quadratic, which allows for a threshold below which the
        stock shrinks.
    start : float, optional
        Stock at the beginning of the plan, in units of the stocks; by default the last one
        observed.
    n_steps : int, default=100
        Years to plan for.
    n_draws : int, default=400
        Laws that the observations allow, drawn from their posterior.
    n_levels : int, default=121
        Stocks to leave that are compared, from nothing to 1.2 times the largest observed.
    collapse : float, default=0.1
        A stock below this share of the largest observed counts as collapsed.
    random_state : int, default=0

    Attributes
    ----------
    growth_ : SymbolicModel
        Kind "direct": expected ``log(stock[k+1] / left[k])`` as a function of what was left,
        with its covariance.
    model_ : SymbolicModel
        Kind "map": the median stock a year later.
    noise_ : float
        Standard deviation of the log of the stock from year to year.
    escapement_ : float
        Stock to leave, in units of the stocks.
    yield_ : float
        Harvest of all the years that is expected of it.
    risk_ : float
        Probability that the stock collapses under it.
    levels_, yields_, risks_ : ndarray of shape (n_levels,)
        The same for everything that was compared.
    escapements_ : ndarray of shape (n_steps,)
        Stock to leave in each year if nothing counts after the last: then nothing is left.
    policy_ : SymbolicModel
        Kind "direct": the harvest ``max(0, stock - escapement)``.

    Notes
    -----
    The stock grows by a law with errors that multiply it, :math:`X_{k+1} = S_k
    e^{f(S_k) + \sigma \varepsilon}`, where :math:`S_k` is left by the harvest of :math:`X_k`.
    With a flat prior, coefficients given the noise are normal around least squares and the
    variance is inverse chi-squared (A. Gelman et al., "Bayesian Data Analysis", 3rd ed., section
    14.2); laws under which a stock that is left alone could grow without limit are refused.
    Leaving a constant stock is the best harvest of a known law (W. J. Reed, J. Environ. Econ.
    Manage. 6 (1979) 350-363); here the one is taken whose expected sum of harvests is greatest
    over all laws drawn, each of which holds for all the years. The ignorance of C. Boettiger,
    M. Mangel, S. B. Munch, Proc. R. Soc. B 282 (2015) 20141631, is drawn anew every year.

    The escapements of a plan that ends are those of dynamic programming: what a year pays is
    ``x - s`` for a stock ``x`` of which ``s`` is left, so that one function of ``s`` decides for
    all stocks (Reed). Every law has its own; the stock that is left is the same for all, as
    nobody knows which holds.
    """

    def __init__(
        self,
        library: FeatureLibrary | None = None,
        *,
        start: float | None = None,
        n_steps: int = 100,
        n_draws: int = 400,
        n_levels: int = 121,
        collapse: float = 0.1,
        random_state: int = 0,
    ) -> None:
        self.library = library
        self.start = start
        self.n_steps = n_steps
        self.n_draws = n_draws
        self.n_levels = n_levels
        self.collapse = collapse
        self.random_state = random_state

    def fit(self, stocks: ArrayLike | Sequence[ArrayLike], harvests: Any = None) -> Self:
        """Learn the growth, and plan.

        Parameters
        ----------
        stocks : array-like of shape (n_years,), or a list of such runs
            Stocks before the harvest, in any unit of biomass, year after year.
        harvests : the same, optional
            What was taken of each; nothing by default.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If there are no steps, draws or levels.
        DataError
            If stocks are not positive and finite, harvests are negative or take all there is,
            or there are too few years for the terms.
        NotIdentifiableError
            If the observations do not say that growth has a limit.
        """
        for name, least in (("n_steps", 1), ("n_draws", 1), ("n_levels", 2)):
            if not getattr(self, name) >= least:
                raise ValueError(
                    f"HarvestPlanner: {name} must be {least} or more; got {getattr(self, name)!r}."
                )
        left, after, last = _years(stocks, harvests)
        rng = np.random.default_rng(self.random_state)
        library = PolynomialLibrary(2) if self.library is None else clone(self.library)
        table = library.build((_NAME,))
        self._regress(table, left, np.log(after / left))
        largest = float(max(left.max(), after.max()))
        laws, noises = self._draw(table, largest, len(left), rng)
        self.levels_ = np.linspace(0.0, 1.2 * largest, self.n_levels)
        start = last if self.start is None else float(self.start)
        totals, ends = self._play(table, laws, noises, start, largest, rng)
        self.yields_ = totals.mean(axis=1)
        self.risks_ = (ends < self.collapse * largest).mean(axis=1)
        best = int(np.argmax(self.yields_))
        self.escapement_ = float(self.levels_[best])
        self.yield_, self.risk_ = float(self.yields_[best]), float(self.risks_[best])
        self.policy_ = _direct(SymbolicLibrary(f"max(0, {_NAME} - {self.escapement_!r})"))
        self.escapements_ = self._schedule(table, laws, noises)
        return self

    def predict(self, stocks: ArrayLike, year: int | None = None) -> FloatArray:
        """Return the harvests of stocks, of the same shape.

        Parameters
        ----------
        stocks : array-like
        year : int, optional
            Of the plan, from 0, if it ends after `n_steps` years; by default it goes on.

        Raises
        ------
        ValueError
            If the plan has no such year.
        """
        if year is None:
            level = self.escapement_
        elif 0 <= year < self.n_steps:
            level = float(self.escapements_[year])
        else:
            raise ValueError(
                f"HarvestPlanner: year must be from 0 to {self.n_steps - 1}, the years of the "
                f"plan (n_steps={self.n_steps}); got {year!r}."
            )
        return np.maximum(0.0, np.asarray(stocks, dtype=np.float64) - level)

    def _regress(self, table: TermTable, left: FloatArray, growth: FloatArray) -> None:
        if len(left) < table.n_terms + 2:
            raise DataError(
                f"HarvestPlanner: stocks must have at least {table.n_terms + 2} years with a year "
                f"after them, for {table.n_terms} terms; got {len(left)}."
            )
        found = STLSQ(0.0).fit(table.evaluate(left[:, None]), growth)
        self.noise_ = float(np.sqrt(np.ravel(found.noise_variance_)[0]))
        self.growth_ = SymbolicModel(
            table, np.atleast_2d(found.coef_), (_NAME,), target_names=("log_growth",),
            kind="direct", support=np.atleast_2d(found.support_), covariance=found.covariance_,
        )  # fmt: skip
        self.model_ = _map_of(self.growth_)

    def _draw(
        self, table: TermTable, largest: float, n_rows: int, rng: np.random.Generator
    ) -> tuple[FloatArray, FloatArray]:
        """Return laws (n_draws, n_terms) that limit the stock, and the noise of each."""
        free = n_rows - table.n_terms
        scale = np.sqrt(free / rng.chisquare(free, self.n_draws * _ATTEMPTS))
        root = np.linalg.cholesky(np.asarray(self.growth_.covariance))
        apart = rng.standard_normal((len(scale), len(root))) @ root.T
        laws = np.repeat(self.growth_.coefficients, len(scale), axis=0)
        laws[:, np.asarray(self.growth_.support)[0]] += scale[:, None] * apart
        above = table.evaluate(largest * np.array([[_BOUND], [2.0 * _BOUND]]))
        kept = np.flatnonzero((laws @ above.T < 0.0).all(axis=1))[: self.n_draws]
        if len(kept) < self.n_draws:
            raise NotIdentifiableError(
                f"HarvestPlanner: in all but {len(kept)} of {len(laws)} laws that stocks allow, "
                f"the stock grows beyond {_BOUND:g} times the largest observed; observe it near "
                f"its limit, or give a library with fewer terms."
            )
        return laws[kept], self.noise_ * scale[kept]

    def _play(
        self,
        table: TermTable,
        laws: FloatArray,
        noises: FloatArray,
        start: float,
        largest: float,
        rng: np.random.Generator,
    ) -> tuple[FloatArray, FloatArray]:
        """Return sums of harvests and last stocks, shape (n_levels, n_draws) each."""
        stock = np.full((self.n_levels, len(laws)), start)
        total = np.zeros_like(stock)
        for _ in range(self.n_steps):
            harvest = np.maximum(0.0, stock - self.levels_[:, None])
            total += harvest
            left = stock - harvest
            theta = table.evaluate(np.maximum(left, 1e-9 * largest).reshape(-1, 1))
            growth = np.einsum("lkp,kp->lk", theta.reshape(*left.shape, -1), laws)
            growth += noises * rng.standard_normal(len(laws))
            stock = left * np.exp(np.clip(growth, -_LARGEST_STEP, _LARGEST_STEP))
            stock = np.minimum(stock, 2.0 * _BOUND * largest)
        return total, stock

    def _schedule(self, table: TermTable, laws: FloatArray, noises: FloatArray) -> FloatArray:
        """Return the stock to leave in every year of a plan that ends, the last year first.

        ``later[l, i]`` is what law `l` pays from a year on beyond the stock itself, if level
        `i` is all there is.
        """
        levels = self.levels_
        nodes, weights = np.polynomial.hermite_e.hermegauss(_NODES)
        theta = table.evaluate(np.maximum(levels, 1e-9 * levels[-1])[:, None])
        growth = (laws @ theta.T)[:, :, None] + noises[:, None, None] * nodes
        after = levels[:, None] * np.exp(np.clip(growth, -_LARGEST_STEP, _LARGEST_STEP))
        after = np.minimum(after, 2.0 * _BOUND / 1.2 * levels[-1])
        weights = weights / weights.sum()
        surplus = after @ weights - levels
        place = np.minimum(after / (levels[1] - levels[0]), len(levels) - 1.0)
        low = np.minimum(place.astype(np.int64), len(levels) - 2)
        share, law = place - low, np.arange(len(laws))[:, None, None]
        later, chosen = np.zeros_like(surplus), np.zeros(self.n_steps)
        for year in reversed(range(self.n_steps - 1)):
            expected = (1.0 - share) * later[law, low] + share * later[law, low + 1]
            later = surplus + expected @ weights
            best = int(np.argmax(later.mean(axis=0)))
            chosen[year] = levels[best]
            later[:, best:] = later[:, best : best + 1]  # what is above is taken
        return chosen


def _years(stocks: Any, harvests: Any) -> tuple[FloatArray, FloatArray, float]:
    """Return what was left, what became of it, and the last stock, over all runs."""
    runs = _runs("stocks", stocks)
    taken = (
        [np.zeros(len(run)) for run in runs] if harvests is None else _runs("harvests", harvests)
    )
    if [len(a) for a in runs] != [len(b) for b in taken]:
        raise DataError(
            f"HarvestPlanner: harvests must be as long as stocks; got runs of "
            f"{[len(b) for b in taken]} and {[len(a) for a in runs]} years."
        )
    left = np.concatenate([(a - b)[:-1] for a, b in zip(runs, taken, strict=True)])
    after = np.concatenate([run[1:] for run in runs])
    for name, values in (("stocks", after), ("stocks less harvests", left)):
        if not (np.isfinite(values) & (values > 0)).all():
            raise DataError(f"HarvestPlanner: {name} must be positive and finite.")
    if min(b.min() for b in taken) < 0:
        raise DataError("HarvestPlanner: harvests must not be negative.")
    return left, after, float(runs[-1][-1])


def _runs(name: str, given: Any) -> list[FloatArray]:
    runs = (
        given if isinstance(given, list | tuple) and len(given) and np.ndim(given[0]) else [given]
    )
    arrays = [np.asarray(run, dtype=np.float64) for run in runs]
    if any(a.ndim != 1 or len(a) < 2 for a in arrays):
        shapes = [a.shape for a in arrays]
        raise DataError(
            f"HarvestPlanner: {name} must have shape (n_years,) with two years or more, or be a "
            f"list of such runs; got {shapes}."
        )
    return arrays


def _direct(library: FeatureLibrary) -> SymbolicModel:
    table = library.build((_NAME,))
    return SymbolicModel(
        table, np.ones((1, 1)), (_NAME,), target_names=("harvest",), kind="direct"
    )  # fmt: skip


def _map_of(growth: SymbolicModel) -> SymbolicModel:
    """Return the map ``left * exp(growth)``."""
    builder = TermTableBuilder((_NAME,))
    slots = builder.copy(growth.table, growth.table.outputs.tolist())
    parts = [
        builder.mul(builder.constant(float(value)), slot)
        for slot, value in zip(slots, growth.coefficients[0], strict=True)
    ]
    total = reduce(partial(builder.binary, "add"), parts)
    table = builder.table([builder.mul(builder.input(_NAME), builder.unary("exp", total))])
    return SymbolicModel(table, np.ones((1, 1)), (_NAME,), kind="map", dt=1.0)
