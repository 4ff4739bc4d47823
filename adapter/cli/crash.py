"""What a user sees of an error that nobody foresaw: one sentence, and where the traceback is."""

from __future__ import annotations

import tempfile
from pathlib import Path

from adapter.cli import common
from adapter.logs import Redactor, write_crash


def report_crash(error: Exception) -> str:
    """Write the traceback to a file and return the sentence to print. Nothing of it holds a secret."""
    settings = common.last_settings()
    redact = Redactor(common.secrets_of(settings)) if settings else Redactor()
    text = redact.text(" ".join(str(error).split()))[:300]
    what = f"{type(error).__name__}: {text}" if text else type(error).__name__
    folders = [settings.home / "logs"] if settings else []
    for folder in [*folders, Path(tempfile.gettempdir())]:
        try:
            path = write_crash(folder, error, redact=redact)
        except OSError:
            continue
        return f"hitl: an unexpected error ({what}). The traceback is in {path}; please report it with that file.\n"
    return f"hitl: an unexpected error ({what}). The traceback could not be written: is the disk full?\n"
