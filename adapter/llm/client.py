"""Asking an endpoint over HTTP: paid for before and settled after, tried again where that may help, within bounds.

Retried: 408, 409, 425, 429, 5xx, time-outs, dropped connections and replies that are none. Money: an attempt that may
have been answered although we have not seen it counts as paid in full. Redirects are not followed, proxies of the
environment not used, and certificates checked.
"""

from __future__ import annotations

import json
import logging
import random
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from adapter.llm.dialect import Dialect, Question
from adapter.llm.endpoint import Endpoint
from adapter.llm.faults import Down, LlmError, Refused
from adapter.llm.ledger import Ledger, Prices
from adapter.llm.limits import Backoff, Breaker, Clock, Rate, retry_after
from adapter.llm.reply import Reply, billed, read_reply

if TYPE_CHECKING:
    import httpx

MOST_BYTES = 4 << 20
"""Of a reply that are read."""
_AGAIN = frozenset({408, 409, 425, 429})
_WRONG = frozenset({400, 404, 405, 413, 415, 422, 501})
THREADS = "hitl-llm"
"""Names of the threads that ask begin so."""
_TALKATIVE = ("httpcore.connection", "httpcore.http11", "httpcore.http2", "httpcore.proxy", "httpcore.socks")
_HELD_UP = 4
"""Times as many attempts where the endpoint only says that we are too fast."""
_LONGEST_SAID = 300
_BYTES_A_TOKEN = 4


@dataclass(frozen=True, slots=True)
class Patience:
    """timeout_s: for one attempt, from its start to the last byte. attempts: of one question. failures: attempts in a
    row, of all questions, after which the endpoint is given up for cooldown_s."""

    timeout_s: float = 60.0
    attempts: int = 5
    failures: int = 12
    cooldown_s: float = 30.0
    backoff: Backoff = field(default_factory=Backoff)


def _quiet(record: logging.LogRecord) -> bool:
    """Drop what the transport logs of our requests below INFO: headers, in which an endpoint may repeat the key."""
    return record.levelno >= logging.INFO or not str(record.threadName).startswith(THREADS)


class _Again(Exception):
    """An attempt failed in a way that may pass. paid: it may have been answered. down: it speaks against the endpoint.
    asked: seconds that the endpoint asked to wait."""

    def __init__(self, why: str, *, paid: bool, down: bool = True, asked: float | None = None) -> None:
        super().__init__(why)
        self.why = why
        self.paid = paid
        self.down = down
        self.asked = asked


class _Wrong(Exception):
    """The endpoint refused the request as wrong."""


class Client:
    """One endpoint with its limits. Safe to use from several threads; what it learned of the endpoint stays.

    chance: of the waits between attempts.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        ledger: Ledger,
        prices: Prices,
        *,
        rate: Rate,
        patience: Patience,
        clock: Clock,
        chance: random.Random,
    ) -> None:
        self.endpoint = endpoint
        self.ledger = ledger
        self.prices = prices
        self.calls = 0
        self.attempts = 0
        self._rate = rate
        self._patience = patience
        self._clock = clock
        self._chance = chance
        self._breaker = Breaker(patience.failures, patience.cooldown_s, clock)
        self._lock = threading.Lock()
        self._dialect = Dialect()

    def open(self, connections: int) -> httpx.Client:
        """Return connections to ask over; the caller closes them."""
        import httpx

        for name in _TALKATIVE:
            logging.getLogger(name).addFilter(_quiet)
        return httpx.Client(
            headers=self.endpoint.headers(),
            timeout=httpx.Timeout(self._patience.timeout_s, connect=min(10.0, self._patience.timeout_s)),
            limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
            follow_redirects=False,
            trust_env=False,
        )

    def chat(self, http: httpx.Client, question: Question) -> Reply:
        """Return the reply to a question. Raises LlmError; Down where no other question would be answered either, Spent
        where the budget ends."""
        failed, held_up = 0, 0
        while True:
            self._breaker.check()
            with self._lock:
                dialect = self._dialect
            try:
                return self._paid(http, dialect, question)
            except _Wrong as error:
                self._simplify(dialect, str(error))
            except _Again as error:
                failed += error.down
                held_up += not error.down
                if error.down:
                    self._breaker.bad(error.why, self.endpoint.url)
                if failed >= self._patience.attempts or held_up >= _HELD_UP * self._patience.attempts:
                    self._breaker.check()
                    raise LlmError(
                        f"no answer after {failed + held_up} attempts, last: {error.why}",
                        where=self.endpoint.url,
                        remedy="It is asked again when this is run again; raise `timeout_s` or `attempts` if it stays.",
                    ) from None
                self._pause(failed + held_up - 1, error.asked)

    def _pause(self, attempt: int, asked: float | None) -> None:
        """Wait after a failed attempt. What the endpoint asks for, all threads wait; then each a little more, so that
        they do not all come back at once."""
        backoff = self._patience.backoff
        with self._lock:
            jitter = backoff.seconds(attempt, None, self._chance)
        if asked is not None:
            self._rate.pause(backoff.seconds(attempt, asked, self._chance))
        self._clock.sleep(jitter)

    def _paid(self, http: httpx.Client, dialect: Dialect, question: Question) -> Reply:
        """Make one attempt, with its money set aside before and settled after, whatever happens."""
        most = self.prices.cost(question.most_read, question.max_tokens)
        self._rate.wait(question.most_read // _BYTES_A_TOKEN + question.max_tokens)
        ticket = self.ledger.reserve(most)
        cost = most  # where this is interrupted, it may have been billed
        try:
            with self._lock:
                self.attempts += 1
            reply = self._send(http, dialect, question)
            cost = self.prices.cost(*billed(reply, question.most_read, question.max_tokens))
        except _Again as error:
            cost = most if error.paid else 0
            raise
        except (_Wrong, LlmError):
            cost = 0
            raise
        finally:
            self.ledger.settle(ticket, cost)
        with self._lock:
            self.calls += 1
        self._breaker.good()
        return reply

    def _send(self, http: httpx.Client, dialect: Dialect, question: Question) -> Reply:
        import httpx

        body = json.dumps(dialect.body(question), ensure_ascii=False).encode("utf-8", "replace")
        deadline = self._clock.now() + self._patience.timeout_s
        try:
            with http.stream("POST", self.endpoint.chat, content=body) as response:
                status, headers = response.status_code, response.headers
                if headers.get("content-encoding", "identity").lower() not in ("", "identity"):
                    raise _Again("it sent a compressed reply, which was not asked for", paid=True)
                raw = self._read(response, deadline)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise _Again(f"it cannot be reached ({self._said(str(error))})", paid=False) from None
        except httpx.TimeoutException:
            raise _Again(f"it took longer than {self._patience.timeout_s:g} s", paid=True) from None
        except httpx.HTTPError as error:
            raise _Again(f"the connection broke ({type(error).__name__})", paid=True) from None
        if status != 200:
            self._refused(status, raw, headers.get("retry-after"), headers.get("location", ""))
        try:
            return read_reply(raw)
        except ValueError as error:
            raise _Again(f"its reply cannot be read: {error}", paid=True) from None

    def _read(self, response: httpx.Response, deadline: float) -> bytes:
        """Read a bounded reply. A server that drips is cut off at the deadline."""
        parts, size = [], 0
        for part in response.iter_raw():
            parts.append(part)
            size += len(part)
            if size > MOST_BYTES:
                raise _Again(f"its reply is longer than {MOST_BYTES >> 20} MB", paid=True)
            if self._clock.now() > deadline:
                raise _Again(f"it took longer than {self._patience.timeout_s:g} s", paid=True)
        return b"".join(parts)

    def _refused(self, status: int, raw: bytes, wait: str | None, location: str) -> None:
        """Raise what an answer other than 200 means."""
        said = self._said(raw.decode("utf-8", "replace"))
        if status in (401, 402, 403) or (status == 429 and "insufficient_quota" in said):
            what = "the account is used up" if status in (402, 429) else "the endpoint refuses the key"
            raise self._given_up(f"{what} ({status}: {said})", "Set HITL_LLM__API_KEY, or mend the account there.")
        if 300 <= status < 400:
            raise self._given_up(
                f"the endpoint redirects to {self._said(location)}, and redirects are not followed",
                "Set `llm.url` to where it really is.",
            )
        if status == 404 or (status in _WRONG and _no_model(said.lower())):
            remedy = "Check `llm.url` (up to and with /v1) and the option `model`."
            raise self._given_up(f"there is no such address or model ({status}: {said})", remedy)
        if status in _AGAIN or (status >= 500 and status != 501):
            asked = retry_after(wait, self._clock.wall())
            raise _Again(f"{status}: {said}", paid=False, down=status != 429, asked=asked)
        if status == 413:
            raise LlmError("the endpoint calls the request too long", remedy="Lower `max_chars` or `shots`.")
        raise _Wrong(f"{status}: {said}")

    def _given_up(self, what: str, remedy: str) -> Down:
        error = Refused(what, where=self.endpoint.url, remedy=remedy)
        self._breaker.give_up(error)
        return error

    def _simplify(self, used: Dialect, said: str) -> None:
        """Learn from a refusal; raise LlmError when the request has nothing left to leave out."""
        with self._lock:
            if self._dialect != used:  # another thread has learned meanwhile
                return
            simpler = used.without(said)
            if simpler is not None:
                self._dialect = simpler
                return
        raise LlmError(
            f"the endpoint calls the request wrong ({said})",
            where=self.endpoint.url,
            remedy="It must speak OpenAI's chat completions; lower `max_chars` if the request is too long.",
        )

    def _said(self, text: str) -> str:
        """Return what came from outside as one short line without the key."""
        return " ".join(self.endpoint.scrubbed(text).split())[:_LONGEST_SAID]


def _no_model(said: str) -> bool:
    return "model_not_found" in said or ("model" in said and ("not found" in said or "does not exist" in said))


__all__ = ["MOST_BYTES", "Client", "Patience"]
