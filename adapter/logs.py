"""Logs: structlog on stderr, readable lines for people or JSON for collectors. Secrets never pass.

Both `structlog.get_logger()` and the standard library's loggers end here. A secret is hidden by its key's name, by its
value where the value is known, and by its shape in a URL or an Authorization header.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import re
import sys
import traceback
from collections.abc import Iterable, Mapping, MutableMapping
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any, TextIO

HIDDEN = "***"
_SECRET_KEY = re.compile(r"token|password|passwd|secret|authorization|api_?key|cookie", re.IGNORECASE)
_SHAPES = (
    (re.compile(r"(?P<keep>[A-Za-z][A-Za-z0-9+.-]*://[^\s:/@]*:)[^\s@/]+(?=@)"), rf"\g<keep>{HIDDEN}"),
    (re.compile(r"(?P<keep>\b(?:Token|Bearer|Basic)\s+)[A-Za-z0-9._~+/=-]{8,}"), rf"\g<keep>{HIDDEN}"),
    (re.compile(r"\beyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+"), HIDDEN),
)


class Redactor:
    """Hides secrets in text and in log entries. secrets: known values; very short ones are left out."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets = sorted({secret for secret in secrets if len(secret) >= 6}, key=len, reverse=True)

    def text(self, text: str) -> str:
        """Return `text` without the known secrets and without anything that has a secret's shape."""
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        for shape, replacement in _SHAPES:
            text = shape.sub(replacement, text)
        return text

    def __call__(self, logger: Any, method: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """Redact one log entry (a structlog processor)."""
        for key, value in list(entry.items()):
            if key.startswith("_") or key in {"level", "timestamp", "exc_info"}:
                continue
            entry[key] = HIDDEN if _SECRET_KEY.search(key) and value else self._value(value)
        return entry

    def _value(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {k: HIDDEN if _SECRET_KEY.search(str(k)) and v else self._value(v) for k, v in value.items()}
        if isinstance(value, list | tuple):
            return [self._value(item) for item in value]
        return value


def configure_logging(
    level: str = "info", format: str = "text", *, secrets: Iterable[str] = (), stream: TextIO | None = None
) -> None:
    """Send all logs to `stream` (stderr by default) from `level` on. May be called again; the last call holds."""
    import structlog

    out = stream or sys.stderr
    redact = Redactor(secrets)
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if format == "text" else "iso", utc=format != "text"),
        structlog.processors.format_exc_info,
    ]
    final: Any
    if format == "json":
        final = structlog.processors.JSONRenderer(default=str)
    else:
        final = structlog.dev.ConsoleRenderer(colors=bool(getattr(out, "isatty", bool)()), pad_event_to=0)
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, redact, final],
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    for old in [old for old in root.handlers if getattr(old, "hitl", False)]:
        root.removeHandler(old)
        old.close()
    handler.hitl = True  # type: ignore[attr-defined]  # marks the handler as ours, to be replaced by the next call
    root.addHandler(handler)
    root.setLevel(level.upper())
    for noisy in ("httpx", "httpcore", "apscheduler", "urllib3", "alembic", "sqlalchemy.engine", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.ERROR if noisy == "apscheduler" else logging.WARNING)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        cache_logger_on_first_use=False,
    )


def write_crash(
    folder: Path, error: BaseException, *, now: datetime | None = None, redact: Redactor | None = None
) -> Path:
    """Write the traceback of an unexpected error to a file of its own in `folder` and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    moment = (now or datetime.now(UTC)).strftime("%Y%m%d-%H%M%S")
    path = folder / f"error-{moment}-{os.getpid()}.log"
    text = "".join(traceback.format_exception(error))
    path.write_text((redact or Redactor()).text(text), encoding="utf-8")
    return path


def plain(value: Any) -> Any:
    """Return a JSON-ready copy of a report: dataclasses as objects, enums by value, times in ISO 8601, sets sorted."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {item.name: plain(getattr(value, item.name)) for item in dataclasses.fields(value)}
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, set | frozenset):
        return sorted((plain(item) for item in value), key=str)
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, float) and value != value:
        return None
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    return str(value)
