"""The two parts of a pair: which fields they stand in, whether they are images or texts, and how they are read."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from adapter.errors import BackendError
from adapter.vocabulary import JsonObject
from backends.images import ImageReader
from backends.options import need_fields
from backends.pairs_small import KINDS, Kind, Side, units_of
from backends.text import text_of

_SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp")
_LOOKED_AT = 200


def two_fields(backend: str, fields: Sequence[str], left: object, right: object) -> tuple[str, str]:
    """Return the fields of both sides: the options, else the first two of `fields`. Raises BackendError."""
    known = need_fields(backend, fields) if not (left and right) else tuple(fields)
    free = [field for field in known if field not in (left, right)]
    chosen = [side if side else (free.pop(0) if free else "") for side in (left, right)]
    if not all(isinstance(side, str) and side for side in chosen) or chosen[0] == chosen[1]:
        raise BackendError(
            f"{backend} compares two fields, and finds {[side for side in chosen if side]}",
            where="fields",
            remedy="Name both in `fields`, such as ['image', 'caption'], or in the options `left` and `right`.",
        )
    return str(chosen[0]), str(chosen[1])


def kinds_option(backend: str, value: object) -> tuple[Kind, Kind] | None:
    """Return both sides' kinds as the option says, None for `auto`. Raises BackendError."""
    if value == "auto":
        return None
    for left in KINDS:
        for right in KINDS:
            if value == f"{left}-{right}":
                return left, right
    raise BackendError(
        f"option 'kinds' of {backend} is {value!r}",
        where="backend.options",
        remedy="Give 'auto', 'image-text', 'text-text', 'text-image' or 'image-image'.",
    )


def kind_of(examples: Sequence[JsonObject], field: str) -> Kind:
    """Return what most values of a field are."""
    known = [value for example in examples[:_LOOKED_AT] if (value := example.get(field)) is not None]
    images = sum(isinstance(value, str) and _names_image(value) for value in known)
    return "image" if 2 * images > len(known) else "text"


def _names_image(value: str) -> bool:
    start = value[:32].lower()
    return start.startswith("data:image/") or (len(value) < 4096 and value.lower().endswith(_SUFFIXES))


def texts_of(examples: Sequence[JsonObject], field: str) -> list[str | None]:
    """Return each example's text; None where there is none, or nothing but white space."""
    texts = (text_of(example, (field,)) for example in examples)
    return [text if text and text.strip() else None for text in texts]


def read_side(
    examples: Sequence[JsonObject], field: str, kind: Kind, size: int, reader: ImageReader
) -> tuple[Side, npt.NDArray[np.bool_]]:
    """Return one side as the small encoder takes it, and (n,) which could be read."""
    if kind == "text":
        texts = texts_of(examples, field)
        return units_of([text or "" for text in texts]), np.asarray([text is not None for text in texts], bool)
    pixels = np.zeros((len(examples), size, size, 3), np.uint8)
    readable = np.zeros(len(examples), bool)
    for row, example in enumerate(examples):
        image = reader.rgb(example.get(field), largest=8 * size)
        if image is not None:
            pixels[row], readable[row] = np.asarray(image.resize((size, size), reducing_gap=3.0), np.uint8), True
    return pixels, readable


def keys_of(left: Side, right: Side, kinds: tuple[Kind, Kind]) -> list[bytes]:
    """Return for each pair what tells it apart: its images alone where it has one (so that one image with two captions
    is not judged by a model that saw it), else both texts, as far as they are looked at."""
    pictures = [side for side, kind in zip((left, right), kinds, strict=True) if kind == "image"]
    if pictures:
        return [pictures[0][row].tobytes() for row in range(len(left))]
    return [left[row].tobytes() + right[row].tobytes() for row in range(len(left))]
