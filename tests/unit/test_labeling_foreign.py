"""Snorkel's own labeling functions in a module are found and called as they are."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from adapter.labeling import answer_codes, bound, discover, read_answer
from adapter.labeling.foreign import Row

TEXT = """
from snorkel.labeling import LabelingFunction, labeling_function
from snorkel.preprocess import preprocessor

CALLS = []

@preprocessor(memoize=True)
def words(x):
    CALLS.append(x.text)
    x.words = x.text.split()
    return x

@labeling_function(resources={"bad": {"win"}}, pre=[words])
def bad_words(x, bad):
    \"\"\"Words of spammers.\"\"\"
    return 0 if bad & set(x.words) else -1

@labeling_function()
def short(x):
    return 1 if len(x["text"]) < 5 else -1

def keyword(x, word):
    return 0 if word in x.text else -1

RULES = [LabelingFunction(name=f"kw_{w}", f=keyword, resources={"word": w}) for w in ("free", "click")]

@labeling_function()
def fails(x):
    return x.txet

short.control = "topic"
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("snorkel")
    (made / "functions.py").write_text(TEXT, encoding="utf-8")
    return made


@pytest.mark.filterwarnings("ignore")
def test_snorkels_functions_are_found_with_resources_and_preprocessors(folder: Path) -> None:
    functions = {function.name: function for function in discover(folder / "functions.py")}
    assert list(functions) == ["bad_words", "short", "kw_free", "kw_click", "fails"]
    assert all(function.indexed and function.version for function in functions.values())
    assert (functions["bad_words"].doc, functions["bad_words"].line) == ("Words of spammers.", 13)
    assert (functions["short"].control, functions["fails"].control) == ("topic", None)
    rows = [{"text": "win a car"}, {"text": "hey"}, {"text": "free and click"}]
    labels = ("spam", "ham")
    votes = {}
    for name in ("bad_words", "short", "kw_free", "kw_click"):
        rule, codes = bound(functions[name]), answer_codes(functions[name], labels)
        votes[name] = [read_answer(rule(row), codes, labels, "topic")[0] for row in rows]
    assert votes == {
        "bad_words": [0, -1, -1],
        "short": [-1, 1, -1],
        "kw_free": [-1, -1, 0],
        "kw_click": [-1, -1, 0],
    }
    with pytest.raises(AttributeError, match=r"no field 'txet'\. Did you mean 'text'"):
        functions["fails"](rows[0])
    module = functions["bad_words"].function.function._f.__globals__  # type: ignore[attr-defined]
    assert module["CALLS"] == ["win a car", "hey", "free and click"]
    bound(functions["bad_words"])(rows[0])
    assert len(module["CALLS"]) == 3, "its own memory is kept"
    assert type(module["words"]._cache) is not dict, "but bounded"


@pytest.mark.filterwarnings("ignore")
def test_a_snorkel_functions_version_follows_its_own_code(folder: Path) -> None:
    before = {function.name: function.version for function in discover(folder / "functions.py")}
    (folder / "functions.py").write_text(TEXT.replace("< 5", "< 6"), encoding="utf-8")
    after = {function.name: function.version for function in discover(folder / "functions.py")}
    assert {name for name in before if before[name] != after[name]} <= {
        "short",
        "bad_words",
        "fails",
        "kw_free",
        "kw_click",
    }
    assert before["short"] != after["short"]


def test_rows_have_attributes_and_items_and_fields_win_over_methods() -> None:
    row = Row()
    row.__dict__.update({"text": "a", "keys": [1], "hours-per-week": 40})
    assert (row.text, row["text"], row.get("text"), row["hours-per-week"]) == ("a", "a", "a", 40)
    assert row.keys == [1]
    assert ("text" in row, "more" in row, list(row), len(row)) == (True, False, ["text", "keys", "hours-per-week"], 3)
    row.more = 2
    row["again"] = 3
    copied = pickle.loads(pickle.dumps(row))
    assert (copied.more, copied.again, copied == row) == (2, 3, True)
    with pytest.raises(KeyError, match=r"no field 'txt'\. Did you mean 'text'"):
        row["txt"]
