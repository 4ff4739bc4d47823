"""Writes what requests saw (webhooks, faults) to the store, beside the request path.

A webhook is a hint and polling is the truth: it is answered when it is in memory here, and a hint lost in a crash costs
one polling interval. So no annotator ever waits for a busy database.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import structlog

from adapter.errors import StoreError
from adapter.vocabulary import Fault, JsonObject

if TYPE_CHECKING:
    from adapter.store import Store

MOST_HINTS = 10_000
"""Webhooks that wait for the store; more are dropped, since one pull answers for all of them."""
BATCH = 500
"""Webhooks in one transaction: under load a busy database is waited for once, not once for each."""
MOST_FAULTS = 200
"""Faults stored per project and second; the surplus becomes one fault that says how many there were."""
FAULTS_S = 1.0

log = structlog.get_logger("web")


class Hint(NamedTuple):
    """A webhook as the store keeps it. digest: equal for the same call sent twice."""

    platform_id: int | None
    action: str
    digest: str
    payload: JsonObject


class Recorder:
    """A thread that stores webhooks at once and faults every second. seen: called with every fault."""

    def __init__(self, store: Store, *, seen: Callable[[str, Fault], None] = lambda project, fault: None) -> None:
        self._store = store
        self._seen = seen
        self._hints: deque[Hint] = deque()
        self._faults: dict[str, list[Fault]] = defaultdict(list)
        self._surplus: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._work = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._told = False

    def start(self) -> None:
        """Start the thread; does nothing if it runs."""
        with self._lock:
            if self._thread is None:
                self._stopping.clear()
                self._thread = threading.Thread(target=self._run, name="web-recorder", daemon=True)
                self._thread.start()

    def stop(self, timeout: float = 5.0) -> None:
        """Store what waits, then end."""
        thread, self._thread = self._thread, None
        self._stopping.set()
        self._work.set()
        if thread is not None:
            thread.join(timeout)

    def hint(self, hint: Hint) -> bool:
        """Take a webhook over; False if it was dropped because very many wait already."""
        if len(self._hints) >= MOST_HINTS:
            return False
        self._hints.append(hint)
        self._work.set()
        return True

    def fault(self, project: str, fault: Fault) -> None:
        """Take a fault over."""
        self._seen(project, fault)
        with self._lock:
            waiting = self._faults[project]
            if len(waiting) < MOST_FAULTS:
                waiting.append(fault)
            else:
                self._surplus[project] += 1

    @property
    def waiting(self) -> int:
        """Webhooks not stored yet."""
        return len(self._hints)

    def _run(self) -> None:
        due = time.monotonic() + FAULTS_S
        while True:
            self._work.wait(max(0.0, due - time.monotonic()))
            ending = self._stopping.is_set()
            self._work.clear()
            stored = self._store_hints()
            if ending or time.monotonic() >= due:
                self._store_faults()
                due = time.monotonic() + FAULTS_S
            if ending:
                return
            if not stored:
                self._stopping.wait(1.0)

    def _store_hints(self) -> bool:
        """Store the webhooks that wait, in their order; False when the store refuses: they wait for the next try."""
        while self._hints:
            batch = [self._hints[place] for place in range(min(len(self._hints), BATCH))]
            try:
                self._store.events.record_many(batch)
            except StoreError as error:
                self._tell(error)
                return False
            except Exception as error:  # hints that the store cannot hold must not stop the ones after them
                log.error("webhooks could not be stored", count=len(batch), reason=f"{type(error).__name__}: {error}")
            for _ in batch:
                self._hints.popleft()
            self._told = False
        return True

    def _store_faults(self) -> None:
        with self._lock:
            faults, self._faults = self._faults, defaultdict(list)
            surplus, self._surplus = self._surplus, Counter()
        for project, rows in faults.items():
            if surplus[project]:
                last = rows[-1]
                message = f"and {surplus[project]} more in the same second"
                rows.append(Fault(last.source, last.version, last.where, None, message, last.at))
            try:
                self._store.faults.add(project, rows)
            except Exception as error:
                self._tell(error)

    def _tell(self, error: Exception) -> None:
        if not self._told:
            self._told = True
            log.error(f"the store takes no webhooks or faults at present: {error}")
