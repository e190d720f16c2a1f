"""Sines and cosines of the inputs."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral

from discover.libraries.base import FeatureLibrary, resolve_inputs
from discover.libraries.termtable import TermTable, TermTableBuilder

__all__ = ["FourierLibrary"]


class FourierLibrary(FeatureLibrary):
    """``sin(k w x)`` and ``cos(k w x)`` of every input, for k = 1 .. n_frequencies.

    Parameters
    ----------
    n_frequencies : int, default=1
    include_sin, include_cos : bool, default=True
    frequency : float, default=1.0
        The base angular frequency w, in radians per unit of the input.
    inputs : sequence of str or int, optional
        The columns to use, by name or position; by default all.

    Examples
    --------
    >>> import numpy as np
    >>> library = FourierLibrary(n_frequencies=2).fit(np.ones((1, 1)))
    >>> list(library.get_feature_names_out())
    ['sin(x0)', 'cos(x0)', 'sin(2*x0)', 'cos(2*x0)']
    """

    def __init__(
        self,
        n_frequencies: int = 1,
        *,
        include_sin: bool = True,
        include_cos: bool = True,
        frequency: float = 1.0,
        inputs: Sequence[str | int] | None = None,
    ) -> None:
        self.n_frequencies = n_frequencies
        self.include_sin = include_sin
        self.include_cos = include_cos
        self.frequency = frequency
        self.inputs = inputs

    def build(self, inputs: Sequence[str]) -> TermTable:
        """Return the table of sines and cosines, by frequency, then by input."""
        if not isinstance(self.n_frequencies, Integral) or self.n_frequencies < 1:
            raise ValueError(
                "FourierLibrary: n_frequencies must be an integer of at least 1; "
                f"got {self.n_frequencies!r}."
            )
        if not (self.include_sin or self.include_cos):
            raise ValueError("FourierLibrary: include_sin or include_cos must be True.")
        builder = TermTableBuilder(inputs)
        slots = []
        for k in range(1, int(self.n_frequencies) + 1):
            rate = builder.constant(k * self.frequency)
            for i in resolve_inputs("FourierLibrary", self.inputs, list(inputs)):
                angle = builder.mul(rate, i)
                slots += [builder.unary("sin", angle)] if self.include_sin else []
                slots += [builder.unary("cos", angle)] if self.include_cos else []
        return builder.table(slots)
