"""Gradient boosted trees of scikit-learn, kept as plain arrays: asked and stored without scikit-learn or pickle.

`HistGradientBoostingClassifier` (Ke et al. 2017, "LightGBM") trains; what its trees hold is then copied out, and
followed here by NumPy. The answers are scikit-learn's, to the last digits.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from backends.files import Arrays

Doubles = npt.NDArray[np.float64]
LEAF, MISSING_LEFT, CATEGORICAL = 1, 2, 4
AT_ONCE = 2_000_000
"""Positions (rows x trees) followed at a time."""
WORDS = 8  # of 32 bits each: the categories that go left


@dataclass(frozen=True)
class Trees:
    """Boosted trees. Of each node: the column it looks at, the threshold up to which numbers go left, flags, its
    children, its value (of leaves) and its set of categories. roots, outputs, turns (trees,): where each tree starts,
    which output it adds to, in which turn it was made. start (k,): the outputs without any tree."""

    column: npt.NDArray[np.int32]
    threshold: Doubles
    flags: npt.NDArray[np.uint8]
    left: npt.NDArray[np.int32]
    right: npt.NDArray[np.int32]
    value: Doubles
    group: npt.NDArray[np.int32]
    groups: npt.NDArray[np.uint32]
    roots: npt.NDArray[np.int32]
    outputs: npt.NDArray[np.int32]
    turns: npt.NDArray[np.int32]
    start: Doubles

    def logits(self, table: Doubles) -> Doubles:
        """Return outputs (n, k) for a table (n, columns): numbers, category numbers, NaN for what is missing."""
        out = np.tile(self.start, (len(table), 1))
        adds = (self.outputs[:, None] == np.arange(len(self.start))[None, :]).astype(np.float64)
        for rows in self._chunks(len(table)):
            out[rows] += self._leaves(table[rows]) @ adds
        return out

    def by_turn(self, table: Doubles) -> Doubles:
        """Return the outputs after each turn, (turns, n, k)."""
        count = int(self.turns.max()) + 1 if len(self.turns) else 0
        out = np.zeros((count, len(table), len(self.start)))
        for rows in self._chunks(len(table)):
            leaves = self._leaves(table[rows])
            for tree, (turn, output) in enumerate(zip(self.turns.tolist(), self.outputs.tolist(), strict=True)):
                out[turn, rows, output] += leaves[:, tree]
        return np.cumsum(out, axis=0) + self.start

    def _chunks(self, count: int) -> list[slice]:
        step = max(1, AT_ONCE // max(1, len(self.roots)))
        return [slice(first, first + step) for first in range(0, count, step)]

    def _leaves(self, table: Doubles) -> Doubles:
        """Return the values (n, trees) of the leaves that rows fall into."""
        at = np.tile(self.roots, (len(table), 1))
        rows = np.broadcast_to(np.arange(len(table))[:, None], at.shape)
        inner = (self.flags[at] & LEAF) == 0
        while inner.any():
            here, row = at[inner], rows[inner]
            x, flags = table[row, self.column[here]], self.flags[here]
            missing = np.isnan(x)
            code = np.where(missing, 0, x).astype(np.int64) & 0xFF
            word = self.groups[self.group[here], code >> 5] >> (code & 31).astype(np.uint32)
            goes = np.where(flags & CATEGORICAL, (word & 1) == 1, x <= self.threshold[here])
            goes = np.where(missing, (flags & MISSING_LEFT) > 0, goes)
            at[inner] = np.where(goes, self.left[here], self.right[here])
            inner = (self.flags[at] & LEAF) == 0
        return self.value[at]

    def arrays(self) -> Arrays:
        """Return what `from_arrays` needs."""
        return {f"trees.{name}": getattr(self, name) for name in self.__dataclass_fields__}

    @classmethod
    def from_arrays(cls, arrays: Arrays, columns: int) -> Trees:
        """Return the trees that were taken apart. columns: of the table. Raises KeyError or ValueError if the parts do
        not fit; trees that passed here come to an end for every row."""
        parts = {name: arrays[f"trees.{name}"] for name in cls.__dataclass_fields__}
        trees = cls(**parts)
        n, here = len(trees.column), np.arange(len(trees.column))
        nodes = (trees.column, trees.threshold, trees.flags, trees.left, trees.right, trees.value, trees.group)
        fit = all(part.shape == (n,) for part in nodes) and trees.groups.ndim == 2 and trees.groups.shape[1] == WORDS
        fit = fit and trees.roots.shape == trees.outputs.shape == trees.turns.shape and trees.start.ndim == 1
        kinds = {"threshold": "f", "value": "f", "start": "f", "flags": "u", "groups": "u"}
        fit = fit and all(part.dtype.kind == kinds.get(name, "i") for name, part in parts.items())
        if fit and n:
            inner = (trees.flags & LEAF) == 0
            for child in (trees.left, trees.right):
                fit = fit and bool(((child > here) & (child < n))[inner].all())
            for part, limit in (
                (trees.column, columns),
                (trees.group, len(trees.groups)),
                (trees.roots, n),
                (trees.outputs, len(trees.start)),
                (trees.turns, n),
            ):
                fit = fit and bool(((part >= 0) & (part < limit)).all())
        if not fit or not len(trees.groups) or (len(trees.roots) and not n):
            raise ValueError("the trees do not fit together")
        return trees


def grow(
    table: Doubles,
    labels: npt.NDArray[np.int64],
    weights: Doubles,
    categorical: int,
    count: int,
    *,
    turns: int,
    rate: float,
    leaves: int,
    smallest: int,
    seed: int,
) -> Trees:
    """Train trees. table (n, columns), of which the first `categorical` hold the numbers 0, 1, ... of categories, none
    left out; labels (n,) of 0..count-1, two of them or more; weights (n,). Outputs of labels without an example stay at
    a logit that stands for hardly ever."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    model = HistGradientBoostingClassifier(
        max_iter=turns,
        learning_rate=rate,
        max_leaf_nodes=leaves,
        min_samples_leaf=smallest,
        l2_regularization=1.0,
        categorical_features=np.arange(table.shape[1]) < categorical if categorical else None,
        early_stopping=False,
        random_state=seed % 2**32,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a column that is missing throughout a fold
        model.fit(table, labels, sample_weight=weights)
    return _copied(model, count)


def _copied(model: Any, count: int) -> Trees:
    """Return the trees of a fitted model, whose categories are 0, 1, ... without a gap."""
    classes = [int(label) for label in model.classes_]
    start = np.full(count, -20.0)
    start[classes] = 0.0
    if len(classes) == 2:
        start[classes[1]] = float(np.ravel(model._baseline_prediction)[0])
    else:
        start[classes] = np.ravel(model._baseline_prediction)
    nodes, groups, roots, outputs, turns = [], [np.zeros((1, WORDS), np.uint32)], [], [], []
    first, group = 0, 1
    for turn, trees in enumerate(model._predictors):
        for number, tree in enumerate(trees):
            found = tree.nodes
            roots.append(first)
            outputs.append(classes[1] if len(classes) == 2 else classes[number])
            turns.append(turn)
            nodes.append((found, first, group))
            groups.append(np.asarray(tree.raw_left_cat_bitsets, np.uint32).reshape(-1, WORDS))
            first, group = first + len(found), group + len(groups[-1])

    def join(kind: Any, part: Any) -> Any:
        return np.concatenate([part(*each) for each in nodes] or [np.empty(0)]).astype(kind)

    largest = np.finfo(np.float64).max
    return Trees(
        column=join(np.int32, lambda found, first, group: found["feature_idx"]),
        threshold=join(np.float64, lambda found, first, group: np.clip(found["num_threshold"], -largest, largest)),
        flags=join(
            np.uint8,
            lambda found, first, group: (
                found["is_leaf"] * LEAF
                + found["missing_go_to_left"] * MISSING_LEFT
                + found["is_categorical"] * CATEGORICAL
            ),
        ),
        left=join(np.int32, lambda found, first, group: found["left"] + first),
        right=join(np.int32, lambda found, first, group: found["right"] + first),
        value=join(np.float64, lambda found, first, group: found["value"]),
        group=join(
            np.int32, lambda found, first, group: np.where(found["is_categorical"], found["bitset_idx"] + group, 0)
        ),
        groups=np.concatenate(groups),
        roots=np.asarray(roots, np.int32),
        outputs=np.asarray(outputs, np.int32),
        turns=np.asarray(turns, np.int32),
        start=start,
    )


def joined(parts: list[Trees], outputs: list[int], count: int) -> Trees:
    """Return several models of one yes-or-no output each as one with `count` outputs; outputs: the place of each."""
    start, first, group = np.zeros(count), 0, 0
    fields: dict[str, list[Any]] = {name: [] for name in Trees.__dataclass_fields__ if name != "start"}
    for part, output in zip(parts, outputs, strict=True):
        start[output] = part.start[1] - part.start[0]
        for name in fields:
            array = getattr(part, name)
            if name in ("left", "right", "roots"):
                array = array + first
            elif name == "group":
                array = array + group
            elif name == "outputs":
                array = np.full(len(array), output, array.dtype)
            fields[name].append(array)
        first, group = first + len(part.column), group + len(part.groups)
    return Trees(start=start, **{name: np.concatenate(arrays) for name, arrays in fields.items()})
