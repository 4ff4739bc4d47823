"""What an endpoint understands of OpenAI's protocol, learned from what it refuses: servers differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from adapter.vocabulary import JsonObject

TOP = 20
"""Alternatives asked for at each token: the most that OpenAI gives."""
_STEPS = 8


@dataclass(frozen=True, slots=True)
class Question:
    """One chat. schema: of the JSON answer. sample: number of the answer where several are asked for, part of the
    seed."""

    messages: Sequence[JsonObject]
    schema: JsonObject
    model: str
    max_tokens: int
    temperature: float
    sample: int = 0

    @property
    def most_read(self) -> int:
        """Tokens that the endpoint may read of it at most: a token has at least one byte."""
        return (
            sum(len(str(m["content"]).encode("utf-8", "replace")) + 16 for m in self.messages)
            + 64
            + 2 * len(str(self.schema))
        )


@dataclass(frozen=True, slots=True)
class Dialect:
    """form: how the answer's shape is asked for: `json_schema`, `json_object`, or nothing (`text`). logprobs: whether
    log-probabilities are asked for. limit: name of the field for the longest answer. temperature, seed: whether they
    may be set."""

    form: str = "json_schema"
    logprobs: int = TOP
    limit: str = "max_tokens"
    temperature: bool = True
    seed: bool = True
    steps: int = 0

    def body(self, question: Question) -> JsonObject:
        """Return the request's JSON."""
        body: dict[str, Any] = {"model": question.model, "messages": list(question.messages), "stream": False}
        body[self.limit] = question.max_tokens
        if self.temperature:
            body["temperature"] = question.temperature
        if self.seed:
            body["seed"] = question.sample
        if self.logprobs:
            body |= {"logprobs": True, "top_logprobs": self.logprobs}
        if self.form == "json_schema":
            shape = {"name": "answer", "strict": True, "schema": question.schema}
            body["response_format"] = {"type": "json_schema", "json_schema": shape}
        elif self.form == "json_object":
            body["response_format"] = {"type": "json_object"}
        return body

    def without(self, said: str) -> Dialect | None:
        """Return a simpler dialect after a request was refused as wrong, going by what the endpoint said; None when
        there is nothing left to leave out."""
        text = said.lower()
        if self.steps >= _STEPS:
            return None
        simpler: Dialect | None = None
        if "logprob" in text and self.logprobs:
            simpler = replace(self, logprobs=5 if self.logprobs > 5 and "top_logprob" in text else 0)
        elif "max_completion_tokens" in text and self.limit == "max_tokens":
            simpler = replace(self, limit="max_completion_tokens")
        elif "temperature" in text and self.temperature:
            simpler = replace(self, temperature=False)
        elif "seed" in text and self.seed:
            simpler = replace(self, seed=False)
        elif self.form == "json_schema":
            simpler = replace(self, form="json_object")
        elif self.form == "json_object":
            simpler = replace(self, form="text")
        elif self.logprobs:
            simpler = replace(self, logprobs=0)
        elif self.seed:
            simpler = replace(self, seed=False)
        return None if simpler is None else replace(simpler, steps=self.steps + 1)
