"""ETDRK4: partial differential equations on periodic grids, stiff terms exactly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from discover.typing import FloatArray

__all__ = [
    "ETDRK4",
    "advance_modes",
    "contour",
    "etdrk4_weights",
    "kuramoto_sivashinsky",
    "wavenumbers",
]

ComplexArray = NDArray[np.complex128]
_CONTOUR = 32  # points on a circle of radius 1; the integrand is periodic, so this is exact


def wavenumbers(shape: Sequence[int], lengths: Sequence[float]) -> list[FloatArray]:
    """Return the wavenumbers of a real Fourier transform, one array per axis.

    Parameters
    ----------
    shape : sequence of int
        Points along each axis.
    lengths : sequence of float
        Periods.

    Returns
    -------
    list of ndarray
        Each has the number of axes of the grid and broadcasts against the others; the
        last axis is the halved one.
    """
    found = []
    for axis, (n, length) in enumerate(zip(shape, lengths, strict=True)):
        last = axis == len(shape) - 1
        k = (np.fft.rfftfreq if last else np.fft.fftfreq)(n, d=length / n) * 2.0 * np.pi
        here = [-1 if a == axis else 1 for a in range(len(shape))]
        found.append(np.asarray(k, dtype=np.float64).reshape(here))
    return found


def contour(symbol: NDArray[Any], h: float) -> ComplexArray:
    """Return points on a circle around each ``h L``: means over them have no cancellation."""
    points = np.exp(2j * np.pi * (np.arange(_CONTOUR) + 0.5) / _CONTOUR)
    return np.asarray(h * symbol[..., None] + points)


def etdrk4_weights(symbol: NDArray[Any], h: float) -> tuple[ComplexArray, ...]:
    """Return the coefficients of a step: exponentials and phi functions of ``h L``."""
    L, z = h * symbol, contour(symbol, h)
    e = np.exp(z)
    means = (
        np.expm1(z / 2) / z,
        (-4.0 - z + e * (4.0 - 3.0 * z + z**2)) / z**3,
        2.0 * (2.0 + z + e * (z - 2.0)) / z**3,
        (-4.0 - 3.0 * z - z**2 + e * (4.0 - z)) / z**3,
    )
    real = np.isrealobj(symbol)
    phi = [h * (m.mean(axis=-1).real if real else m.mean(axis=-1)) for m in means]
    return (np.exp(L), np.exp(L / 2), *phi)


def advance_modes(
    v: ComplexArray,
    nonlinear: Callable[[ComplexArray], ComplexArray],
    weights: tuple[ComplexArray, ...],
) -> ComplexArray:
    """Return Fourier coefficients one step later; weights as of :func:`etdrk4_weights`."""
    E, E2, Q, f1, f2, f3 = weights
    N0 = nonlinear(v)
    half = E2 * v
    a = half + Q * N0
    Na = nonlinear(a)
    Nb = nonlinear(half + Q * Na)
    Nc = nonlinear(E2 * a + Q * (2.0 * Nb - N0))
    return np.asarray(E * v + f1 * N0 + f2 * (Na + Nb) + f3 * Nc)


class ETDRK4:
    """Fields on a periodic grid under ``u_t = L u + N(u)``, with constant coefficients in L.

    Parameters
    ----------
    symbol : ndarray of shape (..., n // 2 + 1)
        ``L`` in Fourier space: one number, real or complex, for each coefficient of a real
        transform over the axes of the grid.
    nonlinear : callable
        ``(v, u) -> N``: takes the Fourier coefficients of all members, of the shape of
        `symbol` behind that of the members, and the fields themselves, and
        returns the Fourier coefficients of ``N``. It must not depend on time.
    shape : sequence of int
        Points along each axis of the grid.
    n_components : int, default=1
        Fields, one after the other in the state; then arrays have an axis for them before
        those of the grid, and so may `symbol`.

    Notes
    -----
    The fourth-order exponential Runge-Kutta method of Cox and Matthews, its coefficients
    found by contour integrals [1]_: linear terms are exact, so that ``u_xxxx`` does not
    limit the step. A state is the flattened field; a step moves an ensemble
    (n_members, n_states) at once. Coefficients are kept for each length of step. Steps may
    be negative only where the equation can be followed backwards.

    References
    ----------
    .. [1] A.-K. Kassam, L. N. Trefethen, "Fourth-order time-stepping for stiff PDEs",
       SIAM J. Sci. Comput. 26 (2005) 1214-1233.
    """

    def __init__(
        self,
        symbol: ArrayLike,
        nonlinear: Callable[[ComplexArray, FloatArray], ComplexArray],
        shape: Sequence[int],
        n_components: int = 1,
    ) -> None:
        self.shape = tuple(int(n) for n in shape)
        self.n_components, self.nonlinear = int(n_components), nonlinear
        self.axes = tuple(range(-len(self.shape), 0))
        spectral = (*self.shape[:-1], self.shape[-1] // 2 + 1)
        self.symbol = np.asarray(symbol)
        try:
            whole = (self.n_components, *spectral) if n_components > 1 else spectral
            np.broadcast_to(self.symbol, whole)
        except ValueError:
            raise ValueError(
                f"ETDRK4: symbol must have the shape {spectral} of the transform of a real field "
                f"of shape {self.shape}; got {self.symbol.shape}."
            ) from None
        self._coefficients: dict[float, tuple[ComplexArray, ...]] = {}

    @property
    def n_states(self) -> int:
        """Number of values in a state."""
        return self.n_components * int(np.prod(self.shape))

    def _transform(self, u: FloatArray) -> ComplexArray:
        return np.asarray(np.fft.rfftn(u, axes=self.axes))

    def _field(self, v: ComplexArray) -> FloatArray:
        return np.asarray(np.fft.irfftn(v, s=self.shape, axes=self.axes))

    def _fields(self, x: ArrayLike) -> FloatArray:
        x = np.asarray(x, dtype=np.float64)
        if x.ndim == 0 or x.shape[-1] != self.n_states:
            raise ValueError(
                f"ETDRK4: x must have shape (..., {self.n_states}) for fields of shape "
                f"{self.shape}; got {x.shape}."
            )
        inner = self.shape if self.n_components == 1 else (self.n_components, *self.shape)
        return x.reshape(-1, *inner)

    def rhs(self, x: ArrayLike, t: float = 0.0, u: ArrayLike | None = None) -> FloatArray:
        """Return the time derivative, shape (..., n_states)."""
        fields = self._fields(x)
        v = self._transform(fields)
        slope = self._field(self.symbol * v + self.nonlinear(v, fields))
        return slope.reshape(np.shape(x))

    def step(self, x: ArrayLike, t: float, dt: float, u: ArrayLike | None = None) -> FloatArray:
        """Return the states one step of length `dt` later, shape (..., n_states)."""
        fields = self._fields(x)
        v = advance_modes(
            self._transform(fields),
            lambda modes: self.nonlinear(modes, self._field(modes)),
            self._weights(float(dt)),
        )
        return self._field(v).reshape(np.shape(x))

    def _weights(self, h: float) -> tuple[ComplexArray, ...]:
        """Return the coefficients of a step: exponentials and phi functions of ``h L``."""
        if h not in self._coefficients:
            if len(self._coefficients) > 8:
                self._coefficients.clear()
            self._coefficients[h] = etdrk4_weights(self.symbol, h)
        return self._coefficients[h]


def kuramoto_sivashinsky(n: int = 128, length: float = 32.0 * np.pi) -> ETDRK4:
    """Return ``u_t = -u u_x - u_xx - u_xxxx`` on a periodic interval.

    Parameters
    ----------
    n : int, default=128
        Points.
    length : float, default=32 pi
        Period, as in Kassam and Trefethen (2005).
    """
    (k,) = wavenumbers((n,), (length,))
    slope = -0.5j * k
    if n % 2 == 0:
        slope = slope.copy()
        slope[-1] = 0.0  # the derivative of the highest cosine vanishes on the grid
    # products of the grid alone, without dealiasing: dissipation empties the short waves
    return ETDRK4(k**2 - k**4, lambda v, u: slope * np.fft.rfft(u * u), (n,))
