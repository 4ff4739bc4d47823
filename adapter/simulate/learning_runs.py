"""Many learning runs, over strategies and seeds, in this process or in several; the result does not depend on how many.

Every run is counted with one thread of linear algebra: sums in another order would make other models.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from typing import Protocol

from adapter.errors import HitlError
from adapter.ports import Backend
from adapter.simulate.learning import RANDOM, Ground, Picker, Plan, Run, full_score, learn
from adapter.simulate.metrics import Metric

Progress = Callable[[int, int], None]


class Arena(Protocol):
    """Where strategies meet: what a process needs to make any run by itself. It is pickled, so it holds names and
    settings, no models. names: of the strategies. far_share: of the full-data score up to which `random` goes on past
    the budget."""

    @property
    def names(self) -> tuple[str, ...]: ...  # noqa: D102 - see above

    @property
    def plan(self) -> Plan: ...  # noqa: D102

    @property
    def metric(self) -> Metric: ...  # noqa: D102

    @property
    def far_share(self) -> float: ...  # noqa: D102

    def ground(self, seed: int) -> Ground:
        """Return the split of this seed; the same one at each call."""
        ...

    def maker(self, ground: Ground) -> Callable[[], Backend]:
        """Return what makes unfitted models for this ground."""
        ...

    def picker(self, name: str, stand_ins: list[str]) -> Picker:
        """Return a fresh picker; see `learning.by_strategy` for `stand_ins`."""
        ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """All runs. runs: strategy to one run a seed, in the order of the seeds. full: full-data score of each seed.
    sizes: tasks in pool and test split of each seed."""

    runs: dict[str, list[Run]]
    full: list[float]
    sizes: list[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class _Part:
    """What one run gives: the full-data score and sizes come with `random`."""

    name: str
    seed: int
    run: Run
    full: float | None
    sizes: tuple[int, int]


def run_all(arena: Arena, seeds: Sequence[int], *, jobs: int = 1, progress: Progress | None = None) -> Outcome:
    """Run every strategy on every seed. jobs: processes. progress: gets runs done and runs in all. Raises HitlError
    when a process is killed from outside; what a run raises is raised here."""
    work = [(seed, name) for seed in seeds for name in arena.names]
    parts: dict[tuple[int, str], _Part] = {}
    for part in _here(arena, work) if jobs <= 1 else _apart(arena, work, jobs):
        parts[part.seed, part.name] = part
        if progress is not None:
            progress(len(parts), len(work))
    first = [parts[seed, RANDOM] for seed in seeds]
    return Outcome(
        {name: [parts[seed, name].run for seed in seeds] for name in arena.names},
        [part.full for part in first if part.full is not None],
        [part.sizes for part in first],
    )


def _here(arena: Arena, work: Sequence[tuple[int, str]]) -> Iterator[_Part]:
    bench = _Bench(arena)
    for seed, name in work:
        yield bench.one(seed, name)


def _apart(arena: Arena, work: Sequence[tuple[int, str]], jobs: int) -> Iterator[_Part]:
    context = multiprocessing.get_context("spawn")
    others = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(min(jobs, len(work)), mp_context=context, initializer=_begin, initargs=(arena,))
    try:
        for done in as_completed([pool.submit(_one, seed, name) for seed, name in work]):
            yield done.result()
    except BrokenProcessPool as error:
        raise HitlError(
            "a process of the simulation was ended from outside",
            where="--jobs",
            remedy="Most often memory ran out: use fewer --jobs.",
        ) from error
    finally:
        mine = set(multiprocessing.active_children()) - others
        pool.shutdown(wait=False, cancel_futures=True)
        for child in mine:  # after an interrupt or an error nobody waits for the rest
            child.terminate()


class _Bench:
    """Makes runs, and keeps the last seed's ground, which several runs share."""

    def __init__(self, arena: Arena) -> None:
        self.arena = arena
        self._ground: Ground | None = None
        self._new: Callable[[], Backend] | None = None

    def one(self, seed: int, name: str) -> _Part:
        """Make one run."""
        import scipy.linalg  # noqa: F401 - each library that brings threads is there before they are limited
        import sklearn.utils.extmath  # noqa: F401
        from threadpoolctl import threadpool_limits

        with threadpool_limits(1):
            return self._one(seed, name)

    def _one(self, seed: int, name: str) -> _Part:
        arena = self.arena
        if self._ground is None or self._new is None or self._ground.seed != seed:
            self._ground = arena.ground(seed)
            self._new = arena.maker(self._ground)
        ground, new = self._ground, self._new
        notes: list[str] = []
        full = full_score(ground, new, arena.metric) if name == RANDOM else None
        goal = 0.0 if full is None else full * arena.far_share
        run = learn(ground, new, arena.picker(name, notes), arena.plan, arena.metric, goal=goal)
        return _Part(name, seed, replace(run, stand_ins=tuple(notes)), full, (len(ground.ids), len(ground.test)))


_bench: _Bench | None = None


def _begin(arena: Arena) -> None:
    """Prepare a process of the pool: an interrupt is the parent's to answer."""
    global _bench
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _bench = _Bench(arena)


def _one(seed: int, name: str) -> _Part:
    assert _bench is not None
    return _bench.one(seed, name)
