"""Model backends by name: what a dotted path names, built with its options, asked with its answers checked."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np

from adapter.errors import BackendError, HitlError, nearest
from adapter.ports import Backend, BackendFactory, Floats, RegionBackend
from adapter.vocabulary import JsonObject

AnyBackend = Backend | RegionBackend
KNOWN = (
    "backends.linear:Linear",
    "backends.embedding:Embedding",
    "backends.transformer:Transformer",
    "backends.token_spans:TokenSpans",
    "backends.image:Image",
    "backends.pixels:Pixels",
    "backends.pairs:Pairs",
    "backends.detection:Detection",
    "backends.tabular:Tabular",
    "backends.llm:LLM",
)
"""Paths of the backends that the project ships, for advice."""


def load_factory(path: str, *, where: str = "") -> BackendFactory:
    """Return what a dotted path such as `backends.linear:Linear` names. `mine.py:Mine` is the same as `mine:Mine`: a
    file in a folder of Python's path, which the settings' folder is. Raises BackendError with advice.

    The module is imported: like labeling functions, backends are code that whoever writes the settings trusts.
    """
    module_name, colon, name = path.partition(":")
    module_name = module_name.removesuffix(".py")
    if not colon or not module_name or not name or module_name.startswith("."):
        meant = next((one for one in KNOWN if path and path.lower() in one.lower()), KNOWN[0])
        raise BackendError(
            f"'{path}' is no backend path", where=where, remedy=f"Write it as `module:factory`: `{meant}`."
        )
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):  # what it needs is not
            raise BackendError(
                f"the module of the backend '{path}' cannot be imported: {error}",
                where=where,
                remedy=f"Install what it imports, or mend the import in {module_name}.",
            ) from error
        close = nearest(module_name, [one.partition(":")[0] for one in KNOWN])
        raise BackendError(
            f"the module of the backend '{path}' cannot be imported: {error}",
            where=where,
            remedy=f"{close} A file of your own lies beside adapter.yaml, or on Python's path.",
        ) from error
    except Exception as error:
        raise BackendError(
            f"the module of the backend '{path}' fails when imported: {type(error).__name__}: {error}",
            where=where,
            remedy=f"Run `python -c 'import {module_name}'` and mend what it reports.",
        ) from error
    factory = getattr(module, name, None)
    if not callable(factory):
        named = [word for word, thing in vars(module).items() if inspect.isclass(thing) and hasattr(thing, "predict")]
        raise BackendError(f"'{module_name}' has no backend '{name}'", where=where, remedy=nearest(name, named))
    made: BackendFactory = factory
    return made


def build(
    path: str, fields: Sequence[str], options: Mapping[str, Any], places: Mapping[str, Any] | None = None
) -> AnyBackend:
    """Return an unfitted backend. fields: the task fields that it looks at, unless the option `fields` names others.
    places: what this machine and project offer, see `ports.BackendFactory`: passed to factories that have a parameter
    of that name and no such option, and never part of a model. Raises BackendError."""
    return make(load_factory(path, where="backend.path"), fields, options, places, where=path)


def make(
    factory: BackendFactory,
    fields: Sequence[str],
    options: Mapping[str, Any],
    places: Mapping[str, Any] | None = None,
    *,
    where: str = "",
) -> AnyBackend:
    """Do as `build`, for a factory that is already loaded."""
    known: Mapping[str, inspect.Parameter] = {}
    if places:
        try:
            known = inspect.signature(factory).parameters
        except (TypeError, ValueError):  # a factory written in C: it gets its options only
            known = {}
    here = {name: place for name, place in (places or {}).items() if name in known and name not in options}
    try:
        backend = factory(**{**options, **here, "fields": looked_at(fields, options)})
    except HitlError:
        raise
    except Exception as error:
        raise BackendError(
            f"the backend cannot be built: {type(error).__name__}: {error}",
            where=where,
            remedy="Check `backend.options` in the project's settings.",
        ) from error
    if not isinstance(backend, Backend | RegionBackend):
        missing = [name for name in ("fit", "predict", "embed", "save", "load") if not hasattr(backend, name)]
        raise BackendError(
            f"a {type(backend).__name__} is no backend: it lacks {', '.join(missing)}",
            where=where,
            remedy="See backends/README.md for the five methods.",
        )
    return backend


def looked_at(fields: Sequence[str], options: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the task fields that a backend looks at: those of the option `fields`, which a table needs whose columns
    are not all shown, else `fields`, those that the control's object shows. Raises BackendError."""
    if "fields" not in options:
        return tuple(fields)
    named = options["fields"]
    if not isinstance(named, list | tuple) or not named or not all(isinstance(one, str) and one for one in named):
        raise BackendError(
            f"option 'fields' is {named!r}",
            where="backend.options",
            remedy="Give a list of the data's columns, such as [age, hours].",
        )
    return tuple(named)


def ask(backend: Backend, examples: Sequence[JsonObject], k: int, control: str) -> Floats:
    """Return a backend's probabilities (n, k), clipped to 0..1; a row with a NaN is all NaN. Raises BackendError."""
    try:
        array = np.array(backend.predict(examples), np.float32)
    except HitlError:
        raise
    except Exception as error:
        raise failed(control, "predict", error) from error
    if array.shape != (len(examples), k):
        raise misshaped(control, "predict", array.shape, f"({len(examples)}, {k})")
    np.clip(array, 0.0, 1.0, out=array)
    array[np.isnan(array).any(axis=1)] = np.nan
    return array


def ask_regions(backend: RegionBackend, examples: Sequence[JsonObject], control: str) -> list[list[JsonObject] | None]:
    """Return a backend's regions of each example, plain JSON that is not yet checked against the control; None where it
    cannot read the example. Raises BackendError."""
    try:
        answers = list(backend.predict(examples))
    except HitlError:
        raise
    except Exception as error:
        raise failed(control, "predict", error) from error
    if len(answers) != len(examples) or any(one is not None and not isinstance(one, list) for one in answers):
        raise misshaped(control, "predict", (len(answers),), f"({len(examples)},) lists of regions")
    return answers


def for_labels(backend: AnyBackend, control: str) -> Backend:
    """Return the backend of a control with a fixed list of labels. Raises BackendError for one that gives regions."""
    if regions_of(backend):
        raise BackendError(
            f"a {type(backend).__name__} finds regions, but '{control}' has a fixed list of labels",
            where="backends",
            remedy="Name it under `backends` for a control of spans or boxes, and another one here.",
        )
    return cast(Backend, backend)


def for_regions(backend: AnyBackend, control: str) -> RegionBackend:
    """Return the backend of a control of regions. Raises BackendError for one that gives labels."""
    if not regions_of(backend):
        raise BackendError(
            f"a {type(backend).__name__} gives labels, but '{control}' takes regions",
            where="backends",
            remedy="Spans of text: backends.token_spans:TokenSpans; boxes: backends.detection:Detection.",
        )
    return cast(RegionBackend, backend)


def regions_of(backend: object) -> bool:
    """Whether a backend answers with regions (spans, boxes) instead of probabilities."""
    return getattr(backend, "answers", "labels") == "regions"


def slow(backend: object) -> bool:
    """Whether a backend says of itself that each of its fits takes minutes, so that few are made."""
    return bool(getattr(backend, "slow", False))


def costly(backend: object) -> bool:
    """Whether each answer of a backend costs money or seconds, so that only the tasks that need one get one."""
    return bool(getattr(backend, "costly", False))


def failed(control: str, method: str, error: Exception) -> BackendError:
    """Return what to say when a method of a backend raised."""
    return BackendError(
        f"the backend fails in `{method}`: {type(error).__name__}: {error}",
        where=f"control '{control}'",
        remedy="Check it with `adapter.testing_backends`.",
    )


def misshaped(control: str, method: str, shape: tuple[int, ...], wanted: str) -> BackendError:
    """Return what to say when a method of a backend gave an answer of the wrong shape."""
    return BackendError(
        f"the backend's `{method}` gave shape {shape} where {wanted} was due",
        where=f"control '{control}'",
        remedy="Check it with `adapter.testing_backends`.",
    )
