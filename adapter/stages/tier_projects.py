"""Which Label Studio projects hold a project's tiers (`routing.way: projects`), as the store knows it."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from adapter.label_studio.tiers import TieredPlatform

if TYPE_CHECKING:
    from adapter.ports import Platform
    from adapter.stages.context import Project
    from adapter.store import Store

TIERS_NOTE = "routing_tiers"
"""`project`: the main project in Label Studio. `tiers`: tier to its project there, those no longer in use too: their
annotations count."""


def tiers_at(store: Store, name: str) -> tuple[int | None, dict[str, int]]:
    """Return the main project in Label Studio and tier to project there; (None, {}) without tiers."""
    note = store.projects.notes(name, TIERS_NOTE).get(TIERS_NOTE)
    if not note:
        return None, {}
    return int(note["project"]), {str(tier): int(number) for tier, number in note["tiers"].items()}


class TierProjects:
    """What is known of one project's tiers. Read from the store once; `look` reads again, as other processes may have
    made tiers meanwhile. Every stage that must see all tasks looks first."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._lock = threading.Lock()
        self._read: tuple[int | None, dict[str, int]] | None = None
        self._tiered: TieredPlatform | None = None

    def look(self) -> dict[str, int]:
        """Read from the store what stands now; return tier to Label Studio project."""
        found = tiers_at(self._project.store, self._project.name)
        with self._lock:
            self._read = found
        return dict(found[1])

    @property
    def ids(self) -> dict[str, int]:
        """Tier to Label Studio project, as of the last look."""
        return self.look() if self._read is None else dict(self._read[1])

    @property
    def main(self) -> int | None:
        """The Label Studio project whose tiers these are, as of the last look."""
        if self._read is None:
            self.look()
        return self._read[0] if self._read else None

    def keep(self, main: int, tiers: Mapping[str, int]) -> None:
        """Write down what stands now."""
        note = {"project": main, "tiers": dict(tiers)} if tiers else None
        self._project.store.projects.note(self._project.name, TIERS_NOTE, note)
        self.look()

    def over(self, platform: Platform) -> Platform:
        """Return this platform with the tiers seen as part of the main project; itself without tiers."""
        if self._read is None:
            self.look()
        with self._lock:
            main, tiers = self._read or (None, {})
            if main is None or not tiers:
                return platform
            before = self._tiered
            if before is None or before.stands_on != (platform, main, tiers):
                homes = before.known_homes if before is not None and before.stands_on[:2] == (platform, main) else {}
                self._tiered = TieredPlatform(platform, main, tiers, self._tier_of, homes=homes)
            assert self._tiered is not None
            return self._tiered

    def homes(self, task_ids: Sequence[int]) -> dict[int, int]:
        """Return Label Studio's task to its project; empty without tiers."""
        platform = self._project.platform
        return platform.homes(task_ids) if isinstance(platform, TieredPlatform) else {}

    def _tier_of(self, keys: Sequence[str]) -> Mapping[str, str]:
        from adapter.stages.tiers import tiers_of

        return tiers_of(self._project, keys)
