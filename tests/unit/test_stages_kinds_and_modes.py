"""The loop with several labels at once, with two controls, and on a project whose tasks are in Label Studio already."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from adapter.ports import NewTask
from adapter.stages.attach import attach
from adapter.stages.consolidate import consolidate
from adapter.stages.flag import flag
from adapter.stages.ingest import ingest
from adapter.stages.pull import pull
from adapter.stages.push import push
from adapter.stages.rank import rank
from adapter.stages.train import train
from adapter.stages.vote import vote
from adapter.vocabulary import TASK_KEY_FIELD

Make = Callable[..., Any]

SEVERAL = """<View>
  <Text name="text" value="$text"/>
  <Choices name="topics" toName="text" choice="multiple">
    <Choice value="link"/>
    <Choice value="begging"/>
    <Choice value="music"/>
  </Choices>
</View>
"""

TWO = """<View>
  <Text name="text" value="$text"/>
  <Choices name="spam" toName="text" choice="single" required="true">
    <Choice value="spam"/>
    <Choice value="ham"/>
  </Choices>
  <Choices name="length" toName="text" choice="single">
    <Choice value="short"/>
    <Choice value="long"/>
  </Choices>
</View>
"""

TOPIC_FUNCTIONS = """
from adapter.labeling import labeling_function


@labeling_function
def link(x):
    return "link" if "www." in x["text"] else None


@labeling_function
def begging(x):
    return "begging" if any(word in x["text"] for word in ("subscribe", "check out", "visit", "win")) else None


@labeling_function
def music(x):
    return "music" if any(word in x["text"] for word in ("song", "chorus", "voice", "listen")) else None
"""


def topics(text: str) -> list[str]:
    found = ["link"] if "www." in text else []
    found += ["begging"] if any(word in text for word in ("subscribe", "check out", "visit", "win")) else []
    return found + (["music"] if any(word in text for word in ("song", "chorus", "voice", "listen")) else [])


def choice(control: str, labels: list[str]) -> dict[str, Any]:
    return {"from_name": control, "to_name": "text", "type": "choices", "value": {"choices": labels}}


def work(world: Any, annotator: str, count: int, result: Callable[[str], list[dict[str, Any]]]) -> int:
    desk, made = world.desk(annotator), 0
    while made < count and (assignment := desk.next_task()) is not None:
        world.clock.forward(1)
        desk.submit(assignment.task_id, result(assignment.data["text"]), 1.0)
        made += 1
    return made


def test_several_labels_at_once_go_all_the_way_through_the_loop(make_world: Make) -> None:
    world = make_world(tasks=150, label_config=SEVERAL)
    (world.folder / "functions.py").write_text(TOPIC_FUNCTIONS, encoding="utf-8")
    project = world.project
    ingest(project)
    vote(project)
    table = consolidate(project).weak["topics"]
    assert {row["name"] for row in table} == {"noisy-or", "weighted-vote"}
    for _ in range(5):
        push(project)
        work(world, "ann", 12, lambda text: [choice("topics", topics(text))])
        pull(project)
        consolidate(project)
    report = train(project)
    assert report.promoted, report.sentence
    rows = {row.task_id: row for row in project.store.consensus.all("spam")}
    texts = {task.id: task.data["text"] for task in project.store.tasks.get("spam", list(rows))}
    assert all(sorted(row.value) == sorted(topics(texts[task_id])) for task_id, row in rows.items())
    assert any(len(row.value) == 2 for row in rows.values()), "a task with two labels should have been among them"
    pushed = push(project)
    assert pushed.version == report.version
    prelabels = world.platform.predictions(project.platform_id)
    current = [p for p in prelabels if p.model_version == report.version]
    right = 0
    by_place = {task.id: task for task in world.platform.tasks(project.platform_id)}
    for prediction in current:
        said = prediction.result[0]["value"]["choices"] if prediction.result else []
        right += sorted(said) == sorted(topics(by_place[prediction.task_id].data["text"]))
    assert right / len(current) > 0.8
    flag(project)


def test_two_controls_are_consolidated_and_trained_each_by_itself(make_world: Make) -> None:
    world = make_world(tasks=150, label_config=TWO)
    functions = world.folder / "functions.py"
    text = functions.read_text(encoding="utf-8").replace("@labeling_function\n", '@labeling_function(control="spam")\n')
    functions.write_text(text, encoding="utf-8")
    project = world.project
    ingest(project)
    vote(project)
    consolidate(project)
    gold = {f"c{n}": label for n, label in enumerate(world.gold.values())}

    def both(text: str) -> list[dict[str, Any]]:
        spam = any(word in text for word in ("subscribe", "check out", "win", "visit"))
        return [
            choice("spam", ["spam" if spam else "ham"]),
            choice("length", ["long" if len(text) > 30 else "short"]),
        ]

    for _ in range(4):
        push(project)
        work(world, "ann", 12, both)
        pull(project)
        report = consolidate(project)
    assert set(report.people) == {"spam", "length"}
    assert report.people["length"] == report.people["spam"] > 40
    assert report.weak["length"] == []
    for row in project.store.consensus.all("spam", "spam"):
        assert list(row.value) == [gold[row.task_id]]
    trained = train(project)
    assert trained.promoted
    assert set(trained.metrics["labels"]) == {"spam", "length"}
    push(project)
    places = {
        p.task_id: p for p in world.platform.predictions(project.platform_id) if p.model_version == trained.version
    }
    assert places
    assert all({item["from_name"] for item in p.result} == {"spam", "length"} for p in places.values())


@pytest.fixture
def adopted(make_world: Make) -> Any:
    """A world bound to a project with 60 tasks that somebody else made in Label Studio."""
    world = make_world(functions=True, mode="in-place")
    config = world.project.space.config
    made = world.platform.create_project("Theirs", config)
    rows = [f"{text}" for text in (f"this song number {n} is lovely" for n in range(30))]
    rows += [f"subscribe to my channel {n} now" for n in range(30)]
    for text in rows:
        world.platform.add_task(made.id, {"text": text})
    attach(world.project, made.id)
    world.theirs = made.id
    return world


def spam_of(text: str) -> list[dict[str, Any]]:
    return [choice("spam", ["spam" if "subscribe" in text else "ham"])]


def test_in_place_tasks_stay_and_are_ordered_by_the_score_of_their_prelabel(adopted: Any) -> None:
    project = adopted.project
    before = adopted.platform.task_ids(adopted.theirs)
    vote(project)
    consolidate(project)
    report = push(project)
    assert report.pushed == 0
    assert adopted.platform.task_ids(adopted.theirs) == before
    assert adopted.platform.project(adopted.theirs).sampling == "Uncertainty sampling"
    predictions = adopted.platform.predictions(adopted.theirs)
    assert len({p.task_id for p in predictions}) == len(predictions) == 60
    keys = project.store.ledger.task_ids("spam", [p.task_id for p in predictions])
    for prediction in predictions:
        assert bool(prediction.result) != project.is_blind(keys[prediction.task_id])
    assert not any(TASK_KEY_FIELD in task.data for task in adopted.platform.tasks(adopted.theirs))


def test_in_place_the_loop_closes_too(adopted: Any) -> None:
    project = adopted.project
    vote(project)
    consolidate(project)
    push(project)
    assert work(adopted, "ann", 40, spam_of) == 40
    assert pull(project).created == 40
    consolidate(project)
    report = train(project)
    assert report.promoted
    rank(project)
    pushed = push(project)
    assert pushed.version == report.version
    assert adopted.platform.project(adopted.theirs).model_version == report.version


def test_a_task_that_somebody_adds_in_place_is_adopted(adopted: Any) -> None:
    project = adopted.project
    pull(project)
    [place] = adopted.platform.import_tasks(adopted.theirs, [NewTask("x", {"text": "a late comer"})]).values()
    report = pull(project)
    assert report.adopted == 1
    assert project.store.ledger.task_ids("spam", [place]) == {place: "x"}
    assert pull(project).adopted == 0
