"""Runs labeling functions on an existing Dask cluster; the same votes as on this machine, bit for bit.

Rows travel in partitions, with at most two for each thread of the cluster under way, so a generator of a million rows
is never held. On a worker each partition is voted on by the same code as here (`adapter.engines.dask_site`), in
processes of its own: a hostile function does not reach the Dask worker. A worker that is lost costs nothing but time:
its partitions are computed elsewhere.

The functions' sources are sent along (`adapter.engines.shipping`); what they import from elsewhere, and this package in
the same version, must be installed on the cluster. Calls and answers are pickled by Dask between this client and the
cluster that the user's settings name: who controls that cluster can run code here, and the other way round. Plain tcp
is neither encrypted nor authenticated; for `tls://` Dask's own configuration (`distributed.comm.tls`) is used.
"""

from __future__ import annotations

import hashlib
import importlib
import pickle
import threading
import uuid
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from adapter.engines import dask_site as site
from adapter.engines.base import Applied
from adapter.engines.binding import Bound, bind
from adapter.engines.blocks import Block, blocks
from adapter.engines.dask_flight import Flight, last_line
from adapter.engines.shipping import pack
from adapter.engines.tally import Batch, together
from adapter.errors import EngineError, FunctionsError, SettingsError
from adapter.labeling import LabelingFunction
from adapter.vocabulary import Control, JsonObject, LabelSpace

_PARTITION_ROWS = 4000


class DaskEngine:
    """Labeling functions on the cluster whose scheduler answers at `address`, such as `tcp://10.0.0.5:8786`.

    timeout_s, strikes, memory_mb, patience_s: as of `LocalEngine`. connect_s: most seconds to wait for the scheduler,
    and for its first worker. Connected at the first `start`. Methods raise EngineError when the cluster cannot be used.
    """

    def __init__(
        self,
        address: str,
        *,
        timeout_s: float = 5.0,
        strikes: int = 3,
        memory_mb: int = 4096,
        patience_s: float = 60.0,
        connect_s: float = 15.0,
    ) -> None:
        if not address:
            raise SettingsError(
                "the Dask engine has no address",
                where="engine.address",
                remedy="Give that of the scheduler, such as tcp://127.0.0.1:8786.",
            )
        self.address = address if "://" in address else f"tcp://{address}"
        self.timeout_s = timeout_s
        self.strikes = max(1, strikes)
        self.memory_mb = memory_mb
        self.patience_s = patience_s
        self.connect_s = connect_s
        self._client: Any = None
        self._lock = threading.Lock()
        self._jobs: dict[str, Any] = {}

    def start(self, functions: Sequence[LabelingFunction], space: LabelSpace | Control) -> DaskRun:
        """Begin a run over several batches of rows; strikes count across them. Raises FunctionsError as
        `LocalEngine.start` does, and EngineError."""
        bound = bind(functions, space, self.timeout_s, self.patience_s)
        job = site.Job(
            pack(function.origin for function in functions),
            tuple((function.origin, function.name, function.version) for function in functions),
            space,
            self.timeout_s,
            self.strikes,
            self.memory_mb,
            self.patience_s,
        )
        blob = pickle.dumps(job, pickle.HIGHEST_PROTOCOL)
        return DaskRun(self, bound, blob, hashlib.sha256(blob).hexdigest())

    def close(self) -> None:
        """End what runs for us on the cluster, and the connection. The engine may be used again."""
        with self._lock:
            client, self._client = self._client, None
            tokens, self._jobs = tuple(self._jobs), {}
        if client is None:
            return
        try:
            if tokens and client.status == "running":
                client.run(site.forget, tokens, on_error="ignore")
        except Exception:  # noqa: S110 - a cluster that is gone has forgotten already
            pass
        finally:
            client.close(timeout=5)

    def __enter__(self) -> DaskEngine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def client(self) -> Any:
        """Return the connection, made and checked if it is not there. Raises EngineError."""
        with self._lock:
            if self._client is not None and self._client.status != "running":
                self._client.close(timeout=5)
                self._client, self._jobs = None, {}
            if self._client is None:
                self._client = self._connected()
            return self._client

    def job(self, client: Any, blob: bytes, token: str) -> Any:
        """Return the future that holds a job on the cluster; computed again by itself where it is lost."""
        with self._lock:
            if token not in self._jobs:
                key = f"hitl-job-{token[:16]}-{uuid.uuid4().hex}"
                self._jobs[token] = client.submit(site.keep, blob, key=key)
            return self._jobs[token]

    def _connected(self) -> Any:
        try:
            distributed: Any = importlib.import_module("distributed")
        except ImportError:
            raise SettingsError(
                "engine.kind is `dask`, but Dask is not installed",
                where="engine.kind",
                remedy="Run `pip install 'hitl-labeling[dask]'`, or set it to `local`.",
            ) from None
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of versions: those that matter are compared below
                client = distributed.Client(self.address, timeout=self.connect_s, set_as_default=False, name="hitl")
        except Exception as error:
            raise EngineError(
                f"no Dask scheduler answers ({last_line(error)})",
                where=self.address,
                remedy="Start it (`dask scheduler`), mend `engine.address`, or set `engine.kind: local`.",
            ) from error
        try:
            self._check(client)
        except BaseException:
            client.close(timeout=5)
            raise
        return client

    def _check(self, client: Any) -> None:
        try:
            client.wait_for_workers(1, timeout=self.connect_s)
        except TimeoutError as error:
            raise EngineError(
                "the Dask scheduler has no workers",
                where=self.address,
                remedy=f"Start one: `dask worker {self.address}`.",
            ) from error
        try:
            found: dict[str, tuple[str, str]] = client.run(site.identify)
        except Exception as error:
            raise EngineError(
                f"the Dask workers cannot run our code ({last_line(error)})",
                where=self.address,
                remedy=f"Install hitl-labeling {site.identify()[1]} on every worker, with the same Python.",
            ) from error
        own = site.identify()
        other = sorted(worker for worker, versions in found.items() if tuple(versions) != own)
        if other:
            there = found[other[0]]
            raise EngineError(
                f"{len(other)} of {len(found)} Dask workers have other versions: Python {there[0]} and hitl-labeling "
                f"{there[1]}, here {own[0]} and {own[1]}",
                where=other[0],
                remedy="Install the same there: votes must not depend on where they are computed.",
            )


class DaskRun:
    """Functions on the cluster, applied to batch after batch; see `Run` of the local engine."""

    def __init__(self, engine: DaskEngine, bound: Bound, job: bytes, token: str) -> None:
        self.engine = engine
        self.bound = bound
        self.left = [engine.strikes] * len(bound.orders)
        self._job = job
        self._token = token
        self._id = uuid.uuid4().hex
        if bound.orders:
            engine.client()  # an address that is wrong is told before anything is read

    @property
    def stopped(self) -> frozenset[str]:
        """Names of the functions that are given up."""
        return frozenset(order.name for order, left in zip(self.bound.orders, self.left, strict=True) if left <= 0)

    def apply(self, rows: Iterable[JsonObject]) -> Applied:
        """Vote on these rows; see `LocalEngine.apply`. Raises EngineError when the cluster is lost."""
        before = [left <= 0 for left in self.left]
        count = len(self.bound.orders)
        cut = blocks(rows, count, declared=self.bound.declared)
        if count:
            done = self._done(_partitions(cut))
            batches = [done[number] for number in sorted(done)]
        else:
            import numpy as np

            from adapter.engines.tally import Notes

            total = sum(len(block) for block in cut)
            batches = [Batch(np.empty((total, 0), dtype=np.int16), {}, Notes(), [], [])]
        stopped = [left <= 0 for left in self.left]
        return together(batches, self.bound.named, stopped=stopped, before=before, strikes=self.engine.strikes)

    def _done(self, partitions: Iterator[list[Block]]) -> dict[int, Batch]:
        client = self.engine.client()
        flight = Flight(client, self.engine.address)
        done: dict[int, Batch] = {}
        try:
            for number, partition in enumerate(partitions):
                while flight.full():
                    self._collect(flight, done)
                rows = pickle.dumps(partition, pickle.HIGHEST_PROTOCOL)
                job = self.engine.job(client, self._job, self._token)
                flight.add(
                    number,
                    client.submit(
                        site.vote,
                        job,
                        self._token,
                        self._id,
                        tuple(self.left),
                        rows,
                        key=f"hitl-vote-{self._id}-{uuid.uuid4().hex}",
                    ),
                )
            while flight.pending:
                self._collect(flight, done)
        finally:
            flight.end()
        return done

    def _collect(self, flight: Flight, done: dict[int, Batch]) -> None:
        for number, answer in flight.landed():
            if isinstance(answer, tuple):
                what, where, remedy = answer
                raise FunctionsError(f"on the cluster: {what}", where=where, remedy=remedy)
            for index, used in enumerate(answer.strikes):
                self.left[index] -= used
            done[number] = answer


def _partitions(cut: Iterator[Block]) -> Iterator[list[Block]]:
    """Put blocks together until they have rows enough to be worth a journey."""
    while True:
        held: list[Block] = []
        while sum(map(len, held)) < _PARTITION_ROWS and (block := next(cut, None)) is not None:
            held.append(block)
        if not held:
            return
        yield held
