"""Noisy bursts of a field: the state and the motion that go with the slope, mode by mode."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from discover.observations.grid import Grid
from discover.problems.bursts import Bursts
from discover.problems.spectra import Spectrum, cross_spectrum
from discover.typing import FloatArray

__all__ = ["BurstFilter"]

_STILL = 1e-4  # of the variance of the states: motion within a burst that changes no product
_SIGNIFICANT = 6.0  # standard errors by which a cross spectrum must differ from zero


class BurstFilter:
    """Filtered states of bursts, placed in time to fourth order where the data allow it.

    Parameters
    ----------
    bursts : Bursts
        States of shape ``(*grid, n_components)``.
    grid : Grid
    spectra : sequence of Spectrum
        Of the states, one per component.

    Attributes
    ----------
    states : ndarray of shape ``(n_bursts, *grid, n_components)``
    slopes : ndarray of the same shape, or None
        Filtered; None where a burst is so short that its states are all alike.
    posterior : list of ndarray of shape ``(*modes,)``
        Variance that is left, mode by mode, one per component.

    Notes
    -----
    The slope of the outer states is the mean of the tendency f over the burst, which to
    fourth order in the step is the quadrature of ``f(m + tau s)`` over the times tau of the
    burst, for the slope s and the *quadrature* mean m of the states. The plain mean, of which
    the noise is least, differs from it by a share of the curvature. So m is estimated from
    both means by the best linear filter (Wiener, of two signals): the difference counts as
    far as it stands out of its noise, and as it goes with the state. The noises of the plain
    mean and of the difference are independent, and the weights of both are even in time, so
    that the noise of m is independent of that of the slope.
    """

    def __init__(self, bursts: Bursts, grid: Grid, spectra: Sequence[Spectrum]) -> None:
        self.bursts, self.grid = bursts, grid
        parts = [self._placed(j, spectrum) for j, spectrum in enumerate(spectra)]
        self.states = np.stack([state for state, _ in parts], axis=-1)
        self.posterior = [left for _, left in parts]
        slopes = np.stack([self._moving(j, s) for j, s in enumerate(spectra)], axis=-1)
        over = tuple(range(slopes.ndim - 1))
        moved = np.mean((0.5 * bursts.span * slopes) ** 2, axis=over)
        still = np.all(moved <= _STILL * self.states.var(axis=over))
        self.slopes = None if still else slopes

    def _placed(self, j: int, spectrum: Spectrum) -> tuple[FloatArray, FloatArray]:
        """Return the filtered quadrature mean, and the variance that is left of every mode."""
        bursts, grid, m = self.bursts, self.grid, self.bursts.size
        mean, bend = bursts.means[..., j], bursts.bends[..., j]
        P, noise = spectrum.signal, spectrum.noise
        excess = float(np.sum((bursts.quadrature - 1.0 / m) ** 2))
        kept = spectrum.gain(m) > 0
        C, error = cross_spectrum(grid, mean, bend)
        C = np.where((np.abs(C) > _SIGNIFICANT * error) & (P > 0), C, 0.0)
        if not C.any():
            gain = spectrum.gain(m)
            return grid.from_modes(gain * grid.to_modes(mean)), spectrum.posterior(m)
        bent = Spectrum.estimate(grid, bend, spectrum.noise_variance * excess)
        B = np.where(C != 0, np.maximum(bent.signal, C**2 / np.maximum(P, 1e-300)), 0.0)
        a, d = P + noise / m, B + noise * excess
        determinant = np.maximum(a * d - C**2, 1e-300)
        of_mean = np.where(kept, ((P + C) * d - C * (C + B)) / determinant, 0.0)
        of_bend = np.where(kept, (a * (C + B) - C * (P + C)) / determinant, 0.0)
        left = P + 2.0 * C + B - of_mean * (P + C) - of_bend * (C + B)
        state = grid.from_modes(of_mean * grid.to_modes(mean) + of_bend * grid.to_modes(bend))
        return state, np.where(kept, np.maximum(left, 0.0), 0.0)

    def _moving(self, j: int, spectrum: Spectrum) -> FloatArray:
        """Return the slopes, filtered; nothing on modes where they do not stand out."""
        slopes = self.bursts.slopes[..., j]
        variance = 2.0 * spectrum.noise_variance / self.bursts.span**2
        seen = Spectrum.estimate(self.grid, slopes, variance)
        share = np.where(self.grid.radius < seen.reach, seen.gain(1), 0.0)
        return self.grid.from_modes(share * self.grid.to_modes(slopes))
