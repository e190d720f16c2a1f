"""A learned world as two arrays, for the kernels that step it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from discover.typing import FloatArray, IntArray

__all__ = ["Program", "Sums", "compile_world"]

#: ``(program, constants, outputs)`` of a term table.
Program = tuple[IntArray, FloatArray, IntArray]
#: ``(indptr, terms)``: which terms each sum is over.
Sums = tuple[IntArray, IntArray]


def compile_world(
    observe: Program,
    change: tuple[Program, Sums, FloatArray],
    outcome: tuple[Program, Sums, FloatArray],
    circles: IntArray,
    box: tuple[FloatArray, FloatArray, IntArray],
    bounds: tuple[FloatArray, FloatArray, FloatArray],
    caution: tuple[FloatArray, FloatArray, float, float],
    stops: tuple[FloatArray, FloatArray, IntArray],
) -> tuple[IntArray, FloatArray]:
    """Return ``(code, numbers)`` as :mod:`discover.kernels.stepping` reads them.

    Parameters
    ----------
    observe, change, outcome : tuple
        Programs; those of change and outcome with their sums and weights, of change
        ``(n_sets, n_entries)``.
    circles : ndarray of int, shape (n_circles, 2)
    box : (low, high, levels)
        Of the actions.
    bounds : (low, high, clip)
    caution : (deviations, scale, penalty, limit)
    stops : (low, high, halted)
        Of the states.
    """
    (indptr, terms), weights = change[1], change[2]
    sets, set_terms, set_weights = _without_zeros(indptr, terms, weights)
    integers = [
        observe[0], observe[2], change[0][0], change[0][2], sets, set_terms, indptr, terms,
        circles, outcome[0][0], outcome[0][2], *outcome[1], box[2], stops[2],
    ]  # fmt: skip
    deviations, scale, penalty, limit = caution
    floats = [
        observe[1], change[0][1], set_weights, outcome[0][1], outcome[2], box[0], box[1], *bounds,
        deviations, np.concatenate([[penalty, limit], scale]), stops[0], stops[1],
    ]  # fmt: skip
    places, numbers = _joined(floats, np.float64, 0)
    begins, code = _joined([*integers, places], np.int64, len(integers) + 2)
    return np.concatenate([begins, code]), numbers


def _without_zeros(
    indptr: IntArray, terms: IntArray, weights: FloatArray
) -> tuple[IntArray, IntArray, FloatArray]:
    """Return sums of all sets, one set after the other, over the terms with a weight."""
    sums = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    which, entry = np.nonzero(weights)
    target = which * (len(indptr) - 1) + sums[entry]
    begins = np.searchsorted(target, np.arange(len(weights) * (len(indptr) - 1) + 1))
    return begins, terms[entry], weights[which, entry]


def _joined(sections: Sequence[Any], dtype: Any, offset: int) -> tuple[IntArray, Any]:
    """Return where the sections begin (and the last ends), and all of them in one array."""
    flat = [np.asarray(section, dtype=dtype).ravel() for section in sections]
    sizes = np.array([len(section) for section in flat])
    begins = offset + np.concatenate([[0], np.cumsum(sizes)])
    return begins.astype(np.int64), np.ascontiguousarray(np.concatenate(flat))
