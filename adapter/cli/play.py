"""`hitl simulate` and `hitl demo`: the loop with simulated annotators."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from adapter.cli.common import examples, print_json, state_of


class PlatformName(StrEnum):
    """Where simulated annotators work."""

    label_studio = "label-studio"
    memory = "memory"


class Strategy(StrEnum):
    """Orders of work to compare."""

    margin = "margin"
    entropy = "entropy"
    least_confidence = "least-confidence"
    random = "random"


def simulate(
    context: typer.Context,
    data: Annotated[Path, typer.Option("--data", metavar="FILE", help="CSV, JSONL or Parquet.", show_default=False)],
    label_config: Annotated[
        Path, typer.Option("--label-config", metavar="XML", help="Label Studio's label config.", show_default=False)
    ],
    gold: Annotated[
        str, typer.Option("--gold", metavar="COLUMN", help="Column with the true labels; the adapter never sees it.")
    ],
    platform: Annotated[
        PlatformName, typer.Option("--platform", help="A real server, or the same stages on a fake one (fast).")
    ] = PlatformName.memory,
    lfs: Annotated[
        str, typer.Option("--lfs", metavar="FOLDER", help="Labeling functions: folder, file or module.")
    ] = "",
    backend: Annotated[
        str, typer.Option("--backend", metavar="PATH", help="Model backend, module:factory.")
    ] = "backends.linear:Linear",
    annotators: Annotated[
        str,
        typer.Option("--annotators", metavar="SPEC", help="Skills, such as 0.98,0.95,0.85, or a file of stored votes."),
    ] = "",
    budget: Annotated[int, typer.Option("--budget", min=1, help="Human annotations in all.")] = 300,
    batch: Annotated[int, typer.Option("--batch", min=1, help="Open tasks, and new labels per training.")] = 25,
    strategy: Annotated[Strategy, typer.Option("--strategy", help="Order of work.")] = Strategy.margin,
    control: Annotated[
        str, typer.Option("--control", metavar="NAME", help="The control that --gold is about. Default: the first.")
    ] = "",
    workers: Annotated[
        bool, typer.Option("--workers", help="Replay stored votes by who gave them, each with a queue of their own.")
    ] = False,
    overlap: Annotated[int, typer.Option("--overlap", min=1, max=20, help="People asked for a task at first.")] = 1,
    most: Annotated[int, typer.Option("--most", min=1, max=20, help="The most people asked for a task.")] = 3,
    threshold: Annotated[
        float, typer.Option("--threshold", min=0.5, max=1.0, help="Certainty under which one more person is asked.")
    ] = 0.75,
    seed: Annotated[int, typer.Option("--seed", help="Of everything random.")] = 0,
    test_share: Annotated[
        float, typer.Option("--test-share", min=0.0, max=0.9, help="Share of the data that is never annotated.")
    ] = 0.2,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="Use the first rows only.", show_default=False)
    ] = None,
    seconds: Annotated[float, typer.Option("--seconds", min=0.0, help="Seconds that one annotation takes.")] = 0.2,
    kills: Annotated[int, typer.Option("--kills", min=0, help="Kill web or scheduler this often (kill -9).")] = 0,
    drop_webhooks: Annotated[bool, typer.Option("--drop-webhooks", help="Lose every second webhook.")] = False,
    home: Annotated[
        Path | None, typer.Option("--home", metavar="DIR", help="Keep the data folder here.", show_default=False)
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--json", metavar="OUT", help="Write the account here; - for stdout.", show_default=False),
    ] = None,
) -> None:
    """Run the loop with simulated annotators who know the gold column, and account for every label."""
    from adapter.cli.show import progress
    from adapter.logs import configure_logging
    from adapter.simulate.command import simulate as work
    from adapter.simulate.options import SimulateOptions

    configure_logging("debug" if state_of(context).verbose else "warning")
    to_stdout = out is not None and str(out) == "-"
    options = SimulateOptions(
        data=data,
        label_config=label_config,
        gold=gold,
        platform=platform.value,
        lfs=lfs,
        backend=backend,
        annotators=annotators,
        budget=budget,
        batch=batch,
        strategy=strategy.value,
        seed=seed,
        test_share=test_share,
        limit=limit,
        seconds=seconds,
        control=control,
        workers=workers,
        overlap=overlap,
        most=most,
        threshold=threshold,
        kills=kills,
        drop_webhooks=drop_webhooks,
        home=home,
        out=None if to_stdout else out,
    )
    with progress("annotations", quiet=to_stdout) as bar:
        account = work(options, bar)
    if to_stdout:
        print_json(account)
    else:
        _summary(dict(account))


def _summary(account: dict[str, Any]) -> None:
    from adapter.cli.show import report, say, table

    report("simulation", {key: value for key, value in account.items() if isinstance(value, int | float | str)})
    points = account.get("curve") or []
    columns = ("labels", "test_accuracy", "pool_accuracy")
    table("curve", columns, [[point.get(name) for name in columns] for point in points])
    if isinstance(account.get("flags"), dict):
        say(f"flags: {json.dumps(account['flags'])}")


def demo(
    context: typer.Context,
    annotators: Annotated[int, typer.Option("--annotators", min=0, max=20, help="Simulated annotators.")] = 0,
    home: Annotated[
        Path | None, typer.Option("--home", metavar="DIR", help="Data folder of the demo.", show_default=False)
    ] = None,
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Port of Label Studio.")] = 8080,
    web_port: Annotated[int, typer.Option("--web-port", min=1, max=65535, help="Port of our own endpoints.")] = 9090,
    seed: Annotated[int, typer.Option("--seed", help="Of the simulated annotators.")] = 0,
) -> None:
    """Start Label Studio and the loop on two small projects that need no download. Ctrl-C ends all."""
    from adapter.cli.show import say
    from adapter.demo.command import demo as run

    run(annotators=annotators, home=home, port=port, web_port=web_port, seed=seed, say=say)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(
        epilog=examples(
            "hitl simulate --data spam.csv --label-config spam.xml --gold label --annotators 0.98,0.95,0.85",
            "hitl simulate --data spam.csv --label-config spam.xml --gold label --platform label-studio --json -",
        )
    )(simulate)
    app.command(epilog=examples("hitl demo", "hitl demo --annotators 3"))(demo)
