"""Line charts as SVG, for pages that need no script."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from discover.typing import FloatArray

__all__ = ["Line", "line_chart"]

_WIDTH, _HEIGHT = 640.0, 240.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 62.0, 12.0, 24.0, 38.0
_MOST_POINTS = 800
_DECADES = 12  # of a logarithmic axis
_e = html.escape


@dataclass(frozen=True, eq=False)
class Line:
    """One curve of a chart.

    Parameters
    ----------
    kind : str
        Class of its style: ``"truth"``, ``"base"`` or ``"law"``.
    y : ndarray of shape (n,)
        NaN where there is nothing to draw.
    """

    kind: str
    y: FloatArray


def line_chart(
    x: FloatArray, lines: Sequence[Line], x_label: str, y_label: str, *, logarithmic: bool = False
) -> str:
    """Return a chart of several curves over the same abscissa.

    Parameters
    ----------
    x : ndarray of shape (n,)
    lines : sequence of Line
        The last is drawn on top.
    x_label, y_label : str
    logarithmic : bool, default=False
        The ordinate; what is not positive is left out.
    """
    values = [_logarithms(line.y) if logarithmic else line.y for line in lines]
    finite = np.concatenate([v[np.isfinite(v)] for v in values])
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    if logarithmic:
        low, high = np.floor(max(low, high - _DECADES)), np.ceil(high)
    low, high = (low, high) if high > low else (low - 1.0, high + 1.0)
    x_low, x_high = float(x[0]), float(x[-1])
    X = _LEFT + (x - x_low) / (x_high - x_low) * (_WIDTH - _LEFT - _RIGHT)
    scale = (_HEIGHT - _TOP - _BOTTOM) / (high - low)
    curves = [
        f'<path class="{line.kind}" d="{_path(X, _HEIGHT - _BOTTOM - (v - low) * scale)}"/>'
        for line, v in zip(lines, values, strict=True)
    ]
    marks = [
        f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{_tick(v, logarithmic)}</text>'
        for v in _ticks(low, high, 5, whole=logarithmic)
        for y in [_HEIGHT - _BOTTOM - (v - low) * scale]
    ]
    below = [
        f'<text x="{_LEFT + (v - x_low) / (x_high - x_low) * (_WIDTH - _LEFT - _RIGHT):.1f}" '
        f'y="{_HEIGHT - _BOTTOM + 16}" text-anchor="middle">{_tick(v, False)}</text>'
        for v in _ticks(x_low, x_high, 6)
    ]
    return (
        f'<svg class="chart" role="img" viewBox="0 0 {_WIDTH:g} {_HEIGHT:g}" '
        f'aria-label="{_e(y_label)} over {_e(x_label)}">{"".join(marks + below)}'
        f'<text x="4" y="13">{_e(y_label)}</text>'
        f'<text x="{_WIDTH - _RIGHT}" y="{_HEIGHT - 5}" text-anchor="end">{_e(x_label)}</text>'
        f"{''.join(curves)}</svg>"
    )


def _logarithms(y: FloatArray) -> FloatArray:
    return np.log10(np.where(y > 0, y, np.nan))


def _path(X: FloatArray, Y: FloatArray) -> str:
    """Return a path with gaps where Y is NaN, thinned to what can be seen."""
    every = max(1, len(X) // _MOST_POINTS)
    out, pen = [], "M"
    for x, y in zip(X[::every], np.clip(Y[::every], _TOP - 4, _HEIGHT - _BOTTOM), strict=True):
        if not np.isfinite(y):
            pen = "M"
            continue
        out.append(f"{pen}{x:.1f} {y:.1f}")
        pen = "L"
    return "".join(out)


def _ticks(low: float, high: float, most: int, *, whole: bool = False) -> list[float]:
    """Return round numbers between two values."""
    rough = (high - low) / most
    power = 10.0 ** np.floor(np.log10(rough))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= 0.999 * rough)
    step = max(1.0, np.ceil(step)) if whole else step
    first = int(np.ceil(low / step - 1e-9))
    return [k * step for k in range(first, int(np.floor(high / step + 1e-9)) + 1)]


def _tick(value: float, logarithmic: bool) -> str:
    text = f"{10.0**value:.3g}" if logarithmic else f"{value:.4g}"
    return text.replace("-", "−")
