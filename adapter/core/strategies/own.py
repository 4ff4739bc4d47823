"""Strategies of a user's own, found by the name of their function."""

from __future__ import annotations

from pathlib import Path

from adapter.core.strategies.base import MARK, Strategy, get
from adapter.errors import FunctionsError, nearest
from adapter.loading import load

WHERE = "rank.strategy"


def load_strategy(spec: str, folder: Path | None = None, *, where: str = WHERE) -> Strategy:
    """Return the strategy that `spec` names: one that comes with the adapter, or `module:function`, or
    `file.py:function` relative to `folder` (None: the working folder), declared with `@strategy`.

    where: the key in the settings, for messages. A file is loaded anew at each call, so an edit counts at once. Raises
    SettingsError for an unknown name without a colon, FunctionsError when there is no such module or strategy, or the
    module does not import (with file and line).
    """
    place, colon, name = spec.rpartition(":")
    if not colon:
        return get(spec, where=where)
    if not place or not name.isidentifier():
        raise FunctionsError(
            f"{spec!r} names no strategy", where=where, remedy="Write `module:function`, or `file.py:function`."
        )
    try:
        modules = load(place, base=folder)
    except FunctionsError as error:
        if error.where not in ("labeling_functions",) and "labeling functions" not in error.what:
            raise
        raise FunctionsError(
            f"there is no module or file '{place}' with strategies",
            where=where,
            remedy=f"Mend `{where}` in the project's settings file.",
        ) from error
    found = {key: value for loaded in modules for key, value in vars(loaded.module).items()}
    declared = {key: getattr(value, MARK, None) for key, value in found.items()}
    known = {key: made for key, made in declared.items() if isinstance(made, Strategy)}
    if name not in known:
        plain = name in found
        raise FunctionsError(
            f"'{name}' is not declared as a strategy" if plain else f"there is no strategy '{name}'",
            where=str(modules[0].file) if modules else place,
            remedy=f'Write @strategy("{name}") above it.'
            if plain
            else nearest(name, known) or "Write @strategy above a function.",
        )
    return known[name]
