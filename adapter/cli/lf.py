"""`hitl lf`: a project's labeling functions and what they are worth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer

from adapter.cli.common import JsonOption, ProjectArgument, chosen, examples, opened, print_json

if TYPE_CHECKING:
    from adapter.stages.context import Project
    from adapter.vocabulary import Control

group = typer.Typer(no_args_is_help=True, help="List labeling functions, or report on them.", rich_markup_mode=None)


@dataclass(frozen=True)
class FunctionFigures:
    """What one labeling function does over the pool.

    coverage: share of tasks on which it votes. overlap: share on which it votes and another does too. conflict: share
    on which another votes otherwise. accuracy: on the n blind tasks with a consensus on which it votes, with a Wilson
    95 % interval; None without any. faults: tasks on which it failed.
    """

    control: str
    name: str
    coverage: float
    overlap: float
    conflict: float
    accuracy: float | None
    lower: float | None
    upper: float | None
    n: int
    faults: int


def figures(project: Project, control: Control) -> list[FunctionFigures]:
    """Compute the table from stored votes. A vote counts as right if it is one of the labels in people's consensus."""
    import numpy as np

    from adapter.core.intervals import wilson
    from adapter.stages.consolidate import function_votes
    from adapter.stages.evidence import people_labels

    names, _, votes = function_votes(project, control)
    index = project.store.tasks.index(project.name)
    code = {label: number for number, label in enumerate(control.labels)}
    gold: dict[int, set[int]] = {}
    for task_id, row in people_labels(project, control).items():
        seq = index.seq_of.get(task_id)
        if seq is not None and index.blind[seq] and row.value is not None:
            labels = row.value if isinstance(row.value, list | tuple) else (row.value,)
            gold[seq] = {code[label] for label in labels if label in code}
    total = max(1, votes.shape[0])
    spoken = votes >= 0
    found = []
    for column, name in enumerate(names):
        mine, others = votes[:, column : column + 1], np.delete(votes, column, axis=1)
        active = spoken[:, column]
        shared = active & (others >= 0).any(axis=1)
        against = active & ((others >= 0) & (others != mine)).any(axis=1)
        asked = [seq for seq in gold if active[seq]]
        right = sum(int(votes[seq, column]) in gold[seq] for seq in asked)
        low, high = wilson(right, len(asked)) if asked else (None, None)
        found.append(
            FunctionFigures(
                control=control.name,
                name=name,
                coverage=float(active.sum()) / total,
                overlap=float(shared.sum()) / total,
                conflict=float(against.sum()) / total,
                accuracy=right / len(asked) if asked else None,
                lower=low,
                upper=high,
                n=len(asked),
                faults=int((votes[:, column] == -2).sum()),
            )
        )
    return found


@group.command("list", epilog=examples("hitl lf list", "hitl lf list spam --json"))
def list_functions(context: typer.Context, project: ProjectArgument = None, as_json: JsonOption = False) -> None:
    """List the labeling functions with control and version."""
    from adapter.cli.show import table

    with opened(context) as app:
        found = chosen(app, project)
        rows = [
            {
                "name": item.name,
                "control": item.control,
                "version": item.version,
                "doc": item.doc,
                "module": item.module,
            }
            for item in found.functions()
        ]
    if as_json:
        print_json(rows)
        return
    shown = [(row["name"], row["control"] or "the only one", str(row["version"])[:12], row["doc"]) for row in rows]
    table(f"labeling functions of {found.name}", ("name", "control", "version", "what it looks for"), shown)


@group.command("report", epilog=examples("hitl lf report", "hitl lf report spam --json"))
def report_functions(context: typer.Context, project: ProjectArgument = None, as_json: JsonOption = False) -> None:
    """Report coverage, overlap, conflict, and accuracy on the blind sample. Run `hitl vote` before."""
    from adapter.cli.show import say, table
    from adapter.stages.evidence import WEAK_NOTE

    with opened(context) as app:
        found = chosen(app, project)
        rows = [row for control in found.learned for row in figures(found, control)]
        weak: dict[str, Any] = found.store.projects.notes(found.name, WEAK_NOTE).get(WEAK_NOTE, {})
    if as_json:
        print_json({"functions": rows, "consolidators": {name: entry.get("table", []) for name, entry in weak.items()}})
        return
    shown = [
        (
            row.control,
            row.name,
            row.coverage,
            row.overlap,
            row.conflict,
            row.accuracy,
            _interval(row),
            row.n,
            row.faults,
        )
        for row in rows
    ]
    columns = ("control", "function", "coverage", "overlap", "conflict", "accuracy", "95 %", "n", "faults")
    table(f"labeling functions of {found.name}", columns, shown, empty="none has voted yet: run `hitl vote`")
    for name, entry in weak.items():
        scores = entry.get("table", [])
        names = list(dict.fromkeys(key for score in scores for key in score))
        table(f"consolidators of {name}", names, [[score.get(key) for key in names] for score in scores])
    if rows and not any(row.n for row in rows):
        say("No blind task has been labelled yet, so nothing can be said about accuracy.")


def _interval(row: FunctionFigures) -> str:
    return "" if row.lower is None or row.upper is None else f"{row.lower:.2f} to {row.upper:.2f}"


def register(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(group, name="lf")
