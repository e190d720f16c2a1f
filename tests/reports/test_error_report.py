"""The report on what a solver gets wrong: the example of the guide, and every kind of answer."""

import json
import re

import numpy as np
import pandas as pd
import pytest

from discover import (
    Axis,
    EnsembleKalmanFilter,
    Field,
    ModelErrorDiscovery,
    SymbolicLibrary,
    SymbolicModel,
    report,
)
from discover.dynamics.forecasts import ForecastComparison
from discover.exceptions import DataError
from discover.reports.drawing import Line, line_chart

X = Axis.box("x", 32, 2 * np.pi)
LIBRARY = "u, u_x, u_xx"


def heat(u, t, dt, nu=0.5):
    k = np.arange(17)
    return np.fft.irfft(np.fft.rfft(u) * np.exp(-nu * k**2 * dt - 0.3j * k * dt), 32)


def moving_heat(noise=0.0, n=60):
    """Waves that drift and are damped at once, seen every 0.05: the solver damps too little."""
    u = np.sin(X.points) + np.cos(2 * X.points) + 0.5 * np.sin(3 * X.points)
    states = [u]
    for _ in range(n - 1):
        states.append(heat(states[-1], 0.0, 0.05, 0.8))
    rng = np.random.default_rng(0)
    return Field(states + noise * rng.standard_normal((n, 32)), 0.05 * np.arange(n), X)


def bursts():
    start = moving_heat()
    u = [[s, heat(s, 0, 0.01, 0.8), heat(heat(s, 0, 0.01, 0.8), 0, 0.01, 0.8)]
         for s in start.values[::10, :, 0]]  # fmt: skip
    t = np.arange(len(u))[:, None] + [0.0, 0.01, 0.02]
    return Field(np.reshape(u, (-1, 32)), t.ravel(), X)


def contents(folder):
    return {path.name for path in folder.iterdir()}


def test_a_series_is_reported_with_nothing_but_the_answer(tmp_path):
    """As one would type it: solver, library, filter; fit; report."""
    found = ModelErrorDiscovery(
        dynamics=heat, library=LIBRARY,
        filter=EnsembleKalmanFilter("etkf", 40, random_state=0, model_noise=0.01),
    ).fit(moving_heat(0.01))  # fmt: skip
    report(found, tmp_path / "out")
    assert contents(tmp_path / "out") == {
        "report.html", "model.json", "equations.tex", "coefficients.csv", "verdict.json",
        "rivals.csv", "forecast.csv",
    }  # fmt: skip
    page = (tmp_path / "out" / "report.html").read_text()
    assert "rounds of assimilation and regression" in page
    assert page.count('<svg class="chart"') == 3  # error by lead time, spectrum, distribution
    assert "have been seen" in page


def test_the_joint_smoother_is_reported_as_a_repair(tmp_path):
    found = ModelErrorDiscovery(heat, LIBRARY).fit(moving_heat(0.01))
    assert found.error_.coefficients[0] == pytest.approx([0.0, 0.0, 0.3], abs=0.02)
    folder = report(found, tmp_path / "out")
    verdict = json.loads((folder / "verdict.json").read_text())
    assert verdict["outcome"] == "holds"
    numbers = {reason["about"]: reason["value"] for reason in verdict["reasons"]}
    assert numbers["innovations"] == pytest.approx(1.0, abs=0.2)
    law = SymbolicModel.load(folder / "model.json")
    np.testing.assert_array_equal(law.coefficients, found.error_.coefficients)
    forecast = pd.read_csv(folder / "forecast.csv")
    assert forecast["corrected_rmse"].iloc[20] < 0.5 * forecast["base_rmse"].iloc[20]
    again = report(found, tmp_path / "again")
    assert (again / "report.html").read_bytes() == (folder / "report.html").read_bytes()


def test_bursts_are_forecast_only_with_a_record(tmp_path):
    found = ModelErrorDiscovery(heat, LIBRARY).fit(bursts())
    with pytest.raises(DataError, match="only a complete series is a record"):
        found.forecast()
    alone = report(found, tmp_path / "alone")
    assert "No complete record" in (alone / "report.html").read_text()
    assert not (alone / "forecast.csv").exists()
    judged = report(found, tmp_path / "judged", holdout=moving_heat())
    assert "a record that was not fitted" in (judged / "report.html").read_text()
    assert pd.read_csv(judged / "forecast.csv")["corrected_rmse"].max() < 1e-3
    with pytest.raises(DataError, match="of the same kind"):
        report(found, tmp_path / "table", holdout=np.zeros((5, 2)), t=0.1)


def test_a_guess_of_states_is_reported_with_its_repair_and_names_are_escaped(tmp_path):
    t = np.linspace(0, 20, 200)
    values = np.exp(-0.05 * t)[:, None] * np.column_stack([np.cos(t), -np.sin(t)])
    values += 0.01 * np.random.default_rng(0).standard_normal(values.shape)
    table = SymbolicLibrary("q, p").build(["q", "p"])
    guess = SymbolicModel(table, [[0.0, 1.0], [-1.0, 0.0]], ["q", "p"])
    frame = pd.DataFrame(values, columns=["q", "p"])
    found = ModelErrorDiscovery(guess, "q, p").fit(frame, t)
    folder = report(found, tmp_path / "out", title="<b>mine</b>", command="a < b")
    page = (folder / "report.html").read_text()
    assert "&lt;b&gt;mine&lt;/b&gt;" in page
    assert "a &lt; b" in page
    assert "<b>mine" not in page
    repaired = SymbolicModel.load(folder / "repaired.json")
    assert repaired.coefficients == pytest.approx(np.array([[-0.05, 1.0], [-1.0, -0.05]]), abs=0.02)


def test_a_solver_without_error_is_said_to_show_none(tmp_path):
    found = ModelErrorDiscovery(lambda u, t, dt: heat(u, t, dt, 0.8), LIBRARY).fit(
        moving_heat(0.01)
    )
    verdict = json.loads((report(found, tmp_path / "out") / "verdict.json").read_text())
    assert verdict["headline"] == "These data show no error of the solver"


def test_a_law_without_data_is_refused(tmp_path):
    law = SymbolicModel(SymbolicLibrary("x").build(["x"]), [[1.0]], ["x"])
    with pytest.raises(DataError, match="data must be what the law was fitted to"):
        report(law, tmp_path / "out")


def test_densities_are_those_of_the_values():
    rng = np.random.default_rng(0)
    truth = rng.standard_normal((4000, 2)) * [1.0, 5.0]
    lost = truth.copy()
    lost[100:] = np.nan
    compared = ForecastComparison(np.arange(4000.0), truth, lost, truth)
    edges, density = compared.densities(1)
    assert set(density) == {"truth", "base", "corrected"}
    assert np.sum(density["truth"] * np.diff(edges)) == pytest.approx(1.0)
    assert np.sum(density["base"] * np.diff(edges)) == pytest.approx(1.0)
    middle = 0.5 * (edges[1:] + edges[:-1])
    wanted = np.exp(-(middle**2) / 50) / np.sqrt(50 * np.pi)
    np.testing.assert_allclose(density["truth"], wanted, atol=0.02)


def test_a_chart_leaves_gaps_where_a_run_is_lost():
    x = np.linspace(0, 1, 5)
    chart = line_chart(x, [Line("base", np.array([1.0, 2.0, np.nan, 3.0, 4.0]))], "a<b", "y")
    (curve,) = re.findall(r'class="base" d="([^"]*)"', chart)
    assert curve.count("M") == 2
    assert "a&lt;b" in chart
    empty = line_chart(x, [Line("base", np.full(5, np.nan))], "x", "y", logarithmic=True)
    assert "nan" not in empty
