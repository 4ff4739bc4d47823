from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.core.blind import blind_mask, blind_order
from adapter.core.diversity import MOST_EMBEDDED
from adapter.core.neighbours import NEAR, clusters, unit_rows
from adapter.core.priority import Candidates, Pick, compose, reason_text
from adapter.policies import BlindPolicy, RankPolicy

BLIND = BlindPolicy(share=0.1, batch_share=0.15)
RANK = RankPolicy()
Embed = Callable[[np.ndarray], np.ndarray]


def pool(n: int, *, seed: int = 0, uncertain: bool = True, share: float = 0.1) -> Candidates:
    ids = [f"task-{i}" for i in range(n)]
    uncertainty = np.random.default_rng(seed).random(n).astype(np.float32) if uncertain else None
    return Candidates(np.arange(n), ids, blind_mask(ids, BlindPolicy(share=share)), uncertainty)


def shuffled(candidates: Candidates, seed: int) -> Candidates:
    order = np.random.default_rng(seed).permutation(len(candidates.seq))
    return Candidates(
        candidates.seq[order],
        [candidates.ids[i] for i in order],
        candidates.blind[order],
        None if candidates.uncertainty is None else candidates.uncertainty[order],
        None if candidates.duplicate_of is None else candidates.duplicate_of[order],
        None if candidates.covered is None else candidates.covered[order],
    )


def order_of(picks: list[Pick]) -> list[int]:
    return [pick.seq for pick in picks]


def vectors_of(n: int, groups: int, *, spread: float, d: int = 24) -> np.ndarray:
    """Rows in well-separated groups: row i lies in group i % groups."""
    rng = np.random.default_rng(5)
    centres = rng.normal(size=(groups, d))
    return (centres[np.arange(n) % groups] + rng.normal(0, spread, (n, d))).astype(np.float32)


def test_most_uncertain_first() -> None:
    candidates = pool(400)
    picks = [pick for pick in compose(candidates, size=100, blind=BLIND, rank=RANK) if not pick.blind]
    scores = [pick.score for pick in picks]
    assert scores == sorted(scores, reverse=True)
    assert candidates.uncertainty is not None
    assert scores[0] == candidates.uncertainty[~candidates.blind].max()
    assert {pick.reason for pick in picks} == {"uncertain"}


@pytest.mark.parametrize("uncertain", [True, False])
def test_any_cut_holds_about_the_blind_share(uncertain: bool) -> None:
    picks = compose(pool(4000, uncertain=uncertain), size=600, blind=BLIND, rank=RANK)
    so_far = np.cumsum([pick.blind for pick in picks])
    for cut in range(1, len(picks) + 1):
        assert abs(so_far[cut - 1] - 0.15 * cut) <= 1.0


def test_places_of_blind_tasks_follow_no_fixed_step() -> None:
    places = [i for i, pick in enumerate(compose(pool(4000), size=600, blind=BLIND, rank=RANK)) if pick.blind]
    assert len(set(np.diff(places).tolist())) > 4


def test_blind_tasks_come_in_hash_order_whatever_is_known_of_them() -> None:
    candidates = pool(1000)
    picks = [pick for pick in compose(candidates, size=500, blind=BLIND, rank=RANK) if pick.blind]
    keys = blind_order([candidates.ids[pick.seq] for pick in picks], BLIND)
    everyone = blind_order([candidates.ids[i] for i in np.flatnonzero(candidates.blind)], BLIND)
    assert keys.tolist() == sorted(everyone.tolist())[: len(keys)]
    assert {pick.reason for pick in picks} == {"random"}


def test_small_top_ups_add_up_to_the_share() -> None:
    candidates = pool(4000)
    placed = placed_blind = 0
    left = np.ones(4000, bool)
    for _ in range(200):
        rest = np.flatnonzero(left)
        assert candidates.uncertainty is not None
        part = Candidates(rest, [candidates.ids[i] for i in rest], candidates.blind[rest], candidates.uncertainty[rest])
        picks = compose(part, size=2, blind=BLIND, rank=RANK, placed=placed, placed_blind=placed_blind)
        left[order_of(picks)] = False
        placed += len(picks)
        placed_blind += sum(pick.blind for pick in picks)
    assert abs(placed_blind - 0.15 * placed) <= 2


def test_an_old_imbalance_does_not_fill_a_batch_with_blind_tasks() -> None:
    picks = compose(pool(4000), size=100, blind=BLIND, rank=RANK, placed=5000, placed_blind=0)
    assert sum(pick.blind for pick in picks) <= 17


def test_when_one_sort_runs_out_the_other_goes_on() -> None:
    candidates = pool(100)
    picks = compose(candidates, size=1000, blind=BLIND, rank=RANK)
    assert sorted(order_of(picks)) == list(range(100))
    no_blind = compose(candidates, size=50, blind=BlindPolicy(batch_share=0.0), rank=RANK)
    assert not any(pick.blind for pick in no_blind)
    only_blind = compose(candidates, size=5, blind=BlindPolicy(batch_share=1.0), rank=RANK)
    assert all(pick.blind for pick in only_blind)
    assert compose(pool(0), size=5, blind=BLIND, rank=RANK) == []


def test_copies_are_never_picked() -> None:
    candidates = pool(50)
    copies = np.full(50, -1)
    copies[10:20] = 3
    part = Candidates(candidates.seq, candidates.ids, candidates.blind, candidates.uncertainty, copies)
    assert set(order_of(compose(part, size=50, blind=BLIND, rank=RANK))) == set(range(50)) - set(range(10, 20))


def test_cold_start_is_a_seeded_random_order() -> None:
    candidates = pool(300, uncertain=False)
    first = compose(candidates, size=300, blind=BLIND, rank=RankPolicy(seed=1))
    assert order_of(first) == order_of(compose(candidates, size=300, blind=BLIND, rank=RankPolicy(seed=1)))
    assert order_of(first) != order_of(compose(candidates, size=300, blind=BLIND, rank=RankPolicy(seed=2)))
    assert {pick.reason for pick in first} == {"random"}
    assert {pick.score for pick in first} == {0.0}


def test_strategy_random_ignores_uncertainty_and_embeddings() -> None:
    def refuse(rows: np.ndarray) -> np.ndarray:
        raise AssertionError("not needed")

    rank = RankPolicy(strategy="random")
    with_scores = compose(pool(200), size=200, blind=BLIND, rank=rank, embed=refuse)
    without = compose(pool(200, uncertain=False), size=200, blind=BLIND, rank=rank)
    assert order_of(with_scores) == order_of(without)


def test_uncovered_tasks_come_first() -> None:
    candidates = pool(200, share=0.0)
    covered = np.arange(200) % 10 != 0
    part = Candidates(candidates.seq, candidates.ids, candidates.blind, candidates.uncertainty, None, covered)
    picks = compose(part, size=60, blind=BLIND, rank=RANK)
    assert {pick.seq for pick in picks[:20]} == set(range(0, 200, 10))
    assert [pick.reason for pick in picks] == ["uncovered"] * 20 + ["uncertain"] * 40


def test_unknown_uncertainty_counts_as_the_greatest() -> None:
    candidates = pool(50, share=0.0)
    assert candidates.uncertainty is not None
    candidates.uncertainty[7] = np.nan
    first = compose(candidates, size=1, blind=BLIND, rank=RANK)[0]
    assert (first.seq, first.score) == (7, 1.0)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 80), st.integers(0, 5), st.booleans(), st.booleans(), st.integers(1, 90))
def test_order_of_candidates_does_not_matter(n: int, seed: int, uncertain: bool, embedded: bool, size: int) -> None:
    candidates = pool(n, seed=seed, uncertain=uncertain)
    if candidates.uncertainty is not None:
        candidates.uncertainty[:] = np.round(candidates.uncertainty, 1)  # many ties
    table = vectors_of(n, 7, spread=0.4)
    embed = (lambda rows: table[rows]) if embedded else None
    first = compose(candidates, size=size, blind=BLIND, rank=RANK, embed=embed, batch=5)
    again = compose(shuffled(candidates, seed), size=size, blind=BLIND, rank=RANK, embed=embed, batch=5)
    assert order_of(first) == order_of(again)
    assert len(set(order_of(first))) == len(first) == min(n, size)


def test_near_neighbours_never_share_the_order_while_others_are_left() -> None:
    # 60 groups of 20 reworded copies each; the most uncertain 20 are all of one group.
    table = vectors_of(1200, 60, spread=0.02)
    candidates = pool(1200, share=0.0)
    assert candidates.uncertainty is not None
    candidates.uncertainty[::60] = 1.0
    picks = compose(candidates, size=60, blind=BLIND, rank=RANK, embed=lambda rows: table[rows], batch=20)
    unit, _ = unit_rows(table[order_of(picks)])
    similar = unit @ unit.T - np.eye(60)
    assert similar.max() < NEAR
    assert {seq % 60 for seq in order_of(picks)} == set(range(60))
    more = compose(candidates, size=1200, blind=BLIND, rank=RANK, embed=lambda rows: table[rows], batch=20)
    assert order_of(more)[:60] == order_of(picks)
    assert sorted(order_of(more)) == list(range(1200))


def test_without_diversity_near_neighbours_stay_together() -> None:
    table = vectors_of(600, 60, spread=0.02)
    candidates = pool(600, share=0.0)
    assert candidates.uncertainty is not None
    candidates.uncertainty[::60] = 1.0
    rank = RankPolicy(diversity=False)
    picks = compose(candidates, size=10, blind=BLIND, rank=rank, embed=lambda rows: table[rows])
    assert set(order_of(picks)) == set(range(0, 600, 60))


def test_each_batch_is_spread_over_the_clusters() -> None:
    table = vectors_of(2000, 10, spread=0.35)
    candidates = pool(2000, share=0.0)
    assert candidates.uncertainty is not None
    candidates.uncertainty[:] *= 0.9
    candidates.uncertainty[:600:10] = 0.95 + 0.0005 * np.arange(60)  # one cluster holds the 60 most uncertain rows
    picks = compose(candidates, size=10, blind=BLIND, rank=RANK, embed=lambda rows: table[rows], batch=10)
    plain = compose(candidates, size=10, blind=BLIND, rank=RANK)
    assert {seq % 10 for seq in order_of(plain)} == {0}
    assert len({seq % 10 for seq in order_of(picks)}) >= 7
    assert picks[0].seq == plain[0].seq


def test_cold_start_with_embeddings_begins_with_typical_tasks() -> None:
    table = vectors_of(600, 6, spread=0.35)
    candidates = pool(600, uncertain=False, share=0.0)
    picks = compose(candidates, size=30, blind=BLIND, rank=RANK, embed=lambda rows: table[rows], batch=6)
    assert len({pick.seq % 6 for pick in picks[:6]}) >= 5
    assert [pick.reason for pick in picks] == ["representative"] * 6 + ["random"] * 24
    centre = np.stack([table[i::6].mean(axis=0) for i in range(6)])
    distance = np.linalg.norm(table - centre[np.arange(600) % 6], axis=1)
    assert np.mean([distance[pick.seq] for pick in picks[:6]]) < np.median(distance)


def test_embedding_work_is_bounded() -> None:
    asked: list[int] = []

    def embed(rows: np.ndarray) -> np.ndarray:
        asked.extend(rows.tolist())
        return np.ones((len(rows), 4), np.float32)  # all alike: everything is a near neighbour

    n = MOST_EMBEDDED + 500
    picks = compose(pool(n, share=0.0), size=n, blind=BLIND, rank=RANK, embed=embed)
    assert len(asked) == MOST_EMBEDDED
    assert sorted(order_of(picks)) == list(range(n))


def test_embeddings_that_are_missing_or_useless_change_nothing() -> None:
    plain = compose(pool(80), size=80, blind=BLIND, rank=RANK)
    assert compose(pool(80), size=80, blind=BLIND, rank=RANK, embed=lambda rows: None) == plain
    for value in (0.0, np.nan):
        useless = compose(
            pool(80), size=80, blind=BLIND, rank=RANK, embed=lambda rows, v=value: np.full((len(rows), 3), v)
        )
        assert sorted(order_of(useless)) == sorted(order_of(plain))


@pytest.mark.parametrize("uncertain", [True, False])
@pytest.mark.parametrize("embedded", [True, False])
def test_the_reason_shown_is_the_same_for_blind_tasks_and_others(uncertain: bool, embedded: bool) -> None:
    table = vectors_of(600, 6, spread=0.35)
    embed = (lambda rows: table[rows]) if embedded else None
    picks = compose(pool(600, uncertain=uncertain), size=100, blind=BLIND, rank=RANK, embed=embed)
    assert {pick.blind for pick in picks} == {True, False}
    texts = {reason_text(pick) for pick in picks}
    assert len(texts) == 1
    text = texts.pop().lower()
    assert not any(word in text for word in ("blind", "test", "model", "predict", "label", "function"))


def test_arrays_of_other_length_are_refused() -> None:
    with pytest.raises(ValueError, match="'blind'"):
        compose(Candidates(np.arange(3), ["a", "b", "c"], np.zeros(2, bool)), size=1, blind=BLIND, rank=RANK)
    with pytest.raises(ValueError, match="embeddings for"):
        compose(pool(9), size=1, blind=BLIND, rank=RANK, embed=lambda rows: np.ones((1, 2), np.float32))


def test_clusters_find_separated_groups_and_bear_identical_rows() -> None:
    unit, _ = unit_rows(vectors_of(90, 3, spread=0.1))
    labels = clusters(unit, 3, np.random.default_rng(0))
    assert all(len(set(labels[i::3].tolist())) == 1 for i in range(3))
    assert len(set(labels.tolist())) == 3
    same, _ = unit_rows(np.ones((20, 4), np.float32))
    assert set(clusters(same, 5, np.random.default_rng(0)).tolist()) <= set(range(5))


def test_alignment_and_chance_decide_before_anything_judges() -> None:
    from adapter.core.priority import ordered
    from adapter.core.strategies import get

    n = 12
    fits = np.linspace(1.0, 0.0, n).astype(np.float32)
    some = Candidates(np.arange(n), [f"t{i}" for i in range(n)], np.zeros(n, bool), alignment=fits)
    found = ordered(some, size=n, rank=RankPolicy(), strategy=get("alignment"), cold_start=get("typiclust"))
    assert found.name == "alignment"
    assert found.rows[0] == n - 1
    for chance in (get("random"), "random"):
        assert ordered(some, size=n, rank=RankPolicy(), strategy=chance, cold_start="typiclust").name == "random"
    assert ordered(some, size=n, rank=RankPolicy(strategy="random")).name == "random"
