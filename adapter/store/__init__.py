"""The store: small rows in SQL. SQLite by default, PostgreSQL by URL; the only SQL of the house is in this folder.

Every public method that changes something is one transaction: after a kill it has happened or it has not. All methods
raise StoreError, DiskFull or SchemaMismatch (models also ModelError), never what a driver raises.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from adapter.store.annotations import Annotations, AnnotationTotals, RecordedChange, Stray
from adapter.store.audit import AuditLog, AuditRow
from adapter.store.columns import Columns
from adapter.store.consensus import ConsensusTable
from adapter.store.engine import Database
from adapter.store.events import Event, Events
from adapter.store.faults import Faults
from adapter.store.flags import WITHDRAWN, Flags
from adapter.store.gold import GoldTable
from adapter.store.leases import Leases
from adapter.store.ledger import Intent, Ledger, Placement
from adapter.store.migrate import migrate
from adapter.store.models import Models
from adapter.store.projects import ProjectRow, Projects
from adapter.store.rankings import Rankings
from adapter.store.reviews import Recorded, Reviews
from adapter.store.routed import RoutedTable
from adapter.store.runs import Run, Runs
from adapter.store.tasks import Added, NewRow, TaskIndex, Tasks
from adapter.vocabulary import Part

__all__ = [
    "Store",
    "Projects",
    "ProjectRow",
    "Tasks",
    "NewRow",
    "Added",
    "TaskIndex",
    "Ledger",
    "Intent",
    "Placement",
    "Annotations",
    "AnnotationTotals",
    "RecordedChange",
    "Stray",
    "ConsensusTable",
    "GoldTable",
    "Reviews",
    "Recorded",
    "RoutedTable",
    "Flags",
    "WITHDRAWN",
    "Rankings",
    "Models",
    "Columns",
    "Part",
    "Events",
    "Event",
    "Leases",
    "Faults",
    "AuditLog",
    "AuditRow",
    "Runs",
    "Run",
]


class Store:
    """All tables behind one door. Connects at first use; thread-safe; each process opens its own.

    url: `sqlite:///path` or `postgresql://user:password@host/database`. now: the clock for moments that no argument
    gives (when something was placed, received or found deleted); the system's by default.
    """

    def __init__(self, url: str, *, now: Callable[[], datetime] | None = None) -> None:
        self._database = Database(url)
        clock = now or _system_clock
        self.projects = Projects(self._database, clock)
        self.tasks = Tasks(self._database, clock)
        self.ledger = Ledger(self._database, clock)
        self.annotations = Annotations(self._database, clock)
        self.consensus = ConsensusTable(self._database, clock)
        self.gold = GoldTable(self._database, clock)
        self.reviews = Reviews(self._database, clock)
        self.routed = RoutedTable(self._database, clock)
        self.flags = Flags(self._database, clock)
        self.rankings = Rankings(self._database, clock)
        self.models = Models(self._database, clock)
        self.columns = Columns(self._database, clock)
        self.events = Events(self._database, clock)
        self.leases = Leases(self._database, clock)
        self.faults = Faults(self._database, clock)
        self.audit = AuditLog(self._database, clock)
        self.runs = Runs(self._database, clock)

    def __repr__(self) -> str:
        return f"Store({self._database.where!r})"

    @property
    def where(self) -> str:
        """Where the data is, for people: a path or an address without secrets."""
        return self._database.where

    def migrate(self) -> None:
        """Bring the database to this version's schema; several processes may do it at once. Raises SchemaMismatch if it
        belongs to a newer version."""
        migrate(self._database)

    def close(self) -> None:
        """Close all connections. A later use opens new ones."""
        self._database.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()


def _system_clock() -> datetime:
    return datetime.now(UTC)
