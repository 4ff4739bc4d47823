"""The tasks of an existing Label Studio project."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from adapter.errors import DataError
from adapter.ports import Platform
from adapter.readers import PREFIX, Item, Record, Source


def source(path: str, platform: Callable[[], Platform] | None) -> Source:
    """Return the source for `label-studio:<project id>`. Raises DataError if that is no number, PlatformError later."""
    number = path.removeprefix(PREFIX)
    if not (number.isascii() and number.isdigit()):
        raise DataError(
            f"'{path}' names no Label Studio project",
            where="data.path",
            remedy=f"Write {PREFIX} and the project's number, which its address in the browser shows.",
        )
    if platform is None:
        raise DataError("no Label Studio is at hand to read from", where="data.path", remedy="Set `label_studio.url`.")
    return Source(path, "label-studio", lambda: _items(platform(), int(number)))


def _items(platform: Platform, project_id: int) -> Iterator[Item]:
    for task in platform.tasks(project_id):
        yield Record(task.id, task.data, {"id": task.id}, key=task.key or "")
