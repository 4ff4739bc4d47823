"""Stand-ins for models of labels at random: trained on tasks drawn at random from the pool, each with people's label
where there is one and the present model's answer where there is none. See `core.saving`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from adapter.bundle import Bundle
from adapter.core.saving import TIMES, Rivals
from adapter.core.stopping import Codes, same
from adapter.kinds import label_kind_of
from adapter.ports import Floats
from adapter.stages.context import Project
from adapter.stages.progress_seen import CHUNK, Rows, decisions
from adapter.stages.train_jobs import Gold
from adapter.training import ControlJob
from adapter.vocabulary import Control, JsonObject, ModelVersion

MOST_DRAWN = 20_000
"""Tasks that are drawn at most; with more than a quarter of that many labels the largest stand-ins are left out."""
MODELS = ((4, 4, 2, 1), (2, 2, 2, 0), (2, 2, 0, 0), (0, 2, 0, 0))
"""Stand-ins of each of `TIMES`, by how long they may take: a draw's luck is greater with few labels, and large ones
cost most."""


def cost(counts: Sequence[int]) -> float:
    """Return what stand-ins cost, in trainings of the present model."""
    return sum(times * count for times, count in zip(TIMES, counts, strict=True))


def labels_in(model: ModelVersion, control: Control) -> int:
    """Return how many of people's labels a model was trained on."""
    return int((model.metrics.get("labels") or {}).get(control.name, 0))


@dataclass(frozen=True, eq=False)
class StandIns:
    """A measurement on the r rows of a shadow. version, labels: of the present model then. present: its decisions
    (r, b). sizes (m,), codes: m arrays of decisions (r, b). margins (r, m): by the present model's probabilities, how
    much more likely its decision is right than the stand-in's."""

    version: str
    labels: int
    present: Codes
    sizes: npt.NDArray[np.int64]
    codes: tuple[Codes, ...]
    margins: Floats

    def note(self, project: Project) -> dict[str, Any]:
        """Put the arrays away and return what finds them again."""
        put = project.artifacts.put_array
        return {
            "version": self.version,
            "labels": self.labels,
            "present": put(self.present)[0],
            "sizes": put(self.sizes)[0],
            "codes": put(np.concatenate(self.codes, axis=1))[0],
            "margins": put(self.margins.astype(np.float16))[0],
        }

    @staticmethod
    def kept(project: Project, note: Mapping[str, Any]) -> StandIns:
        """Return what `note` put away."""
        present, sizes, codes, margins = (
            project.artifacts.get_array(note[part]) for part in ("present", "sizes", "codes", "margins")
        )
        each = tuple(np.split(codes, len(sizes), axis=1))
        return StandIns(str(note["version"]), int(note["labels"]), present, sizes, each, margins.astype(np.float32))


@dataclass(frozen=True, eq=False)
class Draws:
    """What stand-ins learn from. parts: rows of the pool for each model. data, targets (k,): by row. probabilities
    (r, k): the present model's on the rows that measure."""

    version: str
    labels: int
    parts: tuple[Rows, ...]
    data: Mapping[int, Any]
    ids: Mapping[int, str]
    targets: Mapping[int, npt.NDArray[np.float32]]
    probabilities: Floats


def draw(
    project: Project,
    control: Control,
    gold: Gold,
    current: ModelVersion,
    measuring: Sequence[Any],
    counts: Sequence[int] = MODELS[0],
) -> Draws:
    """Draw the stand-ins' tasks and ask the present model about them and about the examples that measure. counts: of
    the stand-ins, see `MODELS`."""
    labels = labels_in(current, control)
    index = project.store.tasks.index(project.name)
    groups = np.where(index.duplicate_of >= 0, index.duplicate_of, np.arange(len(index)))
    free = np.setdiff1d(np.flatnonzero((index.duplicate_of < 0) & ~index.blind), groups[index.blind])
    largest = max(times for times, count in zip(TIMES, counts, strict=True) if count)
    most = min(max(int(largest * labels), 1), max(MOST_DRAWN, labels), len(free))
    rng = np.random.default_rng(project.settings.stop.seed)
    rows = rng.permutation(free)[:most]
    bundle = Bundle.load(project.artifacts.get_folder(current.uri), places=project.places)
    kind = label_kind_of(control)
    known = {task.seq: kind.target(control, value) for task, value, _ in gold.train}
    data: dict[int, Any] = {}
    ids: dict[int, str] = {}
    targets: dict[int, npt.NDArray[np.float32]] = {}
    for start in range(0, len(rows), CHUNK):
        tasks = project.store.tasks.at(project.name, [int(row) for row in rows[start : start + CHUNK]])
        said = _asked(bundle, control, [task.data for task in tasks])
        for task, likely in zip(tasks, said, strict=True):
            if task.seq in known:
                targets[task.seq] = np.asarray(known[task.seq], np.float32)
            elif np.isnan(likely).any():  # nobody could have learned from it either
                continue
            else:
                targets[task.seq] = np.asarray(kind.target(control, kind.decide(control, likely)[0]), np.float32)
            data[task.seq], ids[task.seq] = task.data, task.id
    usable = np.array([row for row in rows.tolist() if row in targets], np.int64)
    return Draws(
        version=current.version,
        labels=labels,
        parts=parts_of(usable, labels, counts),
        data=data,
        ids=ids,
        targets=targets,
        probabilities=_asked(bundle, control, measuring),
    )


def _asked(bundle: Bundle, control: Control, examples: Sequence[Any]) -> Floats:
    parts = [
        bundle.predict(examples[start : start + CHUNK], controls=[control.name])[control.name]
        for start in range(0, len(examples), CHUNK)
    ]
    return np.concatenate(parts) if parts else np.empty((0, len(control.labels)), np.float32)


def parts_of(rows: Rows, labels: int, counts: Sequence[int] = MODELS[0]) -> tuple[Rows, ...]:
    """Return the tasks of each stand-in, sizes ascending: parts that do not overlap where the n rows, which are in
    random order, are enough. Sizes beyond the rows are left out."""
    parts = []
    for times, count in zip(TIMES, counts, strict=True):
        size = max(round(times * labels), 2)
        if labels and size <= len(rows):
            parts += [np.roll(rows, -size * number)[:size] for number in range(count)]
    return tuple(parts)


def jobs_of(
    project: Project,
    control: Control,
    drawn: Draws,
    measuring: Sequence[Any],
    pool: tuple[JsonObject, ...] = (),
) -> dict[int, ControlJob]:
    """Return number of a stand-in to its training; those with nothing to tell apart are left out. pool: tasks that the
    backend learns from without labels, as the present model did."""
    settings = project.backend_of(control)
    jobs: dict[int, ControlJob] = {}
    for number, part in enumerate(drawn.parts):
        rows = part.tolist()
        targets = np.stack([drawn.targets[row] for row in rows])
        if (targets == targets[0]).all():
            continue
        jobs[number] = ControlJob(
            name=f"{control.name} stand-in {number}",
            labels=control.labels,
            multiple=control.multiple,
            fields=control.fields or (control.field,),
            ids=tuple(drawn.ids[row] for row in rows),
            examples=tuple(drawn.data[row] for row in rows),
            targets=targets,
            weights=np.ones(len(rows), np.float32),
            groups=tuple(str(row) for row in rows),
            gate_examples=tuple(measuring),
            backend=settings.path,
            options=dict(settings.options),
            pool=pool,
        )
    return jobs


def measured(
    control: Control, drawn: Draws, jobs: Mapping[int, ControlJob], answers: Mapping[str, Floats]
) -> StandIns | None:
    """Return what the stand-ins decided; None where there are none of as many labels as the present model has."""
    sizes = np.array([len(part) for part in drawn.parts], np.int64)
    if drawn.labels not in sizes:
        return None
    codes, margins = [], []
    own = likelihood(control, drawn.probabilities, decisions(control, drawn.probabilities))
    for number, part in enumerate(drawn.parts):
        if number in jobs:
            said = answers[jobs[number].name]
        else:
            said = np.repeat(drawn.targets[int(part[0])][None], len(drawn.probabilities), axis=0)
        codes.append(decisions(control, said))
        margins.append(own - likelihood(control, drawn.probabilities, codes[-1]))
    present = decisions(control, drawn.probabilities)
    return StandIns(drawn.version, drawn.labels, present, sizes, tuple(codes), np.stack(margins, axis=1))


def likelihood(control: Control, probabilities: Floats, codes: Codes) -> Floats:
    """Return (n,) how likely decisions are right by these probabilities (n, k); several labels are taken as
    independent. 0 where either is not known."""
    chosen = np.unpackbits(codes[:, 1:], axis=1)[:, : probabilities.shape[1]].astype(bool)
    p = np.nan_to_num(np.asarray(probabilities, np.float32))
    likely = np.where(chosen, p, 1 - p).prod(axis=1) if control.multiple else (p * chosen).sum(axis=1)
    known = (codes[:, 0] == 1) & ~np.isnan(probabilities).any(axis=1)
    found: Floats = np.where(known, likely, 0.0).astype(np.float32)
    return found


def rivals(found: StandIns, blind: npt.NDArray[np.bool_], truth: Codes, outside: npt.NDArray[np.bool_]) -> Rivals:
    """Return the comparison. blind (r,): rows with people's labels. truth (n, b): these. outside (r,): rows without."""
    both = blind | outside
    right = same(found.present[blind], truth).astype(np.float64)
    differ, better, apart, expected = [], [], [], []
    sizes = np.unique(found.sizes)
    for size in sizes:
        models = np.flatnonzero(found.sizes == size)
        unlike = np.stack([~same(found.codes[m], found.present) for m in models], axis=1)
        hits = np.stack([same(found.codes[m][blind], truth) for m in models], axis=1)
        differ.append(unlike[blind].mean(axis=1))
        apart.append(unlike[outside].mean(axis=1))
        better.append(right - hits.mean(axis=1))
        count = unlike[both].sum()
        margin = (unlike * found.margins[:, models])[both].sum()
        expected.append(float(np.clip(margin / count, -1.0, 1.0)) if count else 0.0)
    return Rivals(
        labels=found.labels,
        right=right,
        sizes=sizes.astype(np.float64),
        differ=np.stack(differ, axis=1),
        better=np.stack(better, axis=1),
        outside=np.stack(apart, axis=1),
        expected=np.array(expected),
    )


__all__ = [
    "MODELS",
    "Draws",
    "StandIns",
    "cost",
    "draw",
    "jobs_of",
    "labels_in",
    "likelihood",
    "measured",
    "parts_of",
    "rivals",
]
