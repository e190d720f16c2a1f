"""Canvas: lines, discs and boxes on an array of pixels, without a display or a library."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

__all__ = ["BLUE", "GREY", "INK", "RED", "Canvas"]

INK, GREY, BLUE, RED = (40, 44, 52), (190, 194, 200), (31, 119, 180), (214, 69, 65)
Colour = tuple[int, int, int]


class Canvas:
    """A white picture with coordinates of its own.

    Parameters
    ----------
    width, height : int
        Pixels.

    Notes
    -----
    A shape covers a pixel by its signed distance from the pixel's centre, which also
    smooths the edges.
    """

    def __init__(self, width: int = 400, height: int = 300) -> None:
        self._image = np.full((height, width, 3), 255.0)
        self.window(-1.0, 1.0, -1.0, 1.0)

    def window(self, left: float, right: float, bottom: float, top: float) -> None:
        """Choose the coordinates of the edges."""
        height, width = self._image.shape[:2]
        self._scale = (width / (right - left), height / (top - bottom))
        self._x = left + (np.arange(width) + 0.5) / self._scale[0]
        self._y = top - (np.arange(height) + 0.5) / self._scale[1]

    def frame(self, centre: tuple[float, float], half_height: float) -> None:
        """Choose coordinates of equal scale around a centre."""
        height, width = self._image.shape[:2]
        half_width, (x, y) = half_height * width / height, centre
        self.window(x - half_width, x + half_width, y - half_height, y + half_height)

    def line(self, points: Sequence[Sequence[float]], colour: Colour, width: float = 3.0) -> None:
        """Draw straight pieces through points, `width` in pixels."""
        for (x0, y0), (x1, y1) in pairwise(points):
            self._segment(x0, y0, x1, y1, colour, 0.5 * width)

    def disc(self, x: float, y: float, colour: Colour, radius: float = 6.0) -> None:
        """Draw a disc, `radius` in pixels."""
        self._segment(x, y, x, y, colour, radius)

    def box(self, left: float, right: float, bottom: float, top: float, colour: Colour) -> None:
        """Fill a box."""
        rows = (self._y >= min(bottom, top)) & (self._y <= max(bottom, top))
        columns = (self._x >= min(left, right)) & (self._x <= max(left, right))
        self._image[np.ix_(rows, columns)] = colour

    def _segment(
        self, x0: float, y0: float, x1: float, y1: float, colour: Colour, radius: float
    ) -> None:
        sx, sy = self._scale
        if not np.isfinite([x0, y0, x1, y1]).all():
            return
        columns = self._near(self._x, x0, x1, (radius + 1.0) / sx)
        rows = self._near(self._y, y0, y1, (radius + 1.0) / sy)
        x, y = (self._x[columns][None, :] - x0) * sx, (self._y[rows][:, None] - y0) * sy
        dx, dy = (x1 - x0) * sx, (y1 - y0) * sy
        along = np.clip((x * dx + y * dy) / max(dx * dx + dy * dy, 1e-12), 0.0, 1.0)
        cover = np.clip(radius + 0.5 - np.hypot(x - along * dx, y - along * dy), 0.0, 1.0)
        patch = self._image[rows, columns]
        patch += cover[..., None] * (np.array(colour, dtype=float) - patch)

    @staticmethod
    def _near(axis: np.ndarray, a: float, b: float, margin: float) -> slice:
        inside = np.flatnonzero((axis >= min(a, b) - margin) & (axis <= max(a, b) + margin))
        return slice(inside[0], inside[-1] + 1) if inside.size else slice(0, 0)

    def pixels(self) -> np.ndarray:
        """Return the picture, shape (height, width, 3), uint8."""
        return np.rint(self._image).astype(np.uint8)
