from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from adapter.core.crowd import CrowdVotes, consolidate
from adapter.core.crowd.choose import DEFAULT, MARGIN, Score, gold_choice, safe_choice


def scores(**pairs: tuple[float, float]) -> dict[str, Score]:
    return {name.replace("_", "-"): Score(*pair) for name, pair in pairs.items()}


def test_without_overlap_the_default_speaks() -> None:
    assert safe_choice({}) == DEFAULT
    few = CrowdVotes(np.array([0, 0, 1]), np.array([0, 1, 0]), np.array([0, 1, 1]), ["a", "b"], ["x", "y"], 2)
    found = consolidate(few)
    assert found.method == DEFAULT
    assert {row["name"] for row in found.table} >= {"majority", "one-coin", "dawid-skene", "mace", "blend"}
    assert [row["name"] for row in found.table if row["chosen"]] == [DEFAULT]


def test_majority_stays_where_nothing_is_better() -> None:
    even = scores(majority=(0.7, 0.5), one_coin=(0.7, 0.5), dawid_skene=(0.7, 0.5 + MARGIN / 2))
    assert safe_choice(even) == "majority"


def test_over_one_coin_both_scores_must_rise() -> None:
    base = {"majority": (0.7, 0.5), "one_coin": (0.72, 0.53)}
    assert safe_choice(scores(**base, dawid_skene=(0.72, 0.60))) == "one-coin"
    assert safe_choice(scores(**base, dawid_skene=(0.75, 0.53))) == "one-coin"
    assert safe_choice(scores(**base, dawid_skene=(0.75, 0.60), mace=(0.74, 0.61))) == "mace"


def test_where_people_lean_kappa_alone_decides() -> None:
    base = {"majority": (0.7, 0.5), "one_coin": (0.68, 0.45)}
    assert safe_choice(scores(**base, dawid_skene=(0.66, 0.55))) == "dawid-skene"


def test_a_gain_on_few_gold_rows_is_luck_and_many_are_not() -> None:
    safe = np.array([1.0, 1, 1, 0] * 5)
    lucky = safe.copy()
    lucky[3] = 1.0
    assert gold_choice({"one-coin": safe, "mace": lucky}, "one-coin") == "one-coin"
    assert gold_choice({"one-coin": safe, "mace": np.ones(20)}, "one-coin") == "mace"
    assert gold_choice({"one-coin": safe, "mace": np.zeros(20)}, "one-coin") == "one-coin"


def test_enough_gold_is_told_in_the_table_and_too_little_is_not() -> None:
    random = np.random.default_rng(0)
    t = 200
    truth = random.integers(2, size=t)
    task, who = np.repeat(np.arange(t), 4), np.tile(np.arange(4), t)
    label = np.where(random.random(4 * t) < np.array([0.95, 0.9, 0.6, 0.6])[who], truth[task], 1 - truth[task])
    votes = CrowdVotes(task, who, label, [f"t{i:03d}" for i in range(t)], list("abcd"), 2)
    told = consolidate(votes, gold={i: int(truth[i]) for i in range(40)})
    assert all(row["gold"] == 40 and 0 <= row["gold_accuracy"] <= 1 for row in told.table)
    figures = {row["name"]: row["gold_accuracy"] for row in told.table}
    assert figures["one-coin"] > figures["majority"]
    assert told.method != "majority"
    few = consolidate(votes, gold={i: int(truth[i]) for i in range(10)})
    assert not any("gold_accuracy" in row for row in few.table)


def test_crowdlab_is_weighed_on_gold_alone() -> None:
    random = np.random.default_rng(1)
    t = 200
    truth = random.integers(2, size=t)
    task, who = np.repeat(np.arange(t), 3), np.tile(np.arange(3), t)
    label = np.where(random.random(3 * t) < 0.6, truth[task], 1 - truth[task])
    votes = CrowdVotes(task, who, label, [f"t{i:03d}" for i in range(t)], list("abc"), 2)
    model = np.where(np.arange(2)[None, :] == truth[:, None], 0.95, 0.05).astype(np.float32)
    blind = consolidate(votes, model=model)
    assert blind.method != "crowdlab"
    told = consolidate(votes, model=model, gold={i: int(truth[i]) for i in range(100)})
    figures = {row["name"]: row for row in told.table}
    assert figures["crowdlab"]["gold_accuracy"] > figures["majority"]["gold_accuracy"]
    assert told.method == "crowdlab"


@pytest.mark.data
def test_public_crowds_are_never_consolidated_worse_than_by_majority(data_folder: Path) -> None:
    from benchmarks.crowd import accuracy
    from benchmarks.crowd_data import labels_only

    sets, _ = labels_only(data_folder)
    if not sets:
        pytest.skip("the data folder lacks crowd_labels_only")
    means = []
    for crowd in sets:
        ours, majority = (
            accuracy(consolidate(crowd.votes, method=name).posterior, crowd.truth) for name in ("auto", "majority")
        )
        assert ours > majority - 0.005, crowd.name
        means.append((ours, majority))
    gain = np.mean([ours - majority for ours, majority in means])
    assert gain > 0.02


@pytest.mark.data
def test_product_pairs_reach_the_known_figures(data_folder: Path) -> None:
    from scipy.stats import spearmanr

    from benchmarks.crowd import accuracy
    from benchmarks.crowd_data import product_matching

    if not (data_folder / "crowd_product_matching").is_dir():
        pytest.skip("the data folder lacks crowd_product_matching")
    pairs = product_matching(data_folder)
    found = consolidate(pairs.votes)
    assert accuracy(found.posterior, pairs.truth) > 0.936
    votes = pairs.votes
    n = np.bincount(votes.annotator)
    right = np.bincount(votes.annotator, pairs.truth[votes.task] == votes.label) / n
    skill = np.array([found.skill[name].accuracy for name in votes.annotators])
    assert spearmanr(skill[n >= 20], right[n >= 20])[0] > 0.8
