"""The high-water mark of a pull: where on the server's own clock we have seen everything.

Two clocks are involved, and they may differ: the application's (`updated_at` of tasks) and that of the Date header
(perhaps a proxy's). They are never compared, only their progress is: if the application's clock stood at least at T
when the header said D, it stands at least at T + (D2 - D) when the header says D2. So a quiet project's mark moves on,
and a skewed proxy cannot make us miss a change.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

OVERLAP_S = 10.0
"""Looked at again with every pull: a change that was committed late carries an earlier time."""


@dataclass(frozen=True, slots=True)
class Mark:
    """seen: the application's clock stood at least here. header: the Date header then, seconds since 1970, or None."""

    seen: datetime
    header: float | None

    def __str__(self) -> str:
        return f"{self.seen.astimezone(UTC).isoformat()}|{'' if self.header is None else self.header}"

    @property
    def since(self) -> datetime:
        """From where to look."""
        return self.seen - timedelta(seconds=OVERLAP_S)

    @classmethod
    def read(cls, text: str | None) -> Mark | None:
        """Read what `str` wrote; None for anything else, which means to look at everything."""
        seen, _, header = (text or "").partition("|")
        try:
            when = datetime.fromisoformat(seen)
            return cls(when, float(header) if header else None) if when.tzinfo is not None else None
        except ValueError:
            return None


def advance(previous: Mark | None, newest: datetime | None, header: float | None) -> Mark | None:
    """Return the mark after a pull. newest: latest `updated_at` in it. header: the Date header when it began."""
    reached = [newest] if newest is not None else []
    if previous is not None:
        passed = 0.0
        if header is not None and previous.header is not None:
            passed = max(header - previous.header, 0.0)
        reached.append(previous.seen + timedelta(seconds=passed))
    return Mark(max(reached), header) if reached else None
