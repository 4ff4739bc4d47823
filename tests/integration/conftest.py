"""Integration tests share one real Label Studio."""

from __future__ import annotations

from real_server import label_studio

__all__ = ["label_studio"]
