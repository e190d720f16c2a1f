"""SINDy: from measurements to a governing equation."""

from discover.sindy.continuous import SINDy
from discover.sindy.discrete import DiscreteSINDy

__all__ = ["DiscreteSINDy", "SINDy"]
