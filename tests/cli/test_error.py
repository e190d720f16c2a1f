"""``discover error``: from a file and somebody's solver to the law of its error."""

import numpy as np
import pytest
import xarray

from discover import Axis, Field, SymbolicModel
from discover.cli import main
from discover.exceptions import DataError

SOLVER = """
import numpy as np

class Heat:
    nu = 0.5

    def step(self, u, t, dt):
        k = np.arange(17)
        return np.fft.irfft(np.fft.rfft(u) * np.exp(-self.nu * k**2 * dt), 32)

step = Heat().step
broken = 3
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A solver with half of the diffusion, and bursts of the heat equation."""
    (tmp_path / "heat_solver.py").write_text(SOLVER)
    x = 2 * np.pi / 32 * np.arange(32)
    t = (np.arange(8)[:, None] + [0.0, 0.01, 0.02]).ravel()
    phase = np.repeat(np.arange(8), 3)
    decay = np.exp(-(t - phase))[:, None]
    u = decay * np.sin(x + phase[:, None]) + decay**4 * np.cos(2 * x - phase[:, None])
    dataset = xarray.Dataset({"u": (("x", "time"), u.T)}, {"x": x, "time": t})
    dataset.to_netcdf(tmp_path / "seen.nc", engine="h5netcdf")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("solver", ["heat_solver:step", "heat_solver:Heat"])
def test_the_error_is_found_and_written(folder, solver, capsys):
    code = main(["error", "seen.nc", "--solver", solver, "--library", "u, u_x, u_xx", "--out", "o"])
    assert code == 0, capsys.readouterr().err
    assert "u_xx" in capsys.readouterr().out
    law = SymbolicModel.load(folder / "o" / "model.json")
    found = dict(zip(law.term_names, law.coefficients[0], strict=True))
    assert found == {"u": 0.0, "u_x": 0.0, "u_xx": pytest.approx(0.5, rel=1e-6)}
    assert r"\partial_{x}^{2} u" in (folder / "o" / "equations.tex").read_text()
    assert "heat_solver" in (folder / "o" / "report.html").read_text()


def test_a_record_is_forecast_with_and_without_a_report(folder, capsys):
    asked = ["error", "seen.nc", "--solver", "heat_solver:step", "--library", "u_xx"]
    assert main([*asked, "--holdout", "seen.nc"]) == 0
    assert "valid prediction time" in capsys.readouterr().out
    assert main([*asked, "--holdout", "seen.nc", "--out", "o"]) == 0
    assert (folder / "o" / "forecast.csv").exists()


def test_a_folder_that_holds_something_else_is_refused_before_the_fit(folder, capsys):
    (folder / "mine").mkdir()
    (folder / "mine" / "thesis.txt").write_text("all of it")
    code = main(["error", "seen.nc", "--solver", "heat_solver:step", "--out", "mine"])
    assert code != 0
    assert "is not a report" in capsys.readouterr().err
    assert (folder / "mine" / "thesis.txt").exists()


@pytest.mark.parametrize(
    ("solver", "said"),
    [
        ("heat_solver", "must be like mymodel:step"),
        ("no_such_solver:step", "no module 'no_such_solver'"),
        ("heat_solver:leap", "has no 'leap'"),
        ("heat_solver:broken", "must be step(x, t, dt)"),
    ],
)
def test_a_solver_that_cannot_be_used_is_refused(folder, solver, said, capsys):
    assert main(["error", "seen.nc", "--solver", solver]) == 2
    assert said in " ".join(capsys.readouterr().err.replace("│", " ").split())


def test_a_field_from_xarray_does_not_depend_on_the_order_of_dimensions(folder):
    with xarray.open_dataset("seen.nc") as data:
        one, two = Field.from_xarray(data), Field.from_xarray(data["u"].transpose("time", "x"))
    assert np.array_equal(one.values, two.values)
    assert one.names == ("u",)
    assert one.grid.axes[0].length == pytest.approx(Axis.box("x", 32, 2 * np.pi).length)
    with pytest.raises(DataError, match="time must be one of"):
        Field.from_xarray(data, time="when")


def test_columns_can_be_controls(folder, capsys):
    (folder / "pushed.py").write_text("def step(x, t, dt, u):\n    return x - dt * x\n")
    t = np.linspace(0.0, 6.0, 121)
    push = np.sin(2 * t)
    x = (np.sin(2 * t) - 2 * np.cos(2 * t) + 2 * np.exp(-t)) / 5  # x' = -x + push
    lines = [
        "t,x,push",
        *(f"{a:.17g},{b:.17g},{c:.17g}" for a, b, c in zip(t, x, push, strict=True)),
    ]
    (folder / "seen.csv").write_text("\n".join(lines))
    asked = ["error", "seen.csv", "-t", "t", "-u", "push", "--solver", "pushed:step"]
    assert main(asked) == 0, capsys.readouterr().err
    assert "push" in capsys.readouterr().out.splitlines()[1]


def test_a_field_may_have_ends(folder, capsys):
    (folder / "frozen.py").write_text("def step(u, t, dt):\n    return u\n")
    x = np.linspace(0.0, 1.0, 65)
    t = (np.arange(30)[:, None] + [0.0, 0.01, 0.02]).ravel()
    a = np.random.default_rng(0).standard_normal((4, 30)).repeat(3, axis=1)
    k = np.pi * np.arange(1, 5)[:, None, None]
    moving = np.sin(k * x) * np.exp(-0.1 * k**2 * (t % 1)[:, None])  # of the heat equation
    u = np.einsum("kt,ktx->tx", a, moving) + 0.3 * x
    xarray.Dataset({"u": (("time", "x"), u)}, {"x": x, "time": t}).to_netcdf(
        "ends.nc", engine="h5netcdf"
    )
    assert main(["error", "ends.nc", "--solver", "frozen:step", "--open"]) == 0
    assert capsys.readouterr().out.splitlines()[1].endswith("u_xx")


RING = """
import numpy as np

def step(x, t, dt):
    return x - dt * x
"""


def test_sites_of_a_ring_share_one_law(tmp_path, monkeypatch, capsys):
    """Every site follows the one before; the solver only knows that it decays."""
    (tmp_path / "ring_solver.py").write_text(RING)
    t = 0.05 * np.arange(3)
    k = np.arange(8)
    rate = 0.5 * np.exp(-2j * np.pi / 8 * k) - 1.0  # of the waves of the ring
    start = np.fft.fft(np.random.default_rng(0).standard_normal((20, 8)))
    x = np.fft.ifft(start[:, None] * np.exp(rate * t[:, None])).real
    times = (np.arange(20)[:, None] + t).ravel()
    dataset = xarray.Dataset(
        {"X": (("time", "k"), x.reshape(-1, 8))}, {"time": times, "k": k.astype(float)}
    )
    dataset.to_netcdf(tmp_path / "ring.nc", engine="h5netcdf")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    asked = ["error", "ring.nc", "--solver", "ring_solver:step", "--sites"]
    assert main([*asked, "--library", "X, X_km1, X_kp1, X**2", "--out", "o"]) == 0
    assert "0.5" in capsys.readouterr().out
    assert "X_{k-1}" in (tmp_path / "o" / "equations.tex").read_text()
