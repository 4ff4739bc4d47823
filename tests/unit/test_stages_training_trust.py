"""What a training may learn from, when it is due, and that one runs at a time: what models are trusted for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from loop_support import trained_world, turn

import adapter.stages.train as training
from adapter.errors import BackendError
from adapter.stages.consolidate import consolidate
from adapter.stages.evidence import Judge
from adapter.stages.pull import pull
from adapter.stages.push import push
from adapter.stages.rank import rank
from adapter.stages.surprises import drifted
from adapter.stages.train import due, gold_of, train
from adapter.stages.train_jobs import train_job
from adapter.stages.weak_use import with_or_without
from adapter.training import run
from adapter.training.result import Rival, TrainResult

Make = Callable[..., Any]
BOTH = """<View>
  <Text name="text" value="$text"/>
  <Choices name="spam" toName="text" choice="single"><Choice value="spam"/><Choice value="ham"/></Choices>
  <Labels name="things" toName="text"><Label value="verb"/><Label value="thing"/></Labels>
</View>
"""


@pytest.fixture
def trained(make_world: Make) -> Any:
    """A world with one model, from 40 annotations."""
    return trained_world(make_world)


def test_weak_labels_of_one_control_are_judged_beside_a_control_of_regions(make_world: Make, tmp_path: Path) -> None:
    world = make_world(label_config=BOTH, backends={"things": {"path": "word_list:WordList"}}, train={"min_gate": 1})
    rows = np.eye(2, dtype=np.float32)
    spam = {"weak_weight": 0.0, "rival_weight": 0.25, "weak": 0, "weak_available": 9}
    result = TrainResult(
        tmp_path, {"controls": {"spam": spam, "things": {"people": 3}}}, {"spam": rows}, {}, False, 1.0,
        Rival(tmp_path, {"spam": rows[::-1]}, {}), {"things": [[], []]},
    )  # fmt: skip
    found, uses = with_or_without(
        world.project, result, lambda control, said: said.argmax(axis=1) == [0, 1], {"spam": 20}, tmp_path, "spam-1"
    )
    assert not found.used_weak
    assert set(found.metrics["controls"]) == {"spam", "things"}
    assert set(uses) == {"spam"}


def test_a_new_label_in_the_label_config_can_be_trained(trained: Any) -> None:
    """The model in use does not know the label: it cannot be asked, so the new one is judged as a first one is."""
    path = trained.folder / "config" / "spam.xml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('<Choice value="ham"', '<Choice value="other"/><Choice value="ham"'), encoding="utf-8")
    world = trained.again()
    before = world.project.store.models.current("spam").version
    report = train(world.project)
    assert report.promoted, report.sentence
    now = world.project.store.models.current("spam")
    assert now.version == report.version != before
    assert now.verdict["figures"]["against"] == "most common label"


def test_two_trainings_of_a_project_never_run_at_once(trained: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """`hitl train` beside `hitl up`: both would write to one folder, under one number."""
    turn(trained)
    inside, go = threading.Event(), threading.Event()

    def slow(*args: Any, **options: Any) -> Any:
        inside.set()
        go.wait(30)
        return run(*args, **options)

    monkeypatch.setattr(training, "run", slow)
    found: list[Any] = []
    first = threading.Thread(target=lambda: found.append(train(trained.project)))
    first.start()
    assert inside.wait(30)
    with pytest.raises(BackendError, match="under way"):
        train(trained.project)
    go.set()
    first.join(60)
    assert found[0].version is not None
    assert not list((trained.project.home / "jobs").glob("spam-*"))
    monkeypatch.setattr(training, "run", run)
    assert train(trained.project).version is not None  # the way is free again


def test_labels_that_people_changed_start_a_training_after_the_wait(trained: Any) -> None:
    project = trained.project
    row = next(iter(project.store.annotations.voting("spam").values()))[0]
    other = {"spam": "ham", "ham": "spam"}[trained.gold[row.task_id]]
    trained.platform.change_annotation(row.id, trained.result(other))
    pull(project)
    consolidate(project)
    assert due(project) is None
    trained.clock.forward(project.settings.train.max_wait_s + 1)
    assert due(project) is not None
    train(project)
    assert due(project) is None
    trained.clock.forward(project.settings.train.max_wait_s + 1)
    assert due(project) is None  # once is enough


def test_drift_is_seen_although_it_was_looked_for_before_the_labels_had_a_consensus(trained: Any) -> None:
    project = trained.project
    since = project.now()
    rank(project)
    push(project)
    trained.clock.forward(5)
    for _ in range(2):
        push(project)
        trained.label("ann", 20, wrong=lambda key: True)
        trained.label("bob", 20, wrong=lambda key: True)
        pull(project)
    assert drifted(project, since) is None  # people's answers are here, their consensus is not
    consolidate(project)
    assert drifted(project, since) is not None


def test_weak_labels_of_what_a_blind_task_is_a_copy_of_do_not_train(trained: Any) -> None:
    project = trained.project
    control = project.space.controls[0]
    gold = gold_of(project, control)
    blind = gold.blind[0][0]
    job = train_job(project, {control.name: gold}, {control.name: 1.0}).controls[0]
    assert blind.id in job.gate_groups
    assert len(job.gate_groups) == len(job.gate_examples) == len(gold.blind)


def test_a_push_asks_the_model_about_tasks_without_its_pre_label_alone(
    trained: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each answer of a language model costs money, also that of a task that it could not answer before."""
    asked: list[int] = []
    real = Judge.answers

    def counted(judge: Judge, examples: Any) -> Any:
        asked.append(len(examples))
        return real(judge, examples)

    monkeypatch.setattr(Judge, "answers", counted)
    first = push(trained.project)
    shown = [p for p in trained.project.store.ledger.placements("spam") if not p.done and not p.blind]
    assert asked == [len(shown)]
    trained.label("ann", 3)
    pull(trained.project)
    again = push(trained.project)
    assert again.version == first.version
    assert len(asked) == 1 + bool(again.prelabelled)
    assert sum(asked) == first.prelabelled + again.prelabelled
