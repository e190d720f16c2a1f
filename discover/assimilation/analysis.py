"""analyze: one assimilation step, with any scheme."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from discover.assimilation.covariance import Covariance
from discover.assimilation.localization import Localization
from discover.assimilation.schemes import SCHEMES
from discover.assimilation.updates import Departures, rotation
from discover.kernels import ensembles as kernel
from discover.typing import BoolArray, FloatArray

__all__ = ["LOCAL_SCHEMES", "SchemeName", "analyze", "analyze_locally", "depart"]

SchemeName = Literal["stochastic", "etkf", "denkf", "ensrf", "enkfn", "letkf"]
LOCAL_SCHEMES = ("letkf", "ensrf")


def analyze(
    E: ArrayLike,
    HE: ArrayLike,
    y: ArrayLike,
    R: ArrayLike | Covariance,
    *,
    scheme: SchemeName = "etkf",
    rng: np.random.Generator | None,
    localization: Localization | None = None,
    rotate: bool = False,
) -> FloatArray:
    """Correct an ensemble by one vector of observations.

    Parameters
    ----------
    E : array-like of shape (n_members, n_states)
        Forecast ensemble, in state units; one member per row.
    HE : array-like of shape (n_members, n_obs)
        The same members seen through the observation operator, in units of `y`.
    y : array-like of shape (n_obs,)
        Observations; NaN where nothing was observed.
    R : float, array-like of shape (n_obs,) or (n_obs, n_obs), or Covariance
        Observation-error covariance, units of `y` squared: one variance, variances, a
        matrix, or :meth:`Covariance.from_factor`. It is never made denser.
    scheme : str, default="etkf"
        ``"etkf"``: symmetric square root. ``"stochastic"``: perturbed observations.
        ``"denkf"``: half gain. ``"ensrf"``: one observation after the other.
        ``"enkfn"``: finite-size, with no inflation to tune. ``"letkf"``: the ETKF at every
        place with the observations around it.
    rng : numpy.random.Generator or None
        Needed by ``"stochastic"`` and with `rotate`.
    localization : Localization, optional
        Needed by ``"letkf"``; ``"ensrf"`` takes one too.
    rotate : bool, default=False
        Follow by a random rotation that keeps mean and covariance.

    Returns
    -------
    ndarray of shape (n_members, n_states)
        The analysis; the forecast itself if nothing was observed.

    Raises
    ------
    ValueError
        If shapes do not match, `R` is not positive definite, or the ensemble is not
        finite.

    Notes
    -----
    The work is done in the space of the members or in that of the observations,
    whichever is smaller: O(m**2 max(N, p) + N m n) with m = min(N, p) for all schemes but
    the serial one, O(p N (N + p)).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> E = rng.normal(1.0, 1.0, size=(50, 2))
    >>> analysis = analyze(E, E[:, :1], [2.0], 0.01, rng=None)
    >>> bool(abs(analysis[:, 0].mean() - 2.0) < 0.05)
    True
    """
    E, HE, y = (np.asarray(a, dtype=np.float64) for a in (E, HE, y))
    _check_ensemble(E, HE, y)
    if scheme not in (*SCHEMES, "letkf"):
        raise ValueError(
            f"analyze: scheme must be one of {', '.join([*SCHEMES, 'letkf'])}; got {scheme!r}."
        )
    _check_localization(scheme, localization)
    if rotate and rng is None:
        raise ValueError("analyze: rotate draws a rotation; pass rng=.")
    error = (
        R if isinstance(R, Covariance) and R.size == len(y) else Covariance(R, len(y), "analyze")
    )
    observed = ~np.isnan(y)
    if not observed.any():
        return E.copy()
    if not np.isfinite(HE[:, observed]).all():
        raise ValueError("analyze: HE must be finite wherever y is observed.")
    Lambda = rotation(len(E), rng=rng) if rotate and rng is not None else None
    if localization is not None:
        found = analyze_locally(E, HE, y, error, localization, scheme)
        return found if Lambda is None else np.asarray(Lambda @ found)
    update = SCHEMES[scheme](depart(HE, y, error, observed), rng)
    return (update if Lambda is None else update.rotated(Lambda)).apply(E)


def _check_ensemble(E: FloatArray, HE: FloatArray, y: FloatArray) -> None:
    if E.ndim != 2 or len(E) < 2:
        raise ValueError(
            "analyze: E must have shape (n_members, n_states) with 2 members or more, one per "
            f"row; got {E.shape}."
        )
    if y.ndim != 1 or HE.shape != (len(E), y.size):
        raise ValueError(
            f"analyze: HE must have shape ({len(E)}, n_obs) and y (n_obs,), one row of HE per "
            f"member; got {HE.shape} and {y.shape}."
        )
    if np.isinf(y).any():
        raise ValueError("analyze: y must be finite, or NaN where nothing was observed.")
    if not np.isfinite(E).all():
        bad = int(np.argmin(np.isfinite(E).all(axis=1)))
        raise ValueError(f"analyze: E must be finite; member {bad} is not.")


def _check_localization(scheme: str, localization: Localization | None) -> None:
    if scheme == "letkf" and localization is None:
        raise ValueError("analyze: scheme 'letkf' needs localization=.")
    if localization is not None and scheme not in LOCAL_SCHEMES:
        raise ValueError(
            f"analyze: localization needs scheme {' or '.join(LOCAL_SCHEMES)}; got {scheme!r}."
        )


def depart(HE: FloatArray, y: FloatArray, error: Covariance, observed: BoolArray) -> Departures:
    """Return the departures of an ensemble from what was observed."""
    if not observed.all():
        HE, y = HE[:, observed], y[observed]
    else:
        observed = None  # type: ignore[assignment]
    mean = HE.mean(axis=0)
    S = HE - mean
    if error.is_diagonal and error.scale.ndim == 0:
        S *= 1.0 / (float(error.scale) * np.sqrt(len(HE) - 1))
        return Departures(S, (y - mean) / error.scale)
    S /= np.sqrt(len(HE) - 1)
    return Departures(error.whiten(S, observed), error.whiten(y - mean, observed))


def analyze_locally(
    E: FloatArray,
    HE: FloatArray,
    y: FloatArray,
    error: Covariance,
    localization: Localization,
    scheme: str,
) -> FloatArray:
    """Return the analysis where every place listens to the observations near it.

    Raises
    ------
    ValueError
        If the places do not match the states and observations.
    """
    observed = ~np.isnan(y)
    places = _observed_places(E, y, localization)[observed]
    if scheme == "ensrf":
        return _serial(E, HE, y, error, localization, places)
    if not error.is_diagonal:
        return _letkf_correlated(E, HE[:, observed], y[observed], error, observed, localization,
                                 places)  # fmt: skip
    seen = depart(HE, y, error, observed)
    starts, states, _ = localization.groups()
    near = localization.neighbors_of("groups", places)
    mean = E.mean(axis=0)
    Xt = np.ascontiguousarray((E - mean).T)
    X_out, mean_out = np.empty_like(Xt), np.empty_like(mean)
    kernel.letkf(
        np.ascontiguousarray(seen.S.T), seen.d, Xt, mean, starts, states, near.starts,
        near.columns, np.sqrt(near.weights), X_out, mean_out,
    )  # fmt: skip
    return np.asarray(X_out.T + mean_out)


def _observed_places(E: FloatArray, y: FloatArray, localization: Localization) -> FloatArray:
    """Return where the observations are."""
    n, p = E.shape[1], len(y)
    if len(localization.coordinates) != n:
        raise ValueError(
            f"analyze: localization must have coordinates of {n} states; got "
            f"{len(localization.coordinates)}."
        )
    places = localization.observed_at
    if places is None:
        if p != n:
            raise ValueError(
                f"analyze: {p} observations of {n} states need localization with observed_at=, "
                "the places of the observations."
            )
        return localization.coordinates
    if places.shape != (p, localization.coordinates.shape[1]):
        raise ValueError(
            f"analyze: localization must have observed_at of shape "
            f"({p}, {localization.coordinates.shape[1]}); got {places.shape}."
        )
    return places


def _serial(
    E: FloatArray, HE: FloatArray, y: FloatArray, error: Covariance,
    localization: Localization, places: FloatArray,
) -> FloatArray:  # fmt: skip
    if not error.is_diagonal:
        raise ValueError(
            "analyze: scheme 'ensrf' with localization takes one observation after the other, at "
            "its own place; R must be a number or variances. Use 'letkf'."
        )
    seen = depart(HE, y, error, ~np.isnan(y))
    near = localization.neighbors_of("states", places)
    others = localization.neighbors_of("observations", places)
    mean = E.mean(axis=0)
    Xt, shift = np.ascontiguousarray((E - mean).T), np.zeros(E.shape[1])
    kernel.serial_local(
        np.array(seen.S.T, order="C"), seen.d.copy(), Xt, shift, near.starts, near.columns,
        near.weights, others.starts, others.columns, others.weights,
    )  # fmt: skip
    return np.asarray(Xt.T + (mean + shift / np.sqrt(len(E) - 1)))


def _letkf_correlated(
    E: FloatArray, HE: FloatArray, y: FloatArray, error: Covariance, observed: BoolArray,
    localization: Localization, places: FloatArray,
) -> FloatArray:  # fmt: skip
    """Analyse place by place, each with its block of a correlated `R`."""
    starts, states, _ = localization.groups()
    near = localization.neighbors_of("groups", places)
    where, out = np.flatnonzero(observed), E.copy()
    for k in range(len(starts) - 1):
        chosen = near.columns[near.starts[k] : near.starts[k + 1]]
        if not len(chosen):
            continue
        root = np.sqrt(near.weights[near.starts[k] : near.starts[k + 1]])
        R = error.block(where[chosen]) / np.outer(root, root)
        seen: Any = depart(HE[:, chosen], y[chosen], Covariance(R, len(chosen), "analyze"),
                           np.ones(len(chosen), dtype=bool))  # fmt: skip
        group = states[starts[k] : starts[k + 1]]
        out[:, group] = SCHEMES["etkf"](seen, None).apply(E[:, group])
    return out
