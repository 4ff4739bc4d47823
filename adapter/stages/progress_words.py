"""What a learning curve expects of more labels, in words."""

from __future__ import annotations

import math

from adapter.core.learning_curve import LEAST_TASKS, Curve, Estimate


def forecast(
    curve: Curve | None, *, labels: int, left: int, blind: int, points: float, rate: float | None, lacking: str = ""
) -> str:
    """Say how many labels bring `points` more accuracy (.01 for one point). labels: of the present model. left: tasks
    without a label. blind: labelled blind tasks. rate: labels an hour, None if unknown. lacking: why
    nothing can be said, whatever is labelled."""
    if curve is None or not labels:
        if lacking:
            return f"what more labels bring cannot be said ({lacking})"
        if blind < LEAST_TASKS:
            return f"what more labels bring cannot be said yet ({blind} labelled blind tasks, {LEAST_TASKS} are needed)"
        return "what more labels bring cannot be said yet (the curve is too short)"
    more = curve.more_for(labels, points)
    if not more.value <= left:
        twice = curve.gain(labels, labels)
        return (
            f"even the {left:,} tasks that are left may not bring {100 * points:.1f} points more: as many labels again "
            f"are expected to bring {_signed(twice)}"
        )
    upper = f"{_count(more.upper)}" if more.upper <= left else f"more than the {left:,} left"
    text = f"about {_count(more.value)} more labels for +{100 * points:.1f} points ({_count(more.lower)} to {upper})"
    if rate:
        text += f", {_duration(more.value / rate)} at {rate:.0f} an hour"
    return text


def _signed(found: Estimate) -> str:
    return f"{100 * found.value:+.1f} points ({100 * found.lower:+.1f} to {100 * found.upper:+.1f})"


def _count(labels: float) -> str:
    """Return a number of labels to two significant digits."""
    if labels < 10:
        return f"{max(labels, 1):.0f}"
    step = 10 ** (math.floor(math.log10(labels)) - 1)
    return f"{round(labels / step) * step:,.0f}"


def _duration(hours: float) -> str:
    if hours < 1:
        return f"{max(60 * hours, 1):.0f} min"
    return f"{hours:.1f} h" if hours < 100 else f"{hours:,.0f} h"


__all__ = ["forecast"]
