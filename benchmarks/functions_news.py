"""The 30 declared functions of `benchmarks.functions_declared`, such as an author writes for news: which desk is it?

WORDS find whole words and regexes; PARTS find parts of words, which plain Python does fastest (`word in text.lower()`).
"""

from __future__ import annotations

from adapter.labeling import keywords, regex

LABELS = ("World", "Sports", "Business", "Sci/Tech")

_DESKS: dict[str, list[list[str]]] = {
    "World": [
        ["iraq", "baghdad", "iraqi"],
        ["president", "presidential", "prime minister"],
        ["palestinian", "gaza", "israel", "israeli"],
        ["troops", "soldiers", "militants", "insurgents"],
        ["police", "arrested", "murder"],
        ["election", "elections", "vote", "voters"],
    ],
    "Sports": [
        ["championship", "champions", "title"],
        ["coach", "quarterback", "pitcher"],
        ["goal", "goals", "scored", "touchdown"],
        ["olympic", "olympics", "medal"],
        ["season", "playoff", "playoffs"],
        ["league", "cup", "tournament"],
    ],
    "Business": [
        ["shares", "stock", "stocks", "investors"],
        ["profit", "profits", "earnings", "quarterly"],
        ["oil", "crude", "barrel"],
        ["merger", "takeover", "acquisition", "bid"],
        ["economy", "economic", "inflation", "jobs"],
    ],
    "Sci/Tech": [
        ["microsoft", "google", "apple", "ibm"],
        ["software", "linux", "windows", "browser"],
        ["internet", "web", "online"],
        ["nasa", "space", "scientists", "researchers"],
        ["phone", "phones", "wireless", "mobile"],
    ],
}
_REGEXES = [
    ("Business", r"\$\d+(?:\.\d+)? (?:million|billion)"),
    ("Business", r"\b(?:up|down|rose|fell) \d+(?:\.\d+)?(?: percent|%)"),
    ("Sports", r"\b\d{1,3}-\d{1,3}\b"),
    ("Sports", r"\b(?:beat|defeated|edged)\b.*\b(?:in|at)\b"),
    ("World", r"\bkill(?:s|ed|ing)?\b.*\b(?:people|civilians|soldiers)\b"),
    ("World", r"^[A-Z][A-Z ]+ \(|\bU\.N\."),
    ("Sci/Tech", r"https?://|www\.\w+"),
    ("Sci/Tech", r"\bversion \d|\bv\d\.\d"),
]
_PARTS = [
    ("World", ["baghdad"]), ("World", ["palestin"]), ("World", ["militant"]), ("World", ["president"]),
    ("World", ["nuclear"]), ("World", ["hostage"]), ("World", ["troops"]), ("World", ["elect"]),
    ("Sports", ["champion"]), ("Sports", ["coach"]), ("Sports", ["season"]), ("Sports", ["olympic"]),
    ("Sports", ["league"]), ("Sports", ["victory"]), ("Sports", ["quarterback"]), ("Sports", ["touchdown"]),
    ("Business", ["shares"]), ("Business", ["profit"]), ("Business", ["earnings"]), ("Business", ["crude"]),
    ("Business", ["billion"]), ("Business", ["econom"]), ("Business", ["merger"]), ("Business", ["investor"]),
    ("Sci/Tech", ["microsoft"]), ("Sci/Tech", ["software"]), ("Sci/Tech", ["internet"]), ("Sci/Tech", ["wireless"]),
    ("Sci/Tech", ["scientist"]), ("Sci/Tech", ["google"]),
]  # fmt: skip

WORDS = [keywords(desk, words) for desk, lists in _DESKS.items() for words in lists]
WORDS += [regex(desk, pattern) for desk, pattern in _REGEXES]
PARTS = [keywords(desk, words, whole_words=False) for desk, words in _PARTS]
