"""The `dask` engine with two workers against one, beside the `local` engine with as many processes.

    python -m benchmarks.functions_dask --rows 200000

Python functions as in `benchmarks.functions_python`, on texts of about 240 characters. Two clusters of this machine's
processes, ports picked by the system, run in turn; the scheduler and the client need a share of the cores too, so on a
machine of two cores less than twice is to be expected. All matrices are asserted to be the same.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from adapter.engines.dask import DaskEngine
from adapter.engines.local import LocalEngine
from benchmarks.functions_declared import texts_of
from benchmarks.functions_python import CONTROL, written
from benchmarks.measure import alternate, ratios, save, summary


def cluster(workers: int) -> Any:
    """Start a cluster of this machine's processes, one thread each."""
    from distributed import LocalCluster

    return LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        processes=True,
        host="127.0.0.1",
        scheduler_port=0,
        dashboard_address="127.0.0.1:0",
        memory_limit=0,
        silence_logs=50,
    )


def main() -> int:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--functions", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    texts, where = texts_of(given.rows)

    def rows(count: int) -> Iterator[dict[str, str]]:
        return ({"text": text} for text in texts[:count])

    found: dict[str, Any] = {}
    with ExitStack() as stack:
        functions = written(Path(stack.enter_context(tempfile.TemporaryDirectory())), given.functions)
        engines: dict[str, DaskEngine | LocalEngine] = {}
        for workers in (1, 2):
            address = stack.enter_context(cluster(workers)).scheduler_address
            engines[f"dask {workers}"] = stack.enter_context(DaskEngine(address))
            engines[f"local {workers}"] = stack.enter_context(LocalEngine(workers=workers))
        runs = {name: engine.start(functions, CONTROL) for name, engine in engines.items()}
        for run in runs.values():
            run.apply(rows(min(20_000, given.rows)))  # the processes are there, as in the loop

        def task(name: str) -> Callable[[], None]:
            return lambda: found.update({name: runs[name].apply(rows(given.rows)).votes})

        seconds = alternate({name: task(name) for name in runs}, given.rounds)
    for name in runs:
        assert np.array_equal(found[name], found["local 1"])
    gain = {kind: ratios(seconds[f"{kind} 2"], seconds[f"{kind} 1"]) for kind in ("dask", "local")}
    print(f"{given.rows:,} texts x {given.functions} Python functions, {given.rounds} rounds")
    for name, each in seconds.items():
        print(f"  {name:10}{summary(each)['median']:8.2f} s")
    print(
        f"  two Dask workers against one: {gain['dask']['median']:.2f} x; "
        f"two local processes: {gain['local']['median']:.2f} x"
    )
    save(
        "functions_dask",
        {
            "rows": given.rows,
            "functions": given.functions,
            "texts": where,
            "seconds": {name: summary(each) for name, each in seconds.items()},
            "two_against_one": gain,
        },
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
