"""Multi-pattern matching finds what Python's `re` finds: exactly where it says so, and never less elsewhere."""

from __future__ import annotations

import re
import threading
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from adapter.labeling.vectorized import matching
from adapter.labeling.vectorized.matching import LONG_TEXT, Matcher, matcher
from adapter.labeling.vectorized.translate import _cased, translate

pytest.importorskip("hyperscan", reason="Hyperscan is not installed: every text goes through the row rules")

LETTERS = "abKk1_ é\n-.İıſß\x1c\x85\xa0\ud800中"

_atom = st.sampled_from(
    [
        "a", "b", "k", "K", "i", "s", "1", "é", "É", "ß", "\u017f", "中", r"\.", "-", " ", r"\n", ".", r"\w",
        r"\W", r"\d", r"\D", r"\s", r"\S", "[ab]", "[^a]", "[^ab1]", "[a-zé]", r"[^\W\d]", r"[\s-]", r"\x1c", "^",
        "$", r"\A", r"\Z", r"\b", r"\B", "(?=a)", "(?!a)", "(?<=a)", "(?<!a)", r"(?<!\w)", r"(?!\w)", r"(?=\w$)",
        "(?!ab)", "(?<=ab)", "()", "(?i:k)", "(?s:.)", "(?m:^)", "(?m:$)", "(?-i:k)", "(?a:\\w)",
    ]
)  # fmt: skip


def _grow(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    turns = st.sampled_from(["*", "+", "?", "{2}", "{0,2}", "{1,}", "*?", "+?", "??", "*+", "++", "?+", "{0}"])
    return st.one_of(
        st.lists(inner, min_size=1, max_size=4).map("".join),
        st.lists(inner, min_size=2, max_size=3).map(lambda ways: f"(?:{'|'.join(ways)})"),
        inner.map(lambda one: f"({one}|)"),
        st.tuples(inner, turns).map(lambda pair: f"(?:{pair[0]}){pair[1]}"),
        inner.map(lambda one: f"(?>{one})"),
        inner.map(lambda one: f"(?={one})"),
        inner.map(lambda one: f"(?!{one})"),
        inner.map(lambda one: rf"({one})a?\1"),
        inner.map(lambda one: f"({one})?(?(1)a|b)"),
    )


PATTERNS = st.recursive(_atom, _grow, max_leaves=8)
FLAGS = st.sampled_from([0, re.I, re.M, re.S, re.A, re.I | re.M, re.I | re.A, re.M | re.S])
TEXTS = st.lists(st.text(alphabet=LETTERS, min_size=1, max_size=8), min_size=1, max_size=12)


def _compiled(pattern: str, flags: int) -> re.Pattern[str] | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return re.compile(pattern, flags)
        except re.error:  # groups opened twice, look-behinds without a width
            return None


@settings(max_examples=400, deadline=None)
@given(patterns=st.lists(st.tuples(PATTERNS, FLAGS), min_size=1, max_size=4), texts=TEXTS)
@example(patterns=[("(?:^|a)", 0)], texts=["b", "a"])
@example(patterns=[("$", 0), ("^", 0), (r"\Z", 0)], texts=["\n", "a\n", "\n\n"])
@example(patterns=[("(?m:^)$", 0), ("a$", 0), ("a$", re.M)], texts=["a\n\n", "b\na\nb", "\n"])
@example(patterns=[("k", re.I), ("[a-z]", re.I), ("s", re.I), ("i", re.I)], texts=["\u212a", "\u017f", "İ", "\u0131"])
@example(patterns=[(r"\bk\b", re.I), (r"(?<!\w)a(?!\w)", 0)], texts=["ék", "aé", "-a-", "a"])
@example(patterns=[(r"\s", 0), (r"\s", re.A)], texts=["\x1c", "\x85", "\xa0", "\x0b"])
@example(patterns=[("a*+ab", 0), ("(?>a|ab)b", 0)], texts=["aab", "abb", "ab"])
def test_found_is_what_re_finds_wherever_it_is_sure(patterns: list[tuple[str, int]], texts: list[str]) -> None:
    good = [(text, flags, one) for text, flags in patterns if (one := _compiled(text, flags)) is not None]
    if not good:
        return
    found, sure = Matcher([((text, flags),) for text, flags, _ in good]).find(texts)
    for number, (text, flags, one) in enumerate(good):
        for row, line in enumerate(texts):
            true = one.search(line) is not None
            assert found[row, number] or not true, (text, flags, line)
            assert found[row, number] == true or not sure[row, number], (text, flags, line)


@pytest.mark.parametrize(
    "pattern",
    [
        r"\bfree\b", r"https?://\S+", "^foo$", r"( |^)(thanks\.|thanks)[^\w]*( |$)", r"(?<!\w)(?:a|b\s+c)(?!\w)",
        r"\$\d+(?:\.\d+)?", r"\bcall\b.*\bnow\b", r"(?i)win", r"[!?]$", r"\d{3}-\d{4}", r"x(?=y)", r"(?<=\$)\d",
        r"\A\s*$", r"(?m)^total:", "a|^b|c$", "(?:x|)y*z{2,}", "",
    ],
)  # fmt: skip
def test_what_authors_write_is_exact_on_ascii(pattern: str) -> None:
    made = translate(re.compile(pattern), wide=False)
    assert made is not None
    assert all(one.exact for one in made)


@pytest.mark.parametrize("pattern", [r"(a)\1", "free(?!dom)x", "a++b", "(?>a)b", "x(?=y)z*y", r"(a)?(?(1)b|c)"])
def test_what_an_automaton_cannot_say_is_only_a_candidate(pattern: str) -> None:
    made = translate(re.compile(pattern), wide=False)
    assert made is not None
    assert not any(one.exact for one in made)


def test_every_character_with_another_case_is_known() -> None:
    beyond = "".join(map(chr, range(0x80, 0x110000)))
    folded = re.findall(r"[^\W\d_]", beyond)
    known = set(_cased())
    assert {c for c in folded if c.lower() != c or c.upper() != c} <= known
    assert set(re.findall("[a-z]", beyond, re.I)) <= known


def test_each_find_goes_to_its_own_text() -> None:
    texts = ["a", "b", "ab", "ba", "\n", "a\n"]
    found, sure = Matcher([(("^a$", 0),), (("^", 0),), (("$", 0),), (("b|^a", 0),)]).find(texts)
    assert found[:, 0].tolist() == [True, False, False, False, False, True]
    assert found[:, 1].all()
    assert found[:, 2].all()
    assert found[:, 3].tolist() == [True, True, True, True, False, True]
    assert sure.all()


def test_patterns_found_everywhere_are_told_once_a_text() -> None:
    one = Matcher([((r"\w", 0),), (("x+y", 0),), (("q", 0),)])
    texts = ["a" * 900, "xxxy", "-"] * 400
    for _ in range(2):
        found, _ = one.find(texts)
        assert found.tolist() == [[True, False, False], [True, True, False], [False, False, False]] * 400
    assert 0 in one._narrow._frequent
    assert 2 not in one._narrow._frequent


def test_a_very_long_text_is_scanned_alone_and_spoils_nothing() -> None:
    one = Matcher([(("free", 0),), (("end$", 0),)])
    texts = ["no", "free " * (LONG_TEXT // 4) + "end", "free"]
    assert one.find(texts)[0].tolist() == [[False, False], [True, True], [True, False]]
    assert one._narrow._frequent == frozenset()


def test_what_the_automaton_refuses_is_a_candidate_everywhere() -> None:
    one = Matcher([((f"q{r'[ab]' * 600}y", 0),), (("a", 0),)])
    assert one.usable == (False, True)
    found, sure = one.find(["a", "b"])
    assert found[:, 0].all()
    assert not sure[:, 0].any()
    assert found[:, 1].tolist() == [True, False]


def test_of_what_the_automaton_refuses_together_it_takes_what_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    import hyperscan

    compile_all = matching._compile

    def picky(expressions: Sequence[tuple[bytes, int]], flags: int) -> Any:
        if any(b"q" in text for text, _ in expressions) or len(expressions) > 3:
            raise hyperscan.HyperscanError("too large")
        return compile_all(expressions, flags)

    monkeypatch.setattr(matching, "_compile", picky)
    assert Matcher([((sign, 0),) for sign in "aqb"]).usable == (True, False, True)
    assert Matcher([((sign, 0),) for sign in "abcd"]).usable == (True, True, False, False)
    assert Matcher([((sign, 0),) for sign in "qq"]).find(["a"])[0].all()


def test_a_long_repeat_is_loosened_and_many_alternatives_are_split() -> None:
    words = [f"word{number}x" for number in range(200)]
    one = Matcher([((r"q(?:\w{100}x){40}y", 0),), ((rf"\b(?:{'|'.join(words)})\b", 0),)])
    assert one.usable == (True, True)
    assert one.certain == (False, True)
    found, _ = one.find(["a word77x b", "a word77 b", "q" + ("a" * 100 + "x") * 40 + "y", "word199x"])
    assert found.tolist() == [[False, True], [False, False], [True, False], [False, True]]


def test_nul_and_high_characters_pass() -> None:
    texts = ["a\x00b", "\xff\xfe", "ÿþ free", "\ud800free"]
    found, sure = Matcher([(("a\x00b", 0),), (("free", 0),), (("\xff", 0),)]).find(texts)
    assert found.tolist() == [
        [True, False, False], [False, False, True], [False, True, True], [False, True, False]
    ]  # fmt: skip
    assert sure[0].all()
    assert not sure[1:].any()


def test_the_same_patterns_are_compiled_once() -> None:
    assert matcher(((("a", 0),),)) is matcher(((("a", 0),),))


def test_threads_share_a_matcher() -> None:
    one = Matcher([((r"\bword\b", re.I),), (("x", 0),)])
    texts = ["a Word", "x", "sword"] * 300
    results: list[np.ndarray] = []
    threads = [threading.Thread(target=lambda: results.append(one.find(texts)[0])) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 8
    assert all((found == [[True, False], [False, True], [False, False]] * 300).all() for found in results)


def test_a_text_of_ten_million_characters_takes_no_time_to_speak_of() -> None:
    one = Matcher([((r"(?:a+)+$", 0),), (("b", 0),)])
    found, sure = one.find(["a" * 10_000_000 + "!", "b"])
    assert found.tolist() == [[False, False], [False, True]]
    assert sure.all()


def test_availability_is_told() -> None:
    assert matching.available()
