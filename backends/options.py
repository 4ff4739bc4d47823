"""Checks of a backend's options: unknown names and senseless numbers are refused with advice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from adapter.errors import BackendError, nearest


def refuse_unknown(backend: str, unknown: Mapping[str, object], valid: Sequence[str]) -> None:
    """Raise BackendError for the first option that `backend` does not have, naming the nearest one it has."""
    for name in unknown:
        raise BackendError(f"'{name}' is no option of {backend}", where="backend.options", remedy=nearest(name, valid))


def need_fields(backend: str, fields: Sequence[str]) -> tuple[str, ...]:
    """Return the fields as a tuple; raise BackendError if there is none."""
    if isinstance(fields, str) or not fields:
        raise BackendError(
            f"{backend} needs the names of the task fields to look at",
            where="fields",
            remedy="Give them as a tuple, such as ('text',).",
        )
    return tuple(fields)


def whole(backend: str, name: str, value: object, low: int, high: int) -> int:
    """Return `value` if it is a whole number in [low, high]; raise BackendError otherwise."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise BackendError(
            f"option '{name}' of {backend} is {value!r}",
            where="backend.options",
            remedy=f"Give a whole number from {low} to {high}.",
        )
    return value


def positive(backend: str, name: str, value: object) -> float:
    """Return `value` as a float if it is a finite number above 0; raise BackendError otherwise."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
        raise BackendError(
            f"option '{name}' of {backend} is {value!r}", where="backend.options", remedy="Give a number above 0."
        )
    return float(value)


def one_of(backend: str, name: str, value: object, valid: Sequence[str]) -> str:
    """Return `value` if it is one of these words; raise BackendError, naming the nearest one, otherwise."""
    if not isinstance(value, str) or value not in valid:
        raise BackendError(
            f"option '{name}' of {backend} is {value!r}", where="backend.options", remedy=nearest(str(value), valid)
        )
    return value


def span(backend: str, name: str, value: object, *, empty: bool = False) -> tuple[int, int]:
    """Return `value` as a pair 1 <= low <= high <= 8, or (0, 0) if it is empty and may be; raise BackendError
    otherwise."""
    if isinstance(value, list | tuple):
        if empty and not value:
            return (0, 0)
        if len(value) == 2 and all(isinstance(n, int) and not isinstance(n, bool) for n in value):
            low, high = int(value[0]), int(value[1])
            if 1 <= low <= high <= 8 or (empty and low == high == 0):
                return (low, high)
    raise BackendError(
        f"option '{name}' of {backend} is {value!r}",
        where="backend.options",
        remedy="Give two whole numbers, shortest and longest, such as [1, 2]" + (", or [] for none." if empty else "."),
    )
