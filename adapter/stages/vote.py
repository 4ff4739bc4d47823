"""Vote: everything that machines say of the pool. Only changed columns and new rows are computed."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable

from adapter.labeling import LabelingFunction, control_of
from adapter.stages.context import Project
from adapter.stages.reports import VoteReport
from adapter.vocabulary import Fault

CHUNK = 20_000
VOTES = "votes"
Progress = Callable[[int, int | None], None]


def vote(project: Project, *, progress: Progress | None = None) -> VoteReport:
    """Run labeling functions on the rows that they have not seen in their present version.

    Raises FunctionsError when the module does not import; a function that fails on a task leaves a fault there.
    """
    started = time.perf_counter()
    functions = project.functions()
    total = project.store.tasks.count(project.name)
    computed: Counter[str] = Counter()
    faults: Counter[str] = Counter()
    work: dict[tuple[str, tuple[int, int]], list[LabelingFunction]] = defaultdict(list)
    for function in functions:
        control = control_of(function, project.space)
        for span in project.columns.missing(project.name, VOTES, control.name, function.name, function.version, total):
            work[control.name, span].append(function)
    if work:
        from adapter.engines.local import LocalEngine

        rows = sum(hi - lo for _, (lo, hi) in work)
        done = 0
        with LocalEngine() as engine:
            for (control_name, (lo, hi)), group in sorted(work.items(), key=lambda item: item[0]):
                control = project.space.control(control_name)
                run = engine.start(group, control)  # a function that hangs is given up for all of these rows
                for start in range(lo, hi, CHUNK):
                    stop = min(start + CHUNK, hi)
                    tasks = project.store.tasks.between(project.name, start, stop)
                    result = run.apply([task.data for task in tasks])
                    found = [
                        Fault(
                            f.source,
                            f.version,
                            "vote",
                            tasks[f.row].id if f.row is not None else None,
                            f.message,
                            project.now(),
                        )
                        for f in result.faults
                    ]
                    if found:
                        project.store.faults.add(project.name, found)
                        faults.update(fault.source for fault in found)
                    for column, function in enumerate(group):
                        project.columns.write(
                            project.name,
                            VOTES,
                            control.name,
                            function.name,
                            function.version,
                            start,
                            result.votes[:, column],
                        )
                        computed[function.name] += stop - start
                    done += stop - start
                    if progress:
                        progress(done, rows)
    current = project.store.models.current(project.name)
    return VoteReport(
        functions=len(functions),
        computed=dict(computed),
        faults=dict(faults),
        model=current.version if current else None,
        seconds=time.perf_counter() - started,
    )
