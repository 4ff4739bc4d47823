"""Where work on many rows runs: this machine's processes (`local`), or an existing Dask cluster (`dask`).

One port, `Engine`, with one contract suite: every engine gives the same votes, bit for bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adapter.engines.base import ABSTAIN, FAULT, Applied, Engine, EngineRun, VoteFault
from adapter.engines.tally import FAULTS_TOLD, counted, is_count
from adapter.settings import EngineSettings

__all__ = [
    "ABSTAIN",
    "FAULT",
    "FAULTS_TOLD",
    "Applied",
    "Engine",
    "EngineRun",
    "VoteFault",
    "counted",
    "is_count",
    "make_engine",
]


def make_engine(settings: EngineSettings, places: Mapping[str, Any] | None = None) -> Engine:
    """Return the engine that the settings name; nothing is started or connected before it is used.

    places: `llm_url`, `llm_key` and `cache_folder` for functions that ask a language model, which this process does
    itself; without them such functions fail.
    Raises SettingsError for a Dask engine without an address, or where Dask is not installed."""
    if places is not None:
        from adapter.engines.asked import AskingEngine

        return AskingEngine(make_engine(settings), places)
    if settings.kind == "dask":
        from adapter.engines.dask import DaskEngine

        return DaskEngine(
            settings.address, timeout_s=settings.timeout_s, strikes=settings.strikes, memory_mb=settings.memory_mb
        )
    from adapter.engines.local import LocalEngine

    return LocalEngine(
        workers=settings.workers,
        timeout_s=settings.timeout_s,
        strikes=settings.strikes,
        memory_mb=settings.memory_mb,
    )
