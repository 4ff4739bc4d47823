"""`hitl kinds`: what is served of a label config, and how each control is compared."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adapter.cli.common import JsonOption, examples, print_json
from adapter.errors import SettingsError

if TYPE_CHECKING:
    from adapter.label_studio.templates import Row
    from adapter.vocabulary import Control, LabelSpace


def kinds(
    config: Annotated[
        Path | None, typer.Option("--config", help="A label config, Label Studio's XML.", show_default=False)
    ] = None,
    templates: Annotated[
        bool, typer.Option("--templates", help="Every template that Label Studio ships with, checked.")
    ] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the templates as a Markdown table.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Say which controls of a label config are served, how people's answers are compared, and how they become one.
    Without options: the kinds of label that there are."""
    if config is not None and templates:
        raise SettingsError("--config and --templates are two questions", remedy="Ask one at a time.")
    if markdown and not templates:
        raise SettingsError("--markdown prints the table of templates", remedy="Add --templates.")
    if templates:
        _templates(markdown=markdown, as_json=as_json)
    elif config is not None:
        from adapter.label_studio.label_config import read_label_config

        _config(read_label_config(config), str(config), as_json=as_json)
    else:
        _all(as_json=as_json)


def described(control: Control) -> dict[str, Any]:
    """Return what the table says of one served control: plain JSON."""
    from adapter.kinds import kind_of

    kind, asked = kind_of(control.kind), control.inner or control
    measure = kind.measure(control)
    return {
        "control": control.name,
        "tag": control.tag,
        "kind": control.kind if control.inner is None else f"{asked.kind} per region",
        "object": control.object_tag,
        "labels": list(control.labels),
        "compared": measure.sentence,
        "headline": measure.headline,
        "methods": list(methods(control)),
        "shown": [shown_words(each.when, each.control, each.labels) for each in control.shown_when],
        "supported": True,
        "why": "",
    }


def methods(control: Control) -> tuple[str, ...]:
    """Return the names of the methods of consensus that `people_method` may name for a control, `auto` among them where
    there is a choice."""
    from adapter.core.crowd import METHODS
    from adapter.kinds import kind_of, label_kind
    from adapter.kinds.base import RegionKind

    asked = control.inner or control
    kind = kind_of(asked.kind)
    own: tuple[str, ...] = tuple(getattr(kind, "methods", ()))
    if not own and (label_kind(asked) is not None or (isinstance(kind, RegionKind) and asked.labels)):
        own = METHODS
    return own if len(own) == 1 else tuple(dict.fromkeys(("auto", *own)))


def shown_words(when: str, control: str, labels: Sequence[str]) -> str:
    """Say a condition of `visibleWhen` in words."""
    what = f"'{control}'" if control else "any control"
    which = f" is {' or '.join(repr(label) for label in labels)}" if labels else " is answered"
    return {
        "choice-selected": f"if {what}{which}",
        "choice-unselected": f"unless {what}{which}",
        "region-selected": f"on a region of {what}" + (f" labelled {' or '.join(map(repr, labels))}" if labels else ""),
        "no-region-selected": "while no region is selected",
    }.get(when, when)


def _config(space: LabelSpace, name: str, *, as_json: bool) -> None:
    from adapter.cli.show import table

    served = [described(control) for control in space.controls]
    if as_json:
        left = [{"control": each.title, "supported": False, "why": each.why} for each in space.unserved]
        print_json({"config": name, "controls": served, "unserved": left})
        return
    rows: list[tuple[Any, ...]] = [
        (
            each["control"],
            each["tag"],
            each["kind"],
            _few(each["labels"]),
            "; ".join([each["compared"], *(f"asked {shown}" for shown in each["shown"])]),
            ", ".join(each["methods"]),
            "yes",
        )
        for each in served
    ]
    rows += [(each.title, "", "", "", "", "", f"no: {each.why}") for each in space.unserved]
    columns = ("control", "tag", "kind", "labels", "how compared", "consensus", "supported")
    table(f"controls of {name}", columns, rows)


def _all(*, as_json: bool) -> None:
    from adapter.cli.show import table
    from adapter.kinds import kinds as every

    found = sorted(every().values(), key=lambda kind: kind.name)
    if as_json:
        print_json([{"kind": kind.name, "tags": list(kind.tags)} for kind in found])
        return
    rows = [(kind.name, ", ".join(f"<{tag}>" for tag in kind.tags) or "any, asked of each region") for kind in found]
    table("kinds of label", ("kind", "tags of Label Studio"), rows)


def _templates(*, markdown: bool, as_json: bool) -> None:
    from adapter.cli.show import say, table
    from adapter.label_studio.templates import rows, templates

    found = rows(templates())
    counts = {support: sum(row.support == support for row in found) for support in ("full", "part", "none")}
    summary = (
        f"{len(found)} templates: {counts['full']} fully served, {counts['part']} in part, {counts['none']} not; "
        f"{sum(len(row.controls) for row in found)} controls served, "
        f"{sum(not each.wrong for row in found for each in row.controls)} pass every check"
    )
    if as_json:
        print_json({"summary": counts, "templates": [_plain(row) for row in found]})
        return
    if markdown:
        say(f"{summary}.\n")
        say("| template | support | controls served | left alone, and why | checks |")
        say("|---|---|---|---|---|")
        for row in found:
            say("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in _cells(row)) + " |")
        return
    table(
        summary, ("template", "support", "controls served", "left alone, and why", "checks"), list(map(_cells, found))
    )


def _cells(row: Row) -> tuple[str, ...]:
    served = ", ".join(f"{each.control.name} ({_kind(each.control)})" for each in row.controls)
    alone = "; ".join(f"{each.title}: {each.why}" for each in row.unserved)
    wrong = "; ".join(f"{each.control.name}: {each.wrong}" for each in row.controls if each.wrong)
    checks = row.wrong or wrong or ("parses, accepted, round-trips" if row.controls else "parses")
    return row.template.name, row.support, served, alone, checks


def _plain(row: Row) -> dict[str, Any]:
    return {
        "template": row.template.name,
        "title": row.template.title,
        "edition": row.template.edition,
        "support": row.support,
        "parses": not row.wrong,
        "wrong": row.wrong,
        "controls": [
            {
                **described(each.control),
                "validate_prediction": each.valid,
                "round_trip": each.round_trip,
                "wrong": each.wrong,
            }
            for each in row.controls
        ],
        "unserved": [{"control": each.title, "why": each.why} for each in row.unserved],
    }


def _kind(control: Control) -> str:
    return control.kind if control.inner is None else f"{control.inner.kind} per region"


def _few(labels: Sequence[str]) -> str:
    shown = ", ".join(labels[:6])
    return f"{shown}, and {len(labels) - 6} more" if len(labels) > 6 else shown


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        epilog=examples("hitl kinds --config config/label_configs/spam.xml", "hitl kinds --templates --markdown")
    )(kinds)
