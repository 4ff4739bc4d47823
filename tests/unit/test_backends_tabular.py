from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.errors import BackendError, ModelError
from adapter.testing_backends import CHECKS, Material
from backends.files import read_model, write_model
from backends.tabular import Tabular
from backends.tabular_columns import Columns, values_of
from backends.tabular_trees import Trees, grow

COLOURS = ["red", "green", "blue"]


def rows(count: int) -> tuple[list[dict[str, Any]], list[int]]:
    random = np.random.default_rng(0)
    examples: list[dict[str, Any]] = []
    for number in range(count):
        label = number % 3
        row = {"size": float(random.normal(4 * label, 1)), "colour": COLOURS[label], "noise": str(random.random())}
        if number % 5 == 0:
            del row["colour"]
        examples.append(row)
    return examples, [number % 3 for number in range(count)]


@pytest.mark.parametrize("count", [24, 60])
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
def test_it_keeps_the_contract(count: int, check: Callable[[Material, Path], None], tmp_path: Path) -> None:
    examples, labels = rows(count)
    check(Material(Tabular, ("size", "colour", "noise"), examples, labels, {"other": 1}, {"turns": 30}), tmp_path)


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("categorical", [0, 2])
def test_copied_trees_answer_as_scikit_learn_does(classes: int, categorical: int) -> None:
    from sklearn.ensemble import HistGradientBoostingClassifier

    random = np.random.default_rng(0)
    table = random.normal(size=(900, 5))
    table[:, :categorical] = random.integers(0, 60, (900, categorical))
    table[random.random(table.shape) < 0.2] = np.nan
    table[:60, :categorical] = np.arange(60)[:, None]
    seen = np.nan_to_num(table)
    seen[:, :categorical] = 2 * np.sin(2 * seen[:, :categorical])
    labels = (seen @ random.normal(size=(5, classes))).argmax(axis=1)
    weights = random.random(900) + 0.1
    kwargs: dict[str, Any] = {"turns": 30, "rate": 0.2, "leaves": 15, "smallest": 5, "seed": 0}
    trees = grow(table, labels, weights, categorical, classes, **kwargs)
    peer = HistGradientBoostingClassifier(
        max_iter=30,
        learning_rate=0.2,
        max_leaf_nodes=15,
        min_samples_leaf=5,
        l2_regularization=1.0,
        categorical_features=np.arange(5) < categorical if categorical else None,
        early_stopping=False,
        random_state=0,
    ).fit(table, labels, sample_weight=weights)
    fresh = random.normal(size=(400, 5)) * 3
    fresh[:, :categorical] = random.integers(0, 60, (400, categorical))
    fresh[random.random(fresh.shape) < 0.2] = np.nan
    logits = trees.logits(fresh)
    ours = np.exp(logits - logits.max(axis=1, keepdims=True))
    ours /= ours.sum(axis=1, keepdims=True)
    assert len(set(peer.predict(fresh))) == classes
    assert np.abs(ours - peer.predict_proba(fresh)).max() < 1e-9
    again = Trees.from_arrays(trees.arrays(), 5)
    assert np.array_equal(again.logits(fresh), logits)
    assert np.allclose(trees.by_turn(fresh)[-1], logits)
    assert len(trees.by_turn(fresh)) == 30


def test_numbers_categories_and_objects_become_columns() -> None:
    examples = [
        {
            "row": {"age": str(20 + n), "city": ["Rome", "Bonn"][n % 2], "deep": {"x": n}},
            "id": f"u{n}",
            "ok": n % 3 == 0,
        }
        for n in range(12)
    ]
    columns = Columns.find([values_of(example, ("row", "id", "ok")) for example in examples])
    assert columns.numeric == ("row.age", "row.deep.x")
    assert columns.categorical == ("ok", "row.city")  # an id that never comes again says nothing
    assert columns.categories == (("false", "true"), ("Bonn", "Rome"))
    table = columns.table([{"row.age": "31", "row.city": "Oslo", "row.deep.x": float("nan")}])
    assert table[0, 2] == 31
    assert np.isnan(table[0, [0, 1, 3]]).all()
    assert Columns.from_meta(columns.meta()).meta() == columns.meta()


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just(10**400),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from("ab"), VALUES, max_size=2), max_size=8))
def test_whatever_examples_hold_a_table_comes_of_it(examples: list[dict[str, Any]]) -> None:
    found = [values_of(example, ("a", "b")) for example in examples]
    columns = Columns.find(found)
    table = columns.table(found)
    assert table.shape == (len(examples), columns.count)
    assert not np.isinf(table).any()
    assert np.isfinite(columns.wide(table)).all()


def test_missing_values_and_unseen_categories_get_answers() -> None:
    examples, labels = rows(90)
    model = Tabular(("size", "colour"))
    targets, ones = np.eye(3, dtype=np.float32)[labels], np.ones(90, np.float32)
    model.fit(examples, targets, weights=ones, multiple=False, seed=0)
    answers = model.predict([{"colour": "mauve"}, {"size": 8.0}, {"size": "8", "colour": None}, {"colour": ""}])
    assert np.isfinite(answers[:3]).all()
    assert np.isnan(answers[3]).all()
    assert answers[1].argmax() == 2
    assert np.array_equal(answers[1], answers[2])


def test_more_turns_are_not_kept_than_held_out_examples_bear_out() -> None:
    random = np.random.default_rng(0)
    examples = [{"x": float(x)} for x in random.normal(size=300)]
    chance = np.eye(2, dtype=np.float32)[random.integers(0, 2, 300)]
    model = Tabular(("x",))
    model.fit(examples, chance, weights=np.ones(300, np.float32), multiple=False, seed=0)
    assert model._trees is not None
    assert len(model._trees.roots) < 20
    assert model.predict(examples).max() < 0.75


def test_without_a_telling_column_there_is_advice() -> None:
    model = Tabular(("name",))
    examples = [{"name": f"n{number}"} for number in range(8)]
    targets = np.eye(2, dtype=np.float32)[np.arange(8) % 2]
    with pytest.raises(BackendError, match="Linear"):
        model.fit(examples, targets, weights=np.ones(8, np.float32), multiple=False, seed=0)


@pytest.mark.parametrize(
    ("name", "value"),
    [("left", 0), ("column", 99), ("column", -1), ("group", 10**6), ("outputs", 7), ("roots", 10**6), ("right", 10**8)],
)
def test_trees_that_would_lead_nowhere_are_refused(name: str, value: int, tmp_path: Path) -> None:
    examples, labels = rows(60)
    model = Tabular(("size", "colour"), turns=5)
    ones = np.ones(60, np.float32)
    model.fit(examples, np.eye(3, dtype=np.float32)[labels], weights=ones, multiple=False, seed=0)
    model.save(tmp_path)
    meta, arrays = read_model(tmp_path, "Tabular")
    arrays[f"trees.{name}"] = np.full_like(arrays[f"trees.{name}"], value)
    write_model(tmp_path, "Tabular", {key: meta[key] for key in ("columns", "head")}, arrays)
    with pytest.raises(ModelError, match="trees"):
        Tabular(("size", "colour")).load(tmp_path)


def test_options_are_checked() -> None:
    with pytest.raises(BackendError, match="Did you mean 'leaves'"):
        Tabular(("x",), leafs=3)
    with pytest.raises(BackendError, match="above 0"):
        Tabular(("x",), rate=0)


@pytest.mark.data
def test_incomes_are_told_apart(data_folder: Path) -> None:
    with (data_folder / "adult_income" / "adult.data").open(encoding="utf-8") as file:
        found = [dict(row) for row in csv.DictReader(file, skipinitialspace=True)]
    random = np.random.default_rng(0)
    found = [found[row] for row in random.permutation(len(found))[:4_000]]
    labels = np.asarray([int(row.pop("Y").strip() == ">50K") for row in found])
    model = Tabular(tuple(found[0]))
    targets = np.eye(2, dtype=np.float32)[labels[:2_000]]
    model.fit(found[:2_000], targets, weights=np.ones(2_000, np.float32), multiple=False, seed=0)
    answers = model.predict(found[2_000:])[:, 1]
    assert ((answers > 0.5) == labels[2_000:]).mean() > 0.84
    assert abs(answers.mean() - labels[2_000:].mean()) < 0.03
