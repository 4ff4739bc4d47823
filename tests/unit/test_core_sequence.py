from __future__ import annotations

import numpy as np
import pytest

from adapter.core.spans.candidates import CROSSING, EXACT, LONGER, MISSED, SHORTER, Marks, candidates
from adapter.core.spans.sequence import PRECISION, SpanConsensus, consolidate_spans

Row = tuple[int, int, float, float, int]  # line, who, start, end, label


def marks(
    rows: list[Row], asked: list[list[int]], known: dict[int, list[tuple[float, float, int]]] | None = None
) -> Marks:
    table = np.array(rows, float).reshape(-1, 5)
    line, who, label = (table[:, column].astype(np.int64) for column in (0, 1, 4))
    return Marks(line, who, table[:, 2], table[:, 3], label, np.full(len(rows), -1), asked, known or {})


def fit(
    rows: list[Row], asked: list[list[int]], known: dict[int, list[tuple[float, float, int]]] | None = None, k: int = 2
) -> SpanConsensus:
    people = max((who for line in asked for who in line), default=-1) + 1
    return consolidate_spans(marks(rows, asked, known), [f"p{n}" for n in range(people)], k)


def there(found: SpanConsensus) -> dict[tuple[int, float, float], float]:
    return {
        (int(line), float(start), float(end)): float(p)
        for line, start, end, p in zip(found.line, found.start, found.end, found.there, strict=True)
    }


class TestCandidates:
    def test_each_extent_is_one_and_each_person_asked_says_something_of_it(self) -> None:
        found = candidates(marks([(0, 0, 0, 10, 0), (0, 1, 0, 4, 1), (0, 2, 3, 12, 0)], [[0, 1, 2, 3]]))
        assert sorted(zip(found.start, found.end, strict=True)) == [(0, 4), (0, 10), (3, 12)]
        long = int(np.flatnonzero(found.end == 10)[0])
        rows = found.row_candidate == long
        how = dict(zip(found.row_who[rows], found.row_how[rows], strict=True))
        assert how == {0: EXACT, 1: SHORTER, 2: CROSSING, 3: MISSED}

    def test_a_mark_around_a_candidate_is_longer(self) -> None:
        found = candidates(marks([(0, 0, 0, 10, 0), (0, 1, 2, 4, 0)], [[0, 1]]))
        short = int(np.flatnonzero(found.end == 4)[0])
        row = (found.row_candidate == short) & (found.row_who == 0)
        assert found.row_how[row].tolist() == [LONGER]

    def test_readings_are_the_sets_that_do_not_overlap(self) -> None:
        found = candidates(marks([(0, 0, 0, 10, 0), (0, 1, 0, 4, 0), (0, 1, 5, 10, 0)], [[0, 1]]))
        sets = {
            frozenset((found.start[c], found.end[c]) for c in found.member[found.member_set == number])
            for number in range(len(found.set_stretch))
        }
        assert sets == {
            frozenset(),
            frozenset({(0, 10)}),
            frozenset({(0, 4)}),
            frozenset({(5, 10)}),
            frozenset({(0, 4), (5, 10)}),
        }

    def test_what_does_not_overlap_is_another_stretch(self) -> None:
        found = candidates(marks([(0, 0, 0, 5, 0), (0, 0, 5, 9, 0), (1, 0, 0, 5, 0)], [[0], [0]]))
        assert len(set(found.set_stretch)) == 3

    def test_a_crowded_stretch_keeps_its_most_marked_extents(self) -> None:
        rows: list[Row] = [(0, who, 0, 10 + who, 0) for who in range(30)]
        rows += [(0, 30 + n, 0, 39, 0) for n in range(2)]
        found = candidates(marks(rows, [list(range(32))]))
        assert len(found.line) == 12
        assert 39 in found.end


class TestConsolidate:
    def test_what_all_draw_is_there_and_what_one_of_many_draws_is_not(self) -> None:
        rows: list[Row] = [(line, who, 0, 5, 0) for line in range(20) for who in range(4)]
        found = there(fit([*rows, (0, 3, 50, 55, 1)], [[0, 1, 2, 3]] * 20))
        assert found[0, 0, 5] > 0.95
        assert found[0, 50, 55] < 0.5

    def test_who_overlooks_much_is_no_evidence_against_what_others_find(self) -> None:
        rows: list[Row] = []
        for line in range(40):
            rows += [(line, who, 10 * n, 10 * n + 5, 0) for who in (0, 1) for n in range(4)]
            some = [10 * ((line + who) % 4) for who in (2, 3, 4)]
            rows += [(line, who, at, at + 5, 0) for who, at in zip((2, 3, 4), some, strict=True)]
        found = fit(rows, [[0, 1, 2, 3, 4]] * 40)
        assert min(there(found).values()) > 0.5
        assert found.recall[0] > 0.85 > 0.5 > found.recall[2]
        assert found.skill["p0"].accuracy > found.skill["p2"].accuracy

    def test_habitual_confusion_is_learned(self) -> None:
        rows: list[Row] = []
        for line in range(60):
            truth = line % 2
            rows += [(line, who, 0, 5, truth) for who in (0, 1)] + [(line, 2, 0, 5, 1)]
        found = fit(rows, [[0, 1, 2]] * 60)
        assert found.confusion[2, 0, 1] > 0.6 > 0.2 > found.confusion[0, 0, 1]
        assert found.confusion.sum(axis=2) == pytest.approx(1.0)

    def test_readings_of_one_stretch_exclude_each_other(self) -> None:
        rows: list[Row] = [(0, 0, 0, 10, 0), (0, 1, 0, 4, 0), (0, 2, 0, 10, 0)]
        found = there(fit(rows, [[0, 1, 2]]))
        assert found[0, 0, 10] > found[0, 0, 4]
        assert found[0, 0, 10] + found[0, 0, 4] <= 1 + 1e-9

    def test_a_person_alone_has_the_precision_that_is_assumed(self) -> None:
        found = there(fit([(0, 0, 0, 5, 0)], [[0]]))
        assert found[0, 0, 5] == pytest.approx(PRECISION, abs=0.01)

    def test_many_marks_of_one_person_prove_nothing(self) -> None:
        found = there(fit([(line, 0, 0, 5, 0) for line in range(200)], [[0]] * 200))
        assert found[0, 0, 5] == pytest.approx(PRECISION, abs=0.01)

    def test_gold_fixes_the_truth_and_teaches(self) -> None:
        rows: list[Row] = []
        for line in range(30):
            rows += [(line, 0, 0, 5, 0), (line, 1, 20, 25, 1)]
        found = fit(rows, [[0, 1]] * 30, {line: [(0, 5, 0)] for line in range(29)})
        assert there(found)[0, 0, 5] == 1.0
        assert there(found)[0, 20, 25] == 0.0
        assert there(found)[29, 0, 5] > 0.5 > there(found)[29, 20, 25]

    def test_gold_that_nobody_marked_counts_as_missed(self) -> None:
        found = fit([], [[0, 1]] * 30, {line: [(0.0, 5.0, 0)] for line in range(30)})
        assert found.recall[0] < 0.5

    def test_nothing_at_all_leaves_the_assumptions(self) -> None:
        found = fit([], [], k=3)
        assert len(found.there) == 0
        assert fit([], [[0]]).skill["p0"].n == 0

    def test_one_label_is_enough(self) -> None:
        found = fit([(0, 0, 0, 5, 0), (0, 1, 0, 5, 0)], [[0, 1]], k=1)
        assert found.chances == pytest.approx(1.0)

    def test_the_order_of_marks_does_not_matter(self) -> None:
        rng = np.random.default_rng(5)
        rows: list[Row] = [
            (line, who, float(start), float(start + rng.integers(1, 4)), int(rng.integers(2)))
            for line in range(8)
            for who in range(3)
            for start in (0, 5, 10)
            if rng.random() < 0.7
        ]
        found = there(fit(rows, [[0, 1, 2]] * 8))
        again = there(fit([rows[i] for i in rng.permutation(len(rows))], [[0, 1, 2]] * 8))
        assert again == pytest.approx(found)
