"""What labeling functions said of the pool, as stored: votes, and how sure they were."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from adapter.core.weak.base import ABSTAIN, WeakVotes
from adapter.errors import FunctionsError
from adapter.labeling import control_of
from adapter.ports import Floats
from adapter.stages.context import Project
from adapter.vocabulary import Control, JsonObject

VOTES = "votes"
CONFIDENCE = "confidence"


@dataclass(frozen=True, slots=True, eq=False)
class FunctionVotes:
    """Stored votes of the m functions of one control that have been run. names, versions: (m,). votes: int16 (n, m),
    label index, ABSTAIN or FAULT. confidence: float32 (n, m); None where no function ever gave one."""

    names: tuple[str, ...]
    versions: tuple[str, ...]
    votes: npt.NDArray[np.int16]
    confidence: Floats | None = None

    def weak(self, control: Control) -> WeakVotes:
        """Return them as consolidators take them."""
        return WeakVotes(self.votes, len(control.labels), control.multiple, self.names, self.confidence)


def function_votes(project: Project, control: Control) -> FunctionVotes:
    """Read the votes of the functions that vote on this control in their present versions."""
    total = project.store.tasks.count(project.name)
    names, versions = [], []
    for function in project.functions():
        try:
            if control_of(function, project.space).name != control.name:
                continue
        except FunctionsError:
            continue  # `vote` reports it with advice
        if project.columns.has(project.name, VOTES, control.name, function.name, function.version):
            names.append(function.name)
            versions.append(function.version)
    votes = np.full((total, len(names)), ABSTAIN, np.int16)
    sure: Floats | None = None
    for column, source in enumerate(zip(names, versions, strict=True)):
        votes[:, column] = project.columns.read(project.name, VOTES, control.name, *source, total, fill=ABSTAIN)
        if project.columns.has(project.name, CONFIDENCE, control.name, *source):
            sure = np.ones(votes.shape, np.float32) if sure is None else sure
            sure[:, column] = project.columns.read(project.name, CONFIDENCE, control.name, *source, total, fill=1.0)
    return FunctionVotes(tuple(names), tuple(versions), votes, sure)


def votes_on(project: Project, control: Control, seqs: Sequence[int]) -> list[JsonObject]:
    """Return for each of these tasks: function to {value, sure} of those that vote there."""
    if not seqs:
        return []
    found = function_votes(project, control)
    answers: list[JsonObject] = []
    for seq in seqs:
        said: dict[str, Any] = {}
        for column, name in enumerate(found.names):
            vote = int(found.votes[seq, column])
            if vote >= 0:
                said[name] = {"value": control.labels[vote]}
                if found.confidence is not None:
                    said[name]["sure"] = round(float(found.confidence[seq, column]), 4)
        answers.append(said)
    return answers
