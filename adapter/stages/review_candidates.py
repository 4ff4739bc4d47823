"""What is known of labelled tasks that may need a reviewer: how people differ, what is doubted, what is proposed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from adapter.core.review_queue import Candidate
from adapter.errors import LabelError
from adapter.kinds import kind_of
from adapter.stages.context import Project
from adapter.stages.evidence import SKILL_NOTE, digest, restored
from adapter.stages.flag_people import part_in_words
from adapter.stages.review_decisions import rejections, standing
from adapter.stages.review_machines import machines_said
from adapter.stages.review_words import said
from adapter.stages.window import left_in_budget
from adapter.vocabulary import Consensus, Control, Decision, Flag, FlagReason, Value

_DOUBTED = (FlagReason.LABEL_ISSUE, FlagReason.LOW_AGREEMENT)


@dataclass(frozen=True, slots=True)
class Shown:
    """What a reviewer sees of a task: what people said in words, and the labels that are selected on the page."""

    said: str
    proposed: Mapping[str, Value]
    score: float


def basis(project: Project, rows: Sequence[Consensus]) -> str:
    """Return a digest of everything that decides who is in review; equal means that nothing needs to be looked at.
    rows: people's consensus, which changes with every vote that counts."""
    store, name = project.store, project.name
    return digest(
        tuple((flag.id, round(flag.score, 4)) for flag in store.flags.open(name)),
        tuple((row.annotation, row.control, str(row.decision), str(row.at)) for row in store.reviews.all(name)),
        tuple(sorted(rejections(project).items())),
        repr(store.projects.notes(name, SKILL_NOTE).get(SKILL_NOTE)),
        tuple(rows),
        project.settings.review.model_dump_json(),
        project.settings.consolidate.model_dump_json(),
        _spent(project),
    )


def candidates(project: Project, rows: Sequence[Consensus]) -> list[Candidate]:
    """Return every labelled task that no reviewer has settled and that waits for no other person. rows: people's
    consensus."""
    settled = {key for key, row in standing(project).items() if row.decision is not Decision.REJECT}
    refused = rejections(project)
    flags: dict[str, Flag] = {}
    for flag in project.store.flags.open(project.name):  # the most doubtful first
        if flag.reason in _DOUBTED:
            flags.setdefault(flag.task_id, flag)
    skills = project.store.projects.notes(project.name, SKILL_NOTE).get(SKILL_NOTE, {})
    most, spent = project.settings.consolidate.max_people, _spent(project)
    found: dict[str, Candidate] = {}
    for control, row in _by_control(project, rows):
        if (row.task_id, control.name) in settled or refused.get(row.task_id) is False:
            continue
        asked_out = len(row.support) >= most or spent
        if row.value is None and not asked_out:
            found[row.task_id] = replace(_base(project, found, row), people=-1)
            continue
        base = _base(project, found, row)
        if base.people < 0:
            continue
        found[row.task_id] = replace(
            base,
            people=max(base.people, len(row.support)),
            undecided=base.undecided or ("" if row.value is not None else row.why or "people do not agree"),
            differ=max(base.differ, _greatest_distance(control, row)),
            flag=flags[row.task_id].score if row.task_id in flags else 0.0,
            doubted=part_in_words(flags[row.task_id]) if row.task_id in flags else "",
            skill=_best_skill(project, skills.get(control.name, {}), row, base.skill),
            rejected=refused.get(row.task_id, False),
        )
    return [candidate for candidate in found.values() if candidate.people >= 0]


def shown(project: Project, rows: Sequence[Consensus], task_ids: Sequence[str]) -> dict[str, Shown]:
    """Return what a reviewer sees of these tasks. rows: people's consensus."""
    of_task: dict[str, list[tuple[Control, Consensus]]] = {task_id: [] for task_id in task_ids}
    for control, row in _by_control(project, rows):
        if row.task_id in of_task:
            of_task[row.task_id].append((control, _canonical(control, row)))
    machines = machines_said(project, task_ids)
    answer = {}
    for task_id, found in of_task.items():
        people = said(task_id, found)
        proposed = {
            control.name: row.value if row.value is not None else row.proposal
            for control, row in found
            if row.value is not None or row.proposal is not None
        }
        score = min((row.confidence for _, row in found), default=0.0)
        answer[task_id] = Shown(
            ". ".join(filter(None, (people, machines.get(task_id)))), proposed, min(max(score, 0.0), 1.0)
        )
    return answer


def _by_control(project: Project, rows: Sequence[Consensus]) -> Iterator[tuple[Control, Consensus]]:
    """Yield the rows in the order of the config's controls."""
    of: dict[str, list[Consensus]] = {}
    for row in rows:
        of.setdefault(row.control, []).append(row)
    for control in project.space.controls:
        yield from ((control, row) for row in of.get(control.name, ()))


def _base(project: Project, found: Mapping[str, Candidate], row: Consensus) -> Candidate:
    return found.get(row.task_id) or Candidate(row.task_id, people=0, blind=project.is_blind(row.task_id))


def _spent(project: Project) -> bool:
    """Whether the budget bears no further person."""
    budget = project.settings.window.budget
    return budget is not None and left_in_budget(project, budget) <= 0


def _greatest_distance(control: Control, row: Consensus) -> float:
    said = list(row.support.values())
    if all(value == said[0] for value in said[1:]):
        return 0.0
    kind = kind_of(control.kind)
    values = list(_canonical(control, row).support.values())
    return max((kind.distance(control, a, b) for a, b in combinations(values, 2) if a != b), default=0.0)


def _best_skill(
    project: Project, skills: Mapping[str, Mapping[str, float]], row: Consensus, before: float | None
) -> float | None:
    """Return the accuracy of the best who labelled it, over the controls the least; None as long as somebody's is
    measured on too few items."""
    known = [skills.get(who) for who in row.support]
    least = project.settings.people.min_items
    if not known or any(skill is None or skill.get("n", 0) < least for skill in known):
        return before
    best = max(float(skill["accuracy"]) for skill in known if skill is not None)
    return best if before is None else min(best, before)


def _canonical(control: Control, row: Consensus) -> Consensus:
    """Return a row with values as its kind writes them; those that the label config no longer knows are left out."""

    def value(given: object) -> Value | None:
        if given is None:
            return None
        try:
            return restored(control, given)
        except LabelError:
            return None

    support = {who: value(given) for who, given in row.support.items()}
    return replace(
        row,
        value=value(row.value),
        proposal=value(row.proposal),
        support={who: given for who, given in support.items() if given is not None},
    )
