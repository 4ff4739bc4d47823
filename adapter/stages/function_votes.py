"""What labeling functions said of the pool, as stored: votes, and how sure they were."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from adapter.core.weak.base import ABSTAIN, WeakVotes
from adapter.errors import FunctionsError
from adapter.labeling import LabelingFunction, control_of
from adapter.ports import Floats
from adapter.stages.context import Project
from adapter.stages.evidence import digest
from adapter.vocabulary import Control, JsonObject

VOTES = "votes"
CONFIDENCE = "confidence"


def votes_key(function: LabelingFunction, control: Control) -> tuple[str, str, str]:
    """Return under which control, source and version a function's votes are stored. They are numbers of labels, so the
    labels are part of the version: one put in before the others would change what every vote says."""
    return control.name, function.name, digest(function.version, tuple(control.labels))


@dataclass(frozen=True, slots=True, eq=False)
class FunctionVotes:
    """Stored votes of the m functions of one control that have been run. names, versions: (m,). keys: (m,) as
    `votes_key` gives them. votes: int16 (n, m), label index, ABSTAIN or FAULT. confidence: float32 (n, m); None where
    no function ever gave one."""

    names: tuple[str, ...]
    versions: tuple[str, ...]
    votes: npt.NDArray[np.int16]
    confidence: Floats | None = None
    keys: tuple[tuple[str, str, str], ...] = ()

    def weak(self, control: Control) -> WeakVotes:
        """Return them as consolidators take them."""
        return WeakVotes(self.votes, len(control.labels), control.multiple, self.names, self.confidence)


def function_votes(project: Project, control: Control) -> FunctionVotes:
    """Read the votes of the functions that vote on this control in their present versions."""
    total = project.store.tasks.count(project.name)
    names, versions, keys = [], [], []
    for function in project.functions():
        try:
            if control_of(function, project.space).name != control.name:
                continue
        except FunctionsError:
            continue  # `vote` reports it with advice
        key = votes_key(function, control)
        if project.columns.has(project.name, VOTES, *key):
            names.append(function.name)
            versions.append(function.version)
            keys.append(key)
    votes = np.full((total, len(names)), ABSTAIN, np.int16)
    sure: Floats | None = None
    for column, key in enumerate(keys):
        votes[:, column] = project.columns.read(project.name, VOTES, *key, total, fill=ABSTAIN)
        if project.columns.has(project.name, CONFIDENCE, *key):
            sure = np.ones(votes.shape, np.float32) if sure is None else sure
            sure[:, column] = project.columns.read(project.name, CONFIDENCE, *key, total, fill=1.0)
    return FunctionVotes(tuple(names), tuple(versions), votes, sure, tuple(keys))


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
