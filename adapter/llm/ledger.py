"""Money: what asking has cost, kept in a file that all processes of this machine share, and limits that it never
passes.

A call reserves the most that it can cost before it is made, and settles for what it did cost after: so the limit holds
whatever goes on at the same time. What a killed process had reserved counts as spent. Amounts are whole billionths of
the currency that prices are given in.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import math
import os
import threading
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapter.llm.faults import Refused, Spent

NANO = 1_000_000_000
FILE = "ledger.json"
_FORMAT = 1
_STALE_S = 3600.0


@dataclass(frozen=True, slots=True)
class Prices:
    """Of a million tokens that are read (input) and written (output)."""

    input: float = 0.0
    output: float = 0.0

    def cost(self, read: int, written: int) -> int:
        """Return billionths for so many tokens, rounded up."""
        return math.ceil((read * self.input + written * self.output) * (NANO / 1_000_000) - 1e-6)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock that other threads and processes respect. path: of the lock's file. Raises Refused where it, or what
    is done under it, cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.flock(file, fcntl.LOCK_UN)
    except OSError as error:
        raise Refused(
            f"what is asked and spent cannot be written down ({error.strerror}), so nothing is",
            where=str(path.parent),
            remedy="Make room there, or mend its permissions.",
        ) from error


class Ledger:
    """What asking may cost. folder: shared by all processes; None for this one's memory alone. account: whose spending
    counts together. total: most that the account may ever spend; run: most that this object may; None for no limit.
    wall: seconds since 1970, for tidying up.

    Raises Refused where the file is damaged, never taken for an empty one, or cannot be written.
    """

    def __init__(self, folder: Path | None, account: str, *, total: float | None, run: float | None, wall: Any) -> None:
        self._folder = folder
        self._account = account
        self._total = None if total is None else math.floor(total * NANO)
        self._run = None if run is None else math.floor(run * NANO)
        self._wall = wall
        self._lock = threading.Lock()
        self._mine: dict[str, int] = {}
        self._spent_here = 0
        self._memory: dict[str, Any] = {}

    def reserve(self, amount: int) -> str:
        """Set money aside for a call; return a ticket to settle with. Raises Spent when a limit would be passed."""
        with self._lock:
            if self._run is not None and self._spent_here + sum(self._mine.values()) + amount > self._run:
                raise _spent("this run's budget", self._run, self._spent_here, "run_budget")
            ticket = uuid.uuid4().hex
            if amount:
                with self._book() as book:
                    held = sum(each[0] for each in book["held"].values())
                    if self._total is not None and book["spent"] + held + amount > self._total:
                        raise _spent(f"the budget of '{self._account}'", self._total, book["spent"] + held, "budget")
                    book["held"][ticket] = [amount, self._wall()]
            self._mine[ticket] = amount
            return ticket

    def settle(self, ticket: str, amount: int) -> None:
        """Pay for a call: never more than was set aside. 0 for one that was not made."""
        with self._lock:
            held = self._mine.pop(ticket)
            paid = min(max(amount, 0), held)
            self._spent_here += paid
            if held:
                with self._book() as book:
                    book["held"].pop(ticket, None)
                    book["spent"] += paid

    @property
    def spent(self) -> float:
        """What the account has spent so far, by all processes, with what is set aside, in the currency of the
        prices."""
        with self._lock, self._book(write=False) as book:
            return float(book["spent"] + sum(each[0] for each in book["held"].values())) / NANO

    @property
    def spent_here(self) -> float:
        """What this run has paid, in the currency of the prices."""
        with self._lock:
            return self._spent_here / NANO

    @contextlib.contextmanager
    def _book(self, *, write: bool = True) -> Iterator[dict[str, Any]]:
        """The account's entry: `spent`, and `held` (ticket to amount and time); written back when the block ends
        well."""
        if self._folder is None:
            yield self._memory.setdefault(self._account, {"spent": 0, "held": {}})
            return
        with locked(self._folder / "ledger.lock"):
            path = self._folder / FILE
            whole = _read(path)
            book = whole["accounts"].setdefault(self._account, {"spent": 0, "held": {}})
            yield book
            if write:
                stale = [each for each, (_, at) in book["held"].items() if at < self._wall() - _STALE_S]
                for ticket in stale:  # its process is gone, and the call may have been billed
                    book["spent"] += book["held"].pop(ticket)[0]
                partial = path.with_suffix(".partial")
                partial.write_text(json.dumps(whole, sort_keys=True), encoding="utf-8")
                os.replace(partial, path)


def _spent(what: str, limit: int, gone: int, option: str) -> Spent:
    return Spent(
        f"{what}, {limit / NANO:g}, does not allow another call: {gone / NANO:.6g} is spent or set aside",
        where=option,
        remedy=f"Raise `{option}`; what was answered so far is remembered and costs nothing again.",
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {"format": _FORMAT, "accounts": {}}
    except (OSError, UnicodeDecodeError) as error:
        raise _damaged(path, getattr(error, "strerror", "") or "unreadable") from error
    try:
        whole: dict[str, Any] = json.loads(text)
        if whole["format"] != _FORMAT:
            raise ValueError("another format")
        for book in whole["accounts"].values():
            amounts = [book["spent"], *(amount for amount, _ in book["held"].values())]
            # A NaN would pass every limit.
            if not all(type(amount) is int and amount >= 0 for amount in amounts):
                raise ValueError("an amount that is no whole number from 0 on")
            if not all(at >= 0 for _, at in book["held"].values()):
                raise ValueError("a moment that is none")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _damaged(path, str(error)) from error
    return whole


def _damaged(path: Path, why: str) -> Refused:
    return Refused(
        f"what was spent cannot be read ({why}), so nothing more is",
        where=str(path),
        remedy="Look at your provider's bill; then mend the file, or remove it to begin at 0.",
    )


class Quota:
    """How many tasks may be asked about at all. path: a file with the digests of those that were, shared by all
    processes; None for this one's memory alone. most: None for no limit."""

    def __init__(self, path: Path | None, most: int | None) -> None:
        self._path = path
        self._most = most
        self._known: set[str] = set()
        self._lock = threading.Lock()

    def admit(self, keys: Sequence[str]) -> frozenset[str]:
        """Return those of these tasks that may be asked about: those that already were, and the first further ones."""
        if self._most is None:
            return frozenset(keys)
        with self._lock:
            if self._path is None:
                return self._admitted(keys)[0]
            with locked(self._path.with_suffix(".lock")):
                written = self._path.read_text(encoding="ascii", errors="replace") if self._path.is_file() else ""
                self._known.update(written.split())
                admitted, fresh = self._admitted(keys)
                if fresh:
                    cut = "\n" if written and not written.endswith("\n") else ""  # by a kill in the middle of a line
                    with self._path.open("a", encoding="ascii") as file:
                        file.write(cut + "".join(f"{key}\n" for key in fresh))
                return admitted

    def _admitted(self, keys: Sequence[str]) -> tuple[frozenset[str], list[str]]:
        assert self._most is not None
        fresh = [key for key in dict.fromkeys(keys) if key not in self._known][: max(0, self._most - len(self._known))]
        self._known.update(fresh)
        return frozenset(key for key in keys if key in self._known), fresh
