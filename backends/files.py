"""How the backends here keep a model on disk: arrays as safetensors, everything else as JSON. No pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from adapter.errors import ModelError

ARRAYS = "arrays.safetensors"
META = "backend.json"
FORMAT = 1
Arrays = dict[str, npt.NDArray[Any]]


def write_model(folder: Path, backend: str, meta: Mapping[str, Any], arrays: Arrays) -> None:
    """Write a model's parts into `folder`; the JSON, which names the backend, comes last."""
    from safetensors.numpy import save_file

    save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, folder / ARRAYS)
    text = json.dumps({"format": FORMAT, "backend": backend, **meta}, ensure_ascii=False, separators=(",", ":"))
    (folder / META).write_text(text, encoding="utf-8")


def read_model(folder: Path, backend: str) -> tuple[dict[str, Any], Arrays]:
    """Return what `write_model` wrote. Raises ModelError if files are missing, damaged, or another backend's."""
    from safetensors.numpy import load_file

    try:
        meta = json.loads((folder / META).read_text(encoding="utf-8"))
        arrays: Arrays = load_file(folder / ARRAYS)
    except Exception as error:  # safetensors raises its own type, json and the file system theirs
        raise damaged(folder, backend, f"{type(error).__name__}: {error}") from error
    if not isinstance(meta, dict) or meta.get("backend") != backend or meta.get("format") != FORMAT:
        raise damaged(folder, backend, "these files are another backend's, or of another format")
    if not all(np.isfinite(array).all() for array in arrays.values() if array.dtype.kind == "f"):
        raise damaged(folder, backend, "there are numbers that are not finite")
    return meta, arrays


def damaged(folder: Path, backend: str, why: str) -> ModelError:
    """Return the error for model files that cannot be used."""
    return ModelError(
        f"no {backend} model can be loaded: {why}",
        where=str(folder),
        remedy="Go back to an earlier model version, or train again.",
    )
