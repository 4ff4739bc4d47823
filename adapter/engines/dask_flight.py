"""Partitions under way on a Dask cluster: how many, which have landed, and what to say when the cluster is lost."""

from __future__ import annotations

import contextlib
import importlib
import time
import traceback
from collections.abc import Iterator
from typing import Any

from adapter.engines.dask_site import identify
from adapter.errors import EngineError

_ALONE_S = 60.0
_LOOK_S = 2.0


class Flight:
    """Partitions under way. pending: future to the partition's number."""

    def __init__(self, client: Any, address: str) -> None:
        self.client = client
        self.address = address
        self.pending: dict[Any, int] = {}
        self._most = 2
        self._looked = 0.0
        self._alone_since: float | None = None

    def full(self) -> bool:
        """Whether nothing more should be sent: two partitions for each thread are under way."""
        if time.monotonic() - self._looked > _LOOK_S:
            self._look()
        return len(self.pending) >= self._most

    def add(self, number: int, future: Any) -> None:
        """Note a partition that was sent."""
        self.pending[future] = number

    def landed(self) -> Iterator[tuple[int, Any]]:
        """Wait until something is done; yield partition number and answer. Raises EngineError."""
        distributed: Any = importlib.import_module("distributed")
        try:
            with self.client.as_current():
                found = distributed.wait(list(self.pending), timeout=_LOOK_S, return_when="FIRST_COMPLETED").done
        except TimeoutError:
            self._look()
            return
        except Exception as error:
            raise self._lost(error) from error
        for future in found:
            number = self.pending.pop(future)
            if future.status != "finished":
                raise self._failed(future)
            try:
                answer = future.result(timeout=60)
            except Exception as error:
                raise self._lost(error) from error
            future.release()
            yield number, answer

    def end(self) -> None:
        """Give up what is still under way."""
        if self.pending:
            with contextlib.suppress(Exception):  # the cluster is gone, and the work with it
                self.client.cancel(list(self.pending), force=True)
            self.pending = {}

    def _look(self) -> None:
        self._looked = time.monotonic()
        if self.client.status != "running":
            raise self._lost(None)
        try:
            threads = sum(self.client.nthreads().values())
        except Exception as error:
            raise self._lost(error) from error
        self._most = max(2, 2 * threads)
        if threads:
            self._alone_since = None
        elif self._alone_since is None:
            self._alone_since = self._looked
        elif self._looked - self._alone_since > _ALONE_S:
            raise EngineError(
                f"the Dask cluster has had no worker for {_ALONE_S:g} s",
                where=self.address,
                remedy=f"Start one (`dask worker {self.address}`) and run this again: what was stored stays.",
            )

    def _failed(self, future: Any) -> EngineError:
        error = future.exception(timeout=60) if future.status == "error" else None
        if error is None:
            return self._lost(None)
        if type(error).__name__ == "KilledWorker":
            return EngineError(
                "several Dask workers died one after the other on the same tasks",
                where=self.address,
                remedy="Look at their logs and their memory; they need that of the functions besides their own.",
            )
        return EngineError(
            f"a partition failed on the Dask cluster ({last_line(error)})",
            where=self.address,
            remedy=f"Install hitl-labeling {identify()[1]} and what the functions import on every worker.",
        )

    def _lost(self, error: BaseException | None) -> EngineError:
        why = f" ({last_line(error)})" if error is not None else ""
        return EngineError(
            f"the Dask scheduler was lost{why}",
            where=self.address,
            remedy="Start it again and run this again: what was stored stays.",
        )


def last_line(error: BaseException) -> str:
    """Return the last line of an error's traceback."""
    return traceback.format_exception_only(error)[-1].strip()[:300]
