"""`hitl lf suggest` and `hitl lf accept`: candidates for new labeling functions, and taking one over as code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from adapter.cli.common import JsonOption, ProjectArgument, chosen, examples, opened, print_json, who_am_i

if TYPE_CHECKING:
    from adapter.stages.suggest import Suggestion, SuggestReport

_HELP = """Suggest labeling functions, from people's labels and from tasks that no function covers.

Keywords, phrases (ngrams), thresholds on fields and lengths, and, if asked for, neighbours of labelled tasks. Only
labels outside the blind sample are used: half of them (by a hash of the task's id) find and order the list, the other
half alone give the precision that is shown, with its Wilson 95 % interval. Those tasks were mostly chosen because they
are hard, so the figure is no estimate for the whole pool: `hitl lf report` measures that on the blind sample once the
function is accepted. Groups of uncovered tasks come last, for a person to name.

Take one over with `hitl lf accept NAME`."""


def register_on(group: typer.Typer) -> None:
    """Add `suggest` and `accept` to the group `hitl lf`."""
    group.command(
        "suggest",
        help=_HELP,
        epilog=examples("hitl lf suggest", "hitl lf suggest spam --kind keywords --limit 5", "hitl lf suggest --json"),
    )(suggest_functions)
    group.command(
        "accept",
        epilog=examples(
            "hitl lf accept spam_free_prize",
            "hitl lf accept spam_free_prize --as prizes --project spam",
            "hitl lf accept uncovered_goal_league --label sport",
        ),
    )(accept_suggestion)


def suggest_functions(
    context: typer.Context,
    project: ProjectArgument = None,
    kind: Annotated[
        list[str] | None,
        typer.Option("--kind", help="keywords, ngrams, thresholds, neighbours or uncovered; may be repeated."),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=200, help="Most suggestions for each control.")] = 20,
    rows: Annotated[int, typer.Option("--rows", min=100, help="Most tasks of the pool to look at.")] = 50_000,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the sample and of the halves of the labels.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Suggest labeling functions, from people's labels and from tasks that no function covers."""
    from adapter.stages.suggest import QUICK, suggest

    with opened(context) as app:
        found = chosen(app, project)
        report = suggest(found, kinds=tuple(kind) if kind else QUICK, limit=limit, rows=rows, seed=seed)
    if as_json:
        print_json(report)
    else:
        _show(found.name, report)


def accept_suggestion(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="As `hitl lf suggest` shows it.", show_default=False)],
    project: Annotated[str | None, typer.Option("--project", help="May be left out when there is one project.")] = None,
    function: Annotated[str, typer.Option("--as", help="Call the function so.")] = "",
    label: Annotated[str, typer.Option("--label", help="What a group of uncovered tasks is.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Write a suggestion into the project's file of labeling functions, as code to read and edit."""
    from adapter.cli.show import say
    from adapter.stages.suggest_accept import accept

    with opened(context) as app:
        report = accept(chosen(app, project), name, function=function, label=label, by=who_am_i())
    if as_json:
        print_json(report)
        return
    say(f"{report.file}:{report.line}{' (new)' if report.created else ''}")
    say(report.code.rstrip())
    say("`hitl vote` runs it on the pool, `hitl lf report` then says what it is worth on the blind sample.")


def _show(project: str, report: SuggestReport) -> None:
    from adapter.cli.show import say, table
    from adapter.stages.suggest import GROUPS

    rules = [one for one in report.suggestions if one.kind != GROUPS]
    table(
        f"suggestions for {project}, from {report.labels:,} labels outside the blind sample",
        ("name", "label", "rule", "votes", "newly", "gains", "overlap", "precision", "95 %", "n", "lift"),
        [
            (
                one.name,
                one.label,
                rule_of(one),
                one.votes,
                one.newly,
                round(one.gained),
                one.overlap,
                one.held / one.checked if one.checked else None,
                f"{one.lower:.2f} to {one.upper:.2f}" if one.checked else "not checked yet",
                one.checked,
                f"{(one.held / one.checked if one.checked else one.precision or 0.0) / max(one.base, 1e-9):.1f} x",
            )
            for one in rules
        ],
        empty="nothing stands out" if report.labels else "people have labelled nothing outside the blind sample yet",
    )
    groups = [one for one in report.suggestions if one.kind == GROUPS]
    if groups:
        table(
            "groups of tasks that no function covers, to be named",
            ("name", "telling words", "newly", "label?", "labelled", "examples"),
            [
                (one.name, ", ".join(one.args[1]), one.newly, one.label, one.found, _short(one.examples))
                for one in groups
            ],
        )
    for note in report.notes:
        say(f"  {note}")
    if rules:
        say("  votes, newly: tasks of the pool. gains: those of the newly covered that are expected to be right.")
        say("  precision, n: on the labels that did not find the rule; the list and its order know nothing of them.")
        say(f"  Take one over with `hitl lf accept {rules[0].name}`.")


def _short(texts: list[str]) -> str:
    return " / ".join(text if len(text) <= 60 else text[:59] + "…" for text in texts[:2])


def rule_of(one: Suggestion) -> str:
    """Return a suggestion's rule as a person reads it."""
    if one.call == "keywords":
        return ", ".join(one.args[1])
    if one.call == "nearest":
        return f"like {' / '.join(str(text)[:40] for text in one.options['exemplars'])} ({one.options['at_least']})"
    field = f"{one.options['feature']} of {one.args[1]}" if one.call == "python" else str(one.args[1])
    signs = {"at_least": "at least", "at_most": "at most", "equals": "is", "one_of": "is one of"}
    said = [
        f"{signs[key]} {', '.join(map(str, value)) if isinstance(value, list) else value}"
        for key, value in one.options.items()
        if key in signs
    ]
    return f"{field} {' and '.join(said)}"
