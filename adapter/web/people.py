"""Pages about annotators: all of them for the lead, and one's own for whoever has a signed link. Plain HTML without
scripts; everything that came from outside is escaped, for names and task ids are free text."""

from __future__ import annotations

import base64
import hashlib
import threading
import time
from html import escape
from typing import TYPE_CHECKING, Any

from fastapi import Request
from fastapi.responses import Response

from adapter.core.own_links import opens
from adapter.errors import HitlError
from adapter.stages.people import people
from adapter.stages.people_reports import ControlConduct, PeopleReport, PersonReport
from adapter.web.auth import CHALLENGE, Caller

if TYPE_CHECKING:
    from adapter.stages.context import Project
    from adapter.web.service import Service

FRESH_S = 30.0
"""Seconds for which a report is shown again: it takes seconds where a million labels are judged."""
STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:75rem;padding:0 1rem;color:#1c1c1e}"
    "h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}table{border-collapse:collapse;margin:.5rem 0}"
    "th,td{border-bottom:1px solid #d8d8dc;padding:.3rem .8rem .3rem 0;text-align:left;vertical-align:top;"
    "overflow-wrap:break-word;max-width:40rem}th{font-weight:600}p.note{color:#5a5a60}"
)
_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
HEADERS = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",  # the address of one's own page opens it
    "Cache-Control": "no-store",
    "X-Robots-Tag": "noindex",
}
EXPLAINED = (
    "By the others: judged by what everybody else said of the same tasks, never by a consensus that holds the "
    "person's own answer. Blind sample: the same on tasks drawn at random and shown without a pre-label, the fair "
    "figure. Reviewers: on tasks where people differed, so hard ones. In brackets a 95 % interval, then the number of "
    "judged answers."
)


class PeoplePages:
    """Makes the pages; one report at a time for each project, kept for FRESH_S."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._kept: dict[str, tuple[float, PeopleReport]] = {}
        self._lock = threading.Lock()

    def lead(self, request: Request) -> Response:
        """`/people/<project>`, with the ML backend's user and password."""
        if self._service.guard.backend(request.scope["headers"]) is not Caller.TRUSTED:
            name, value = (part.decode() for part in CHALLENGE)
            said = "User and password of the ML backend are needed; `hitl doctor` says where they are."
            return _page(401, "Who is there?", f"<p>{escape(said)}</p>", {name: value})
        project = self._project(request)
        if project is None:
            return _page(404, "No such project", "<p>Run <code>hitl status</code> for the names.</p>")
        return self._answer(project, None)

    def own(self, request: Request) -> Response:
        """`/people/<project>/me?who=&until=&sig=`: one refusal, whatever is wrong with the link."""
        asked = request.query_params
        who, until, sig = (asked.get(key, "") for key in ("who", "until", "sig"))
        project = self._project(request)
        # The signature is judged even where there is no such project: the time must not tell which projects there are.
        name, key = request.path_params["project"], self._service.app.secrets.media_key
        if not opens(key, name, who, until, sig, self._service.app.now()) or project is None:
            said = "<p>It is not signed by us, or has run out. Ask the lead of the project for a new one.</p>"
            return _page(403, "This link does not open anything", said)
        return self._answer(project, who)

    def _project(self, request: Request) -> Project | None:
        try:
            return self._service.app.project(request.path_params["project"])
        except HitlError:
            return None

    def _answer(self, project: Project, who: str | None) -> Response:
        try:
            report = self._report(project)
        except HitlError as error:
            return _page(503, "Not now", f"<p>{escape(str(error))}</p>" if who is None else "<p>Try again later.</p>")
        if who is None:
            return _page(200, f"People of {project.title}", lead_page(report))
        mine = next((one for one in report.people if one.person == who), None)
        if mine is None:
            return _page(200, "Your labels", "<p>None yet. Figures appear when you have labelled something.</p>")
        return _page(200, f"Your labels in {project.title}", own_page(mine, report.min_items))

    def _report(self, project: Project) -> PeopleReport:
        with self._lock:
            kept = self._kept.get(project.name)
            if kept is None or time.monotonic() - kept[0] > FRESH_S:
                kept = self._kept[project.name] = (time.monotonic(), people(project))
            return kept[1]


def lead_page(report: PeopleReport) -> str:
    """Return the page's body for the lead: everybody, by name, with the signs."""
    if not report.people:
        return "<p>Nobody has labelled anything yet.</p>"
    signs = [(one.person, sign) for one in report.people for sign in one.signs]
    parts = [
        f'<p class="note">{escape(EXPLAINED)}</p>',
        "<h2>Signs to look at</h2>",
        _table(
            ("Person", "Sign", "Control", "With", "p", "What", "For example"),
            [(who, s.sign, s.control, s.other, _p(s.p), s.sentence, ", ".join(s.tasks[:5])) for who, s in signs],
            "None: nobody stands out.",
        ),
    ]
    for control in dict.fromkeys(one.control for person in report.people for one in person.controls):
        here = [(person.person, one) for person in report.people for one in person.controls if one.control == control]
        parts.append(f"<h2>{escape(control)}: {escape(here[0][1].measure)}</h2>")
        parts.append(_table(("Person", *_COLUMNS), [(who, *_cells(one)) for who, one in here]))
    parts.append("<h2>Pace</h2>")
    pace = [(one.person, *_pace(one)) for one in report.people]
    parts.append(_table(("Person", *_PACE), pace))
    parts += [f'<p class="note">{escape(note)}</p>' for note in report.notes]
    return "".join(parts)


def own_page(mine: PersonReport, least: int) -> str:
    """Return a person's own page: figures of nobody else, no names, no signs (those are for a talk, not for a page)."""
    parts = [
        f"<p>{mine.annotations} labels, the last on {escape(mine.last[:10])}.</p>",
        f'<p class="note">{escape(EXPLAINED)} Figures on fewer than {least} judged answers say nothing.</p>',
    ]
    for one in mine.controls:
        parts.append(f"<h2>{escape(one.control)}: {escape(one.measure)}</h2>")
        parts.append(_table(_COLUMNS, [_cells(one)]))
        if one.classes:
            parts.append(_table(("Label", "Rate"), [(part.label, part.rate.words) for part in one.classes]))
        if one.over_time:
            stretches = [(_minute(part.since), _minute(part.until), part.rate.words) for part in one.over_time]
            parts.append(_table(("From", "To", "Rate"), stretches))
    parts.append("<h2>Pace</h2>")
    parts.append(_table(_PACE, [_pace(mine)]))
    slow = [("unusually fast", ", ".join(mine.pace.fast[:20])), ("unusually slow", ", ".join(mine.pace.slow[:20]))]
    parts.append(_table(("Tasks", ""), [row for row in slow if row[1]], "No task took unusually long or short."))
    return "".join(parts)


_COLUMNS = ("By the others", "Blind sample", "Gold", "Reviewers", "Trend", "Model's label shown, not shown")
_PACE = ("Labels", "Median", "Median of others", "Per 100 characters", "Unusually fast", "Unusually slow")


def _cells(one: ControlConduct) -> tuple[str, ...]:
    trend = one.trend.words if one.trend else "-"
    prelabels = one.prelabels.words if one.prelabels else "-"
    return (one.overlap.words, one.blind.words, one.gold.words, one.expert.words, trend, prelabels)


def _pace(one: PersonReport) -> tuple[str, ...]:
    pace = one.pace
    seconds = [pace.median, pace.others, pace.per_100]
    words = ["-" if value is None else f"{value:.1f} s" for value in seconds]
    return (str(one.annotations), *words, str(len(pace.fast)), str(len(pace.slow)))


def _table(columns: tuple[str, ...], rows: list[Any], empty: str = "None.") -> str:
    if not rows:
        return f"<p>{escape(empty)}</p>"
    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    body = "".join(f"<tr>{''.join(f'<td>{escape(str(cell))}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _minute(moment: str) -> str:
    return moment[:16].replace("T", " ")


def _p(p: float | None) -> str:
    return "rule" if p is None else f"{p:.3f}" if p >= 0.001 else f"{p:.0e}"


def _page(status: int, title: str, body: str, more: dict[str, str] | None = None) -> Response:
    text = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head>'
        f"<body><h1>{escape(title)}</h1>{body}</body></html>"
    )
    content = text.encode("utf-8", "replace")
    return Response(content, status, {**HEADERS, **(more or {})}, media_type="text/html; charset=utf-8")
