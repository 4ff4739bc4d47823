"""`hitl progress`: the curve so far, what more labels are expected to bring, the saving, and whether to stop."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adapter.cli.common import JsonOption, ProjectArgument, chosen, examples, opened, print_json
from adapter.errors import SettingsError

if TYPE_CHECKING:
    from adapter.stages.progress import ControlProgress, CurvePoint, ProgressReport

WIDTH, HEIGHT = 90, 20
"""Of the plot in the terminal, in characters."""
_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")
ENDINGS = (".png", ".svg", ".pdf")


def progress(
    context: typer.Context,
    project: ProjectArgument = None,
    measure: Annotated[
        bool, typer.Option("--measure", help="First measure what labels at random would have brought, if it is due.")
    ] = False,
    plot: Annotated[
        Path | None,
        typer.Option("--plot", metavar="FILE", help="Also draw the curves into a .png, .svg or .pdf.", dir_okay=False),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Say how far the labelling is: accuracy against labels, what more labels are expected to bring, what the order has
    saved against labels at random, and whether to stop."""
    from adapter.cli.show import hint
    from adapter.stages.progress import measure_progress
    from adapter.stages.progress import progress as stage

    if plot is not None and plot.suffix.lower() not in ENDINGS:
        raise SettingsError(
            f"'{plot.suffix}' is no ending of a picture", where=str(plot), remedy=f"Use one of {', '.join(ENDINGS)}."
        )
    with opened(context) as app:
        mine = chosen(app, project)
        if measure:
            done = measure_progress(mine)
            for control, why in done.why.items():
                hint(f"{control}: not measured now: {why}")
        found = stage(mine)
    if plot is not None:
        _picture(found, plot)
        hint(f"drawn into {plot}")
    if as_json:
        print_json(found.as_json())
        return
    _show(found)


def _show(found: ProgressReport) -> None:
    from adapter.cli.show import say, table

    say(f"progress of {found.project}, model {found.model or 'none yet'}")
    for control in found.controls:
        rows = [
            (name, point.labels, point.accuracy, point.lower, point.upper, point.n)
            for name, points in _curves(control)
            for point in points
        ]
        columns = ("curve", "labels", "accuracy", "lower", "upper", "blind tasks")
        table(f"\n{control.control}", columns, rows, empty="no curve yet")
        if rows:
            say(_drawing(control))
        for sentence in (control.forecast, control.saved, str(control.advice["why"])):
            say(f"- {sentence}")
    for note in found.notes:
        say(f"Note: {note}.")


def _curves(control: ControlProgress) -> tuple[tuple[str, tuple[CurvePoint, ...]], ...]:
    """Return the curves by name."""
    return (
        ("this order", control.active),
        ("at random", control.random),
        ("at random, estimated", control.stood_in),
    )


def _drawing(control: ControlProgress) -> str:
    """Return the curves as characters; empty where plotext is missing."""
    try:
        import plotext
    except ImportError:
        return ""
    figure = plotext.figure
    figure.clear()
    figure.plot_size(WIDTH, HEIGHT)
    figure.theme("colorless")
    every = [point for _, points in _curves(control) for point in points]
    for (name, points), mark in zip(_curves(control), "o.+", strict=True):
        if points:
            x, y = [point.labels for point in points], [point.accuracy for point in points]
            figure.draw(figure.signal(x, y, marker=mark).lines(len(x) > 1).label(f"{mark} {name}"))
    low, high = min(point.accuracy for point in every), max(point.accuracy for point in every)
    figure.ruler("y").lim(max(low - 0.02, 0.0), min(high + 0.02, 1.0))
    figure.label("labels in training", "x")
    figure.title(f"{control.control}: accuracy on the blind sample")
    drawn = str(figure.build())
    figure.clear()
    return "\n".join(line.rstrip() for line in _ESCAPES.sub("", drawn).splitlines())


def _picture(found: ProgressReport, path: Path) -> None:
    """Draw the curves of all controls, with their intervals, into a file."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise SettingsError("pictures need matplotlib", where="--plot", remedy="pip install matplotlib.") from error

    count = max(len(found.controls), 1)
    figure = Figure(figsize=(7, 4.2 * count), layout="constrained")
    FigureCanvasAgg(figure)
    for number, control in enumerate(found.controls, start=1):
        axes = figure.add_subplot(count, 1, number)
        for (name, points), look in zip(_curves(control), ("C0-", "C1-", "C1--"), strict=True):
            if points:
                x, low, high = [p.labels for p in points], [p.lower for p in points], [p.upper for p in points]
                axes.plot(x, [p.accuracy for p in points], look, marker="o", label=name)
                axes.fill_between(x, low, high, color=look[:2], alpha=0.15, linewidth=0)
        axes.set_title(control.control)
        axes.set_xlabel(f"labels in training\n{control.saved}", fontsize=8)
        axes.set_ylabel("accuracy on the blind sample")
        if any(points for _, points in _curves(control)):
            axes.legend(loc="lower right")
        axes.grid(alpha=0.3)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=130)
    except OSError as error:
        raise SettingsError(
            f"the picture cannot be written: {error.strerror or error}", where=str(path), remedy="Name another file."
        ) from error


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=examples("hitl progress", "hitl progress spam --measure --plot curve.png"))(progress)
