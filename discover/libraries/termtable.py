"""TermTable: expressions as small integer arrays, evaluated by one cached kernel."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from discover.exceptions import ExpressionError
from discover.kernels import opcodes as oc
from discover.kernels import terms as kernel
from discover.typing import FloatArray, IntArray

__all__ = ["Expression", "TermTable", "TermTableBuilder"]

#: An expression as plain data: an input name, a number, or ``[operation, argument, ...]``.
Expression: TypeAlias = "str | int | float | list[Any]"

Factors: TypeAlias = tuple[tuple[int, int], ...]  # (slot, power)

_NAME_OF = {code: name for name, code in (oc.BINARY | oc.UNARY).items()}
_INFIX = {"add": (" + ", 1), "sub": (" - ", 1), "mul": ("*", 2), "div": ("/", 2), "pow": ("**", 4)}
#: Whole powers up to this one become products.
LARGEST_EXPANDED_POWER = 64
_MOST_FACTORS = 512
_LONGEST_TEXT = 10_000  # characters: an expression used again and again grows exponentially


def format_number(value: float) -> str:
    """Write a number with the fewest digits that read back to the same bits."""
    if value == int(value) and abs(value) < 1e15 and (value or math.copysign(1.0, value) > 0):
        return str(int(value))
    return repr(float(value))


@dataclass(frozen=True, eq=False)
class TermTable:
    """Candidate terms over named inputs, compiled to a straight-line program.

    Parameters
    ----------
    inputs : tuple of str
        Names of the columns the terms are functions of.
    program : ndarray of int32, shape (n_instructions, 3)
        Rows ``(opcode, a, b)``; the result of row `k` goes to slot
        ``len(inputs) + k``. `a` and `b` are earlier slots.
    constants : ndarray of shape (n_constants,)
    outputs : ndarray of int32, shape (n_terms,)
        The slot that holds each term.

    Notes
    -----
    Build one with :class:`TermTableBuilder`, which shares common sub-expressions and
    brings products into one canonical order, so that ``x*y`` and ``y*x`` are the same
    term with the same bits.
    """

    inputs: tuple[str, ...]
    program: NDArray[np.int32]
    constants: FloatArray
    outputs: NDArray[np.int32]

    @property
    def n_inputs(self) -> int:
        """Number of input columns."""
        return len(self.inputs)

    @property
    def n_terms(self) -> int:
        """Number of terms."""
        return len(self.outputs)

    @property
    def n_slots(self) -> int:
        """Length of the evaluator's work array."""
        return len(self.inputs) + len(self.program)

    def __len__(self) -> int:
        return self.n_terms

    def evaluate(self, X: ArrayLike) -> FloatArray:
        """Evaluate every term on every row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_inputs)

        Returns
        -------
        ndarray of shape (n_samples, n_terms)
        """
        X = self._rows(X)
        out = np.empty((len(X), self.n_terms))
        work = np.empty((self.n_slots, kernel.TILE))
        kernel.terms_by_row(self.program, self.constants, self.outputs, X, work, out)
        return out

    def jacobian(self, X: ArrayLike) -> FloatArray:
        """Differentiate every term with respect to every input.

        Returns
        -------
        ndarray of shape (n_samples, n_terms, n_inputs)
        """
        X = self._rows(X)
        out = np.empty((len(X), self.n_terms, self.n_inputs))
        # the terms are the model in which every target is one slot
        each = np.arange(self.n_terms + 1, dtype=np.int32)
        ones = np.ones(self.n_terms)
        kernel.model_jacobian(self.program, self.constants, each, self.outputs, ones, X, out)
        return out

    def _rows(self, X: ArrayLike) -> FloatArray:
        X = np.ascontiguousarray(X, dtype=np.float64)
        if X.ndim != 2 or X.shape[1] != self.n_inputs:
            raise ValueError(
                f"TermTable: X must have shape (n_samples, {self.n_inputs}) for inputs "
                f"{list(self.inputs)}; got {X.shape}."
            )
        return X

    def expression(self, slot: int) -> Expression:
        """Return the expression of a slot as plain data (see :data:`Expression`)."""
        return self._expressions[slot]

    @cached_property
    def _expressions(self) -> list[Expression]:
        found: list[Expression] = list(self.inputs)
        for op, a, b in self.program.tolist():
            if op == oc.CONST:
                found.append(float(self.constants[a]))
            elif op < oc.NEG:
                found.append([_NAME_OF[op], found[a], found[b]])
            else:
                found.append([_NAME_OF[op], found[a]])
        return found

    @cached_property
    def _factored(self) -> list[Factors]:
        """Factors of every slot, with their powers; what is no product is its own factor."""
        found: list[Factors] = [((i, 1),) for i in range(self.n_inputs)]
        for k, (op, a, b) in enumerate(self.program.tolist(), start=self.n_inputs):
            found.append(_merged(found[a], found[b]) if op == oc.MUL else ((k, 1),))
        return found

    @cached_property
    def _texts(self) -> list[tuple[str, int]]:
        """Text and binding strength of every slot."""
        texts: list[tuple[str, int]] = [(name, 9) for name in self.inputs]
        for k, (op, a, b) in enumerate(self.program.tolist(), start=self.n_inputs):
            text = self._text(op, a, b, self._factored[k], texts)
            texts.append(text if len(text[0]) <= _LONGEST_TEXT else (f"slot_{k}", 9))
        return texts

    def _text(
        self, op: int, a: int, b: int, factors: Factors, texts: list[tuple[str, int]]
    ) -> tuple[str, int]:
        if op == oc.CONST:
            value = float(self.constants[a])
            text = format_number(value)
            return text, 3 if text.startswith("-") else 9
        if op == oc.MUL:
            text = "*".join(_power(texts[s], e) for s, e in factors)
            return text, 4 if len(factors) == 1 else 2
        if op == oc.NEG:
            return "-" + _wrap(texts[a], 4), 1
        name = _NAME_OF[op]
        if name in _INFIX:
            symbol, strength = _INFIX[name]
            left = _wrap(texts[a], strength + (name == "pow"))
            right = _wrap(texts[b], strength + (name != "pow"))
            return left + symbol + right, strength
        inner = ", ".join(texts[s][0] for s in ((a, b) if op < oc.NEG else (a,)))
        return f"{name}({inner})", 9

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Text of every term, in Python syntax; parsing it gives the same term.

        Of more than 10,000 characters only the number of the slot is left.
        """
        return tuple(self._texts[s][0] for s in self.outputs)

    def factors(self, term: int) -> dict[str, int]:
        """Return the factors of a term with their powers, ``{"x": 2, "sin(y)": 1}``."""
        factors = self._factored[self.outputs[term]]
        return {self._texts[slot][0]: power for slot, power in factors}

    def powers(self) -> IntArray | None:
        """Return the powers of the inputs in every term, shape (n_terms, n_inputs).

        None unless every term is a monomial of the inputs.
        """
        d = self.n_inputs
        powers = np.zeros((self.n_terms, d), dtype=np.int64)
        for row, output in zip(powers, self.outputs.tolist(), strict=True):
            for slot, power in self._factored[output]:
                if slot < d:
                    row[slot] = power
                elif self._constant(slot) != 1.0:
                    return None
        return powers

    def _constant(self, slot: int) -> float | None:
        op, a, _ = self.program[slot - self.n_inputs]
        return float(self.constants[a]) if op == oc.CONST else None

    def select(self, terms: Iterable[int]) -> TermTable:
        """Return a table of some of the terms, without the slots they do not need."""
        builder = TermTableBuilder(self.inputs)
        chosen = self.outputs[np.asarray(list(terms), dtype=np.intp)]
        return builder.table(builder.copy(self, chosen.tolist()))

    def _reachable(self, slots: Iterable[int]) -> set[int]:
        needed, pending = set[int](), list(slots)
        while pending:
            slot = pending.pop()
            if slot in needed:
                continue
            needed.add(slot)
            k = slot - self.n_inputs
            if k >= 0 and self.program[k, 0] != oc.CONST:
                op, a, b = self.program[k].tolist()
                pending += [a, b] if op < oc.NEG else [a]
        return needed

    def rename(self, names: Mapping[str, str]) -> TermTable:
        """Return the same table with other input names."""
        inputs = tuple(names.get(n, n) for n in self.inputs)
        return TermTable(inputs, self.program, self.constants, self.outputs)


def _merged(left: Factors, right: Factors) -> Factors:
    powers = dict(left)
    for slot, power in right:
        powers[slot] = powers.get(slot, 0) + power
    return tuple(powers.items())


def _wrap(text: tuple[str, int], strength: int) -> str:
    return text[0] if text[1] >= strength else f"({text[0]})"


def _power(text: tuple[str, int], exponent: int) -> str:
    return _wrap(text, 3) if exponent == 1 else f"{_wrap(text, 5)}**{exponent}"


class TermTableBuilder:
    """Builds a :class:`TermTable`; equal sub-expressions get one slot.

    Parameters
    ----------
    inputs : sequence of str

    Examples
    --------
    >>> b = TermTableBuilder(["x", "y"])
    >>> xy = b.mul(b.input("y"), b.input("x"))
    >>> b.table([xy, b.unary("sin", xy)]).names
    ('x*y', 'sin(x*y)')
    """

    def __init__(self, inputs: Sequence[str]) -> None:
        self.inputs = tuple(inputs)
        self._d = len(self.inputs)
        self._instructions: list[tuple[int, int, int]] = []
        self._constants: list[float] = []
        self._known: dict[tuple[Any, ...], int] = {}
        self._products: dict[int, tuple[int, ...]] = {}
        self._products_known: dict[tuple[int, ...], int] = {}
        # Sort keys do not depend on the order of construction: numbers first, inputs by
        # position, anything else by its structure. So a rebuilt table multiplies in one order.
        self._keys: list[tuple[Any, ...]] = [(0, i) for i in range(self._d)]

    def _add(self, op: int, a: int, b: int, key: tuple[Any, ...]) -> int:
        found = self._known.get((op, a, b))
        if found is None:
            found = self._known[op, a, b] = self._d + len(self._instructions)
            self._instructions.append((op, a, b))
            self._keys.append(key)
        return found

    def input(self, name: str) -> int:
        """Return the slot of an input."""
        try:
            return self.inputs.index(name)
        except ValueError:
            raise ExpressionError(
                f"library: unknown name {name!r}; the columns are {list(self.inputs)}."
            ) from None

    def constant(self, value: float) -> int:
        """Return the slot of a number."""
        value = float(value)
        if not np.isfinite(value):
            raise ExpressionError(f"library: constants must be finite; got {value}.")
        known = self._known.get(("const", value.hex()))
        if known is None:
            self._constants.append(value)
            key = (-1, "const", value.hex())
            known = self._add(oc.CONST, len(self._constants) - 1, 0, key)
            self._known["const", value.hex()] = known
        return known

    def value_of(self, slot: int) -> float | None:
        """Return the number in a slot, or None when it is not a constant."""
        k = slot - self._d
        if k < 0 or self._instructions[k][0] != oc.CONST:
            return None
        return self._constants[self._instructions[k][1]]

    def mul(self, a: int, b: int) -> int:
        """Multiply; factors are brought into one order, and a factor of one vanishes."""
        if self.value_of(a) == 1.0:
            return b
        if self.value_of(b) == 1.0:
            return a
        return self._product((*self._products.get(a, (a,)), *self._products.get(b, (b,))))

    def _product(self, factors: tuple[int, ...]) -> int:
        if len(factors) == 1:
            return factors[0]
        if len(factors) > _MOST_FACTORS:
            raise ExpressionError(
                f"library: a product may have {_MOST_FACTORS} factors; got {len(factors)}."
            )
        factors = tuple(sorted(factors, key=self._keys.__getitem__))
        n = len(factors)
        while n > 1 and factors[:n] not in self._products_known:
            n -= 1
        slot = self._products_known[factors[:n]] if n > 1 else factors[0]
        for end in range(n + 1, len(factors) + 1):
            head = factors[:end]
            slot = self._add(oc.MUL, slot, head[-1], (2, *(self._keys[f] for f in head)))
            self._products[slot] = head
            self._products_known[head] = slot
        return slot

    def pow(self, base: int, exponent: int) -> int:
        """Raise to a power; whole powers become products."""
        value = self.value_of(exponent)
        if value is None or value != int(value) or abs(value) > LARGEST_EXPANDED_POWER:
            return self._binary("pow", base, exponent)
        if value < 0:
            return self.binary("div", self.constant(1.0), self._repeated(base, int(-value)))
        return self._repeated(base, int(value))

    def _repeated(self, base: int, times: int) -> int:
        if times == 0 or self.value_of(base) == 1.0:
            return self.constant(1.0)
        return self._product(self._products.get(base, (base,)) * times)

    def _binary(self, name: str, a: int, b: int) -> int:
        if name in ("add", "min", "max") and self._keys[b] < self._keys[a]:
            a, b = b, a  # exact: these commute in floating point
        return self._add(oc.BINARY[name], a, b, (3, name, self._keys[a], self._keys[b]))

    def binary(self, name: str, a: int, b: int) -> int:
        """Apply ``add, sub, mul, div, pow, min`` or ``max``."""
        if name == "mul":
            return self.mul(a, b)
        if name == "pow":
            return self.pow(a, b)
        if name == "div" and self.value_of(b) == 1.0:
            return a
        return self._binary(name, a, b)

    def unary(self, name: str, a: int) -> int:
        """Apply one of the whitelisted functions, or ``neg``."""
        value = self.value_of(a)
        if name == "neg" and value is not None:
            return self.constant(-value)
        return self._add(oc.UNARY[name], a, 0, (3, name, self._keys[a]))

    def monomial(self, exponents: Sequence[int]) -> int:
        """Return the product of the inputs, each raised to its exponent."""
        factors = tuple(i for i, e in enumerate(exponents) for _ in range(e))
        return self._product(factors) if factors else self.constant(1.0)

    def expression(self, tree: Expression) -> int:
        """Add an expression given as plain data, as :meth:`TermTable.expression` writes it."""
        if isinstance(tree, str):
            return self.input(tree)
        if isinstance(tree, bool) or tree is None:
            raise ExpressionError(f"library: {tree!r} is not an expression.")
        if isinstance(tree, int | float):
            return self.constant(tree)
        if not isinstance(tree, list) or not tree or not isinstance(tree[0], str):
            raise ExpressionError(f"library: {tree!r} is not an expression.")
        name, arguments = tree[0], [self.expression(argument) for argument in tree[1:]]
        rule: Callable[..., int] | None = None
        if name in oc.UNARY and len(arguments) == 1:
            rule = self.unary
        elif name in oc.BINARY and len(arguments) == 2:
            rule = self.binary
        if rule is None:
            raise ExpressionError(
                f"library: {name!r} with {len(arguments)} arguments is not a known function."
            )
        return rule(name, *arguments)

    def copy(
        self, table: TermTable, slots: Sequence[int], inputs: Sequence[int] | None = None
    ) -> list[int]:
        """Add slots of another table; returns where they are here.

        Parameters
        ----------
        table : TermTable
        slots : sequence of int
            Slots of `table`.
        inputs : sequence of int, optional
            For each input of `table` the slot here; by default looked up by name.
        """
        here: dict[int, int] = {}
        names = [self.input(n) for n in table.inputs] if inputs is None else list(inputs)
        for slot in sorted(table._reachable(slots)):
            k = slot - table.n_inputs
            if k < 0:
                here[slot] = names[slot]
                continue
            op, a, b = table.program[k].tolist()
            if op == oc.CONST:
                here[slot] = self.constant(float(table.constants[a]))
            elif op < oc.NEG:
                here[slot] = self.binary(_NAME_OF[op], here[a], here[b])
            else:
                here[slot] = self.unary(_NAME_OF[op], here[a])
        return [here[s] for s in slots]

    def table(self, slots: Sequence[int]) -> TermTable:
        """Return the table of these slots, in this order; repeated slots appear once."""
        return TermTable(
            self.inputs,
            np.array(self._instructions, dtype=np.int32).reshape(-1, 3),
            np.array(self._constants, dtype=np.float64),
            np.array(list(dict.fromkeys(slots)), dtype=np.int32),
        )
