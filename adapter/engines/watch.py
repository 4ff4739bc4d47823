"""The clock over one call at a time: raises in the main thread when a call has run past its limit.

Where a loop in C never lets the signal through, the parent kills the process, and a watchdog thread of the interpreter
ends it even if there is no parent any more.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import time
from collections.abc import Sequence
from types import FrameType

from adapter.engines.orders import ROW, Order

# Bound here, so that what an author's function puts in their place does not reach us.
_now, _parent, _leave = time.monotonic, os.getppid, os._exit
_signal, _getsignal, _setitimer, _getitimer = signal.signal, signal.getsignal, signal.setitimer, signal.getitimer
_later, _never = faulthandler.dump_traceback_later, faulthandler.cancel_dump_traceback_later
_ALARM, _REAL = signal.SIGALRM, signal.ITIMER_REAL


class TooLong(BaseException):
    """A call ran past its limit. Not an Exception, so that an author's `except Exception` does not swallow it."""


class Watch:
    """The ticking timer. place: function, row and way of the call in progress. armed: whether one is in progress."""

    def __init__(self, place: memoryview, orders: Sequence[Order]) -> None:
        self.place = place
        self.orders = orders
        self.armed = False
        self.parent = _parent()
        self.tick = min(1.0, max(0.01, min((order.timeout_s for order in orders), default=1.0) / 4))
        self._longest = max((order.timeout_s for order in orders), default=1.0)
        self._ring = self.ring
        self._seen: tuple[int, int, int] = (-1, -1, -1)
        self._since = 0.0

    def start(self) -> None:
        """Begin to tick."""
        self._seen = (-1, -1, -1)
        _signal(_ALARM, self._ring)
        _setitimer(_REAL, self.tick, self.tick)
        self._last_resort(self._longest)

    def stop(self) -> None:
        """Tick no more."""
        _setitimer(_REAL, 0)
        _never()

    def standing(self) -> bool:
        """Whether the timer still ticks and rings here."""
        return _getsignal(_ALARM) is self._ring and _getitimer(_REAL)[1] > 0

    def expect(self, function: int, way: int) -> None:
        """Have the last resort wait for a call that may take longer than others."""
        if way != ROW:
            self._last_resort(self.orders[function].limit(way))

    def ring(self, _signal: int, _frame: FrameType | None) -> None:
        """Handle one tick. Raises TooLong."""
        if _parent() != self.parent:
            _leave(1)
        if not self.armed:
            return
        place = self.place
        seen = (place[0], place[1], place[2])
        now = _now()
        limit = self.orders[seen[0]].limit(seen[2])
        if self._seen != seen:
            self._seen, self._since = seen, now
            self._last_resort(limit)
        elif now - self._since >= limit:
            raise TooLong

    @staticmethod
    def _last_resort(limit: float) -> None:
        _later(2 * limit + 3, exit=True, file=2)  # later than the parent, which kills at 1.5 x + 1
