"""Strategies of active learning: which tasks people should label next, so that a model learns most from them."""

from __future__ import annotations

from adapter.core.strategies.base import (
    Scored,
    State,
    Strategy,
    Unable,
    Vectors,
    describe,
    get,
    measure_of,
    names,
    needs_of,
    strategy,
)
from adapter.core.strategies.choosing import Chosen, choose
from adapter.core.strategies.multiannotator import asks_again
from adapter.core.strategies.own import load_strategy

__all__ = [
    "Chosen",
    "Scored",
    "State",
    "Strategy",
    "Unable",
    "Vectors",
    "asks_again",
    "choose",
    "describe",
    "get",
    "load_strategy",
    "measure_of",
    "names",
    "needs_of",
    "strategy",
]
