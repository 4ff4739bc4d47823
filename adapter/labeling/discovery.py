"""Finding a project's labeling functions: `discover` loads its modules; no global registry."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from adapter.errors import FunctionsError, nearest
from adapter.kinds import learned
from adapter.labeling.foreign import adopted, is_snorkel
from adapter.labeling.function import LabelingFunction, checked_name
from adapter.labeling.preprocess import Preprocessor, keep_memory
from adapter.labeling.versions import Versions
from adapter.loading import Loaded, load
from adapter.loading_limit import LOAD_S
from adapter.vocabulary import Control, LabelSpace

_DEEPEST = 3


def discover(spec: str | Path, *, base: Path | None = None, limit_s: float = LOAD_S) -> list[LabelingFunction]:
    """Load the labeling functions that `spec` names: a file, a folder (every .py in it) or a dotted module or package.

    Found are those at a module's top level, and in lists, tuples and dicts there; Snorkel's own `LabelingFunction`
    objects too. One without a name gets the variable's, `spam_words`, or in a list the list's in small letters with its
    place, `rules_0`, in a dict the key. base: the folder that relative paths start from (default: the current one); a
    file or folder there goes before an installed module of the same dotted name. limit_s: seconds that importing may
    take, 0 for no limit. Modules are loaded anew when their sources have changed. Order: by module path, then as
    declared. Returns an empty list when there are none. Raises FunctionsError when `spec` is not there, a module does
    not import (with file, line and the last line of the traceback), or two functions share a name.
    """
    found: dict[str, LabelingFunction] = {}
    versions = Versions()
    modules = load(spec, base=base, limit_s=limit_s)
    _keep_memories(modules, versions)
    for held in _homes(modules, versions):
        function = _placed(held, versions)
        if function.name in found:
            raise FunctionsError(
                f"two labeling functions are called '{function.name}'",
                where=f"{_place(found[function.name])} and {_place(function)}",
                remedy="Rename one, or give it @labeling_function(name=...).",
            )
        found[function.name] = function
    return list(found.values())


def _keep_memories(modules: Sequence[Loaded], versions: Versions) -> None:
    """Let preprocessors that are the same as when they were last loaded keep what they remember."""
    for loaded in modules:
        for variable, step in list(vars(loaded.module).items()):
            if isinstance(step, Preprocessor) and step.memory and not versions.imported(loaded.file, variable):
                version = versions.of_step(loaded.file, variable)
                if version is not None:
                    keep_memory(step, str(loaded.file), variable, version)


@dataclass(frozen=True, slots=True)
class _Held:
    """A function where a module holds it. variable: that holds it or its container; keys: the way within."""

    value: Any
    loaded: Loaded
    variable: str
    keys: tuple[int | str, ...] = ()


def _homes(modules: Sequence[Loaded], versions: Versions) -> list[_Held]:
    """Each function once, in the order of its first appearance, at the best of its places: where it was made rather
    than imported, a variable of its own rather than a list."""
    places: dict[int, list[_Held]] = {}
    for loaded in modules:
        for held in _declarations(loaded):
            places.setdefault(id(held.value), []).append(held)

    def rank(held: _Held) -> tuple[bool, int]:
        return versions.imported(held.loaded.file, held.variable), len(held.keys)

    return [min(known, key=rank) for known in places.values()]


def _declarations(loaded: Loaded) -> Iterator[_Held]:
    for variable, value in list(vars(loaded.module).items()):
        yield from _within(_Held(value, loaded, variable), _DEEPEST, set())


def _within(held: _Held, depth: int, seen: set[int]) -> Iterator[_Held]:
    value = held.value
    if isinstance(value, LabelingFunction) or is_snorkel(value):
        yield held
    elif type(value) in (list, tuple, dict) and depth and id(value) not in seen and held.variable != "__builtins__":
        seen.add(id(value))
        for key, part in value.items() if type(value) is dict else enumerate(value):
            if isinstance(part, LabelingFunction | list | tuple | dict) or is_snorkel(part):
                yield from _within(replace(held, value=part, keys=(*held.keys, key)), depth - 1, seen)


def _placed(held: _Held, versions: Versions) -> LabelingFunction:
    loaded = held.loaded
    function = held.value if isinstance(held.value, LabelingFunction) else adopted(held.value)
    return replace(
        function,
        name=function.name or _name(held),
        version=versions.version(function, loaded.file, held.variable, held.keys) or loaded.version,
        module=str(loaded.file),
        origin=loaded.origin,
    )


def _name(held: _Held) -> str:
    """The name of a function that its author has not named."""
    last = held.keys[-1] if held.keys else held.variable
    if isinstance(last, str):
        return checked_name(last)
    return "_".join([held.variable.lower(), *map(str, held.keys)])


def _place(function: LabelingFunction) -> str:
    code = getattr(function.function, "__code__", None)
    if code is not None:
        return f"{code.co_filename}:{code.co_firstlineno}"
    return f"{function.module}:{function.line}" if function.line else function.module


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
