"""Figures of labeling functions from the store: who is measured on what, and what authors may see."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from adapter.errors import FunctionsError
from adapter.stages.function_examples import function_examples, task_text
from adapter.stages.function_votes import VOTES, votes_key
from adapter.stages.functions import SECONDS_NOTE, FunctionFigures, functions_report
from adapter.stages.ingest import ingest
from adapter.stages.vote import vote
from adapter.vocabulary import Annotation, Consensus, Control, Fault

Make = Callable[..., Any]
FUNCTIONS = '''
from adapter.labeling import labeling_function


@labeling_function
def begs(x):
    """Begging for clicks."""
    return "spam" if any(word in x["text"] for word in ("subscribe", "check out", "visit")) else None


@labeling_function
def begging(x):
    return "spam" if any(word in x["text"] for word in ("subscribe", "check out", "visit")) else None


@labeling_function
def music(x):
    return "ham" if any(word in x["text"] for word in ("song", "chorus", "voice", "listen")) else "spam"


@labeling_function
def contrary(x):
    return "ham" if "my" in x["text"] else None


@labeling_function
def dead(x):
    return None


@labeling_function
def broken(x):
    raise ValueError("no such word: " + x["text"][0])
'''
MULTIPLE = """<View>
  <Text name="text" value="$text"/>
  <Choices name="spam" toName="text" choice="multiple"><Choice value="spam"/><Choice value="ham"/></Choices>
</View>"""


def answers(tasks: int, texts: list[str]) -> dict[str, np.ndarray[Any, Any]]:
    """What the functions above say, without running them."""
    begs = [0 if any(word in text for word in ("subscribe", "check out", "visit")) else -1 for text in texts]
    music = [1 if any(word in text for word in ("song", "chorus", "voice", "listen")) else 0 for text in texts]
    contrary = [1 if "my" in text else -1 for text in texts]
    found = {"begs": begs, "begging": begs, "music": music, "contrary": contrary}
    silent = {"dead": [-1] * tasks, "broken": [-2] * tasks}
    return {name: np.array(said, np.int16) for name, said in (found | silent).items()}


def voted_world(make_world: Make, tasks: int = 200, **settings: Any) -> Any:
    world = make_world(tasks=tasks, **settings)
    (world.folder / "functions.py").write_text(FUNCTIONS, encoding="utf-8")
    project = world.project
    ingest(project)
    texts = [task.data["text"] for task in project.store.tasks.between("spam", 0, tasks)]
    said = answers(tasks, texts)
    (control,) = project.learned
    for function in project.functions():
        project.columns.write("spam", VOTES, *votes_key(function, control), 0, said[function.name])
        if function.name == "broken":
            found = [Fault("broken", function.version, "vote", f"c{n}", f"ValueError: {n % 2}") for n in range(5)]
            found.append(Fault("broken", function.version, "vote", None, f"{tasks - 5} more tasks failed"))
            world.project.store.faults.add("spam", found)
    return world


def people_say(world: Any, labels: dict[str, str]) -> None:
    """Give tasks a consensus, and an annotation each, a minute apart in this order."""
    rows, by_task, start = [], {}, world.clock()
    for number, (task_id, label) in enumerate(labels.items()):
        rows.append(Consensus(task_id, "spam", [label], 0.9 + number / 10_000, (), {"ann": [label]}, "one"))
        at = start + timedelta(minutes=number)
        by_task[task_id] = [Annotation(number, task_id, "ann", {"spam": [label]}, (), at, at)]
    world.project.store.consensus.replace("spam", rows)
    world.project.store.annotations.record_many("spam", by_task)


def sides(world: Any) -> tuple[list[str], list[str]]:
    """Return the ids of the blind sample, and the others."""
    index = world.project.store.tasks.index("spam")
    pairs = list(zip(index.ids.tolist(), index.blind.tolist(), strict=True))
    return [task for task, blind in pairs if blind], [task for task, blind in pairs if not blind]


def by_name(world: Any) -> dict[str, FunctionFigures]:
    return {item.name: item for item in functions_report(world.project).functions}


def test_the_pool_is_summed_up_and_every_function_has_its_figures(make_world: Make) -> None:
    world = voted_world(make_world)
    control = functions_report(world.project).controls[0]
    assert (control.tasks, control.covered, control.uncovered) == (200, 200, 0)
    found = {item.name: item for item in control.functions}
    assert list(found) == ["begs", "begging", "music", "contrary", "dead", "broken"]
    spam = sum(label == "spam" for label in world.gold.values())
    assert found["music"].coverage == 1.0
    assert found["music"].says == ("spam", "ham")
    assert found["begs"].says == ("spam",)
    assert found["begs"].one_sidedness == 1.0
    assert 0 < found["begs"].votes < spam
    assert found["begs"].overlap == found["begs"].coverage
    assert control.copies == (("begging", "begs"),)
    assert found["begs"].twin == "begging"
    assert found["begs"].similarity == 1.0


def test_accuracy_is_measured_on_the_blind_sample_alone(make_world: Make) -> None:
    world = voted_world(make_world)
    blind, others = sides(world)
    people_say(world, {task: world.gold[task] for task in blind} | dict.fromkeys(others, "ham"))
    found = by_name(world)
    assert found["music"].n == len(blind)
    assert found["music"].accuracy == 1.0
    assert found["begs"].accuracy == 1.0  # outside the blind sample people said ham everywhere
    assert found["begs"].n == found["begs"].classes[0].n == found["begs"].classes[0].right
    assert found["begs"].classes[0].votes == found["begs"].votes
    assert (found["dead"].n, found["dead"].accuracy) == (0, None)


def test_without_blind_labels_nothing_is_said_of_accuracy(make_world: Make) -> None:
    world = voted_world(make_world)
    _, others = sides(world)
    people_say(world, {task: world.gold[task] for task in others})
    for item in by_name(world).values():
        assert (item.n, item.accuracy, item.gain, item.enough) == (0, None, None, False)


def test_gain_names_the_function_that_does_harm(make_world: Make) -> None:
    world = voted_world(make_world, tasks=600)
    blind, _ = sides(world)
    people_say(world, {task: world.gold[task] for task in blind})
    found = by_name(world)
    assert found["contrary"].gain is not None
    assert found["contrary"].gain_upper is not None
    assert found["contrary"].gain <= 0
    assert any(remark.startswith("worse than chance") for remark in found["contrary"].remarks)
    assert found["music"].gain is not None
    assert found["music"].gain > 0.1
    assert found["music"].gain_n == len(blind)


def test_dead_and_broken_functions_are_named_with_the_reason(make_world: Make) -> None:
    found = by_name(voted_world(make_world))
    assert found["dead"].remarks == ("never votes: it does nothing",)
    broken = found["broken"]
    assert broken.faults == 200
    assert broken.last_fault == "ValueError: 0"
    assert broken.remarks[0] == "never votes and fails on 200 tasks: ValueError: 0"
    assert [item.message for item in broken.fault_examples[:2]] == ["ValueError: 0", "ValueError: 1"]
    assert len(broken.fault_examples) == 3
    assert all(item.task_id for item in broken.fault_examples)


def test_cost_is_told_for_the_present_version_only(make_world: Make) -> None:
    world = voted_world(make_world)
    version = by_name(world)["begs"].version
    entries = {
        "begs": {"version": version, "seconds": 0.5, "rows": 200},
        "music": {"version": "an older one", "seconds": 9.0, "rows": 200},
    }
    world.project.store.projects.note("spam", SECONDS_NOTE, {"spam": entries})
    found = by_name(world)
    assert found["begs"].seconds_per_100000 == pytest.approx(250.0)
    assert found["music"].seconds_per_100000 is None


def test_accuracy_over_time_follows_the_order_in_which_people_labelled(make_world: Make) -> None:
    world = voted_world(make_world, tasks=600)
    blind, _ = sides(world)
    half = len(blind) // 2
    turned = {"spam": "ham", "ham": "spam"}
    # Later labels contradict the function; the order is not that of ingest.
    late = blind[::2][:half]
    early = [task for task in blind if task not in set(late)]
    people_say(world, {task: world.gold[task] for task in early} | {task: turned[world.gold[task]] for task in late})
    music = by_name(world)["music"]
    assert music.accuracy_drifts
    assert music.accuracy_trend.difference is not None
    assert music.accuracy_trend.difference < -0.9
    assert any("accuracy fell" in remark for remark in music.remarks)


def test_coverage_over_the_pool_drifts_when_the_data_changes(make_world: Make) -> None:
    world = voted_world(make_world)
    project = world.project
    (world.folder / "functions.py").write_text(
        "from adapter.labeling import labeling_function\n\n\n@labeling_function\ndef early(x):\n    return 'ham'\n",
        encoding="utf-8",
    )
    function = project.functions()[0]
    said = np.where(np.arange(200) < 80, 1, -1).astype(np.int16)
    project.columns.write("spam", VOTES, *votes_key(function, project.learned[0]), 0, said)
    found = by_name(world)["early"]
    assert found.coverage_drifts
    assert "100% of the first tasks, 0% of the last" in found.remarks[0]


def test_tasks_that_a_function_has_not_seen_are_pending_and_no_abstentions(make_world: Make) -> None:
    world = voted_world(make_world)
    project = world.project
    (world.folder / "functions.py").write_text(
        "from adapter.labeling import labeling_function\n\n\n@labeling_function\ndef late(x):\n    return 'ham'\n",
        encoding="utf-8",
    )
    assert functions_report(project).controls[0].waiting == ("late",)
    function = project.functions()[0]
    project.columns.write("spam", VOTES, *votes_key(function, project.learned[0]), 0, np.full(150, 1, np.int16))
    found = by_name(world)["late"]
    assert (found.pending, found.coverage, found.coverage_drifts) == (50, 1.0, False)
    assert found.remarks == ("has not seen 50 tasks yet: run `hitl vote`",)
    assert function_examples(project, "late", "abstain").found == 0


def test_wrong_examples_come_from_outside_the_blind_sample(make_world: Make) -> None:
    world = voted_world(make_world)
    blind, others = sides(world)
    people_say(world, dict.fromkeys(blind, "ham") | {task: world.gold[task] for task in others})
    assert function_examples(world.project, "begs", "wrong").found == 0  # only blind labels contradict it
    report = function_examples(world.project, "contrary", "wrong", limit=4)
    assert report.found > 4
    assert len(report.tasks) == 4
    assert report.looked_at >= report.found
    for task in report.tasks:
        assert task.task_id in others
        assert (task.vote, task.people) == ("ham", ("spam",))
        assert task.others["music"] == "spam"
        assert "my" in task.text
    sure = {task: position for position, task in enumerate(others)}
    positions = [sure[task.task_id] for task in report.tasks]
    assert positions == sorted(positions, reverse=True)  # those that people are surest of come first


def test_conflicts_show_the_most_opposed_first_and_hide_the_blind_sample(make_world: Make) -> None:
    world = voted_world(make_world)
    blind, others = sides(world)
    people_say(world, {task: world.gold[task] for task in blind})
    report = function_examples(world.project, "contrary", "conflict", limit=100)
    opponents = [sum(label == "spam" for label in task.others.values()) for task in report.tasks]
    assert opponents == sorted(opponents, reverse=True)
    assert opponents[0] == 3
    assert {task.task_id for task in report.tasks} <= set(others)
    assert all(task.people is None for task in report.tasks)
    assert report.hidden == len(blind)


def test_abstentions_show_what_the_function_missed_first(make_world: Make) -> None:
    world = voted_world(make_world)
    _, others = sides(world)
    missed = [task for task in others if world.gold[task] == "spam"]
    people_say(world, {task: "spam" for task in missed})
    report = function_examples(world.project, "begs", "abstain", limit=5)
    assert report.tasks[0].people == ("spam",)
    assert all(task.vote is None for task in report.tasks)
    assert "prize" in report.tasks[0].text  # spam that it has no word for


def test_faults_are_shown_one_of_each_message_without_people_s_labels(make_world: Make) -> None:
    world = voted_world(make_world)
    blind, _ = sides(world)
    people_say(world, {task: world.gold[task] for task in blind})
    report = function_examples(world.project, "broken", "faults", limit=200)
    assert report.found == 200
    assert {task.message for task in report.tasks[:2]} == {"ValueError: 0", "ValueError: 1"}
    shown = {task.task_id: task for task in report.tasks}
    assert all(shown[task].people is None for task in blind)


def test_an_unknown_function_is_refused_with_the_nearest_name(make_world: Make) -> None:
    world = voted_world(make_world, tasks=20)
    with pytest.raises(FunctionsError, match="Did you mean 'begging'"):
        function_examples(world.project, "beging", "wrong")


def test_a_function_that_has_not_voted_says_so(make_world: Make) -> None:
    world = voted_world(make_world, tasks=20)
    text = FUNCTIONS + "\n\n@labeling_function\ndef new(x):\n    return None\n"
    (world.folder / "functions.py").write_text(text, encoding="utf-8")
    with pytest.raises(FunctionsError, match=r"has not voted in its present version yet\. Run `hitl vote`"):
        function_examples(world.project, "new", "wrong")


def test_votes_for_several_labels_are_no_conflict(make_world: Make) -> None:
    world = voted_world(make_world, label_config=MULTIPLE)
    blind, _ = sides(world)
    people_say(world, {task: world.gold[task] for task in blind})
    control = functions_report(world.project).controls[0]
    assert control.conflicting is None
    assert all(item.conflict is None for item in control.functions)
    assert {item.name: item for item in control.functions}["music"].accuracy == 1.0
    report = function_examples(world.project, "music", "conflict")
    assert report.found == 0
    assert "says nothing against the others" in report.note


def test_an_empty_pool_and_no_functions_make_an_empty_report(make_world: Make) -> None:
    world = make_world(tasks=5, functions=False)
    world.project.store.projects.ensure("spam", "digest")
    report = functions_report(world.project)
    assert report.functions == []
    assert report.controls[0].tasks == 0


def test_the_figures_follow_a_real_vote(make_world: Make) -> None:
    world = make_world(tasks=90)
    ingest(world.project)
    vote(world.project)
    found = by_name(world)
    assert set(found) == {"begs", "link", "music"}
    texts = [task.data["text"] for task in world.project.store.tasks.between("spam", 0, 90)]
    assert found["link"].votes == sum("www." in text for text in texts)
    assert not any(item.faults for item in found.values())


def test_a_task_is_shown_by_the_fields_of_its_control() -> None:
    control = Control("c", "choices", "text", "Text", "text", ("a",))
    assert task_text(control, {"text": "one\n  two", "id": 3}) == "one two"
    pair = Control("c", "choices", "left,right", "Text", "left", ("a",), fields=("left", "right"))
    assert task_text(pair, {"left": "x", "right": "y", "more": 1}) == "left: x  right: y"
    assert task_text(control, {"other": 1, "more": 2}) == "other: 1  more: 2"
