"""Finding a project's labeling functions: `discover` loads its modules; no global registry.

A function's version is the digest of what it is made of, so only changed functions vote again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType

from adapter.errors import FunctionsError, nearest
from adapter.kinds import learned
from adapter.labeling.function import LabelingFunction
from adapter.loading import Loaded, load
from adapter.vocabulary import Control, LabelSpace


def discover(spec: str | Path, *, base: Path | None = None) -> list[LabelingFunction]:
    """Load the labeling functions that `spec` names: a file, a folder (every .py in it) or a dotted module or package.

    base: the folder that relative paths start from (default: the current one); a file or folder there goes before an
    installed module of the same dotted name. Modules are loaded anew when their sources have changed. Order: by module
    path, then as declared. Returns an empty list when there are none. Raises FunctionsError when `spec` is not there, a
    module does not import (with file, line and the last line of the traceback), or two functions share a name.
    """
    found: dict[str, LabelingFunction] = {}
    seen: dict[int, str] = {}
    for loaded in load(spec, base=base):
        for function in _declarations(loaded.module):
            if id(function) in seen:  # imported from a sibling: one function, not two
                continue
            seen[id(function)] = function.name
            if function.name in found:
                raise FunctionsError(
                    f"two labeling functions are called '{function.name}'",
                    where=f"{_place(found[function.name])} and {_place(function)}",
                    remedy="Rename one, or give it @labeling_function(name=...).",
                )
            found[function.name] = _placed(function, loaded)
    return list(found.values())


def _declarations(module: ModuleType) -> list[LabelingFunction]:
    return [value for value in vars(module).values() if isinstance(value, LabelingFunction)]


def _placed(function: LabelingFunction, loaded: Loaded) -> LabelingFunction:
    return replace(function, version=loaded.version, module=str(loaded.file), origin=loaded.origin)


def _place(function: LabelingFunction) -> str:
    code = getattr(function.function, "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code else function.module


def control_of(function: LabelingFunction, space: LabelSpace) -> Control:
    """Return the control that a function votes on. Raises FunctionsError if it names a wrong one or none."""
    voted = list(learned(space))
    names = [control.name for control in voted]
    if function.control is None:
        if len(voted) == 1:
            return voted[0]
        raise FunctionsError(
            f"labeling function '{function.name}' names no control, and the label config has {len(voted)} with labels",
            where=_place(function),
            remedy=f"Write @labeling_function(control=...). Valid: {', '.join(names)}." if names else "",
        )
    if function.control not in names:
        raise FunctionsError(
            f"labeling function '{function.name}' votes on '{function.control}', which the label config does not have",
            where=_place(function),
            remedy=nearest(function.control, names),
        )
    return space.control(function.control)


def check(functions: Sequence[LabelingFunction], space: LabelSpace) -> list[FunctionsError]:
    """Return what is wrong with the functions' controls under this label space; empty when all is well."""
    wrong = []
    for function in functions:
        try:
            control_of(function, space)
        except FunctionsError as error:
            wrong.append(error)
    return wrong
