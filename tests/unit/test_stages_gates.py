"""Gates on agreement as a stage: outcomes kept, changes logged once, acceptance paused until the gate passes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adapter.errors import SettingsError
from adapter.stages.gates import GATES_NOTE, gates, paused
from adapter.stages.ingest import ingest
from adapter.vocabulary import Annotation, Outcome

Make = Callable[..., Any]

ALL_BLIND = {"share": 1.0, "batch_share": 1.0, "double_share": 1.0}
FAST = {"rounds": 400}


def world_of(make: Make, **agreement: Any) -> Any:
    world = make(tasks=160, functions=False, blind=ALL_BLIND, agreement={**FAST, **agreement})
    ingest(world.project)
    return world


def say(world: Any, tasks: int, *, wrong: int, start: int = 0) -> None:
    """Two people label; every `wrong`-th task (0: none) sees them differ."""
    for n in range(start, tasks):
        label = "spam" if n % 2 else "ham"
        other = {"spam": "ham", "ham": "spam"}[label] if wrong and n % wrong == 0 else label
        at = world.clock()
        rows = [
            Annotation(10 * n + place, f"c{n}", who, {"spam": [said]}, (), at, at)
            for place, (who, said) in enumerate((("ann", label), ("bob", other)), start=1)
        ]
        world.project.store.annotations.record("spam", f"c{n}", rows)


def of(report: Any, part: str = "control", name: str = "") -> Any:
    return next(gate for gate in report.gates if (gate.part, gate.name) == (part, name))


def rows(world: Any) -> list[Any]:
    return [row for row in world.project.store.audit.all("spam") if row.what == "agreement gates"]


def test_nothing_labelled_is_not_enough_data(make_world: Make) -> None:
    world = world_of(make_world)
    found = gates(world.project)
    assert found.outcome is Outcome.NOT_ENOUGH_DATA
    assert "two people" in of(found).verdict.sentence
    assert found.paused == {}
    assert rows(world) == []


def test_good_agreement_passes(make_world: Make) -> None:
    world = world_of(make_world)
    say(world, 150, wrong=50)
    found = gates(world.project)
    assert found.outcome is Outcome.PASS
    assert of(found).verdict.figures["lower"] >= 0.8
    assert of(found, "class", "spam").verdict.outcome is Outcome.PASS
    assert paused(world.project, "spam") is None


def test_poor_agreement_fails_pauses_and_says_what_to_do(make_world: Make) -> None:
    world = world_of(make_world)
    say(world, 60, wrong=3)
    found = gates(world.project)
    assert found.outcome is Outcome.FAIL
    sentence = of(found).verdict.sentence
    for word in ("guideline", "'ham' against 'spam'", "ann and bob", "adjudicate"):
        assert word in sentence
    why = paused(world.project, "spam")
    assert why
    assert "not accepted" in why
    assert found.paused == {"spam": why}


def test_between_the_bounds_there_is_not_enough_data(make_world: Make) -> None:
    world = world_of(make_world)
    say(world, 40, wrong=15)
    found = gates(world.project)
    assert found.outcome is Outcome.NOT_ENOUGH_DATA
    figures = of(found).verdict.figures
    assert figures["lower"] < 0.8 <= figures["value"]
    assert figures["more"] > 0


def test_the_nature_and_single_thresholds_decide(make_world: Make) -> None:
    world = world_of(make_world, nature="subjective")
    say(world, 160, wrong=8)
    found = gates(world.project)
    assert of(found).verdict.figures["threshold"] == 0.6
    assert of(found).verdict.outcome is Outcome.PASS


def test_a_threshold_of_one_control_goes_before_all(make_world: Make) -> None:
    world = world_of(make_world, threshold=0.5, thresholds={"spam": 0.95})
    say(world, 160, wrong=8)
    assert of(gates(world.project)).verdict.figures["threshold"] == 0.95
    assert of(gates(world.project)).verdict.outcome is Outcome.FAIL


def test_a_threshold_of_no_control_is_refused_with_the_nearest(make_world: Make) -> None:
    world = world_of(make_world, thresholds={"spma": 0.9})
    with pytest.raises(SettingsError, match="'spam'"):
        gates(world.project)


def test_a_failed_gate_stays_paused_until_it_passes(make_world: Make) -> None:
    world = world_of(make_world, by_class=False)
    say(world, 60, wrong=3)
    gates(world.project)
    for n in range(20, 60):  # most of the evidence goes
        world.project.store.annotations.record("spam", f"c{n}", [])
    found = gates(world.project)
    assert of(found).verdict.outcome is Outcome.NOT_ENOUGH_DATA
    assert of(found).held
    assert paused(world.project, "spam")
    say(world, 160, wrong=0)
    assert gates(world.project).outcome is Outcome.PASS
    assert paused(world.project, "spam") is None


def test_report_only_pauses_nothing(make_world: Make) -> None:
    world = world_of(make_world, on_fail="report")
    say(world, 60, wrong=3)
    found = gates(world.project)
    assert found.outcome is Outcome.FAIL
    assert found.paused == {}
    assert paused(world.project, "spam") is None


def test_the_log_gets_a_row_only_when_an_outcome_changes(make_world: Make) -> None:
    world = world_of(make_world)
    say(world, 60, wrong=3)
    gates(world.project)
    gates(world.project)
    assert len(rows(world)) == 1
    changed = {(row["part"], row["name"]): row["outcome"] for row in rows(world)[0].detail["changed"]}
    assert changed["control", ""] == "fail"
    say(world, 160, wrong=0)
    gates(world.project)
    gates(world.project)
    assert len(rows(world)) == 2
    assert rows(world)[1].detail["changed"][0]["before"] == "fail"
    assert world.project.store.audit.verify("spam") == []


def test_two_runs_give_what_one_gives(make_world: Make) -> None:
    world = world_of(make_world)
    say(world, 80, wrong=6)
    first = gates(world.project)
    note = world.project.store.projects.notes("spam")[GATES_NOTE]
    assert gates(world.project) == first
    assert world.project.store.projects.notes("spam")[GATES_NOTE] == note
    json.dumps(first.as_json(), allow_nan=False)


def test_nothing_is_computed_while_nothing_changed(make_world: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    from adapter.stages import gates as room

    world = world_of(make_world)
    say(world, 60, wrong=3)
    first = gates(world.project)
    judged = room.judged_of
    monkeypatch.delattr(room, "judged_of")
    assert gates(world.project) == first
    monkeypatch.setattr(room, "judged_of", judged, raising=False)
    say(world, 160, wrong=0, start=60)
    assert of(gates(world.project)).verdict.figures["n"] == 160


def test_a_subgroup_may_fail_alone(make_world: Make, tmp_path: Path) -> None:
    lines = [{"id": f"c{n}", "text": f"t{n}", "topic": "new" if n % 4 == 0 else "old"} for n in range(160)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    world = make_world(
        functions=False,
        blind=ALL_BLIND,
        data={"path": str(tmp_path / "rows.jsonl"), "id_column": "id", "subgroups": ["topic"]},
        agreement={**FAST, "threshold": 0.7, "by_class": False},
    )
    ingest(world.project)
    for n in range(160):
        label = "spam" if n % 3 else "ham"
        other = label if n % 4 or n % 8 == 0 else {"spam": "ham", "ham": "spam"}[label]
        at = world.clock()
        pair = [
            Annotation(10 * n + 1, f"c{n}", "ann", {"spam": [label]}, (), at, at),
            Annotation(10 * n + 2, f"c{n}", "bob", {"spam": [other]}, (), at, at),
        ]
        world.project.store.annotations.record("spam", f"c{n}", pair)
    found = gates(world.project)
    assert of(found, "subgroup", "topic=new").verdict.outcome is Outcome.FAIL
    assert of(found, "subgroup", "topic=old").verdict.outcome is Outcome.PASS
    assert found.outcome is Outcome.FAIL


def test_a_rare_class_says_not_enough_data_and_stops_nothing(make_world: Make) -> None:
    world = world_of(make_world)
    for n in range(150):
        label = "spam" if n < 10 else "ham"
        at = world.clock()
        pair = [
            Annotation(10 * n + place, f"c{n}", who, {"spam": [label]}, (), at, at)
            for place, who in enumerate(("ann", "bob"), start=1)
        ]
        world.project.store.annotations.record("spam", f"c{n}", pair)
    found = gates(world.project)
    assert of(found, "class", "spam").verdict.outcome is Outcome.NOT_ENOUGH_DATA
    assert of(found, "class", "spam").verdict.figures["n"] == 10
    assert found.outcome is of(found).verdict.outcome


def test_one_label_throughout_never_passes(make_world: Make) -> None:
    world = world_of(make_world)
    for n in range(100):
        at = world.clock()
        pair = [
            Annotation(10 * n + place, f"c{n}", who, {"spam": ["ham"]}, (), at, at)
            for place, who in enumerate(("ann", "bob"), start=1)
        ]
        world.project.store.annotations.record("spam", f"c{n}", pair)
    found = gates(world.project)
    assert found.outcome is Outcome.NOT_ENOUGH_DATA
    assert "one label" in of(found).verdict.sentence
