"""`hitl flags`: the reasons to doubt that are open, and their resolution."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from adapter.cli.common import JsonOption, ProjectArgument, chosen, examples, opened, print_json, who_am_i
from adapter.errors import DataError

group = typer.Typer(no_args_is_help=True, help="List open flags, or resolve them.", rich_markup_mode=None)


@group.command("list", epilog=examples("hitl flags list", "hitl flags list spam --all --json"))
def list_flags(
    context: typer.Context,
    project: ProjectArgument = None,
    everything: Annotated[bool, typer.Option("--all", help="Resolved ones too.")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Show at most this many.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """List flags, the most doubtful first. With --json each has a link that opens it in Label Studio."""
    from adapter.cli.show import table
    from adapter.stages.flag_people import headline, link

    with opened(context) as app:
        found = chosen(app, project)
        flags = found.store.flags.all(found.name) if everything else found.store.flags.open(found.name)
        flags = flags[:limit]
        places = {p.task_id: p.platform_id for p in found.store.ledger.placements(found.name) if not p.gone}
        conf, platform_id = app.settings.label_studio, found.platform_id
        url = f"http://127.0.0.1:{conf.port}" if conf.embedded else conf.url
    if as_json:
        links = [
            link(url, platform_id, places[item.task_id], item) if platform_id and item.task_id in places else ""
            for item in flags
        ]
        print_json([{**asdict(item), "link": to} for item, to in zip(flags, links, strict=True)])
        return
    rows = [(item.id, item.task_id, item.control, headline(item), item.score, item.resolution) for item in flags]
    table(
        f"flags of {found.name}",
        ("id", "task", "control", "reason", "score", "resolved as"),
        rows,
        empty="none is open",
    )


@group.command(
    epilog=examples("hitl flags resolve 12 13 --as 'label is right'", "hitl flags resolve 12 --project spam")
)
def resolve(
    context: typer.Context,
    ids: Annotated[
        list[int], typer.Argument(metavar="ID...", help="As `hitl flags list` shows them.", show_default=False)
    ],
    resolution: Annotated[str, typer.Option("--as", help="What was found.")] = "label is right",
    project: Annotated[str | None, typer.Option("--project", help="May be left out when there is one project.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Resolve flags by hand. They rise again only when the label changes."""
    from adapter.cli.show import say

    with opened(context) as app:
        found = chosen(app, project)
        known = {item.id for item in found.store.flags.open(found.name)}
        unknown = sorted(set(ids) - known)
        if unknown:
            raise DataError(
                f"no open flag of project '{found.name}' has the id {', '.join(map(str, unknown))}",
                remedy="List the open ones with `hitl flags list`. Nothing was resolved.",
            )
        count = found.store.flags.resolve(sorted(set(ids)), resolution, found.now())
        detail = {"flags": sorted(set(ids)), "resolution": resolution}
        found.store.audit.append(found.name, who_am_i(), "flags resolved", detail, found.now())
    if as_json:
        print_json({"resolved": count})
    else:
        say(f"{count} resolved")


def register(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(group, name="flags")
