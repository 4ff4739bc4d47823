"""Routers: the decorator that declares one, `load_router`, which finds a project's, and `RouterRun`, which asks it.

A router looks at one task and at the people, and returns the names of those who should label it, or None to leave it to
the rules:

    @router
    def route(task, people):
        if task.label == "medical":
            return [person.name for person in people if "doctors" in person.tiers]

It gets values only, so it can change nothing; what it returns is checked.
"""

from __future__ import annotations

import inspect
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from adapter.core.routing import RoutingTask, Worker
from adapter.errors import FunctionsError, nearest
from adapter.loading import load

__all__ = ["Router", "RouterRun", "RoutingTask", "Worker", "load_router", "router"]

Choice: TypeAlias = Callable[[RoutingTask, Sequence[Worker]], "Sequence[str] | None"]

MOST_FAULTS = 20
"""Faults of one round after which the router is not asked any more in it."""


@dataclass(frozen=True, slots=True)
class Router:
    """A declared router; calling it calls the author's function. version: hex digest of its sources, empty until
    `load_router` has found it."""

    name: str
    function: Choice
    version: str = ""

    def __call__(self, task: RoutingTask, people: Sequence[Worker]) -> Sequence[str] | None:
        """Return the author's answer, unchecked."""
        return self.function(task, people)


def router(function: Choice) -> Router:
    """Declare a router. Raises FunctionsError when it cannot be called with a task and the people."""
    name = getattr(function, "__name__", "")
    if not callable(function) or isinstance(function, Router):
        raise FunctionsError(f"{function!r} is not a plain function", remedy="Write @router once, above a `def`.")
    if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
        raise FunctionsError(f"'{name}' is a coroutine or a generator", remedy="Use a plain `def` that returns names.")
    try:
        inspect.signature(function).bind(None, ())
    except TypeError as error:
        raise FunctionsError(
            f"'{name}' cannot be called with two arguments ({error})",
            remedy="A router takes two arguments: the task and the people.",
        ) from error
    except ValueError:  # a builtin without a signature: the first call will tell
        pass
    return Router(name, function)


def load_router(spec: str, *, base: Path | None = None) -> Router:
    """Load the router that `spec` names: `module:function`, or `file.py:function` relative to `base`.

    A router that was loaded before is loaded anew when its sources have changed. Raises FunctionsError when there is no
    such module or router, or the module does not import (with file and line).
    """
    place, colon, name = spec.rpartition(":")
    if not colon or not place or not name.isidentifier():
        raise FunctionsError(
            f"{spec!r} names no router",
            where="routing.router",
            remedy="Write `module:function`, or `file.py:function`.",
        )
    try:
        modules = load(place, base=base)
    except FunctionsError as error:
        if error.where not in ("labeling_functions",) and "labeling functions" not in error.what:
            raise
        raise FunctionsError(
            f"there is no module or file '{place}' with routers",
            where="routing.router",
            remedy="Mend `routing.router` in the project's settings file.",
        ) from error
    found = {key: (loaded, value) for loaded in modules for key, value in vars(loaded.module).items()}
    declared = {key: pair for key, pair in found.items() if isinstance(pair[1], Router)}
    if name not in declared:
        plain = name in found
        raise FunctionsError(
            f"'{name}' is not declared as a router" if plain else f"there is no router '{name}'",
            where=str(modules[0].file) if modules else place,
            remedy="Write @router above it." if plain else nearest(name, declared) or "Write @router above a function.",
        )
    loaded, value = declared[name]
    return Router(value.name, value.function, loaded.version)


class RouterRun:
    """Asks a router about one task after the other, in a thread of its own, and checks what it answers.

    A call that takes longer than `timeout_s` is given up, and with it the round: Python cannot end a thread, so it is
    left behind, and until it ends the same router is not asked again. Use as a context.
    """

    _stuck: dict[str, threading.Thread] = {}  # noqa: RUF012 - shared on purpose: one left-behind thread a router

    def __init__(self, asked: Router, people: Sequence[Worker], *, timeout_s: float, key: str) -> None:
        self._router = asked
        self._people = tuple(people)
        self._names = {worker.name for worker in people}
        self._timeout_s = timeout_s
        self._key = key
        self._asks: queue.SimpleQueue[RoutingTask | None] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[tuple[bool, Any]] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=f"router {asked.name}", daemon=True)
        self._over = ""
        self.faults: list[tuple[str, str]] = []
        """(task id, what went wrong), in the order of asking."""

    def __enter__(self) -> RouterRun:
        before = self._stuck.get(self._key)
        if before is not None and before.is_alive():
            self._over = "its last call has not come back yet"
            self.faults.append(("", f"{self._over}: the rules decide"))
        else:
            self._stuck.pop(self._key, None)
            self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._asks.put(None)

    def ask(self, task: RoutingTask) -> tuple[str, ...] | None:
        """Return the people that the router chose for this task; None where the rules shall decide."""
        if self._over:
            return None
        self._asks.put(task)
        try:
            fine, answer = self._answers.get(timeout=self._timeout_s)
        except queue.Empty:
            self._over = f"it did not answer within {self._timeout_s:g} s"
            self._stuck[self._key] = self._thread
            return self._fault(task, f"{self._over}: the rules decide this round")
        if not fine:
            return self._fault(task, f"{type(answer).__name__}: {' '.join(str(answer).split())[:300]}")
        if answer is None:
            return None
        if isinstance(answer, str | bytes) or not isinstance(answer, Sequence | set | frozenset):
            return self._fault(task, f"it returned {type(answer).__name__}, not names in a list")
        unknown = [name for name in answer if not isinstance(name, str) or name not in self._names]
        if unknown:
            return self._fault(task, f"nobody is called {repr(unknown[0])[:100]}")
        return tuple(dict.fromkeys(answer if isinstance(answer, Sequence) else sorted(answer))) or None

    def _fault(self, task: RoutingTask, message: str) -> tuple[str, ...] | None:
        """Note what went wrong; the rules decide on this task."""
        self.faults.append((task.task_id, message))
        if len(self.faults) >= MOST_FAULTS and not self._over:
            self._over = "too many faults"
        return None

    def _work(self) -> None:
        while (task := self._asks.get()) is not None:
            try:
                self._answers.put((True, self._router(task, self._people)))
            except BaseException as error:  # an author's function may raise anything, `sys.exit` too
                self._answers.put((False, error))
