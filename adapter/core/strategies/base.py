"""What a strategy is, what it sees, and the door by which the project's own and a user's strategies enter.

@strategy("margin", reason="the model wavers between two labels")
def margin(vectors, probabilities, state):
    ...
    return scores                        # (n,) in 0..1, the greatest first

@strategy("badge", picks=True, vectors=True, reason="...")
def badge(vectors, probabilities, state):
    ...
    return rows                          # (m,) positions of candidates, best first, each once
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from adapter.core.neighbours import unit_rows
from adapter.errors import FunctionsError, SettingsError, nearest
from adapter.ports import Floats

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

MARK = "__hitl_strategy__"
"""Attribute of a declared function that holds its `Strategy`."""
_MODULES = ("measures", "typical", "gradients", "committee", "multiannotator", "rare", "alignment", "density", "design")


class Unable(Exception):
    """Raised by a strategy that cannot decide on what it was given; another then stands in. Its text says why, as a
    clause: "nobody has labelled a task twice"."""


class NoVectors(Unable):
    """There are no embeddings after all."""


class Vectors:
    """Embeddings of n candidates, (n, d) unit rows, fetched when asked for: `vectors[rows]` is (len(rows), d).

    fetch: positions (b,) to vectors (b, d); rows without a direction come as zeros. Where it gives None, NoVectors is
    raised. What was fetched is kept (the last `keep` rows), so that asking twice costs once. `np.asarray(vectors)`
    fetches all of them: for small sets only.
    """

    def __init__(self, count: int, fetch: Callable[[Ints], Floats | None], *, keep: int = 200_000) -> None:
        self._count = count
        self._fetch = fetch
        self._keep = keep
        self._known: dict[int, Floats] = {}

    @classmethod
    def of(cls, matrix: npt.ArrayLike) -> Vectors:
        """Return the rows (n, d) of a matrix that is there already."""
        whole = np.asarray(matrix, np.float32)
        return cls(len(whole), lambda rows: whole[rows], keep=0)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, rows: Any) -> Floats:
        wanted = np.atleast_1d(np.arange(self._count)[rows] if isinstance(rows, slice) else np.asarray(rows))
        if wanted.dtype == bool:
            wanted = np.flatnonzero(wanted)
        if not len(wanted):
            return self._fetched(np.empty(0, np.int64))
        missing = np.array([row for row in dict.fromkeys(wanted.tolist()) if row not in self._known], np.int64)
        if len(missing) > self._keep:  # too many to remember: straight through
            return self._fetched(wanted.astype(np.int64))
        if len(missing):
            if len(self._known) + len(missing) > self._keep:
                self._known.clear()
                missing = np.array(list(dict.fromkeys(wanted.tolist())), np.int64)
            self._known.update(zip(missing.tolist(), self._fetched(missing), strict=True))
        return np.stack([self._known[row] for row in wanted.tolist()])

    def __array__(self, dtype: Any = None, copy: Any = None) -> npt.NDArray[Any]:
        whole = self._fetched(np.arange(self._count))
        return whole if dtype is None else whole.astype(dtype)

    def blocks(self, size: int = 10_000) -> Iterator[tuple[int, Floats]]:
        """Yield (first row, vectors) over all candidates, without keeping them."""
        for start in range(0, self._count, size):
            yield start, self._fetched(np.arange(start, min(start + size, self._count)))

    def _fetched(self, rows: Ints) -> Floats:
        found = self._fetch(rows)
        if found is None:
            raise NoVectors("the model has no embeddings")
        if len(found) != len(rows):
            raise ValueError(f"{len(found)} embeddings for {len(rows)} tasks")
        return unit_rows(np.asarray(found, np.float32))[0]


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """What a strategy may know beside vectors and probabilities. n candidates, none of them in the blind sample, none
    labelled.

    size: picks wanted. batch: how many people get before the next ranking. seed: of everything random. chance: (n,) a
    seeded draw in 0..1 of each candidate, for ties and random orders. uncertainty: (n,) in 0..1, 1 most uncertain, over
    all controls; None while nothing judges, or where there is one control: then the probabilities are measured.
    measure: by which it was made, see `measure_of`. multiple: whether several labels may hold. labels: names of the
    columns of the probabilities. committee: source name to its own probabilities (n, k), NaN rows where it is silent:
    functions together, model, LLM. covered: (n,) whether any labeling function spoke; None if that does not matter.
    alignment: (n,) in 0..1, how well the two parts of a pair fit together; None where the backend has no such measure.
    rare: columns of the labels to look for.
    labelled: vectors (m, d) of what people have labelled outside the blind sample; None without embeddings. targets:
    (m, k) their labels. answers: task id to annotator to label number, of tasks that people have labelled, for
    strategies that may ask again; with judged: task id to the model's held-out probabilities (k,). again: ids of tasks
    that may be asked again.
    """

    size: int
    batch: int
    seed: int
    chance: npt.NDArray[np.float64]
    uncertainty: Floats | None = None
    measure: str = "margin"
    multiple: bool = False
    labels: tuple[str, ...] = ()
    committee: Mapping[str, Floats] = field(default_factory=dict)
    covered: Bools | None = None
    alignment: Floats | None = None
    rare: tuple[int, ...] = ()
    labelled: Floats | None = None
    targets: Floats | None = None
    answers: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    judged: Mapping[str, Floats] = field(default_factory=dict)
    again: tuple[str, ...] = ()

    def random(self) -> np.random.Generator:
        """Return a generator; the same one at each call."""
        return np.random.default_rng(self.seed)

    def drawn(self) -> Ints:
        """Return all positions in the order of their draws: random, and the same however the candidates are stored."""
        return np.argsort(self.chance, kind="stable").astype(np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """What a strategy returns that also asks for labelled tasks again. scores: (n,) in 0..1, or with `picks` the
    positions. again: ids out of `state.again` that are worth more than the last new task of the batch, best first."""

    scores: Any
    again: tuple[str, ...] = ()


Function = Callable[[Vectors | None, Floats, State], Any]
_F = TypeVar("_F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Strategy:
    """A declared strategy. picks: it returns positions, best first, instead of scores. vectors: it cannot do without
    embeddings. probabilities: it cannot do without those. reason: why it picks a task, in words for the data lead.
    spread: whether its order is to be spread over the data afterwards (cluster by cluster, near neighbours apart); one
    that picks whole batches sees to it itself. apart: whether near neighbours are kept apart at all. needs: what else
    it looks at, in words. source: the paper, in one line. measure: of uncertainty, where it is one."""

    name: str
    function: Function
    picks: bool = False
    vectors: bool = False
    probabilities: bool = True
    reason: str = ""
    spread: bool = False
    apart: bool = True
    needs: str = ""
    source: str = ""
    measure: str = "margin"


def strategy(
    name: str,
    *,
    picks: bool = False,
    vectors: bool = False,
    probabilities: bool = True,
    reason: str = "",
    spread: bool = False,
    apart: bool = True,
    needs: str = "",
    source: str = "",
    measure: str = "margin",
) -> Callable[[_F], _F]:
    """Declare a function as the strategy `name`; see `Strategy`. The function itself is returned, marked.

    Raises FunctionsError when it cannot be called with vectors, probabilities and state, or the name is empty.
    """
    if not isinstance(name, str) or not name.strip():
        raise FunctionsError(
            f"{name!r} is no name of a strategy", remedy='Write @strategy("my-name") above the function.'
        )

    def declare(function: _F) -> _F:
        if not callable(function) or inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
            raise FunctionsError(
                f"the strategy '{name}' is not a plain function", remedy="Use a `def` that returns scores or positions."
            )
        try:
            inspect.signature(function).bind(None, None, None)
        except TypeError as error:
            raise FunctionsError(
                f"the strategy '{name}' cannot be called with three arguments ({error})",
                remedy="A strategy takes (vectors, probabilities, state).",
            ) from error
        except ValueError:  # a builtin without a signature: the first call will tell
            pass
        made = Strategy(
            name,
            function,
            picks=picks,
            vectors=vectors,
            probabilities=probabilities,
            reason=reason or f"picked by '{name}'",
            spread=spread,
            apart=apart,
            needs=needs,
            source=source,
            measure=measure,
        )
        try:
            setattr(function, MARK, made)
        except AttributeError as error:
            raise FunctionsError(
                f"the strategy '{name}' is not a plain function", remedy="Wrap it in a `def`."
            ) from error
        return function

    return declare


def names() -> list[str]:
    """Return the names of the strategies that come with the adapter."""
    return sorted(_shipped())


def get(name: str, *, where: str = "rank.strategy") -> Strategy:
    """Return a strategy that comes with the adapter. where: the key or option, for messages. Raises SettingsError with
    the nearest name."""
    known = _shipped()
    if name not in known:
        raise SettingsError(
            f"there is no strategy '{name}'",
            where=where,
            remedy=f"{nearest(name, known)} One of your own is written `module:function` or `file.py:function`.",
        )
    return known[name]


def describe() -> list[Strategy]:
    """Return the strategies that come with the adapter, by name: name, reason, what each needs, its source."""
    return [known for _, known in sorted(_shipped().items())]


def needs_of(strategy: Strategy) -> str:
    """Return what a strategy needs, in words for a table."""
    parts = ["embeddings"] * strategy.vectors + ["probabilities"] * strategy.probabilities
    return ", ".join(parts + [strategy.needs] * bool(strategy.needs)) or "nothing"


def measure_of(name: str) -> str:
    """Return by which measure of uncertainty (`margin`, `entropy`, `least-confidence`) tasks are to be judged over all
    controls for the strategy of this name; margin for strategies that are no measure, and for a user's own."""
    known = _shipped().get(name)
    return known.measure if known is not None else "margin"


def _shipped() -> dict[str, Strategy]:
    """Import the modules of this package, so that what they declare is known."""
    if not _known:
        found: dict[str, Strategy] = {}
        for module in _MODULES:
            for value in vars(importlib.import_module(f"adapter.core.strategies.{module}")).values():
                made = getattr(value, MARK, None)
                if isinstance(made, Strategy):
                    found[made.name] = made
        _known.update(found)
    return _known


_known: dict[str, Strategy] = {}
