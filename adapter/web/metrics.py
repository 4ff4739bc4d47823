"""Figures for Prometheus: what this process served, and where each project stands. No label, no task, no person."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from adapter.errors import HitlError
from adapter.vocabulary import Fault

if TYPE_CHECKING:
    from adapter.app import App
    from adapter.web.host import ModelHost, Served
    from adapter.web.service import Service

FRESH_S = 10.0
"""Seconds for which figures from the store are shown again."""
MOST_SHARE = 0.05
"""Share of time that counting may take; figures of a large store are renewed less often."""
BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 100.0)

log = structlog.get_logger("web")


class Metrics:
    """The metrics of one web process, in a registry of their own."""

    def __init__(self, app: App, service: Service) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "hitl_http_requests", "Requests by endpoint and status.", ["endpoint", "status"], registry=self.registry
        )
        self._latency = Histogram(
            "hitl_http_request_seconds",
            "Time from request to answer.",
            ["endpoint"],
            registry=self.registry,
            buckets=BUCKETS,
        )
        self._webhooks = Counter(
            "hitl_webhooks",
            "Webhooks by action and outcome: recorded, hint (without credentials), dropped, refused, broken.",
            ["action", "outcome"],
            registry=self.registry,
        )
        self._tasks = Counter(
            "hitl_predicted_tasks",
            "Tasks answered by /predict, with and without a pre-label.",
            ["project", "prelabel"],
            registry=self.registry,
        )
        self._faults = Counter(
            "hitl_faults", "Faults seen by this process.", ["project", "source", "where"], registry=self.registry
        )
        self._started = Gauge("hitl_started_seconds", "Start of this process, Unix time.", registry=self.registry)
        self._started.set(time.time())
        self._known: dict[tuple[str, int], Counter] = {}
        self._known_tasks: dict[str, tuple[Counter, Counter]] = {}
        self._known_latency: dict[str, Histogram] = {}
        self._actions: set[str] = set()
        self.registry.register(_Standing(app, service))

    def request(self, endpoint: str, status: int, seconds: float) -> None:
        """Count one request. endpoint: one of a fixed set of names, never a path as it was sent."""
        counter = self._known.get((endpoint, status))
        if counter is None:
            counter = self._known[endpoint, status] = self._requests.labels(endpoint, str(status))
        latency = self._known_latency.get(endpoint)
        if latency is None:
            latency = self._known_latency[endpoint] = self._latency.labels(endpoint)
        counter.inc()
        latency.observe(seconds)

    def webhook(self, action: str, outcome: str) -> None:
        """Count one webhook. Of actions that nobody knows only some keep their names: they come from outside."""
        if action not in self._actions:
            if len(self._actions) >= 40:
                action = "other"
            self._actions.add(action)
        self._webhooks.labels(action, outcome).inc()

    def predicted(self, project: str, filled: int, empty: int) -> None:
        """Count answered tasks."""
        pair = self._known_tasks.get(project)
        if pair is None:
            pair = self._known_tasks[project] = (self._tasks.labels(project, "yes"), self._tasks.labels(project, "no"))
        if filled:
            pair[0].inc(filled)
        if empty:
            pair[1].inc(empty)

    def fault(self, project: str, fault: Fault) -> None:
        """Count one fault."""
        self._faults.labels(project, fault.source[:80], fault.where[:40]).inc()

    def text(self) -> bytes:
        """Return all figures in Prometheus' text format."""
        return generate_latest(self.registry)


class _Standing(Collector):
    """Where each project stands, counted at most every few seconds and only when somebody asks."""

    def __init__(self, app: App, service: Service) -> None:
        self._app = app
        self._service = service
        self._lock = threading.Lock()
        self._counts: dict[tuple[str, str], float] = {}
        self._until = 0.0

    def describe(self) -> list[GaugeMetricFamily]:
        """Nothing is counted just to register."""
        return []

    def collect(self) -> Iterator[GaugeMetricFamily]:
        host: ModelHost = self._service.host
        served = list(host.directory.by_name.values())
        model = GaugeMetricFamily(
            "hitl_model", "The model version that answers, value 1.", labels=["project", "version"]
        )
        number = GaugeMetricFamily(
            "hitl_model_number", "Number of the model version, 0 without one.", labels=["project"]
        )
        bound = GaugeMetricFamily("hitl_project_bound", "1 if it stands in Label Studio.", labels=["project"])
        queued = GaugeMetricFamily("hitl_predict_waiting", "Tasks that wait to be predicted.", labels=["project"])
        for item in served:
            model.add_metric([item.name, item.version], 1)
            number.add_metric([item.name], item.model.number if item.model else 0)
            bound.add_metric([item.name], float(item.platform_id is not None))
            queued.add_metric([item.name], self._service.waiting(item.name))
        hints = GaugeMetricFamily("hitl_webhooks_waiting", "Webhooks not stored yet.")
        hints.add_metric([], self._service.recorder.waiting)
        yield from (model, number, bound, queued, hints)
        counts = self._count(served)
        for name, words in _COUNTED.items():
            family = GaugeMetricFamily(f"hitl_{name}", words, labels=["project"])
            for item in served:
                if (item.name, name) in counts:
                    family.add_metric([item.name], counts[item.name, name])
            yield family

    def _count(self, served: list[Served]) -> dict[tuple[str, str], float]:
        with self._lock:
            started = time.monotonic()
            if started >= self._until:
                fresh: dict[tuple[str, str], float] = {}
                for item in served:
                    try:
                        fresh.update({(item.name, key): value for key, value in _figures(self._app, item).items()})
                    except HitlError as error:
                        log.warning("figures are missing", project=item.name, reason=str(error))
                ended = time.monotonic()
                self._counts = fresh
                self._until = ended + max(FRESH_S, (ended - started) / MOST_SHARE)
            return self._counts


_COUNTED = {
    "tasks": "Tasks in the pool.",
    "tasks_open": "Tasks in Label Studio that still need somebody.",
    "annotations": "Annotations that count.",
    "annotations_skipped": "Skipped annotations.",
    "annotators": "People who annotated.",
    "flags_open": "Open flags.",
    "pushes_pending": "Tasks whose push was begun and not completed.",
}


def _figures(app: App, served: Served) -> dict[str, float]:
    store, name = app.store, served.name
    totals = store.annotations.totals(name)
    return {
        "tasks": store.tasks.count(name),
        "tasks_open": sum(not place.done and not place.gone for place in store.ledger.placements(name)),
        "annotations": totals.votes,
        "annotations_skipped": totals.cancelled,
        "annotators": totals.annotators,
        "flags_open": len(store.flags.open(name)),
        "pushes_pending": len(store.ledger.pending(name)),
    }
