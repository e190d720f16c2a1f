"""Data assimilation: one analysis against GEMMs and peers, cycles, answers."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from discover.assimilation import EnsembleKalmanFilter, Localization, analyze
from discover.assimilation.twins import lorenz96, sakov_oke_2008, track_drifting_rho
from discover.bench.rows import Row
from discover.bench.timing import compared, take_turns
from discover.exceptions import AssimilationWarning
from discover.typing import FloatArray

__all__ = ["run"]


def run(quick: bool = False) -> list[Row]:
    """Measure speed against limits and peers, and answers against exact ones."""
    return [
        *_one_analysis(256 if quick else 1024, 20 if quick else 100),
        *_local(10, 4.0, ">= 15", 128 if quick else 1024),
        *_local(40, 8.0, ">= 2", 128 if quick else 1024),
        *_cycle(100 if quick else 1000),
        _missing(),
        _drift(20.0 if quick else 200.0),
    ]


# -- one analysis ------------------------------------------------------------------


def _one_analysis(n: int, N: int) -> list[Row]:
    """Compare an ETKF analysis with the two products it cannot do without."""
    rng = np.random.default_rng(0)
    E = rng.normal(size=(N, n)) + 3.0
    y, R = rng.normal(size=n) + 3.0, np.full(n, 0.5)
    S, Y, W = (rng.normal(size=shape) for shape in ((N, n), (n, N), (N, N)))
    tasks: dict[str, Callable[[], Any]] = {
        "ours": lambda: analyze(E, E, y, R, rng=None),
        "GEMMs": lambda: (S @ Y, W @ E),
    }
    with _dapper() as dapper:
        if dapper:
            tasks["DAPPER Sqrt"] = _dapper_analysis(E, y, R)
        timings = take_turns(tasks, shortest=0.05)
        slow = _filterpy_analysis(E, y)
        if slow is not None:
            timings |= take_turns({"filterpy": slow}, repeats=1)
    where = f"n = p = {n:,}, N = {N}"
    bars = (("GEMMs", "<= 4.5"), ("DAPPER Sqrt", ">= 5"), ("filterpy", ">= 100"))
    rows = []
    for name, target in bars:
        if name == "GEMMs":
            ratio = timings["ours"] / timings[name]
            rows.append(Row(f"assimilation: ETKF over two GEMMs, {where}", ratio, "x",
                            compared(timings), target))  # fmt: skip
        elif name in timings:
            ratio = timings[name] / timings["ours"]
            rows.append(Row(f"assimilation: {name} over ETKF, {where}", ratio, "x", "", target))
    return rows


@contextlib.contextmanager
def _dapper() -> Iterator[bool]:
    """Say whether DAPPER is there; it prints when it is imported, and while it runs."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            import dapper.tools.progressbar as bars

            bars.disable_progbar = True
        except ImportError:
            yield False
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield True


def _dapper_analysis(E: FloatArray, y: FloatArray, R: FloatArray) -> Callable[[], Any]:
    from dapper.da_methods.ensemble import EnKF_analysis
    from dapper.tools.randvars import GaussRV

    noise = GaussRV(C=R, M=len(y))
    return lambda: EnKF_analysis(E, E, noise, y, "Sqrt")


def _filterpy_analysis(E: FloatArray, y: FloatArray) -> Callable[[], Any] | None:
    try:
        from filterpy.kalman import EnsembleKalmanFilter as Peer
    except ImportError:
        return None
    N, n = E.shape
    peer = Peer(E.mean(axis=0), np.eye(n), n, 1.0, N, lambda x: x, lambda x, dt: x)

    def update() -> None:
        peer.sigmas = E.copy()
        peer.update(y, R=0.5 * np.eye(n))

    return update


# -- local analyses ----------------------------------------------------------------


def _local(N: int, radius: float, target: str, n: int) -> list[Row]:
    """Compare a LETKF analysis on a ring with DAPPER's, at the batch size that suits it best."""
    rng = np.random.default_rng(1)
    E, y = rng.normal(size=(N, n)), rng.normal(size=n)
    ring = Localization.on_grid((n,), radius)

    def ours() -> FloatArray:
        return analyze(E, E, y, 0.5, scheme="letkf", rng=None, localization=ring)

    where = f"LETKF, n = p = {n:,}, N = {N}"
    with _dapper() as there:
        if not there:
            own = take_turns({"ours": ours})["ours"]
            return [Row(f"assimilation: {where}", own.cpu * 1e3, "ms", str(own))]
        tasks = {f"DAPPER, batches of {b}": _dapper_local(E, y, radius, b) for b in (1, 2, 4, 8)}
        timings = take_turns({"ours": ours} | tasks, repeats=3)
        answers = {name: task() for name, task in tasks.items()}
    found = ours()
    errors = {name: float(np.abs(found - answer).max()) for name, answer in answers.items()}
    same, best = "DAPPER, batches of 1", min(tasks, key=lambda name: timings[name].cpu)
    return [
        Row(f"assimilation: DAPPER over {where}", timings[same] / timings["ours"], "x",
            compared(timings), target),
        Row(f"assimilation: difference to DAPPER, {where}", errors[same], "", "", "<= 1e-10"),
        Row(f"assimilation: DAPPER's quickest batches over {where}",
            timings[best] / timings["ours"], "x",
            f"{best}; states of a batch share one analysis, which differs by {errors[best]:.2g}"),
    ]  # fmt: skip


def _dapper_local(E: FloatArray, y: FloatArray, radius: float, batch: int) -> Callable[[], Any]:
    from dapper.da_methods.ensemble import local_analyses
    from dapper.tools.localization import nd_Id_localization
    from dapper.tools.randvars import GaussRV

    n = E.shape[1]
    localizer = nd_Id_localization((n,), (batch,))
    noise = GaussRV(C=0.5, M=n)

    def task() -> Any:
        batches, taperer = localizer(radius, "x2y", "GC")
        return local_analyses(E.copy(), E.copy(), noise.C, y, batches, taperer)[0]

    return task


# -- cycles ------------------------------------------------------------------------


def _cycle(n_analyses: int) -> list[Row]:
    """Time a cycle of the Lorenz-96 twin, error and spread included."""
    twin = sakov_oke_2008()
    times, truth, y = twin.draw(n_analyses, rng=np.random.default_rng(0))
    method = EnsembleKalmanFilter("etkf", 28, 1.02, rotate=True, random_state=0)

    def ours() -> Any:
        return method.assimilate(twin.dynamics, None, 1.0, y, times, initial=(truth[0], 1.0),
                                 truth=truth, dt=0.05)  # fmt: skip

    with _dapper() as there:
        timings = take_turns({"ours": ours}, repeats=5)
        if there:
            peer, count = _dapper_cycle(n_analyses)
            timings |= take_turns({"DAPPER": peer}, repeats=1)
    own = timings["ours"].cpu / n_analyses
    what = "Lorenz-96 cycle, N = 28, with RMSE and spread"
    rows = [Row(f"assimilation: {what}", own * 1e3, "ms", compared(timings), "<= 0.5")]
    if there:
        ratio = timings["DAPPER"].cpu / count / own
        rows.append(Row(f"assimilation: DAPPER over {what}", ratio, "x", "", ">= 5"))
    return rows


def _dapper_cycle(n_analyses: int) -> tuple[Callable[[], Any], int]:
    import dapper.da_methods as da
    from dapper.mods.Lorenz96.sakov2008 import HMM

    HMM.tseq.Ko = n_analyses - 1
    xx, yy = HMM.simulate()
    return lambda: da.EnKF("Sqrt", N=28, infl=1.02, rot=True).assimilate(HMM, xx, yy), n_analyses


# -- answers -----------------------------------------------------------------------


def _missing() -> Row:
    """Compare NaN with rows that are not there, at irregular times."""
    rng = np.random.default_rng(2)
    times = np.cumsum(rng.uniform(0.02, 0.1, 20))
    law, start = lorenz96(12), rng.normal(size=12) + 3.0
    truth = np.asarray(law.simulate(start, np.concatenate([[0.0], times])))
    y = truth[1:] + rng.normal(size=(20, 12))
    seen = rng.random(y.shape) < 0.6
    E, worst = truth[0] + rng.normal(size=(9, 12)), 0.0
    rows = [row[s] for row, s in zip(y, seen, strict=True)]
    chosen = [np.flatnonzero(s) for s in seen]
    for scheme in ("etkf", "denkf", "ensrf", "enkfn"):
        method = EnsembleKalmanFilter(scheme, 9, 1.03)
        options: dict[str, Any] = {"initial": E, "start": 0.0, "dt": 0.05}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AssimilationWarning)  # nine members are few
            masked = method.assimilate(law, None, 1.0, np.where(seen, y, np.nan), times, **options)
            removed = method.assimilate(law, chosen, 1.0, rows, times, **options)
        worst = max(worst, float(np.abs(masked.mean - removed.mean).max()))
    name = "assimilation: NaN against rows removed, irregular times"
    return Row(name, worst, "", "20 analyses, four schemes", "<= 1e-12")


def _drift(duration: float) -> Row:
    size, inside = [], []
    for seed in range(3):
        times, error = track_drifting_rho(duration, seed=seed)
        late = np.abs(error[times > 0.1 * duration])
        size.append(float(np.sqrt(np.mean(late**2))))
        inside.append(float(np.mean(late <= 0.02)))
    name = f"assimilation: rho from 28 to 32 in {duration:g} time units, relative error"
    detail = (
        "root mean square after a tenth of the time, the worst of 3 seeds; "
        f"within 2 % at {100 * min(inside):.1f} % of the times or more"
    )
    return Row(name, max(size), "", detail, "<= 0.02")
