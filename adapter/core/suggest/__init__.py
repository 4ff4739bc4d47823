"""Candidates for new labeling functions, found in people's labels and in what no function covers yet.

What finds a candidate never says how good it is: labels are halved by a hash of the task id, one half finds and ranks,
the other alone gives the precision that is shown. Labels of the blind sample are used by neither.
"""

from __future__ import annotations

from adapter.core.suggest.base import Candidate, Evidence, Judged
from adapter.core.suggest.choose import Chosen, choose
from adapter.core.suggest.clusters import TOGETHER, Group, groups
from adapter.core.suggest.neighbours import neighbour_rules
from adapter.core.suggest.terms import term_rules, tokens
from adapter.core.suggest.thresholds import Feature, text_features, threshold_rules, value_features

__all__ = [
    "TOGETHER",
    "Candidate",
    "Chosen",
    "Evidence",
    "Feature",
    "Group",
    "Judged",
    "choose",
    "groups",
    "neighbour_rules",
    "term_rules",
    "text_features",
    "threshold_rules",
    "tokens",
    "value_features",
]
