"""What the page shows, as plain data: series, laws, numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from discover.observations import Trajectory
from discover.reports.markup import equations_html
from discover.reports.path import PathModel, pareto_path
from discover.reports.series import compact, envelope
from discover.symbolic import SymbolicModel
from discover.typing import FloatArray
from discover.validation import Follower, FreeRun, Validation

__all__ = ["Contents"]

_MOST_STATES = 6
_EVERY_SAMPLE = 1_500  # samples that are all drawn
_BINS = 500  # stretches of an envelope
_CLOSE_UP = 300  # samples of the detail
_FINE = 400  # times at which a law is drawn between sparse samples
_CONTEXT = 2.0  # how much of the training data is drawn before what was held out
_MOST_RESIDUALS = 1_000


@dataclass(frozen=True, eq=False)
class Contents:
    """Everything the page is made of.

    Parameters
    ----------
    found : fitted estimator, or SymbolicModel
    validation : Validation
    train : list of Trajectory
        What taught the law.
    """

    found: Any
    validation: Validation
    train: Sequence[Trajectory]

    @cached_property
    def law(self) -> SymbolicModel:
        """The law."""
        law: SymbolicModel = getattr(self.found, "symbolic_", self.found)
        return law

    @cached_property
    def shown(self) -> FreeRun:
        """The run in the pictures: the longest."""
        return max(self.validation.runs, key=lambda run: len(run.run))

    @cached_property
    def follower(self) -> Follower:
        """The law with that run."""
        return Follower(self.law, self.shown.run, "report")

    @cached_property
    def states(self) -> list[int]:
        """Positions, among the observed states, of those in the pictures."""
        return list(range(min(len(self.validation.names), _MOST_STATES)))

    @cached_property
    def path(self) -> list[PathModel]:
        """The laws that were compared, one for each number of terms."""
        return pareto_path(self.found)

    @property
    def dense(self) -> bool:
        """Whether there are more samples than a picture can hold."""
        return len(self.times) > _EVERY_SAMPLE

    @cached_property
    def times(self) -> FloatArray:
        """Times of the run from the start of the simulation on."""
        return self.shown.run.times[self.shown.start :]

    @cached_property
    def close_up(self) -> slice:
        """The samples of the detail: where the motion is widest."""
        values = self.follower.values[self.shown.start :]
        z = np.nan_to_num((values - np.nanmean(values, axis=0)) / self.spread)
        middle = int(np.argmax(np.abs(z).max(axis=1)))
        first = int(np.clip(middle - _CLOSE_UP // 2, 0, max(len(values) - _CLOSE_UP, 0)))
        return slice(first, first + _CLOSE_UP)

    @property
    def spread(self) -> FloatArray:
        """Spread of each state, for rounding and for clipping what leaves the picture."""
        return self.validation.spread

    # -- for the script ------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """Return what the script of the page draws."""
        names, units = self.validation.names, self.law.units
        return {
            "time": _label("t", units.get("t")),
            "states": [
                {"name": names[j], "label": _label(names[j], units.get(names[j]))}
                for j in self.states
            ],
            "panels": self._panels(),
            "models": [self._model(model) for model in self.path],
            "chosen": next(i for i, model in enumerate(self.path) if model.chosen),
            "residuals": self._residuals(),
            "phase": self._phase(),
            "level": round(100 * self.validation.level),
        }

    def _panels(self) -> list[dict[str, Any]]:
        """Describe the pictures over time: all of the run, and a detail if it is long."""
        bands = self._bands()
        if not self.dense:
            return [self._panel("", *self._sparse_data(), bands)]
        rows = self.close_up
        values = self.follower.values[self.shown.start :]
        whole: dict[str, Any] = {"title": "Everything", "kind": "envelope", "data": []}
        for j in self.states:
            middle, low, high = envelope(self.times, values[:, j], _BINS)
            span = self.spread[j]
            whole["t"] = compact(middle, float(np.ptp(self.times)) / 100)
            whole["data"].append({"low": compact(low, span), "high": compact(high, span)})
        whole["note"] = (
            f"{len(values):,} samples in {len(whole['t'])} stretches: bars reach from the smallest "
            "to the largest sample of each."
        )
        detail = self._panel("Close-up, every sample", self.times[rows], values[rows],
                             None if bands is None else tuple(b[rows] for b in bands))  # fmt: skip
        return [detail, whole]

    def _panel(
        self,
        title: str,
        times: FloatArray,
        values: FloatArray,
        bands: tuple[FloatArray, ...] | None,
    ) -> dict[str, Any]:
        span = max(float(np.ptp(times)) / 100, 1e-300)
        known = np.isfinite(values)
        data = []
        for j in self.states:
            t, y = times[known[:, j]], values[known[:, j], j]
            data.append({"t": compact(t, span), "y": compact(y, self.spread[j])})
        law_times = self._law_times if not self.dense else times
        panel: dict[str, Any] = {
            "title": title, "kind": "points", "data": data, "t": compact(law_times, span),
        }  # fmt: skip
        if bands is not None:
            panel["band"] = [
                {"low": compact(bands[0][:, j], self.spread[j]),
                 "high": compact(bands[1][:, j], self.spread[j])}
                for j in self.states
            ]  # fmt: skip
        if not self.validation.seen_before:
            panel["split"] = float(self.times[0])
        return panel

    def _sparse_data(self) -> tuple[FloatArray, FloatArray]:
        """Return the samples of the run, and those before it that taught the law."""
        times, values = self.shown.run.times, self.follower.values
        if self.validation.seen_before:
            return times, values
        before = [
            run
            for run in self.train
            if run.times[-1] <= times[0] and run.name == self.shown.run.name
        ]
        if not before:
            return times, values
        earlier = Follower(self.law, before[-1], "report")
        since = times[0] - max(_CONTEXT * np.ptp(times), 20 * before[-1].dt)
        kept = earlier.run.times >= since
        return (
            np.concatenate([earlier.run.times[kept], times]),
            np.concatenate([earlier.values[kept], values]),
        )

    @cached_property
    def _law_times(self) -> FloatArray:
        """Times at which laws are drawn: those of the samples, and between sparse ones."""
        if self.dense or self.law.kind != "continuous":
            return self.times
        return np.union1d(self.times, np.linspace(self.times[0], self.times[-1], _FINE))

    def _bands(self) -> tuple[FloatArray, FloatArray] | None:
        """Return the bands of the observations at the times of the drawing."""
        run, validation = self.shown, self.validation
        if run.low is None or run.high is None or run.start_error is None:
            return None
        if self.dense or self.law.kind != "continuous":
            return run.low, run.high
        _, low, high = self.follower.bands(
            run.simulation.states[0], self._law_times, x0_error=run.start_error,
            noise=validation.noise, n_draws=max(validation.n_draws, 20), level=validation.level,
            rng=np.random.default_rng(0),
        )  # fmt: skip
        return low, high

    def _model(self, model: PathModel) -> dict[str, Any]:
        """Describe one law: equations as markup, and its run."""
        follower = Follower(model.law, self.shown.run, "report")
        found = follower.simulate(self.shown.simulation.states[0], self._law_times)
        values = self._clipped(np.asarray(found.states)[:, follower.observed])
        error = np.asarray(found.states)[:, follower.observed]
        at = np.searchsorted(self._law_times, self.times)
        truth = self.follower.values[self.shown.start :]
        with np.errstate(all="ignore"):
            misfit = np.sqrt(np.nanmean(((error[at] - truth) / self.spread) ** 2))
        lost = not np.isfinite(error[at][np.isfinite(truth)]).all()
        series: list[list[dict[str, Any]]] = []
        if self.dense:
            rows = self.close_up
            series.append([{"y": compact(values[rows, j], self.spread[j])} for j in self.states])
            whole = []
            for j in self.states:
                _, low, high = envelope(self.times, values[:, j], _BINS)
                span = self.spread[j]
                whole.append({"low": compact(low, span), "high": compact(high, span)})
            series.append(whole)
        else:
            series.append([{"y": compact(values[:, j], self.spread[j])} for j in self.states])
        failed = "" if found.success else f"diverges at t = {float(found.failure_time):.4g}"
        return {
            "terms": model.n_terms,
            "error": model.error if np.isfinite(model.error) else None,
            "run": float(misfit) if np.isfinite(misfit) and not lost else None,
            "failed": failed,
            "equations": equations_html(model.law),
            "plain": "\n".join(model.law.equations()),
            "series": series,
        }

    def _clipped(self, values: FloatArray) -> FloatArray:
        """Cut off what is far outside the picture."""
        data = self.follower.values
        low, high = np.nanmin(data, axis=0), np.nanmax(data, axis=0)
        reach = 2 * np.maximum(high - low, self.spread)
        return np.where((values > low - reach) & (values < high + reach), values, np.nan)

    def _residuals(self) -> list[dict[str, Any]]:
        """Innovations over time, thinned out without hiding one, and their correlation."""
        validation, out = self.validation, []
        if not validation.innovations:
            return []
        times = np.concatenate([i.times for i in validation.innovations])
        scaled = np.concatenate([i.scaled for i in validation.innovations])
        for j in self.states:
            known = np.isfinite(scaled[:, j])
            t, y = times[known], scaled[known, j]
            span = max(float(np.ptp(times)) / 100, 1e-300)
            item: dict[str, Any] = {"name": validation.names[j]}
            if len(t) > _MOST_RESIDUALS:
                middle, low, high = envelope(t, y, _BINS)
                item |= {"t": compact(middle, span), "low": compact(low, 1.0),
                         "high": compact(high, 1.0)}  # fmt: skip
            else:
                item |= {"t": compact(t, span), "y": compact(y, 1.0)}
            white = validation.whiteness[j]
            item["correlation"] = compact(white.correlation, 1.0)
            item["bound"] = white.bound if np.isfinite(white.bound) else None
            item["p"] = white.p_value if np.isfinite(white.p_value) else None
            out.append(item)
        return out

    def _phase(self) -> dict[str, Any] | None:
        """Two coordinates against each other; velocities as the filter sees them."""
        law = self.law
        if law.n_states < 2:
            return None
        a, b = self._plane()
        if self.dense:
            path = np.asarray(self.shown.simulation.states)[self.close_up]
        else:
            path = np.asarray(
                self.follower.simulate(self.shown.simulation.states[0], self._law_times).states
            )
        data = self._phase_data(a, b)
        finite = np.isfinite(path).all(axis=1)
        spans = [float(np.nanstd(np.append(data[k], path[finite, (a, b)[k]]))) for k in (0, 1)]
        names = law.state_names
        return {
            "x": _label(names[a], law.units.get(names[a])),
            "y": _label(names[b], law.units.get(names[b])),
            "data": {"x": compact(data[0], spans[0]), "y": compact(data[1], spans[1])},
            "law": {"x": compact(path[finite, a], spans[0]),
                    "y": compact(path[finite, b], spans[1])},
        }  # fmt: skip

    def _plane(self) -> tuple[int, int]:
        if self.law.velocities:
            return next(iter(self.law.velocities.items()))
        return 0, 1 if self.law.n_states < 3 else 2

    def _phase_data(self, a: int, b: int) -> tuple[FloatArray, FloatArray]:
        """Return the samples in the plane, or where one is hidden the filter's states."""
        observed = self.follower.observed.tolist()
        rows = self.close_up if self.dense else slice(None)
        if a in observed and b in observed:
            values = (
                self.follower.values[self.shown.start :] if self.dense else self._sparse_data()[1]
            )
            return values[rows, observed.index(a)], values[rows, observed.index(b)]
        for found in self.validation.innovations:
            if found.times[0] == self.times[0]:
                states = found.states[rows]
                return states[:, a], states[:, b]
        return np.zeros(0), np.zeros(0)


def _label(name: str, unit: str | None) -> str:
    return f"{name} [{unit}]" if unit else name
