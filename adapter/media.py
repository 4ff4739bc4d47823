"""Files that tasks point at: `hitl-file:` values, read here as bytes, shown in browsers by signed addresses.

An address never runs out, because Label Studio stores it in its task; it opens just one file of one project, and a new
secret ends all of them.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote_to_bytes

from adapter.errors import DataError
from adapter.vocabulary import JsonObject

PREFIX = "hitl-file:"
"""Start of a task value that names a file below the project's data folder, by its path with forward slashes."""

_CONTEXT = b"hitl-file\0"


class Media:
    """The files of one project.

    root: folder that relative paths start from. secret: key of the signatures, kept out of `repr`. public_url: where
    browsers reach us. max_bytes: of one file or data: URI.
    """

    def __init__(
        self, root: Path, project: str, secret: bytes, public_url: str, *, max_bytes: int = 64 * 1024 * 1024
    ) -> None:
        if len(secret) < 16:
            raise ValueError("the secret of signed addresses needs 16 bytes or more")
        self.root = root
        self.project = project
        self.public_url = public_url.rstrip("/")
        self.max_bytes = max_bytes
        self._secret = secret

    def __repr__(self) -> str:
        return f"Media({str(self.root)!r}, {self.project!r})"

    def signature(self, relpath: str) -> str:
        """Return the signature of one file of this project."""
        return self._sign(self.project, relpath)

    def _sign(self, project: str, relpath: str) -> str:
        message = _CONTEXT + b"\0".join(part.encode("utf-8", "surrogatepass") for part in (project, relpath))
        return hmac.new(self._secret, message, hashlib.sha256).hexdigest()

    def url_for(self, relpath: str) -> str:
        """Return the signed address of a file."""
        name, project = quote(relpath, safe="/"), quote(self.project, safe="")
        return f"{self.public_url}/files/{project}/{name}?sig={self.signature(relpath)}"

    def verify(self, project: str, relpath: str, sig: str) -> bool:
        """Whether `sig` is this project's signature of that file. Takes the same time for every wrong one."""
        right = self._sign(project, relpath).encode()
        return hmac.compare_digest(right, sig.encode("utf-8", "surrogatepass")) and project == self.project

    def path_of(self, relpath: str) -> Path:
        """Return the file. Raises DataError when it is missing, no plain file, or outside the project's folder."""
        parts = relpath.split("/")
        if "\0" in relpath or "\\" in relpath or not all(part not in ("", ".", "..") for part in parts):
            raise self._refused(relpath, "this is no path of a file in the project's folder")
        try:
            path = self.root.joinpath(*parts).resolve(strict=True)
            inside = path.is_relative_to(self.root.resolve(strict=True))
        except (OSError, RuntimeError, ValueError):
            raise self._refused(relpath, "there is no such file in the project's folder") from None
        if not inside or not path.is_file():
            raise self._refused(relpath, "this is no path of a file in the project's folder")
        return path

    def _refused(self, relpath: str, what: str) -> DataError:
        return DataError(
            what, where=f"{PREFIX}{relpath[:200]!r}", remedy="Put the file back, or run `hitl ingest` again."
        )

    def open_local(self, value: str) -> bytes:
        """Return the bytes that a `hitl-file:` value or a data: URI stands for.

        Raises DataError for any other value, a missing or foreign file, a malformed URI, or more than `max_bytes`.
        """
        if value.startswith(PREFIX):
            path = self.path_of(value.removeprefix(PREFIX))
            try:
                with path.open("rb") as file:
                    content = file.read(self.max_bytes + 1)
            except OSError as error:
                raise DataError(f"it cannot be read ({error.strerror})", where=value[:200]) from error
            if len(content) > self.max_bytes:
                raise self._too_large(value)
            return content
        if value[:5].lower() == "data:":
            return self._data_uri(value)
        raise DataError(
            "this value is neither a file of the project nor a data: URI",
            where=value[:80],
            remedy="Only local content is read; nothing is fetched from the net.",
        )

    def _data_uri(self, value: str) -> bytes:
        head, comma, body = value[5:].partition(",")
        if not comma:
            raise DataError("a data: URI without a comma", where=value[:80], remedy="Write data:image/png;base64,...")
        if len(body) > 3 * self.max_bytes:  # the longest encoding is percent: three characters a byte
            raise self._too_large(value)
        content = unquote_to_bytes(body)
        if head.lower().rstrip().endswith(";base64"):
            try:
                content = base64.b64decode(content, validate=True)
            except (binascii.Error, ValueError) as error:
                raise DataError(
                    f"a data: URI that is not base64 ({error})", where=value[:80], remedy="Encode the file again."
                ) from None
        if len(content) > self.max_bytes:
            raise self._too_large(value)
        return content

    def _too_large(self, value: str) -> DataError:
        return DataError(
            f"it is larger than {self.max_bytes:,} bytes", where=value[:80], remedy="Scale it down before ingesting it."
        )

    def present(self, data: JsonObject) -> dict[str, Any]:
        """Return the data as browsers can show it: each `hitl-file:` value, however deep, becomes a signed address."""
        return {key: self._presented(value) for key, value in data.items()}

    def _presented(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.url_for(value.removeprefix(PREFIX)) if value.startswith(PREFIX) else value
        if isinstance(value, dict):
            return {key: self._presented(inner) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self._presented(inner) for inner in value]
        return value
