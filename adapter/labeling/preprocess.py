"""Preprocessors: steps that add to a task's data before labeling functions look, with a memory of their results.

Results are remembered by the content of the data, least recently used first to go. The memory belongs to the
preprocessor, so functions that share one compute each row once in a worker. A worker that loads a module anew keeps the
memory of the preprocessors whose version is the same; an edited one starts with an empty memory.
"""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import marshal
import sys
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, overload

from adapter.errors import FunctionsError
from adapter.vocabulary import JsonObject

MEMORY_BYTES = 256 * 1024 * 1024
"""Most that one preprocessor's results may take in a worker, estimated; beyond it the oldest go."""
MOST_REMEMBERED = 10_000
_KEY_BYTES = 256
_PLAIN = frozenset({str, int, float, bool, type(None), list, dict})


class Memory:
    """Results by content, least recently used first to go. entries: how many; size: most bytes, estimated."""

    __slots__ = ("bytes", "entries", "held", "size")

    def __init__(self, entries: int, size: int = MEMORY_BYTES) -> None:
        self.entries = entries
        self.size = size
        self.bytes = 0
        self.held: OrderedDict[bytes, tuple[JsonObject, int]] = OrderedDict()

    def get(self, key: bytes) -> JsonObject | None:
        """Return what is remembered, None if nothing is."""
        found = self.held.get(key)
        if found is None:
            return None
        with contextlib.suppress(KeyError):  # another thread of a notebook may just have let it go
            self.held.move_to_end(key)
        return found[0]

    def put(self, key: bytes, result: JsonObject) -> None:
        """Remember a result, unless it alone is more than may be held."""
        weight = len(key) + _weight(result)
        if self.entries <= 0 or weight > self.size:
            return
        before = self.held.pop(key, None)
        self.held[key] = (result, weight)
        self.bytes += weight - (before[1] if before is not None else 0)
        while self.held and (len(self.held) > self.entries or self.bytes > self.size):
            _, (_, freed) = self.held.popitem(last=False)
            self.bytes -= freed


@dataclass(frozen=True, slots=True)
class Preprocessor:
    """A step before a function: takes a task's data and returns data with more in it. memory: how many results each
    worker remembers, 0 for none; two functions that share a preprocessor share its memory."""

    name: str
    function: Callable[[JsonObject], JsonObject]
    memory: int = MOST_REMEMBERED
    _held: dict[tuple[Preprocessor, ...], Memory] = field(
        default_factory=dict, init=False, repr=False, compare=False, hash=False
    )

    def __call__(self, data: JsonObject) -> JsonObject:
        """Return the author's answer for one task's data, not remembered."""
        return self.function(data)

    def remembered(self, before: tuple[Preprocessor, ...]) -> Memory:
        """Return the memory of its results on data that the steps `before` have been through."""
        memory = self._held.get(before)
        if memory is None:
            memory = self._held.setdefault(before, Memory(self.memory))
        return memory


_KEPT: dict[tuple[str, str], tuple[str, int, Memory]] = {}
"""File and variable of a preprocessor to its version, and the memory of its results on untouched data."""


def keep_memory(step: Preprocessor, file: str, variable: str, version: str) -> None:
    """Let a preprocessor that was loaded anew go on with the memory of the one before, if it is the same: the same
    `version` (digest of what it is made of) at the same place, remembering as many results."""
    before = _KEPT.get((file, variable))
    if before is not None and before[:2] == (version, step.memory):
        step._held[()] = before[2]
    else:
        _KEPT[file, variable] = (version, step.memory, step.remembered(()))


@overload
def preprocessor(function: Callable[[JsonObject], JsonObject]) -> Preprocessor: ...
@overload
def preprocessor(
    function: None = None, *, name: str = "", memory: int = MOST_REMEMBERED
) -> Callable[[Callable[[JsonObject], JsonObject]], Preprocessor]: ...
def preprocessor(
    function: Callable[[JsonObject], JsonObject] | None = None, *, name: str = "", memory: int = MOST_REMEMBERED
) -> Preprocessor | Callable[[Callable[[JsonObject], JsonObject]], Preprocessor]:
    """Declare a preprocessor, bare or with options: a function from a task's data to data with more keys.

        @preprocessor
        def shape(data):
            return {**data, "words": data["text"].split()}

    name: the function's own if empty. memory: how many results each worker remembers, 0 for none; all of them together
    never take more than 256 MB. Raises FunctionsError when it cannot be called with one task's data.
    """

    def declare(rule: Callable[[JsonObject], JsonObject]) -> Preprocessor:
        called = name or getattr(rule, "__name__", "")
        if not callable(rule) or isinstance(rule, Preprocessor):
            raise FunctionsError(f"{rule!r} is not a plain function", remedy="Write @preprocessor once, above a `def`.")
        if isinstance(memory, bool) or not isinstance(memory, int) or memory < 0:
            raise FunctionsError(
                f"memory={memory!r} of preprocessor '{called}' is no number of results",
                remedy="Give how many results each worker shall remember, 0 for none.",
            )
        if inspect.iscoroutinefunction(rule) or inspect.isgeneratorfunction(rule) or inspect.isasyncgenfunction(rule):
            raise FunctionsError(
                f"preprocessor '{called}' is a coroutine or a generator", remedy="Use a plain `def` that returns data."
            )
        try:
            inspect.signature(rule).bind({})
        except TypeError as error:
            raise FunctionsError(
                f"preprocessor '{called}' cannot be called with one argument ({error})",
                remedy="A preprocessor takes one argument, the task's data.",
            ) from error
        except ValueError:  # a builtin without a signature: the first call will tell
            pass
        return Preprocessor(called, rule, memory)

    return declare if function is None else declare(function)


def checked_steps(name: str, pre: object) -> tuple[Preprocessor, ...]:
    """Return a function's preprocessors. Raises FunctionsError when one is none."""
    if isinstance(pre, Preprocessor):
        pre = [pre]
    steps = tuple(pre) if isinstance(pre, Sequence) and not isinstance(pre, str) else (pre,)
    for step in steps:
        if not isinstance(step, Preprocessor):
            raise FunctionsError(
                f"pre of '{name}' holds {str(step)[:80]!r}, which is no preprocessor",
                remedy="Write @preprocessor above the function, and pre=[its_name].",
            )
    return steps


def chain(steps: Sequence[Preprocessor]) -> Callable[[JsonObject], JsonObject]:
    """Return one function from a task's data to what the steps make of it in turn, with memory.

    Data that the memory cannot key by content (not plain JSON) goes through the steps each time. An exception of a
    step goes through, with a note that names the step; it is not remembered.
    """
    made = tuple(steps)
    keyed = [(step, step.remembered(made[:place]), step.memory > 0) for place, step in enumerate(made)]

    def through(data: JsonObject) -> JsonObject:
        key = content_key(data)
        for step, memory, keeps in keyed:
            found = memory.get(key) if keeps and key is not None else None
            if found is None:
                try:
                    found = _shown(step, step.function(data))
                except Exception as error:
                    error.add_note(f"in preprocessor '{step.name}'")
                    raise
                if keeps and key is not None:
                    memory.put(key, found)
            data = found
        return data

    return through


def content_key(data: JsonObject) -> bytes | None:
    """Return bytes that are equal for equal JSON only (1, 1.0 and true differ); None when it is no plain JSON.

    Long data is represented by its 128-bit BLAKE2 digest, so that keys stay small."""
    plain = dict(data)
    if not _PLAIN.issuperset(map(type, plain.values())):  # an array would be taken for its bytes
        return None
    try:
        raw = marshal.dumps(plain, 2)  # version 2: no references, so the bytes depend on the content alone
    except (ValueError, TypeError):
        return None
    return raw if len(raw) <= _KEY_BYTES else hashlib.blake2b(raw, digest_size=16).digest()


def _shown(step: Preprocessor, result: object) -> JsonObject:
    """The step's result as all functions see it: they cannot change it."""
    if not isinstance(result, Mapping):
        raise TypeError(
            f"preprocessor '{step.name}' returned {type(result).__name__}, which is no data; "
            "return the data with more keys: {**data, 'more': ...}"
        )
    return result if isinstance(result, MappingProxyType) else MappingProxyType(result)


def _weight(value: object, depth: int = 3) -> int:
    """About how many bytes a result takes. Parts that it shares with the row count too: the estimate is high."""
    if isinstance(value, MappingProxyType | dict):
        if not depth:
            return 64 * len(value)
        return 64 + sum(64 + _weight(part, depth - 1) for part in value.values())
    if isinstance(value, list | tuple | set | frozenset):
        size = sys.getsizeof(value)
        if not value or not depth:
            return size + 32 * len(value)
        few: list[Any] = list(value)[:20]
        return size + len(value) * sum(_weight(part, depth - 1) for part in few) // len(few)
    extra: Any = getattr(value, "nbytes", 0)  # an array, or a tensor
    return max(sys.getsizeof(value, 64), extra if isinstance(extra, int) else 0)
