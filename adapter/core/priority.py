"""Compose the order in which people see tasks: by uncertainty, spread over the data, with the blind sample mixed in."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from adapter.core.blind import blind_order, draw, draws
from adapter.core.diversity import Embed
from adapter.core.priority_words import evidence
from adapter.core.strategies import Chosen, State, Strategy, Vectors, choose
from adapter.policies import BlindPolicy, RankPolicy
from adapter.ports import Floats

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

RANDOM = "random"
UNCERTAIN = "uncertain"
UNCOVERED = "uncovered"
REPRESENTATIVE = "representative"
JUDGING = "judging"
TYPICAL = "typiclust"

BATCH = 50
"""Tasks of one batch: every run of this many is spread over the data, so that any budget ends on a diverse set."""


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """What may be ranked: parallel arrays of n tasks, in any order.

    seq: (n,) their rows in the pool. ids: (n,). blind: (n,) members of the blind sample. uncertainty: (n,) in 0..1, 1
    most uncertain, NaN counts as 1; None while nobody judges. duplicate_of: (n,) seq of the task that it is an exact
    copy of, or -1; copies are never picked. covered: (n,) whether any labeling function voted; None if that does not
    matter (a model judges). judging: positions of candidates whose labels tell most about the labeling functions, best
    first; None for none. probabilities: (n, k) of the control that leads, NaN where nobody judges. committee: source to
    its own (n, k). alignment: (n,), see `strategies.State`. knowledge: further fields of `strategies.State`. regions:
    whether the uncertainty is that of a model of regions alone, which has no probabilities of labels.
    """

    seq: Ints
    ids: Sequence[str]
    blind: Bools
    uncertainty: npt.NDArray[np.floating] | None = None
    duplicate_of: Ints | None = None
    covered: Bools | None = None
    judging: Ints | None = None
    probabilities: Floats | None = None
    committee: Mapping[str, Floats] = field(default_factory=dict)
    alignment: Floats | None = None
    knowledge: Mapping[str, Any] = field(default_factory=dict)
    regions: bool = False


@dataclass(frozen=True, slots=True)
class Pick:
    """One task of the order. reason: why it was picked (RANDOM, UNCERTAIN, UNCOVERED, REPRESENTATIVE, JUDGING): for us,
    since it tells blind tasks apart. mix: the reason that rules the whole order: for annotators, see `reason_text`.
    judged: the order also holds tasks that judge functions. score: its uncertainty, 0 if unknown. why: the reason in
    words, for the data lead. said: what machines say of this task, where the strategy picked it for that."""

    seq: int
    reason: str
    score: float
    blind: bool
    mix: str
    judged: bool = False
    why: str = ""
    said: str = ""


_TEXTS = {
    (RANDOM, False): "This batch holds tasks drawn at random",
    (UNCERTAIN, False): "This batch holds tasks of which little is known yet, and some drawn at random",
    (REPRESENTATIVE, False): "This batch holds typical tasks, and some drawn at random",
    (RANDOM, True): "This batch holds tasks drawn at random, and some that test the labeling functions",
    (UNCERTAIN, True): (
        "This batch holds tasks of which little is known yet, some that test the labeling functions, and some drawn at "
        "random"
    ),
    (REPRESENTATIVE, True): (
        "This batch holds typical tasks, some that test the labeling functions, and some drawn at random"
    ),
}


def reason_text(pick: Pick) -> str:
    """Return what the annotator reads as the reason of this task.

    It speaks of the batch, so it is the same for every task of an order, and true for each. A sentence about the
    single task would give something away: "the model is unsure" or "two functions disagree" hints at the answer's
    difficulty and at what machines said, and any wording of its own for blind tasks would tell people which answers
    measure them.
    """
    return _TEXTS[pick.mix, pick.judged]


_WHY = {
    RANDOM: "drawn at random",
    UNCOVERED: "no labeling function speaks of it",
    REPRESENTATIVE: "typical of its part of the data",
    JUDGING: "tells most about the labeling functions",
}


_OF_LABELS = frozenset({"margin", "entropy", "least-confidence", "cluster-margin", "density"})
"""Strategies that go by the uncertainty where there are no probabilities, and whose reasons speak of labels."""


def open_rows(candidates: Candidates) -> Ints:
    """Return the positions that a strategy may order: neither copies nor members of the blind sample."""
    allowed = ~np.asarray(candidates.blind, bool)
    if candidates.duplicate_of is not None:
        allowed &= np.asarray(candidates.duplicate_of) < 0
    return np.flatnonzero(allowed)


def ordered(
    candidates: Candidates,
    *,
    size: int,
    rank: RankPolicy,
    strategy: Strategy | str = "",
    cold_start: Strategy | str = "",
    embed: Embed | None = None,
    batch: int = BATCH,
) -> Chosen:
    """Return the order of `open_rows(candidates)` that the strategy gives; while nobody judges, that of the cold start.

    strategy, cold_start: instead of those that the policy names. embed: seqs (b,) to vectors (b, d), or None. Raises
    ValueError when the arrays differ in length, and what `strategies.choose` raises.
    """
    _checked(candidates)
    rows = open_rows(candidates)
    known = candidates.uncertainty is not None or candidates.probabilities is not None
    wanted = strategy or rank.strategy
    called = wanted.name if isinstance(wanted, Strategy) else wanted
    # Alignment needs no labels, and whoever wants chance wants it from the start.
    alone = called == RANDOM or (called == "alignment" and candidates.alignment is not None)
    name = wanted if known or alone else (cold_start or rank.cold_start)

    def part(values: Any) -> Any:
        return None if values is None else np.asarray(values)[rows]

    state = State(
        size=min(size, max(len(rows), 1)),
        batch=batch,
        seed=rank.seed,
        chance=draws((candidates.ids[row] for row in rows), rank.seed, "rank"),
        uncertainty=part(candidates.uncertainty),
        covered=part(candidates.covered),
        alignment=part(candidates.alignment),
        committee={source: np.asarray(said)[rows] for source, said in candidates.committee.items()},
        **candidates.knowledge,
    )
    vectors = None
    if embed is not None and len(rows):
        seqs, fetch = candidates.seq[rows], embed
        vectors = Vectors(len(rows), lambda wanted: fetch(seqs[wanted]))
    return choose(name, vectors, part(candidates.probabilities), state, diversity=rank.diversity)


def _checked(candidates: Candidates) -> None:
    n = len(candidates.seq)
    parts = ("ids", "blind", "uncertainty", "duplicate_of", "covered", "probabilities", "alignment")
    for name in parts:
        part = getattr(candidates, name)
        if part is not None and len(part) != n:
            raise ValueError(f"{n} candidates but {len(part)} entries of '{name}'")


def compose(
    candidates: Candidates,
    *,
    size: int,
    blind: BlindPolicy,
    rank: RankPolicy,
    chosen: Chosen | None = None,
    embed: Embed | None = None,
    batch: int = BATCH,
    placed: int = 0,
    placed_blind: int = 0,
) -> list[Pick]:
    """Return at most `size` picks, first to be seen first: one blend of all reasons to show a task.

    chosen: the strategy's order of the tasks outside the blind sample; None means `ordered(...)` with the same embed
    and batch. Tasks that judge functions (`candidates.judging`) take `rank.judging_share` of their places, evenly,
    unless the order is random.

    Blind tasks are mixed in in the order of their own hash, whatever is known of them, `blind.batch_share` of every
    stretch of the order as long as they last, so any cut has about that share; each place is jittered by the seed so
    that nobody can count them out. When either sort runs out the other goes on: nothing is dropped. placed,
    placed_blind: tasks shown before this order and the blind ones among them, so that small top-ups add up to the
    share; an older imbalance is not made up for by more than one task. The result depends on neither the order of the
    candidates nor the clock. Raises ValueError when the arrays differ in length.
    """
    _checked(candidates)
    if chosen is None:
        chosen = ordered(candidates, size=size, rank=rank, embed=embed, batch=batch)
    n = len(candidates.seq)
    free = open_rows(candidates)
    rows = free[chosen.rows]
    score: npt.NDArray[np.float64] = np.zeros(n)
    score[free] = chosen.scores
    if candidates.uncertainty is not None:
        score = np.clip(np.nan_to_num(np.asarray(candidates.uncertainty, dtype=np.float64), nan=1.0), 0, 1)
    allowed = np.ones(n, bool) if candidates.duplicate_of is None else np.asarray(candidates.duplicate_of) < 0
    hidden = np.asarray(candidates.blind, bool)
    sample = np.flatnonzero(allowed & hidden)
    sample = sample[_by(blind_order((candidates.ids[i] for i in sample), blind), candidates, sample)]
    uncovered = np.zeros(n, bool) if candidates.covered is None else ~np.asarray(candidates.covered, bool)
    mix, typical = UNCERTAIN, 0
    if chosen.name == RANDOM:
        mix = RANDOM
    elif chosen.name == TYPICAL:
        mix, typical = REPRESENTATIVE, min(batch, chosen.front or len(rows))

    judging = _judging(candidates, rows, rank) if mix != RANDOM else np.empty(0, np.int64)
    rows, judges = _interleaved(rows, judging, rank.judging_share)
    picks: list[Pick] = []
    taken = drawn = 0
    share = blind.batch_share
    debt = min(max(share * placed - placed_blind, -1.0), 1.0)
    place = _place(0, placed_blind, share, debt, blind.seed)
    while len(picks) < size and taken + drawn < len(rows) + len(sample):
        if drawn < len(sample) and (place <= len(picks) or taken == len(rows)):
            row, reason = sample[drawn], RANDOM
            drawn += 1
            place = _place(drawn, placed_blind, share, debt, blind.seed)
        else:
            row = rows[taken]
            reason = JUDGING if judges[taken] else _reason(mix, bool(uncovered[row]), taken < typical)
            taken += 1
        why = _reason_of(chosen, candidates.regions) if reason == UNCERTAIN else _WHY[reason]
        seq, blinded = int(candidates.seq[row]), bool(hidden[row])
        said = _said(candidates, int(row), chosen.name) if reason == UNCERTAIN else ""
        picks.append(Pick(seq, reason, float(score[row]), blinded, mix, bool(len(judging)), why, said))
    return picks


def _reason_of(chosen: Chosen, regions: bool) -> str:
    """The strategy's reason. One that speaks of labels says nothing true where only regions are found: it is then said
    of these, with what it adds behind a comma."""
    if not regions or chosen.name not in _OF_LABELS:
        return chosen.reason
    _, comma, more = chosen.reason.partition(",")
    return f"the model is unsure of what it finds{comma}{more}"


def _said(candidates: Candidates, row: int, strategy: str) -> str:
    return evidence(
        row,
        candidates.probabilities,
        candidates.committee,
        candidates.knowledge.get("labels", ()),
        multiple=bool(candidates.knowledge.get("multiple")),
        strategy=strategy,
        alignment=candidates.alignment,
    )


def _judging(candidates: Candidates, open_rows: Ints, rank: RankPolicy) -> Ints:
    """The rows that judge functions, best first, of those that are open."""
    if candidates.judging is None or rank.strategy == "random" or rank.judging_share <= 0:
        return np.empty(0, np.int64)
    allowed = np.zeros(len(candidates.seq), bool)
    allowed[open_rows] = True
    rows = np.asarray(candidates.judging, np.int64)
    return np.asarray(rows[allowed[rows]])


def _interleaved(open_rows: Ints, judging: Ints, share: float) -> tuple[Ints, Bools]:
    """Give every 1 / share-th place to the next row that judges functions; return the order and which places those are.
    A row comes once, at the earlier of its places."""
    if not len(judging):
        return open_rows, np.zeros(len(open_rows), bool)
    places = (np.arange(len(judging)) + 0.5) / share
    keys = np.concatenate([np.arange(len(open_rows), dtype=np.float64) / max(1 - share, 1e-9), places])
    rows = np.concatenate([open_rows, judging])
    order = np.argsort(keys, kind="stable")
    _, first = np.unique(rows[order], return_index=True)
    order = order[np.sort(first)]
    return np.asarray(rows[order]), np.asarray(order >= len(open_rows))


def _by(keys: npt.NDArray[np.float64], candidates: Candidates, rows: Ints) -> Ints:
    """Positions in ascending order of the keys."""
    return np.asarray(np.lexsort((candidates.seq[rows], keys)), np.int64)


def _place(number: int, before: int, share: float, debt: float, seed: int) -> float:
    """Place, from 0, of blind task `number` of this order: one in each stretch of 1 / share places, jittered."""
    jitter = draw(str(before + number), seed, "place")
    return math.floor((number + jitter - debt) / share) if share > 0 else math.inf


def _reason(mix: str, uncovered: bool, typical: bool) -> str:
    if mix == UNCERTAIN:
        return UNCOVERED if uncovered else UNCERTAIN
    return REPRESENTATIVE if typical else RANDOM
