"""Push and pull against the in-memory platform: nothing twice, nothing lost, whatever breaks in between."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from adapter.errors import LabelConfigError, PlatformNotFound, PlatformUnreachable
from adapter.stages.attach import attach, detach
from adapter.stages.consolidate import consolidate
from adapter.stages.ingest import ingest
from adapter.stages.pull import pull
from adapter.stages.push import push
from adapter.stages.setup import setup
from adapter.stages.vote import vote
from adapter.stages.window import open_placements
from adapter.vocabulary import REASON_FIELD, TASK_KEY_FIELD

Make = Callable[..., Any]


def there(world: Any) -> list[Any]:
    return list(world.platform.tasks(world.project.platform_id))


def started(make: Make, **settings: Any) -> Any:
    world = make(**settings)
    ingest(world.project)
    return world


def test_the_first_push_makes_the_project_and_fills_the_window(make_world: Make) -> None:
    world = started(make_world)
    report = push(world.project)
    assert (report.pushed, report.open) == (20, 20)
    keys = [task.data[TASK_KEY_FIELD] for task in there(world)]
    ranking = [row.task_id for row in world.project.store.rankings.current("spam")]
    assert keys == ranking[:20]
    assert len(set(keys)) == 20


def test_a_second_push_adds_nothing_above_the_low_water_mark(make_world: Make) -> None:
    world = started(make_world)
    push(world.project)
    again = push(world.project)
    assert again.pushed == 0
    assert "low-water" in again.note
    assert len(there(world)) == 20


def test_the_window_is_topped_up_as_it_drains(make_world: Make) -> None:
    world = started(make_world)
    push(world.project)
    world.label("ann", 14)
    pull(world.project)
    open_before = len(open_placements(world.project))
    assert push(world.project).pushed == 20 - open_before
    assert len(open_placements(world.project)) == 20


def test_every_task_says_why_in_the_same_words_whether_blind_or_not(make_world: Make) -> None:
    world = started(make_world)
    push(world.project)
    blind = {task.data[REASON_FIELD] for task in there(world) if world.project.is_blind(task.data[TASK_KEY_FIELD])}
    others = {task.data[REASON_FIELD] for task in there(world) if not world.project.is_blind(task.data[TASK_KEY_FIELD])}
    assert blind
    assert blind <= others
    assert all(reason.strip() for reason in others)


def test_blind_tasks_get_no_prelabel_and_the_others_do(make_world: Make) -> None:
    world = started(make_world)
    vote(world.project)
    consolidate(world.project)
    report = push(world.project)
    assert report.version is not None
    assert report.version.startswith("weak-")
    labelled = {p.task_id for p in world.platform.predictions(world.project.platform_id)}
    for task in there(world):
        if world.project.is_blind(task.data[TASK_KEY_FIELD]):
            assert task.id not in labelled
    assert len(labelled) == report.prelabelled > 0
    assert world.platform.project(world.project.platform_id).model_version == report.version


@pytest.mark.parametrize("after", [False, True], ids=["before it landed", "after it landed"])
def test_a_push_that_broke_is_completed_without_a_copy(make_world: Make, after: bool) -> None:
    world = started(make_world)
    setup(world.project, connect=False)
    world.platform.fail_next("import_tasks", PlatformUnreachable("gone"), after_effect=after)
    with pytest.raises(PlatformUnreachable):
        push(world.project)
    world = world.again()
    report = push(world.project)
    keys = [task.data[TASK_KEY_FIELD] for task in there(world)]
    assert report.reconciled == 20
    assert len(keys) == len(set(keys)) == 20


@pytest.mark.parametrize("after", [False, True], ids=["before they landed", "after they landed"])
def test_prelabels_that_broke_off_are_completed_without_a_copy(make_world: Make, after: bool) -> None:
    world = started(make_world)
    vote(world.project)
    consolidate(world.project)
    world.platform.fail_next("import_predictions", PlatformUnreachable("gone"), after_effect=after)
    with pytest.raises(PlatformUnreachable):
        push(world.project)
    world = world.again()
    push(world.project)
    pairs = [(p.task_id, p.model_version) for p in world.platform.predictions(world.project.platform_id)]
    assert len(pairs) == len(set(pairs))
    visible = [t for t in there(world) if not world.project.is_blind(t.data[TASK_KEY_FIELD])]
    covered = {place for place, _ in pairs}
    store = world.project.store
    assert {store.ledger.task_ids("spam", [t.id])[t.id] for t in visible if t.id not in covered} <= {
        t.data[TASK_KEY_FIELD] for t in visible if not any(w in t.data["text"] for w in ("subscribe", "song", "www."))
    }


def test_pull_sees_created_changed_skipped_and_deleted(make_world: Make) -> None:
    world = started(make_world)
    push(world.project)
    assert pull(world.project).created == 0
    done = world.label("ann", 3)
    desk = world.desk("bob")
    skipped = desk.next_task()
    desk.skip(skipped.task_id, 1.0)
    report = pull(world.project)
    assert report.created == 4
    totals = world.project.store.annotations.totals("spam")
    assert (totals.votes, totals.cancelled) == (3, 1)
    place = {p.task_id: p.platform_id for p in world.project.store.ledger.placements("spam")}
    first = world.project.store.annotations.of_task("spam", done[0])[0]
    world.clock.forward(30)
    world.platform.change_annotation(first.id, world.result("spam"))
    second = world.project.store.annotations.of_task("spam", done[1])[0]
    world.platform.delete_annotation(second.id)
    report = pull(world.project)
    assert (report.changed, report.deleted) == (1, 1)
    assert world.project.store.annotations.of_task("spam", done[0])[0].values["spam"] in (("spam",), ["spam"])
    assert place[done[1]] in {p.platform_id for p in open_placements(world.project)}


def test_pull_twice_gives_what_once_gives(make_world: Make) -> None:
    world = started(make_world)
    push(world.project)
    world.label("ann", 5)
    pull(world.project)
    before = world.project.store.annotations.digest("spam")
    again = pull(world.project, whole=True)
    assert not again.moved
    assert world.project.store.annotations.digest("spam") == before


def test_an_annotation_of_a_task_that_we_do_not_know_is_kept_as_a_stray(make_world: Make) -> None:
    world = started(make_world)
    push(world.project)
    from adapter.ports import NewTask

    [foreign] = world.platform.import_tasks(world.project.platform_id, [NewTask("stranger", {"text": "hi"})]).values()
    world.platform.annotate(foreign, "eve", world.result("ham"))
    report = pull(world.project)
    assert report.strays == 1
    [stray] = world.project.store.annotations.strays("spam")
    assert "not in our pool" in stray.why
    assert world.project.store.annotations.totals("spam").votes == 0


def test_a_label_outside_the_config_leaves_a_fault_and_keeps_the_raw_result(make_world: Make) -> None:
    world = started(make_world)
    push(world.project)
    task = there(world)[0]
    world.platform.annotate(task.id, "eve", world.result("sausage"))
    pull(world.project)
    [annotation] = world.project.store.annotations.of_task("spam", task.data[TASK_KEY_FIELD])
    assert annotation.values == {}
    assert annotation.result[0]["value"]["choices"] == ["sausage"]
    [fault] = world.project.store.faults.recent("spam")
    assert "sausage" in fault.message


def test_tasks_deleted_in_label_studio_are_noticed(make_world: Make) -> None:
    world = started(make_world)
    push(world.project)
    world.label("ann", 2)
    pull(world.project)
    victim = there(world)[0]
    world.platform.delete_tasks(world.project.platform_id, [victim.id])
    report = pull(world.project)
    assert report.gone == 1
    assert victim.id not in {p.platform_id for p in open_placements(world.project)}


def test_a_project_deleted_under_us_loses_nothing_and_says_what_to_do(make_world: Make) -> None:
    world = started(make_world)
    push(world.project)
    world.label("ann", 6)
    pull(world.project)
    before = world.project.store.annotations.digest("spam")
    world.platform.delete_project(world.project.platform_id)
    for stage in (pull, push):
        with pytest.raises(PlatformNotFound):
            stage(world.project)
    with pytest.raises(PlatformNotFound, match="Nothing in our store was lost"):
        setup(world.project, connect=False)
    assert world.project.store.annotations.digest("spam") == before
    detach(world.project)
    consolidate(world.project)
    report = push(world.project)
    assert report.pushed > 0
    labelled = {row.task_id for row in world.project.store.consensus.all("spam")}
    assert not labelled & {task.data[TASK_KEY_FIELD] for task in there(world)}


def test_labels_that_differ_between_both_sides_are_refused(make_world: Make) -> None:
    world = started(make_world)
    other = world.project.space.config.replace('value="ham"', 'value="meat"')
    made = world.platform.create_project("spam", other)
    with pytest.raises(LabelConfigError, match="meat"):
        setup(world.project, connect=False)
    assert world.platform.task_ids(made.id) == frozenset()


def test_attach_only_reads(make_world: Make) -> None:
    from adapter.ports import NewTask

    world = make_world(functions=False, mode="in-place")
    made = world.platform.create_project("Existing", world.project.space.config)
    world.platform.import_tasks(made.id, [NewTask(f"x{n}", {"text": f"text {n}"}) for n in range(5)])
    before = (world.platform.project(made.id), list(world.platform.tasks(made.id)))
    report = attach(world.project, made.id)
    assert (report.tasks, report.new) == (5, 5)
    assert (world.platform.project(made.id), list(world.platform.tasks(made.id))) == before
    assert attach(world.project, made.id).new == 0


def test_the_budget_is_never_overspent(make_world: Make) -> None:
    world = started(make_world, window={"size": 20, "low_water": 10, "budget": 30})
    made = 0
    for _ in range(12):
        push(world.project)
        made += len(world.label("ann", 5)) + len(world.label("bob", 5))
        pull(world.project)
        consolidate(world.project)
    assert made <= 30
    assert "budget" in push(world.project).note
