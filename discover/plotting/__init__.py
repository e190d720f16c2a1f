"""Pictures of what was found; matplotlib is imported on first use."""

from discover.plotting.assimilation import plot_assimilation, plot_rank_histogram
from discover.plotting.selection import plot_path
from discover.plotting.simulation import plot_simulation
from discover.plotting.validation import plot_forecast, plot_phase, plot_residuals

__all__ = [
    "plot_assimilation",
    "plot_forecast",
    "plot_path",
    "plot_phase",
    "plot_rank_histogram",
    "plot_residuals",
    "plot_simulation",
]
