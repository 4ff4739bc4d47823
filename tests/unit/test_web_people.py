"""Pages about annotators: the lead's behind a password, one's own behind a signed link; hostile names stay text."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from fastapi.testclient import TestClient
from web_support import BASIC, Web, make_app, open_web

from adapter.core.own_links import opens, own_link
from adapter.errors import StoreError
from adapter.store import NewRow
from adapter.vocabulary import Annotation
from adapter.web import people as pages

EVIL = '<script>alert("1")</script>&"\'@x'
AT = datetime(2025, 3, 3, 9, 0, tzinfo=UTC)
KEY = b"k" * 32


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Web]:
    app = make_app(tmp_path)
    client, service = open_web(app, {})
    with client:
        yield Web(app, client, service, {})
    app.close()


def label(web: Web, people: tuple[str, ...] = ("ann@x", "bob@x", EVIL), tasks: int = 40) -> None:
    store, project = web.app.store, web.app.project("spam")
    keys = [f"<i>{n}" for n in range(tasks)]
    store.tasks.add("spam", [NewRow(key, {"text": key}, key, {}, 1) for key in keys], blind=project.is_blind)
    number, by_task = 0, {}
    for n, key in enumerate(keys):
        rows = []
        for who in people:
            number += 1
            at = AT + timedelta(minutes=number)
            value = ["spam"] if n % 2 or who == EVIL else ["ham"]
            rows.append(Annotation(number, key, who, {"spam": value}, (), at, at, 4.0))
        by_task[key] = rows
    store.annotations.record_many("spam", by_task)


def link(web: Web, who: str, project: str = "spam", **more: Any) -> str:
    secrets = web.app.project(project).secrets
    parts = urlsplit(own_link("http://x", secrets.media_key, project, who, web.app.now(), **more))
    return f"{parts.path}?{parts.query}"


class Tags(HTMLParser):
    """The names of all elements, and whether any attribute would run something."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.active: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.active += [name for name, _ in attrs if name.startswith("on") or name in ("src", "href", "style")]


def tags(text: str) -> Tags:
    parser = Tags()
    parser.feed(text)
    return parser


def test_the_lead_needs_the_password(web: Web) -> None:
    for headers in ({}, {"Authorization": "Basic eDp5"}, {"Authorization": "Bearer x"}):
        reply = web.client.get("/people/spam", headers=headers)
        assert reply.status_code == 401
        assert reply.headers["www-authenticate"].startswith("Basic")
        assert "ann" not in reply.text
    assert web.client.get("/people/spam", headers=BASIC).status_code == 200


def test_the_lead_sees_everybody_and_the_signs(web: Web) -> None:
    label(web)
    text = web.client.get("/people/spam", headers=BASIC).text
    for words in ("ann@x", "bob@x", "Signs to look at", "one label", "sign, not a proof", "Pace", "4.0 s"):
        assert words in text, words
    assert "too few to say" not in text


def test_hostile_names_stay_text(web: Web) -> None:
    label(web)
    for reply in (web.client.get("/people/spam", headers=BASIC), web.client.get(link(web, EVIL))):
        assert reply.status_code == 200
        found = tags(reply.text)
        expected = {"html", "head", "meta", "title", "style", "body", "h1", "h2", "p"}
        assert found.names <= expected | {"table", "thead", "tbody", "tr", "th", "td"}
        assert found.active == []
        assert "<i>" not in reply.text
    assert "&lt;script&gt;alert(&quot;1&quot;)" in web.client.get("/people/spam", headers=BASIC).text


def test_no_page_may_run_or_load_anything(web: Web) -> None:
    label(web)
    replies = [
        web.client.get("/people/spam", headers=BASIC),
        web.client.get("/people/spam"),
        web.client.get(link(web, "ann@x")),
        web.client.get("/people/spam/me"),
        web.client.get("/people/nothing", headers=BASIC),
    ]
    assert [reply.status_code for reply in replies] == [200, 401, 200, 403, 404]
    for reply in replies:
        policy = reply.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; style-src 'sha256-")
        assert "unsafe" not in policy
        (style,) = re.findall("<style>(.*?)</style>", reply.text)
        digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
        assert reply.headers["referrer-policy"] == "no-referrer"
        assert reply.headers["cache-control"] == "no-store"
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["content-type"] == "text/html; charset=utf-8"


def test_ones_own_page_names_nobody_else_and_accuses_nobody(web: Web) -> None:
    label(web)
    text = web.client.get(link(web, "bob@x")).text
    assert "40 labels" in text
    assert "By the others" in text
    assert "ann@x" not in text
    assert "alert" not in text
    assert "Signs" not in text
    assert "one label" not in web.client.get(link(web, EVIL)).text


def test_a_link_opens_one_page_of_one_project(web: Web) -> None:
    label(web)
    good = link(web, "ann@x")
    assert web.client.get(good).status_code == 200
    asked = {key: values[0] for key, values in parse_qs(urlsplit(good).query).items()}
    wrong = [
        {**asked, "who": "bob@x"},
        {**asked, "until": str(int(asked["until"]) + 1)},
        {**asked, "until": "9" * 400},
        {**asked, "until": "²"},
        {**asked, "sig": asked["sig"][:-1] + ("0" if asked["sig"][-1] != "0" else "1")},
        {**asked, "sig": "ä"},
        {**asked, "sig": ""},
        {},
    ]
    for query in wrong:
        assert web.client.get(f"/people/spam/me?{urlencode(query)}").status_code == 403, query
    assert web.client.get(good.replace("/spam/", "/other/")).status_code == 403
    assert web.client.get(good.replace("/spam/", "/nothing/")).status_code == 403
    assert web.client.post(good).status_code == 405


def test_a_link_runs_out() -> None:
    made = urlsplit(own_link("http://x/", KEY, "a b", "ann+1@x", AT, days=2))
    assert made.path == "/people/a%20b/me"
    asked = {key: values[0] for key, values in parse_qs(made.query).items()}
    assert asked["who"] == "ann+1@x"
    rest = (asked["until"], asked["sig"])
    assert opens(KEY, "a b", "ann+1@x", *rest, AT + timedelta(days=2))
    assert not opens(KEY, "a b", "ann+1@x", *rest, AT + timedelta(days=2, seconds=1))
    assert not opens(b"l" * 32, "a b", "ann+1@x", *rest, AT)
    assert not opens(KEY, "a", " bann+1@x", *rest, AT)
    with pytest.raises(ValueError, match="a day"):
        own_link("http://x", KEY, "a", "b", AT, days=0)


def test_who_has_not_labelled_yet_is_told_so(web: Web) -> None:
    label(web)
    reply = web.client.get(link(web, "new@x"))
    assert reply.status_code == 200
    assert "None yet" in reply.text


def test_a_report_is_made_once_for_a_while(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    label(web)
    made: list[str] = []
    monkeypatch.setattr(pages, "people", lambda project, real=pages.people: made.append(project.name) or real(project))
    for _ in range(3):
        web.client.get("/people/spam", headers=BASIC)
        web.client.get(link(web, "ann@x"))
    assert made == ["spam"]
    monkeypatch.setattr(pages, "FRESH_S", 0.0)
    web.client.get("/people/spam", headers=BASIC)
    assert made == ["spam", "spam"]


def test_a_store_that_fails_is_told_to_the_lead_alone(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(project: Any) -> Any:
        raise StoreError("the disk <b>is</b> gone", remedy="Look.")

    monkeypatch.setattr(pages, "people", fail)
    lead, own = web.client.get("/people/spam", headers=BASIC), web.client.get(link(web, "ann@x"))
    assert (lead.status_code, own.status_code) == (503, 503)
    assert "the disk &lt;b&gt;is&lt;/b&gt; gone" in lead.text
    assert "disk" not in own.text


def test_pages_need_no_label_studio_and_no_thread(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    client: TestClient = open_web(app, {})[0]  # never entered: no thread runs, nothing is connected
    assert "Nobody has labelled" in client.get("/people/other", headers=BASIC).text
    app.close()
