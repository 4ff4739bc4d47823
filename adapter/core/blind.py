"""The blind sample: which tasks belong to it is a seeded hash of the task id, so anybody can recompute it, at any time,
before anybody has looked, and in any order of ingest.

Three independent draws are taken from each id: membership, whether two people label it, and the place in the order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from adapter.policies import BlindPolicy

Draws = npt.NDArray[np.float64]

_SCALE = float(1 << 53)


def draw(task_id: str, seed: int, purpose: str) -> float:
    """Return a number in [0, 1), uniform over ids, fixed for (task_id, seed, purpose). Purposes are independent."""
    digest = hashlib.sha256(f"{purpose}:{seed}:{task_id}".encode("utf-8", "surrogatepass")).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / _SCALE


def draws(task_ids: Iterable[str], seed: int, purpose: str) -> Draws:
    """Return `draw` of each id, float64 (n,), about a million a second."""
    prefix = hashlib.sha256(f"{purpose}:{seed}:".encode())
    raw = bytearray()
    for task_id in task_ids:
        state = prefix.copy()
        state.update(task_id.encode("utf-8", "surrogatepass"))
        raw += state.digest()[:8]
    return (np.frombuffer(bytes(raw), dtype=">u8") >> np.uint64(11)).astype(np.float64) / _SCALE


def is_blind(task_id: str, policy: BlindPolicy) -> bool:
    """Whether the task belongs to the blind sample. A larger share keeps all members of a smaller one (same seed)."""
    return draw(task_id, policy.seed, "blind") < policy.share


def blind_mask(task_ids: Iterable[str], policy: BlindPolicy) -> npt.NDArray[np.bool_]:
    """Return `is_blind` of each id, (n,)."""
    mask: npt.NDArray[np.bool_] = draws(task_ids, policy.seed, "blind") < policy.share
    return mask


def is_double(task_id: str, policy: BlindPolicy) -> bool:
    """Whether two people label this task if it is blind. Independent of membership: ask it of blind tasks only."""
    return draw(task_id, policy.seed, "double") < policy.double_share


def double_mask(task_ids: Iterable[str], policy: BlindPolicy) -> npt.NDArray[np.bool_]:
    """Return `is_double` of each id, (n,)."""
    mask: npt.NDArray[np.bool_] = draws(task_ids, policy.seed, "double") < policy.double_share
    return mask


def blind_order(task_ids: Iterable[str], policy: BlindPolicy) -> Draws:
    """Return (n,) sort keys of the order in which blind tasks are shown: random, whatever was ingested first."""
    return draws(task_ids, policy.seed, "order")
