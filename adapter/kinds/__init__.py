"""Kinds of label, found by file: every module of this package with a `KIND` is one."""

from __future__ import annotations

import functools
import importlib
import pkgutil

from adapter.kinds.base import Kind, LabelKind
from adapter.vocabulary import Control, LabelSpace


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


def label_kind(control: Control) -> LabelKind | None:
    """Return the control's kind if its values are labels of a fixed list, which functions vote for and models learn;
    None for regions, text, numbers and the like."""
    kind = kind_of(control.kind)
    return kind if control.labels and isinstance(kind, LabelKind) else None


def learned(space: LabelSpace) -> tuple[Control, ...]:
    """Return the controls that labeling functions vote on and models learn, in the config's order."""
    return tuple(control for control in space.controls if label_kind(control) is not None)


def label_kind_of(control: Control) -> LabelKind:
    """Return the kind of a control that `learned` gave; raises KeyError for any other."""
    kind = label_kind(control)
    if kind is None:
        raise KeyError(f"the values of '{control.name}' are not labels of a fixed list")
    return kind
