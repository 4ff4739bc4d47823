"""YouTube comments: spam or ham. Spammers want something of the reader; the others talk about the video."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from adapter.labeling import labeling_function

SPAM, HAM = "spam", "ham"

_LINK = re.compile(r"https?://|www\.|\b[\w-]+\.(?:com|net|org|co|ly|be|gl|info|me|tv|ru|xyz)\b(?:/|\b)", re.I)
_CHANNEL = re.compile(
    r"\bsub(?:s|scribe\w*|bed|scri\w*)?\b|\b(?:my|our|this|the) (?:\w+ )?(?:channel|chanel)s?\b", re.I
)
_LOOK_HERE = re.compile(
    r"\b(?:check|chek)(?:ing)?\s*(?:it |this |us |me |him |her |them )?out\b"
    r"|\b(?:look at|visit|listen to|watch|see|view|go to) (?:my|our|this (?:guy|site|page))\b",
    re.I,
)
_SELF = re.compile(
    r"\bmy (?:\w+ ){0,2}(?:videos?|vids?|music|covers?|songs?|page|site|website|profile|beats?|raps?|remix|mixtape"
    r"|blog)\b|\b(?:i'?m|i am|we are|we're) (?:a |an )?(?:\w+ )?(?:rapper|singer|artist|musician|producer|band)s?\b"
    r"|\bi (?:make|do|post|upload|cover|rap|sing)\b",
    re.I,
)
_MONEY = re.compile(
    r"\$\s?\d|\b(?:earn|cash|money|paypal|giveaway|gift ?cards?|prizes?|free|win|donate|sponsor|fund\w*|sell(?:ing)?"
    r"|jobs?)\b",
    re.I,
)
_BEGGING = re.compile(
    r"\b(?:please|plz+|pls)\b.*\b(?:like|share|help|support|vote|watch|follow|add|join|give|thumbs?)\b"
    r"|\b(?:give|take|spare|need|get) (?:me |us |just )?(?:a |an |your |some )?"
    r"(?:chance|minute|second|moments?|likes?|support|views|thumbs)\b"
    r"|\b(?:like|share|follow|add|join|support|vote for) (?:my|our|me|us)\b|\bthumbs? (?:\w+ )?up\b",
    re.I,
)
_ELSEWHERE = re.compile(
    r"\b(?:facebook|fb|twitter|instagram|soundcloud|itunes|spotify|kickstarter|app|website|e-?mail|whatsapp|skype)\b",
    re.I,
)
_SONG = re.compile(
    r"\b(?:song|tune|lyrics?|beat|chorus|dance|dancing|voice|video clip|music video|singing|sings)\b", re.I
)
_NAMES = re.compile(
    r"\b(?:psy|katy|perry|eminem|em|rihanna|shakira|lmfao|gangnam|roar|waka|party rock|world ?cup|megan fox|charlie)\b",
    re.I,
)
_FEELING = re.compile(
    r"\b(?:lo+ve+|awesome|amazing|best|beautiful|great|cool|nice|good|hate|worst|sucks?|favou?rite|lo+l|lmao|haha\w*"
    r"|funny|miss|remember|epic|sexy|hot|gorgeous|perfect|wow|omg)\b|<3|♥|❤|:D|:\)",
    re.I,
)
_COUNT = re.compile(
    r"\b(?:billion|million|views?|viewers|most (?:viewed|watched|liked)|\d{3,}[,.]?\d{3,})\b|\b20[01]\d\b", re.I
)


def _words(data: Mapping[str, Any]) -> list[str]:
    return str(data["text"]).replace("\ufeff", "").split()


def _asks_something(text: str) -> bool:
    return any(pattern.search(text) for pattern in (_LINK, _CHANNEL, _LOOK_HERE, _SELF, _MONEY, _BEGGING, _ELSEWHERE))


@labeling_function
def link(data: Mapping[str, Any]) -> str | None:
    """An address in the comment."""
    return SPAM if _LINK.search(data["text"]) else None


@labeling_function
def channel(data: Mapping[str, Any]) -> str | None:
    """Asks to subscribe, or speaks of a channel."""
    return SPAM if _CHANNEL.search(data["text"]) else None


@labeling_function
def look_here(data: Mapping[str, Any]) -> str | None:
    """Sends the reader somewhere: check it out, visit my."""
    return SPAM if _LOOK_HERE.search(data["text"]) else None


@labeling_function
def about_myself(data: Mapping[str, Any]) -> str | None:
    """Advertises the writer's own music or page."""
    return SPAM if _SELF.search(data["text"]) else None


@labeling_function
def money(data: Mapping[str, Any]) -> str | None:
    """Money, prizes, things for free."""
    return SPAM if _MONEY.search(data["text"]) else None


@labeling_function
def begging(data: Mapping[str, Any]) -> str | None:
    """Begs for likes, shares, support."""
    return SPAM if _BEGGING.search(data["text"]) else None


@labeling_function
def elsewhere(data: Mapping[str, Any]) -> str | None:
    """Names another platform."""
    return SPAM if _ELSEWHERE.search(data["text"]) else None


@labeling_function
def long_text(data: Mapping[str, Any]) -> str | None:
    """A long comment is rarely about the video."""
    return SPAM if len(_words(data)) > 45 else None


@labeling_function
def short_text(data: Mapping[str, Any]) -> str | None:
    """A few words that ask for nothing."""
    return HAM if len(_words(data)) <= 8 and not _asks_something(data["text"]) else None


@labeling_function
def about_the_song(data: Mapping[str, Any]) -> str | None:
    """Speaks of the song, and asks for nothing."""
    return HAM if _SONG.search(data["text"]) and not _asks_something(data["text"]) else None


@labeling_function
def names_the_artist(data: Mapping[str, Any]) -> str | None:
    """Names the artist or the song, and asks for nothing."""
    return HAM if _NAMES.search(data["text"]) and not _asks_something(data["text"]) else None


@labeling_function
def feeling(data: Mapping[str, Any]) -> str | None:
    """Says how the writer feels, and asks for nothing."""
    return HAM if _FEELING.search(data["text"]) and not _asks_something(data["text"]) else None


@labeling_function
def counts_views(data: Mapping[str, Any]) -> str | None:
    """Marvels at the number of views or the year, and asks for nothing."""
    return HAM if _COUNT.search(data["text"]) and not _asks_something(data["text"]) else None
