"""What machines say of one ranked task, in words."""

from __future__ import annotations

import numpy as np
import pytest

from adapter.core.priority import RANDOM, UNCERTAIN, Candidates, compose
from adapter.core.priority_words import evidence
from adapter.policies import BlindPolicy, RankPolicy

LABELS = ("World", "Sports", "Business")
NOBODY: dict[str, np.ndarray] = {}


def said(probabilities: list[float], *, multiple: bool = False, labels: tuple[str, ...] = LABELS) -> str:
    return evidence(0, np.array([probabilities], np.float32), NOBODY, labels, multiple=multiple, strategy="margin")


def test_the_two_likeliest_labels_are_named() -> None:
    assert said([0.46, 0.13, 0.41]) == "World 46%, Business 41%"


def test_of_several_labels_those_nearest_to_even_are_named() -> None:
    assert said([0.97, 0.52, 0.3], multiple=True) == "Sports 52%, Business 30%"


def test_a_task_that_nobody_judges_says_nothing() -> None:
    assert said([np.nan, np.nan, np.nan]) == ""
    assert evidence(0, None, NOBODY, LABELS, multiple=False, strategy="margin") == ""


def test_probabilities_of_other_labels_are_not_named_wrongly() -> None:
    assert said([0.5, 0.5]) == ""


@pytest.mark.parametrize(
    ("share", "words"), [(0.0, "0%"), (0.004, "under 1%"), (0.006, "1%"), (0.997, "over 99%"), (1.0, "100%")]
)
def test_only_what_is_certain_is_called_so(share: float, words: str) -> None:
    assert said([share], labels=("spam",)) == f"spam {words}"


def test_a_long_label_is_cut() -> None:
    assert len(said([0.5], labels=("x" * 500,))) < 50


def test_each_source_of_a_committee_is_named_with_its_label() -> None:
    committee = {
        "functions": np.array([[0.9, 0.1, 0.0]]),
        "model": np.array([[0.2, 0.8, 0.0]]),
        "llm": np.full((1, 3), np.nan),
    }
    found = evidence(0, None, committee, LABELS, multiple=False, strategy="committee")
    assert found == "functions: World 90%; model: Sports 80%"


def test_alignment_says_how_well_the_parts_fit() -> None:
    fit = np.array([0.12, np.nan], np.float32)
    assert evidence(0, None, NOBODY, (), multiple=False, strategy="alignment", alignment=fit) == "fit 0.12"
    assert evidence(1, None, NOBODY, (), multiple=False, strategy="alignment", alignment=fit) == ""


def test_each_pick_carries_its_own_words_and_blind_tasks_none() -> None:
    n = 40
    first = np.linspace(0.05, 0.95, n, dtype=np.float32)
    candidates = Candidates(
        seq=np.arange(n),
        ids=[f"t{row}" for row in range(n)],
        blind=np.arange(n) % 4 == 0,
        probabilities=np.stack([first, 1 - first], axis=1),
        knowledge={"labels": ("ham", "spam")},
    )
    policy = RankPolicy(strategy="margin")
    picks = compose(candidates, size=n, blind=BlindPolicy(), rank=policy)
    assert len(picks) == n
    for pick in picks:
        if pick.blind:
            assert (pick.reason, pick.said) == (RANDOM, "")
        else:
            p = first[pick.seq]
            assert pick.reason == UNCERTAIN
            assert pick.said.startswith(f"{'ham' if p >= 0.5 else 'spam'} {max(p, 1 - p):.0%}")
