"""Fields against white noise, mode by mode: spectra, filters and Fourier test functions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from discover.observations.grid import Grid
from discover.typing import BoolArray, FloatArray, IntArray

__all__ = ["FourierTests", "Spectrum", "cross_spectrum"]

_CLEAN = 1e-12  # noise below this share of the variance is rounding
_SIGNIFICANT = 12.0  # a shell stands out of the noise by this many standard errors over sqrt(2)
_NEGLIGIBLE = 1e-3  # modes of which the filter keeps less are dropped
_TESTED = 10.0  # signal over noise of the modes that serve as test functions
_RESOLVED = 1e-8  # of the largest signal: what clean data are tested with


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Power of a field on a periodic grid: signal plus white noise.

    Parameters
    ----------
    grid : Grid
    signal : ndarray of shape ``(*modes,)``
        Mean square of the Fourier coefficients without noise.
    noise : float
        Mean square of a Fourier coefficient of the noise: its variance over the number of
        grid points.
    reach : float
        Wavenumber up to which the signal stands out of the noise; beyond it `signal` is
        the exponential continuation of what stands out.
    """

    grid: Grid
    signal: FloatArray
    noise: float
    reach: float

    @classmethod
    def estimate(
        cls, grid: Grid, snapshots: FloatArray, noise_variance: float | None = None
    ) -> Spectrum:
        """Split the power of snapshots into signal and noise.

        Parameters
        ----------
        grid : Grid
        snapshots : ndarray of shape ``(n_snapshots, *grid)``
        noise_variance : float, optional
            By default from the highest quarter of the wavenumbers, where a resolved field
            has no power; an upper bound where it has some.
        """
        power = (np.abs(grid.to_modes(snapshots)) ** 2).mean(axis=0)
        shells = _Shells(grid)
        level = shells.mean(power)
        top = shells.inscribed[3 * len(shells.inscribed) // 4 :]
        noise = float(level[top].mean())
        if noise_variance is not None:
            noise = min(noise, noise_variance / grid.size)
        signal = np.maximum(level - noise, 0.0)
        error = noise / np.sqrt(len(snapshots) * np.maximum(shells.counts, 1))
        last = _first_gap(signal[1:] > _SIGNIFICANT * error[1:])
        signal = _continued(signal, last)
        reach = shells.width * last
        return cls(grid, signal[shells.index], noise, reach)

    @property
    def noise_variance(self) -> float:
        """Variance of the noise at a grid point."""
        return self.noise * self.grid.size

    @cached_property
    def is_clean(self) -> bool:
        """Whether the noise is no more than rounding."""
        return self.noise_variance <= _CLEAN * float(self.signal.sum() + self.noise)

    def gain(self, n_averaged: int) -> FloatArray:
        """Return the Wiener filter of the mean of some noisy states, per mode.

        Notes
        -----
        ``P / (P + v / m)``, for signal power P, noise power v and m states.
        """
        gain = self.signal / np.maximum(self.signal + self.noise / n_averaged, np.finfo(float).tiny)
        return np.where(gain > _NEGLIGIBLE, gain, 0.0)

    def posterior(self, n_averaged: int) -> FloatArray:
        """Return the variance per mode that the filter leaves."""
        return self.gain(n_averaged) * self.noise / n_averaged

    def tested(self) -> float:
        """Return the wavenumber up to which modes serve as test functions.

        Notes
        -----
        Beyond it the noise of the states, amplified by the derivatives in the law, makes
        false terms: errors in variables.
        """
        strong = self.signal > (_RESOLVED * self.signal.max() if self.is_clean else 0.0)
        if not self.is_clean:
            strong = (self.signal > _TESTED * self.noise) & (self.grid.radius < self.reach)
        return float(self.grid.radius[strong].max(initial=0.0))


def cross_spectrum(grid: Grid, a: FloatArray, b: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the mean product of the modes of two functions, and its standard error.

    Parameters
    ----------
    grid : Grid
    a, b : ndarray of shape ``(n_snapshots, *grid)``

    Returns
    -------
    product, error : ndarray of shape ``(*modes,)``
        Real part, averaged over snapshots and over the modes of every shell.
    """
    first, second = grid.to_modes(a), grid.to_modes(b)
    shells = _Shells(grid)
    product, *powers = (
        shells.mean((p * q.conj()).real.mean(axis=0))
        for p, q in ((first, second), (first, first), (second, second))
    )
    error = np.sqrt(powers[0] * powers[1] / (2.0 * len(a) * np.maximum(shells.counts, 1)))
    return product[shells.index], error[shells.index]


class _Shells:
    """Modes sorted by the length of their wave vector."""

    def __init__(self, grid: Grid) -> None:
        self.width = min(2 * np.pi / axis.length for axis in grid.axes)
        self.index: IntArray = np.rint(grid.radius / self.width).astype(np.int64)
        self.distinct = grid.distinct
        self.counts = np.bincount(self.index[self.distinct], minlength=self.index.max() + 1)
        shortest = min(np.pi / axis.spacing for axis in grid.axes)
        self.inscribed = np.arange(1, max(int(shortest / self.width), 2))

    def mean(self, power: FloatArray) -> FloatArray:
        """Return the mean over every shell."""
        sums = np.bincount(
            self.index[self.distinct], power[self.distinct], minlength=len(self.counts)
        )
        return np.asarray(sums / np.maximum(self.counts, 1))


def _first_gap(stands_out: BoolArray) -> int:
    """Return the number of the first shell, from 1, that does not stand out."""
    return len(stands_out) + 1 if stands_out.all() else int(np.argmin(stands_out)) + 1


def _continued(signal: FloatArray, last: int) -> FloatArray:
    """Continue the spectrum exponentially from shell `last` on."""
    start = max(1, last // 2)
    if last >= len(signal) or last - start < 2:
        return signal
    shells = np.arange(len(signal))
    slope, level = np.polyfit(shells[start:last], np.log(signal[start:last]), 1)
    tail = np.exp(level + slope * shells[last:])
    return np.concatenate([signal[:last], np.where(slope < 0, tail, 0.0)])


class FourierTests:
    """Integration over a periodic domain against sines and cosines.

    Parameters
    ----------
    grid : Grid
    radius : float
        Longest wave vector.

    Notes
    -----
    The weak form in space: of a product only its projection on resolved waves is used.
    Rows are scaled so that a Fourier coefficient of mean square v gives rows of variance v.
    """

    def __init__(self, grid: Grid, radius: float) -> None:
        self.reach = radius
        chosen = grid.distinct & (grid.radius <= radius * (1 + 1e-9))
        self.where = np.nonzero(chosen)
        numbers = [np.fft.fftfreq(n, 1.0 / n) for n in grid.shape[:-1]]
        numbers.append(np.arange(grid.shape[-1] // 2 + 1, dtype=np.float64))
        self.numbers = [n[w].astype(np.int64) for n, w in zip(numbers, self.where, strict=True)]
        self.constant = grid.radius[self.where] == 0  # at most the first
        self.n_waves = len(self.constant)
        self.waves = slice(int(self.constant.sum()), None)  # those with a sine
        self.n_rows = 2 * self.n_waves - int(self.constant.sum())

    def project(self, grid: Grid, values: FloatArray) -> FloatArray:
        """Project functions.

        Parameters
        ----------
        grid : Grid
            Of `values`: the grid of the tests, or another one of the same box.
        values : ndarray of shape ``(..., *grid)``

        Returns
        -------
        ndarray of shape (..., n_rows)
        """
        modes: NDArray[np.complex128] = grid.to_modes(values)
        where: Any = (..., *self._places(grid, self.numbers))
        return self.coordinates(modes[where])

    @staticmethod
    def _places(grid: Grid, numbers: list[IntArray]) -> tuple[IntArray, ...]:
        return tuple(n % size for n, size in zip(numbers, grid.shape, strict=True))

    def rows_of(self, power: FloatArray) -> FloatArray:
        """Spread a power per mode of the tests' grid over the rows, shape (n_rows,)."""
        chosen = power[self.where]
        return np.concatenate([chosen, chosen[self.waves]])

    def expand(self, grid: Grid, rows: FloatArray) -> FloatArray:
        """Return the functions with these coordinates: the inverse of :meth:`project`.

        Parameters
        ----------
        grid : Grid
            Where the values are wanted.
        rows : ndarray of shape (..., n_rows)

        Returns
        -------
        ndarray of shape ``(..., *grid)``
        """
        return grid.from_modes(self.modes(grid, rows))

    def modes(self, grid: Grid, rows: FloatArray) -> NDArray[np.complex128]:
        """Return the Fourier coefficients on a grid of functions with these coordinates."""
        z = self.complex(rows)
        out = np.zeros((*rows.shape[:-1], *grid.radius.shape), dtype=np.complex128)
        where: Any = (..., *self._places(grid, self.numbers))
        out[where] = z
        # along the last axis a real FFT leaves conjugates out, but not where its number is 0
        flat = self.numbers[-1] == 0
        where = (..., *self._places(grid, [-n[flat] for n in self.numbers]))
        out[where] = np.where(self.constant[flat], z[..., flat], z[..., flat].conj())
        return out

    def complex(self, rows: FloatArray) -> NDArray[np.complex128]:
        """Return the Fourier coefficients of the modes, from their coordinates."""
        z = np.zeros((*rows.shape[:-1], self.n_waves), dtype=np.complex128)
        z.real = rows[..., : self.n_waves]
        z.imag[..., self.waves] = rows[..., self.n_waves :]
        z /= np.where(self.constant, 1.0, np.sqrt(2.0))
        return z

    def rotated(self, factor: NDArray[np.complex128], rows: FloatArray) -> FloatArray:
        """Multiply waves by a factor each, in coordinates along the last axis but one.

        Parameters
        ----------
        factor : ndarray of complex, shape (n_waves,)
        rows : ndarray of shape (..., n_rows, n_columns)
        """
        n, (a, b) = self.n_waves, (factor.real[:, None], factor.imag[self.waves, None])
        out = np.empty_like(rows)
        np.multiply(rows[..., :n, :], a, out=out[..., :n, :])
        np.multiply(rows[..., n:, :], a[self.waves], out=out[..., n:, :])
        if b.any():
            out[..., :n, :][..., self.waves, :] -= b * rows[..., n:, :]
            out[..., n:, :] += b * rows[..., :n, :][..., self.waves, :]
        return out

    def diagonal(self, matrix: FloatArray) -> NDArray[np.complex128]:
        """Return the factor per wave that is nearest to a matrix (n_rows, n_rows).

        See :meth:`rotated`, of which this is the inverse where there is one.
        """
        cosines = np.arange(self.n_waves)[self.waves]
        sines = self.n_waves + np.arange(len(cosines))
        real = np.diag(matrix)[: self.n_waves].copy()
        real[self.waves] = 0.5 * (matrix[cosines, cosines] + matrix[sines, sines])
        out = real.astype(np.complex128)
        out.imag[self.waves] = 0.5 * (matrix[sines, cosines] - matrix[cosines, sines])
        return out

    def coordinates(self, modes: NDArray[np.complex128]) -> FloatArray:
        """Return the coordinates of Fourier coefficients: the inverse of :meth:`complex`."""
        z = modes * np.where(self.constant, 1.0, np.sqrt(2.0))
        return np.concatenate([z.real, z.imag[..., self.waves]], axis=-1)
