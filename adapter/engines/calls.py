"""Calling an author's functions on the rows of one chunk, inside a worker process; a fault stays in its cell."""

from __future__ import annotations

import mmap
import pickle
from collections.abc import Callable, Sequence
from time import perf_counter
from types import MappingProxyType
from typing import Any

from adapter.engines.base import FAULT
from adapter.engines.guard import Guard, memory_held
from adapter.engines.orders import BATCH, BATCH_ROWS, FIRST_BATCH, PLACE, PREPARE, ROW, Cells, Order
from adapter.engines.tally import FAULTS_TOLD
from adapter.engines.watch import TooLong, Watch
from adapter.errors import FunctionsError
from adapter.labeling import Bound, LabelingFunction, answer_codes, bound, discover, read_answer, reason
from adapter.vocabulary import JsonObject

LONGEST_MESSAGE = 500
_UNSET: Any = object()


def load(orders: Sequence[Order]) -> list[LabelingFunction]:
    """Load the ordered functions. Raises FunctionsError if one is gone or was edited since it was ordered."""
    found = {}
    for origin in dict.fromkeys(order.origin for order in orders):
        for function in discover(origin):
            found[origin, function.name] = function
    functions = []
    for order in orders:
        now = found.get((order.origin, order.name))
        if now is None or now.version != order.version:
            raise FunctionsError(
                f"labeling function '{order.name}' was edited while it was about to run",
                where=order.origin,
                remedy="Run `hitl vote` again.",
            )
        functions.append(now)
    return functions


class Replace(BaseException):
    """This worker must not go on; the parent was told why."""


class _Left(Exception):
    """A call of many rows failed: the rows go one by one."""


class Caller:
    """Calls functions on the rows of one chunk and tells the parent of faults as they happen.

    memory: the place of the call in progress, then votes int16 (m, n), then confidences float32 (m, n), of `cells`
    cells each. most_bytes: the worker's limit of memory, 0 for none. tell: sends the parent a message of plain values.
    """

    def __init__(
        self, orders: Sequence[Order], memory: mmap.mmap, cells: int, most_bytes: int, tell: Callable[..., None]
    ) -> None:
        functions = load(orders)
        self.orders = orders
        self.rules: list[Callable[[JsonObject], Any]] = [bound(function) for function in functions]
        self.unmade = [""] * len(orders)
        self.unprepared = {index for index, rule in enumerate(self.rules) if isinstance(rule, Bound)}
        self.confident: set[int] = set()
        self.codes = [answer_codes(function, order.labels) for function, order in zip(functions, orders, strict=True)]
        self.batches = [None if each.pre or each.resources else each.batch for each in functions]
        self.warm: set[int] = set()
        view = memoryview(memory)
        self.place = view[:PLACE].cast("q")
        self.votes = view[PLACE : PLACE + 2 * cells].cast("h")
        self.sure = view[PLACE + 2 * cells :].cast("f")
        self.watch = Watch(self.place, orders)
        self.most_bytes = most_bytes
        self.tell = tell
        self.guard = Guard()
        self.rows: Sequence[JsonObject] = ()

    def chunk(self, blob: bytes, cells: Cells) -> list[float]:
        """Fill the votes of the pickled rows as `cells` says; return seconds per function. Raises Replace."""
        data: list[dict[str, Any]] = pickle.loads(blob)  # noqa: S301 - from our own parent
        nested = any(type(value) in (dict, list) for row in data for value in row.values())
        self.rows = [MappingProxyType(row) for row in data]  # an author's function cannot change what others see
        seconds = [0.0] * len(self.orders)
        clean = True
        self.watch.start()
        try:
            for index in range(cells.start[0], len(self.orders)):
                first = cells.start[1] if index == cells.start[0] else 0
                asked = cells.rows[index]
                rows = range(first, len(data)) if asked is None else [row for row in asked if row >= first]
                if not rows or cells.strikes[index] <= 0:
                    continue
                if nested and not clean:  # what lies inside the rows could be changed all the same
                    self.rows = [MappingProxyType(row) for row in pickle.loads(blob)]  # noqa: S301 - as above
                began = perf_counter()
                whole = asked is None and index not in cells.rowwise
                self._column(index, rows, cells.strikes[index], whole)
                seconds[index] = perf_counter() - began
                clean = False
                self._look_behind(index)
        finally:
            self.watch.stop()
        return seconds

    def _look_behind(self, index: int) -> None:
        self._mend(index)
        if left := self.guard.left_running():
            self.tell("left", index, f"left many {left} running; its worker was replaced")
            raise Replace

    def _mend(self, index: int) -> None:
        changed = self.guard.mend()
        if not self.watch.standing():
            self.watch.start()
            changed.append("the alarm signal")
        if changed:
            self.tell("whole", index, f"replaced {', '.join(changed[:5])} for all; it was put back")

    def _column(self, index: int, rows: Sequence[int], strikes: int, whole: bool) -> None:
        if whole and self.batches[index] is not None:
            rows = self._batches(index, rows)
        if rows and index in self.unprepared:
            self._prepare(index, rows[0])
        told, at, count = 0, 0, len(rows)  # counted now: what an author's function does to `len` shall not matter here
        while at < count and strikes > 0:
            kind = "fault"
            try:
                at, message = self._run(index, rows, at, count, told < FAULTS_TOLD)
            except TooLong:  # raised between two bytecodes of the call, or just after it
                self.watch.armed = False
                row = self.place[1]
                while rows[at] != row:
                    at += 1
                kind, strikes = "strike", strikes - 1
                self._fail(index, row)
                message = f"took longer than {self.orders[index].timeout_s:g} s"
            if at < count:
                told += 1
                if message:
                    self.tell(kind, index, rows[at], _line(message))
                at += 1

    def _prepare(self, index: int, row: int) -> None:
        """Make a function's resources, outside the time limit of any row."""
        self.unprepared.discard(index)
        rule = self.rules[index]
        self.place[1], self.place[2], self.place[0] = row, PREPARE, index
        self.watch.expect(index, PREPARE)
        self.watch.armed = True
        try:
            self.unmade[index] = rule.prepare() if isinstance(rule, Bound) else ""
        except TooLong:
            self.unmade[index] = f"making its resources took longer than {self.orders[index].limit(PREPARE):g} s"
        except BaseException as error:
            self.unmade[index] = self._say(error)
        self.watch.armed = False

    def _fail(self, index: int, row: int) -> None:
        self.votes[index * len(self.rows) + row] = FAULT

    def _run(self, index: int, rows: Sequence[int], at: int, count: int, tell: bool) -> tuple[int, str]:
        """Vote row by row from rows[at] on until one fails; return its place in `rows` and why, or their number. tell:
        whether why is wanted."""
        data, rule, codes = self.rows, self.rules[index], self.codes[index]
        votes, sure, place = self.votes, self.sure, self.place
        offset = index * len(data)
        place[2], place[1], place[0] = ROW, rows[at], index
        why = self.unmade[index]
        failed = bool(why)
        row, answer = rows[at], _UNSET
        self.watch.armed = True
        while not failed:
            try:
                if index not in self.confident:
                    for row in rows[at:]:
                        place[1] = row
                        answer = _UNSET
                        answer = rule(data[row])
                        votes[offset + row] = codes[answer]
                else:
                    for row in rows[at:]:
                        place[1] = row
                        answer = _UNSET
                        answer = rule(data[row])
                        if answer.__class__ is tuple:
                            label, confidence = answer
                            if confidence.__class__ is not float or not 0 <= confidence <= 1 or label is None:
                                raise ValueError
                            code = codes[label]
                            sure[offset + row] = confidence
                            votes[offset + row] = code
                        else:
                            votes[offset + row] = codes[answer]
            except BaseException as error:
                if error.__class__ is TooLong:
                    raise
                while rows[at] != row:
                    at += 1
                if answer is not _UNSET:  # it answered, though not with a bare label: a confidence, or nonsense
                    self._mend(index)
                    why, failed = self._read(index, row, answer)
                    if not failed and at + 1 < count:
                        at += 1
                        continue
                else:
                    self.watch.armed = False
                    failed = True
                    if error.__class__ is MemoryError:
                        self._out_of_memory(index, row, error)
                    if tell:
                        self._mend(index)
                        why = self._say(error)
                if not failed:
                    at = count
            else:
                at = count
            break
        self.watch.armed = False
        if failed:
            self._fail(index, rows[at])
        return at, why if tell else ""

    def _read(self, index: int, row: int, answer: object) -> tuple[str, bool]:
        """Take an answer with a confidence; return why it is none, and whether it is none."""
        order = self.orders[index]
        try:
            code, confidence = read_answer(answer, self.codes[index], order.labels, order.control)
        except FunctionsError as error:
            return str(error), True
        except TooLong:
            raise
        except BaseException as error:  # an author's object may fail to compare or to print
            return f"returned a {type(answer).__name__} that fails to be looked at: {self._say(error)}", True
        if type(answer) is tuple:
            self.confident.add(index)
        cell = index * len(self.rows) + row
        self.sure[cell] = confidence
        self.votes[cell] = code
        return "", False

    def _out_of_memory(self, index: int, row: int, error: BaseException) -> None:
        """Where memory is still held after a MemoryError, the next calls would fail too: a new worker goes on."""
        if self.most_bytes and memory_held() > self.most_bytes / 2:
            self._mend(index)
            self.tell("memory", index, row, _line(self._say(error)))
            raise Replace

    @staticmethod
    def _say(error: BaseException) -> str:
        try:
            return reason(error)
        except BaseException:  # an author's exception may leave the program when asked what it says
            return type(error).__name__

    def _batches(self, index: int, rows: Sequence[int]) -> Sequence[int]:
        """Vote on many rows at once; return the rows that are left for the row rule, whose word counts."""
        left: list[int] = []
        for first in range(0, len(rows), BATCH_ROWS):
            some = rows[first : first + BATCH_ROWS]
            try:
                left.extend(self._batch(index, some))
            except (_Left, TooLong):
                self.watch.armed = False
                self.batches[index] = None
                self.tell("rowwise", index)
                return [*left, *rows[first:]]
        return left

    def _batch(self, index: int, rows: Sequence[int]) -> list[int]:
        batch, codes, order, left = self.batches[index], self.codes[index], self.orders[index], []
        assert batch is not None
        way = BATCH if index in self.warm else FIRST_BATCH
        self.place[1], self.place[2], self.place[0] = rows[0], way, index
        self.watch.expect(index, way)
        self.watch.armed = True
        try:
            answers = list(batch([self.rows[row] for row in rows]))
        except TooLong:
            raise
        except BaseException as error:
            raise _Left from error
        finally:
            self.watch.armed = False
        self.warm.add(index)
        if len(answers) != len(rows):
            raise _Left
        offset = index * len(self.rows)
        for row, answer in zip(rows, answers, strict=True):
            try:
                code, confidence = read_answer(answer, codes, order.labels, order.control)
            except BaseException:
                left.append(row)
            else:
                self.sure[offset + row] = confidence
                self.votes[offset + row] = code
        return left


def _line(message: str) -> str:
    """The message on one line, cut where it is a novel."""
    return " ".join(message[: 4 * LONGEST_MESSAGE].split())[:LONGEST_MESSAGE]
