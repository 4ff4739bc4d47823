"""Learning curves as a picture (PNG) and in the terminal."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from adapter.errors import SettingsError
from adapter.simulate.learning import RANDOM

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6bb1", "#a6761d")
"""Okabe and Ito's colours, told apart by colour-blind readers too; `random` is grey."""
GREY = "#7a7a7a"
TERMINAL = ("blue", "orange", "green", "magenta", "red", "cyan", "purple", "brown")
LETTERS = "abcdefghijklmnopqrstuvwxyz"
_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")
WIDTH, HEIGHT = 100, 26
"""Of the terminal's plot, in characters."""


def require_matplotlib() -> None:
    """Raise SettingsError with advice where pictures cannot be drawn."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise SettingsError("pictures need matplotlib", where="--plot", remedy="pip install matplotlib.") from error


def picture(result: dict[str, Any], path: Path) -> None:
    """Draw the curves of `learning_curves` with their 95 % intervals, the full-data score and its marks. Raises
    SettingsError where matplotlib is missing or the file cannot be written."""
    require_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(9.6, 5.8), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for name, colour in colours(list(result["strategies"])):
        points = shown(result, name)
        x = [point["labels"] for point in points]
        y = [point["value"] for point in points]
        main = name != RANDOM
        axes.plot(
            x, y, color=colour, linewidth=2.0 if main else 1.6, linestyle="-" if main else "--", label=name, zorder=3
        )
        if points and points[0]["low"] is not None:
            axes.fill_between(
                x,
                [point["low"] for point in points],
                [point["high"] for point in points],
                color=colour,
                alpha=0.14,
                linewidth=0,
                zorder=2,
            )
    top = result["full"]["value"]
    axes.axhline(top, color="#222222", linewidth=1.1, zorder=1)
    low, high = limits(result)
    marks = [(1.0, "all labels")] + [(float(mark) / 100, f"{mark} %") for mark in _marks(result)]
    for share, text in marks:
        if not low <= share * top <= high:  # outside the picture its word would push everything aside
            continue
        if share < 1:
            axes.axhline(share * top, color="#bbbbbb", linewidth=0.8, linestyle=":", zorder=1)
        axes.annotate(
            text,
            (1.0, share * top),
            xycoords=("axes fraction", "data"),
            xytext=(4, 0),
            textcoords="offset points",
            fontsize=8,
            color="#444444",
            va="center",
        )
    axes.set_ylim(low, high)
    axes.set_xlim(0, result["budget"])
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("labels")
    axes.set_ylabel(f"{result['metric']} on the test split")
    axes.set_title(title(result), fontsize=10, loc="left")
    axes.grid(visible=True, color="#eeeeee", linewidth=0.8, zorder=0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="lower right", frameon=True, framealpha=0.9, edgecolor="none", fontsize=9)
    try:
        figure.savefig(path, format="png")
    except OSError as error:
        raise SettingsError(f"the picture cannot be written ({error.strerror})", where=str(path)) from error


def terminal(result: dict[str, Any], *, width: int = WIDTH, height: int = HEIGHT, colour: bool = True) -> str:
    """Return the mean curves as text for a terminal; empty where plotext is missing. colour: lines of dots that differ
    by colour; without it, each strategy has a letter."""
    try:
        import plotext
    except ImportError:
        return ""
    figure = plotext.figure
    figure.clear()
    figure.plot_size(width, height)
    figure.theme("colorless")
    names = list(result["strategies"])
    others = [name for name in names if name != RANDOM]
    letters = dict(zip(others, LETTERS, strict=False)) | {RANDOM: "."}
    for name in names:
        points = shown(result, name)
        ink = "gray" if name == RANDOM else TERMINAL[others.index(name) % len(TERMINAL)]
        mark = plotext.marker("braille", ink) if colour else letters.get(name, "*")
        x, y = [point["labels"] for point in points], [point["value"] for point in points]
        figure.draw(figure.signal(x, y, marker=mark).lines(len(x) > 1).label(name))
    top = result["full"]["value"]
    low, high = limits(result)
    figure.line(top, "h", style="dotted", pixel=("gray", "default"))
    figure.ruler("y").lim(low, high)
    ticks = [round(result["budget"] * part / 4) for part in range(5)]
    figure.ruler("x").lim(0, result["budget"]).ticks(ticks, [str(tick) for tick in ticks])
    figure.label("labels", "x")
    figure.title(f"{result['metric']}, mean of {len(result['seeds'])} seeds; dotted: all labels, {top:.3f}")
    figure.legend(True, result["budget"], low, "right", "bottom", True)
    text = str(figure.build())
    figure.clear()
    return text if colour else _ESCAPES.sub("", text)


def colours(names: list[str]) -> list[tuple[str, str]]:
    """Return each strategy with its colour; more strategies than colours begin again."""
    others = [name for name in names if name != RANDOM]
    return [(name, GREY if name == RANDOM else COLOURS[others.index(name) % len(COLOURS)]) for name in names]


def shown(result: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """Return a strategy's points up to the budget."""
    points: list[dict[str, Any]] = result["strategies"][name]["curve"]
    return [point for point in points if point["labels"] <= result["budget"]]


def limits(result: dict[str, Any]) -> tuple[float, float]:
    """Return the lowest and highest score to show: where the curves are worth telling apart."""
    values = [point["value"] for name in result["strategies"] for point in shown(result, name)]
    top = max([*values, result["full"]["value"]])
    low = min(values)
    room = 0.06 * (top - low) or 0.05
    return max(0.0, low - room), min(1.02, top + room)


def title(result: dict[str, Any]) -> str:
    """Return one line that says what was run."""
    pool = sum(result["pool"]) / len(result["pool"])
    return (
        f"Learning curves: {len(result['seeds'])} seeds, pool {pool:.0f}, start {result['start']} "
        f"({result['cold_start']}), batch {result['batch']}; bands are 95 % intervals"
    )


def _marks(result: dict[str, Any]) -> list[str]:
    return list(result["strategies"][RANDOM]["labels_to"])
