from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from adapter.core.matching import clusters, match, weighted_median

TABLES = arrays.arrays(np.float64, st.tuples(st.integers(0, 4), st.integers(0, 4)), elements=st.floats(0, 1))


class TestMatch:
    def test_the_best_total_wins_over_the_greedy_choice(self) -> None:
        assert match(np.array([[0.9, 0.8], [0.8, 0.1]]), 0.0) == [(0, 1), (1, 0)]

    def test_pairs_under_the_threshold_are_left(self) -> None:
        assert match(np.array([[0.6, 0.0], [0.0, 0.49]]), 0.5) == [(0, 0)]

    def test_what_shares_nothing_is_never_matched(self) -> None:
        assert match(np.zeros((2, 2)), 0.0) == []

    def test_nothing_on_one_side_matches_nothing(self) -> None:
        assert match(np.zeros((0, 3)), 0.5) == []

    def test_nan_is_refused(self) -> None:
        with pytest.raises(ValueError, match="NaN"):
            match(np.array([[np.nan]]), 0.5)

    def test_a_list_is_no_table(self) -> None:
        with pytest.raises(ValueError, match="shape"):
            match(np.zeros(3), 0.5)

    @given(TABLES, st.sampled_from([0.0, 0.3, 0.5]))
    def test_it_is_the_greatest_total_of_all_one_to_one_matchings(self, table: np.ndarray, threshold: float) -> None:
        pairs = match(table, threshold)
        assert len({i for i, _ in pairs}) == len({j for _, j in pairs}) == len(pairs)
        assert all(table[i, j] >= threshold and table[i, j] > 0 for i, j in pairs)
        usable = np.where(table >= threshold, table, 0.0)
        small, large = (usable, usable.T) if len(usable) <= len(usable.T) else (usable.T, usable)
        best = max(
            (
                sum(small[i, j] for i, j in enumerate(order))
                for order in itertools.permutations(range(len(large)), len(small))
            ),
            default=0.0,
        )
        assert sum(table[i, j] for i, j in pairs) == pytest.approx(best)

    @given(TABLES, st.sampled_from([0.0, 0.5]))
    def test_sides_may_change_places(self, table: np.ndarray, threshold: float) -> None:
        there = sum(table[i, j] for i, j in match(table, threshold))
        back = sum(table[j, i] for i, j in match(table.T, threshold))
        assert there == pytest.approx(back)


def near(places: list[list[float]], order: list[int]) -> list[set[tuple[int, float]]]:
    """Cluster places on a line (similarity 1 - distance), groups given in `order`; name marks by group and place."""
    groups = [places[g] for g in order]

    def similarity(g: int, h: int) -> np.ndarray:
        return np.clip(1 - np.abs(np.subtract.outer(groups[g], groups[h])), 0, 1).reshape(
            len(groups[g]), len(groups[h])
        )

    found = clusters([len(group) for group in groups], similarity, 0.5)
    return [{(order[g], groups[g][i]) for g, i in cluster.items()} for cluster in found]


class TestClusters:
    def test_marks_of_one_thing_join_and_others_stay_alone(self) -> None:
        found = near([[0.0, 5.0], [0.1, 9.0], [0.2]], [0, 1, 2])
        assert sorted(map(len, found)) == [1, 1, 3]
        assert {(0, 0.0), (1, 0.1), (2, 0.2)} in found

    def test_no_cluster_holds_two_marks_of_one_person(self) -> None:
        for cluster in near([[0.0, 0.1], [0.05], [0.02, 0.12]], [0, 1, 2]):
            assert len({group for group, _ in cluster}) == len(cluster)

    def test_a_chain_does_not_join_what_is_far_apart(self) -> None:
        found = near([[0.0], [0.45], [0.9]], [0, 1, 2])
        assert max(map(len, found)) == 2

    def test_nobody_and_nothing(self) -> None:
        assert clusters([], lambda g, h: np.zeros((0, 0)), 0.5) == []
        assert clusters([0, 0], lambda g, h: np.zeros((0, 0)), 0.5) == []

    @given(
        st.lists(st.lists(st.floats(0, 20), max_size=4, unique=True), min_size=1, max_size=4),
        st.randoms(use_true_random=False),
    )
    def test_every_mark_is_in_exactly_one_cluster_whatever_the_order(
        self, places: list[list[float]], random: object
    ) -> None:
        order = list(range(len(places)))
        found = near(places, order)
        random.shuffle(order)  # type: ignore[attr-defined]
        again = near(places, order)
        marks = sorted((g, place) for g, group in enumerate(places) for place in group)
        assert sorted(mark for cluster in found for mark in cluster) == marks
        assert sorted(mark for cluster in again for mark in cluster) == marks

    @given(st.permutations([0, 1, 2, 3]))
    def test_the_order_of_people_does_not_matter(self, order: list[int]) -> None:
        places = [[0.0, 3.3, 7.0], [0.11, 3.01], [0.23, 7.4, 9.0], [3.17, 9.31]]
        assert sorted(map(sorted, near(places, order))) == sorted(map(sorted, near(places, [0, 1, 2, 3])))


class TestWeightedMedian:
    def test_equal_weights_give_the_median(self) -> None:
        assert weighted_median([3.0, 1.0, 2.0], [1, 1, 1]) == 2.0
        assert weighted_median([1.0, 2.0], [1, 1]) == 1.5

    def test_weight_decides(self) -> None:
        assert weighted_median([1.0, 2.0, 10.0], [0.1, 0.1, 5]) == 10.0

    def test_without_weight_all_count_alike(self) -> None:
        assert weighted_median([1.0, 5.0, 9.0], [0, 0, 0]) == 5.0

    def test_nothing_has_no_median(self) -> None:
        with pytest.raises(ValueError, match="values"):
            weighted_median([], [])
