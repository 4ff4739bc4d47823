"""The reports on labeling functions as data frames, for notebooks.

    from adapter.notebook import functions, examples, votes

    functions().sort_values("gain")
    examples("has_link", "wrong")

Each call opens the project, reads what is stored and closes it again. `project` is a project's name (it may be left out
when there is one) or an opened `Project`; `config` the path of adapter.yaml where it is not config/adapter.yaml or what
HITL_CONFIG says. All raise the errors that `hitl lf` prints.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapter.errors import SettingsError, nearest

if TYPE_CHECKING:
    import pandas as pd

    from adapter.stages.context import Project
    from adapter.stages.function_examples import Which

__all__ = ["FAULT", "classes", "consolidators", "examples", "functions", "trends", "votes"]

FAULT = "(fault)"
"""Where a function failed, in `votes`: a fault is not an abstention."""


def functions(project: str | Project | None = None, *, config: str | Path | None = None) -> pd.DataFrame:
    """Return one row for each labeling function, indexed by its name: the figures of `hitl lf report`, except those of
    `classes` and `trends`. Accuracy and gain are measured on the blind sample."""
    from adapter.stages.functions import functions_report

    left_out = {"name", "classes", "coverage_trend", "accuracy_trend", "fault_examples"}
    with _opened(project, config) as found:
        rows = functions_report(found).functions
    columns = [name for name in _fields_of_figures() if name not in left_out]
    return _frame([{name: getattr(row, name) for name in columns} for row in rows], columns, [row.name for row in rows])


def classes(project: str | Project | None = None, *, config: str | Path | None = None) -> pd.DataFrame:
    """Return one row for each function and label that it votes for: votes over the pool, and the precision on the blind
    sample with its Wilson 95 % interval."""
    from adapter.stages.functions import functions_report

    with _opened(project, config) as found:
        rows = functions_report(found).functions
    columns = ["control", "label", "votes", "n", "right", "precision", "lower", "upper", "enough"]
    flat = [(row, item) for row in rows for item in row.classes]
    told = [
        {"control": row.control, **{name: getattr(item, name) for name in columns if name != "control"}}
        for row, item in flat
    ]
    return _frame(told, columns, [row.name for row, _ in flat])


def trends(project: str | Project | None = None, *, config: str | Path | None = None) -> pd.DataFrame:
    """Return one row for each function and window. of: `coverage` (windows of the pool by order of ingest) or
    `accuracy` (windows of the function's labelled blind tasks by time of people's labels). count of n rows from lo to
    hi - 1 have it."""
    from adapter.stages.functions import functions_report

    with _opened(project, config) as found:
        rows = functions_report(found).functions
    flat = [
        (row, of, number, window)
        for row in rows
        for of, trend in (("coverage", row.coverage_trend), ("accuracy", row.accuracy_trend))
        for number, window in enumerate(trend.windows)
    ]
    told = [
        {
            "of": of,
            "window": number,
            "lo": item.lo,
            "hi": item.hi,
            "count": item.count,
            "n": item.n,
            "share": item.share,
        }
        for _, of, number, item in flat
    ]
    return _frame(told, ["of", "window", "lo", "hi", "count", "n", "share"], [row.name for row, _, _, _ in flat])


def consolidators(project: str | Project | None = None, *, config: str | Path | None = None) -> pd.DataFrame:
    """Return the table of consolidators that `hitl consolidate` left, with a column `control`."""
    from adapter.stages.functions import functions_report

    with _opened(project, config) as found:
        tables = functions_report(found).consolidators
    rows = [{"control": control, **row} for control, table in tables.items() for row in table]
    return _frame(rows, list(dict.fromkeys(["control", *(key for row in rows for key in row)])))


def examples(
    name: str,
    which: Which = "wrong",
    project: str | Project | None = None,
    *,
    limit: int = 50,
    config: str | Path | None = None,
) -> pd.DataFrame:
    """Return tasks on which a function is `wrong`, in `conflict`, silent (`abstain`) or failing (`faults`), indexed by
    task id: text, vote, people's labels, others' votes, message. None of the blind sample but faults, without people's
    labels."""
    from adapter.stages.function_examples import WHICH, function_examples

    if which not in WHICH:
        raise SettingsError(f"which={which!r} is no sort of examples", remedy=nearest(str(which), WHICH))
    with _opened(project, config) as found:
        tasks = function_examples(found, name, which, limit=limit).tasks
    columns = ["text", "vote", "people", "others", "message"]
    rows = [{column: getattr(task, column) for column in columns} for task in tasks]
    return _frame(rows, columns, [task.task_id for task in tasks], "task")


def votes(
    project: str | Project | None = None, *, control: str | None = None, config: str | Path | None = None
) -> pd.DataFrame:
    """Return the stored votes: one row for each task of the pool, indexed by its id, one categorical column for each
    function: a label, missing where it abstains, `FAULT` where it failed. control: needed where functions vote on
    several."""
    import pandas as pd

    from adapter.stages.function_evidence import voted

    with _opened(project, config) as found:
        names = [item.name for item in found.learned]
        if control is None and len(names) == 1:
            control = names[0]
        if control not in names:
            raise SettingsError(
                f"control={control!r} is no control that functions vote on",
                remedy=nearest(control or "", names) or "The label config has none.",
            )
        chosen = found.space.control(control)
        stored = voted(found, chosen)
        ids = found.store.tasks.index(found.name).ids
    marked = stored.votes.copy()
    marked[stored.votes == -2] = len(chosen.labels)
    kinds = pd.CategoricalDtype([*chosen.labels, FAULT])
    columns = {
        function.name: pd.Categorical.from_codes(marked[:, column], dtype=kinds)
        for column, function in enumerate(stored.functions)
    }
    return pd.DataFrame(columns, index=pd.Index(ids, name="task", dtype="object"))


def _fields_of_figures() -> list[str]:
    from dataclasses import fields

    from adapter.stages.functions import FunctionFigures

    return [item.name for item in fields(FunctionFigures)]


def _frame(
    rows: list[dict[str, Any]], columns: list[str], index: list[str] | None = None, of: str = "function"
) -> pd.DataFrame:
    import pandas as pd

    names = None if index is None else pd.Index(index, name=of, dtype="object")
    return pd.DataFrame(rows, columns=columns, index=names)


@contextmanager
def _opened(project: str | Project | None, config: str | Path | None) -> Iterator[Project]:
    """Open the project for one call, unless it is open already."""
    if project is not None and not isinstance(project, str):
        yield project
        return
    from adapter.app import App
    from adapter.settings_file import environment, find_config, load_settings

    environ = environment()
    app = App(load_settings(find_config(Path(config) if config is not None else None, environ), environ))
    try:
        names = sorted(app.settings.projects)
        if project is None and len(names) != 1:
            raise SettingsError(
                "which project?" if names else "there is no project yet",
                remedy=f"Name one of: {', '.join(names)}." if names else "Make one with `hitl init`.",
            )
        yield app.project(project if project is not None else names[0])
    finally:
        app.close()
