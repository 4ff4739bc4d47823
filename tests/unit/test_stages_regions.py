"""The loop on spans that a backend learns: training, the gate, pre-labels, the order, answers to a person at work."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapter.core.spans.spread import SCORE
from adapter.errors import SettingsError
from adapter.stages.consolidate import consolidate
from adapter.stages.evidence import Answers, current_judge, prelabel
from adapter.stages.found_regions import doubt, likeness, pool_doubt, shown
from adapter.stages.ingest import ingest
from adapter.stages.interactive import suggestions
from adapter.stages.pull import pull
from adapter.stages.push import push
from adapter.stages.rank import rank
from adapter.stages.train import due, train

Make = Callable[..., Any]
CONFIG = """<View>
  <Text name="text" value="$text"/>
  <Labels name="things" toName="text"><Label value="verb"/><Label value="thing"/></Labels>
</View>
"""
BACKEND = {"path": "word_list:WordList"}


def span(text: str, word: str, label: str = "thing") -> dict[str, Any]:
    start = text.index(word)
    value = {"start": start, "end": start + len(word), "text": word, "labels": [label]}
    return {"id": word, "from_name": "things", "to_name": "text", "type": "labels", "value": value}


@pytest.fixture
def world(make_world: Make, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "support"))
    world = make_world(
        tasks=60,
        functions=False,
        label_config=CONFIG,
        backends={"things": BACKEND},
        window={"size": 30, "low_water": 29},
        train={"min_labels": 8, "min_new": 5},
        blind={"share": 0.3, "batch_share": 0.3},
    )
    ingest(world.project)
    rank(world.project)
    push(world.project)
    return world


def work(world: Any, count: int) -> None:
    desk = world.desk("ann")
    for _ in range(count):
        assignment = desk.next_task()
        if assignment is None:
            break
        world.clock.forward(1)
        text = assignment.data["text"]
        words = text.split()
        desk.submit(assignment.task_id, [span(text, words[0]), span(text, words[-1], "verb")], 1.0)
    pull(world.project)
    consolidate(world.project)


def test_spans_are_learned_judged_and_shown(world: Any) -> None:
    project = world.project
    assert [control.name for control in project.marked] == ["things"]
    work(world, 20)
    assert due(project) is not None
    report = train(project)
    assert report.promoted, report.sentence
    figures = report.verdict["figures"]
    assert 0 < figures["candidate_right"] <= figures["n"]
    judge = current_judge(project)
    assert judge is not None
    assert judge.bundle.marked == ("things",)
    rank(project)
    pushed = push(project)
    assert pushed.version == report.version
    stored = project.platform.predictions(project.platform_id)
    assert stored
    items = [item for row in stored for item in row.result]
    assert {item["type"] for item in items} == {"labels"}
    blind = {p.platform_id for p in project.store.ledger.placements(project.name) if p.blind}
    assert not blind & {row.task_id for row in stored}


def test_the_most_doubtful_task_comes_first(world: Any) -> None:
    project = world.project
    work(world, 20)
    train(project)
    judge = current_judge(project)
    doubts = pool_doubt(project, judge, project.marked[0])
    report = rank(project)
    rows = [row for row in project.store.rankings.current(project.name) if not row.blind]
    assert rows[0].score == pytest.approx(max(float(doubts[row.seq]) for row in rows))
    assert report.basis == judge.version
    assert sum(report.blend.values()) == report.ranked
    assert set(report.blend) == {"the model is unsure of what it finds", "drawn at random"}


def test_what_does_not_fit_the_control_is_left_out(world: Any) -> None:
    control = world.project.space.control("things")
    good = {"labels": ["thing"], "value": {"start": 0, "end": 3}, "score": 0.9}
    found = [
        good,
        {**good, "labels": ["nobody knows it"]},
        {**good, "value": {"start": 5, "end": 2}},
        {**good, "score": "high"},
        {**good, "score": float("nan")},
        {**good, "value": {"start": 4, "end": 6}, "score": 0.3},
    ]
    value, sure = shown(control, found)
    assert [region["value"]["start"] for region in value] == [0]
    assert sure == pytest.approx(0.7)  # least certain is the region that is not shown
    assert prelabel(world.project.space, Answers(regions={"things": [None]}), 0) is None
    nothing = prelabel(world.project.space, Answers(regions={"things": [[]]}), 0)
    assert nothing == ([], 1.0)


def test_doubt_and_likeness_by_hand(world: Any) -> None:
    control = world.project.space.control("things")
    assert doubt(None) == 1.0
    assert doubt([]) == pytest.approx(0.2)
    assert doubt([{"score": 0.5}, {"score": 1.0}]) == 1.0
    assert doubt([{"score": 0.9}]) == pytest.approx(0.2)
    region = {"labels": ["thing"], "value": {"start": 0, "end": 4}, "score": 1.0}
    (truth, _) = shown(control, [region])
    assert likeness(control, [region], truth) == 1.0
    assert likeness(control, [], truth) == 0.0
    assert likeness(control, None, truth) == 0.0


def test_a_person_at_work_gets_the_same_words_and_the_model_s_own(world: Any) -> None:
    text = "Ann met Bob. Ann left; Annette and ann stayed with Ann"
    first = span(text, "Ann")
    space = world.project.space
    items, score = suggestions(space, {"text": text}, {"result": [first]}, None)
    assert [text[i["value"]["start"] : i["value"]["end"]] for i in items] == ["Ann", "Ann"]
    assert [i["value"]["start"] for i in items] == [13, 51]
    assert score == SCORE
    model = {"labels": ["verb"], "value": {"start": 4, "end": 7}, "score": 0.6}
    items, score = suggestions(space, {"text": text}, {"result": [first]}, lambda *_: [model, model])
    assert [i["value"]["start"] for i in items] == [4, 13, 51]
    assert score == pytest.approx(0.6)


@pytest.mark.parametrize(
    "result",
    [None, "x", [], [1, None], [{"from_name": "nobody"}], [{"from_name": "things", "value": 3}]],
)
def test_a_hostile_context_suggests_nothing(world: Any, result: Any) -> None:
    assert suggestions(world.project.space, {"text": "a b"}, {"result": result}, None) == ([], 0.0)


def test_a_backend_for_a_control_that_is_not_there_is_refused(make_world: Make) -> None:
    with pytest.raises(SettingsError, match="there is no control 'thing'"):
        make_world(functions=False, label_config=CONFIG, backends={"thing": BACKEND}).project  # noqa: B018


def test_an_unmarked_doubt_is_kept_for_each_version(world: Any) -> None:
    work(world, 20)
    train(world.project)
    judge = current_judge(world.project)
    first = pool_doubt(world.project, judge, world.project.marked[0])
    assert np.isfinite(first).all()
    assert (first == pool_doubt(world.project, judge, world.project.marked[0])).all()
