"""Localisation: no observation reaches farther than a small ensemble can be believed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from discover.typing import FloatArray, IntArray

__all__ = ["TAPERS", "Localization", "Neighbors", "gaspari_cohn"]

Taper: TypeAlias = "Literal['gaspari_cohn', 'gaussian', 'exponential', 'cubic', 'step']"

#: Half the support of Gaspari and Cohn's function, in radii: then it is about exp(-1/2) at 1.
GASPARI_COHN_SCALE = 1.82


def gaspari_cohn(r: FloatArray) -> FloatArray:
    """Return the fifth-order compactly supported correlation function.

    Parameters
    ----------
    r : ndarray
        Distances over half the support: the function is 0 from ``r = 2`` on.

    References
    ----------
    G. Gaspari, S. E. Cohn, "Construction of correlation functions in two and three
    dimensions", Q. J. R. Meteorol. Soc. 125 (1999) 723-757, equation (4.10).
    """
    r = np.abs(np.asarray(r, dtype=np.float64))
    inner = 1.0 + r**2 * (-5 / 3 + r * (5 / 8 + r * (1 / 2 - r / 4)))
    with np.errstate(divide="ignore"):
        outer = 4.0 + r * (-5.0 + r * (5 / 3 + r * (5 / 8 + r * (-1 / 2 + r / 12)))) - 2 / 3 / r
    return np.where(r <= 1, inner, np.where(r < 2, np.maximum(outer, 0.0), 0.0))


#: Name -> the weight as a function of distance over radius, and where it ends.
TAPERS: dict[str, tuple[Callable[[FloatArray], FloatArray], float]] = {
    "gaspari_cohn": (lambda r: gaspari_cohn(r / GASPARI_COHN_SCALE), 2 * GASPARI_COHN_SCALE),
    "gaussian": (lambda r: np.exp(-0.5 * r**2), np.inf),
    "exponential": (lambda r: np.exp(-0.5 * r), np.inf),
    "cubic": (lambda r: np.clip(1.0 - (r / 1.8676) ** 3, 0.0, None) ** 3, 1.8676),
    "step": (lambda r: np.where(r <= 1.0, 1.0, 0.0), 1.0),
}


@dataclass(frozen=True, eq=False)
class Neighbors:
    """Pairs of places within reach of each other, in rows.

    Parameters
    ----------
    starts : ndarray of int, shape (n_rows + 1,)
    columns : ndarray of int, shape (n_pairs,)
        Increasing in each row.
    weights : ndarray of shape (n_pairs,)
    """

    starts: IntArray
    columns: IntArray
    weights: FloatArray


@dataclass(frozen=True, eq=False)
class Localization:
    """Where states and observations are, and how influence fades with distance.

    Parameters
    ----------
    radius : float
        In the units of the coordinates. Every taper but ``"step"`` is about exp(-1/2) =
        0.61 there, so radii of different tapers compare; infinite: no localisation.
    coordinates : array-like of shape (n_states,) or (n_states, n_dimensions)
        Where the states are. States at the same place are analysed together.
    observed_at : array-like of shape (n_obs,) or (n_obs, n_dimensions), optional
        Where the observations are; by default those of the observed states, when the
        observations are states, in the order of `indices` of the analysis.
    periods : float or sequence of float, optional
        Lengths of the periodic axes; None or 0 for an open axis.
    taper : str or callable, default="gaspari_cohn"
        ``"gaspari_cohn"``, ``"gaussian"``, ``"exponential"``, ``"cubic"``, ``"step"``, or a
        function of distance over radius.
    cutoff : float, default=1e-3
        Smaller weights are taken as zero.

    Notes
    -----
    Gaspari and Cohn's function ends at 3.64 radii: half its support is 1.82 radii, the
    convention of the published LETKF radii that :mod:`discover.assimilation.twins` holds.
    Papers that call half the support the radius give numbers 1.82 times as large.

    Examples
    --------
    >>> ring = Localization.on_grid((40,), radius=4.0)
    >>> ring.between(ring.coordinates[:1], ring.coordinates[:8]).weights.round(2)
    array([1.  , 0.97, 0.89, 0.77, 0.63, 0.49, 0.35, 0.24])
    """

    radius: float
    coordinates: FloatArray
    observed_at: FloatArray | None = None
    periods: float | Sequence[float | None] | None = None
    taper: Taper | Callable[[FloatArray], FloatArray] = "gaspari_cohn"
    cutoff: float = 1e-3
    _kept: dict[Any, Any] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.radius > 0 or not 0 < self.cutoff < 1:
            raise ValueError(
                "Localization: radius must be positive and cutoff in (0, 1); got "
                f"{self.radius} and {self.cutoff}."
            )
        if isinstance(self.taper, str) and self.taper not in TAPERS:
            raise ValueError(
                f"Localization: taper must be one of {', '.join(TAPERS)} or a function; "
                f"got {self.taper!r}."
            )
        put = object.__setattr__
        put(self, "coordinates", self._places(self.coordinates, "coordinates"))
        if self.observed_at is not None:
            put(self, "observed_at", self._places(self.observed_at, "observed_at"))
        self._boxes()

    @classmethod
    def on_grid(
        cls,
        shape: Sequence[int],
        radius: float,
        *,
        spacing: float | Sequence[float] = 1.0,
        periodic: bool | Sequence[bool] = True,
        n_components: int = 1,
        **options: Any,
    ) -> Localization:
        """Return the localisation of fields on a rectangular grid in any dimension.

        Parameters
        ----------
        shape : sequence of int
            Points along each axis; states are in C order.
        radius : float
        spacing : float or sequence of float, default=1.0
        periodic : bool or sequence of bool, default=True
        n_components : int, default=1
            Fields, one after the other in the state.
        **options
            ``observed_at``, ``taper``, ``cutoff``.
        """
        steps = np.broadcast_to(np.asarray(spacing, dtype=np.float64), (len(shape),))
        axes = [h * np.arange(n) for n, h in zip(shape, steps, strict=True)]
        points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(shape))
        round_ = np.broadcast_to(np.asarray(periodic), (len(shape),))
        periods = [float(n * h) if p else 0.0 for n, h, p in zip(shape, steps, round_, strict=True)]
        return cls(radius, np.tile(points, (n_components, 1)), periods=periods, **options)

    def _places(self, value: ArrayLike, name: str) -> FloatArray:
        places = np.array(value, dtype=np.float64)
        places = places[:, None] if places.ndim == 1 else places
        if places.ndim != 2 or not np.isfinite(places).all():
            raise ValueError(
                f"Localization: {name} must be finite, of shape (n,) or (n, n_dimensions); "
                f"got {places.shape}."
            )
        return places

    def _boxes(self) -> FloatArray:
        """Return the period of every axis, 0 for an open one."""
        d = self.coordinates.shape[1]
        one = self.periods is None or isinstance(self.periods, int | float | np.number)
        values: Any = [self.periods] * d if one else self.periods
        boxes = np.array([0.0 if v is None else float(v) for v in values])
        if len(boxes) != d or not (boxes >= 0).all():
            raise ValueError(
                f"Localization: periods must be positive lengths, one for each of {d} axes; "
                f"got {self.periods}."
            )
        return boxes

    def weigh(self, distances: FloatArray) -> FloatArray:
        """Return the taper at given distances."""
        if not np.isfinite(self.radius):
            return np.ones_like(distances)
        function = TAPERS[self.taper][0] if isinstance(self.taper, str) else self.taper
        weights = np.asarray(function(distances / self.radius), dtype=np.float64)
        return np.where(weights < self.cutoff, 0.0, weights)

    def _reach(self) -> float:
        """Return the distance beyond which weights are below the cutoff."""
        if not np.isfinite(self.radius):
            return np.inf
        if isinstance(self.taper, str):
            ends = {"gaussian": np.sqrt(-2 * np.log(self.cutoff)),
                    "exponential": -2 * np.log(self.cutoff)}  # fmt: skip
            return float(self.radius * ends.get(self.taper, TAPERS[self.taper][1]))
        r = np.linspace(0.0, 20.0, 4001)
        alive = np.flatnonzero(np.asarray(self.taper(r)) >= self.cutoff)
        return float(self.radius * r[min(alive[-1] + 1, len(r) - 1)]) if len(alive) else 0.0

    def between(self, rows: FloatArray, columns: FloatArray) -> Neighbors:
        """Return the pairs of places with a weight that counts."""
        if not np.isfinite(self._reach()):
            n, m = len(rows), len(columns)
            return Neighbors(np.arange(n + 1) * m, np.tile(np.arange(m), n), np.ones(n * m))
        from scipy.spatial import cKDTree

        boxes = self._boxes()
        folded = [np.where(boxes > 0, np.mod(p, np.where(boxes > 0, boxes, 1.0)), p)
                  for p in (rows, columns)]  # fmt: skip
        trees = [cKDTree(points, boxsize=boxes) for points in folded]
        pairs = trees[0].sparse_distance_matrix(
            trees[1], self._reach() * (1 + 1e-12), output_type="ndarray"
        )
        weights = self.weigh(pairs["v"])
        pairs, weights = pairs[weights > 0], weights[weights > 0]
        order = np.lexsort((pairs["j"], pairs["i"]))
        starts = np.searchsorted(pairs["i"][order], np.arange(len(rows) + 1))
        return Neighbors(starts, pairs["j"][order].astype(np.int64), weights[order])

    def groups(self) -> tuple[IntArray, IntArray, FloatArray]:
        """Return the states by place: delimiters, states, and the places."""
        if "groups" not in self._kept:
            places, which = np.unique(self.coordinates, axis=0, return_inverse=True)
            order = np.argsort(which.ravel(), kind="stable")
            starts = np.searchsorted(which.ravel()[order], np.arange(len(places) + 1))
            self._kept["groups"] = starts, order, places
        found: tuple[IntArray, IntArray, FloatArray] = self._kept["groups"]
        return found

    def neighbors_of(self, what: Literal["groups", "states", "observations"],
                     observed_at: FloatArray) -> Neighbors:  # fmt: skip
        """Return who is near each group of states or, by observation, what it reaches.

        Parameters
        ----------
        what : {"groups", "states", "observations"}
            ``"groups"``: rows are groups, columns observations. ``"states"`` and
            ``"observations"``: rows are observations, columns states or observations.
        observed_at : ndarray of shape (n_observed, n_dimensions)
        """
        key = what.encode() + observed_at.tobytes()
        if key not in self._kept:
            if len(self._kept) > 16:  # masks that change every time need not be kept
                self._kept.clear()
            if what == "groups":
                found = self.between(self.groups()[2], observed_at)
            else:
                there = self.coordinates if what == "states" else observed_at
                found = self.between(observed_at, there)
            self._kept[key] = found
        result: Neighbors = self._kept[key]
        return result
