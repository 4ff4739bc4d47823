"""How weak labels are used in training: compared on the blind sample at every training, fading, retired."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from adapter.bundle import Bundle
from adapter.core.crossover import WeakUse, compare, judge
from adapter.ports import Floats
from adapter.stages.context import Project
from adapter.stages.evidence import WEAK_NOTE
from adapter.training import TrainResult
from adapter.vocabulary import Control

WEAK_USE_NOTE = "weak_use"
"""Note of a project: control to `core.crossover.WeakUse`."""
Right = Callable[[Control, Floats], npt.NDArray[np.bool_]]


def weak_uses(project: Project) -> dict[str, WeakUse]:
    """Return how weak labels of each control are used; labeling functions that changed start all over."""
    notes = project.store.projects.notes(project.name, WEAK_USE_NOTE, WEAK_NOTE)
    noted, weak = notes.get(WEAK_USE_NOTE) or {}, notes.get(WEAK_NOTE) or {}
    return {
        control.name: WeakUse.of(noted.get(control.name), str(weak.get(control.name, {}).get("made_of", "")))
        for control in project.learned
    }


def keep_weak_uses(project: Project, uses: Mapping[str, WeakUse]) -> None:
    """Note them. Called when the training that they follow from stands in the store."""
    project.store.projects.note(project.name, WEAK_USE_NOTE, {name: use.as_json() for name, use in uses.items()})


def with_or_without(
    project: Project, result: TrainResult, right: Right, labels: Mapping[str, int], folder: Path, version: str
) -> tuple[TrainResult, dict[str, WeakUse]]:
    """Let the blind sample decide, control by control, whether the model with weak labels or the one without becomes
    the candidate. Return it, and how weak labels are used from now on.

    right: control and gate predictions (g, k) to (g,) whether each is right. labels: control to people's labels in
    training. folder: where a candidate of mixed parts may be written. version: of the training, for the record.
    """
    uses, rival = weak_uses(project), result.rival
    if rival is None:
        return result, uses
    metrics = {name: dict(about) for name, about in result.metrics["controls"].items()}
    swapped = []
    for control in project.learned:
        name = control.name
        if name not in rival.gate_predictions:
            continue
        ours, theirs = right(control, result.gate_predictions[name]), right(control, rival.gate_predictions[name])
        preferred = metrics[name]["weak_weight"] > 0
        found = compare(ours, theirs) if preferred else compare(theirs, ours)
        policy = project.settings.train
        uses[name], with_weak = judge(
            uses[name], found, policy, version=version, labels=labels[name], preferred=preferred
        )
        metrics[name] |= {"crossover": asdict(found), "weak_use": uses[name].sentence()}
        if with_weak != preferred:
            swapped.append(name)
            metrics[name]["weak_weight"] = metrics[name]["rival_weight"]
            metrics[name]["weak"] = metrics[name]["weak_available"] if with_weak else 0
    used = any(about.get("weak_weight", 0) > 0 for about in metrics.values())  # regions have none
    result = replace(result, metrics={**result.metrics, "controls": metrics}, used_weak=used)
    if not swapped:
        return result, uses
    mixed, other = (Bundle.load(one.bundle_folder, places=project.places) for one in (result, rival))
    mixed.backends.update({name: other.backends[name] for name in swapped})
    mixed.save(folder / "mixed")
    return (
        replace(
            result,
            bundle_folder=folder / "mixed",
            gate_predictions={**result.gate_predictions, **{name: rival.gate_predictions[name] for name in swapped}},
            heldout={**result.heldout, **{name: rival.heldout[name] for name in swapped}},
        ),
        uses,
    )
