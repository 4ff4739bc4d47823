"""What functions and model say of a task in review, in words: a reviewer weighs them beside people."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from adapter.kinds import label_kind_of
from adapter.stages.context import Project
from adapter.stages.function_votes import votes_on
from adapter.stages.review_words import in_words
from adapter.vocabulary import Control

MOST_NAMED = 3
"""Functions that are named for one label; of more, the rest is counted."""


def machines_said(project: Project, task_ids: Sequence[str]) -> dict[str, str]:
    """Return task id to a sentence on what functions, and the current model as far as it has been asked, say.

    Nothing of blind tasks: their labels measure the machines, and whoever decides on them must not have been told.
    """
    index = project.store.tasks.index(project.name)
    seqs = [index.seq_of[one] for one in task_ids if one in index.seq_of and not index.blind[index.seq_of[one]]]
    found: dict[str, list[str]] = {}
    for control in project.learned if seqs else ():
        title = f"{control.name}: " if len(project.learned) > 1 else ""
        model = _model(project, control, seqs)
        for seq, said, answer in zip(seqs, votes_on(project, control, seqs), model, strict=True):
            parts = []
            by_label: dict[str, list[str]] = {}
            for name, vote in said.items():
                by_label.setdefault(vote["value"], []).append(name)
            if by_label:
                parts.append("functions: " + "; ".join(_named(names, label) for label, names in by_label.items()))
            if answer:
                parts.append(f"model: {answer}")
            if parts:
                found.setdefault(str(index.ids[seq]), []).append(title + ". ".join(parts))
    return {task_id: ". ".join(lines) for task_id, lines in found.items()}


def _named(names: Sequence[str], label: str) -> str:
    shown = ", ".join(names[:MOST_NAMED])
    if len(names) > MOST_NAMED:
        shown += f" and {len(names) - MOST_NAMED} more"
    return f"{shown} {'says' if len(names) == 1 else 'say'} '{label}'"


def _model(project: Project, control: Control, seqs: Sequence[int]) -> list[str]:
    """What the current model said of these rows, from what is stored; "" where it has not been asked."""
    current = project.store.models.current(project.name)
    column = ("probabilities", control.name, "model", current.version if current is not None else "")
    if current is None or not project.columns.has(project.name, *column):
        return [""] * len(seqs)
    total = project.store.tasks.count(project.name)
    stored = project.columns.read(project.name, *column, total, fill=np.nan)
    answers = []
    for seq in seqs:
        if stored.ndim != 2 or np.isnan(stored[seq]).any():
            answers.append("")
            continue
        value, sure = label_kind_of(control).decide(control, stored[seq])
        answers.append(f"{in_words(control, value)} ({sure:.0%} sure)")
    return answers


__all__ = ["machines_said"]
