"""The benchmark with peers: every picker gives candidates only, and the generated set is what it says."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from adapter.core.strategies import Vectors
from adapter.simulate.learning import Ground, Round
from benchmarks.active_learning import compared, judged
from benchmarks.active_learning_intents import INTENTS, intents
from benchmarks.active_learning_peers import PEERS
from benchmarks.active_learning_sets import Dense, Rows, Setting, ground_of


def turn() -> Round:
    random = np.random.default_rng(0)
    gold = random.integers(0, 3, 80)
    vectors = random.normal(size=(80, 6)) + 3 * np.eye(6)[gold]
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    keys = tuple(f"text {i}" for i in range(80))
    ground = ground_of(Rows(keys, gold, vectors), Setting(("a", "b", "c"), 3.0, 5, 40, 60), 0)
    backend = Dense(vectors, keys, 3.0)
    labelled, candidates = np.arange(12), np.arange(12, len(ground.ids))
    examples = [ground.pool[row] for row in labelled]
    backend.fit(examples, ground.said[labelled], weights=np.ones(12, np.float32), multiple=False, seed=0)
    rest = [ground.pool[row] for row in candidates]
    known = Vectors(len(candidates), lambda rows: backend.embed([rest[row] for row in rows]))
    return Round(ground, backend, candidates, labelled, backend.predict(rest), known, 5, 0)


@pytest.mark.filterwarnings("ignore")  # the peers' own
@pytest.mark.parametrize("name", list(PEERS))
def test_a_peer_picks_candidates_each_once_and_the_same_again(name: str) -> None:
    here = turn()
    picked = PEERS[name](here)
    assert len(set(picked.tolist())) == 5
    assert set(picked.tolist()) <= set(here.candidates.tolist())
    if name != "small-text: BADGE":  # it draws from a generator of its own that nobody can seed
        assert PEERS[name](here).tolist() == picked.tolist()


@pytest.mark.filterwarnings("ignore")
def test_peers_margins_are_the_smallest_margins_of_our_model() -> None:
    here = turn()
    top = np.sort(here.probabilities, axis=1)
    smallest = set(here.candidates[np.argsort(top[:, -1] - top[:, -2])[:5]].tolist())
    assert set(PEERS["skactiveml: margin"](here).tolist()) == smallest
    assert set(PEERS["small-text: breaking ties"](here).tolist()) == smallest


def test_no_content_is_in_pool_and_test_split() -> None:
    rows = Rows(tuple("aabbccddeeffgghh"), np.zeros(16, np.int64), np.eye(16, dtype=np.float32))
    ground: Ground = ground_of(rows, Setting(("x", "y"), 1.0, 1, 2, 3), 1)
    pool = [rows.keys[example["row"]] for example in ground.pool]
    assert len(set(pool)) == len(pool)
    assert not set(pool) & {rows.keys[example["row"]] for example in ground.test}
    assert set(pool) | {rows.keys[example["row"]] for example in ground.test} == set("abcdefgh")


def test_intents_are_many_unlike_in_number_and_the_same_each_time() -> None:
    once, again = list(intents(1500)), list(intents(1500))
    assert once == again
    counts = Counter(intent for _, intent in once)
    assert len(INTENTS) == 60
    assert set(counts) == set(INTENTS)
    assert max(counts.values()) >= 5 * min(counts.values())
    assert 0.01 < 1 - len({text for text, _ in once}) / len(once) < 0.1
    assert not any("{" in text for text, _ in once)


def figures(area: float, over: float, error: float, saved: float) -> dict[str, object]:
    return {
        "area": {"each": [area, area]},
        "area_over_random": {"value": over, "standard_error": error},
        "saving": {"98": {"value": saved, "censored": ""}},
    }


def test_goals_are_judged_as_they_are_stated() -> None:
    one = {"strategies": {"mine": figures(0.8, -0.01, 0.02, 0.7), "skactiveml: margin": figures(0.7, 0, 0, 0.5)}}
    verdict = judged("ag_news", "mine", one)
    assert verdict["not_below_random"]
    assert verdict["saves"]
    assert not judged("ag_news", "skactiveml: margin", one)["saves"]
    found = compared("mine", {"ag_news": one})
    assert (found["best_peer"], found["at_or_above"]) == ("skactiveml: margin", True)
