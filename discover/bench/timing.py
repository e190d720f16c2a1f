"""Paired timing: tasks take turns in one process, so that they share its good and bad moments."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Any, TypeAlias

__all__ = ["Timing", "compared", "one_thread", "take_turns"]

Task: TypeAlias = Callable[[], Any]
_UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"))


@dataclass(frozen=True)
class Timing:
    """Seconds per call: CPU time of the process and wall time, least and median.

    Parameters
    ----------
    cpu, cpu_median, wall, wall_median : float
    repeats : int
    """

    cpu: float
    cpu_median: float
    wall: float
    wall_median: float
    repeats: int

    def __truediv__(self, other: Timing) -> float:
        """Return how many times longer this takes: least CPU time over least CPU time."""
        return self.cpu / max(other.cpu, 1e-9)

    def __str__(self) -> str:
        return (
            f"{_seconds(self.cpu)} (median {_seconds(self.cpu_median)}, wall {_seconds(self.wall)})"
        )


def _seconds(value: float) -> str:
    size, unit = next((u for u in _UNITS if value >= u[0]), _UNITS[-1])
    return f"{value / size:.3g} {unit}"


def compared(timings: Mapping[str, Timing]) -> str:
    """Say all timings in one line."""
    return "; ".join(f"{name} {timing}" for name, timing in timings.items())


@contextmanager
def one_thread() -> Iterator[None]:
    """Hold BLAS and OpenMP to one thread, where threadpoolctl is there to do it."""
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        yield
        return
    with threadpool_limits(limits=1):
        yield


def take_turns(
    tasks: Mapping[str, Task], *, repeats: int = 7, shortest: float = 0.0
) -> dict[str, Timing]:
    """Time tasks against each other.

    Parameters
    ----------
    tasks : mapping of str to callable
        Each is called once beforehand, to warm up.
    repeats : int, default=7
        Turns; each task is timed once per turn.
    shortest : float, default=0.0
        Seconds a timing lasts at least: quick tasks are called in a loop.

    Returns
    -------
    dict of str to Timing
        Seconds per call. On a shared machine trust the least CPU time: other processes
        can only add to it.
    """
    with one_thread():
        counts = {name: _calls(task, shortest) for name, task in tasks.items()}
        turns = [
            {name: _clock(task, counts[name]) for name, task in tasks.items()}
            for _ in range(repeats)
        ]
    return {name: _summary([turn[name] for turn in turns]) for name in tasks}


def _summary(samples: list[tuple[float, float]]) -> Timing:
    cpu, wall = ([sample[k] for sample in samples] for k in (0, 1))
    return Timing(min(cpu), median(cpu), min(wall), median(wall), len(samples))


def _calls(task: Task, shortest: float) -> int:
    """Return how many calls last as long as asked for, after a first one to warm up."""
    task()
    count = 1
    while shortest and _clock(task, count)[1] * count < shortest:
        count *= 2
    return count


def _clock(task: Task, count: int) -> tuple[float, float]:
    """Return CPU and wall seconds per call; the last result is let go outside the clock."""
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(count - 1):
        task()
    result = task()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    del result
    return cpu / count, wall / count
