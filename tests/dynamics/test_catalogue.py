"""The catalogue of published systems."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from discover import SINDy, SymbolicModel
from discover.dynamics import add_noise, list_systems, load_system, lyapunov_spectrum

ALL = list_systems()


def test_every_system_loads_and_moves_from_its_initial_state():
    for name in ALL:
        system = load_system(name)
        assert system.initial_state.shape == (system.dimension,)
        slope = system.model.rhs(system.initial_state)
        assert np.isfinite(slope).all(), name
        assert np.abs(slope).max() > 0, name
        assert system.period > 0
        assert system.reference
        assert system.description
        assert (system.degree is not None) == system.polynomial


def test_jacobian_of_every_system_is_the_slope_of_its_law():
    for name in ALL:
        system = load_system(name)
        if system.exponents is None:
            continue  # the law jumps
        x = system.initial_state + 0.01 * np.abs(system.initial_state) + 1e-3
        h = 1e-6 * np.maximum(np.abs(x), 1e-3)
        up, down = (system.model.rhs(x + sign * np.diag(h)) for sign in (1, -1))
        numeric = ((up - down) / (2 * h[:, None])).T
        exact = system.model.jacobian(x)
        size = np.abs(exact).max()
        np.testing.assert_allclose(exact, numeric, atol=1e-5 * size, err_msg=name)


def test_laws_survive_export_to_sympy_and_file(tmp_path):
    for name in ("BelousovZhabotinsky", "AnishchenkoAstakhov", "Torus", "WindmiReduced"):
        system = load_system(name)
        x = system.initial_state
        system.model.save(tmp_path / "law.json")
        again = SymbolicModel.load(tmp_path / "law.json")
        np.testing.assert_array_equal(again.rhs(x, 0.3), system.model.rhs(x, 0.3))
        values = dict(zip(system.model.state_names, x, strict=True)) | {"t": 0.3}
        found = [
            float(e.evalf(subs={s: values[s.name] for s in e.free_symbols}))
            for e in system.model.to_sympy(form="expr")
        ]
        np.testing.assert_allclose(found, system.model.rhs(x, 0.3), rtol=1e-9)


def test_selections_by_kind_and_size():
    assert set(list_systems(benchmark=True)) < set(list_systems(polynomial=True)) < set(ALL)
    assert all(load_system(name).dimension == 4 for name in list_systems(dimension=4))
    assert load_system("lorenz") is load_system("Lorenz")
    with pytest.raises(ValueError, match=r"did you mean Lorenz\b"):
        load_system("Lorentz")


def test_runs_follow_the_protocol_to_eleven_digits():
    system = load_system("Lorenz")
    runs = system.trajectories(3)
    assert [len(run) for run in runs] == [1000] * 3
    for run in runs:
        assert run.times[-1] == pytest.approx(10 * system.period)
        exact = solve_ivp(
            lambda t, x: system.model.rhs(x),
            run.times[[0, 200]],
            run.states[0],
            t_eval=run.times[:201],
            method="DOP853",
            rtol=1e-13,
            atol=1e-13,
        ).y.T
        assert np.abs(run.states[:201] - exact).max() < 1e-10 * np.abs(exact).max()
    # one long run: 20 periods to settle, stretches 3.7 periods apart
    start = solve_ivp(
        lambda t, x: system.model.rhs(x), [0, 3.7 * system.period], runs[0].states[-1],
        method="DOP853", rtol=1e-13, atol=1e-13,
    ).y[:, -1]  # fmt: skip
    np.testing.assert_allclose(start, runs[1].states[0], rtol=1e-6)


def test_noise_has_the_level_asked_for_and_repeats_with_the_seed():
    system = load_system("Rossler")
    clean = system.trajectories(5)
    one, two = (system.trajectories(5, noise=0.1, rng=np.random.default_rng(7)) for _ in range(2))
    stack = np.concatenate([run.states for run in clean])
    error = np.concatenate([run.states for run in one]) - stack
    np.testing.assert_allclose(error.std(axis=0), 0.1 * stack.std(axis=0), rtol=0.05)
    np.testing.assert_array_equal(one[2].states, two[2].states)
    with pytest.raises(ValueError, match="rng"):
        add_noise(clean, 0.1, rng=None)


@pytest.mark.parametrize("name", ["Lorenz", "SprottB", "Thomas", "Hopfield"])
def test_stored_exponents_are_those_of_the_law(name):
    system = load_system(name)
    found = lyapunov_spectrum(system.model, system.initial_state, 150 * system.period)
    error = np.hypot(found.standard_errors, system.exponent_errors)
    assert (np.abs(found.exponents - system.exponents) < 4 * error + 1e-4).all()


def test_sindy_recovers_a_catalogued_law_from_its_runs():
    system = load_system("SprottB")
    law = SINDy().fit(system.trajectories(2)).symbolic_
    known = dict(zip(system.model.term_names, system.model.coefficients.T, strict=True))
    for k, name in enumerate(law.term_names):
        expected = known.get(name, np.zeros(3))
        np.testing.assert_allclose(law.coefficients[:, k], expected, atol=1e-6)
