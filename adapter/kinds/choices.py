"""Choices, single and multiple: `<Choices>` of Label Studio.

The canonical value is a tuple of label names in the label config's order. Single: exactly one. Multiple: any number;
the empty tuple says "none of them holds", which only a control that is not required lets a person say.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from numbers import Integral

import numpy as np
import numpy.typing as npt

from adapter.errors import LabelConfigError, LabelError, UnsupportedControl, nearest
from adapter.kinds.base import Tag
from adapter.ports import Floats
from adapter.vocabulary import Control, JsonObject, Value

DEFAULT_SKILL = 0.9
"""Accuracy of an annotator of whom nothing is known."""
_CERTAIN = 1e-6  # an accuracy of exactly 0 or 1 would let one vote outweigh all others, and contradict itself
_TIE = 1e-9
_VARIABLE = re.compile(r"\$[\w\[{]")
_MODES = ("single", "single-radio", "multiple")


class Choices:
    """The kind of `<Choices>`: whole-task labels from a fixed list."""

    name = "choices"
    tags = ("Choices",)

    def control(self, tag: Tag) -> Control:
        """Parse `<Choices>`. Raises LabelConfigError for no or doubled labels, UnsupportedControl for trees of choices,
        choices for each region or item, and choices that come from task data."""
        name, to_name = tag.attributes.get("name", ""), tag.attributes.get("toName", "")
        where = f"<Choices name='{name}'>"
        mode = tag.attributes.get("choice", "single")
        if mode not in _MODES:
            raise LabelConfigError(f"choice='{mode}' is no mode", where=where, remedy=nearest(mode, _MODES))
        self._refuse_unserved(tag, where)
        return Control(
            name=name,
            kind=self.name,
            to_name=to_name,
            object_tag=tag.objects[to_name].name,
            field=_field(tag.objects[to_name]),
            labels=_labels(tag, where),
            multiple=mode == "multiple",
            required=_true(tag, "required"),
        )

    def _refuse_unserved(self, tag: Tag, where: str) -> None:
        for attribute, thing in (("perRegion", "each region"), ("perItem", "each item of a list")):
            if _true(tag, attribute):
                raise UnsupportedControl(
                    f"{attribute}='true' asks for choices on {thing}; only choices on the whole task are served",
                    where=where,
                    remedy=f"Remove {attribute}, or keep this control in a project of its own.",
                )
        if tag.attributes.get("value", "").startswith("$") or tag.attributes.get("apiUrl"):
            raise UnsupportedControl(
                "its choices come from task data, so every task may have other labels",
                where=where,
                remedy="List the labels as <Choice value='...'/> elements.",
            )
        if _true(tag, "allowNested") or any(_choices(child) for choice in _choices(tag) for child in choice.children):
            raise UnsupportedControl(
                "its choices form a tree; only a flat list of choices is served",
                where=where,
                remedy="Write the choices side by side without allowNested, or keep them in another project.",
            )

    def canonical(self, control: Control, value: object) -> Value:
        """Return a tuple of labels in the config's order from a label, a whole number that is one, or a collection.
        Raises LabelError for labels outside the control, and for the wrong number of them."""
        chosen = (
            list(value)
            if isinstance(value, Sequence | set | frozenset) and not isinstance(value, str | bytes)
            else [value]
        )
        labels: set[str] = set()
        for item in chosen:
            label = str(item) if isinstance(item, Integral) and not isinstance(item, bool) else item
            if not isinstance(label, str) or label not in control.labels:
                raise LabelError(
                    f"'{_short(item)}' is not a label of '{control.name}'",
                    remedy=nearest(str(_short(item)), control.labels),
                )
            labels.add(label)
        if not control.multiple and len(labels) != 1:
            raise LabelError(
                f"'{control.name}' takes exactly one label, got {len(labels)}",
                remedy="Give one label, or set choice='multiple' in the label config.",
            )
        if control.multiple and control.required and not labels:
            raise LabelError(f"'{control.name}' is required and got no label", remedy="Give at least one label.")
        return tuple(label for label in control.labels if label in labels)

    def read(self, control: Control, result: Sequence[JsonObject]) -> Value | None:
        """Return this control's labels in an annotation's result.

        Label Studio writes no item at all when nothing is chosen. For a multiple control that is not required this is
        an answer, "none of them holds", and reads as the empty tuple; otherwise it is None. Raises LabelError.
        """
        chosen: list[object] = []
        for item in result:
            if not isinstance(item, Mapping) or item.get("from_name") != control.name:
                continue
            value = item.get("value")
            labels = value.get("choices") if isinstance(value, Mapping) else None
            if isinstance(labels, str):
                labels = [labels]
            if not isinstance(labels, list | tuple):
                raise LabelError(
                    f"an item of '{control.name}' holds no list of choices",
                    remedy="Open the annotation in Label Studio and submit it again.",
                )
            chosen += labels
        if not chosen:
            return () if control.multiple and not control.required else None
        return self.canonical(control, chosen)

    def write(self, control: Control, value: Value) -> list[JsonObject]:
        """Return one result item with these labels; none for the empty value, as Label Studio does."""
        labels = self.canonical(control, value)
        if not labels:
            return []
        return [
            {
                "from_name": control.name,
                "to_name": control.to_name,
                "type": "choices",
                "value": {"choices": list(labels)},
            }
        ]

    def distance(self, control: Control, a: Value, b: Value) -> float:
        """Return 0 or 1 for single choices, the MASI distance for multiple ones.

        MASI (Passonneau, LREC 2006): 1 - J * M with the Jaccard index J, and M = 1 for equal sets, 2/3 if one holds the
        other, 1/3 if they overlap, 0 if they share nothing. Two empty sets are equal.
        """
        left, right = set(a), set(b)
        if left == right:
            return 0.0
        if not control.multiple or not left & right:
            return 1.0
        monotony = 2 / 3 if left < right or right < left else 1 / 3
        return 1.0 - monotony * len(left & right) / len(left | right)

    def target(self, control: Control, value: Value) -> Floats:
        """Return (k,): 1 for each label of the value, 0 for the others."""
        labels = set(self.canonical(control, value))
        return np.array([label in labels for label in control.labels], dtype=np.float32)

    def decide(self, control: Control, probabilities: Floats) -> tuple[Value, float]:
        """Return the likeliest value and the probability that exactly this value is right.

        Single: the first label with the greatest probability. Multiple: every label with at least .5, labels taken as
        independent; a required control gets its likeliest label where none reaches .5. Raises ValueError on NaN.
        """
        p = np.asarray(probabilities, dtype=np.float64)
        if not np.isfinite(p).all():
            raise ValueError("probabilities hold NaN: nothing can be decided; leave this row out")
        best = int(p.argmax())
        if not control.multiple:
            return (control.labels[best],), float(np.clip(p[best], 0.0, 1.0))
        chosen = p >= 0.5
        if control.required and not chosen.any():
            chosen[best] = True
        value = tuple(label for label, taken in zip(control.labels, chosen, strict=True) if taken)
        return value, float(np.clip(np.where(chosen, p, 1.0 - p), 0.0, 1.0).prod())

    def uncertainty(self, control: Control, probabilities: Floats, strategy: str) -> Floats:
        """Return (n,) in 0..1, 1 most uncertain; a row of NaN stays NaN. Strategies as in Settles (2009), section 3.1:
        `margin` between the two likeliest, `entropy`, `least-confidence`, each divided by its greatest possible value.
        Multiple: the greatest over the labels of the same figure for "holds or not". Raises ValueError."""
        p = np.asarray(probabilities, dtype=np.float64)
        scores = _uncertainty(np.stack([p, 1.0 - p], axis=-1), strategy).max(axis=1) if control.multiple else None
        return np.asarray(_uncertainty(p, strategy) if scores is None else scores, dtype=np.float32)

    def merge(
        self, control: Control, votes: Mapping[str, Value], skill: Mapping[str, float]
    ) -> tuple[Value | None, Floats]:
        """Consolidate people's values into the likeliest one, None on a tie or without votes, and the posterior (k,).

        Annotators err independently; one of accuracy a gives each wrong label with (1 - a) / (k - 1) (one-coin model:
        Dawid and Skene 1979 with tied confusion), and the prior is uniform. Multiple: each label is such a case of two.
        """
        k = len(control.labels)
        index = {label: number for number, label in enumerate(control.labels)}
        # Log odds of each label against one that nobody chose; multiple: against "does not hold".
        score = np.zeros(k, dtype=np.float64)
        for annotator, value in votes.items():
            accuracy = min(max(skill.get(annotator, DEFAULT_SKILL), _CERTAIN), 1.0 - _CERTAIN)
            chosen = [index[label] for label in self.canonical(control, value)]
            if control.multiple:
                weight = math.log(accuracy / (1.0 - accuracy))
                score += np.where(np.isin(np.arange(k), chosen), weight, -weight)
            elif k > 1:
                score[chosen[0]] += math.log(accuracy * (k - 1) / (1.0 - accuracy))
        if control.multiple:
            return self._merge_multiple(control, score, bool(votes))
        odds = np.exp(score - score.max())
        posterior = (odds / odds.sum()).astype(np.float32)
        top = np.sort(score)[::-1]
        tied = not votes or (k > 1 and top[0] - top[1] < _TIE)
        return (None if tied else (control.labels[int(score.argmax())],)), posterior

    def _merge_multiple(
        self, control: Control, score: npt.NDArray[np.float64], voted: bool
    ) -> tuple[Value | None, Floats]:
        posterior = (1.0 / (1.0 + np.exp(-np.clip(score, -700, 700)))).astype(np.float32)
        value = tuple(label for label, odds in zip(control.labels, score, strict=True) if odds > 0)
        unsettled = not voted or bool((np.abs(score) < _TIE).any()) or (control.required and not value)
        return (None if unsettled else value), posterior

    def disagreement(self, control: Control, a: Value, b: Value) -> str:
        """Say in words how two values differ."""
        if tuple(a) == tuple(b):
            return "no difference"
        if not control.multiple:
            return f"{_listed(a)} against {_listed(b)}"
        parts = [
            f"only the {who} says {_listed(only)}"
            for who, only in (("first", [x for x in a if x not in b]), ("second", [x for x in b if x not in a]))
            if only
        ]
        return "; ".join(parts)


def _uncertainty(p: npt.NDArray[np.float64], strategy: str) -> npt.NDArray[np.float64]:
    """Uncertainty along the last axis (k classes that exclude each other), normalised to 0..1."""
    k = p.shape[-1]
    if strategy not in ("margin", "entropy", "least-confidence"):
        remedy = nearest(strategy, ("margin", "entropy", "least-confidence"))
        raise ValueError(f"unknown strategy '{strategy}'. {remedy}")
    if k < 2:
        return np.where(np.isnan(p), np.nan, 0.0).reshape(p.shape[:-1])
    if strategy == "margin":
        two = np.partition(p, k - 2, axis=-1)[..., -2:]
        scores = 1.0 - np.abs(two[..., 1] - two[..., 0])
    elif strategy == "entropy":
        scores = -(p * np.log(np.where(p > 0, p, 1.0))).sum(axis=-1) / math.log(k)
    else:
        scores = (1.0 - p.max(axis=-1)) * k / (k - 1)
    # partition sorts NaN last, so a row with one NaN must be marked by hand
    clipped: npt.NDArray[np.float64] = np.where(np.isnan(p).any(axis=-1), np.nan, np.clip(scores, 0.0, 1.0))
    return clipped


def _choices(tag: Tag) -> Iterator[Tag]:
    """Yield the outermost `Choice` elements at or below a tag: `Choices` may lay them out with `View` and `Header`."""
    if tag.name == "Choice":
        yield tag
        return
    for child in tag.children:
        yield from _choices(child)


def _labels(tag: Tag, where: str) -> tuple[str, ...]:
    labels: list[str] = []
    for choice in _choices(tag):
        # Label Studio's page writes the alias into results where there is one, else the value.
        label = choice.attributes.get("alias") or choice.attributes.get("value", "")
        if not label.strip():
            raise LabelConfigError("a <Choice> has no value", where=where, remedy="Give each <Choice> a value.")
        if choice.attributes.get("alias") == "":
            raise LabelConfigError(
                f"<Choice value='{label}'> has an empty alias, and Label Studio would write an empty label",
                where=where,
                remedy="Remove the alias, or fill it.",
            )
        if _VARIABLE.search(label):
            raise UnsupportedControl(
                f"the choice '{label}' takes its label from task data",
                where=where,
                remedy="Write the label itself.",
            )
        if label in labels:
            raise LabelConfigError(
                f"the label '{label}' is there twice", where=where, remedy="Remove or rename one of them."
            )
        labels.append(label)
    if not labels:
        raise LabelConfigError("it lists no labels", where=where, remedy="Add <Choice value='...'/> elements.")
    return tuple(labels)


def _field(tag: Tag) -> str:
    return (tag.attributes.get("valueList") or tag.attributes.get("value", "")).removeprefix("$")


def _true(tag: Tag, attribute: str) -> bool:
    return tag.attributes.get(attribute, "").lower() == "true"


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _listed(labels: Sequence[str]) -> str:
    return ", ".join(f"'{label}'" for label in labels) or "none"


KIND = Choices()
