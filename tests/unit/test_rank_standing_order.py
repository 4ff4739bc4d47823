"""Ranking: which labels a strategy is told of, what it says of regions, and that people go on when it fails."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from adapter.core.priority import Candidates, compose
from adapter.errors import FunctionsError
from adapter.loop import LoopRunner, default_stages
from adapter.policies import BlindPolicy, RankPolicy
from adapter.stages import rank_knowledge
from adapter.stages.consolidate import consolidate
from adapter.stages.ingest import ingest
from adapter.stages.pull import pull
from adapter.stages.push import push
from adapter.stages.rank import rank
from adapter.stages.rank_knowledge import knowledge, newest_labels, strategies_of

Make = Callable[..., Any]


@pytest.fixture
def world(make_world: Make) -> Any:
    world = make_world(functions=False)
    ingest(world.project)
    return world


def fails(project: Any, **options: Any) -> Any:
    raise FunctionsError("the strategy fails", where="mine.py:mine")


def test_a_strategy_is_told_of_the_labels_that_people_gave_last(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    project = world.project
    push(project)
    labelled = [key for key in world.label("ann", 12) if not project.is_blind(key)]
    assert labelled != sorted(labelled)  # else ids would do
    pull(project)
    consolidate(project)
    control = project.learned[0]
    assert list(newest_labels(project, control)) == labelled
    monkeypatch.setattr(rank_knowledge, "MOST_LABELLED", 3)
    assert list(newest_labels(project, control)) == labelled[-3:]
    targets = knowledge(project, control, newest_labels(project, control), strategies_of(project)[0])["targets"]
    said = [control.labels[row.argmax()] for row in targets]
    assert said == [world.gold[key] for key in labelled[-3:]]


def test_an_answer_that_was_changed_counts_as_new(world: Any) -> None:
    project = world.project
    push(project)
    labelled = [key for key in world.label("ann", 8) if not project.is_blind(key)]
    pull(project)
    consolidate(project)
    first = project.store.annotations.voting("spam")[labelled[0]][0]
    at = first.updated_at
    assert next(iter(newest_labels(project, project.learned[0]))) == labelled[0]
    world.clock.forward(60)
    world.platform.change_annotation(first.id, world.result(world.gold[labelled[0]]))
    pull(project)
    assert project.store.annotations.voting("spam")[labelled[0]][0].updated_at > at + timedelta(seconds=30)
    assert list(newest_labels(project, project.learned[0]))[-1] == labelled[0]


def test_people_get_the_tasks_of_the_order_that_stands_when_a_ranking_fails(world: Any) -> None:
    pulled = LoopRunner(world.project, default_stages())
    assert pulled.pull()
    rank(world.project, size=60)
    runner = LoopRunner(world.project, {**default_stages(), "rank": fails})
    assert runner.pull()
    assert not runner.top_up()
    open_ = [p for p in world.project.store.ledger.placements("spam") if not p.gone]
    assert len(open_) == 20
    last = world.project.store.runs.last("spam", "rank")
    assert "the strategy fails" in last.error
    world.label("ann", 15)
    assert runner.pull()
    assert not runner.top_up()  # the ranking pauses
    assert len(world.project.store.ledger.placements("spam")) == 35


def test_nothing_is_pushed_where_no_order_stands(world: Any) -> None:
    runner = LoopRunner(world.project, {**default_stages(), "rank": fails})
    assert runner.pull()
    assert not runner.top_up()
    assert world.project.store.ledger.placements("spam") == []
    assert world.project.store.runs.last("spam", "push") is None


def test_the_last_tasks_of_an_order_are_pushed_and_the_failure_told(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rank(world.project, size=5)
    monkeypatch.setattr("adapter.stages.push.rank", fails)
    report = push(world.project)
    assert report.pushed == 5
    assert "the strategy fails" in report.note
    with pytest.raises(FunctionsError, match="the strategy fails"):
        push(world.project)


@pytest.mark.parametrize(
    ("strategy", "said"),
    [
        ("margin", "the model is unsure of what it finds"),
        ("entropy", "the model is unsure of what it finds"),
        ("random", "drawn at random"),
    ],
)
def test_of_regions_no_reason_speaks_of_labels(strategy: str, said: str) -> None:
    def why(regions: bool) -> set[str]:
        candidates = Candidates(
            seq=np.arange(6),
            ids=[f"t{n}" for n in range(6)],
            blind=np.zeros(6, bool),
            uncertainty=np.linspace(0, 1, 6),
            regions=regions,
        )
        picks = compose(candidates, size=6, blind=BlindPolicy(), rank=RankPolicy(strategy=strategy))
        return {pick.why for pick in picks}

    assert why(True) == {said}
    if strategy == "margin":
        assert why(False) == {"two labels are nearly as likely"}
