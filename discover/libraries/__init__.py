"""Libraries of candidate terms: pointwise functions of the columns of a 2-D array."""

from discover.libraries.algebra import ProductLibrary, ReducedLibrary, SumLibrary
from discover.libraries.base import FeatureLibrary
from discover.libraries.fourier import FourierLibrary
from discover.libraries.jets import JetLibrary
from discover.libraries.polynomial import PolynomialLibrary
from discover.libraries.symbolic import SymbolicLibrary
from discover.libraries.termtable import TermTable, TermTableBuilder

__all__ = [
    "FeatureLibrary",
    "FourierLibrary",
    "JetLibrary",
    "PolynomialLibrary",
    "ProductLibrary",
    "ReducedLibrary",
    "SumLibrary",
    "SymbolicLibrary",
    "TermTable",
    "TermTableBuilder",
]
