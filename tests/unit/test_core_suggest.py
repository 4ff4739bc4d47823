"""Candidates for labeling functions: found on one half of the labels, judged on the other."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.core.intervals import wilson
from adapter.core.suggest import (
    Candidate,
    Evidence,
    choose,
    groups,
    neighbour_rules,
    term_rules,
    text_features,
    threshold_rules,
    tokens,
    value_features,
)


def evidence(
    labels: list[int], *, held: list[bool] | None = None, votes: list[int] | None = None, k: int = 2
) -> Evidence:
    """Evidence in which row i has label labels[i]; -1 is not labelled."""
    rows = np.array([row for row, label in enumerate(labels) if label >= 0], np.int64)
    targets = np.zeros((len(rows), k), bool)
    targets[np.arange(len(rows)), [labels[row] for row in rows]] = True
    half = np.array([row % 2 == 1 for row in rows]) if held is None else np.array(held)
    return Evidence(
        labels=("spam", "ham", "other")[:k],
        size=len(labels),
        rows=rows,
        targets=targets,
        held=half,
        votes=np.array(votes if votes is not None else [0] * len(labels), np.int64),
    )


def candidate(found: Evidence, label: int, rows: list[int], text: str = "") -> Candidate:
    hits = np.array(rows, np.int64)
    judged = found.judge(label, hits)
    args = (found.labels[label], [text or "x"])
    return Candidate("keywords", label, hits, judged, "keywords", args, {}, (text or "x",), text)


def test_precision_comes_from_the_half_that_did_not_find() -> None:
    found = evidence([0, 1, 0, 1, 0, 0], held=[False, True, False, True, False, True])
    judged = found.judge(0, np.arange(6))
    assert (judged.n, judged.right) == (3, 3)
    assert (judged.checked, judged.held) == (3, 1)
    assert (judged.lower, judged.upper) == wilson(1, 3)
    assert judged.base == pytest.approx((3 + 0.5) / 4)
    assert judged.precision == pytest.approx((3 + 2 * 3.5 / 4) / 5)


def test_more_looks_make_the_bound_stricter_and_rows_can_be_left_out() -> None:
    found = evidence([0] * 10 + [1] * 10)
    hits = np.arange(10)
    assert found.judge(0, hits, looks=50).bound < found.judge(0, hits).bound
    assert found.judge(0, hits, without=np.array([0, 2])).n == 3


def test_a_rare_label_is_measured_against_its_base_rate() -> None:
    found = evidence([0] * 6 + [1] * 194)
    rare, common = found.judge(0, np.arange(6)), found.judge(1, np.arange(6, 200))
    assert rare.worth
    assert rare.lift > 10
    assert common.lift < 1.1
    assert not common.worth or common.edge < 0.6


def test_evidence_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="labelled rows"):
        Evidence(("a",), 1, np.array([0]), np.zeros((2, 1), bool), np.zeros(1, bool), np.zeros(1, np.int64))
    with pytest.raises(ValueError, match="sample of 3"):
        Evidence(("a",), 3, np.array([0]), np.zeros((1, 1), bool), np.zeros(1, bool), np.zeros(1, np.int64))


def test_terms_are_words_and_phrases_as_keywords_would_find_them() -> None:
    found = tokens("Check  out, my http://www don't")
    assert {"check", "out", "my", "http", "www", "don", "check out", "http://www", "don't", "my http://www"} <= found
    assert not {"out my", "check out my", "out, my", "t"} & found
    assert tokens("one two three four", 2, 3) == {
        "one two",
        "two three",
        "three four",
        "one two three",
        "two three four",
    }
    assert tokens("") == set()
    assert "2" not in tokens("2 x2")


@given(st.text(alphabet="ab Zé.,'-\n/1ß", max_size=60))
def test_every_term_is_found_where_it_was_taken_from(text: str) -> None:
    for term in tokens(text):
        pattern = r"(?<!\w)" + r"\s+".join(re.escape(part) for part in term.split(" ")) + r"(?!\w)"
        assert re.search(pattern, text, re.IGNORECASE) is not None


TEXTS = [f"{word} number{n}" for n in range(40) for word in ("subscribe to us", "lovely song")]
GOLD = [0, 1] * 40


def test_keywords_and_phrases_that_tell_a_label_are_found() -> None:
    found = evidence(GOLD, held=[n % 4 < 2 for n in range(80)])
    words = {one.text: one for one in term_rules(TEXTS, found, kind="keywords")}
    assert {"subscribe", "to", "us"} <= {text for text, one in words.items() if one.label == 0}
    assert {"lovely", "song"} <= {text for text, one in words.items() if one.label == 1}
    assert words["song"].hits.tolist() == list(range(1, 80, 2))
    assert words["song"].args == ("ham", ["song"])
    phrases = {one.text for one in term_rules(TEXTS, found, kind="ngrams", field="body")}
    assert {"subscribe to us", "lovely song"} <= phrases
    assert all(one.options == {"field": "body"} for one in term_rules(TEXTS, found, kind="ngrams", field="body"))


def test_a_common_word_needs_to_tell_a_lot() -> None:
    random = np.random.default_rng(0)
    gold = [int(random.random() < 0.5) for _ in range(200)]
    texts = ["the thing" if random.random() < (0.75 if label == 0 else 0.35) else "a thing" for label in gold]
    assert "the" not in {one.text for one in term_rules(texts, evidence(gold), kind="keywords")}


def test_noise_gives_hardly_any_candidates() -> None:
    random = np.random.default_rng(5)
    words = [f"w{n}" for n in range(300)]
    texts = [" ".join(random.choice(words, 8)) for _ in range(400)]
    gold = random.integers(0, 2, 400).tolist()
    assert len(term_rules(texts, evidence(gold), kind="keywords")) <= 15


def test_thresholds_on_numbers_also_written_as_text() -> None:
    ages = [str(n // 2) for n in range(160)]
    found = evidence([0 if n >= 100 else 1 for n in range(160)], held=[n % 4 < 2 for n in range(160)])
    rules = threshold_rules(value_features("age", ages), found)
    best = {(one.label, next(iter(one.options))): one for one in rules}
    high = best[0, "at_least"]
    assert (high.call, high.args) == ("column", ("spam", "age"))
    assert 45 <= high.options["at_least"] <= 53
    assert isinstance(high.options["at_least"], int)
    assert high.judged.checked > 0
    assert (1, "at_most") in best


def test_thresholds_on_what_a_text_is_like() -> None:
    texts = ["short" if n % 2 else "a very much longer text than the others " * 3 for n in range(60)]
    found = evidence([n % 2 for n in range(60)], held=[n % 4 < 2 for n in range(60)])
    rules = threshold_rules(text_features("text", texts), found)
    assert {one.options["feature"] for one in rules} >= {"characters", "words"}
    assert all(one.call == "python" for one in rules)
    capitals = next(one for one in text_features("text", ["AB1c", "abcd"]) if one.derived == "capitals")
    assert capitals.numbers is not None
    assert capitals.numbers.tolist() == pytest.approx([2 / 3, 0])


def test_values_of_a_category_are_joined_and_free_text_is_left_alone() -> None:
    jobs = [("nurse", "cook", "pilot")[n % 3] for n in range(90)]
    found = evidence([1 if job == "pilot" else 0 for job in jobs], held=[n % 4 < 2 for n in range(90)])
    rules = {one.label: one for one in threshold_rules(value_features("job", jobs), found)}
    assert rules[0].options == {"one_of": ["cook", "nurse"]}
    assert rules[1].options == {"equals": "pilot"}
    assert value_features("text", [f"text {n}" for n in range(90)]) == []
    assert value_features("list", [[1]] * 5) == []
    assert value_features("same", [3] * 5) == []
    assert value_features("empty", [None] * 5) == []


def test_noise_passes_no_threshold() -> None:
    random = np.random.default_rng(11)
    found = evidence(random.integers(0, 2, 200).tolist())
    features = [one for n in range(20) for one in value_features(f"f{n}", random.random(200).tolist())]
    assert len(threshold_rules(features, found)) == 0


def test_neighbours_of_a_labelled_task_are_a_rule_and_exemplars_are_no_evidence() -> None:
    random = np.random.default_rng(2)
    centres = np.array([[1, 0, 0, 0], [0, 1, 0, 0]], np.float32)
    vectors = np.repeat(centres, 40, axis=0) + 0.1 * random.standard_normal((80, 4)).astype(np.float32)
    unit = (vectors / np.linalg.norm(vectors, axis=1)[:, None]).astype(np.float32)
    found = evidence([0] * 40 + [1] * 40)
    rules = neighbour_rules(unit, np.arange(80), [f"text {n}" for n in range(80)], found, embedder="mine:Embed")
    assert {one.label for one in rules} == {0, 1}
    first = next(one for one in rules if one.label == 0)
    assert first.call == "nearest"
    assert first.options["embedder"] == "mine:Embed"
    assert set(first.hits.tolist()) <= set(range(40))
    assert first.without is not None
    exemplars = [int(text.split()[1]) for text in first.options["exemplars"]]
    assert sorted(exemplars) == first.without.tolist()
    assert all(not found.held[found.place[row]] for row in exemplars)
    assert first.judged.n + first.judged.checked == len(set(first.hits.tolist()) - set(exemplars))
    with pytest.raises(ValueError, match="vectors for"):
        neighbour_rules(unit[:3], np.arange(80), [], found, embedder="")


def test_groups_of_uncovered_tasks_have_telling_words_and_a_proposed_label() -> None:
    themes = (
        "the goal of the league match",
        "the bank cut its rate",
        "a song with a chorus",
        "new phone and its screen",
    )
    texts = [f"{themes[n % 4]} {n}" for n in range(80)] + ["the covered goal"] * 20
    labels = [-1] * 100
    labels[0:20:4] = [0] * 5
    found = evidence(labels, votes=[0] * 80 + [1] * 20)
    made = groups(texts, found, count=4, seed=1)
    assert [len(group.rows) for group in made] == [20, 20, 20, 20]
    by_words = {
        next(word for word in ("goal", "bank", "song", "phone") if word in group.terms): group for group in made
    }
    assert set(by_words["goal"].rows.tolist()) == set(range(0, 80, 4))
    assert (by_words["goal"].label, by_words["goal"].counted) == (0, 5)
    assert by_words["bank"].label is None
    assert by_words["bank"].reach.tolist() == list(range(1, 80, 4))
    assert "the" not in by_words["goal"].terms


def test_too_few_uncovered_tasks_make_no_groups() -> None:
    assert groups(["a b", "c d", ""], evidence([-1, -1, -1])) == []
    assert groups(["same same"] * 30, evidence([-1] * 30)) == []


def test_the_list_is_greedy_and_copies_fall_out() -> None:
    found = evidence([0] * 40 + [1] * 40, held=[n % 4 < 2 for n in range(80)])
    wide, copy, other = (
        candidate(found, 0, list(range(30)), "wide"),
        candidate(found, 0, list(range(30)), "copy of it"),
        candidate(found, 1, list(range(45, 70)), "other"),
    )
    chosen = choose([copy, other, wide], found, 10)
    assert [one.candidate.text for one in chosen][:2] == ["wide", "other"]
    assert chosen[0].newly == 30
    assert all(one.newly == 0 for one in chosen[2:])
    assert len(choose([copy, other, wide], found, 1)) == 1
    assert choose([], found, 5) == []


def test_uncovered_rows_count_more_than_covered_ones() -> None:
    found = evidence([0] * 40 + [1] * 40, held=[n % 4 < 2 for n in range(80)], votes=[3] * 20 + [0] * 60)
    old, new = candidate(found, 0, list(range(20)), "old"), candidate(found, 0, list(range(20, 40)), "new")
    first, *rest = choose([old, new], found, 5)
    assert (first.candidate.text, first.overlap) == ("new", 0.0)
    assert all(one.overlap == 1.0 for one in rest)


def test_words_of_one_theme_become_one_list() -> None:
    found = evidence([0] * 40 + [1] * 40, held=[n % 4 < 2 for n in range(80)])
    words = [
        candidate(found, 0, list(range(20)), "subscribe"),
        candidate(found, 0, list(range(20, 35)), "subscribed"),
        candidate(found, 0, list(range(2, 10)), "subscriber"),
        candidate(found, 1, list(range(40, 70)), "subscription"),
    ]
    chosen = {tuple(one.candidate.args[1]): one for one in choose(words, found, 5)}  # type: ignore[call-overload]
    assert ("subscribe", "subscribed") in chosen
    joined = chosen["subscribe", "subscribed"].candidate
    assert joined.hits.tolist() == list(range(35))
    assert joined.judged == found.judge(0, np.arange(35))
    assert ("subscription",) in chosen


@given(st.lists(st.tuples(st.integers(0, 1), st.sets(st.integers(0, 29), min_size=1)), max_size=12), st.integers(1, 6))
def test_lists_are_bounded_and_their_figures_possible(rules: list[tuple[int, set[int]]], limit: int) -> None:
    found = evidence([n % 2 for n in range(30)])
    candidates = [candidate(found, label, sorted(rows), f"w{n}") for n, (label, rows) in enumerate(rules)]
    chosen = choose(candidates, found, limit)
    assert len(chosen) <= limit
    assert sum(one.newly for one in chosen) <= 30
    for one in chosen:
        assert 0 <= one.newly <= len(one.candidate.hits)
        assert one.overlap == 0
        assert one.gain > 0
