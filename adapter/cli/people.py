"""`hitl people`: what can be said of the annotators, for the lead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from adapter.cli.common import JsonOption, ProjectArgument, chosen, examples, opened, print_json

if TYPE_CHECKING:
    from adapter.stages.people_reports import ControlConduct, PeopleReport, PersonReport


def people(
    context: typer.Context,
    project: ProjectArgument = None,
    person: Annotated[
        str | None, typer.Option("--person", metavar="NAME", help="One person, in detail.", show_default=False)
    ] = None,
    pseudonyms: Annotated[bool, typer.Option("--pseudonyms", help="Print pseudonyms instead of names.")] = False,
    links: Annotated[
        bool, typer.Option("--links", help="Print for each person the link to their own page, and nothing else.")
    ] = False,
    days: Annotated[int, typer.Option("--days", min=1, max=3650, help="Days for which the links open.")] = 30,
    as_json: JsonOption = False,
) -> None:
    """Say how good, how fast and how even each annotator is, and what should be looked at. Signs are no proofs."""
    from adapter.core.own_links import own_link
    from adapter.stages.people import people as stage
    from adapter.stages.people import with_pseudonyms

    with opened(context) as app:
        where = chosen(app, project)
        found = stage(where, person=person)
        key, url, now = where.secrets.media_key, where.public_url, where.now()
        if links:
            names = [one.person for one in found.people]
            made = {name: own_link(url, key, where.name, name, now, days=days) for name in names}
            _show_links(made, as_json)
            return
        if pseudonyms:
            found = with_pseudonyms(where, found)
    if as_json:
        print_json(found.as_json())
        return
    _show(found, detail=person is not None)


def _show_links(made: dict[str, str], as_json: bool) -> None:
    from adapter.cli.show import hint, say

    if as_json:
        print_json(made)
        return
    for name, link in made.items():
        say(f"{name}\t{link}")
    hint("Whoever has a link can read that person's page: send each only to its owner.")


def _show(found: PeopleReport, *, detail: bool) -> None:
    """Print the tables."""
    from adapter.cli.show import hint, say, table

    if not found.people:
        say(f"people of {found.project}: nobody has labelled anything yet")
        return
    say(f"people of {found.project}: figures with 95 % intervals (judged items), tests at {found.level:g} after Holm")
    for control in dict.fromkeys(one.control for person in found.people for one in person.controls):
        _show_control(control, found)
    rows = [
        (
            one.person,
            one.annotations,
            one.pace.median,
            one.pace.others,
            one.pace.per_100,
            len(one.pace.fast),
            len(one.pace.slow),
            one.last[:10],
        )
        for one in found.people
    ]
    columns = ("person", "labels", "median s", "others' s", "s per 100 chars", "fast", "slow", "last")
    table("pace", columns, rows)
    signs = [(one.person, sign) for one in found.people for sign in one.signs]
    table(
        "signs to look at",
        ("person", "sign", "control", "with", "p", "what", "for example"),
        [(who, s.sign, s.control, s.other, _p(s.p), s.sentence, " ".join(s.tasks[:3])) for who, s in signs],
        empty="none",
    )
    if detail:
        for one in found.people:
            _show_person(one)
    for note in found.notes:
        hint(note)


def _show_control(name: str, found: PeopleReport) -> None:
    from adapter.cli.show import table

    here = [(person.person, one) for person in found.people for one in person.controls if one.control == name]
    rows = [
        (
            who,
            one.overlap.words,
            one.blind.words,
            one.gold.words,
            one.expert.words,
            one.consensus.words,
            one.trend.words if one.trend else "-",
            _gap(one),
        )
        for who, one in here
    ]
    table(
        f"{name}: {here[0][1].measure}",
        ("person", "by the others", "blind sample", "gold", "reviewers", "in the consensus", "trend", "pre-label pull"),
        rows,
    )


def _gap(one: ControlConduct) -> str:
    """Return how much more a person agrees with a pre-label that is shown."""
    found = one.prelabels
    if found is None or found.difference is None or not (found.shown.enough and found.unseen.enough):
        return "-"
    return f"{found.difference:+.2f} [{found.lower:+.2f}, {found.upper:+.2f}]"


def _show_person(one: PersonReport) -> None:
    from adapter.cli.show import say, table

    for control in one.controls:
        name = control.control
        by_class = [(part.label, part.rate.words) for part in control.classes]
        table(f"{name} by label: {control.measure}", ("label", control.measure), by_class)
        if control.confusion:
            times = zip(control.labels, control.confusion, strict=True)
            rows = [(label, *(f"{each:.1f}" for each in row)) for label, row in times]
            table(f"{name}: expected times", ("truth / said", *control.labels), rows)
        stretches = [(part.since[:16], part.until[:16], part.rate.words) for part in control.over_time]
        table(f"{name} over time", ("from", "to", control.measure), stretches, empty="too few to say")
        if control.trend is not None:
            change = f"{control.trend.change:+.2f} from first to last, p {_p(control.trend.p)}"
            say(f"trend: {control.trend.words} ({change})")
        if control.prelabels is not None:
            say(f"agreement with the model: {control.prelabels.words}")
    for words, tasks in (("fast", one.pace.fast), ("slow", one.pace.slow)):
        if tasks:
            say(f"unusually {words}: {' '.join(tasks[:20])}")


def _p(p: float | None) -> str:
    if p is None:
        return "rule"
    return f"{p:.3f}" if p >= 0.001 else f"{p:.0e}"


def register(app: typer.Typer) -> None:
    """Add the command."""
    lines = (
        "hitl people",
        "hitl people spam --person ann@example.org",
        "hitl people --pseudonyms --json",
        "hitl people --links",
    )
    app.command(epilog=examples(*lines))(people)
