"""Asking a language model about many tasks at once: each question paid for once, each failure kept to its own task."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from adapter.llm.answers import Answered, mean, read_answer
from adapter.llm.cache import AnswerCache, digest_of
from adapter.llm.client import THREADS, Client, Patience
from adapter.llm.dialect import Question
from adapter.llm.endpoint import Endpoint
from adapter.llm.faults import LlmError, Unusable
from adapter.llm.ledger import Ledger, Prices, Quota
from adapter.llm.limits import Clock, Rate
from adapter.llm.options import AskOptions
from adapter.llm.prompt import Prompt, Shot
from adapter.vocabulary import JsonObject

if TYPE_CHECKING:
    import httpx

FOLDER = "llm"
"""Of answers and spending, in the cache folder."""
UNUSABLE_S = 24 * 3600.0
"""Seconds for which an answer that named no label is remembered: it was paid for."""

Outcome: TypeAlias = "Answered | LlmError | None"
"""An answer; why there is none; or None where the quota leaves the task out, or it has no text."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question that is not answered yet. rows: of the tasks that have it. key: digest of all of it."""

    key: str
    messages: list[JsonObject]
    rows: list[int]


class Asker:
    """One prompt at one endpoint. Safe to use from several threads; holds no open connection between calls.

    cache_folder: where answers and spending are kept for all processes and runs; None for this object's memory alone.
    quota: a name under which `options.most` counts tasks in that folder for ever; empty counts, here alone, those that
    are asked about over the net. seed: of the
    waits between attempts. asked: tasks asked about over the net so far.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        prompt: Prompt,
        options: AskOptions,
        cache_folder: Path | None = None,
        *,
        quota: str = "",
        clock: Clock | None = None,
        patience: Patience | None = None,
        seed: int = 0,
    ) -> None:
        self.prompt = prompt
        self.options = options
        self.asked = 0
        self._clock = clock or Clock()
        folder = None if cache_folder is None else cache_folder / FOLDER
        self._cache = AnswerCache(None if folder is None else folder / "answers")
        limits = {"total": options.budget, "run": options.run_budget}
        self.ledger = Ledger(folder, options.account, **limits, wall=self._clock.wall)
        self._named = bool(quota)
        # What decides an answer besides the chat: where, whom and how.
        warmth, sheet = options.warmth, prompt.sheet
        how = (options.model, warmth, options.confidence, options.max_tokens, sheet.may_abstain)
        self._how = digest_of(endpoint.url, how)
        counted = None if folder is None or not quota else folder / "asked" / f"{quota}.txt"
        self._quota = Quota(counted, options.most)
        self._client = Client(
            endpoint,
            self.ledger,
            Prices(options.price_input, options.price_output),
            rate=Rate(options.requests_per_minute, options.tokens_per_minute, self._clock),
            patience=patience or Patience(timeout_s=options.timeout_s, attempts=options.attempts),
            clock=self._clock,
            chance=random.Random(seed),
        )
        self._lock = threading.Lock()

    @property
    def client(self) -> Client:
        """What speaks to the endpoint."""
        return self._client

    def ask(
        self, texts: Sequence[str | None], shots: Callable[[str], Sequence[Shot]] = lambda text: ()
    ) -> list[Outcome]:
        """Return one outcome for each text, in their order. shots: the worked examples for a text.

        Equal questions are asked once. Nothing is raised for a task that fails; where the endpoint is down, the tasks
        that are left fail at once.
        """
        out: list[Outcome] = [None] * len(texts)
        waiting: dict[str, _Asked] = {}
        for row, text in enumerate(texts):
            if text is not None:
                shown = shots(text)
                messages = self.prompt.messages(text, shown)
                key = digest_of(self._how, self.prompt.digest(messages, shown))
                waiting.setdefault(key, _Asked(key, messages, [])).rows.append(row)
        known = {key: self._remembered(key) for key in waiting}
        admitted = self._quota.admit([key for key in waiting if self._named or known[key] is None])
        left = []
        for key, one in waiting.items():
            if known[key] is None:
                left += [one] if key in admitted else []
            elif not self._named or key in admitted:
                for row in one.rows:
                    out[row] = known[key]
        if left:
            for one, outcome in self._all(left):
                for row in one.rows:
                    out[row] = outcome
        return out

    def _all(self, left: Sequence[_Asked]) -> list[tuple[_Asked, Outcome]]:
        workers = min(self.options.concurrency, len(left))
        with self._client.open(workers) as http:
            pool = ThreadPoolExecutor(workers, thread_name_prefix=THREADS)
            try:
                running: list[Future[Outcome]] = [pool.submit(self._outcome, http, one) for one in left]
                wait(running, return_when=FIRST_EXCEPTION)
                return [(one, future.result()) for one, future in zip(left, running, strict=True)]
            finally:  # Ctrl-C: no question goes out any more
                pool.shutdown(wait=True, cancel_futures=True)

    def _outcome(self, http: httpx.Client, one: _Asked) -> Outcome:
        try:
            answers = [self._answer(http, one, sample) for sample in range(self.options.samples)]
        except LlmError as error:
            return error
        with self._lock:
            self.asked += 1
        return mean(answers)

    def _answer(self, http: httpx.Client, one: _Asked, sample: int) -> Answered:
        """Return one answer, asking once more where the first names no label. Raises LlmError."""
        known = self._sample(one.key, sample)
        if known is not None:
            if isinstance(known, Unusable):
                raise known
            return known
        messages, problem = one.messages, None
        for _ in range(2):
            reply = self._client.chat(http, self._question(messages, sample))
            try:
                found = read_answer(reply, self.prompt.sheet, self.options.confidence)
            except Unusable as error:
                problem = Unusable(self._client.endpoint.scrubbed(error.what), remedy=error.remedy)
                messages = [
                    *one.messages,
                    {"role": "assistant", "content": reply.text[:500]},
                    {"role": "user", "content": self.prompt.again()},
                ]
            else:
                about = {"p": found.probabilities, "unsure": found.unsure, "measured": found.measured}
                self._cache.put(self._place(one.key, sample), about)
                return found
        assert problem is not None
        about = {"problem": problem.what, "remedy": problem.remedy, "at": self._clock.wall()}
        self._cache.put(self._place(one.key, sample), about)
        raise problem

    def _question(self, messages: list[JsonObject], sample: int) -> Question:
        options, sheet = self.options, self.prompt.sheet
        longest = options.answer_tokens(len(sheet.options), sheet.multiple)
        return Question(messages, self.prompt.schema(), options.model, longest, options.warmth, sample)

    def _place(self, key: str, sample: int) -> str:
        return digest_of(key, sample) if sample else key

    def _remembered(self, key: str) -> Outcome:
        """Return the outcome of a task whose every sample is remembered."""
        answers = []
        for sample in range(self.options.samples):
            known = self._sample(key, sample)
            if not isinstance(known, Answered):
                return known
            answers.append(known)
        return mean(answers)

    def _sample(self, key: str, sample: int) -> Answered | Unusable | None:
        about = self._cache.get(self._place(key, sample))
        if about is None:
            return None
        try:
            if "problem" in about:
                fresh = self._clock.wall() - float(about["at"]) < UNUSABLE_S
                return Unusable(str(about["problem"]), remedy=str(about["remedy"])) if fresh else None
            values = tuple(float(value) for value in about["p"])
            unsure = float(about["unsure"])
        except (KeyError, TypeError, ValueError):
            return None
        whole = len(values) == len(self.prompt.sheet.options) and all(0 <= v <= 1 for v in (*values, unsure))
        return Answered(values, unsure, bool(about.get("measured"))) if whole else None
