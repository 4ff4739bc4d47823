"""`hitl strategies`: the ways to choose which tasks people label next."""

from __future__ import annotations

import typer

from adapter.cli.common import JsonOption, examples, print_json


def strategies(context: typer.Context, as_json: JsonOption = False) -> None:
    """List the strategies that `rank.strategy` may name, with what each looks at and where it comes from."""
    from adapter.cli.show import say, table
    from adapter.core.strategies import describe, needs_of
    from adapter.policies import RankPolicy

    rows = [{"name": one.name, "picks": one.reason, "needs": needs_of(one), "source": one.source} for one in describe()]
    policy = RankPolicy()
    if as_json:
        print_json({"strategies": rows, "default": policy.strategy, "cold_start": policy.cold_start})
        return
    table("strategies", ("name", "picks what", "needs", "source"), [tuple(row.values()) for row in rows])
    say(f"Default: {policy.strategy}, and {policy.cold_start} for as long as nothing judges the tasks.")
    say("One of your own: a function under @strategy; write `rank.strategy: file.py:function`, see the README.")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=examples("hitl strategies", "hitl strategies --json"))(strategies)
