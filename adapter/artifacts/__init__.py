"""Artifacts: columnar data and model folders as immutable files, named by their content, in a folder or a bucket."""

from __future__ import annotations

from adapter.artifacts.artifacts import Artifacts
from adapter.artifacts.columns import ColumnStore

__all__ = ["Artifacts", "ColumnStore"]
