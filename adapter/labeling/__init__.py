"""Labeling functions: how authors declare them, and `discover`, which loads a project's; no global registry.

A labeling function looks at one task's data and returns a label's name, or None to abstain:

    @labeling_function
    def has_link(data):
        return "spam" if "http" in data["text"] else None

Its version is the digest of what it is made of, so only changed functions vote again.
"""

from __future__ import annotations

from adapter.labeling.discovery import check, control_of, discover
from adapter.labeling.function import (
    Answer,
    BatchRule,
    Declared,
    Example,
    LabelingFunction,
    Preprocessor,
    Rule,
    labeling_function,
)

__all__ = [
    "Answer",
    "BatchRule",
    "Declared",
    "Example",
    "LabelingFunction",
    "Preprocessor",
    "Rule",
    "check",
    "control_of",
    "discover",
    "labeling_function",
]
