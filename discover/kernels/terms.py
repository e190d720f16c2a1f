"""Evaluate term tables: values, tiles, right-hand sides and Jacobians.

A table is a straight-line program. Slots ``0 .. d-1`` of the work array hold the
inputs, slot ``d + k`` the result of instruction ``program[k] = (opcode, a, b)``;
`a` and `b` name earlier slots (for ``CONST``, `a` names the constant). A model adds
its coefficients in compressed-row form: target `i` is the sum of
``weights[e] * slot[slots[e]]`` for ``e`` in ``indptr[i] .. indptr[i+1]``.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from discover.kernels import opcodes as oc

ADD, SUB, MUL, DIV, POW, MIN, MAX = oc.ADD, oc.SUB, oc.MUL, oc.DIV, oc.POW, oc.MIN, oc.MAX
CONST, NEG, ABS, SIGN, SQRT = oc.CONST, oc.NEG, oc.ABS, oc.SIGN, oc.SQRT
EXP, LOG, EXPM1, LOG1P = oc.EXP, oc.LOG, oc.EXPM1, oc.LOG1P
SIN, COS, TAN, ARCSIN, ARCCOS, ARCTAN = (
    oc.SIN,
    oc.COS,
    oc.TAN,
    oc.ARCSIN,
    oc.ARCCOS,
    oc.ARCTAN,
)
SINH, COSH, TANH = oc.SINH, oc.COSH, oc.TANH

TILE = 64  # rows per tile of the row-major writer: 64 x 60 slots fit the L1/L2 caches


@njit(cache=True, error_model="numpy")
def unary(op, x):
    """Apply one unary operation to one number."""
    if op == SIN:
        return math.sin(x)
    if op == COS:
        return math.cos(x)
    if op == NEG:
        return -x
    if op == SQRT:
        return math.sqrt(x)
    if op == EXP:
        return math.exp(x)
    if op == LOG:
        return math.log(x)
    if op == ABS:
        return math.fabs(x)
    if op == SIGN:
        return x if x != x else float((x > 0.0) - (x < 0.0))
    if op == TANH:
        return math.tanh(x)
    if op == TAN:
        return math.tan(x)
    if op == SINH:
        return math.sinh(x)
    if op == COSH:
        return math.cosh(x)
    if op == ARCTAN:
        return math.atan(x)
    if op == ARCSIN:
        return math.asin(x)
    if op == ARCCOS:
        return math.acos(x)
    if op == EXPM1:
        return math.expm1(x)
    if op == LOG1P:
        return math.log1p(x)
    return math.nan


@njit(cache=True, error_model="numpy")
def unary_slope(op, x, y):
    """Return the derivative of a unary operation at `x`, where its value is `y`."""
    if op == SIN:
        return math.cos(x)
    if op == COS:
        return -math.sin(x)
    if op == NEG:
        return -1.0
    if op == SQRT:
        return 0.5 / y
    if op == EXP:
        return y
    if op == LOG:
        return 1.0 / x
    if op == ABS:
        return float((x > 0.0) - (x < 0.0))
    if op == SIGN:
        return 0.0
    if op == TANH:
        return 1.0 - y * y
    if op == TAN:
        return 1.0 + y * y
    if op == SINH:
        return math.cosh(x)
    if op == COSH:
        return math.sinh(x)
    if op == ARCTAN:
        return 1.0 / (1.0 + x * x)
    if op == ARCSIN:
        return 1.0 / math.sqrt(1.0 - x * x)
    if op == ARCCOS:
        return -1.0 / math.sqrt(1.0 - x * x)
    if op == EXPM1:
        return y + 1.0
    if op == LOG1P:
        return 1.0 / (1.0 + x)
    return math.nan


@njit(cache=True, error_model="numpy")
def binary(op, x, y):
    """Apply one binary operation to two numbers."""
    if op == MUL:
        return x * y
    if op == ADD:
        return x + y
    if op == SUB:
        return x - y
    if op == DIV:
        return x / y
    if op == POW:
        return x**y
    if op == MIN:
        return x if (x <= y or x != x) else y
    return x if (x >= y or x != x) else y


@njit(cache=True, error_model="numpy")
def fill_slots(program, constants, d, v):
    """Run the program on one state; ``v[:d]`` holds the inputs."""
    for k in range(program.shape[0]):
        op = program[k, 0]
        if op == MUL:
            v[d + k] = v[program[k, 1]] * v[program[k, 2]]
        elif op == CONST:
            v[d + k] = constants[program[k, 1]]
        elif op < NEG:
            v[d + k] = binary(op, v[program[k, 1]], v[program[k, 2]])
        else:
            v[d + k] = unary(op, v[program[k, 1]])


@njit(cache=True, error_model="numpy")
def fill_slot_slopes(program, d, v, dv):
    """Propagate derivatives through the slots of one state (forward mode).

    ``dv[:d]`` holds the seed, usually the identity; ``v`` is already filled.
    """
    n = dv.shape[1]
    for k in range(program.shape[0]):
        op, a, b = program[k, 0], program[k, 1], program[k, 2]
        s = d + k
        if op == MUL:
            for j in range(n):
                dv[s, j] = dv[a, j] * v[b] + v[a] * dv[b, j]
        elif op == CONST:
            for j in range(n):
                dv[s, j] = 0.0
        elif op == ADD:
            for j in range(n):
                dv[s, j] = dv[a, j] + dv[b, j]
        elif op == SUB:
            for j in range(n):
                dv[s, j] = dv[a, j] - dv[b, j]
        elif op == DIV:
            for j in range(n):
                dv[s, j] = (dv[a, j] - v[s] * dv[b, j]) / v[b]
        elif op == POW:
            slope = v[b] * v[a] ** (v[b] - 1.0)
            for j in range(n):
                dv[s, j] = slope * dv[a, j]
                if dv[b, j] != 0.0:
                    dv[s, j] += v[s] * math.log(v[a]) * dv[b, j]
        elif op < NEG:  # MIN, MAX follow the branch that was taken
            first = v[s] == v[a]
            for j in range(n):
                dv[s, j] = dv[a, j] if first else dv[b, j]
        else:
            slope = unary_slope(op, v[a], v[s])
            for j in range(n):
                dv[s, j] = slope * dv[a, j]


@njit(cache=True, error_model="numpy")
def fill_tile(program, constants, X, start, n, v):
    """Run the program on rows ``start .. start + n`` of `X`; `v` is (n_slots, >= n)."""
    d = X.shape[1]
    for j in range(d):
        for r in range(n):
            v[j, r] = X[start + r, j]
    for k in range(program.shape[0]):
        op, a, b = program[k, 0], program[k, 1], program[k, 2]
        s = d + k
        if op == MUL:
            for r in range(n):
                v[s, r] = v[a, r] * v[b, r]
        elif op == CONST:
            c = constants[a]
            for r in range(n):
                v[s, r] = c
        elif op == ADD:
            for r in range(n):
                v[s, r] = v[a, r] + v[b, r]
        elif op < NEG:
            for r in range(n):
                v[s, r] = binary(op, v[a, r], v[b, r])
        else:
            for r in range(n):
                v[s, r] = unary(op, v[a, r])


@njit(cache=True, error_model="numpy")
def terms_by_row(program, constants, outputs, X, v, out):
    """Write the terms of every row into ``out (n_samples, n_terms)``, row-major.

    `v` is a work array (n_slots, TILE). Four rows are written side by side: one load
    of the output list serves four stores, and every cache line is filled once.
    """
    n_samples, p = X.shape[0], outputs.shape[0]
    for start in range(0, n_samples, TILE):
        n = min(TILE, n_samples - start)
        fill_tile(program, constants, X, start, n, v)
        whole = n - n % 4
        for r in range(0, whole, 4):
            i = start + r
            for k in range(p):
                s = outputs[k]
                out[i, k] = v[s, r]
                out[i + 1, k] = v[s, r + 1]
                out[i + 2, k] = v[s, r + 2]
                out[i + 3, k] = v[s, r + 3]
        for r in range(whole, n):
            for k in range(p):
                out[start + r, k] = v[outputs[k], r]


@njit(cache=True, error_model="numpy")
def terms_by_column(program, constants, outputs, scale, X, start, n, v, out):
    """Write the scaled terms of one tile into ``out[:n_terms, :n]``, term-major."""
    fill_tile(program, constants, X, start, n, v)
    for k in range(outputs.shape[0]):
        s = outputs[k]
        c = scale[k]
        for r in range(n):
            out[k, r] = c * v[s, r]


@njit(cache=True, error_model="numpy")
def combine(indptr, slots, weights, v, out):
    """Sum the weighted slots of one state into ``out (n_targets,)``."""
    for i in range(out.shape[0]):
        total = 0.0
        for e in range(indptr[i], indptr[i + 1]):
            total += weights[e] * v[slots[e]]
        out[i] = total


@njit(cache=True, error_model="numpy")
def model_values(program, constants, indptr, slots, weights, X, out):
    """Evaluate a model on every row of `X`: ``out (n_samples, n_targets)``."""
    n_samples, d = X.shape
    n_slots = d + program.shape[0]
    if n_samples < 8:
        v = np.empty(n_slots)
        for i in range(n_samples):
            for j in range(d):
                v[j] = X[i, j]
            fill_slots(program, constants, d, v)
            combine(indptr, slots, weights, v, out[i])
        return
    w = np.empty((n_slots, TILE))
    total = np.empty(TILE)
    for start in range(0, n_samples, TILE):
        n = min(TILE, n_samples - start)
        fill_tile(program, constants, X, start, n, w)
        for i in range(out.shape[1]):
            for r in range(n):
                total[r] = 0.0
            for e in range(indptr[i], indptr[i + 1]):
                c, s = weights[e], slots[e]
                for r in range(n):
                    total[r] += c * w[s, r]
            for r in range(n):
                out[start + r, i] = total[r]


@njit(cache=True, error_model="numpy")
def model_jacobian(program, constants, indptr, slots, weights, X, out):
    """Differentiate a model on every row: ``out (n_samples, n_targets, d)``."""
    d = X.shape[1]
    n_slots = d + program.shape[0]
    v = np.empty(n_slots)
    dv = np.zeros((n_slots, d))
    for j in range(d):
        dv[j, j] = 1.0
    for i in range(X.shape[0]):
        for j in range(d):
            v[j] = X[i, j]
        fill_slots(program, constants, d, v)
        fill_slot_slopes(program, d, v, dv)
        for q in range(out.shape[1]):
            for j in range(d):
                total = 0.0
                for e in range(indptr[q], indptr[q + 1]):
                    total += weights[e] * dv[slots[e], j]
                out[i, q, j] = total
