"""From the signed address of a file, as Label Studio shows it, back to the local file that the model was trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

from adapter.media import PREFIX
from adapter.vocabulary import JsonObject

if TYPE_CHECKING:
    from adapter.media import Media
    from adapter.stages.context import Project

FILES = "/files/"


def localized(data: JsonObject, project: Project) -> JsonObject:
    """Return task data with our own signed addresses turned into `hitl-file:` values; the same object if it holds none.

    A `hitl-file:` value from outside is taken out: only a signature opens a file.
    """
    if not any(_concerned(value) for value in data.values()):
        return data
    return {key: _local(value, project.media) for key, value in data.items()}


def _concerned(value: Any) -> bool:
    if isinstance(value, str):
        return FILES in value or value.startswith(PREFIX)
    if isinstance(value, list | tuple):
        return any(map(_concerned, value))
    return isinstance(value, dict) and any(map(_concerned, value.values()))


def _local(value: Any, media: Media) -> Any:
    if isinstance(value, str):
        if value.startswith(PREFIX):
            return None
        return _path(value, media) if FILES in value else value
    if isinstance(value, list | tuple):
        return [_local(item, media) for item in value]
    if isinstance(value, dict):
        return {key: _local(item, media) for key, item in value.items()}
    return value


def _path(value: str, media: Media) -> str:
    """The local value of an address whose signature is right, whatever host it names: ours may have moved since."""
    try:
        address = urlsplit(value)
        signature = parse_qs(address.query, max_num_fields=8).get("sig", [""])[0]
    except ValueError:
        return value
    _, found, rest = address.path.partition(FILES)
    project, slash, name = rest.partition("/")
    if not (found and slash and signature):
        return value
    project, name = unquote(project), unquote(name)
    return PREFIX + name if media.verify(project, name, signature) else value
