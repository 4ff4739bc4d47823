"""`hitl simulate` and `hitl demo`: the loop with simulated annotators."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adapter.cli.common import examples, print_json, state_of
from adapter.errors import SettingsError

if TYPE_CHECKING:
    from adapter.simulate.options import LearningOptions


class PlatformName(StrEnum):
    """Where simulated annotators work."""

    label_studio = "label-studio"
    memory = "memory"


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
        typer.Option(
            "--annotators",
            metavar="SPEC",
            help="Skills, such as 0.98,0.95,0.85, or a file of stored votes. Default: these three; for learning "
            "curves, people who are always right.",
        ),
    ] = "",
    budget: Annotated[int, typer.Option("--budget", min=1, help="Human annotations in all.")] = 300,
    batch: Annotated[int, typer.Option("--batch", min=1, help="Open tasks, and new labels per training.")] = 25,
    strategy: Annotated[
        str,
        typer.Option(
            "--strategy",
            metavar="NAME[,NAME]",
            help="Order of work. Several names (or --seeds) give learning curves, always beside `random`. Names: "
            "`hitl strategies`; your own: file.py:function.",
        ),
    ] = "cluster-margin",
    seeds: Annotated[
        int, typer.Option("--seeds", min=1, max=1000, help="Learning curves over this many splits, from --seed on.")
    ] = 1,
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
    metric: Annotated[
        str, typer.Option("--metric", metavar="NAME", help="Of learning curves: accuracy, or f1:LABEL.")
    ] = "accuracy",
    start: Annotated[
        int, typer.Option("--start", min=2, help="Of learning curves: labels before the first choice.")
    ] = 20,
    cold_start: Annotated[
        str, typer.Option("--cold-start", metavar="NAME", help="Of learning curves: the strategy that picks the start.")
    ] = "random",
    random_up_to: Annotated[
        int, typer.Option("--random-up-to", min=0, help="Labels up to which random goes on. 0: four times the budget.")
    ] = 0,
    jobs: Annotated[int, typer.Option("--jobs", min=1, max=256, help="Processes for learning curves.")] = 1,
    plot: Annotated[
        Path | None,
        typer.Option("--plot", metavar="PNG", help="Draw the learning curves into this file.", show_default=False),
    ] = None,
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
    """Run the loop with simulated annotators who know the gold column, and account for every label.

    With several strategies, or --seeds above 1: learning curves instead, on the same splits, start, model and people
    for every strategy, with the labels that each needs and saves. Labels of the loop's blind sample come on top.
    """
    from adapter.cli.show import progress
    from adapter.logs import configure_logging
    from adapter.simulate.command import simulate as work
    from adapter.simulate.options import SimulateOptions

    configure_logging("debug" if state_of(context).verbose else "warning")
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))  # a backend of one's own lies in the working folder, as a strategy does
    to_stdout = out is not None and str(out) == "-"
    strategies = tuple(dict.fromkeys(name.strip() for name in strategy.split(",") if name.strip()))
    if len(strategies) > 1 or seeds > 1:
        from adapter.simulate.options import LearningOptions

        _learning(
            LearningOptions(
                data=data,
                label_config=label_config,
                gold=gold,
                strategies=strategies,
                backend=backend,
                annotators=annotators,
                budget=budget,
                batch=batch,
                start=start,
                cold_start=cold_start,
                seeds=seeds,
                seed=seed,
                metric=metric,
                test_share=test_share,
                limit=limit,
                control=control,
                far=random_up_to,
                jobs=jobs,
                home=home,
                plot=plot,
                out=None if to_stdout else out,
            ),
            only_loop(platform, lfs, workers, overlap, kills, drop_webhooks),
            to_stdout,
        )
        return
    if plot is not None:
        raise SettingsError(
            "there is no curve over seeds to draw", where="--plot", remedy="Name several strategies, or add --seeds 10."
        )
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
        strategy=strategies[0] if strategies else strategy,
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


def only_loop(
    platform: PlatformName, lfs: str, workers: bool, overlap: int, kills: int, drop_webhooks: bool
) -> list[str]:
    """Return the options that were given and mean something for the whole loop only."""
    given = {
        "--platform": platform is not PlatformName.memory,
        "--lfs": bool(lfs),
        "--workers": workers,
        "--overlap": overlap > 1,
        "--kills": kills > 0,
        "--drop-webhooks": drop_webhooks,
    }
    return [name for name, used in given.items() if used]


def _learning(options: LearningOptions, foreign: list[str], to_stdout: bool) -> None:
    from adapter.cli.show import progress, say, table
    from adapter.simulate.learning_command import learning_curves, rows_of
    from adapter.simulate.plots import terminal

    if foreign:
        raise SettingsError(
            f"learning curves know no {', '.join(foreign)}",
            where="hitl simulate",
            remedy="Leave it out, or run one strategy with --seeds 1: the whole loop.",
        )
    with progress("runs", quiet=to_stdout) as bar:
        result = dict(learning_curves(options, bar))
    if to_stdout:
        print_json(result)
        return
    seeds = result["seeds"]
    drawn = terminal(result, colour=sys.stdout.isatty())
    if drawn:
        say(drawn)
    table(f"{result['metric']}, means and medians of {len(seeds)} seeds with 95 % intervals", *rows_of(result))
    say(f"seeds: {', '.join(map(str, seeds))}")
    say(f"full data: {result['full']['value']:.3f} (a model of all {result['pool'][0]} labels of the pool)")
    for name, found in result["strategies"].items():
        for word in found["stand_ins"]:
            say(f"{name}: {word}")
    say(result["note"])


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
            "hitl simulate --data spam.csv --label-config spam.xml --gold label --strategy margin,typiclust --seeds 10",
            "hitl simulate --data spam.csv --label-config spam.xml --gold label --seeds 10 --jobs 2 --plot curves.png",
        )
    )(simulate)
    app.command(epilog=examples("hitl demo", "hitl demo --annotators 3"))(demo)
