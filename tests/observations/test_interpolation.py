"""What a column does between its samples, told from the samples."""

import numpy as np
import pytest

from discover.observations.interpolation import column_path, is_curved, is_stepped

T = np.linspace(0, 10, 201)
RNG = np.random.default_rng(0)
STEPPED = {
    "held": np.repeat(RNG.normal(size=21), 10)[:201],
    "two values": RNG.integers(2, size=201) * 1.0,
    "one switch": np.where(T < 5, 2.0, 3.0),
}
NOT_STEPPED = {
    "constant": np.ones(201),
    "noise": RNG.normal(size=201),
    "ramp": T,
    "wave": np.sin(T),
    "clipped wave": np.clip(2 * np.sin(T), -1, 1),
}


@pytest.mark.parametrize("name", [*STEPPED, *NOT_STEPPED])
def test_commands_that_are_held_are_told_from_what_moves(name):
    column = {**STEPPED, **NOT_STEPPED}[name]
    assert is_stepped(column[:, None])[0] == (name in STEPPED)
    assert is_stepped(-3.7 * column[:, None])[0] == (name in STEPPED)


def test_columns_are_read_in_their_own_ways():
    values = np.column_stack([STEPPED["held"], np.sin(T), NOT_STEPPED["noise"]])
    assert is_curved(values, T).tolist() == [False, True, False]
    middle = column_path(values, T)(T[:-1] + 0.02)
    np.testing.assert_array_equal(middle[:, 0], values[:-1, 0])
    np.testing.assert_allclose(middle[:, 1], np.sin(T[:-1] + 0.02), atol=1e-6)
    np.testing.assert_allclose(middle[:, 2], 0.6 * values[:-1, 2] + 0.4 * values[1:, 2])
