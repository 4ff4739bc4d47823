"""Simulated annotators: how well they label, how fast, and what they say of one task.

What an annotator says of a task depends on the seed, the annotator and the task alone, never on the order of work.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import yaml

from adapter.errors import DataError, LabelError, nearest
from adapter.kinds import kind_of
from adapter.simulate.slips import slip
from adapter.vocabulary import Control, Value

DEFAULT_SKILLS = (0.98, 0.95, 0.85)
Vote: TypeAlias = tuple[str, str, Any]
"""Task, annotator, what that annotator said."""


@dataclass(frozen=True, slots=True)
class Person:
    """One simulated annotator.

    skill: share of labels that are right; errors fall on the other labels evenly. confusion: gold label to label to
    probability; replaces skill. seconds: median time for one task, in seconds of the simulation. skip: share skipped.
    stored: task to what that person said of it, as the file has it (labels, or a value of the control's kind); it is
    replayed instead.
    """

    name: str
    skill: float = 0.95
    confusion: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    seconds: float = 1.0
    skip: float = 0.0
    stored: Mapping[str, Any] = field(default_factory=dict)


def parse_people(spec: str, *, seconds: float = 1.0, workers: bool = False) -> list[Person]:
    """Return annotators from SPEC: a number (`3`), skills (`.98,.95,.85`), skill and seconds (`.98@2,.95@1`), a YAML
    or JSON file with a list of {name, skill, confusion, seconds, skip}, or stored votes: a CSV with columns task,
    annotator, label, or JSON lines of {task, annotator, value}.

    workers: keep apart who gave a stored vote, one person each (routing then brings each task to those who labelled
    it); else seats, see `_seats`. Raises DataError with what is wrong and where."""
    if not spec:
        return _skilled(DEFAULT_SKILLS, seconds)
    path = Path(spec)
    if path.suffix in {".yaml", ".yml", ".json"}:
        return _from_file(path, seconds)
    if path.suffix in {".csv", ".jsonl"}:
        rows = _stored_csv(path) if path.suffix == ".csv" else _stored_lines(path)
        votes = list(rows)
        if not votes:
            raise DataError("there are no votes", where=str(path), remedy="Write rows of task, annotator, label.")
        return _workers(votes, seconds) if workers else _seats(votes, seconds)
    if spec.isdigit():
        count = int(spec)
        if not 1 <= count <= 100:
            raise DataError(f"{count} annotators", where="--annotators", remedy="Give 1 to 100.")
        return _skilled([DEFAULT_SKILLS[i % len(DEFAULT_SKILLS)] for i in range(count)], seconds)
    people = []
    for number, part in enumerate(spec.split(","), start=1):
        skill, _, pace = part.partition("@")
        try:
            people.append(Person(f"annotator-{number}", _share(float(skill)), seconds=float(pace) if pace else seconds))
        except ValueError as error:
            raise DataError(
                f"'{part}' is no annotator",
                where="--annotators",
                remedy="Write a number of people, skills such as .98,.95,.85, skill and seconds as .98@2, or a file.",
            ) from error
    return people


def _skilled(skills: Sequence[float], seconds: float) -> list[Person]:
    return [Person(f"annotator-{n}", skill, seconds=seconds) for n, skill in enumerate(skills, start=1)]


def _share(value: float) -> float:
    if not 0 <= value <= 1:
        raise ValueError(value)
    return value


def _from_file(path: Path, seconds: float) -> list[Person]:
    try:
        entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise DataError(f"annotators cannot be read ({type(error).__name__})", where=str(path)) from error
    if isinstance(entries, dict):
        entries = entries.get("annotators")
    if not isinstance(entries, list) or not entries:
        raise DataError("a list of annotators is wanted", where=str(path), remedy="Write - name: ann, skill: 0.95.")
    people = []
    valid = {"name", "skill", "confusion", "seconds", "skip"}
    for number, entry in enumerate(entries, start=1):
        if not isinstance(entry, dict):
            raise DataError(f"entry {number} is not a mapping", where=str(path))
        for key in entry:
            if key not in valid:
                raise DataError(
                    f"entry {number} has an unknown key '{key}'", where=str(path), remedy=nearest(key, valid)
                )
        people.append(
            Person(
                name=str(entry.get("name", f"annotator-{number}")),
                skill=_share(float(entry.get("skill", 0.95))),
                confusion=entry.get("confusion", {}),
                seconds=float(entry.get("seconds", seconds)),
                skip=_share(float(entry.get("skip", 0.0))),
            )
        )
    return people


def _stored_csv(path: Path) -> Iterator[Vote]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            missing = {"task", "annotator", "label"} - set(reader.fieldnames or ())
            if missing:
                raise DataError(f"columns missing: {', '.join(sorted(missing))}", where=str(path))
            for row in reader:
                yield row["task"], row["annotator"], tuple(row["label"].split("|"))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"stored votes cannot be read ({type(error).__name__})", where=str(path)) from error


def _stored_lines(path: Path) -> Iterator[Vote]:
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                if not line.strip():
                    continue
                row = json.loads(line)
                if not isinstance(row, dict) or not {"task", "annotator", "value"} <= row.keys():
                    raise DataError("task, annotator and value are wanted", where=f"{path}, line {number}")
                yield str(row["task"]), str(row["annotator"]), row["value"]
    except (OSError, ValueError) as error:
        raise DataError(f"stored votes cannot be read ({type(error).__name__})", where=str(path)) from error


def _workers(votes: Sequence[Vote], seconds: float) -> list[Person]:
    """Return one person for each stored annotator, with that annotator's votes."""
    by_worker: dict[str, dict[str, Any]] = defaultdict(dict)
    for task, worker, said in votes:
        by_worker[worker][task] = said
    return [Person(f"worker-{name}", stored=stored, seconds=seconds) for name, stored in sorted(by_worker.items())]


def _seats(votes: Sequence[Vote], seconds: float) -> list[Person]:
    """Return one seat for each vote that the task with most of them has: seat n replays the n-th stored vote of a task.

    A platform serves any task to anyone, and one real worker has seen a small share of them; by seats, every task
    that is served finds real votes, as many as were stored. Who gave them is not kept apart.
    """
    by_task: dict[str, list[Any]] = defaultdict(list)
    for task, _, said in votes:
        by_task[task].append(said)
    return [
        Person(f"seat-{n + 1}", stored={t: said[n] for t, said in by_task.items() if len(said) > n}, seconds=seconds)
        for n in range(max(len(said) for said in by_task.values()))
    ]


def answer(person: Person, control: Control, task_id: str, gold: Value | None, seed: int) -> Value | None:
    """Return what this person says of a task; None to skip it (always, if there is neither gold nor a stored vote)."""
    if person.stored:
        return _replayed(control, person.stored[task_id]) if task_id in person.stored else None
    rng = _dice(person.name, task_id, control.name, seed)
    if gold is None or rng.random() < person.skip:
        return None
    row = person.confusion.get(gold[0]) if control.kind == "choices" and not control.multiple and gold else None
    if row:
        share = np.array([float(row.get(label, 0.0)) for label in control.labels])
        return (control.labels[int(rng.choice(len(control.labels), p=share / share.sum()))],)
    return slip(control, gold, person.skill, rng)


def _replayed(control: Control, said: Any) -> Value | None:
    """Return a stored vote as the control's kind writes it; None if the control does not know the label."""
    kind = kind_of(control.kind)
    for form in (said, said[0] if isinstance(said, tuple | list) and len(said) == 1 else said):
        try:
            return kind.canonical(control, form)
        except LabelError:
            continue
    return None


def pace(person: Person, task_id: str, seed: int) -> float:
    """Return how long this person takes for a task, in seconds: log-normal around the median."""
    return float(person.seconds * np.exp(0.3 * _dice(person.name, task_id, "pace", seed).standard_normal()))


def _dice(*parts: object) -> np.random.Generator:
    key = hashlib.sha256("\x1f".join(map(str, parts)).encode()).digest()
    return np.random.default_rng(int.from_bytes(key[:8], "big"))
