"""What goes wrong with files, in words that advise."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from adapter.errors import DiskFull, HitlError, StoreError

_SPACE = {errno.ENOSPC, errno.EDQUOT}


class Gone(StoreError):
    """An artifact is not there any more, or not what was written: restore it, or compute it again."""


@contextmanager
def told(where: str) -> Iterator[None]:
    """Turn what the file system raises into DiskFull or StoreError."""
    try:
        yield
    except HitlError:
        raise
    except FileNotFoundError as error:
        raise Gone(
            "the artifact is gone",
            where=where,
            remedy="Restore the artifact store from its backup, or compute this column or model again.",
        ) from error
    except OSError as error:
        if error.errno in _SPACE:
            raise DiskFull(
                f"no space is left ({error.strerror})",
                where=where,
                remedy="Free space there and run the same command again; nothing was half-written.",
            ) from error
        raise StoreError(
            f"{type(error).__name__}: {error.strerror or 'the file system refused'}",
            where=where,
            remedy="Check that the artifact store exists and that this user may read and write there.",
        ) from error


def damaged(uri: str, where: str) -> Gone:
    """Return the error for content that is not what its digest says."""
    return Gone(
        f"artifact {uri} is not what was written: its digest differs",
        where=where,
        remedy="Restore it from a backup, or compute this column or model again.",
    )
