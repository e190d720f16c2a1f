"""A solver that is a law of known terms: its terms are candidates, and it can be repaired."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from discover.dynamics.site_law import GridLaw
from discover.exceptions import DataError
from discover.libraries.termtable import TermTable, TermTableBuilder
from discover.medida.answer import ErrorFit
from discover.regression import SparseRegressor
from discover.symbolic import SymbolicModel
from discover.typing import FloatArray

__all__ = ["KnownLaw"]


@dataclass(frozen=True, eq=False)
class KnownLaw:
    """A guessed equation, over a table of its own terms and the candidates.

    Parameters
    ----------
    model : SymbolicModel
    table : TermTable
    coefficients : ndarray of shape (n_targets, n_terms)
        Of the guess; zero for terms that are only candidates.
    """

    model: SymbolicModel
    table: TermTable
    coefficients: FloatArray

    @classmethod
    def read(cls, dynamics: Any, table: TermTable) -> KnownLaw | None:
        """Return a solver as a law over candidates and its own terms; None for a black box.

        Parameters
        ----------
        dynamics : object
            The solver under test.
        table : TermTable
            Candidates.
        """
        model = dynamics.model if isinstance(dynamics, GridLaw) else dynamics
        if not isinstance(model, SymbolicModel) or model.kind not in ("direct", "continuous"):
            return None
        mine = model.pruned()
        inputs = list(dict.fromkeys([*table.inputs, *mine.table.inputs]))
        builder = TermTableBuilder(inputs)
        slots = [slot for t in (table, mine.table) for slot in builder.copy(t, t.outputs.tolist())]
        joined = builder.table(slots)
        known = np.zeros((len(mine.coefficients), joined.n_terms))
        for j, name in enumerate(mine.term_names):
            known[:, joined.names.index(name)] = mine.coefficients[:, j]
        return cls(model, joined, known)

    def check_states(self, states: Sequence[str], controls: Sequence[str]) -> None:
        """Refuse observations of other states and controls than those of the law."""
        mine = (tuple(self.model.state_names), tuple(self.model.control_names))
        if (
            self.model.time_name is not None
            or mine[0] != tuple(states)
            or mine[1] not in ((), tuple(controls))
        ):
            raise DataError(
                "ModelErrorDiscovery: dynamics must be a law of the observed states and controls "
                f"alone, in their order; got a law of {list(self.model.table.inputs)} and "
                f"observations of {[*states, *controls]}."
            )

    def repaired(
        self, found: ErrorFit, regressor: SparseRegressor, controls: Sequence[str] = ()
    ) -> SymbolicModel:
        """Return guess and error as one law.

        Parameters
        ----------
        found : ErrorFit
        regressor : SparseRegressor
        controls : sequence of str, default=()
            Names of the controls that were observed.

        Returns
        -------
        SymbolicModel
            Terms that were not corrected keep their coefficients and have no error.

        Notes
        -----
        A term of the guess that the error takes back is dropped if the same statistics,
        asked for the whole law, do not choose it: what is left of it is noise.
        """
        error = found.estimate
        taken_back = error.support & (self.coefficients != 0) & ~self._chosen(found, regressor)
        support = (error.support | (self.coefficients != 0)) & ~taken_back
        coefficients = np.where(support, self.coefficients + error.coefficients, 0.0)
        spread = np.zeros((support.size, support.size))
        places = np.flatnonzero(error.support)
        spread[np.ix_(places, places)] = error.covariance
        kept = np.flatnonzero(support)
        direct = self.model.kind == "direct"
        return SymbolicModel(
            self.table, coefficients, self.table.inputs if direct else self.model.state_names,
            controls, target_names=self.model.target_names, kind=self.model.kind, support=support,
            covariance=spread[np.ix_(kept, kept)], units=self.model.units,
        ).pruned()  # fmt: skip

    def _chosen(self, found: ErrorFit, regressor: SparseRegressor) -> Any:
        """Return which terms the data choose for the whole law, shape (n_targets, n_terms)."""
        known = self.coefficients.reshape(len(found.parts), 1, -1)
        chosen = [
            regressor.fit_statistics(stats.shifted(row), term_names=list(found.term_names)).support
            for (_, stats), row in zip(found.parts, known, strict=True)
        ]
        return np.concatenate(chosen).reshape(self.coefficients.shape)
