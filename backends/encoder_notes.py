"""What is known of an encoder without loading it: noted by the first process of a machine that did.

Loading a transformer takes seconds and hundreds of megabytes. Where all vectors that are wanted are remembered, only
the encoder's identity is needed, to know whose they are, and how many numbers a vector has.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

STAMPED = 64
"""Files of a model's folder that are looked at; no model has more that matter."""


@dataclass(frozen=True, slots=True)
class About:
    """An encoder's identity, and the numbers of a vector."""

    identity: str
    dimensions: int


def stamp(folder: str, speed: str) -> str:
    """Return a digest of the names, sizes and times of a model's files; empty for what is no folder (a hub name)."""
    place = Path(folder)
    try:
        files = sorted(path for path in place.iterdir() if path.is_file())[:STAMPED] if place.is_dir() else []
        parts = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    except OSError:
        return ""
    return hashlib.sha256(repr((str(place.resolve()), speed, parts)).encode()).hexdigest()[:32] if parts else ""


def noted(cache: Path, key: str) -> About | None:
    """Return what was noted under a stamp; None if nothing was, or it is damaged."""
    if not key:
        return None
    try:
        about = json.loads((cache / f"encoder-{key}.json").read_text(encoding="utf-8"))
        known = About(str(about["identity"]), int(about["dimensions"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return known if known.identity and known.dimensions > 0 else None


def note(cache: Path, key: str, about: About) -> None:
    """Note it, by rename. A folder that cannot be written only costs time later, so it is no error."""
    if not key:
        return
    partial = cache / f".encoder-{key}.partial"
    with contextlib.suppress(OSError):
        partial.write_text(json.dumps(asdict(about)), encoding="utf-8")
        partial.replace(cache / f"encoder-{key}.json")
