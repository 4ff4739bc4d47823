"""`backends.tabular:Tabular`: gradient boosted trees on numbers and categories, for tasks that are rows of a table."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from adapter.errors import BackendError
from adapter.ports import Floats
from adapter.vocabulary import JsonObject
from backends.files import damaged, read_model, write_model
from backends.head import CALIBRATE_FROM, FOLDS, NEVER, ONE_FOLD_FROM, Head, checked
from backends.options import need_fields, positive, refuse_unknown, whole
from backends.tabular_columns import Columns, values_of
from backends.tabular_trees import Doubles, Trees, grow, joined
from backends.temperature import folds_of, seen_labels, temperature_of

NAME = "Tabular"
OPTIONS = ("turns", "rate", "leaves", "smallest_leaf", "dimensions")
FEW_TURNS = 40
"""Turns where there are too few examples to hold some out."""
TRACE = 1e-3  # a label of a soft target below this share is not trained on
Bools = npt.NDArray[np.bool_]


class Tabular:
    """Gradient boosting (`backends.tabular_trees`) on columns that are found in the training examples: numbers, also
    written as text, and categories. Missing values and categories never seen have a way of their own in each tree.

    fields: the task fields to look at; an object in one of them gives a column for each key. turns: most rounds of
    boosting; how many are kept is chosen on held-out examples. rate: how much each round corrects. leaves: most leaves
    of a tree. smallest_leaf: fewest training examples in a leaf; 0 takes a tenth of them, 2 to 20. dimensions: of
    `embed`. A soft target counts as several examples with weights. With several labels each has trees of its own.
    Probabilities are calibrated on held-out examples by one temperature (`backends.temperature`).
    """

    def __init__(
        self,
        fields: Sequence[str],
        *,
        turns: int = 150,
        rate: float = 0.1,
        leaves: int = 15,
        smallest_leaf: int = 0,
        dimensions: int = 64,
        **unknown: object,
    ) -> None:
        refuse_unknown(NAME, unknown, OPTIONS)
        self.fields = need_fields(NAME, fields)
        self.turns = whole(NAME, "turns", turns, 1, 10_000)
        self.rate = positive(NAME, "rate", rate)
        self.leaves = whole(NAME, "leaves", leaves, 2, 1_000)
        self.smallest_leaf = whole(NAME, "smallest_leaf", smallest_leaf, 0, 1_000_000)
        self.dimensions = whole(NAME, "dimensions", dimensions, 1, 4096)
        self._columns: Columns | None = None
        self._trees: Trees | None = None
        self._head: Head | None = None
        self._basis: Floats = np.empty((0, 0), np.float32)

    def fit(
        self, examples: Sequence[JsonObject], targets: Floats, *, weights: Floats, multiple: bool, seed: int
    ) -> None:
        """Train from scratch; see `adapter.ports.Backend`. Raises BackendError when no column tells examples apart."""
        values = [values_of(example, self.fields) for example in examples]
        readable = np.asarray([bool(row) for row in values], bool)
        if not multiple and np.ndim(targets) == 2 and len(targets) == len(examples):
            readable &= np.asarray(targets).sum(axis=1) > TRACE
        goal, mass, rows = checked(examples, targets, weights, readable, f"a value in {list(self.fields)}")
        seen = seen_labels(goal, mass, multiple)
        kept = [values[row] for row in rows]
        columns = Columns.find(kept)
        if not columns.count:
            raise BackendError(
                f"no column of {list(self.fields)} has values that differ and come again",
                where="fit",
                remedy="Name the fields with numbers or categories; for text take `backends.linear:Linear`.",
            )
        table = columns.table(kept)
        keys = [hashlib.sha256(row.tobytes()).hexdigest() for row in table]
        wanted, mass = goal[:, seen], mass / mass.mean()
        turns, temperature = self._chosen(table, wanted, mass, len(columns.categorical), multiple, keys, seed)
        self._trees = self._grown(table, wanted, mass, len(columns.categorical), multiple, turns, seed)
        self._head = _as_head(seen, goal, mass, temperature, multiple)
        wide = columns.wide(table).astype(np.float64)
        _, directions = np.linalg.eigh(wide.T @ wide)
        self._basis = np.ascontiguousarray(directions[:, ::-1][:, : self.dimensions], np.float32)
        self._columns = columns

    def predict(self, examples: Sequence[JsonObject]) -> Floats:
        """Return probabilities (n, k); NaN rows where no field has a value."""
        columns, trees, head = self._fitted()
        values = [values_of(example, self.fields) for example in examples]
        rows = [row for row, found in enumerate(values) if found]
        out = np.full((len(examples), len(head.bias)), np.nan, np.float32)
        if rows:
            out[rows] = head.predict(trees.logits(columns.table([values[row] for row in rows])))
        return out

    def embed(self, examples: Sequence[JsonObject]) -> Floats:
        """Return vectors (n, d), d at most `dimensions`, of length 1: categories and standardised numbers on their main
        directions in the training examples. Zero where no field has a value. Needs `fit`."""
        columns, _, _ = self._fitted()
        values = [values_of(example, self.fields) for example in examples]
        vectors = columns.wide(columns.table(values)) @ self._basis
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        known = (lengths > 1e-6) & np.asarray([bool(row) for row in values], bool).reshape(-1, 1)
        return np.asarray(np.where(known, vectors / np.maximum(lengths, 1e-6), 0.0), np.float32)

    def save(self, folder: Path) -> None:
        """Write the model into an empty folder: the trees as arrays, and the columns with their categories."""
        columns, trees, head = self._fitted()
        meta = {"columns": columns.meta(), "head": head.meta()}
        write_model(folder, NAME, meta, {**trees.arrays(), **head.arrays(), "basis": self._basis})

    def load(self, folder: Path) -> None:
        """Become the model that was saved there. Raises ModelError."""
        meta, arrays = read_model(folder, NAME)
        try:
            columns, head = Columns.from_meta(meta["columns"]), Head.from_parts(meta, arrays)
            trees = Trees.from_arrays(arrays, columns.count)
            basis = arrays["basis"].astype(np.float32)
            width = columns.wide(np.empty((0, columns.count))).shape[1]
            if basis.ndim != 2 or basis.shape[0] != width or head.coef.shape[0] != len(trees.start):
                raise ValueError(f"basis {basis.shape} and coefficients {head.coef.shape} do not fit")
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise damaged(folder, NAME, str(error)) from error
        self._columns, self._trees, self._head, self._basis = columns, trees, head, basis

    def _fitted(self) -> tuple[Columns, Trees, Head]:
        if self._columns is None or self._trees is None or self._head is None:
            raise BackendError("this model is not trained yet", where=NAME, remedy="Call fit or load first.")
        return self._columns, self._trees, self._head

    def _grown(
        self, table: Doubles, goal: Doubles, mass: Doubles, categorical: int, multiple: bool, turns: int, seed: int
    ) -> Trees:
        """Return trees for targets (n, k): of one model for all labels, or of one for each."""
        smallest = self.smallest_leaf or int(np.clip(len(table) // 10, 2, 20))

        def grown(targets: Doubles) -> Trees:
            row, label = np.nonzero(targets > min(TRACE, 0.5 / targets.shape[1]))
            return grow(
                table[row],
                label,
                mass[row] * targets[row, label],
                categorical,
                targets.shape[1],
                turns=turns,
                rate=self.rate,
                leaves=self.leaves,
                smallest=smallest,
                seed=seed,
            )

        if not multiple:
            return grown(goal)
        parts, outputs = [], []
        for label in range(goal.shape[1]):
            yes = goal[:, label]
            if (yes > TRACE).any() and (yes < 1 - TRACE).any():
                parts.append(grown(np.stack([1.0 - yes, yes], axis=1)))
                outputs.append(label)
        return joined(parts, outputs, goal.shape[1])

    def _chosen(
        self,
        table: Doubles,
        goal: Doubles,
        mass: Doubles,
        categorical: int,
        multiple: bool,
        keys: Sequence[str],
        seed: int,
    ) -> tuple[int, float]:
        """Return how many turns do best on held-out examples by log loss, and the temperature of their logits then."""
        if len(set(keys)) < CALIBRATE_FROM:
            return min(FEW_TURNS, self.turns), 1.0
        folds = folds_of(keys, goal, FOLDS, seed)
        logits, rows, known = [], [], []
        for fold in range(1 if len(keys) >= ONE_FOLD_FROM else FOLDS):
            out, rest = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
            there = (goal[rest] > TRACE).any(axis=0) & ((goal[rest] < 1 - TRACE).any(axis=0) | (not multiple))
            if not len(out) or there.sum() < (1 if multiple else 2):
                continue
            inside = _without_gaps(table[rest], table[out], categorical)
            trees = self._grown(inside[0], goal[rest], mass[rest], categorical, multiple, self.turns, seed)
            logits.append(trees.by_turn(inside[1]))
            rows.append(out)
            known.append(np.ones(len(out), bool) if multiple else goal[out][:, there].sum(axis=1) > 0.5)
        if not logits:
            return min(FEW_TURNS, self.turns), 1.0
        held, answers, sound = np.concatenate(rows), np.concatenate(logits, axis=1), np.concatenate(known)
        wanted, share = goal[held][sound], mass[held][sound]
        losses = [float(share @ _losses(each[sound], wanted, multiple)) for each in answers]
        turn = int(np.argmin(losses))
        return turn + 1, temperature_of(answers[turn][sound], wanted, share, multiple)


def _without_gaps(rest: Doubles, out: Doubles, categorical: int) -> tuple[Doubles, Doubles]:
    """Return both tables with the categories of the first numbered 0, 1, ... without a gap, as `grow` wants them;
    others are missing."""
    rest, out = rest.copy(), out.copy()
    for column in range(categorical):
        there = np.unique(rest[:, column][~np.isnan(rest[:, column])])
        for table in (rest, out):
            codes = np.searchsorted(there, table[:, column]).astype(np.float64)
            codes[~np.isin(table[:, column], there)] = np.nan
            table[:, column] = codes
    return rest, out


def _losses(logits: Doubles, goal: Doubles, multiple: bool) -> Doubles:
    """Return the log loss (n,) of logits (n, k)."""
    if multiple:
        return np.asarray((np.logaddexp(0.0, logits) - goal * logits).sum(axis=1))
    shifted = logits - logits.max(axis=1, keepdims=True)
    return np.asarray(goal.sum(axis=1) * np.log(np.exp(shifted).sum(axis=1)) - (goal * shifted).sum(axis=1))


def _as_head(seen: Bools, goal: Doubles, mass: Doubles, temperature: float, multiple: bool) -> Head:
    """Return the head that makes probabilities of all k labels from the trees' outputs of those that were seen."""
    n, k = goal.shape
    coef, bias = np.zeros((int(seen.sum()), k), np.float32), np.zeros(k)
    coef[np.arange(len(coef)), np.flatnonzero(seen)] = 1.0 / temperature
    floor = 0.0
    if multiple:  # a label that is always or never there: its share, as in `backends.head`
        share = (mass @ goal + 0.5) / (mass.sum() + 1.0)
        bias[~seen] = np.log(share[~seen] / (1.0 - share[~seen]))
    elif not seen.all():
        floor = 1.0 / (n + k)
        bias[~seen] = NEVER
    return Head(coef, bias.astype(np.float32), ~seen, floor, multiple, temperature)
