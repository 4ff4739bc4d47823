"""Flags on what single people said, by what the others said of the same task: which span, region or number, and what
seems wrong with it.

Blind tasks are not judged: where people differ there, the review queue sees it by itself.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

import numpy as np

from adapter.errors import LabelError
from adapter.kinds import kind_of
from adapter.kinds.base import Given, Region, RegionKind
from adapter.kinds.doubts import Doubted, doubts_of
from adapter.stages.context import Project
from adapter.stages.evidence import digest, restored
from adapter.stages.gold import gold_of_control
from adapter.stages.review_decisions import expert_votes
from adapter.store.flags import WITHDRAWN
from adapter.vocabulary import Annotation, Control, Flag, FlagReason, JsonObject, Value

MOST = 2_000
"""Flags of one control, the most doubtful first; a guideline that everybody reads differently would raise one for every
mark."""
BUCKETS = 1_024
PERSON = "annotator"
"""Key of the evidence that tells a flag on one person's part from one on a task's label."""
REASONS = (FlagReason.LABEL_ISSUE, FlagReason.LOW_AGREEMENT)
"""A part that two or more others contradict; a difference between two people, neither of whom is known to be wrong."""


@dataclass(frozen=True, slots=True)
class Said:
    """What people said of a control. votes: task id to annotator to value, the earliest annotation first. annotations:
    (task id, annotator) to Label Studio's id. gold: what experts settled. states: digests of all that
    decides the flags, by bucket: tasks are spread over BUCKETS of them, so that few new votes bring few tasks up for
    judgement, and what is remembered stays small."""

    votes: Mapping[str, Mapping[str, Value]]
    annotations: Mapping[tuple[str, str], int]
    gold: Mapping[str, Value]
    states: Mapping[str, str]

    def changed(self, before: Mapping[str, str]) -> list[str]:
        """Return the tasks of buckets that are not as they were, by an earlier `states`."""
        return [task_id for task_id in self.votes if self.states[bucket(task_id)] != before.get(bucket(task_id))]

    @property
    def count(self) -> int:
        """How many votes can be judged."""
        return len(self.annotations)


def said_of(project: Project, control: Control) -> Said:
    """Read the votes of tasks outside the blind sample that two people or more have labelled. A value that the label
    config no longer knows is left out."""
    votes: dict[str, dict[str, Value]] = {}
    numbers: dict[tuple[str, str], int] = {}
    state: dict[str, list[object]] = {}
    for task_id, made_here in sorted(project.store.annotations.voting(project.name).items()):
        if project.is_blind(task_id):
            continue
        latest = _latest(made_here, control)
        if len(latest) < 2:
            continue
        votes[task_id] = {}
        for made in latest:
            try:
                votes[task_id][made.annotator] = restored(control, made.values[control.name])
            except LabelError:
                continue
            numbers[task_id, made.annotator] = made.id
            state.setdefault(bucket(task_id), []).append((task_id, made.id, str(made.updated_at)))
    gold = settled(project, control)
    for task_id in sorted(gold.keys() & votes.keys()):
        state[bucket(task_id)].append((task_id, repr(gold[task_id])))
    about = repr(control)
    return Said(votes, numbers, gold, {name: digest(about, tuple(parts)) for name, parts in state.items()})


def bucket(task_id: str) -> str:
    """Return the bucket of a task."""
    return str(zlib.crc32(task_id.encode()) % BUCKETS)


def settled(project: Project, control: Control) -> dict[str, Value]:
    """Return the tasks that need no flag any more, with their value: gold, and what a reviewer decided."""
    experts = {task_id: value for task_id, (value, _) in expert_votes(project, control).items()}
    return {**gold_of_control(project, control), **experts}


def find_doubts(project: Project, control: Control, said: Said, only: Collection[str]) -> list[Flag]:
    """Return what there is to doubt in the votes on these tasks, as unstored flags, at most MOST. Settled tasks
    show how people are, and are not judged."""
    data: Mapping[str, JsonObject] = {}
    if isinstance(kind_of(control.kind), RegionKind):
        data = {task.id: task.data for task in project.store.tasks.get(project.name, sorted(said.votes))}
    given = Given(gold=said.gold, data=data, seed=project.settings.flag.seed)
    found = doubts_of(control, said.votes, given, frozenset(only))
    return [_flag(control, doubt, said) for doubt in found[:MOST]]


def _flag(control: Control, doubt: Doubted, said: Said) -> Flag:
    region = doubt.region["id"] if doubt.region is not None and doubt.own else None
    mine = subject(doubt.kind, region, said.votes[doubt.task][doubt.annotator])
    evidence: dict[str, object] = {
        PERSON: doubt.annotator,
        "kind": doubt.kind,
        "where": where(control, doubt.region, doubt.own),
        "people": doubt.others + 1,
        "against": doubt.against,
        "annotation": said.annotations[doubt.task, doubt.annotator],
        "subject": mine,
        **doubt.figures,
    }
    if doubt.region is not None:
        evidence |= {
            "region": region,
            "opens": [said.annotations[doubt.task, doubt.holder], doubt.mark] if doubt.holder else None,
            "labels": doubt.region["labels"],
            **{key: value for key, value in doubt.region["value"].items() if key in ("start", "end", "text")},
        }
    if doubt.expected is not None:
        evidence["others"] = doubt.expected
    reason = FlagReason.LABEL_ISSUE if doubt.others > 1 else FlagReason.LOW_AGREEMENT
    thing = (said.annotations[doubt.task, doubt.holder], doubt.mark) if doubt.holder else ()
    score = float(np.clip(doubt.score, 0.0, 1.0))
    return Flag(doubt.task, control.name, reason, score, evidence, digest(control.name, doubt.annotator, mine, thing))


def subject(kind: str, region: str | None, value: Value) -> str | None:
    """Return the digest of what a doubt is about: the mark with this id, or the person's whole value where one is
    missed or it has no parts; None if the mark is gone."""
    if region is None:
        return digest(kind, repr(value))
    return next((digest(kind, repr(mark)) for mark in value if mark["id"] == region), None)


def where(control: Control, region: Region | None, own: bool) -> str:
    """Say in words what is doubted; of a thing that was missed only the place, which gives no answer away."""
    if region is None:
        return f"the {control.kind} of '{control.name}'"
    kind = kind_of(control.kind)
    if not isinstance(kind, RegionKind):
        return ""
    return kind.describe(region) if own else kind.describe({**region, "labels": []})


def part_in_words(flag: Flag) -> str:
    """Return the part of the label that a flag is about, such as `'PER' at 3-8 "Smith"`; empty for the whole label."""
    place = str(flag.evidence.get("where") or "")
    return f"unmarked, {place}" if place and flag.evidence.get("kind") == "missed" else place


def headline(flag: Flag) -> str:
    """Return a flag in words, with the part that it is about: `label issue: 'PER' at 3-8`."""
    part = part_in_words(flag)
    return f"{flag.reason}: {part}" if part else str(flag.reason)


def link(url: str, platform_id: int, place: int, flag: Flag) -> str:
    """Return the address that opens a flag's task in Label Studio. It names the annotation and the region too; the page
    of 1.23 was not seen to select them, so the flag's words say where to look. url: Label Studio's. platform_id, place:
    its ids of project and task."""
    found = {"task": place, "annotation": flag.evidence.get("annotation"), "region": None}
    if flag.evidence.get("opens"):
        found["annotation"], found["region"] = flag.evidence["opens"]
    query = urlencode({key: value for key, value in found.items() if value is not None})
    return f"{url.rstrip('/')}/projects/{platform_id}/data?{query}"


def answer(flag: Flag, decided: Collection[str], said: Mapping[str, Value]) -> str:
    """Return how an open flag on a person's part was answered, in words; empty as long as it was not. decided: tasks
    that an expert has settled. said: what each person says of the task now."""
    if flag.task_id in decided:
        return "a reviewer decided"
    who = flag.evidence[PERSON]
    if who not in said:
        return "label withdrawn"
    if len(said) < 2:
        return WITHDRAWN  # nobody is left to judge it by; it may rise again
    region = flag.evidence.get("region")
    now = subject(str(flag.evidence["kind"]), region, said[who])
    if now is None:
        return "region deleted"
    if now != flag.evidence.get("subject"):
        return "region changed" if region else "label changed"
    return ""


def _latest(annotations: Sequence[Annotation], control: Control) -> list[Annotation]:
    """Return the latest annotation of each person that answers this control, in the order in which they were made."""
    latest: dict[str, Annotation] = {}
    for made in annotations:
        if made.votes and control.name in made.values:
            before = latest.get(made.annotator)
            if before is None or (made.updated_at, made.id) > (before.updated_at, before.id):
                latest[made.annotator] = made
    return sorted(latest.values(), key=lambda made: made.id)
