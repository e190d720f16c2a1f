"""Whole equations from series of snapshots, with and without noise: nothing is known of them."""

import numpy as np
import pytest
from scipy.io import loadmat

from discover import Axis, Field, Grid, ModelErrorDiscovery, SymbolicModel
from discover.dynamics.field_law import FieldLaw
from discover.exceptions import DataError
from discover.libraries import SymbolicLibrary
from discover.observations.jets import jet_names

LAWS = {
    "Burgers": {"u*u_x": -1.0, "u_xx": 0.1},
    "Korteweg-de Vries": {"u*u_x": -6.0, "u_xxx": -1.0},
    "Kuramoto-Sivashinsky": {"u*u_x": -1.0, "u_xx": -1.0, "u_xxxx": -1.0},
}
BOXES = {
    "Burgers": (128, 16.0),
    "Korteweg-de Vries": (256, 60.0),
    "Kuramoto-Sivashinsky": (64, 22.0),
}


def start(name, x):
    if name == "Burgers":
        return np.exp(-((x - 6.0) ** 2))
    if (
        name == "Korteweg-de Vries"
    ):  # one soliton overtakes another: alone, each is also u_t = -c u_x
        return 0.5 / np.cosh(0.5 * (x - 10)) ** 2 + 0.25 / np.cosh(np.sqrt(0.125) * (x - 25)) ** 2
    return np.cos(2 * np.pi * x / 22) + 0.1 * np.random.default_rng(0).standard_normal(len(x))


@pytest.fixture(scope="module", params=LAWS)
def record(request):
    """Name and snapshots, every 0.1 (chaos: every 0.5, after a spin-up)."""
    name = request.param
    axis = Axis.box("x", *BOXES[name])
    table = SymbolicLibrary(list(LAWS[name])).build(jet_names(["u"], ["x"], 4))
    model = SymbolicModel(
        table, [list(LAWS[name].values())], table.inputs, target_names=["u_t"], kind="direct"
    )
    law, states = FieldLaw(model, Grid((axis,)), ("u",)), [start(name, axis.points)]
    spin_up, every, n = (400, 10, 80) if name.startswith("Kura") else (0, 2, 81)
    for _ in range(spin_up + every * n):
        states.append(law.step(states[-1], 0.0, 0.05))
    states = np.array(states[spin_up::every])
    return name, Field(states, 0.05 * every * np.arange(len(states)), axis)


@pytest.mark.parametrize("noise", [0.0, 1e-3, 0.05])
def test_the_equation_is_found_at_any_noise(record, noise):
    name, clean = record
    rng = np.random.default_rng(1)
    values = clean.values + noise * clean.values.std() * rng.standard_normal(clean.values.shape)
    found = ModelErrorDiscovery().fit(Field(values, clean.times, clean.grid))
    check(found, LAWS[name], 0.02)


def test_clean_snapshots_are_not_believed_to_the_last_digit(record):
    """Waves that are left out act on the others: the intervals must say so."""
    name, clean = record
    found = ModelErrorDiscovery().fit(clean)
    errors = np.sqrt(np.diag(found.error_.covariance))
    true = [LAWS[name][found.error_.term_names[j]] for j in np.flatnonzero(found.error_.support[0])]
    off = np.abs(found.error_.coefficients[found.error_.support] - true)
    assert (off < 3 * errors).all()
    assert "left out" in " ".join(found.notes_)


def test_without_a_solver_states_are_a_case_for_sindy():
    with pytest.raises(DataError, match="SINDy finds the whole law"):
        ModelErrorDiscovery().fit(np.random.default_rng(0).random((20, 2)), 0.1)


@pytest.mark.parametrize("noise", [0.0, 0.01, 0.1])
@pytest.mark.parametrize(
    ("file", "values", "times", "law"),
    [
        ("burgers.mat", "usol", "t", LAWS["Burgers"]),
        ("kdv.mat", "usol", "t", LAWS["Korteweg-de Vries"]),
        ("kuramoto_sivishinky.mat", "uu", "tt", LAWS["Kuramoto-Sivashinsky"]),
    ],
)
def test_the_published_records(measured, file, values, times, law, noise):
    """Rudy, Brunton, Proctor and Kutz, Science Advances 3 (2017) e1602614."""
    data = loadmat(measured(file))
    u = data[values].real.T
    u = u + noise * u.std() * np.random.default_rng(0).standard_normal(u.shape)
    field = Field(u, data[times].ravel(), Axis("x", data["x"].ravel()))
    check(ModelErrorDiscovery().fit(field), law, 0.01)


def check(found, law, tolerance):
    chosen = np.flatnonzero(found.error_.support[0])
    terms = {found.error_.term_names[j]: found.error_.coefficients[0, j] for j in chosen}
    assert terms == pytest.approx(law, rel=tolerance)
