"""Tables and progress for people. Data goes to stdout, progress to stderr."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from adapter.logs import plain

Progress = Callable[[int, "int | None"], None]


def say(text: str) -> None:
    """Print one line for people."""
    sys.stdout.write(f"{text}\n")


def hint(text: str) -> None:
    """Print one line beside the data: on stderr."""
    sys.stderr.write(f"{text}\n")


def words(value: Any) -> str:
    """Return a value as a person would write it."""
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3f}" if abs(value) < 100 else f"{value:.0f}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {words(item)}" for key, item in value.items()) or "-"
    if isinstance(value, list | tuple):
        return ", ".join(words(item) for item in value) or "-"
    return str(value)


def table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], *, empty: str = "none", dense: bool = False
) -> None:
    """Print a table on stdout; numbers stand to the right. dense: without lines between columns, for tables of many."""
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    if not rows:
        say(f"{title}: {empty}")
        return
    drawn = Table(title=title, title_justify="left", header_style="bold")
    if dense:
        drawn.box, drawn.show_edge, drawn.padding = box.SIMPLE_HEAD, False, (0, 1, 0, 0)
    for index, name in enumerate(columns):
        numeric = all(isinstance(row[index], int | float) or row[index] is None for row in rows)
        drawn.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*(escape(words(cell)) for cell in row))
    Console(file=sys.stdout, width=None if sys.stdout.isatty() else 140).print(drawn)


def report(title: str, value: Any) -> None:
    """Print a stage's report: its figures as a table, lists of objects as tables of their own."""
    data = plain(value)
    figures: list[tuple[str, Any]] = []
    inner: list[tuple[str, list[dict[str, Any]]]] = []
    for key, item in data.items():
        if isinstance(item, list) and item and isinstance(item[0], dict):
            inner.append((key, item))
        elif isinstance(item, dict) and any(
            isinstance(x, list) and x and isinstance(x[0], dict) for x in item.values()
        ):
            inner += [(f"{key} ({name})", x) for name, x in item.items() if isinstance(x, list) and x]
        elif key == "notes" and isinstance(item, list):
            figures += [("note", note) for note in item]
        elif item not in ("", [], {}, None):
            figures.append((key.replace("_", " "), words(item)))
    table(title, ("", ""), figures, empty="nothing to report")
    for name, items in inner:
        columns = list(dict.fromkeys(key for item in items for key in item))
        table(name.replace("_", " "), columns, [[item.get(column) for column in columns] for item in items])


@contextmanager
def progress(text: str, *, quiet: bool = False) -> Iterator[Progress]:
    """Show a progress bar on stderr while the block runs; nothing when stderr is no terminal."""
    if quiet or not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    shown = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bars(*shown, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(text, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)
