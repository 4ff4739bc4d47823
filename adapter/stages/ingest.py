"""Ingest: rows of the project's data into the pool, in batches, each row once."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import IO, TYPE_CHECKING
from urllib.parse import quote

from adapter.backend_loading import looked_at
from adapter.errors import DataError, DiskFull, nearest
from adapter.readers import PREFIX, Item, Record, Reject, Source, canonical, open_source
from adapter.stages.reports import Report
from adapter.vocabulary import OUR_FIELDS, JsonObject

if TYPE_CHECKING:
    from adapter.stages.context import Project
    from adapter.store import NewRow

_BATCH_ROWS = 5_000
_BATCH_CHARACTERS = 32_000_000
_LOOKED_AT = 1_000
_LONGEST_ID = 200
_ID_DIGITS = 32
_TOLD = 20

Progress = Callable[[int, "int | None"], None]


@dataclass(frozen=True, slots=True)
class IngestReport(Report):
    """read = new + known + rejected. duplicates: new tasks that are exact copies of another and linked to it. changed:
    known tasks whose content differs in the source now; the pool keeps them as they were (changed_ids: the first ones).
    rejects_file: path of the JSONL file with line, reason and raw text of each reject; None without any."""

    read: int
    new: int
    known: int
    duplicates: int
    rejected: int
    changed: int
    changed_ids: tuple[str, ...]
    rejects_file: str | None
    seconds: float


def ingest(project: Project, *, progress: Progress | None = None) -> IngestReport:
    """Read the project's data into its pool; what is there already stays as it is, so running again changes nothing.

    progress: called with rows read so far and their (estimated) total after each batch. Raises DataError when the data
    cannot be read at all or lacks a column that the settings or the label config name; batches before that are kept.
    """
    started = time.perf_counter()
    source = _source(project)
    items = _checked(source, project)
    project.store.projects.ensure(project.name, project.space.digest)
    counts: Counter[str] = Counter()
    changed: list[str] = []
    with _Rejects(_rejects_path(project, source)) as rejects:
        for batch in _batches(_rows(items, project, source)):
            kept: list[NewRow] = []
            for row in batch:
                if isinstance(row, Reject):
                    rejects.write(row)
                else:
                    kept.append(row)
            added = project.store.tasks.add(project.name, kept, blind=project.is_blind)
            counts.update(
                read=len(batch),
                new=added.new,
                known=added.known,
                duplicates=added.duplicates,
                changed=len(added.changed),
            )
            changed.extend(added.changed[: _TOLD - len(changed)])
            if progress is not None:
                progress(counts["read"], _total(source, counts["read"]))
    return IngestReport(
        read=counts["read"],
        new=counts["new"],
        known=counts["known"],
        duplicates=counts["duplicates"],
        rejected=rejects.count,
        changed=counts["changed"],
        changed_ids=tuple(changed),
        rejects_file=str(rejects.path) if rejects.count else None,
        seconds=time.perf_counter() - started,
    )


def _source(project: Project) -> Source:
    settings = project.settings
    path = settings.data.path
    if not path and settings.project_id is not None:
        path = f"{PREFIX}{settings.project_id}"
    return open_source(
        path,
        base=project.config,
        format=settings.data.format,
        field=settings.data.field or next(iter(_shown_fields(project)), ""),
        platform=lambda: project.platform,
    )


def _shown_fields(project: Project) -> tuple[str, ...]:
    return tuple(field for field in project.space.fields if field)


def _checked(source: Source, project: Project) -> Iterator[Item]:
    """Look at the first rows for the columns that settings and label config name. A misspelt `exclude` would let a gold
    column in, so it is refused before anything is stored."""
    items = source.items()
    head = list(islice(items, _LOOKED_AT))
    records = [item for item in head if isinstance(item, Record)]
    if records:
        data = project.settings.data
        seen = dict.fromkeys(key for record in records for key in record.data)
        ids = seen | dict.fromkeys(key for record in records for key in record.outer)
        if data.id_column and source.format != "label-studio":
            _require(data.id_column, "data.id_column", ids, source)
        for column in data.exclude:
            _require(column, "data.exclude", seen, source)
        for column in data.subgroups:
            _require(column, "data.subgroups", seen, source)
        for field in _shown_fields(project):
            if field in data.exclude:
                raise DataError(
                    f"column '{field}' is excluded, but the label config shows it",
                    where="data.exclude",
                    remedy="Take it out of `data.exclude`, or change the label config.",
                )
            _require(field, "the label config", seen, source)
        for control in (*project.learned, *project.marked):
            for field in looked_at((), project.backend_of(control).options):
                if field in data.exclude:
                    raise DataError(
                        f"column '{field}' is excluded, but the model of '{control.name}' looks at it",
                        where="data.exclude",
                        remedy="Take it out of `data.exclude`, or out of the option `fields` of the backend.",
                    )
                _require(field, "backend.options.fields", seen, source)
    return chain(head, items)


def _require(column: str, by: str, seen: Iterable[str], source: Source) -> None:
    if column not in seen:
        raise DataError(
            f"there is no column '{column}', which {by} names", where=source.name, remedy=nearest(column, seen)
        )


def _rows(items: Iterator[Item], project: Project, source: Source) -> Iterator[tuple[NewRow | Reject, int]]:
    """Yield each item as a row to store or a reject, with its size in characters."""
    prepare = _Preparation(project, source)
    for item in items:
        if isinstance(item, Reject):
            yield item, len(item.raw)
            continue
        try:
            yield prepare(item)
        except ValueError as error:
            yield Reject(item.line, str(error), _raw(item.data)), 0


class _Preparation:
    """Turns records into rows: drops columns, checks fields, makes ids. Raises ValueError with the reason to reject."""

    def __init__(self, project: Project, source: Source) -> None:
        settings = project.settings.data
        self.fields = _shown_fields(project)
        self.id_column = settings.id_column
        self.subgroups = settings.subgroups
        self.dropped = OUR_FIELDS.union(settings.exclude)
        self.ignored = {settings.id_column} if settings.id_column else frozenset[str]()
        self.platform = source.format == "label-studio"
        self.seen: set[int] = set()
        self.copies: Counter[str] = Counter()

    def __call__(self, record: Record) -> tuple[NewRow, int]:
        from adapter.store import NewRow

        data = {key: value for key, value in record.data.items() if key not in self.dropped}
        for field in self.fields:
            value = data.get(field)
            if value is None or (isinstance(value, str) and not value.strip()):
                raise ValueError(f"field '{field}', which the label config shows, is empty or missing")
        try:
            text = canonical(data, self.ignored)
            encoded = text.encode("utf-8")
        except UnicodeEncodeError:
            raise ValueError("half of a surrogate pair, which is no text") from None
        except (TypeError, ValueError, RecursionError) as error:
            raise ValueError(f"a value that JSON cannot hold ({error})") from None
        if "\\u0000" in text and _holds_nul(data):
            raise ValueError("a NUL character, which databases do not take")
        content = record.content or hashlib.sha256(encoded).hexdigest()
        subgroup = {name: str(record.data[name]) for name in self.subgroups if record.data.get(name) is not None}
        return NewRow(self._id(record, content), data, content, subgroup, record.line), len(text)

    def _id(self, record: Record, content: str) -> str:
        if record.key:
            return record.key
        value = record.data.get(self.id_column, record.outer.get(self.id_column)) if self.id_column else None
        if self.platform and value in (None, ""):
            return f"ls-{record.outer['id']}"
        if not self.id_column:
            return self._id_by_content(content)
        if value is None or value == "":
            raise ValueError(f"no id in column '{self.id_column}'")
        if isinstance(value, bool | float) or not isinstance(value, str | int):
            raise ValueError(f"the id in column '{self.id_column}' is neither text nor a whole number")
        name = unicodedata.normalize("NFC", str(value)).strip()
        if not name or len(name) > _LONGEST_ID or not name.isprintable():
            raise ValueError(f"the id in column '{self.id_column}' is blank, too long or unprintable")
        return name

    def _id_by_content(self, content: str) -> str:
        """The content's digest; copies are numbered, so that each row of the source is a task, and the same next time.
        64 bits are remembered of each content; if two ever met there, one more id would carry a number."""
        name = content[:_ID_DIGITS]
        short = int(content[:16], 16)
        if short not in self.seen:
            self.seen.add(short)
            return name
        self.copies[name] += 1
        return f"{name}~{self.copies[name] + 1}"


def _holds_nul(value: object) -> bool:
    if isinstance(value, str):
        return "\x00" in value
    if isinstance(value, dict):
        return any(_holds_nul(key) or _holds_nul(inner) for key, inner in value.items())
    return isinstance(value, list) and any(_holds_nul(inner) for inner in value)


def _raw(data: JsonObject) -> str:
    with contextlib.suppress(TypeError, ValueError, RecursionError):
        return json.dumps(data, ensure_ascii=False)[:10_000]
    return repr(data)[:10_000]


def _batches(rows: Iterator[tuple[NewRow | Reject, int]]) -> Iterator[list[NewRow | Reject]]:
    held: list[NewRow | Reject] = []
    characters = 0
    for row, size in rows:
        held.append(row)
        characters += size
        if len(held) >= _BATCH_ROWS or characters >= _BATCH_CHARACTERS:
            yield held
            held, characters = [], 0
    if held:
        yield held


def _total(source: Source, read: int) -> int | None:
    if source.total is not None:
        return source.total
    fraction = source.fraction()
    return round(read / fraction) if fraction else None


def _rejects_path(project: Project, source: Source) -> Path:
    digest = hashlib.sha256(source.name.encode("utf-8", "surrogateescape")).hexdigest()[:8]
    return project.home / "rejects" / f"{quote(project.name, safe='')}-{digest}.jsonl"


class _Rejects:
    """The rejects file of one source: written beside its place, moved there at the end, so a run again replaces it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.part = path.with_name(path.name + ".part")
        self.count = 0
        self.file: IO[str] | None = None

    def __enter__(self) -> _Rejects:
        return self

    def write(self, reject: Reject) -> None:
        """Write one line. Raises DiskFull."""
        with _space(self.path):
            if self.file is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self.file = self.part.open("w", encoding="utf-8")
            self.file.write(json.dumps({"line": reject.line, "reason": reject.reason, "raw": reject.raw}) + "\n")
        self.count += 1

    def __exit__(self, *_: object) -> None:
        with _space(self.path):
            if self.file is None:
                self.path.unlink(missing_ok=True)
                return
            self.file.close()
            os.replace(self.part, self.path)


@contextlib.contextmanager
def _space(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DiskFull(
            f"the rejects file cannot be written ({error.strerror or error})",
            where=str(path),
            remedy="Free space or mend the permissions, and run `hitl ingest` again: nothing comes twice.",
        ) from error
