"""The demo's simulated annotators, and the figures that the terminal shows while they work."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from adapter.app import App
from adapter.errors import HitlError
from adapter.kinds import kind_of
from adapter.label_studio.desk import LabelStudioDesk
from adapter.label_studio.embedded import EmbeddedServer
from adapter.label_studio.users import make_annotator
from adapter.simulate.people import Person, answer, pace, parse_people
from adapter.stages.context import Project
from adapter.vocabulary import TASK_KEY_FIELD, JsonObject

POLL_S = 0.5


class DemoPeople:
    """Simulated annotators at the demo's Label Studio, one thread each, working on every project in turn."""

    def __init__(
        self,
        app: App,
        server: EmbeddedServer,
        gold: dict[str, dict[str, str]],
        spec: str,
        *,
        seconds: float = 1.0,
        seed: int = 0,
    ) -> None:
        self._app = app
        self._server = server
        self._gold = gold
        self._seed = seed
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._work, args=(person,), name=person.name, daemon=True)
            for person in parse_people(spec, seconds=seconds)
        ]
        self.made = 0
        self.error = ""

    def start(self) -> None:
        """Let them begin."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Let each finish the task at hand."""
        self._stop.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(timeout=10)

    def _work(self, person: Person) -> None:
        try:
            token = make_annotator(self._server, person.name)
            desks: dict[str, LabelStudioDesk] = {}
            while not self._stop.is_set():
                worked = False
                for project in self._app.projects():
                    if project.platform_id is None:
                        continue
                    desk = desks.setdefault(project.name, LabelStudioDesk(self._server.url, token, project.platform_id))
                    worked |= self._one(person, project, desk)
                if not worked:
                    self._stop.wait(POLL_S)
        except HitlError as error:
            if not self._stop.is_set():
                self.error = f"{person.name}: {error}"

    def _one(self, person: Person, project: Project, desk: LabelStudioDesk) -> bool:
        assignment = desk.next_task()
        if assignment is None or self._stop.is_set():
            return False
        control = project.space.controls[0]
        key = str(assignment.data.get(TASK_KEY_FIELD, ""))
        gold = self._gold[project.name].get(key)
        seconds = pace(person, key, self._seed)
        self._stop.wait(seconds)
        value = answer(person, control, key, None if gold is None else (gold,), self._seed)
        if value is None:
            desk.skip(assignment.task_id, seconds)
        else:
            desk.submit(assignment.task_id, kind_of(control.kind).write(control, value), seconds)
            self.made += 1
        return True


def progress_row(project: Project) -> JsonObject:
    """Return one line of figures for the terminal: what people did and what the model has learned."""
    store = project.store
    totals = store.annotations.totals(project.name)
    current = store.models.current(project.name)
    figures = dict(current.verdict).get("figures", {}) if current else {}
    return {
        "project": project.name,
        "annotations": totals.votes,
        "open": sum(not p.done and not p.gone for p in store.ledger.placements(project.name)),
        "model": current.version if current else "none yet",
        "models": len(store.models.all(project.name)),
        "right": figures.get("candidate_right"),
        "of": figures.get("n"),
        "flags": len(store.flags.open(project.name)),
    }


def watch(app: App, show: Callable[[list[JsonObject]], None], stop: threading.Event, *, every: float = 3.0) -> None:
    """Call `show` with the rows of all projects whenever something moved, until `stop`."""
    last: list[JsonObject] = []
    while not stop.is_set():
        try:
            rows = [progress_row(project) for project in app.projects()]
        except HitlError:
            rows = last  # the store is busy being made by the other processes
        if rows != last:
            show(rows)
            last = rows
        deadline = time.monotonic() + every
        while time.monotonic() < deadline and not stop.is_set():
            stop.wait(0.2)
