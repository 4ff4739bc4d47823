"""Semi-supervised EM: the abstain-aware model with people's labels held fast, held near the weighted vote.

Rows that people labelled keep their label in every step (Nigam et al. 2000, section 4), the others get what the model
makes of them. Labels need not be a random sample: which rows were labelled may depend on the votes in any way, for the
model of the votes accounts for them (missing at random, Rubin 1976). Two hundred labels among thousands of rows hardly
turn EM by themselves; so the starting posterior is the weighted vote, which has learned from them, and each step's
posterior is mixed with it (ANCHOR). With 25 / 100 labels and the balance that they show: youtube_spam 90.0 / 92.3,
ag_news 83.3 / 83.6, sms_spam F1 88.7 / 88.8 (means of ten draws).
"""

from __future__ import annotations

from dataclasses import dataclass

from adapter.core.weak.abstain_em import FittedEmissions, expectation_maximization
from adapter.core.weak.base import Labels, WeakVotes
from adapter.core.weak.weighted import WeightedVote
from adapter.ports import Floats

ANCHOR = 0.7
"""Share of the weighted vote in each step's posterior and in the answer. With .5 sms_spam can drift away, with .7 it
does not."""


@dataclass(frozen=True, slots=True)
class SemiSupervised:
    """Abstain-aware EM that uses people's labels; see the module."""

    name: str = "semi-supervised"
    learns: bool = True

    def fit(self, votes: WeakVotes, labels: Labels, *, balance: Floats | None = None, seed: int = 0) -> FittedEmissions:
        """Learn from all covered rows and from labels; nothing is random.

        balance: (k,) shares of the labels in a random sample; None for their shares in the weighted vote. Raises
        ValueError where several labels may hold at once, for a balance that does not fit, when no function votes, and
        without any label on a covered row.
        """
        if not votes.multiple and not votes.covered[labels.rows].any():
            raise ValueError("it needs people's labels on rows that a function votes on, there are none")
        if votes.multiple:
            raise ValueError("the model makes labels exclude each other, but here several may hold at once")
        weighted = WeightedVote().fit(votes, labels)
        return expectation_maximization(votes, labels, weighted, ANCHOR, balance)
