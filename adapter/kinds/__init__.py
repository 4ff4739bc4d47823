"""Kinds of label, found by file: every module of this package with a `KIND` is one."""

from __future__ import annotations

import functools
import importlib
import pkgutil

from adapter.kinds.base import Kind


@functools.cache
def kinds() -> dict[str, Kind]:
    """Return every kind by name."""
    found: dict[str, Kind] = {}
    for module in pkgutil.iter_modules(__path__):
        kind: Kind | None = getattr(importlib.import_module(f"{__name__}.{module.name}"), "KIND", None)
        if kind is not None:
            found[kind.name] = kind
    return found


def kind_of(name: str) -> Kind:
    """Return the kind called `name`; raises KeyError."""
    return kinds()[name]


def kind_for_tag(tag: str) -> Kind | None:
    """Return the kind that serves a control tag such as `Choices`; None if none does."""
    return next((kind for kind in kinds().values() if tag in kind.tags), None)
