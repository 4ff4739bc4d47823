"""The vectorized plan gives the votes, faults and confidences of the functions' row rules, on any data."""

from __future__ import annotations

import datetime
import re
import threading
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.labeling import LabelingFunction, column, keywords, labeling_function, lookup, model_output, nearest, regex
from adapter.labeling.answers import reason
from adapter.labeling.vectorized import CHUNK, LONGEST_CONFIRMED, Plan, absent_fields, matching, plan

LABELS = ("ham", "spam")


def expected(functions: Sequence[LabelingFunction], rows: Sequence[Any]) -> tuple[np.ndarray, np.ndarray, list[Any]]:
    """What the row rules say: votes, confidences and faults."""
    votes = np.full((len(rows), len(functions)), -1, np.int16)
    sure = np.ones((len(rows), len(functions)), np.float32)
    faults = []
    for row, data in enumerate(rows):
        for index, function in enumerate(functions):
            try:
                answer = function.function(data)
            except Exception as error:
                votes[row, index] = -2
                faults.append((row, index, reason(error.with_traceback(None))))  # without the line of this test
                continue
            if isinstance(answer, tuple):
                answer, sure[row, index] = answer
            votes[row, index] = -1 if answer is None else LABELS.index(answer)
    return votes, sure, faults


def planned(functions: Sequence[LabelingFunction]) -> Plan:
    return plan(functions, [LABELS] * len(functions))


def agree(functions: Sequence[LabelingFunction], rows: Sequence[Any]) -> Plan:
    """Assert that the plan answers as the row rules do, where it leaves the answer to nobody else."""
    made = planned(functions)
    votes, sure, faults, left = made.votes(rows)
    true_votes, true_sure, true_faults = expected([functions[index] for index in made.able], rows)
    assert votes.dtype == np.int16
    assert (votes[~left] == true_votes[~left]).all()
    assert (votes[left] == -2).all()
    if sure is None:
        assert (true_sure == 1).all()
    else:
        assert sure.dtype == np.float32
        assert (sure[~left] == true_sure[~left]).all()
    kept = [(row, made.able[at], why) for row, at, why in true_faults if not left[row, at]]
    assert faults == kept
    columns = {name: [row.get(name) for row in rows] for name in {name for row in rows for name in row}}
    if columns:
        again = made.votes_of_columns(columns)
        assert (again[0] == votes).all()
        assert again[2] == faults
        assert (again[3] == left).all()
    return made


TEXTS = st.one_of(
    st.text(alphabet="fre win\n.!$123kK\u017fİé中\x1c\ud800", max_size=20),
    st.lists(st.sampled_from(["free", "Win", "FREE", "w\u0131n", "\u212a9", "x", "\n", "é"]), max_size=6).map(" ".join),
    st.sampled_from([None, "", 3, 2.5, float("nan"), [], {}, b"free", True, np.str_("free"), np.float64("nan")]),
)  # fmt: skip

TEXT_FUNCTIONS = [
    keywords("spam", ["free", "win", "credit card"]),
    keywords("spam", ["free", "win", "k9"], at_least=2, confidence=0.75),
    keywords("ham", ["ree", "in"], whole_words=False, ignore_case=False),
    keywords("ham", ["é", "中", "$"], whole_words=False),
    keywords("spam", [f"word{number}" for number in range(300)] + ["free", "k9", "win"]),
    keywords("spam", [f"word{number}" for number in range(300)] + ["free", "k9", "win"], at_least=2),
    regex("spam", r"\bfree\b.*\bwin\b", flags=re.I | re.S),
    regex("ham", r"^\s*$"),
    regex("ham", r"[!?.]$", flags="m"),
    regex("spam", r"(free|win) \1", flags="i"),
    regex("spam", r"fr(?!ee)\w", confidence=0.5),
]


@settings(max_examples=150, deadline=None)
@given(st.lists(TEXTS, max_size=25), st.booleans())
def test_text_functions_vote_as_their_rules_do(texts: list[Any], missing: bool) -> None:
    made = agree(TEXT_FUNCTIONS, [{"text": text} for text in texts] + [{"other": "free"}] * missing)
    assert made.able == tuple(range(len(TEXT_FUNCTIONS)))


VALUES = st.one_of(
    st.integers(-100, 100), st.floats(), st.booleans(), st.none(),
    st.sampled_from(["12", " 7 ", "1e3", "nan", "NA", "?", "", "x", "True", "false", "1_0", "inf", "Ⅷ", "٣", "12.0"]),
    st.sampled_from([10**400, Decimal("3.5"), Decimal("sNaN"), np.int64(12), np.float32(0.5), np.bool_(True), [], {},
                     b"7", "a b", datetime.date(2024, 1, 1), 3 + 4j]),
)  # fmt: skip

VALUE_FUNCTIONS = [
    column("spam", "x", at_least=7),
    column("spam", "x", above=7, below=1000.5, confidence=0.9),
    column("spam", "x", at_most=0),
    column("ham", "x", equals=12),
    column("ham", "x", equals="12"),
    column("ham", "x", equals=True),
    column("ham", "x", one_of=["x", "a b", 0.5, False]),
    column("ham", "x", one_of=[1, 12, "7"], at_least=0),
    model_output("spam", "x", at_least=0.5),
    lookup({"12": "ham", "true": "spam", "A  B": "spam"}, field="x"),
    lookup({"12": "ham", "X": "spam"}, field="x", ignore_case=False),
    lookup({"b": "ham", "a b": "spam", "7": "ham"}, field="x", whole=False, confidence=0.25),
]


@settings(max_examples=150, deadline=None)
@given(
    st.one_of(st.lists(VALUES, max_size=25), st.lists(st.floats(), max_size=9), st.lists(st.integers(0, 20).map(str)))
)
def test_functions_of_a_value_vote_as_their_rules_do(values: list[Any]) -> None:
    made = agree(VALUE_FUNCTIONS, [{"x": value} for value in values])
    assert made.able == tuple(range(len(VALUE_FUNCTIONS)))


@pytest.mark.parametrize(
    "value",
    [{"toxic": 0.9}, {"toxic": "0.95"}, {"toxic": None}, {}, '{"toxic": 0.91}', "{", "", None, {"kind": 1}, 0.9, []],
)  # fmt: skip
def test_scores_by_key(value: object) -> None:
    agree([model_output("spam", "s", key="toxic", at_least=0.9)], [{"s": value}, {}])


def test_scores_answer_by_key() -> None:
    rows = [{"s": {"toxic": 0.95}}, {"s": {"toxic": 0.5}}, {"s": '{"toxic": 1}'}, {"s": {"kind": 1}}]
    votes, _, faults, _ = planned([model_output("spam", "s", key="toxic", at_least=0.9)]).votes(rows)
    assert votes[:, 0].tolist() == [1, -1, 1, -2]
    assert faults[0][0] == 3
    assert "no score for 'toxic'" in faults[0][2]


def test_only_what_can_be_computed_here_is_able() -> None:
    @labeling_function
    def plain(data: Any) -> str | None:
        return None

    functions = [
        plain,
        keywords("spam", ["a"]),
        keywords("no such label", ["a"]),
        nearest("spam", ["a"]),
        lookup({"a": "spam", "b": "no such label"}),
        column("spam", "x", at_least=1),
        regex("spam", "a" * 600),
        keywords("spam", ["a" * 600]),
        regex("spam", "b", field="title"),
    ]
    made = planned(functions)
    assert made.able == (1, 5, 7, 8)
    rows = [{"text": "a", "x": 3, "title": "b"}, {"text": "a" * 600, "x": 0, "title": "c"}]
    assert made.votes(rows)[0].tolist() == [[1, 1, -1, 1], [-1, -1, 1, -1]]


def test_the_label_code_is_that_of_each_functions_own_control() -> None:
    functions = [keywords("spam", ["a"]), keywords("spam", ["a"])]
    made = plan(functions, [("spam", "ham"), ("x", "y", "spam")])
    assert made.votes([{"text": "a"}])[0].tolist() == [[0, 2]]


def test_without_hyperscan_texts_are_left_to_the_row_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matching.importlib.util, "find_spec", lambda name: None)
    long = keywords("spam", [f"w{number}" for number in range(300)])
    made = planned([keywords("spam", ["a"]), regex("spam", "a"), column("spam", "x", at_least=1), long])
    assert made.able == (2, 3)
    assert made.votes([{"text": "w7 x", "x": 2}])[0].tolist() == [[1, 1]]


def test_a_regex_that_could_backtrack_for_ever_is_never_run_here() -> None:
    evil = regex("spam", r"(a+)+\1$")
    made = planned([evil])
    votes, _, faults, left = made.votes([{"text": "a" * 50_000 + "!"}, {"text": "b"}])
    assert left[:, 0].tolist() == [True, False]
    assert votes[:, 0].tolist() == [-2, -1]
    assert faults == []


def test_very_long_texts_are_confirmed_by_a_worker() -> None:
    made = planned([keywords("spam", ["free"])])
    texts = ["é " + "x" * LONGEST_CONFIRMED + " free", "é free", "x" * LONGEST_CONFIRMED + " free"]
    votes, _, _, left = made.votes([{"text": text} for text in texts])
    assert left[:, 0].tolist() == [True, False, False]
    assert votes[:, 0].tolist() == [-2, 1, 1]


def test_no_rows_give_empty_answers() -> None:
    made = planned([keywords("spam", ["a"], confidence=0.5), column("spam", "x", at_least=1)])
    for votes, sure, faults, left in (made.votes([]), made.votes_of_columns({}), made.votes_of_columns({"text": []})):
        assert votes.shape == left.shape == (0, 2)
        assert sure is not None
        assert sure.shape == (0, 2)
        assert faults == []


def test_columns_may_be_frames_arrays_or_arrow_and_longer_than_a_chunk() -> None:
    import pandas as pd
    import pyarrow as pa

    texts = ["free", "no", None] * 6000 + ["free"]
    ages = [10.0, float("nan"), 50.0] * 6000 + [70.0]
    assert len(texts) > CHUNK
    made = planned([keywords("spam", ["free"]), column("spam", "age", at_least=40)])
    want = [[1, -1], [-1, -1], [-1, 1]] * 6000 + [[1, 1]]
    for columns in (
        {"text": texts, "age": ages},
        pd.DataFrame({"text": texts, "age": ages}),
        {"text": pa.chunked_array([texts[:7], texts[7:]]), "age": np.asarray(ages)},
    ):
        if isinstance(columns, pd.DataFrame):
            columns = {str(name): columns[name] for name in columns}
        votes, _, faults, left = made.votes_of_columns(columns)
        assert votes.tolist() == want
        assert not faults
        assert not left.any()


def test_faults_of_later_chunks_keep_their_rows() -> None:
    made = planned([keywords("spam", ["free"])])
    texts: list[Any] = ["free"] * (CHUNK + 5)
    texts[CHUNK + 2] = 7
    _, _, faults, _ = made.votes_of_columns({"text": texts})
    assert [(row, index) for row, index, _ in faults] == [(CHUNK + 2, 0)]


def test_a_field_that_no_row_has_is_told_with_the_nearest_one() -> None:
    functions = [keywords("spam", ["a"]), keywords("spam", ["a"], field="texts"), column("spam", "x", at_least=1)]
    advice = absent_fields(functions, [{"text": "a"}, {"text": None}])
    assert set(advice) == {1, 2}
    assert "'texts'" in advice[1]
    assert "Did you mean 'text'?" in advice[1]
    assert absent_fields(functions, []) == {}


def test_threads_share_a_plan() -> None:
    made = planned(TEXT_FUNCTIONS)
    rows = [{"text": text} for text in ["free win", "é free", "no", "free free"] * 200]
    want = made.votes(rows)[0]
    got: list[bool] = []
    threads = [threading.Thread(target=lambda: got.append(bool((made.votes(rows)[0] == want).all()))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == [True] * 6
