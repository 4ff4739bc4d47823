"""People's walks in a real browser: an annotator corrects a span and a box in a view of their own, a reviewer corrects
a consensus; our store has it all."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from browser_support import Browser, chromium, keep_picture, select_text, until
from kinds_pages import LONDON, labels, region, shape
from kinds_support import TEXT, picture

from adapter.app import App
from adapter.kinds import kind_of
from adapter.label_studio.desk import LabelStudioDesk
from adapter.label_studio.embedded import EmbeddedServer
from adapter.label_studio.platform import LabelStudioPlatform
from adapter.label_studio.users import annotator_email, make_annotator
from adapter.ports import NewPrediction
from adapter.settings import ProjectSettings, Settings
from adapter.stages.consolidate import consolidate
from adapter.stages.ingest import ingest
from adapter.stages.pull import pull
from adapter.stages.push import push
from adapter.stages.review import review
from adapter.stages.review_project import title_of
from adapter.stages.route import route
from adapter.vocabulary import TASK_KEY_FIELD, JsonObject

pytestmark = [
    pytest.mark.integration,
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.timeout(900),
    # Selenium itself leaves sockets to its finalisers.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

CONFIG = (
    '<View><Text name="text" value="$text"/>'
    + labels("Labels", "who", "text")
    + '<Image name="image" value="$image"/>'
    + labels("RectangleLabels", "box", "image")
    + "</View>"
)
BABBAGE = TEXT.index("Charles")
ANN, BOB, EVE = "ann", "bob", "eve"


def span(number: str, start: int, end: int, label: str) -> dict[str, Any]:
    return region(number, {"start": start, "end": end, "text": TEXT[start:end]}, label)


def box(x: float, label: str = "one") -> dict[str, Any]:
    return shape("b1", {"x": x, "y": 20, "width": 30, "height": 30, "rotation": 0}, label)


def result(project: Any, spans: list[dict[str, Any]], boxes: list[dict[str, Any]]) -> tuple[JsonObject, ...]:
    items: list[JsonObject] = []
    for name, regions in (("who", spans), ("box", boxes)):
        control = project.space.control(name)
        kind = kind_of(control.kind)
        items += kind.write(control, kind.canonical(control, regions))
    return tuple(items)


def spans_of(value: Any) -> list[tuple[int, int, list[str]]]:
    return [(each["value"]["start"], each["value"]["end"], list(each["labels"])) for each in value]


@pytest.fixture(scope="module")
def browser(label_studio: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("chromium")) as driver:
        yield Browser(driver, label_studio)


@pytest.fixture
def start(label_studio: EmbeddedServer, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Callable[..., Any]]:
    """Return a maker of a project with spans and boxes in the real server, ingested and pushed."""
    apps: list[App] = []

    def make(tasks: int, **settings: Any) -> Any:
        config = tmp_path / "config"
        config.mkdir()
        (config / "scene.xml").write_text(CONFIG, encoding="utf-8")
        data = tmp_path / "scenes.jsonl"
        rows = [{"id": f"s{n}", "text": f"{TEXT} Scene {n}.", "image": picture()} for n in range(tasks)]
        data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        project = ProjectSettings.model_validate(
            {
                "name": "scene",
                "title": f"{request.node.name[:32]} {secrets.token_hex(3)}",
                "label_config": str(config / "scene.xml"),
                "data": {"path": str(data), "id_column": "id"},
                "labeling_functions": "none",
                "blind": {"share": 0.0},
                "flag": {"enabled": False},
                **settings,
            }
        )
        app = App(
            Settings(home=tmp_path / "home", config=config, projects={"scene": project}),
            platform=LabelStudioPlatform(label_studio.url, label_studio.token),
        )
        apps.append(app)
        made = app.project("scene")
        ingest(made)
        push(made)
        return made

    yield make
    for app in apps:
        app.close()


def correct(browser: Browser) -> None:
    """Delete one span, rename another, add a third; move the box and rename it."""
    from selenium.webdriver.common.keys import Keys

    def rows() -> dict[str, Any]:
        titles = browser.all(".lsf-outliner-item__title")
        return {words.split(" ", 1)[1]: title for words, title in zip(browser.listed(), titles, strict=True)}

    def label(panel: int, place: int) -> Any:
        return browser.all(".lsf-labels")[panel].find_elements("css selector", ".lsf-label")[place]

    browser.click(rows()["one met"])
    browser.keys(Keys.BACKSPACE)
    until(lambda: "one met" not in rows(), 30, "the span was not deleted")
    browser.click(rows()["one London"])
    browser.click(label(0, 1))
    until(lambda: "two London" in rows(), 30, "the span was not renamed")
    browser.keys(Keys.ESCAPE)
    browser.click(label(0, 0))
    select_text(browser, browser.one(".lsf-htx-richtext"), BABBAGE, BABBAGE + 15)
    until(lambda: "one Charles Babbage" in rows(), 30, "the span was not added")
    browser.keys(Keys.ESCAPE)
    browser.click(rows()["one"])
    browser.click(label(1, 1))
    until(lambda: "two" in rows(), 30, "the box was not renamed")

    def x() -> float | None:
        """The place of the selected box, as its details say."""
        values = [each.get_attribute("value") or "" for each in browser.all("input")]
        found = [float(value) for value in values if re.fullmatch(r"\d+(\.\d+)?", value)]
        return found[0] if len(found) >= 4 else None

    until(lambda: x() == 15, 30, "the details of the box are not shown")

    def moved() -> bool:
        browser.drag(browser.one("img[alt='image']"), (0.3, 0.35), (0.5, 0.35))
        return x() not in (15, None)

    until(moved, 30, "the box was not moved")


def test_an_annotator_corrects_a_span_and_a_box_in_a_view_of_their_own(
    browser: Browser, start: Callable[..., Any], tmp_path: Path
) -> None:
    emails = [annotator_email(name) for name in (ANN, BOB)]
    for name in (ANN, BOB):
        make_annotator(browser.server, name)
    project = start(6, routing={"enabled": True, "annotators": emails, "ahead": 3, "gold_rate": 0.0})
    places = {placement.task_id: placement.platform_id for placement in project.store.ledger.placements("scene")}
    said = result(
        project, [span("a", 0, 12, "one"), span("b", 13, 16, "one"), span("c", LONDON, LONDON + 6, "one")], [box(15)]
    )
    project.platform.import_predictions(
        project.platform_id, [NewPrediction(number, said, 0.5, "m1") for number in places.values()]
    )
    project.platform.configure(project.platform_id, model_version="m1")
    pages = {person["name"]: person["page"] for person in route(project).people}
    mine = {row.task_id for row in project.store.routed.of("scene", emails[0])}
    assert len(mine) == 3

    browser.log_in(ANN)
    browser.open(pages[emails[0]])
    rows = "[data-testid=table-row]"
    until(lambda: len(browser.all(rows)) == 3, 60, "the annotator's own view has other tasks")
    shown = browser.one(".lsf-table, [class*=table]").text
    keep_picture(browser.driver, tmp_path / "own view.png")
    assert {key for key in places if f"Scene {key[1:]}." in shown} == mine
    browser.click(browser.all(f"{rows} .lsf-table__cell")[1])
    browser.ready(regions=4)
    assert browser.listed() == ["1 one Ada Lovelace", "2 one met", "3 one London", "4 one"]
    keep_picture(browser.driver, tmp_path / "prelabels.png")
    correct(browser)
    keep_picture(browser.driver, tmp_path / "corrected.png")
    browser.submit()

    def pulled() -> Any:
        pull(project)
        return [row for rows in project.store.annotations.voting("scene").values() for row in rows]

    [annotation] = until(pulled, 60, "the annotation did not arrive")
    assert annotation.task_id in mine
    assert (annotation.annotator, annotation.shown) == (emails[0], "m1")
    assert spans_of(annotation.values["who"]) == [
        (0, 12, ["one"]),
        (BABBAGE, BABBAGE + 15, ["one"]),
        (LONDON, LONDON + 6, ["two"]),
    ]
    [moved] = annotation.values["box"]
    assert moved["labels"] == ["two"]
    assert moved["value"]["x"] == pytest.approx(35, abs=3)
    assert moved["value"]["y"] == pytest.approx(20, abs=3)
    assert (moved["value"]["width"], moved["value"]["height"]) == (pytest.approx(30), pytest.approx(30))


def test_a_reviewers_correction_is_the_consensus(browser: Browser, start: Callable[..., Any], tmp_path: Path) -> None:
    project = start(
        1,
        consolidate={"max_people": 2},
        review={"enabled": True, "random_share": 1.0, "low_skill": 0.0},
    )
    [placement] = project.store.ledger.placements("scene")
    project.platform.set_overlap(placement.platform_id, 2)
    for name, label, x in ((ANN, "one", 15), (BOB, "two", 17)):
        token = make_annotator(browser.server, name)
        desk = LabelStudioDesk(browser.server.url, token, project.platform_id)
        spans = [span("a", 0, 12, "one"), span("c", LONDON, LONDON + 6, label)]
        desk.submit(placement.platform_id, result(project, spans, [box(x)]), 1.0)
        desk.close()

    def settle() -> dict[str, Any]:
        pull(project)
        consolidate(project)
        review(project)
        consolidate(project)
        return {row.control: row for row in project.store.consensus.all("scene")}

    before = settle()
    assert before["who"].method != "expert"
    there = project.platform.find_project(title_of(project))
    assert there is not None
    browser.log_in(EVE)
    browser.open(f"/projects/{there.id}/data?labeling=1")
    browser.ready()
    until(lambda: browser.listed(), 60, "nothing is proposed")
    assert "s0" not in browser.one(".lsf-main-view, .lsf-wrapper").text
    keep_picture(browser.driver, tmp_path / "review.png")
    city = next(
        row
        for words, row in zip(browser.listed(), browser.all(".lsf-outliner-item__title"), strict=True)
        if "London" in words
    )
    browser.click(city)
    browser.click(browser.all(".lsf-labels")[0].find_elements("css selector", ".lsf-label")[1])
    until(lambda: any("two London" in words for words in browser.listed()), 30, "the span was not renamed")
    keep_picture(browser.driver, tmp_path / "reviewed.png")
    browser.submit()
    until(lambda: any(task.annotations for task in project.platform.tasks(there.id)), 60, "no decision arrived")
    now = settle()
    assert now["who"].method == "expert"
    assert spans_of(now["who"].value) == [(0, 12, ["one"]), (LONDON, LONDON + 6, ["two"])]
    decisions = {row.control: row for row in project.store.reviews.all("scene")}
    assert decisions["who"].reviewer == annotator_email(EVE)
    assert TASK_KEY_FIELD not in (project.store.tasks.get("scene", ["s0"])[0].data)
