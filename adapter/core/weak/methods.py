"""The consolidators there are, by name."""

from __future__ import annotations

from adapter.core.weak.abstain_em import AbstainEM
from adapter.core.weak.base import Consolidator
from adapter.core.weak.label_model import LabelModel
from adapter.core.weak.majority import Majority
from adapter.core.weak.noisy_or import NoisyOr
from adapter.core.weak.semi_supervised import SemiSupervised
from adapter.core.weak.snorkel import SnorkelLabelModel
from adapter.core.weak.weighted import WeightedVote

SNORKEL = SnorkelLabelModel()


def consolidators(multiple: bool, named: str = "") -> dict[str, Consolidator]:
    """Return the consolidators that fit a control, by name; multiple: several labels may hold at once.

    named: what the policy asks for. Snorkel's own class is among them only then: `label-model` gives its probabilities
    in a twentieth of its time and memory.
    """
    found: tuple[Consolidator, ...] = (Majority(), WeightedVote(), LabelModel(), AbstainEM(), SemiSupervised())
    if multiple:
        found = (NoisyOr(), WeightedVote())
    elif named == SNORKEL.name:
        found = (*found, SNORKEL)
    return {one.name: one for one in found}
