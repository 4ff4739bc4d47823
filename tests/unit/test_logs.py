"""Logs are readable, and no secret gets into them."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import structlog

from adapter.logs import Redactor, configure_logging, plain, write_crash
from adapter.vocabulary import Flag, FlagReason

SECRET = "s3cr3t-value"


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    found = io.StringIO()
    yield found
    configure_logging("warning")


def test_both_kinds_of_loggers_are_redacted_by_name_value_and_shape(stream: io.StringIO) -> None:
    configure_logging("info", secrets=[SECRET], stream=stream)
    structlog.get_logger("web").info("started", token="abc", nested={"password": "abc"}, note=f"with {SECRET}")
    logging.getLogger("store").warning("at postgresql://user:abcdef@db/x with Token 0123456789abcdef")
    text = stream.getvalue()
    assert "started" in text
    assert "abc" not in text.replace("abcdef@", "X")
    for part in (SECRET, "abcdef", "0123456789"):
        assert part not in text
    assert "postgresql://user:***@db/x" in text


def test_a_traceback_is_redacted_too(stream: io.StringIO) -> None:
    configure_logging("debug", secrets=[SECRET], stream=stream)
    try:
        raise ValueError(SECRET)
    except ValueError:
        structlog.get_logger("x").debug("failed", exc_info=True)
    assert "ValueError" in stream.getvalue()
    assert SECRET not in stream.getvalue()


def test_json_logs_are_one_object_a_line(stream: io.StringIO) -> None:
    configure_logging("info", "json", stream=stream)
    structlog.get_logger("x").info("pull", created=3)
    entry = json.loads(stream.getvalue())
    assert (entry["event"], entry["created"], entry["level"]) == ("pull", 3, "info")


def test_the_level_holds_and_the_last_configuration_counts(stream: io.StringIO) -> None:
    other = io.StringIO()
    configure_logging("debug", stream=other)
    configure_logging("warning", stream=stream)
    structlog.get_logger("x").info("quiet")
    structlog.get_logger("x").warning("loud")
    assert other.getvalue() == ""
    assert "quiet" not in stream.getvalue()
    assert "loud" in stream.getvalue()


def test_a_crash_is_written_without_secrets(tmp_path: Path) -> None:
    try:
        raise RuntimeError(f"with {SECRET}")
    except RuntimeError as error:
        path = write_crash(tmp_path / "logs", error, redact=Redactor([SECRET]))
    text = path.read_text(encoding="utf-8")
    assert "Traceback" in text
    assert SECRET not in text


def test_reports_become_plain_values() -> None:
    flag = Flag("t1", "spam", FlagReason.OUTLIER, float("nan"), {"near": ("a", "b")}, "x")
    shown = plain({"flag": flag, "at": datetime(2025, 1, 1, tzinfo=UTC), "n": np.int64(3), "s": {"b", "a"}})
    assert json.loads(json.dumps(shown))["flag"]["reason"] == "outlier"
    assert shown["flag"]["score"] is None
    assert (shown["at"], shown["n"], shown["s"]) == ("2025-01-01T00:00:00+00:00", 3, ["a", "b"])
