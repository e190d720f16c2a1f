"""DiscreteSINDy: from measurements to maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from discover.problems import Transition
from discover.regression import SparseRegressor
from discover.sindy.identification import Identification, Libraries
from discover.symbolic.model import Kind

__all__ = ["DiscreteSINDy"]


class DiscreteSINDy(Identification):
    """Identify sparse maps ``x[k+1] = f(x[k], u[k])`` from data.

    Parameters
    ----------
    library, regressor
        As for :class:`SINDy`.
    kind : {"map", "increment"}, default="map"
        Whether the law gives the next state or the step to it.
    names, control_names, controls, include_time, refine
        As for :class:`SINDy`.

    Examples
    --------
    >>> import numpy as np
    >>> x = [0.3]
    >>> for _ in range(60):
    ...     x.append(3.7 * x[-1] * (1 - x[-1]))
    >>> DiscreteSINDy(names=["x"]).fit(np.array(x), 1.0).equations()
    ['x[k+1] =  3.70000...x - 3.70000...x**2']
    """

    def __init__(
        self,
        library: Libraries | None = None,
        regressor: SparseRegressor | None = None,
        *,
        kind: Literal["map", "increment"] = "map",
        names: Sequence[str] | None = None,
        control_names: Sequence[str] | None = None,
        controls: Sequence[str | int] | None = None,
        include_time: bool = False,
        refine: bool = False,
    ) -> None:
        self.library = library
        self.regressor = regressor
        self.kind = kind
        self.names = names
        self.control_names = control_names
        self.controls = controls
        self.include_time = include_time
        self.refine = refine

    @property
    def _kind(self) -> Kind:  # type: ignore[override]
        return self.kind

    def _form(self) -> Transition:
        return Transition(self.kind)
