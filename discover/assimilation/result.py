"""Assimilation: what was found, and how well it fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from discover.assimilation.diagnostics import crps, rank_histogram, rank_of
from discover.typing import FloatArray, IntArray

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Assimilation", "Keep", "Recorder"]

Keep = Literal["moments", "ensembles"]


@dataclass(frozen=True, eq=False, repr=False)
class Assimilation:
    """States over time with their uncertainty, and the evidence for both.

    Parameters
    ----------
    times : ndarray of shape (n_times,)
    mean, spread : ndarray of shape (n_times, n_states)
        Mean and standard deviation of the analysis (of the smoother, where there is one).
    forecast_mean, forecast_spread : ndarray of shape (n_times, n_states)
        The same before the observations of that time were used.
    innovations : list of ndarray
        Observation minus mean prediction; NaN where nothing was observed.
    chi_squared : ndarray of shape (n_times,)
        ``d' (H P H' + R)^-1 d``; NaN where nothing was observed. About `n_observed` if
        forecast and observation errors are as assumed.
    n_observed : ndarray of int, shape (n_times,)
    state_names : tuple of str
    inflation : ndarray of shape (n_times,)
        What an adaptive inflation had learned; 1 for the others.
    n_members : int
    ensembles, forecasts : ndarray of shape (n_times, n_members, n_states), optional
        With ``keep="ensembles"``.
    rmse, forecast_rmse : ndarray of shape (n_times,), optional
        Against the truth, over the states it has.
    crps : ndarray of shape (n_times,), optional
        Of the analysis against the truth, mean over states.
    ranks : ndarray of int, shape (n_times, n_states), optional
        Members of the forecast below the truth.
    replaced : int
        Members that blew up and were replaced.
    message : str
        What went wrong; empty when nothing did.
    """

    times: FloatArray
    mean: FloatArray
    spread: FloatArray
    forecast_mean: FloatArray
    forecast_spread: FloatArray
    innovations: list[FloatArray]
    chi_squared: FloatArray
    n_observed: IntArray
    state_names: tuple[str, ...]
    inflation: FloatArray
    n_members: int
    ensembles: FloatArray | None = None
    forecasts: FloatArray | None = None
    rmse: FloatArray | None = None
    forecast_rmse: FloatArray | None = None
    crps: FloatArray | None = None
    ranks: IntArray | None = None
    replaced: int = 0
    message: str = ""

    def __getitem__(self, name: str) -> FloatArray:
        """Return the mean of one state over time."""
        if name not in self.state_names:
            raise KeyError(f"Assimilation: no state {name!r}; the states are {self.state_names}.")
        return self.mean[:, self.state_names.index(name)]

    def average(self, burn_in: int = 0) -> dict[str, float]:
        """Return time averages of the diagnostics, without the first analyses.

        Parameters
        ----------
        burn_in : int, default=0
            Analyses to leave out.

        Returns
        -------
        dict
            ``spread``, ``forecast_spread``, ``chi_squared`` (over the number of
            observations: 1 if all is as assumed), and with a truth ``rmse``,
            ``forecast_rmse`` and ``crps``.
        """
        rest = slice(burn_in, None)
        seen = self.n_observed[rest] > 0
        found = {
            "spread": float(np.sqrt((self.spread[rest] ** 2).mean(axis=1)).mean()),
            "forecast_spread": float(
                np.sqrt((self.forecast_spread[rest] ** 2).mean(axis=1)).mean()
            ),
            "chi_squared": float(
                self.chi_squared[rest][seen].sum() / max(1, self.n_observed[rest][seen].sum())
            ),
        }
        for name in ("rmse", "forecast_rmse", "crps"):
            value = getattr(self, name)
            if value is not None:
                found[name] = float(value[rest].mean())
        return found

    def rank_histogram(self, burn_in: int = 0) -> IntArray:
        """Return counts of the truth's ranks among the forecast members.

        Raises
        ------
        ValueError
            If no truth was given.
        """
        if self.ranks is None:
            raise ValueError("Assimilation: ranks need truth= in assimilate().")
        return rank_histogram(self.ranks[burn_in:], self.n_members)

    def to_xarray(self) -> xr.Dataset:
        """Return a dataset over ``time``, ``state`` and, if kept, ``member``."""
        import xarray as xr

        by_state = {name: (("time", "state"), getattr(self, name)) for name in
                    ("mean", "spread", "forecast_mean", "forecast_spread")}  # fmt: skip
        by_time = {name: ("time", getattr(self, name)) for name in
                   ("chi_squared", "n_observed", "inflation", "rmse", "forecast_rmse", "crps")
                   if getattr(self, name) is not None}  # fmt: skip
        kept: dict[str, Any] = {name: (("time", "member", "state"), getattr(self, name)) for name in
                ("ensembles", "forecasts") if getattr(self, name) is not None}  # fmt: skip
        if len({len(d) for d in self.innovations}) == 1:
            kept["innovations"] = (("time", "observation"), np.array(self.innovations))
        return xr.Dataset(
            by_state | by_time | kept,
            {"time": self.times, "state": list(self.state_names)},
            {"n_members": self.n_members, "message": self.message},
        )

    def plot(
        self, truth: Any = None, *, states: Sequence[str] | None = None, axes: Any = None
    ) -> Any:
        """Plot mean and spread over time; see :func:`discover.plotting.plot_assimilation`."""
        from discover.plotting import plot_assimilation

        return plot_assimilation(self, truth, states=states, axes=axes)

    def __repr__(self) -> str:
        averages = ", ".join(f"{k} {v:.4g}" for k, v in self.average().items())
        text = (
            f"Assimilation({len(self.times):,} analyses of {len(self.state_names):,} states, "
            f"{self.n_members} members: {averages})"
        )
        return f"{text}\n{self.message}" if self.message else text


@dataclass(eq=False)
class Recorder:
    """Collects an assimilation as it goes; its arrays are a checkpoint's."""

    times: FloatArray
    state_names: tuple[str, ...]
    n_members: int
    keep: Keep
    truth: FloatArray | None
    sizes: list[int]
    replaced: int = 0
    arrays: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        K, n, N = len(self.times), len(self.state_names), self.n_members
        for name in ("mean", "spread", "forecast_mean", "forecast_spread"):
            self.arrays[name] = np.full((K, n), np.nan)
        for name in ("chi_squared", "inflation"):
            self.arrays[name] = np.full(K, np.nan)
        self.arrays["n_observed"] = np.zeros(K, dtype=np.int64)
        self.arrays["innovations"] = np.full((K, max(self.sizes, default=0)), np.nan)
        if self.keep == "ensembles":
            for name in ("ensembles", "forecasts"):
                self.arrays[name] = np.full((K, N, n), np.nan)
        if self.truth is not None:
            for name in ("rmse", "forecast_rmse", "crps"):
                self.arrays[name] = np.full(K, np.nan)
            self.arrays["ranks"] = np.zeros((K, self.truth.shape[1]), dtype=np.int64)

    def forecast(self, k: int, E: FloatArray) -> None:
        """Keep the ensemble before the observations of time `k`."""
        self._moments(k, E, "forecast_", "forecasts")
        if self.truth is not None:
            m = self.truth.shape[1]
            self.arrays["ranks"][k] = rank_of(E[:, :m], self.truth[k])

    def analysis(self, k: int, E: FloatArray) -> None:
        """Keep the ensemble after the observations of time `k`."""
        self._moments(k, E, "", "ensembles")
        if self.truth is not None:
            m = self.truth.shape[1]
            self.arrays["crps"][k] = crps(E[:, :m], self.truth[k]).mean()

    def _moments(self, k: int, E: FloatArray, prefix: str, whole: str) -> None:
        N, mean = len(E), E.mean(axis=0)
        X = E - mean
        self.arrays[prefix + "mean"][k] = mean
        if N > 1:
            self.arrays[prefix + "spread"][k] = np.sqrt(np.einsum("ij,ij->j", X, X) / (N - 1))
        if self.keep == "ensembles":
            self.arrays[whole][k] = E
        if self.truth is not None:
            error = mean[: self.truth.shape[1]] - self.truth[k]
            self.arrays[prefix + "rmse"][k] = np.sqrt(error @ error / len(error))

    def gaussian(self, k: int, mean: FloatArray, variances: FloatArray, prefix: str) -> None:
        """Keep a mean and variances; `prefix` is ``"forecast_"`` or empty."""
        self.arrays[prefix + "mean"][k] = mean
        self.arrays[prefix + "spread"][k] = np.sqrt(variances)
        if self.truth is not None:
            error = mean[: self.truth.shape[1]] - self.truth[k]
            self.arrays[prefix + "rmse"][k] = np.sqrt(error @ error / len(error))

    def innovation(self, k: int, d: FloatArray, chi_squared: float, n_observed: int) -> None:
        """Keep what the observations of time `k` said."""
        self.arrays["innovations"][k, : len(d)] = d
        self.arrays["chi_squared"][k] = chi_squared
        self.arrays["n_observed"][k] = n_observed

    def result(self, message: str = "") -> Assimilation:
        """Return what was collected."""
        values = dict(self.arrays)
        table = values.pop("innovations")
        innovations = [row[:p] for row, p in zip(table, self.sizes, strict=True)]
        return Assimilation(
            times=self.times, innovations=innovations, state_names=self.state_names,
            n_members=self.n_members, replaced=self.replaced, message=message, **values,
        )  # fmt: skip
