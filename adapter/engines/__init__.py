"""Where work on many rows runs: this machine's processes (`local`), or an existing Dask cluster (`dask`).

One port, `Engine`, with one contract suite: every engine gives the same votes, bit for bit.
"""

from __future__ import annotations

from adapter.engines.base import ABSTAIN, FAULT, Applied, Engine, EngineRun, VoteFault

__all__ = ["ABSTAIN", "FAULT", "Applied", "Engine", "EngineRun", "VoteFault"]
