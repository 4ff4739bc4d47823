"""What progress says where it has no curve: refused candidates, no blind sample, regions, models nobody asked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from loop_support import in_process

from adapter.core.gates import promotion
from adapter.stages import train as training
from adapter.stages.consolidate import consolidate
from adapter.stages.ingest import ingest
from adapter.stages.progress import advice, measure_progress, progress, progress_line, remember
from adapter.stages.pull import pull
from adapter.stages.push import push
from adapter.stages.train import train
from adapter.vocabulary import ModelState, Outcome, Verdict

Make = Callable[..., Any]
SPANS = """<View>
  <Text name="text" value="$text"/>
  <Labels name="things" toName="text"><Label value="verb"/><Label value="thing"/></Labels>
</View>
"""


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapter.stages.train.run", in_process)


def turn(world: Any, count: int = 20) -> Any:
    push(world.project)
    world.label("ann", count)
    pull(world.project)
    consolidate(world.project)
    return train(world.project)


def started(make: Make, **settings: Any) -> Any:
    blind = {"share": 0.4, "batch_share": 0.4, "double_share": 0.0}
    world = make(tasks=120, functions=False, **{"blind": blind, "flag": {"folds": 2}, **settings})
    ingest(world.project)
    return world


def refuse(*about: Any, **more: Any) -> Verdict:
    found = promotion(*about, **more)
    return Verdict(Outcome.FAIL, {**found.figures, "promote": False}, "Refused: worse than the most common label.")


def test_candidates_that_were_all_refused_are_measured_and_named(
    make_world: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = started(make_world)
    monkeypatch.setattr(training, "promotion", refuse)
    report = turn(world)
    assert not report.promoted
    assert remember(world.project, report.version)
    found = progress(world.project)
    (control,) = found.controls
    assert found.model is None
    assert control.labels == 0
    assert [point.labels for point in control.active] == [report.metrics["labels"]["spam"]]
    assert "no model has been measured" not in control.saved
    assert "the gate has refused every candidate so far" in control.forecast
    assert "the gate has refused every candidate so far" in progress_line(world.project)


def test_a_refused_candidate_does_not_stand_for_the_model_in_use(make_world: Make) -> None:
    world = started(make_world)
    first, second = turn(world), train(world.project)
    store = world.project.store
    current = store.models.current("spam").version
    assert {first.version, second.version} >= {current}
    assert measure_progress(world.project).remembered == 2
    other = next(version for version in (first.version, second.version) if version != current)
    note = store.projects.notes("spam")["models_seen"]
    kept = {one["version"]: one for one in note["versions"]}
    codes = world.project.artifacts.get_array(kept[current]["codes"]["spam"]).copy()
    codes[:, 1] ^= 0b11000000  # the one that is not in use says the opposite on every task
    kept[other]["codes"] = {"spam": world.project.artifacts.put_array(codes)[0]}
    kept[other]["number"], kept[current]["number"] = 99, 98
    versions = sorted(kept.values(), key=lambda one: one["number"])
    store.projects.note("spam", "models_seen", {**note, "versions": versions})
    store.models.set_state("spam", other, ModelState.REJECTED)
    (control,) = progress(world.project).controls
    assert len(control.active) == 1
    assert control.active[0].accuracy > 0.5


def test_a_model_that_was_not_asked_yet_says_how_to_ask_it(make_world: Make) -> None:
    world = started(make_world)
    assert turn(world).promoted
    (control,) = progress(world.project).controls
    assert "`hitl progress --measure`" in control.saved


def test_without_a_blind_sample_it_is_said_that_it_is_off(make_world: Make) -> None:
    world = started(make_world, blind={"share": 0.0, "batch_share": 0.0})
    assert "`blind.share` is 0" in progress_line(world.project)
    assert turn(world).promoted
    (control,) = progress(world.project).controls
    for sentence in (control.forecast, control.saved, *measure_progress(world.project).why.values()):
        assert "the blind sample is off, `blind.share` is 0" in sentence
        assert "are needed" not in sentence
        assert "labelled blind tasks" not in sentence


def test_a_model_of_regions_is_named_with_what_the_gate_said(make_world: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "support"))
    world = started(
        make_world,
        label_config=SPANS,
        backends={"things": {"path": "word_list:WordList"}},
        train={"min_labels": 8, "min_new": 5, "min_gate": 2},
    )
    assert "controls with a list of labels only" in progress_line(world.project)
    push(world.project)
    desk = world.desk("ann")
    for _ in range(15):
        assignment = desk.next_task()
        text = assignment.data["text"]
        word = text.split()[0]
        value = {"start": 0, "end": len(word), "text": word, "labels": ["thing"]}
        desk.submit(
            assignment.task_id,
            [{"id": "a", "from_name": "things", "to_name": "text", "type": "labels", "value": value}],
            1.0,
        )
    pull(world.project)
    consolidate(world.project)
    report = train(world.project)
    for said in (progress(world.project).why, progress_line(world.project), advice(world.project).why):
        assert "not for the regions of things" in said
        assert f"{report.version}: {report.sentence.rstrip('.')}" in said
        assert "no control has labels" not in said
    assert progress(world.project).notes == (progress(world.project).why,)


def test_where_all_labelled_tasks_are_blind_the_training_says_so(make_world: Make) -> None:
    world = started(make_world, blind={"share": 1.0, "batch_share": 1.0})
    report = turn(world, 5)
    assert report.version is None
    assert report.sentence == "all labelled tasks are blind, which never train: lower blind.share"
