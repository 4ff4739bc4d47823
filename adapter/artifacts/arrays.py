"""Arrays as Arrow IPC files: one column of numbers, or of lists of fixed length for two dimensions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from adapter.errors import StoreError

AnyArray = npt.NDArray[Any]
_KEY = b"hitl"


def write_array(array: AnyArray, path: Path) -> None:
    """Write an array (n,) or (n, k) of booleans, integers or floats. Raises StoreError for any other."""
    import pyarrow as pa

    if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8 or array.ndim not in (1, 2):
        raise StoreError(
            f"an array of type {array.dtype} and shape {array.shape} is no column",
            where=path.name,
            remedy="Give one or two dimensions of booleans, integers or floats of at most 64 bits.",
        )
    meta = {"dtype": array.dtype.newbyteorder("=").name, "shape": list(array.shape)}
    flat = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("=")).reshape(-1)
    column = pa.array(flat.view(np.uint8) if flat.dtype == np.bool_ else flat)
    if array.ndim == 2 and array.shape[1] > 0:
        column = pa.FixedSizeListArray.from_arrays(column, array.shape[1])
    schema = pa.schema([pa.field("value", column.type)], metadata={_KEY: json.dumps(meta).encode()})
    # Votes are mostly abstains and shrink well; floats do not, and stay mappable without a copy.
    options = pa.ipc.IpcWriteOptions(compression="zstd" if array.dtype.kind in "biu" else None)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema, options=options) as writer:
        writer.write_batch(pa.record_batch([column], schema=schema))


def read_array(path: Path) -> AnyArray:
    """Return what `write_array` wrote; read-only, and mapped from the file where possible. Raises StoreError."""
    import pyarrow as pa

    try:
        with pa.memory_map(str(path), "rb") as source:
            reader = pa.ipc.open_file(source)
            meta = json.loads(reader.schema.metadata[_KEY])
            batch = reader.get_batch(0)
        column = batch.column(0)
        while pa.types.is_fixed_size_list(column.type):
            column = column.flatten()
        flat: AnyArray = column.to_numpy(zero_copy_only=True)
        dtype = np.dtype(meta["dtype"])
        return (flat.view(np.bool_) if dtype == np.bool_ else flat).reshape(meta["shape"])
    except (pa.ArrowInvalid, pa.ArrowTypeError, ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"the artifact is not an array of ours ({type(error).__name__})",
            where=path.name,
            remedy="Restore it from a backup, or compute this column again.",
        ) from error
