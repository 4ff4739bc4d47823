"""People: what can be said of each annotator: skill, change over time, speed, anchoring, and signs of answering without
looking or of copying. Reads only our store; the same store gives the same report."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from adapter.core import conduct
from adapter.core.pseudonyms import pseudonyms
from adapter.errors import DataError, nearest
from adapter.kinds import label_kind
from adapter.stages.context import Project
from adapter.stages.evidence import SKILL_NOTE
from adapter.stages.people_labelled import EXAMPLES, bench, labelled, single, suspicions
from adapter.stages.people_open import compared, open_conduct, open_suspicions
from adapter.stages.people_reports import (
    NO_PROOF,
    NOTHING,
    TOO_FEW,
    ControlConduct,
    Pace,
    PeopleReport,
    PersonReport,
    Prelabels,
    Rate,
    Sign,
    Suspicion,
    rate_of_sum,
)
from adapter.stages.people_votes import ModelAnswers, Truth, Vote, expert_truths, gold_truths, votes_of
from adapter.vocabulary import Annotation, Control, Value

WEIGHS_DOUBLE = (
    "two people may have copied. Then one opinion counts twice: their figures by the others are too high and everybody "
    "else's too low. Settle that first."
)
TEXT_TAGS = frozenset({"Text", "HyperText", "Paragraphs"})


def people(project: Project, *, person: str | None = None) -> PeopleReport:
    """Return the figures and signs of everybody who labelled, or of one person. Raises DataError for a person who did
    not.

    Nobody is ever compared with a consensus that holds their own vote. On controls with one label an answer is judged
    by the truth's distribution given all others (`core.conduct_others`), on all other controls by the other people's
    own answers. Signs are corrected for the number of people, or pairs, by sort (Holm), so that one honest crowd in a
    hundred has any, at the default level.
    """
    policy = project.settings.people
    voting = project.store.annotations.voting(project.name)
    names = sorted({row.annotator for rows in voting.values() for row in rows})
    if person is not None and person not in names:
        raise DataError(
            f"nobody called '{person}' has labelled anything", where=f"project '{project.name}'",
            remedy=nearest(person, names),
        )  # fmt: skip
    figures: dict[str, list[ControlConduct]] = defaultdict(list)
    doubts: list[Suspicion] = []
    notes: list[str] = []
    for control in project.space.controls:
        _control(project, control, voting, names, figures, doubts, notes)
    paces = _paces(project, voting, names)
    doubts += [_too_fast(who, pace) for who, pace in paces.items() if pace.enough]
    signs = _signs(doubts, policy.spam_level)
    together = {sign.control for found in signs.values() for sign in found if sign.sign == "copying"}
    notes += [f"{name}: {WEIGHS_DOUBLE}" for name in sorted(together)]
    rows = _by_person(voting, names)
    return PeopleReport(
        project=project.name,
        level=policy.spam_level,
        min_items=policy.min_items,
        people=tuple(
            PersonReport(
                person=who,
                annotations=len(rows[who]),
                last=max(row.updated_at for row in rows[who]).isoformat(),
                controls=tuple(figures[who]),
                pace=paces[who],
                signs=tuple(signs[who]),
            )
            for who in names
            if person in (None, who)
        ),
        notes=tuple(notes),
    )


def _by_person(voting: Mapping[str, Sequence[Annotation]], names: Sequence[str]) -> dict[str, list[Annotation]]:
    rows: dict[str, list[Annotation]] = {who: [] for who in names}
    for of_task in voting.values():
        for row in of_task:
            rows[row.annotator].append(row)
    return rows


def names_for_others(project: Project, names: Sequence[str]) -> dict[str, str]:
    """Return what stands for each name in exports and on pages of others: pseudonyms, or, where the policy says so, the
    names themselves."""
    if not project.settings.people.pseudonyms:
        return {name: name for name in names}
    return pseudonyms(project.secrets.media_key, project.name, names)


def with_pseudonyms(project: Project, report: PeopleReport) -> PeopleReport:
    """Return the report with pseudonyms for names, whatever the policy says."""
    named = {one.person for one in report.people} | {sign.other for one in report.people for sign in one.signs}
    return report.renamed(pseudonyms(project.secrets.media_key, project.name, named - {""}))


def _control(
    project: Project,
    control: Control,
    voting: Mapping[str, Sequence[Annotation]],
    names: Sequence[str],
    figures: dict[str, list[ControlConduct]],
    doubts: list[Suspicion],
    notes: list[str],
) -> None:
    """Add one control's figures of everybody, its suspicions and notes."""
    policy = project.settings.people
    least, seed = policy.min_items, project.settings.consolidate.seed
    votes = votes_of(project, control, voting)
    here = sorted({who for by in votes.values() for who in by})
    if not here:
        return
    gold, expert = gold_truths(project, control), expert_truths(project, control)
    fitted = project.store.projects.notes(project.name, SKILL_NOTE).get(SKILL_NOTE, {}).get(control.name, {})
    if single(control):
        made = bench(control, votes, {**expert, **gold})
        found = {who: labelled(made, who, _fitted(fitted, who, least), gold, expert, least=least) for who in here}
        doubts += suspicions(made, here, least=least, seed=seed)
    else:
        seen = compared(control, votes)
        found = {who: open_conduct(seen, who, _fitted(fitted, who, least), gold, expert, least=least) for who in here}
        doubts += open_suspicions(seen, here, least=least, seed=seed)
        if seen.left_out:
            notes.append(f"{control.name}: {seen.left_out} tasks were left out; a random part is compared")
    if label_kind(control) is not None:
        answers = ModelAnswers(project, control)
        for who in here:
            mine = [by[who] for by in votes.values() if who in by]
            prelabels, doubt = anchoring(control, who, mine, answers, least)
            found[who] = replace(found[who], prelabels=prelabels)
            doubts += [doubt] if doubt is not None else []
    for who in names:
        if who in found:
            figures[who].append(found[who])


def _fitted(skills: Mapping[str, Mapping[str, float]], who: str, least: int) -> Rate:
    row = skills.get(who)
    if not row or not row["n"]:
        return NOTHING
    return Rate(float(row["accuracy"]), float(row["lower"]), float(row["upper"]), int(row["n"]), row["n"] >= least)


def anchoring(
    control: Control, who: str, votes: Sequence[Vote], answers: ModelAnswers, least: int
) -> tuple[Prelabels | None, Suspicion | None]:
    """Compare agreement with the model where its label was on the page and where it was not.

    For blind tasks each version counts by how often it was shown to this person elsewhere. Tasks that are pushed with a
    pre-label are those on which the model is less sure, so a person who does not lean on it agrees there rather less.
    """
    seen: list[float] = []
    times: dict[str, int] = defaultdict(int)
    same: list[str] = []
    for vote in votes:
        value = answers.value(vote.shown, vote.task_id) if vote.shown is not None else None
        if vote.shown is not None and value is not None:
            seen.append(float(value == vote.value))
            times[vote.shown] += 1
            same += [vote.task_id] if value == vote.value else []
    unseen = [score for vote in votes if vote.blind and (score := _by_versions(vote, times, answers)) is not None]
    if not seen:
        return None, None
    shown, blind = rate_of_sum(sum(seen), len(seen), least), rate_of_sum(sum(unseen), len(unseen), least)
    apart = conduct.difference(sum(seen), len(seen), sum(unseen), len(unseen))
    if apart is None:
        return Prelabels(shown, blind, None, None, None, "no blind task to compare with"), None
    words = f"{shown.value:.0%} with the pre-label on the page, {blind.value:.0%} without"
    if not (shown.enough and blind.enough):
        return Prelabels(shown, blind, apart.value, apart.lower, apart.upper, f"{TOO_FEW}: {words}"), None
    doubt = Suspicion(
        "anchoring",
        control.name,
        who,
        apart.p,
        True,
        {"shown": shown.value, "unseen": blind.value, "difference": apart.value, "lower": apart.lower},
        f"Agrees with the model on {words} ({apart.value:+.0%}, at least {apart.lower:+.0%}).",
        tuple(same[:EXAMPLES]),
    )
    return Prelabels(shown, blind, apart.value, apart.lower, apart.upper, words), doubt


def _by_versions(vote: Vote, times: Mapping[str, int], answers: ModelAnswers) -> float | None:
    """Return how far a blind answer agrees with the versions, each by its share; None where none is stored."""
    said: list[tuple[Value, int]] = []
    for version, count in times.items():
        value = answers.value(version, vote.task_id)
        if value is not None:
            said.append((value, count))
    total = sum(count for _, count in said)
    return sum(count for value, count in said if value == vote.value) / total if total else None


def _paces(project: Project, voting: Mapping[str, Sequence[Annotation]], names: Sequence[str]) -> dict[str, Pace]:
    """Return everybody's lead times."""
    policy = project.settings.people
    lengths = _lengths(project, voting)
    found = {}
    for who, mine in _by_person(voting, names).items():
        seconds = np.array([np.nan if row.lead_time is None else row.lead_time for row in mine], np.float64)
        made = conduct.speed(seconds, outlier=policy.outlier, least=policy.min_items)
        per = [
            100 * row.lead_time / lengths[row.task_id]
            for row in mine
            if row.lead_time is not None and lengths.get(row.task_id)
        ]
        found[who] = Pace(
            made.median,
            made.lower,
            made.upper,
            made.n,
            made.n >= policy.min_items,
            None,
            float(np.median(per)) if per else None,
            tuple(mine[i].task_id for i in made.fast),
            tuple(mine[i].task_id for i in made.slow),
        )
    medians = {who: pace.median for who, pace in found.items() if pace.enough and pace.median is not None}
    for who, pace in found.items():
        others = [median for name, median in medians.items() if name != who]
        found[who] = replace(pace, others=float(np.median(others)) if others else None)
    return found


def _lengths(project: Project, voting: Mapping[str, Sequence[Annotation]]) -> dict[str, int]:
    """Return task id to characters of the text that the page shows; nothing for other media."""
    fields = {
        name
        for control in project.space.controls
        if control.object_tag in TEXT_TAGS
        for name in (control.fields or (control.field,))
    }
    if not fields:
        return {}
    return {
        task.id: sum(len(value) for name in fields if isinstance(value := task.data.get(name), str))
        for task in project.store.tasks.get(project.name, sorted(voting))
    }


def _too_fast(who: str, pace: Pace) -> Suspicion:
    median = pace.median or 0.0
    than = f"; the others' is {pace.others:.1f} s" if pace.others is not None else ""
    return Suspicion(
        "fast",
        "",
        who,
        None,
        conduct.too_fast(median, pace.others),
        {"median": median, "others": pace.others, "n": pace.n},
        f"The median lead time is {median:.1f} s over {pace.n} answers{than}.",
        pace.fast[:EXAMPLES],
    )


def _signs(doubts: Sequence[Suspicion], level: float) -> dict[str, list[Sign]]:
    """Return person to the signs that stand after correction. A pair's test counts once."""
    tests: dict[str, dict[tuple[str, ...], float]] = defaultdict(dict)
    for doubt in doubts:
        if doubt.p is not None:
            tests[doubt.sign][_test(doubt)] = doubt.p
    adjusted = {sign: dict(zip(by, conduct.holm(list(by.values())), strict=True)) for sign, by in tests.items()}
    found: dict[str, list[Sign]] = defaultdict(list)
    for doubt in doubts:
        p = adjusted[doubt.sign][_test(doubt)] if doubt.p is not None else None
        if doubt.large and (p is None or p < level):
            sentence = f"{doubt.sentence} {NO_PROOF}"
            found[doubt.person].append(
                Sign(doubt.sign, doubt.control, doubt.other, p, doubt.figures, sentence, doubt.tasks)
            )
    return found


def _test(doubt: Suspicion) -> tuple[str, ...]:
    return (doubt.control, *sorted((doubt.person, doubt.other)))


__all__ = ["PeopleReport", "Truth", "names_for_others", "people", "with_pseudonyms"]
