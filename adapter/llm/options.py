"""What can be set of asking a language model, checked: the same for the backend and for labeling functions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from adapter.errors import BackendError, nearest

_COUNTS = {
    "samples": (1, 20),
    "max_chars": (100, 200_000),
    "max_tokens": (0, 32_000),
    "concurrency": (1, 128),
    "attempts": (1, 20),
    "most": (1, 100_000_000),
}
_MOST = 1e9
"""Greatest of any number here: beyond it, seconds and amounts of money overflow."""
_ABOVE_0 = ("timeout_s", "requests_per_minute", "tokens_per_minute", "budget", "run_budget")
_MAY_LACK = frozenset({"requests_per_minute", "tokens_per_minute", "budget", "run_budget", "temperature", "most"})


@dataclass(frozen=True, slots=True)
class AskOptions:
    """How a language model is asked.

    model: its name at the endpoint. samples: answers asked for each task, of which the mean counts. temperature: of the
    answers; None for 0, or .7 where there are several samples. confidence: of a label that was named without
    log-probabilities. max_chars: read of a task. max_tokens: longest answer; 0 for what the labels need; raise it for
    models that think before they answer. concurrency: questions at a time. attempts: at one question. timeout_s: for
    one attempt. requests_per_minute, tokens_per_minute: None for no limit. price_input, price_output: of a million
    tokens. budget: most that `account` may ever spend on this machine, all processes and runs together; run_budget:
    most of one run; None for no limit. most: tasks that may be asked about; None for no limit.
    """

    model: str
    samples: int = 1
    temperature: float | None = None
    confidence: float = 0.9
    max_chars: int = 4000
    max_tokens: int = 0
    concurrency: int = 8
    attempts: int = 5
    timeout_s: float = 60.0
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    price_input: float = 0.0
    price_output: float = 0.0
    budget: float | None = None
    run_budget: float | None = None
    account: str = "llm"
    most: int | None = None

    @property
    def warmth(self) -> float:
        """The temperature that is asked for."""
        return self.temperature if self.temperature is not None else 0.7 if self.samples > 1 else 0.0

    def answer_tokens(self, labels: int, multiple: bool) -> int:
        """Return the longest answer that is paid for."""
        return self.max_tokens or (32 + 8 * labels if multiple else 32)


NAMES = tuple(field.name for field in fields(AskOptions))


def checked_options(given: Mapping[str, Any], where: str) -> AskOptions:
    """Return the options. Raises BackendError that names the one that is wrong."""
    for name in given:
        if name not in NAMES:
            raise BackendError(f"'{name}' is no option of {where}", where=where, remedy=nearest(name, NAMES))
    model = given.get("model")
    if not isinstance(model, str) or not model.strip() or not model.isprintable() or len(model) > 200:
        raise _wrong(where, "model", model, "Name a model as the endpoint does, such as 'gpt-4o-mini'.")
    account = given.get("account", "llm")
    if not isinstance(account, str) or not account.strip() or not account.isprintable() or len(account) > 100:
        raise _wrong(where, "account", account, "Give a short name; what has the same name spends together.")
    for name, (low, high) in _COUNTS.items():
        value = given.get(name, low)
        if value is None and name in _MAY_LACK:
            continue
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise _wrong(where, name, value, f"Give a whole number from {low} to {high}.")
    for name in _ABOVE_0:
        value = given.get(name, 1.0)
        if not (value is None and name in _MAY_LACK) and not (_number(value) and value > 0):
            raise _wrong(where, name, value, "Give a number above 0" + (", or none." if name in _MAY_LACK else "."))
    for name in ("price_input", "price_output"):
        if not (_number(given.get(name, 0.0)) and given.get(name, 0.0) >= 0):
            raise _wrong(where, name, given[name], "Give the price of a million tokens.")
    warmth = given.get("temperature")
    if warmth is not None and not (_number(warmth) and 0 <= warmth <= 2):
        raise _wrong(where, "temperature", warmth, "Give a number from 0 to 2.")
    sure = given.get("confidence", 0.9)
    if not (_number(sure) and 0.5 <= sure < 1):
        raise _wrong(where, "confidence", sure, "Give a number from .5 to below 1.")
    options = AskOptions(**given)
    limited = options.budget is not None or options.run_budget is not None
    if limited and not (options.price_input or options.price_output):
        raise BackendError(
            "a budget is set, but not what tokens cost",
            where=where,
            remedy="Give price_input and price_output, of a million tokens; for a free model leave the budget out.",
        )
    return options


def _number(value: object) -> bool:
    # Compared, not converted: a whole number may be too large for a float.
    return isinstance(value, int | float) and not isinstance(value, bool) and -_MOST <= value <= _MOST


def _wrong(where: str, name: str, value: object, remedy: str) -> BackendError:
    return BackendError(f"option '{name}' of {where} is {value!r:.80}", where=where, remedy=remedy)
