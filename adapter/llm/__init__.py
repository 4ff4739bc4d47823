"""Language models that answer over OpenAI's protocol (chat completions): asked about tasks, never trusted.

    asker = Asker(Endpoint(url, key), Prompt(make_sheet(labels)), checked_options({"model": "m"}, "me"), cache_folder)
    outcomes = asker.ask(["free money!", ...])     # an Answered, or why there is none, for each

What comes back are probabilities over the control's labels, or a fault; text of the model goes nowhere. Each question
is paid for once (`cache`), within limits of money (`ledger`) and speed (`limits`) that hold for all threads, and those
of money for all processes. The key lives in `Endpoint` alone.
"""

from __future__ import annotations

from adapter.llm.answers import Answered
from adapter.llm.ask import Asker, Outcome
from adapter.llm.endpoint import Endpoint
from adapter.llm.faults import Down, LlmError, NotConfigured, Refused, Spent, Unusable
from adapter.llm.limits import Clock
from adapter.llm.options import AskOptions, checked_options
from adapter.llm.prompt import Prompt, Shot, text_of
from adapter.llm.sheet import Sheet, make_sheet

__all__ = [
    "Answered",
    "AskOptions",
    "Asker",
    "Clock",
    "Down",
    "Endpoint",
    "LlmError",
    "NotConfigured",
    "Outcome",
    "Prompt",
    "Refused",
    "Sheet",
    "Shot",
    "Spent",
    "Unusable",
    "checked_options",
    "make_sheet",
    "text_of",
]
