"""`hitl agreement` and `hitl gates`: how far people agree, and whether that is enough."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from adapter.cli.common import JsonOption, ProjectArgument, chosen, examples, opened, print_json

if TYPE_CHECKING:
    from adapter.stages.agreement import AgreementReport, ControlAgreement
    from adapter.stages.agreement_parts import Figure

FAILED = 4
"""Exit code of `hitl gates` when a gate fails."""
NOT_ENOUGH = 5
"""Exit code of `hitl gates` when none fails and there is not enough data."""

_NAMES = {
    "alpha": "Krippendorff's alpha",
    "alpha_nominal": "alpha, order ignored",
    "alpha_ordinal": "alpha, order alone",
    "alpha_interval": "alpha, differences",
    "alpha_jaccard": "alpha, Jaccard distance",
    "alpha_units": "alpha of the parts",
    "fleiss": "Fleiss' kappa",
    "brennan_prediger": "Brennan-Prediger (S)",
    "ac1": "Gwet's AC1",
    "ac2": "Gwet's AC2, quadratic",
    "percent": "exactly the same",
    "score": "mean pairwise score (as Label Studio Enterprise)",
}


def agreement(
    context: typer.Context,
    project: ProjectArgument = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Every task that several people labelled, not the blind sample alone.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Say how far people who labelled the same tasks agree: by control, class, pair of people, subgroup, over time."""
    from adapter.stages.agreement import agreement as stage

    with opened(context) as app:
        found = stage(chosen(app, project), everything=everything)
    if as_json:
        print_json(found.as_json())
        return
    _show(found)


def gates(context: typer.Context, project: ProjectArgument = None, as_json: JsonOption = False) -> None:
    """Judge the gates on agreement. Exit code: 0 all pass, 4 one fails, 5 not enough data."""
    from adapter.cli.show import hint, table
    from adapter.stages.gates import gates as stage
    from adapter.vocabulary import Outcome

    with opened(context) as app:
        found = stage(chosen(app, project))
    if as_json:
        print_json(found.as_json())
    else:
        columns = ("control", "part", "", "outcome", "value", "lower", "asked", "tasks")
        rows = [
            (
                gate.control,
                gate.part,
                gate.name,
                gate.verdict.outcome.value,
                *(gate.verdict.figures[key] for key in ("value", "lower", "threshold", "n")),
            )
            for gate in found.gates
        ]
        table(f"gates of {found.project}: {found.outcome.value}", columns, rows, empty="there is no control to judge")
        for gate in found.gates:
            if gate.part == "control" or gate.verdict.outcome is Outcome.FAIL:
                hint(gate.verdict.sentence)
        if found.paused:
            hint(f"Until then, labels on one person's word are not accepted: {', '.join(found.paused)}.")
    code = {Outcome.PASS: 0, Outcome.FAIL: FAILED, Outcome.NOT_ENOUGH_DATA: NOT_ENOUGH}[found.outcome]
    if code:
        raise typer.Exit(code)


def _show(found: AgreementReport) -> None:
    """Print the tables."""
    from adapter.cli.show import say

    say(f"agreement of {found.project} on {found.basis}; bounds one-sided at {1 - found.level:.0%}")
    for control in found.controls:
        say(f"\n{control.control} ({control.kind}): {control.measure}")
        _show_control(control)


def _show_control(control: ControlAgreement) -> None:
    from adapter.cli.show import say, table

    if not control.tasks:
        say("no task of this sample was labelled by two people: raise blind.double_share, or look at --all")
        return
    title = f"{control.control}: {control.tasks} tasks, {len(control.people)} people"
    _figures(title, "statistic", control.statistics, lambda item: _name(item.statistic))
    headline = _name(control.headline)
    for name, figures in (("class", control.classes), ("subgroup", control.subgroups), ("when", control.over_time)):
        _figures(f"{control.control} by {name}: {headline}", name, figures, lambda item: "=".join(item.of))
    title = f"{control.control} by pair of people: {headline}"
    _figures(title, "people", control.pairs, lambda item: " and ".join(item.of))
    if control.confused:
        pairs = [(" against ".join(item.classes), item.count, item.share, item.task) for item in control.confused]
        table(f"{control.control}: what people differ in", ("classes", "times", "share", "for example"), pairs)
    if control.worst:
        tasks = [(item.task_id, item.gain, " and ".join(item.people), item.words) for item in control.worst]
        table(
            f"{control.control}: the tasks that pull it down most", ("task", "by", "people", "how they differ"), tasks
        )
    for note in control.notes:
        say(note)


def _figures(title: str, first: str, figures: Sequence[Figure], name: Callable[[Figure], str]) -> None:
    """Print figures as one table; columns that are empty throughout are left out."""
    from adapter.cli.show import table

    if not figures:
        return
    more = sorted({key for item in figures for key in item.more})
    columns = [first, "value", "lower", "upper", "tasks", *(key.replace("_", " ") for key in more)]
    rows = [[name(item), item.value, item.lower, item.upper, item.n, *map(item.more.get, more)] for item in figures]
    if any(item.why for item in figures):
        columns.append("")
        for row, item in zip(rows, figures, strict=True):
            row.append(item.why)
    table(title, columns, rows)


def _name(statistic: str) -> str:
    return _NAMES.get(statistic, statistic.replace("_", " "))


def register(app: typer.Typer) -> None:
    """Add both commands."""
    app.command(epilog=examples("hitl agreement", "hitl agreement spam --all --json"))(agreement)
    app.command(epilog=examples("hitl gates", "hitl gates spam --json"))(gates)
