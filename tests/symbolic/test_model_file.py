"""Model files: exact to the bit, written in one step, and trusted with nothing."""

import copy
import json
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from discover.bench.exports import (
    error_units,
    law_coefficients,
    model_values,
    random_model,
    random_points,
    same_bits,
)
from discover.exceptions import ModelFileError
from discover.libraries.parse import parse_expression
from discover.libraries.termtable import TermTableBuilder
from discover.symbolic import SymbolicModel, model_file
from discover.symbolic.model_file import from_dict, from_json, to_dict, to_json


def law(inputs, terms, coefficients, **options):
    builder = TermTableBuilder(inputs)
    table = builder.table([parse_expression(term, builder) for term in terms])
    return SymbolicModel(table, np.array(coefficients, dtype=float), **options)


@pytest.fixture
def pelts():
    return law(
        ["h", "l", "f", "t"],
        ["h", "l", "h*l", "sin(2*t)*f", "1"],
        [[0.55, 0, -0.028, 0, 1e-310], [0, -0.84, 0.026, -0.0, 0]],
        support=[[1, 0, 1, 0, 1], [0, 1, 1, 1, 0]],
        state_names=["h", "l"],
        control_names=["f"],
        time_name="t",
        covariance=np.diag([1e-4, 1e-6, 1e-5, 2e-4, 1e-6, 0.0]) + 1e-9,
        units={"h": "pelts", "t": "year"},
        dt=0.1,
    )


def same(a, b):
    return (
        same_bits(law_coefficients(a), law_coefficients(b)) == 0
        and a.term_names == b.term_names
        and (a.kind, a.dt, a.time_name, a.units) == (b.kind, b.dt, b.time_name, b.units)
        and (a.state_names, a.control_names) == (b.state_names, b.control_names)
        and a.target_names == b.target_names
        and np.array_equal(a.support, b.support)
        and np.array_equal(a.covariance, b.covariance)
    )


# -- there and back ----------------------------------------------------------------------


def test_a_saved_model_is_the_same_model_when_loaded(pelts, tmp_path):
    path = pelts.save(tmp_path / "pelts.json")
    assert path == tmp_path / "pelts.json"
    back = SymbolicModel.load(str(path))
    assert same(pelts, back)
    x, u = np.random.default_rng(0).normal(size=(20, 2)), np.ones((20, 1))
    assert pelts.rhs(x, 0.3, u).tobytes() == back.rhs(x, 0.3, u).tobytes()


@settings(max_examples=200)
@given(seed=st.integers(0, 2**32 - 1), data=st.data())
def test_random_models_keep_every_bit_of_coefficients_and_values(seed, data):
    rng = np.random.default_rng(seed)
    model = random_model(rng)
    drawn = st.floats(allow_nan=False, allow_infinity=False)
    coefficients = model.coefficients.copy()
    for i, k in np.argwhere(model.support)[:4]:
        coefficients[i, k] = data.draw(drawn)
    model = model.with_coefficients(coefficients)
    back = from_json(to_json(model))
    assert same(model, back)
    points = random_points(rng, model)
    assert model_values(model, points).tobytes() == model_values(back, points).tobytes()
    assert not error_units(model, points, model_values(back, points)).any()


@pytest.mark.parametrize("kind", ["map", "increment", "direct"])
def test_kind_step_and_targets_survive(kind):
    targets = ("r",) if kind == "direct" else ("x",)
    units = {"x": "m", **({"r": "1"} if kind == "direct" else {"t": "s"})}
    model = law(
        ["x"], ["x", "x**2"], [[1.0, 0.1]], state_names=["x"], target_names=targets,
        kind=kind, dt=None if kind == "direct" else 0.25, units=units,
    )  # fmt: skip
    assert same(model, from_dict(to_dict(model)))


def test_the_unit_of_time_of_an_autonomous_law_survives():
    model = law(["x"], ["x"], [[1.0]], state_names=["x"], units={"x": "m", "t": "s"})
    assert to_dict(model)["time_unit"] == "s"
    assert from_dict(to_dict(model)).units == {"x": "m", "t": "s"}


def test_a_term_of_the_support_with_coefficient_zero_survives():
    model = law(["x"], ["x", "1"], [[0.0, 2.0]], state_names=["x"], support=[[True, True]])
    assert from_dict(to_dict(model)).support.tolist() == [[True, True]]


def test_a_law_without_terms_survives():
    model = law(["x"], ["x"], [[0.0]], state_names=["x"], covariance=np.zeros((0, 0)))
    back = from_dict(to_dict(model))
    assert back.complexity == 0
    assert back.covariance.shape == (0, 0)


def test_a_model_of_many_targets_and_terms_survives():
    names = [f"x{i}" for i in range(6)]
    terms = [f"{a}*{b}" for a in names for b in names if a <= b]
    rng = np.random.default_rng(1)
    coefficients = rng.normal(size=(6, len(terms)))
    covariance = np.cov(rng.normal(size=(coefficients.size, 400)))
    model = law(names, terms, coefficients, state_names=names, covariance=covariance)
    assert same(model, from_json(to_json(model)))


def test_the_file_is_json_that_a_person_can_read(pelts, tmp_path):
    text = pelts.save(tmp_path / "pelts.json").read_text(encoding="utf-8")
    data = json.loads(text)
    assert data["format"] == "discover.SymbolicModel"
    assert data["version"] == 1
    assert data["terms"][2] == ["mul", "h", "l"]
    assert data["equations"][0][0] == {"term": 0, "coefficient": 0.55}
    assert len(data["covariance"]) == 6 * 7 // 2
    assert data["text"] == [line for text in pelts.equations() for line in text.split("\n")]
    assert max(map(len, text.splitlines())) < 800


# -- writing -----------------------------------------------------------------------------


def test_saving_replaces_a_file_and_leaves_nothing_else(pelts, tmp_path):
    path = tmp_path / "m.json"
    path.write_text("old")
    pelts.save(path)
    assert same(pelts, SymbolicModel.load(path))
    assert [p.name for p in tmp_path.iterdir()] == ["m.json"]


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_failed_save_leaves_the_old_file_and_no_part_of_the_new(
    pelts, tmp_path, monkeypatch, failing
):
    path = tmp_path / "m.json"
    path.write_text("old")

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, failing, fail)
    with pytest.raises(OSError, match="disk full"):
        pelts.save(path)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["m.json"]


def test_saving_to_a_folder_or_into_no_folder_says_so(pelts, tmp_path):
    with pytest.raises(IsADirectoryError, match="is a folder"):
        pelts.save(tmp_path)
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        pelts.save(tmp_path / "missing" / "m.json")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="links need privileges on Windows")
def test_saving_through_a_link_writes_the_file_behind_it(pelts, tmp_path):
    (tmp_path / "link.json").symlink_to(tmp_path / "real.json")
    pelts.save(tmp_path / "link.json")
    assert (tmp_path / "link.json").is_symlink()
    assert same(pelts, SymbolicModel.load(tmp_path / "real.json"))


def test_what_cannot_be_read_back_is_not_written(tmp_path):
    builder = TermTableBuilder(["heart rate"])
    table = builder.table([builder.input("heart rate")])
    spaced = SymbolicModel(table, np.ones((1, 1)), ["heart rate"])
    with pytest.raises(ModelFileError, match=r"states\[0\].name must be an identifier"):
        spaced.save(tmp_path / "m.json")
    assert list(tmp_path.iterdir()) == []


def test_a_covariance_that_is_not_symmetric_is_not_written():
    model = law(
        ["x"], ["x", "1"], [[1.0, 2.0]], state_names=["x"],
        covariance=np.array([[1.0, 0.5], [0.1, 1.0]]),
    )  # fmt: skip
    with pytest.raises(ModelFileError, match="covariance must be symmetric"):
        to_dict(model)


def test_terms_whose_trees_would_explode_are_not_written():
    builder = TermTableBuilder(["x"])
    slot = builder.input("x")
    for _ in range(60):
        slot = builder.binary("add", slot, slot)
    model = SymbolicModel(builder.table([slot]), np.ones((1, 1)), ["x"])
    with pytest.raises(ModelFileError, match="terms must not hold more than 1000000 parts"):
        to_dict(model)


# -- reading -----------------------------------------------------------------------------


def small():
    return {
        "format": "discover.SymbolicModel",
        "version": 1,
        "kind": "continuous",
        "dt": None,
        "states": [{"name": "x", "unit": "m"}, {"name": "y", "unit": None}],
        "controls": [{"name": "u", "unit": None}],
        "time": "t",
        "time_unit": "s",
        "targets": [{"name": "x", "unit": "m"}, {"name": "y", "unit": None}],
        "terms": ["x", ["mul", "x", "y"], ["sin", ["add", 2.0, "u"]], ["pow", "t", 0.5], 1.0],
        "equations": [
            [{"term": 0, "coefficient": 1.5}, {"term": 1, "coefficient": -2}],
            [{"term": 2, "coefficient": 5e-324}, {"term": 4, "coefficient": -0.0}],
        ],
        "covariance": [1.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
        "text": ["ignored"],
        "created_with": "discover 0.1.0",
    }


def changed(path, value):
    data = small()
    part = data
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = value
    return data


BROKEN = [
    (["format"], "other", "format must be 'discover.SymbolicModel'; got 'other'"),
    (["version"], 2, "version must be 1"),
    (["version"], True, "version must be 1"),
    (["kind"], "ode", "kind must be one of"),
    (["kind"], ["map"], "kind must be one of"),
    (["dt"], -0.1, "dt must be positive or null; got -0.1"),
    (["dt"], float("inf"), "dt must be a finite number; got inf"),
    (["covarance"], None, "the document may only have the keys .* got 'covarance'"),
    (["states"], {}, "states must be a list; got an object of 0"),
    (["states"], [], "states must have an entry"),
    (["states", 1, "name"], "x", r"states\[1\].name must not be repeated; got 'x'"),
    (["states", 1, "name"], "a b", r"states\[1\].name must be an identifier; got 'a b'"),
    (["states", 1], {"name": "y"}, r"states\[1\] must be an object with the keys"),
    (["states", 0, "unit"], 3, r"states\[0\].unit must be printable text.*; got 3"),
    (["states", 0, "unit"], "\x1b[31m", r"states\[0\].unit must be printable text"),
    (["states", 0, "unit"], "km", r"targets\[0\].unit must be 'km' as before; got 'm'"),
    (["controls", 0, "name"], "y", "controls must not repeat the name of another input"),
    (["time"], "u", "time_unit must be null or the unit of 'u'"),
    (["time"], 1, "time must be printable text"),
    (["targets", 1, "name"], "z", "targets must be the states, in order"),
    (["terms", 0], "z", r"terms\[0\] must be one of the inputs .*; got 'z'"),
    (["terms", 0], True, r"terms\[0\] must be a name, a number or a list; got True"),
    (["terms", 0], float("nan"), r"terms\[0\] must be a finite number; got nan"),
    (["terms", 0], 10**400, r"terms\[0\] must be a finite number; got a whole number of"),
    (["terms", 0], [], r"terms\[0\] must be \[operation, argument, ...\]"),
    (["terms", 0], ["eval", "x"], r"terms\[0\]\[0\] must be one of .* got 'eval'"),
    (["terms", 0], ["sin", "x", "y"], r"terms\[0\] must have 1 arguments for 'sin'"),
    (["terms", 2, 1, 2], {}, r"terms\[2\]\[1\]\[2\] must be a name, a number or a list"),
    (["terms", 0], ["mul", "y", "x"], r"terms\[1\] must not be the same term as terms\[0\]"),
    (["equations"], [[]], "equations must have 2 entries, one per target; got a list of 1"),
    (["equations", 1], {}, r"equations\[1\] must be a list"),
    (["equations", 1, 0], 3, r"equations\[1\]\[0\] must be an object with the keys"),
    (["equations", 1, 0, "term"], 12, r"equations\[1\]\[0\].term must be an integer below 5"),
    (["equations", 1, 0, "term"], -1, r"equations\[1\]\[0\].term must be an integer below 5"),
    (["equations", 1, 0, "term"], 1.0, r"equations\[1\]\[0\].term must be an integer below 5"),
    (["equations", 0, 1, "term"], 0, r"equations\[0\]\[1\].term must be above .*; got 0"),
    (["equations", 0, 1, "coefficient"], "1", r"equations\[0\]\[1\].coefficient must be a number"),
    (["equations", 0, 1, "coefficient"], False, r"\[0\]\[1\].coefficient must be a number"),
    (["covariance"], [1.0], "covariance must have 10 numbers"),
    (["covariance", 4], None, r"covariance\[4\] must be a number"),
    (["covariance", 4], float("inf"), r"covariance\[4\] must be a finite number"),
    (["covariance", 2], -1.0, r"covariance\[2\] is a variance and must not be negative"),
]


@pytest.mark.parametrize(("path", "value", "message"), BROKEN)
def test_a_broken_part_is_named(path, value, message):
    with pytest.raises(ModelFileError, match=message):
        from_dict(changed(path, value))


@pytest.mark.parametrize("key", ["format", "version", "kind", "states", "terms", "equations"])
def test_a_missing_part_is_named(key):
    data = small()
    del data[key]
    with pytest.raises(ModelFileError, match=key):
        from_dict(data)


def test_the_small_document_is_a_model():
    model = from_dict(small())
    assert model.coefficients.tolist() == [[1.5, -2, 0, 0, 0], [0, 0, 5e-324, 0, -0.0]]
    assert model.units == {"x": "m", "t": "s"}


@pytest.mark.parametrize("data", [None, 3, "model", [], [small()]])
def test_a_document_that_is_not_an_object_is_refused(data):
    with pytest.raises(ModelFileError, match="the document must be an object"):
        from_dict(data)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ('{"dt": NaN}', "must hold finite numbers only; got 'NaN'"),
        ('{"dt": -Infinity}', "must hold finite numbers only"),
        ('{"dt": 1, "dt": 2}', "must not repeat a key in an object; got 'dt'"),
        ("[" * 100_000, "must not be nested so deeply"),
        ('{"dt": ' + "9" * 5000 + "}", "not JSON"),
    ],
)
def test_text_that_is_not_plain_json_is_refused(text, message):
    with pytest.raises(ModelFileError, match=message):
        from_json(text)


def test_numbers_too_large_for_a_double_are_refused():
    text = json.dumps(small()).replace("1.5", "1e999")
    with pytest.raises(ModelFileError, match=r"equations\[0\]\[0\].coefficient must be a finite"):
        from_json(text)


def test_deep_wide_and_multiplying_terms_are_refused():
    deep = "x"
    for _ in range(300):
        deep = ["sin", deep]
    with pytest.raises(ModelFileError, match="nested deeper than 250"):
        from_dict(changed(["terms", 0], deep))
    bomb = "x"
    for _ in range(8):
        bomb = ["pow", bomb, 64.0]
    with pytest.raises(ModelFileError, match="must not multiply more than 300 factors; got 4096"):
        from_dict(changed(["terms", 0], bomb))
    wide = "x"
    for _ in range(30):
        wide = ["sub", wide, wide]  # one object, seen 2**30 times
    with pytest.raises(ModelFileError, match="above 1000000 parts"):
        from_dict(changed(["terms", 0], wide))


def test_missing_files_folders_and_other_formats_say_what_they_are(tmp_path):
    with pytest.raises(ModelFileError, match=r"no\.json' does not exist"):
        SymbolicModel.load(tmp_path / "no.json")
    with pytest.raises(ModelFileError, match="is not a file"):
        SymbolicModel.load(tmp_path)
    (tmp_path / "a.json").write_bytes(b"\x80\x04\x95pickle")
    with pytest.raises(ModelFileError, match="is not UTF-8 text"):
        SymbolicModel.load(tmp_path / "a.json")
    (tmp_path / "b.json").write_text("x' = 3 x")
    with pytest.raises(ModelFileError, match=r"not JSON.*b\.json"):
        SymbolicModel.load(tmp_path / "b.json")


def test_a_file_above_the_limit_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(model_file, "_LARGEST_FILE", 10)
    (tmp_path / "a.json").write_text(json.dumps(small()))
    with pytest.raises(ModelFileError, match="larger than 10 bytes"):
        SymbolicModel.load(tmp_path / "a.json")


# -- fuzz --------------------------------------------------------------------------------

JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 12)
    | st.integers()
    | st.floats()
    | st.sampled_from(["x", "y", "u", "t", "mul", "pow", "neg", "sin", "", "__import__", "lambda"])
    | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["name", "unit", "term", "coefficient", "z"]), inner)
    ),
    max_leaves=6,
)


def places(part, path=()):
    yield path
    items = part.items() if isinstance(part, dict) else ()
    for key, value in enumerate(part) if isinstance(part, list) else items:
        yield from places(value, (*path, key))


def mutate(data, document):
    path = data.draw(st.sampled_from([p for p in places(document) if p]))
    parent = document
    for key in path[:-1]:
        parent = parent[key]
    action = data.draw(st.sampled_from(["replace", "delete", "repeat", "swap"]))
    if action == "delete":
        del parent[path[-1]]
    elif action == "repeat" and isinstance(parent, list):
        parent.insert(path[-1], copy.deepcopy(parent[path[-1]]))
    elif action == "swap" and isinstance(parent, list):
        parent.reverse()
    else:
        parent[path[-1]] = data.draw(JUNK)


@settings(max_examples=300)
@given(data=st.data())
def test_a_mutated_document_is_a_model_or_a_model_file_error(data):
    document = small()
    for _ in range(data.draw(st.integers(1, 4))):
        mutate(data, document)
    try:
        model = from_json(json.dumps(document))
    except ModelFileError:
        return
    assert same(model, from_dict(to_dict(model)))


@settings(max_examples=100)
@given(start=st.integers(0, 1000), length=st.integers(0, 20), junk=st.text(max_size=5))
def test_damaged_text_is_a_model_or_a_model_file_error(start, length, junk):
    text = json.dumps(small())
    try:
        model = from_json(text[:start] + junk + text[start + length :])
    except ModelFileError:
        return
    assert isinstance(model, SymbolicModel)
