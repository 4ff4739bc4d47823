"""YouTube comments: spam or ham. Spammers want something of the reader; the others talk about the video.

What spammers ask for is words, so those functions are declared: `hitl lf list` shows them as a table, and they run over
a million comments in seconds. A comment that asks for nothing is judged by plain functions, which share one step:
`wishes` finds out once what a comment asks for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from adapter.labeling import keywords, labeling_function, preprocessor, regex

SPAM, HAM = "spam", "ham"

link = regex(
    SPAM,
    r"https?://|www\.|\b[\w-]+\.(?:com|net|org|co|ly|be|gl|info|me|tv|ru|xyz)\b(?:/|\b)",
    flags="i",
    doc="An address in the comment.",
    examples=[({"text": "Look at WWW.example.com"}, SPAM), ({"text": "so good"}, None)],
)

channel = regex(
    SPAM,
    r"\bsub(?:s|scribe\w*|bed|scri\w*)?\b|\b(?:my|our|this|the) (?:\w+ )?(?:channel|chanel)s?\b",
    flags="i",
    doc="Asks to subscribe, or speaks of a channel.",
    examples=[({"text": "please SUBSCRIBE"}, SPAM), ({"text": "a yellow submarine"}, None)],
)

look_here = regex(
    SPAM,
    r"\b(?:check|chek)(?:ing)?\s*(?:it |this |us |me |him |her |them )?out\b"
    r"|\b(?:look at|visit|listen to|watch|see|view|go to) (?:my|our|this (?:guy|site|page))\b",
    flags="i",
    doc="Sends the reader somewhere: check it out, visit my.",
    examples=[({"text": "Check this out!"}, SPAM), ({"text": "watch the drummer at 2:10"}, None)],
)

about_myself = regex(
    SPAM,
    r"\bmy (?:\w+ ){0,2}(?:videos?|vids?|music|covers?|songs?|page|site|website|profile|beats?|raps?|remix|mixtape"
    r"|blog)\b|\b(?:i'?m|i am|we are|we're) (?:a |an )?(?:\w+ )?(?:rapper|singer|artist|musician|producer|band)s?\b"
    r"|\bi (?:make|do|post|upload|cover|rap|sing)\b",
    flags="i",
    doc="Advertises the writer's own music or page.",
    examples=[({"text": "I am a young rapper"}, SPAM), ({"text": "my sister loves it"}, None)],
)

money = regex(
    SPAM,
    r"\$\s?\d|\b(?:earn|cash|money|paypal|giveaway|gift ?cards?|prizes?|free|win|donate|sponsor|fund\w*|sell(?:ing)?"
    r"|jobs?)\b",
    flags="i",
    doc="Money, prizes, things for free.",
    examples=[({"text": "made $ 500 today"}, SPAM), ({"text": "windy freedom"}, None)],
)

begging = regex(
    SPAM,
    r"\b(?:please|plz+|pls)\b.*\b(?:like|share|help|support|vote|watch|follow|add|join|give|thumbs?)\b"
    r"|\b(?:give|take|spare|need|get) (?:me |us |just )?(?:a |an |your |some )?"
    r"(?:chance|minute|second|moments?|likes?|support|views|thumbs)\b"
    r"|\b(?:like|share|follow|add|join|support|vote for) (?:my|our|me|us)\b|\bthumbs? (?:\w+ )?up\b",
    flags="i",
    doc="Begs for likes, shares, support.",
    examples=[({"text": "pls help me out"}, SPAM), ({"text": "I like it"}, None)],
)

elsewhere = keywords(
    SPAM,
    [
        *("facebook", "fb", "twitter", "instagram", "soundcloud", "itunes", "spotify", "kickstarter", "whatsapp"),
        *("skype", "app", "website", "email", "e-mail"),
    ],
    doc="Names another platform.",
    examples=[({"text": "find me on Facebook"}, SPAM), ({"text": "snapping fingers, happy"}, None)],
)

ASKS = (link, channel, look_here, about_myself, money, begging, elsewhere)

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


@preprocessor
def wishes(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """Add `words`, how many there are, and `asks`: whether the comment wants something of its reader."""
    words = len(str(data["text"]).replace("\ufeff", "").split())
    return {**data, "words": words, "asks": any(rule(data) for rule in ASKS)}


@labeling_function(pre=[wishes], examples=[({"text": "word " * 46}, SPAM), ({"text": "word " * 45}, None)])
def long_text(data: Mapping[str, Any]) -> str | None:
    """A long comment is rarely about the video."""
    return SPAM if data["words"] > 45 else None


@labeling_function(pre=[wishes], examples=[({"text": "so good"}, HAM), ({"text": "check it out"}, None)])
def short_text(data: Mapping[str, Any]) -> str | None:
    """A few words that ask for nothing."""
    return HAM if data["words"] <= 8 and not data["asks"] else None


@labeling_function(pre=[wishes], examples=[({"text": "What a SONG"}, HAM), ({"text": "subscribe for a song"}, None)])
def about_the_song(data: Mapping[str, Any]) -> str | None:
    """Speaks of the song, and asks for nothing."""
    return HAM if _SONG.search(data["text"]) and not data["asks"] else None


@labeling_function(pre=[wishes], examples=[({"text": "Shakira forever"}, HAM), ({"text": "see my waka video"}, None)])
def names_the_artist(data: Mapping[str, Any]) -> str | None:
    """Names the artist or the song, and asks for nothing."""
    return HAM if _NAMES.search(data["text"]) and not data["asks"] else None


@labeling_function(pre=[wishes], examples=[({"text": "<3"}, HAM), ({"text": "great, join us"}, None)])
def feeling(data: Mapping[str, Any]) -> str | None:
    """Says how the writer feels, and asks for nothing."""
    return HAM if _FEELING.search(data["text"]) and not data["asks"] else None


@labeling_function(pre=[wishes], examples=[({"text": "2 billion views!"}, HAM), ({"text": "get views for free"}, None)])
def counts_views(data: Mapping[str, Any]) -> str | None:
    """Marvels at the number of views or the year, and asks for nothing."""
    return HAM if _COUNT.search(data["text"]) and not data["asks"] else None
