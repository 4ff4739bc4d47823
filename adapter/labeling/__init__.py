"""Labeling functions: how authors declare them, and `discover`, which loads a project's; no global registry.

A labeling function looks at one task's data and returns a label's name, or None to abstain:

    @labeling_function
    def has_link(data):
        return "spam" if "http" in data["text"] else None

Its version is the digest of what it is made of, so only changed functions vote again.
"""

from __future__ import annotations

from adapter.labeling.answers import ResourceFailed, answer_codes, read_answer, reason
from adapter.labeling.bound import Bound, bound
from adapter.labeling.declared import LlmRule, column, keywords, llm, lookup, model_output, nearest, regex
from adapter.labeling.declared.rules import rules
from adapter.labeling.discovery import check, control_of, discover
from adapter.labeling.function import (
    Answer,
    BatchRule,
    Declared,
    Example,
    LabelingFunction,
    Rule,
    checked_examples,
    declared_function,
    labeling_function,
)
from adapter.labeling.preprocess import Preprocessor, preprocessor

__all__ = [
    "Answer",
    "BatchRule",
    "Bound",
    "Declared",
    "Example",
    "LabelingFunction",
    "LlmRule",
    "Preprocessor",
    "ResourceFailed",
    "Rule",
    "answer_codes",
    "bound",
    "check",
    "checked_examples",
    "column",
    "control_of",
    "declared_function",
    "discover",
    "keywords",
    "labeling_function",
    "llm",
    "lookup",
    "model_output",
    "nearest",
    "preprocessor",
    "read_answer",
    "reason",
    "regex",
    "rules",
]
