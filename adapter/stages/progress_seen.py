"""What every trained model says of the same random tasks: the ground of stopping and of the live proof.

The tasks are a random draw of the pool (the stop set) and the blind tasks that people see first. No label is needed
when a model's decisions are kept; a blind task that is labelled later measures all models, old ones too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from adapter.backend_loading import slow
from adapter.bundle import Bundle
from adapter.core.blind import blind_order, draws
from adapter.core.stopping import Codes, Seen, encode
from adapter.errors import HitlError
from adapter.kinds import label_kind_of
from adapter.ports import Floats
from adapter.stages.context import Project
from adapter.vocabulary import Control, ModelVersion

SEEN_NOTE = "models_seen"
"""Note of a project: the watched rows, and where each model's decisions on them lie."""
MOST_VERSIONS = 300
CHUNK = 500
SLOWER = 8
"""How much smaller the stop set is for backends that call themselves slow."""
CATCH_UP = 8
RECENT = 24
EARLIER = 24

Rows = npt.NDArray[np.int64]


def remember(project: Project, version: str) -> bool:
    """Keep what a trained model decides on the watched tasks, a few kilobytes; return whether anything was kept.

    Called after each training, promoted or not. The same version again does nothing. The note that names the artifacts
    is written last. Versions whose backend is costly, or whose labels are not those of the label config any more, are
    passed over. Raises ModelError on damaged files, BackendError when the model fails.
    """
    model = project.store.models.get(project.name, version)
    if model is None or version in {str(one["version"]) for one in _note(project)["versions"]}:
        return False
    bundle = Bundle.load(project.artifacts.get_folder(model.uri), places=project.places)
    names = [
        control.name
        for control in project.learned
        if bundle.labels.get(control.name) == control.labels and control.name not in bundle.marked
    ]
    if bundle.costly or not names:
        return False
    smaller = any(slow(bundle.backends[name]) for name in names)
    rows = watched(project, project.settings.stop.stop_set // (SLOWER if smaller else 1))
    if not len(rows):
        return False
    parts: dict[str, list[Codes]] = {name: [] for name in names}
    for start in range(0, len(rows), CHUNK):
        tasks = project.store.tasks.at(project.name, [int(row) for row in rows[start : start + CHUNK]])
        answers = bundle.predict([task.data for task in tasks], controls=names)
        for name in names:
            parts[name].append(decisions(project.space.control(name), answers[name]))
    labels = model.metrics.get("labels", {})
    entry = {
        "version": version,
        "number": model.number,
        "labels": {name: int(labels.get(name, 0)) for name in names},
        "rows": project.artifacts.put_array(rows)[0],
        "blind": project.artifacts.put_array(rows[project.store.tasks.index(project.name).blind[rows]])[0],
        "codes": {name: project.artifacts.put_array(np.concatenate(parts[name]))[0] for name in names},
    }
    note = _note(project)
    versions = sorted([*note["versions"], entry], key=lambda one: int(one["number"]))[-MOST_VERSIONS:]
    project.store.projects.note(project.name, SEEN_NOTE, {**note, "versions": versions})
    return True


def catch_up(project: Project, most: int = CATCH_UP) -> int:
    """Remember the current model and some of those before it that were not remembered when they were trained; return
    how many were. A version that cannot be loaded any more is passed over."""
    known = {str(one["version"]) for one in _note(project)["versions"]}
    models = project.store.models.all(project.name)
    current = project.store.models.current(project.name)
    missing = [model for model in models if model.version not in known]
    chosen: list[ModelVersion] = [model for model in missing if current and model.version == current.version]
    places = np.unique(np.linspace(0, len(missing) - 1, min(most, len(missing))).astype(int)) if missing else []
    chosen += [missing[place] for place in places if missing[place] not in chosen]
    done = 0
    for model in chosen:
        try:
            done += remember(project, model.version)
        except HitlError:
            continue
    return done


def watched(project: Project, size: int) -> Rows:
    """Return the rows of the pool on which models are watched, ascending: `size` tasks drawn by a seeded hash of their
    ids, and the first `size` of the blind sample in the order in which people see it; no copies of other tasks."""
    index = project.store.tasks.index(project.name)
    free = np.flatnonzero(index.duplicate_of < 0)
    chance = draws((str(index.ids[row]) for row in free), project.settings.stop.seed, "stop")
    stop = free[np.argsort(chance, kind="stable")[:size]]
    blind = free[index.blind[free]]
    order = blind_order((str(index.ids[row]) for row in blind), project.blind)
    found: Rows = np.union1d(stop, blind[np.argsort(order, kind="stable")[:size]])
    return found


def decisions(control: Control, probabilities: Floats) -> Codes:
    """Return what a model decides on n tasks, from its probabilities (n, k), see `core.stopping.encode`."""
    kind = label_kind_of(control)
    known = np.asarray(~np.isnan(probabilities).any(axis=1), bool)
    targets = np.zeros((len(probabilities), len(control.labels)), np.float32)
    for row in np.flatnonzero(known):
        targets[row] = kind.target(control, kind.decide(control, probabilities[row])[0])
    return encode(targets, known)


def truths(control: Control, values: Sequence[object]) -> Codes:
    """Return people's values of n tasks in the same code."""
    kind = label_kind_of(control)
    targets = [kind.target(control, value) for value in values]
    stacked = np.stack(targets) if targets else np.empty((0, len(control.labels)), np.float32)
    return encode(stacked, np.ones(len(targets), bool))


def seen(project: Project, control: Control) -> list[Seen]:
    """Return what the remembered models decided, by number of version: all of the newest RECENT, of those before them
    at most EARLIER, evenly on a log scale of labels."""
    width = 1 + (len(control.labels) + 7) // 8
    rows: dict[str, Rows] = {}
    found = []
    for one in _spaced([one for one in _note(project)["versions"] if control.name in one["codes"]], control.name):
        for name in {one["rows"], one["blind"]} - rows.keys():
            rows[name] = project.artifacts.get_array(name)
        codes = project.artifacts.get_array(one["codes"][control.name])
        if codes.ndim == 2 and codes.shape[1] == width:
            labels = int(one["labels"][control.name])
            found.append(Seen(str(one["version"]), labels, rows[one["rows"]], codes, rows[one["blind"]]))
    return found


def _spaced(versions: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    earlier, recent = versions[:-RECENT], versions[-RECENT:]
    if len(earlier) > EARLIER:
        logs = np.log([max(int(one["labels"][name]), 1) for one in earlier])
        wanted = np.linspace(logs.min(), logs.max(), EARLIER)
        earlier = [earlier[place] for place in sorted({int(np.abs(logs - one).argmin()) for one in wanted})]
    return earlier + recent


def _note(project: Project) -> Mapping[str, Any]:
    note = project.store.projects.notes(project.name, SEEN_NOTE).get(SEEN_NOTE) or {}
    versions = [one for one in note.get("versions", ()) if "blind" in one]  # earlier ones are remembered anew
    return {**note, "versions": versions}


__all__ = ["SEEN_NOTE", "catch_up", "decisions", "remember", "seen", "truths", "watched"]
