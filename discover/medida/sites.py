"""What a solver of a ring of sites gets wrong: one law that holds at every site."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from discover.assimilation import EnsembleKalmanFilter
from discover.dynamics.site_law import flattened
from discover.dynamics.solvers import Solver
from discover.medida.answer import ErrorFit
from discover.medida.states import StateQuestion
from discover.observations import Trajectory
from discover.observations.field import Field
from discover.observations.grid import Grid
from discover.problems.field_rows import FieldTerms
from discover.problems.local_rows import SiteTerms
from discover.regression import SparseRegressor
from discover.typing import FloatArray

__all__ = ["SiteQuestion"]


@dataclass(frozen=True, eq=False)
class SiteQuestion:
    """Which terms, the same at every site, added to a solver, explain snapshots of sites.

    Parameters
    ----------
    solver : Solver
    grid : Grid
        Of sites.
    terms : FieldTerms
        Candidates.
    regressor : SparseRegressor
    noise_std : float, optional
    filter : EnsembleKalmanFilter, optional
        For the plain cycle instead of the joint smoother.
    rng : numpy.random.Generator

    Notes
    -----
    Nothing connects the values of neighbouring sites as the smoothness of a field does: there
    is no spectrum to filter by, and products are formed site by site. A snapshot is one
    state of ordinary differential equations whose components share their coefficients.
    """

    solver: Solver
    grid: Grid
    terms: FieldTerms
    regressor: SparseRegressor
    noise_std: float | None
    filter: EnsembleKalmanFilter | None
    rng: np.random.Generator

    def ask(self, fields: Sequence[Field]) -> ErrorFit:
        """Return the error that records of one ring show."""
        n = len(self.terms.components)
        shape = self.grid.shape if n == 1 else (*self.grid.shape, n)
        given = self.solver
        flat = Solver(
            flattened(given.dynamics, shape), given.history, given.vectorized, given.fixed_step
        )
        found = StateQuestion(
            flat, SiteTerms(self.terms, self.grid), self.regressor, self.noise_std, self.filter,
            self.rng,
        ).ask([_as_trajectory(field) for field in fields])  # fmt: skip
        record = found.record
        if record is not None:
            start = None if record.start is None else record.start.reshape(shape)
            record = record._replace(states=record.states.reshape(-1, *shape), start=start)
        return replace(found, last=found.last.reshape(shape), record=record)


def _as_trajectory(field: Field) -> Trajectory:
    """Return snapshots as states, site by site: ``X_0, Y_0, X_1, ...``."""
    flat: FloatArray = field.values.reshape(len(field), -1)
    sites: Any = np.ndindex(*field.grid.shape)
    names = [f"{n}_{'_'.join(map(str, site))}" for site in sites for n in field.names]
    return Trajectory(flat, field.times, state_names=tuple(names))
