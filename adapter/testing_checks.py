"""Checks that backends of labels and of regions have in common."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from adapter.backend_loading import AnyBackend, make
from adapter.errors import BackendError, ModelError
from adapter.ports import BackendFactory
from adapter.vocabulary import JsonObject


class Case(Protocol):
    """What these checks need of a material."""

    @property
    def factory(self) -> BackendFactory:
        """Makes the backend."""
        ...

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields to look at."""
        ...

    @property
    def options(self) -> Mapping[str, Any]:
        """The backend's options."""
        ...

    @property
    def examples(self) -> Sequence[JsonObject]:
        """Examples that it can read."""
        ...

    def new(self) -> AnyBackend:
        """Return an unfitted backend."""
        ...

    def ready(self) -> AnyBackend:
        """Return a fitted one."""
        ...


def refused(action: Callable[[], object]) -> BackendError | None:
    """Return the BackendError that an action raises; None if it raises none."""
    try:
        action()
    except BackendError as error:
        return error
    return None


def pickled(path: Path) -> bool:
    """Return whether a file begins like a pickle; the length that safetensors begin with may do so by chance, but then
    comes JSON."""
    start = path.read_bytes()[:9]
    return start[:1] == b"\x80" and start[8:] != b"{"


def content(folder: Path) -> dict[str, str]:
    """Return file name to digest of all that a folder holds."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def check_damaged(material: Case, folder: Path) -> None:
    """Missing, cut or foreign files raise ModelError."""
    backend = material.ready()
    empty = folder / "empty"
    empty.mkdir()
    refuses(material, empty, "an empty folder")
    names = sorted(content(saved(backend, folder / "whole")))
    for number, name in enumerate(names):
        for how in ("gone", "cut", "foreign"):
            place = saved(backend, folder / f"{number}-{how}")
            path = place / name
            whole = path.read_bytes()
            if how == "gone":
                path.unlink()
            else:
                path.write_bytes(whole[: len(whole) // 2] if how == "cut" else b'{"format": 1}')
            refuses(material, place, f"'{name}' {how}")


def saved(backend: AnyBackend, place: Path) -> Path:
    """Save a model into a new folder, and return that."""
    place.mkdir()
    backend.save(place)
    return place


def refuses(material: Case, place: Path, what: str) -> None:
    """Hold that files are refused with a ModelError."""
    try:
        material.new().load(place)
    except ModelError:
        return
    except Exception as error:
        raise AssertionError(f"{what}: {type(error).__name__} instead of ModelError") from error
    raise AssertionError(f"{what}: it was loaded all the same")


def check_not_fitted(material: Case, folder: Path) -> None:
    """Asked before it is fitted, it raises BackendError."""
    backend = material.new()
    assert refused(lambda: backend.predict(material.examples[:1])) is not None, "an unfitted backend predicts"


def check_options(material: Case, folder: Path) -> None:
    """An option that it does not have raises BackendError that names it."""
    options = {**material.options, "no_such_option": 1}
    error = refused(lambda: make(material.factory, material.fields, options))
    assert error is not None, "an unknown option was accepted"
    assert "no_such_option" in str(error), "the error does not name the option"
