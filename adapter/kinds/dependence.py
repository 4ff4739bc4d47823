"""Dependence between controls: which of them a person could see, given that person's other answers.

The page of Label Studio hides a control while a condition of `visibleWhen` does not hold, and does not submit what
stands in it. So "no answer" there is neither an answer ("none of these") nor a disagreement with those who saw it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from adapter.vocabulary import Control, LabelSpace, Shown, Value

_TAXONOMY_STEP = " / "


def visible(space: LabelSpace, control: Control, values: Mapping[str, Value]) -> bool:
    """Return whether the page shows a control beside these values of one annotation (control name to canonical value;
    a control without one was left empty).

    A control that is not visible has no vote from this person. `region-selected` holds if there is any such region to
    select: for a control that is asked of each region, whether it may hang on some region at all. `no-region-selected`
    can always be brought about, and a condition on a control that is not served cannot be judged: both hold.
    """
    return all(_holds(space, condition, values, frozenset({control.name})) for condition in control.shown_when)


def _holds(space: LabelSpace, shown: Shown, values: Mapping[str, Value], asked: frozenset[str]) -> bool:
    if shown.when == "no-region-selected":
        return True
    if shown.when == "region-selected":
        return _any_region(space, shown, values)
    if shown.when in ("choice-selected", "choice-unselected"):
        return _any_choice(space, shown, values, asked) == (shown.when == "choice-selected")
    return True


def _any_choice(space: LabelSpace, shown: Shown, values: Mapping[str, Value], asked: frozenset[str]) -> bool:
    if shown.control:
        known = next((each for each in space.controls if each.name == shown.control), None)
        if known is None:
            # Not served: what was chosen there is unknown, and the dependent control must not be lost for that.
            return shown.when == "choice-selected"
        if known.name not in asked and not all(
            _holds(space, each, values, asked | {known.name}) for each in known.shown_when
        ):
            return False
        controls = [known]
    else:
        controls = [
            each for each in space.controls if each.name not in asked and _kind(each) in ("choices", "taxonomy")
        ]
    chosen = [label for each in controls for label in _labels(values.get(each.name))]
    if not shown.labels:
        return bool(chosen)
    return any(label == wanted or _leaf(label) == wanted for label in chosen for wanted in shown.labels)


def _any_region(space: LabelSpace, shown: Shown, values: Mapping[str, Value]) -> bool:
    if shown.control and all(each.name != shown.control for each in space.controls):
        return True
    wanted = set(shown.labels)
    for control in space.controls:
        if shown.control and control.name != shown.control:
            continue
        for entry in _entries(values.get(control.name)):
            labels = entry.get("labels") if "type" in entry else _labels(entry.get("value"))
            if ("type" in entry or "region" in entry) and (not wanted or wanted & set(labels or ())):
                return True
    return False


def _labels(value: Value) -> Iterator[str]:
    """Yield the labels that a value chooses; those of every region where it is asked of each."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield str(value)
    elif isinstance(value, Sequence):
        for part in value:
            yield from _labels(part.get("value") if isinstance(part, Mapping) else part)


def _entries(value: Value) -> Iterator[Mapping[str, Value]]:
    if isinstance(value, Sequence) and not isinstance(value, str):
        yield from (part for part in value if isinstance(part, Mapping))


def _kind(control: Control) -> str:
    return control.inner.kind if control.inner is not None else control.kind


def _leaf(label: str) -> str:
    """Return the last step of a taxonomy's path, which is what conditions name."""
    return label.rsplit(_TAXONOMY_STEP, 1)[-1]
