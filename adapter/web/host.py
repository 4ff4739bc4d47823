"""Which project a call means, and its current model: found once a second, loaded beside the old one, then swapped."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

import structlog

from adapter.errors import HitlError, StoreError
from adapter.label_studio.payloads import ProjectRef
from adapter.ports import Floats
from adapter.stages.context import Project
from adapter.stages.route_gold import GOLD_NOTE
from adapter.stages.tier_projects import tiers_at
from adapter.vocabulary import Fault, JsonObject, ModelVersion

if TYPE_CHECKING:
    from collections.abc import Sequence

    from adapter.app import App

NO_MODEL = "none"
"""Model version of an answer without a model. Label Studio turns a missing version into the text `undefined`."""
RETRY_S = 30.0
"""Seconds until a model that could not be loaded is tried again."""
SOONEST_S = 0.2
"""Least time between two looks that requests ask for."""

log = structlog.get_logger("web")


class Predicting(Protocol):
    """What is used of a loaded model (`adapter.bundle.Bundle`)."""

    def predict(self, examples: Sequence[JsonObject]) -> dict[str, Floats]:
        """Return control to probabilities (n, k); NaN rows for examples that cannot be read."""
        ...

    def regions(self, examples: Sequence[JsonObject]) -> Mapping[str, Sequence[Sequence[JsonObject] | None]]:
        """Return control to regions of each example; None for one that cannot be read."""
        ...

    def suggest(self, name: str, example: JsonObject, drawn: Sequence[JsonObject]) -> list[JsonObject] | None:
        """Return further regions for a person at work; None where the control's backend does not do that."""
        ...


Load = Callable[[Project, ModelVersion], Predicting]


@dataclass(frozen=True, slots=True)
class Served:
    """One project as requests see it; replaced whole, never changed. measured: gold tasks that somebody is being
    measured on: no pre-label for them, as for blind ones. tiers: Label Studio's projects of its tiers."""

    name: str
    project: Project
    platform_id: int | None = None
    model: ModelVersion | None = None
    bundle: Predicting | None = None
    measured: frozenset[str] = frozenset()
    tiers: tuple[int, ...] = ()

    @property
    def version(self) -> str:
        """The version of the loaded model, or `none`."""
        return self.model.version if self.model is not None else NO_MODEL


@dataclass(frozen=True, slots=True)
class Directory:
    """All served projects at one moment."""

    by_name: Mapping[str, Served] = field(default_factory=lambda: MappingProxyType({}))
    by_platform: Mapping[int, Served] = field(default_factory=lambda: MappingProxyType({}))


def load_bundle(project: Project, model: ModelVersion) -> Predicting:
    """Load a model version from the artifacts. Raises ModelError, StoreError or BackendError."""
    from adapter.bundle import Bundle

    folder = project.artifacts.get_folder(model.uri)
    return Bundle.load(folder, controls=(*project.learned, *project.marked), places=project.places)


class ModelHost:
    """A thread that keeps the directory of projects and their current models. Reading it costs nothing and never waits.

    load: loads a model version. fault: told when one cannot be loaded. poll_s: seconds between two looks.
    """

    def __init__(
        self,
        app: App,
        *,
        load: Load = load_bundle,
        fault: Callable[[str, Fault], None] = lambda project, fault: None,
        poll_s: float = 1.0,
    ) -> None:
        self._app = app
        self._load = load
        self._fault = fault
        self._poll_s = poll_s
        self._directory = Directory()
        self._ready = threading.Event()
        self._stopping = threading.Event()
        self._look = threading.Lock()
        self._looked = 0.0
        self._failed: dict[str, tuple[str, float]] = {}
        self._told: dict[str, str] = {}
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread; does nothing if it runs."""
        with self._look:
            if self._thread is None:
                self._stopping.clear()
                self._thread = threading.Thread(target=self._run, name="web-models", daemon=True)
                self._thread.start()

    def stop(self, timeout: float = 5.0) -> None:
        """End the thread."""
        thread, self._thread = self._thread, None
        self._stopping.set()
        if thread is not None:
            thread.join(timeout)

    @property
    def directory(self) -> Directory:
        """The projects as they were at the last look."""
        return self._directory

    @property
    def ready(self) -> bool:
        """Whether the first look is over."""
        return self._ready.is_set()

    def wait_ready(self, timeout: float) -> bool:
        """Wait for the end of the first look."""
        return self._ready.wait(timeout)

    def find(self, ref: ProjectRef) -> Served | None:
        """Return the project that a call names; a call that names none means the only one, if there is only one."""
        directory = self._directory
        if ref.id is not None:
            return directory.by_platform.get(ref.id)
        if not ref.named and len(directory.by_name) == 1:
            return next(iter(directory.by_name.values()))
        return None

    def find_anew(self, ref: ProjectRef) -> Served | None:
        """Return the project that a call names, after a fresh look if it is unknown. May wait for the store."""
        served = self.find(ref)
        if served is None and ref.id is not None and time.monotonic() - self._looked >= SOONEST_S:
            self.look()
            served = self.find(ref)
        return served

    def current(self, name: str) -> Served | None:
        """Return a project as it is served now."""
        return self._directory.by_name.get(name)

    def look(self) -> None:
        """Look for bound projects and current models once. A project in trouble keeps what it had; nothing raises."""
        with self._look:
            try:
                rows = {row.name: row for row in self._app.store.projects.all()}
            except StoreError as error:
                self._tell("", f"the store cannot be read: {error}")
                return
            self._told.pop("", None)
            by_name: dict[str, Served] = {}
            for name in sorted(self._app.settings.projects):
                row = rows.get(name)
                served = self._served(name, row.platform_id if row else None, stored=row is not None)
                if served is not None:
                    by_name[name] = served
                    self._publish(by_name)
            self._publish(by_name, whole=True)
            self._looked = time.monotonic()

    def _publish(self, by_name: Mapping[str, Served], *, whole: bool = False) -> None:
        """Swap the directory. Until the look is whole, projects that it has not come to yet stay as they were."""
        names = {**by_name} if whole else {**self._directory.by_name, **by_name}
        platforms = {number: served for served in names.values() for number in served.tiers}
        platforms |= {served.platform_id: served for served in names.values() if served.platform_id is not None}
        self._directory = Directory(MappingProxyType(names), MappingProxyType(platforms))

    def _served(self, name: str, platform_id: int | None, *, stored: bool) -> Served | None:
        before = self._directory.by_name.get(name)
        try:
            project = self._app.project(name)
            current = self._app.store.models.current(name) if stored else None
            tiers = tuple(tiers_at(self._app.store, name)[1].values()) if platform_id is not None else ()
            routed = stored and project.settings.routing.enabled
            measured = frozenset(self._app.store.projects.notes(name, GOLD_NOTE).get(GOLD_NOTE, ()) if routed else ())
        except HitlError as error:
            self._tell(name, str(error))
            return before
        except Exception as error:  # a project that cannot be built must not end the service of the others
            self._tell(name, f"{type(error).__name__}: {error}")
            return before
        if before is not None and current is not None and before.version == current.version:
            model, bundle = before.model, before.bundle
        elif current is None:
            model, bundle = None, None
        else:
            loaded = self._loaded(project, current)
            if loaded is None and before is not None:
                model, bundle = before.model, before.bundle
            else:
                model, bundle = (current, loaded) if loaded is not None else (None, None)
        if current is None or (model is not None and model.version == current.version):
            self._told.pop(name, None)
        return Served(name, project, platform_id, model, bundle, measured, tiers)

    def _loaded(self, project: Project, model: ModelVersion) -> Predicting | None:
        """Load a version; None if that fails, now or a short while ago."""
        failed, again = self._failed.get(project.name, ("", 0.0))
        if failed == model.version and time.monotonic() < again:
            return None
        started = time.monotonic()
        try:
            bundle = self._load(project, model)
        except Exception as error:
            self._failed[project.name] = (model.version, time.monotonic() + RETRY_S)
            message = str(error) if isinstance(error, HitlError) else f"{type(error).__name__}: {error}"
            self._tell(project.name, f"model {model.version} cannot be loaded, the one before stays: {message}")
            if failed != model.version:
                self._fault(project.name, Fault("model", model.version, "predict", None, f"not loaded: {message}"))
            return None
        self._failed.pop(project.name, None)
        log.info("model", project=project.name, version=model.version, load_s=round(time.monotonic() - started, 3))
        return bundle

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self.look()
            except Exception as error:
                self._tell("", f"{type(error).__name__}: {error}")
            self._ready.set()
            self._stopping.wait(self._poll_s)

    def _tell(self, name: str, sentence: str) -> None:
        """Log a trouble once, until it changes."""
        if self._told.get(name) != sentence:
            self._told[name] = sentence
            log.error(sentence, **({"project": name} if name else {}))
