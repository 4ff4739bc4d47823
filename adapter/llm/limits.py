"""What keeps us from asking too fast or in vain: rates a minute, waits between attempts, a circuit breaker.

Time comes in as a `Clock`, chance as a `random.Random`. All are safe to use from several threads.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from adapter.llm.faults import Down

_REMEDY = "Nothing is lost: what was answered is remembered. Start the endpoint, then run the same again."


@dataclass(frozen=True, slots=True)
class Clock:
    """now: seconds that only grow. wall: seconds since 1970. sleep: waits so many seconds."""

    now: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep


class Rate:
    """Requests and tokens a minute, evenly spaced, and a pause for all after the endpoint asked for one. None: no
    limit. Counted in this process."""

    def __init__(self, requests: float | None, tokens: float | None, clock: Clock) -> None:
        self._each = 60.0 / requests if requests else 0.0
        self._token = 60.0 / tokens if tokens else 0.0
        self._clock = clock
        self._lock = threading.Lock()
        self._next = 0.0
        self._next_tokens = 0.0
        self._paused = 0.0

    def wait(self, tokens: int) -> None:
        """Wait until a request with about so many tokens may go."""
        with self._lock:
            now = self._clock.now()
            due = max(now, self._next, self._next_tokens)
            self._next = due + self._each
            self._next_tokens = due + tokens * self._token
        while True:
            with self._lock:
                left = max(due, self._paused) - self._clock.now()
            if left <= 0:
                return
            self._clock.sleep(min(left, 3600.0))

    def pause(self, seconds: float) -> None:
        """Let nobody ask for so many seconds."""
        with self._lock:
            self._paused = max(self._paused, self._clock.now() + seconds)


class Breaker:
    """Gives an endpoint up after `most` failed attempts in a row, for `cooldown_s`; then one attempt tries it again."""

    def __init__(self, most: int, cooldown_s: float, clock: Clock) -> None:
        self._most = most
        self._cooldown_s = cooldown_s
        self._clock = clock
        self._lock = threading.Lock()
        self._failed = 0
        self._until = 0.0
        self._why: Down | None = None

    def check(self) -> None:
        """Raise Down while the endpoint is given up."""
        with self._lock:
            if self._why is None:
                return
            if self._why.lasting or self._clock.now() < self._until:
                raise type(self._why)(self._why.what, where=self._why.where, remedy=self._why.remedy)
            self._until = self._clock.now() + self._cooldown_s  # this one tries; the others wait for what it finds

    def good(self) -> None:
        """It answered."""
        with self._lock:
            if self._why is None or not self._why.lasting:
                self._failed, self._why = 0, None

    def bad(self, what: str, where: str) -> None:
        """An attempt failed."""
        with self._lock:
            self._failed += 1
            if self._failed >= self._most and (self._why is None or not self._why.lasting):
                said = f"the endpoint failed {self._failed} times in a row, last: {what}"
                self._why = Down(said, where=where, remedy=_REMEDY)
                self._until = self._clock.now() + self._cooldown_s

    def give_up(self, error: Down) -> None:
        """Ask no more: the endpoint refuses us altogether."""
        with self._lock:
            self._why = error


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before attempt number `n` + 1: up to base x 2^n seconds, at most `longest_s`, drawn evenly (full
    jitter; M. Brooker, "Exponential Backoff and Jitter", 2015), or what the endpoint asks for, at most `obey_s`."""

    base_s: float = 0.5
    longest_s: float = 20.0
    obey_s: float = 60.0

    def seconds(self, attempt: int, asked: float | None, chance: random.Random) -> float:
        """Return the seconds to wait after attempt number `attempt` (from 0) failed."""
        if asked is not None:
            return min(max(asked, 0.0), self.obey_s)
        return chance.uniform(0.0, min(self.longest_s, self.base_s * 2.0 ** min(attempt, 30)))


def retry_after(value: str | None, wall: float) -> float | None:
    """Return the seconds that a Retry-After header asks for; None for none, or nonsense. wall: seconds since 1970."""
    if value is None:
        return None
    text = value.strip()[:64]
    try:
        seconds = float(text)
        return seconds if 0 <= seconds < float("inf") else None
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - wall)
    except (ValueError, TypeError, OverflowError):
        return None
