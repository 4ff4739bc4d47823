"""Declared functions: what they vote, what they refuse with advice, and how they read in a table."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.errors import BackendError, FunctionsError
from adapter.labeling import LabelingFunction, column, discover, keywords, lookup, model_output, nearest, regex
from adapter.labeling.declared.text import LONG_LIST


def says(function: LabelingFunction, **data: Any) -> Any:
    return function.function(data)


def test_keywords_find_whole_words_whatever_their_case() -> None:
    one = keywords("spam", ["free", "credit card"])
    assert says(one, text="It is FREE!") == "spam"
    assert says(one, text="freedom") is None
    assert says(one, text="a credit\n card") == "spam"
    assert says(one, text="free_") is None
    assert says(one, text="éfree") is None
    assert says(keywords("spam", ["free"], whole_words=False), text="freedom") == "spam"
    assert says(keywords("spam", ["Free"], ignore_case=False), text="free") is None
    assert says(keywords("spam", ["C++", "$"]), text="I like c++ ") == "spam"


def test_at_least_counts_different_keywords() -> None:
    one = keywords("spam", ["free", "win", "FREE"], at_least=2, confidence=0.8)
    assert says(one, text="free free") is None
    assert says(one, text="free to win") == ("spam", 0.8)


@settings(max_examples=100)
@given(st.lists(st.text(alphabet="aAkKsi\u017f\u212aİ\u0131é_ -", max_size=6), max_size=5))
def test_long_lists_find_what_short_ones_find(pieces: list[str]) -> None:
    words = ["a", "ks", "i", "as", "k_i"]
    more = [f"zz{number}" for number in range(LONG_LIST)]
    text = " ".join(pieces)
    for least in (1, 2):
        short, long = keywords("x", words, at_least=least), keywords("x", words + more, at_least=least)
        assert long.function.words is not None
        assert says(short, text=text) == says(long, text=text)


def test_regex_has_the_meaning_of_re() -> None:
    assert says(regex("spam", r"https?://"), text="see http://x") == "spam"
    assert says(regex("spam", "win", flags="i"), text="WIN") == "spam"
    assert says(regex("spam", "win", flags=re.I), text="WIN") == "spam"
    assert says(regex("spam", "a.b"), text="a\nb") is None
    assert says(regex("spam", "a.b", flags="s"), text="a\nb") == "spam"


@pytest.mark.parametrize("make", [lambda: keywords("spam", ["a"]), lambda: regex("spam", "a")])
def test_text_functions_abstain_without_text_and_fault_on_other_things(make: Callable[[], LabelingFunction]) -> None:
    one = make()
    assert says(one) is None
    for nothing in (None, "", float("nan")):
        assert says(one, text=nothing) is None
    for value, shown in (
        (3, "a number"),
        (["a"], "a list"),
        ({"a": 1}, "an object"),
        (True, "a bool"),
        (b"a", "bytes"),
    ):
        with pytest.raises(FunctionsError, match=f"field 'text' holds {shown}, not text"):
            says(one, text=value)
    assert says(one, text="\ud800 a \x00") == "spam"


def test_column_compares_numbers_also_in_texts() -> None:
    one = column("over", "age", at_least=30, below=40)
    assert [says(one, age=age) for age in (30, 39.9, " 35 ", "3e1", 40, "29", None, "", "?", "n/a", float("nan"))] == [
        "over", "over", "over", "over", None, None, None, None, None, None, None
    ]  # fmt: skip
    assert says(one) is None
    with pytest.raises(FunctionsError, match="'forty', not a number"):
        says(one, age="forty")
    with pytest.raises(FunctionsError, match="a list, not a number"):
        says(one, age=[3])
    assert says(column("x", "n", above=1e300), n=10**400) == "x"


def test_column_compares_categories() -> None:
    one = column("m", "status", one_of=["Married", "Widowed"])
    assert says(one, status=" Married") == "m"
    assert says(one, status="married") is None
    assert says(column("m", "n", equals=1), n="1.0") == "m"
    assert says(column("m", "n", equals=1), n=True) is None
    assert says(column("m", "n", equals=True), n="true") == "m"
    assert says(column("m", "n", equals=False), n=False) == "m"
    assert says(column("m", "n", equals="5"), n=5) == "m"
    assert says(column("m", "n", equals=5, at_most=4), n=5) is None


def test_lookup_of_whole_fields_and_of_words() -> None:
    whole = lookup({"New  York": "us", "Paris": "fr", "7": "us"}, field="city", confidence=0.9)
    assert [says(whole, city=city) for city in ("new york ", "PARIS", "Paris, Texas", 7, None, "", 7.0)] == [
        ("us", 0.9), ("fr", 0.9), None, ("us", 0.9), None, None, ("us", 0.9)
    ]  # fmt: skip
    with pytest.raises(FunctionsError, match="a list, not a text or a number"):
        says(whole, city=["Paris"])
    words = lookup({"york": "uk", "new york": "us", "c++": "tech"}, whole=False)
    assert says(words, text="in New\nYork!") == "uk"
    assert says(words, text="yorkshire") is None
    assert says(words, text="I write C++, mostly") == "tech"
    assert says(lookup(["a", "b"], label="x"), text="B") == "x"


def test_lookup_reads_files_beside_the_authors_module(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("\ufefffree\n\nBig Win\n", encoding="utf-8")
    (tmp_path / "table.csv").write_text('entry,label\nhttp,spam\n"a, b",ham\n', encoding="utf-8")
    (tmp_path / "mine.py").write_text(
        "from adapter.labeling import lookup\n"
        "WORDS = lookup('list.txt', label='spam', whole=False)\n"
        "TABLE = lookup('table.csv')\n",
        encoding="utf-8",
    )
    words, table = discover(tmp_path / "mine.py")
    assert [words.name, table.name] == ["WORDS", "TABLE"]
    assert says(words, text="a BIG win") == "spam"
    assert says(table, text="a,  B") == "ham"
    assert says(table, text="a,B") is None
    assert says(table, text="A, b") == "ham"
    assert table.declared is not None
    assert table.declared.label == ""
    assert words.declared is not None
    assert words.declared.label == "spam"
    before = words.declared.spec["entries"]
    (tmp_path / "list.txt").write_text("other\n", encoding="utf-8")
    again = discover(tmp_path / "mine.py")[0]
    assert again.declared is not None
    assert again.declared.spec["entries"] != before


@pytest.mark.parametrize(
    ("name", "content", "options", "message"),
    [
        ("missing.txt", None, {"label": "x"}, "is not there"),
        ("list.txt", b"a\n\xff", {"label": "x"}, r"list.txt:2: lookup: the file is not UTF-8"),
        ("list.txt", b"a", {}, "needs a label"),
        ("list.txt", b" \n", {"label": "x"}, "no entries"),
        ("table.csv", b"a,x\nb\n", {}, r"table.csv:2: lookup: 1 cells"),
        ("table.csv", b"a,x\nA,y\n", {}, "'A' has two labels, 'x' and 'y'"),
        ("table.csv", b"a,x\n", {"label": "x"}, "a label is given beside a table"),
    ],
)
def test_a_bad_file_is_named_with_its_line(
    tmp_path: Path, name: str, content: bytes | None, options: dict[str, str], message: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(FunctionsError, match=message):
        lookup(tmp_path / name, **options)


BAD: list[tuple[Callable[[], Any], str]] = [
    (lambda: keywords("spam", []), "the list is empty"),
    (lambda: keywords("spam", "free"), "is not a list of keywords"),
    (lambda: keywords("spam", ["a", " "]), "' ' is no keyword"),
    (lambda: keywords("spam", ["a", 3]), "3 is no keyword"),  # type: ignore[list-item]
    (lambda: keywords("spam", ["a", "A"], at_least=2), "at_least=2 with 1 different keywords"),
    (lambda: keywords("", ["a"]), "'' is no label"),
    (lambda: keywords("spam", ["a"], field=""), "no field of a task"),
    (lambda: keywords("spam", ["a"], confidence=1.5), "confidence=1.5 is not in 0..1"),
    (lambda: keywords("spam", ["a"], confidence=True), "confidence=True"),
    (lambda: keywords("spam", ["a"], confidence=float("nan")), "confidence=nan"),
    (lambda: keywords("spam", ["a"], name="  "), "is no name"),
    (lambda: keywords("spam", ["a"], examples=[{"text": "a"}]), "example 1 is not a pair"),
    (lambda: keywords("spam", ["a"], examples="no"), "not a list"),
    (lambda: keywords("spam", ["a"], control=""), "control=''"),
    (lambda: regex("spam", "a(b"), r"unterminated subpattern at character 2"),
    (lambda: regex("spam", ""), "is no pattern"),
    (lambda: regex("spam", "a", flags="q"), "'q' is no flag"),
    (lambda: regex("spam", "a", flags=re.DEBUG), "no flags"),
    (lambda: column("x", "age"), "no condition on 'age'"),
    (lambda: column("x", "age", at_least="30"), "at_least='30' is not a number"),  # type: ignore[arg-type]
    (lambda: column("x", "age", at_least=float("nan")), "not a number"),
    (lambda: column("x", "age", one_of=[]), "one_of is empty"),
    (lambda: column("x", "age", one_of="abc"), "is not a list"),
    (lambda: column("x", "age", one_of=[None]), "one_of=None is not a number"),  # type: ignore[list-item]
    (lambda: column("x", "age", equals=1, one_of=[1]), "both equals and one_of"),
    (lambda: lookup({}), "no entries"),
    (lambda: lookup({"a": ""}), "no label of 'a'"),
    (lambda: lookup({"": "a"}), "'' is no entry"),
    (lambda: lookup(["a"]), "needs a label"),
    (lambda: lookup({"a": "b"}, label="c"), "beside a table"),
    (lambda: lookup(7), "no table of entries"),  # type: ignore[arg-type]
    (lambda: model_output("x", "score"), "no threshold on 'score'"),
    (lambda: model_output("x", "score", key="", at_least=1), "key=''"),
    (lambda: nearest("x", []), "no exemplars"),
    (lambda: nearest("x", "text"), "not a list"),
    (lambda: nearest("x", [{"other": 1}]), "exemplar 1 has no 'text'"),
    (lambda: nearest("x", [{"text": object()}]), "exemplar 1 is no plain data"),
    (lambda: nearest("x", ["a"], embedder="no path"), "is not `module:factory`"),
    (lambda: nearest("x", ["a"], at_least=2), "is no cosine"),
]


@pytest.mark.parametrize(("make", "message"), BAD, ids=[message for _, message in BAD])
def test_nonsense_is_refused_with_the_authors_line(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(FunctionsError, match=re.escape(message) if "(" not in message else message) as caught:
        make()
    assert caught.value.where.startswith(f"{__file__}:")


def test_they_read_well_in_a_table() -> None:
    words = [
        keywords("spam", ["free", "win"]),
        keywords("spam", ["free", "win", "prize"], at_least=2, whole_words=False),
        regex("spam", r"https?://", flags="i"),
        lookup({"a": "x", "b": "y"}),
        column("over", "age", at_least=30, below=60.5),
        column("m", "status", one_of=["Married", "Widowed"]),
        model_output("toxic", "scores", key="toxic", at_least=0.9),
        nearest("spam", ["buy now", "cheap"]),
        keywords("x", [f"word{number}" for number in range(100)]),
    ]
    shown = [one.declared.words for one in words if one.declared is not None]
    assert shown[:8] == [
        "text has free, win",
        "text has at least 2 of free, win, prize, also within words",
        "text matches /https?:///i",
        "text is one of a, b -> x, y",
        "age >= 30 and age < 60.5",
        "status in {Married, Widowed}",
        "scores[toxic] >= 0.9",
        "text within 0.8 of 2 exemplars, such as 'buy now'",
    ]
    assert len(shown[8]) <= 160


def test_the_spec_is_plain_json_and_says_all() -> None:
    pairs = [
        (keywords("a", ["x"]), keywords("a", ["x"], at_least=1, confidence=0.5)),
        (regex("a", "x"), regex("a", "x", flags="i")),
        (regex("a", "x"), regex("a", "x", field="title")),
        (lookup({"a": "x"}), lookup({"a": "x"}, whole=False)),
        (column("a", "x", equals=1), column("a", "x", equals="1")),
        (model_output("a", "x", at_least=1), model_output("a", "x", above=1)),
        (nearest("a", ["x"]), nearest("a", ["y"])),
    ]
    for one, other in pairs:
        assert one.declared is not None
        assert other.declared is not None
        assert json.dumps(one.declared.spec) != json.dumps(other.declared.spec)
        assert one.line > 0
        assert one.module == __file__


class Signs:
    """An embedder of two dimensions: how much of a text is `a`, and how much is not."""

    made = 0

    def __init__(self, fields: tuple[str, ...]) -> None:
        type(self).made += 1
        self.field = fields[0]

    def embed(self, rows: list[dict[str, Any]]) -> np.ndarray:
        parts = [str(row[self.field]).count("a") / len(str(row[self.field])) for row in rows]
        vectors = np.asarray([[part, 1 - part] for part in parts], np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


class Wrong(Signs):
    def embed(self, rows: list[dict[str, Any]]) -> np.ndarray:
        return np.zeros(3)


def test_nearest_votes_by_cosine_and_loads_its_embedder_once(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "own_embedder", sys.modules[__name__])
    one = nearest("a", ["aaa", {"text": "aa"}], embedder="own_embedder:Signs", at_least=0.9, confidence=0.6)
    texts = ["aaaa", "bbbb", "aaab", None, "", "ab"]
    assert one.batch is not None
    answers = one.batch([{"text": text} for text in texts] + [{}])
    assert answers == [("a", 0.6), None, ("a", 0.6), None, None, None, None]
    assert answers[:6] == [says(one, text=text) for text in texts]
    assert len(one.batch([{"text": "a"}] * 1000)) == 1000
    assert Signs.made == 1


@pytest.mark.parametrize(
    ("path", "message"),
    [("no_such_module:Thing", "cannot be loaded"), ("json:dumps", "cannot be loaded"), ("wrong:Wrong", "an array")],
)
def test_an_embedder_that_does_not_work_is_a_fault_with_advice(
    path: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "wrong", sys.modules[__name__])
    with pytest.raises(BackendError, match=message):
        says(nearest("a", ["x"], embedder=path), text="a")


@pytest.mark.slow
def test_the_packaged_embedding_finds_neighbours() -> None:
    one = nearest("sport", ["The team won the football match."], at_least=0.4)
    assert one.batch is not None
    rows = [{"text": "Their club lost the soccer game."}, {"text": "Shares of the bank fell by 3 percent."}]
    assert one.batch(rows) == ["sport", None]
