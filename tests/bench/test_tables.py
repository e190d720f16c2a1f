"""Tables of long benchmarks go on where they were interrupted."""

from dataclasses import dataclass

import pytest

from discover.bench.tables import ResultTable


@dataclass(frozen=True)
class _Case:
    name: str
    seed: int


@dataclass(frozen=True)
class _Result:
    case: _Case
    exact: bool
    error: float


def test_only_jobs_without_results_are_measured(tmp_path):
    table, asked = ResultTable(tmp_path / "t.csv", _Result, "bench t", digits=None), []

    def measure(case):
        asked.append(case.seed)
        if len(asked) == 3:
            raise KeyboardInterrupt
        yield _Result(case, case.seed == 1, 1 / 3)
        yield _Result(case, False, float("inf"))

    jobs = [_Case("a, b", seed) for seed in (2, 1, 0)]
    with pytest.raises(KeyboardInterrupt):
        table.complete(jobs, lambda r: r.case, measure)
    told = []
    found = table.complete(jobs, lambda r: r.case, measure, told.append)
    assert asked == [2, 1, 0, 0]
    assert found == table.read() == [r for case in jobs for r in measure(case)]
    assert told == found[4:]
    assert table.complete(jobs[1:2], lambda r: r.case, measure) == found[2:4]
    other = ResultTable(tmp_path / "t.csv", _Case, "bench t")
    with pytest.raises(ValueError, match="must have the columns name,seed"):
        other.read()
