"""Reading an endpoint's reply: hostile JSON into text, alternatives of tokens, and counts that make sense."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_MOST_TOKENS = 4096
_LONGEST_TOKEN = 200
LONGEST_TEXT = 20_000
_MOST_BYTES_A_TOKEN = 16


@dataclass(frozen=True, slots=True)
class Token:
    """A token of the answer, with what else might have stood there: text to probability, itself included."""

    text: str
    probability: float
    others: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Reply:
    """text: the answer. tokens: with probabilities; empty where the endpoint gives none. read, written: tokens that it
    says it counted, None for nonsense."""

    text: str
    tokens: tuple[Token, ...] = ()
    read: int | None = None
    written: int | None = None


def read_reply(raw: bytes) -> Reply:
    """Return what a reply says. Raises ValueError, with why, for what is no reply."""
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise ValueError("it is no JSON") from error
    choices = document.get("choices") if isinstance(document, dict) else None
    first = choices[0] if isinstance(choices, list) and choices else None
    message = first.get("message") if isinstance(first, dict) else None
    if not isinstance(first, dict) or not isinstance(message, dict):
        raise ValueError("it holds no choices[0].message")
    usage = document.get("usage")
    counts = usage if isinstance(usage, dict) else {}
    return Reply(
        _text(message)[:LONGEST_TEXT],
        _tokens(first.get("logprobs")),
        _count(counts.get("prompt_tokens")),
        _count(counts.get("completion_tokens")),
    )


def billed(reply: Reply, most_read: int, most_written: int) -> tuple[int, int]:
    """Return the tokens to pay for: what the endpoint counted where that can be true, the nearest bound where it
    cannot, and the most where it says nothing."""
    least_read = most_read // _MOST_BYTES_A_TOKEN
    least_written = max(1, len(reply.text.encode("utf-8", "replace")) // _MOST_BYTES_A_TOKEN)
    read = most_read if reply.read is None else min(max(reply.read, least_read), most_read)
    written = most_written if reply.written is None else min(max(reply.written, least_written), most_written)
    return read, written


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, str):
        return content
    if isinstance(content, list):  # parts, as newer servers write them
        return "".join(str(part.get("text", "")) for part in content[:100] if isinstance(part, dict))
    refusal = message.get("refusal")
    return refusal if isinstance(refusal, str) else ""


def _tokens(logprobs: object) -> tuple[Token, ...]:
    content = logprobs.get("content") if isinstance(logprobs, dict) else None
    if not isinstance(content, list) or len(content) > _MOST_TOKENS:
        return ()
    tokens = []
    for each in content:
        if not isinstance(each, dict) or not isinstance(each.get("token"), str):
            return ()
        own = _probability(each.get("logprob"))
        if own is None:
            return ()
        others: dict[str, float] = {}
        top = each.get("top_logprobs")
        for other in top[:100] if isinstance(top, list) else ():
            text = other.get("token") if isinstance(other, dict) else None
            chance = _probability(other.get("logprob")) if isinstance(text, str) else None
            if isinstance(text, str) and chance is not None and len(text) <= _LONGEST_TOKEN:
                others[text] = chance
        others.setdefault(each["token"][:_LONGEST_TOKEN], own)
        if sum(others.values()) > 1.05:  # these are no probabilities
            return ()
        tokens.append(Token(each["token"], own, others))
    return tuple(tokens)


def _probability(value: object) -> float | None:
    # Compared, not converted: a whole number may be too large for a float, and NaN is less than nothing.
    if isinstance(value, bool) or not isinstance(value, int | float) or not value <= 1e-3:
        return None
    return math.exp(float(max(min(value, 0.0), -1000.0)))


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
