"""Everything behind the endpoints of one process: guard, models, predictors, recorder, metrics."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from adapter.web.auth import Guard
from adapter.web.host import Load, ModelHost, load_bundle
from adapter.web.metrics import Metrics
from adapter.web.predictor import Predictor
from adapter.web.recorder import Recorder

if TYPE_CHECKING:
    from adapter.app import App
    from adapter.vocabulary import Fault


class Service:
    """The working parts. Threads start with `start`, not before; `stop` ends them and stores what waits."""

    def __init__(self, app: App, *, load: Load = load_bundle, poll_s: float = 1.0) -> None:
        web = app.settings.web
        self.app = app
        self.guard = Guard(web.backend_user, app.secrets.backend_password, app.secrets.webhook_secret)
        self.max_body = int(web.max_body_mb * 1024 * 1024)
        self.host = ModelHost(app, load=load, fault=self.fault, poll_s=poll_s)
        self.recorder = Recorder(app.store, seen=self._seen)
        self.metrics = Metrics(app, self)
        self._predictors: dict[str, Predictor] = {}
        self._lock = threading.Lock()
        self._running = False

    def start(self) -> None:
        """Start the threads; does nothing if they run."""
        with self._lock:
            if not self._running:
                self.recorder.start()
                self.host.start()
                self._running = True

    def stop(self) -> None:
        """Answer and store what waits, then end the threads."""
        with self._lock:
            self._running = False
            predictors, self._predictors = self._predictors, {}
        self.host.stop()
        for predictor in predictors.values():
            predictor.stop()
        self.recorder.stop()

    def predictor(self, name: str) -> Predictor:
        """Return the project's predictor, made at its first request."""
        found = self._predictors.get(name)
        if found is None:
            with self._lock:
                found = self._predictors.get(name)
                if found is None:
                    found = self._predictors[name] = Predictor(name, self.host, self.fault)
        return found

    def waiting(self, name: str) -> int:
        """Return how many tasks of a project wait to be predicted."""
        predictor = self._predictors.get(name)
        return predictor.waiting if predictor else 0

    def fault(self, project: str, fault: Fault) -> None:
        """Take a fault over for the store and the metrics."""
        self.recorder.fault(project, fault)

    def _seen(self, project: str, fault: Fault) -> None:
        self.metrics.fault(project, fault)
