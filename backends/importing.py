"""Importing transformers in a process of several threads."""

from __future__ import annotations

import threading

_LOCK = threading.Lock()


def import_transformers() -> None:
    """Import transformers, one thread at a time.

    Call it before any `from transformers import ...`: the package replaces itself by a lazy module while it is
    imported, so that a second thread that comes in between finds none of its names and gets an ImportError.
    """
    with _LOCK:
        import transformers  # noqa: F401 - for its effect
