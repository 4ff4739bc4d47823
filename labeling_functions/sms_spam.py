"""Text messages: spam or ham, by rules that are kept in a table beside this file, one a line.

`rules` makes a labeling function of each line, so somebody who does not write Python can add one.
"""

from __future__ import annotations

from adapter.labeling import rules

RULES = rules("sms_spam_rules.tsv", columns=("label", "regex", "example", "name", "doc"), lower=True)
