"""Labeling functions made by a call instead of written as code: readable in a table, and applied to whole columns.

A kind is one file here, with one call that checks its options and returns a `LabelingFunction` whose `function` is the
rule for one row and whose `declared` says what it is made of.
"""

from __future__ import annotations

from adapter.labeling.declared.column import ColumnRule, column
from adapter.labeling.declared.llm import LlmRule, llm
from adapter.labeling.declared.lookup import LookupRule, lookup
from adapter.labeling.declared.nearest import NearestRule, nearest
from adapter.labeling.declared.scores import ScoreRule, model_output
from adapter.labeling.declared.text import TextRule, keywords, regex

__all__ = [
    "ColumnRule",
    "LlmRule",
    "LookupRule",
    "NearestRule",
    "ScoreRule",
    "TextRule",
    "column",
    "keywords",
    "llm",
    "lookup",
    "model_output",
    "nearest",
    "regex",
]
