"""Answers remembered by content: the same question to the same model is paid for once.

One JSON file an answer, named by the digest of the whole question, written by rename: a kill leaves no half file, and
several processes may share the folder. The files hold answers, not questions.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import uuid
from collections import OrderedDict
from pathlib import Path
from typing import Any

IN_MEMORY = 20_000
"""Answers that a process keeps in memory, a few hundred bytes each."""


def digest_of(*parts: Any) -> str:
    """Return the hex sha256 of plain JSON."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


class AnswerCache:
    """Answers by key. folder: shared by all processes; None for this one's memory alone. Thread-safe."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._memory: OrderedDict[str, dict[str, Any]] = OrderedDict()

    def get(self, key: str) -> dict[str, Any] | None:
        """Return what is remembered; None for nothing, or a damaged file."""
        with self._lock:
            found = self._memory.get(key)
            if found is not None:
                self._memory.move_to_end(key)
                return found
        if self._folder is None:
            return None
        try:
            read = json.loads(self._path(key).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return None
        if not isinstance(read, dict):
            return None
        self._keep(key, read)
        return read

    def put(self, key: str, answer: dict[str, Any]) -> None:
        """Remember an answer. A full disk costs no more than the memory of it."""
        self._keep(key, answer)
        if self._folder is None:
            return
        path = self._path(key)
        partial = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}.partial")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            partial.write_text(json.dumps(answer, separators=(",", ":")), encoding="utf-8")
            os.replace(partial, path)
        except OSError:
            partial.unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        assert self._folder is not None
        return self._folder / key[:2] / f"{key}.json"

    def _keep(self, key: str, answer: dict[str, Any]) -> None:
        with self._lock:
            self._memory[key] = answer
            while len(self._memory) > IN_MEMORY:
                self._memory.popitem(last=False)
