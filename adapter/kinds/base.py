"""The seam of kinds: everything particular to one kind of label, behind one Protocol.

A new kind is one new file in this folder that holds `KIND = <an object with these methods>`; nothing else changes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from adapter.ports import Floats
from adapter.vocabulary import Control, JsonObject, Value


@dataclass(frozen=True, slots=True)
class Tag:
    """One element of a label config, safely parsed: name, attributes, child elements, and the object tags by their
    name."""

    name: str
    attributes: Mapping[str, str]
    children: tuple[Tag, ...] = ()
    objects: Mapping[str, Tag] = field(default_factory=dict)


class Kind(Protocol):
    """One kind of label. Result JSON is Label Studio's; values are canonical (see `vocabulary.Value`)."""

    name: str
    tags: tuple[str, ...]

    def control(self, tag: Tag) -> Control:
        """Parse the control. Raises LabelConfigError, or UnsupportedControl with the reason."""
        ...

    def canonical(self, control: Control, value: object) -> Value:
        """Return the canonical value (after JSON, or from an author). Raises LabelError for labels outside the
        control."""
        ...

    def read(self, control: Control, result: Sequence[JsonObject]) -> Value | None:
        """Return the value of this control in an annotation's result; None if the person left it empty. Raises
        LabelError."""
        ...

    def write(self, control: Control, value: Value) -> list[JsonObject]:
        """Return the result items that show this value in Label Studio; the inverse of `read`."""
        ...

    def distance(self, control: Control, a: Value, b: Value) -> float:
        """Return how unlike two values are, 0 (same) to 1."""
        ...

    def target(self, control: Control, value: Value) -> Floats:
        """Return the training target, shape (k,): one-hot, or multi-hot if `control.multiple`."""
        ...

    def decide(self, control: Control, probabilities: Floats) -> tuple[Value, float]:
        """Return the value that probabilities (k,) stand for and the confidence that exactly this value is right."""
        ...

    def uncertainty(self, control: Control, probabilities: Floats, strategy: str) -> Floats:
        """Return (n,) in 0..1 for probabilities (n, k); 1 is most uncertain. Strategy: margin, entropy,
        least-confidence."""
        ...

    def merge(
        self, control: Control, votes: Mapping[str, Value], skill: Mapping[str, float]
    ) -> tuple[Value | None, Floats]:
        """Consolidate people's values. votes: annotator to value. skill: annotator to accuracy in 0..1. Return the
        value (None on a tie) and the posterior (k,)."""
        ...

    def disagreement(self, control: Control, a: Value, b: Value) -> str:
        """Say in words how two values differ."""
        ...
