"""Labeling functions' votes into weak labels, by several consolidators, and the choice between them on blind labels.

People's votes are not consolidated here: they need reliability models (`core.crowd`), functions' votes need this.
"""

from __future__ import annotations

from adapter.core.weak.base import ABSTAIN, FAULT, Consolidator, Fitted, Labels, WeakVotes
from adapter.core.weak.choose import WeakChoice, consolidate
from adapter.core.weak.copies import Copies, near_copies
from adapter.core.weak.methods import consolidators
from adapter.core.weak.scores import Score, class_balance

__all__ = [
    "ABSTAIN",
    "FAULT",
    "Consolidator",
    "Copies",
    "Fitted",
    "Labels",
    "Score",
    "WeakChoice",
    "WeakVotes",
    "class_balance",
    "consolidate",
    "consolidators",
    "near_copies",
]
