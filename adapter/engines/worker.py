"""The child process that calls an author's labeling functions; started by `adapter.engines.process`, imports little.

Votes and the place of the call in progress are written straight into memory shared with the parent, so that a killed or
dead worker loses nothing but the call it died in. Time limits: a ticking timer raises inside a call that has run too
long; where a C loop never lets it, the parent kills the process, and a watchdog thread of the interpreter ends it even
if there is no parent any more.
"""

from __future__ import annotations

import faulthandler
import mmap
import os
import resource
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from types import FrameType, MappingProxyType
from typing import Any

from adapter.engines.base import ABSTAIN, FAULT
from adapter.errors import FunctionsError, nearest
from adapter.labeling import discover
from adapter.vocabulary import JsonObject

PLACE = 16
"""Bytes at the start of the shared memory: function index and row of the call in progress, two int64."""
LONGEST_MESSAGE = 500
FAULTS_TOLD = 100


@dataclass(frozen=True, slots=True)
class Order:
    """One labeling function as the parent orders it. labels: of its control. timeout_s: for one call."""

    origin: str
    name: str
    version: str
    control: str
    labels: tuple[str, ...]
    timeout_s: float


class _TooLong(BaseException):
    """A call ran past its limit. Not an Exception, so that an author's `except Exception` does not swallow it."""


def load(orders: Sequence[Order]) -> list[Callable[[JsonObject], Any]]:
    """Load the ordered functions. Raises FunctionsError if one is gone or was edited since it was ordered."""
    found = {}
    for origin in dict.fromkeys(order.origin for order in orders):
        for function in discover(origin):
            found[origin, function.name] = function
    rules: list[Callable[[JsonObject], Any]] = []
    for order in orders:
        now = found.get((order.origin, order.name))
        if now is None or now.version != order.version:
            raise FunctionsError(
                f"labeling function '{order.name}' was edited while it was about to run",
                where=order.origin,
                remedy="Run `hitl vote` again.",
            )
        rules.append(now.function)
    return rules


class _Watch:
    """The ticking timer: raises `_TooLong` in the main thread when one call stays in progress past its limit."""

    def __init__(self, place: memoryview, limits: Sequence[float]) -> None:
        self.place = place
        self.limits = limits
        self.armed = False
        self.seen: tuple[int, int, float] = (-1, -1, 0.0)
        self.parent = os.getppid()
        self.tick = min(1.0, max(0.01, min(limits, default=1.0) / 4))
        self.last_resort = 2 * max(limits, default=1.0) + 3  # later than the parent, which kills at 1.5 x + 1

    def start(self) -> None:
        self.seen = (-1, -1, 0.0)
        signal.signal(signal.SIGALRM, self.ring)
        signal.setitimer(signal.ITIMER_REAL, self.tick, self.tick)
        faulthandler.dump_traceback_later(self.last_resort, exit=True, file=2)

    def stop(self) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        faulthandler.cancel_dump_traceback_later()

    def ring(self, _signal: int, _frame: FrameType | None) -> None:
        if os.getppid() != self.parent:
            os._exit(1)
        if not self.armed:
            return
        function, row = self.place[0], self.place[1]
        now = time.monotonic()
        if self.seen[:2] != (function, row):
            self.seen = (function, row, now)
            faulthandler.dump_traceback_later(self.last_resort, exit=True, file=2)
        elif now - self.seen[2] >= self.limits[function]:
            raise _TooLong


class _Caller:
    """Calls functions on the rows of one chunk and tells the parent of faults as they happen."""

    def __init__(self, orders: Sequence[Order], memory: mmap.mmap, tell: Callable[[tuple[Any, ...]], None]) -> None:
        self.rules = load(orders)
        self.orders = orders
        self.codes = [{label: code for code, label in enumerate(order.labels)} for order in orders]
        view = memoryview(memory)
        self.place = view[:PLACE].cast("q")
        self.votes = view[PLACE:].cast("h")
        self.watch = _Watch(self.place, [order.timeout_s for order in orders])
        self.tell = tell

    def chunk(self, rows: Sequence[dict[str, Any]], start: tuple[int, int], strikes: Sequence[int]) -> list[float]:
        """Fill votes (m, n) from the cell `start` on; return seconds per function. strikes: time-outs each may have."""
        shown = [MappingProxyType(row) for row in rows]  # an author's function cannot change what others see
        seconds = [0.0] * len(self.orders)
        self.watch.start()
        try:
            for index in range(start[0], len(self.orders)):
                first = start[1] if index == start[0] else 0
                began = time.perf_counter()
                if strikes[index] > 0:
                    self._column(index, shown, first, strikes[index])
                seconds[index] = time.perf_counter() - began
        finally:
            self.watch.stop()
        return seconds

    def _column(self, index: int, rows: Sequence[JsonObject], first: int, strikes: int) -> None:
        told = 0
        while first < len(rows) and strikes > 0:
            kind = "fault"
            try:
                first, message = self._run(index, rows, first)
            except _TooLong:  # raised between two bytecodes of the call, or just after it
                self.watch.armed = False
                first = self.place[1]
                kind, strikes = "strike", strikes - 1
                self.votes[index * len(rows) + first] = FAULT
                message = f"took longer than {self.orders[index].timeout_s:g} s"
            if first < len(rows):
                told += 1
                if told <= FAULTS_TOLD or kind == "strike":
                    self.tell((kind, index, first, message[:LONGEST_MESSAGE]))
                first += 1

    def _run(self, index: int, rows: Sequence[JsonObject], first: int) -> tuple[int, str]:
        """Vote row by row until one fails; return its number and why, or the number of rows."""
        rule, codes, votes, place, watch = self.rules[index], self.codes[index], self.votes, self.place, self.watch
        offset = index * len(rows)
        place[1] = first
        place[0] = index
        row = first
        watch.armed = True
        try:
            for row in range(first, len(rows)):
                place[1] = row
                answer = rule(rows[row])
                votes[offset + row] = ABSTAIN if answer is None else codes[answer]
        except BaseException as error:
            watch.armed = False
            if isinstance(error, _TooLong):
                raise
            return row, self._why(error, index, rows[row])
        watch.armed = False
        return len(rows), ""

    def _why(self, error: BaseException, index: int, data: JsonObject) -> str:
        last = error.__traceback__
        inside = last is not None and last.tb_next is not None
        if not inside and isinstance(error, KeyError | TypeError):
            wrong = self._wrong_answer(error, index)
            if wrong:
                return wrong
        while last is not None and last.tb_next is not None:
            last = last.tb_next
        line = f" (line {last.tb_lineno})" if last is not None and inside else ""
        try:
            text = str(error)
        except Exception:  # an author's exception may fail to print
            text = "?"
        return f"{type(error).__name__}: {text}{line}"

    def _wrong_answer(self, error: BaseException, index: int) -> str:
        order = self.orders[index]
        frame = error.__traceback__.tb_frame if error.__traceback__ else None
        answer = frame.f_locals.get("answer") if frame else None
        try:
            if answer is None or answer in order.labels:  # the answer before: this call raised by itself, in C
                return ""
        except Exception:  # an author's object may fail to compare
            answer = object()
        if not isinstance(answer, str):
            return f"returned {_shown(answer)}, which is no label; return a label's name or None"
        advice = nearest(answer, order.labels)
        return f"returned {_shown(answer)}, which is not a label of '{order.control}'. {advice}".strip()


def _shown(answer: object) -> str:
    try:
        return repr(answer)[:80]
    except Exception:  # an author's object may fail to print
        return f"a {type(answer).__name__}"


def main(inbox: int, outbox: int, memory_fd: int, memory_mb: int) -> None:
    """Serve the parent until it closes the pipe: `load` orders, then chunks of rows."""
    reader, writer = Connection(inbox, writable=False), Connection(outbox, readable=False)
    if memory_mb:
        limit = memory_mb * 1024 * 1024
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    memory = mmap.mmap(memory_fd, 0)
    caller: _Caller | None = None
    while True:
        try:
            message = reader.recv()
        except (EOFError, OSError):
            break
        if message[0] == "load":
            try:
                caller = _Caller(message[1], memory, writer.send)
                writer.send(("loaded",))
            except FunctionsError as error:
                writer.send(("refused", error.what, error.where, error.remedy))
        elif caller is not None:
            writer.send(("done", caller.chunk(*message[1:])))
    os._exit(0)  # at once: an author's threads and exit handlers have no say
