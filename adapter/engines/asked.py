"""Labeling functions that ask a language model, beside those that an engine's workers run.

They are asked from this process, whatever the engine: it alone knows the endpoint and its key. An author's code, which
runs in the workers or on a cluster, sees neither.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from adapter.engines.base import ABSTAIN, FAULT, Applied, Engine, EngineRun, VoteFault
from adapter.engines.tally import FAULTS_TOLD, counted
from adapter.errors import FunctionsError, HitlError
from adapter.labeling import LabelingFunction, LlmRule, control_of
from adapter.ports import Floats
from adapter.vocabulary import Control, JsonObject, LabelSpace

if TYPE_CHECKING:
    from adapter.llm import Asker


class AskingEngine:
    """An engine, and what asks language models. places: `llm_url`, `llm_key` and `cache_folder`, as
    `ports.BackendFactory` names them."""

    def __init__(self, inner: Engine, places: Mapping[str, Any]) -> None:
        self._inner = inner
        self._places = dict(places)
        self._voters: dict[tuple[str, str], _Voter] = {}

    def start(self, functions: Sequence[LabelingFunction], space: LabelSpace | Control) -> EngineRun:
        """Begin a run; see `Engine.start`."""
        asked = [index for index, function in enumerate(functions) if isinstance(function.function, LlmRule)]
        if not asked:
            return self._inner.start(functions, space)
        others = [function for index, function in enumerate(functions) if index not in asked]
        run = self._inner.start(others, space)
        return AskingRun(run, functions, [self._voter(functions[index], space) for index in asked], asked)

    def _voter(self, function: LabelingFunction, space: LabelSpace | Control) -> _Voter:
        """Return what asks for a function: one for all runs of this engine, so that limits count across them."""
        fresh = _Voter(function, space, self._places)
        return self._voters.setdefault((function.name, function.version), fresh)

    def close(self) -> None:
        """End what the engine started."""
        self._inner.close()


class AskingRun:
    """A run in which some functions are asked here. Order of columns: as the functions were given."""

    def __init__(
        self, inner: EngineRun, functions: Sequence[LabelingFunction], voters: Sequence[_Voter], asked: Sequence[int]
    ) -> None:
        self._inner = inner
        self._functions = functions
        self._voters = dict(zip(asked, voters, strict=True))

    def apply(self, rows: Iterable[JsonObject]) -> Applied:
        """Vote on these rows, which are held meanwhile; see `EngineRun.apply`."""
        held = list(rows)
        theirs = self._inner.apply(held)
        count = len(self._functions)
        votes = np.full((len(held), count), ABSTAIN, np.int16)
        seconds, confidence = dict(theirs.seconds), dict(theirs.confidence)
        votes[:, [index for index in range(count) if index not in self._voters]] = theirs.votes
        faults = list(theirs.faults)
        postponed = set(theirs.postponed)
        for index, voter in self._voters.items():
            began = time.perf_counter()
            one = voter.vote(held)
            votes[:, index] = one.votes
            faults += one.faults
            if one.sure is not None:
                confidence[voter.function.name] = one.sure
            if one.down:
                postponed.add(voter.function.name)
            seconds[voter.function.name] = time.perf_counter() - began
        at = {function.name: index for index, function in enumerate(self._functions)}
        end = len(held)
        faults.sort(key=lambda fault: (end if fault.row is None else fault.row, at[fault.source]))
        return replace(
            theirs,
            votes=votes,
            faults=tuple(faults),
            seconds=seconds,
            confidence=confidence,
            postponed=frozenset(postponed),
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Voted:
    """What one function said. votes (n,). sure (n,): None where it never said. down: the endpoint was not to be had, so
    that these rows have to be asked about again."""

    votes: Any
    sure: Floats | None
    faults: list[VoteFault]
    down: bool


class _Voter:
    """One function with its control, and what asks for it, made when first needed and kept."""

    def __init__(self, function: LabelingFunction, space: LabelSpace | Control, places: Mapping[str, Any]) -> None:
        self.function = function
        self._control = space if isinstance(space, Control) else control_of(function, space)
        self._config = "" if isinstance(space, Control) else space.config
        self._places = places
        self._asker: Asker | None = None

    def vote(self, rows: Sequence[JsonObject]) -> _Voted:
        """Ask about all rows."""
        rule, labels = self.function.function, self._control.labels
        assert isinstance(rule, LlmRule)
        votes = np.full(len(rows), FAULT, np.int16)
        try:
            if self._asker is None:
                url, key = str(self._places.get("llm_url", "")), str(self._places.get("llm_key", ""))
                folder = self._places.get("cache_folder")
                self._asker = rule.asker(self._control, self._config, url, key, Path(folder) if folder else None)
            said, down = rule.votes(self._asker, rows, labels)
        except HitlError as error:
            return _Voted(votes, None, [self._fault(None, str(error))], down=True)
        sure = np.ones(len(rows), np.float32)
        faults: list[VoteFault] = []
        for row, one in enumerate(said):
            if isinstance(one, FunctionsError):
                faults.append(self._fault(row, str(one)))
                continue
            label, confidence = one if isinstance(one, tuple) else (one, 1.0)
            votes[row] = ABSTAIN if label is None else labels.index(label)
            sure[row] = confidence
        more = len(faults) - FAULTS_TOLD
        if more > 0:
            faults = [*faults[:FAULTS_TOLD], self._fault(None, counted(more))]
        if down:
            faults = [self._fault(None, f"the rows are asked about again at the next vote: {down}")]
        return _Voted(votes, sure if bool((sure != 1).any()) else None, faults, down=bool(down))

    def _fault(self, row: int | None, message: str) -> VoteFault:
        return VoteFault(self.function.name, self.function.version, row, " ".join(message.split())[:500])
