"""What we push is drawn: a pre-label of each family of kinds in a real browser, submitted from there as it stands; and
people's own walks: a span and a box corrected, an annotator's own view, a reviewer's correction."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from browser_support import Browser, chromium, eventually, keep_picture, painted, share, stretch, until
from kinds_pages import PAGES
from kinds_support import task_data

from adapter.kinds import kind_of
from adapter.label_studio.embedded import EmbeddedServer
from adapter.label_studio.platform import LabelStudioPlatform
from adapter.ports import NewPrediction, NewTask, PlatformAnnotation

pytestmark = [
    pytest.mark.integration,
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.timeout(900),
    # Selenium itself leaves sockets to its finalisers.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

MASK_SLACK = 0.05
"""Distance within which a submitted answer counts as the pre-label: the page rounds geometry, and masks to pixels."""


@pytest.fixture(scope="module")
def browser(label_studio: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("chromium")) as driver:
        found = Browser(driver, label_studio)
        found.log_in("kay")
        yield found


@pytest.fixture(scope="module")
def platform(label_studio: EmbeddedServer) -> LabelStudioPlatform:
    return LabelStudioPlatform(label_studio.url, label_studio.token)


def spans_are_marked(browser: Browser) -> None:
    marked = [(each.text, each.value_of_css_property("background-color")) for each in browser.all(".htx-highlight")]
    assert [text for text, _ in marked] == ["Ada Lovelace", "London"]
    assert all("rgba(" in colour or "rgb(" in colour for _, colour in marked)
    assert browser.listed() == ["1 one Ada Lovelace", "2 two London"]
    relation = browser.one(".relations-overlay g[class*=relationItem]")
    assert "lives in" in relation.text
    [arrow] = [each for each in browser.all(".relations-overlay path[marker-end]") if each.is_displayed()]
    assert arrow.size["width"] > 100
    browser.click(browser.all(".lsf-outliner-item__title")[0])
    chosen = lambda: [each.is_selected() for each in browser.all("[class*=choices] input")]  # noqa: E731
    until(lambda: chosen() == [False, True], 30, "the answer on the first span is not shown")


def hypertext_is_marked(browser: Browser) -> None:
    browser.driver.switch_to.frame(browser.one("iframe"))
    try:
        marked = [each.text for each in browser.all(".htx-highlight")]
    finally:
        browser.driver.switch_to.default_content()
    assert marked == ["Charles Babbage"]
    assert browser.listed() == ["1 one Charles Babbage"]


def paragraphs_are_marked(browser: Browser) -> None:
    assert [each.text for each in browser.all(".htx-highlight")] == ["engine"]
    assert browser.listed() == ["1 one engine"]


def a_stretch_of_sound_is_marked(browser: Browser) -> None:
    seconds = 3.774  # of the sample; the waveform shows all of it
    lies(browser, "#waveform-layer-main", 100 / seconds, 300 / seconds, slack=2)


def a_stretch_of_a_series_is_marked(browser: Browser) -> None:
    lies(browser, ".htx-timeseries-overview", 24, 44, slack=4)  # 20 to 40 of 99, in what the axis leaves
    assert stretch(painted(browser.one(".htx-timeseries-channel")))[0] > 70


def lies(browser: Browser, selector: str, start: float, end: float, *, slack: float) -> None:
    """Check that an element is painted from `start` to `end`, in percent of its width."""
    assert stretch(painted(browser.one(selector))) == pytest.approx((start, end), abs=slack)


def shapes_are_drawn(browser: Browser) -> None:
    stage = browser.one("img[alt='image']")
    mask = painted(stage)
    drawn = {
        "rectangle": share(mask, 5, 5, 20, 20),
        "ellipse": share(mask, 40, 8, 10, 14),
        "polygon": share(mask, 80, 6, 9, 6),
        "key point": share(mask, 14, 44, 2, 2),
        "brush": share(mask, 38, 41, 18, 17),
        "bitmask": share(mask, 70, 41, 17, 17),
    }
    assert min(drawn.values()) > 0.9, drawn
    assert share(mask, 9.5, 74, 21, 17) > 0.01, "the vector is not drawn"
    empty = {"beside": share(mask, 0, 62, 100, 10), "between": share(mask, 28, 0, 7, 60)}
    assert max(empty.values()) == 0, empty
    assert browser.listed() == [f"{n} one" for n in range(1, 8)]


def a_track_is_drawn(browser: Browser) -> None:
    canvas = browser.one(".konvajs-content")
    mask = painted(canvas)
    assert share(mask, 15, 25, 20, 30) > 0.6, "the box is not drawn on the first frame"
    assert share(mask, 60, 20, 30, 60) < 0.1
    assert browser.listed() == ["1 one"]
    assert painted(browser.one(".lsf-timeline")).any()


def a_timeline_is_drawn(browser: Browser) -> None:
    line = browser.one(".lsf-timeline")
    assert painted(line).sum() > 500, "no range on the timeline"
    assert browser.listed() == ["1 one"]


def answers_are_selected(browser: Browser) -> None:
    boxes = browser.all("[class*=choices] input")
    assert [each.is_selected() for each in boxes] == [False, True, True, False, True]
    assert "oak" in browser.one(".htx-taxonomy").text
    assert len(browser.all(".ant-rate-star-full")) == 4
    assert browser.one("input[name=n]").get_attribute("value") == "2.5"
    assert browser.one("input[type=date]").get_attribute("value") == "2024-05-17"
    assert browser.one(".lsf-textarea__region").text == "quiet morning river"
    [right] = browser.all("[class*=bg-primary-background]:has(.lsf-htx-richtext)")
    assert right.text == "The other text."


def items_stand_in_their_buckets(browser: Browser) -> None:
    words = browser.one(".lsf-main-content, .lsf-wrapper").text
    places = [words.index(each) for each in ("Best", "Result 3", "Result 1", "Rest", "Result 2")]
    assert places == sorted(places)


DRAWN: dict[str, tuple[Callable[[Browser], None], int]] = {
    "spans, a relation, an answer on a span": (spans_are_marked, 2),
    "hypertext": (hypertext_is_marked, 1),
    "paragraphs": (paragraphs_are_marked, 1),
    "audio": (a_stretch_of_sound_is_marked, 1),
    "time series": (a_stretch_of_a_series_is_marked, 1),
    "pictures": (shapes_are_drawn, 7),
    "video track": (a_track_is_drawn, 1),
    "video timeline": (a_timeline_is_drawn, 1),
    "answers": (answers_are_selected, 0),
    "ranker": (items_stand_in_their_buckets, 0),
}


@pytest.mark.parametrize("name", PAGES)
def test_a_prelabel_is_drawn_and_submitted_as_it_stands(
    browser: Browser, platform: LabelStudioPlatform, tmp_path: Path, name: str
) -> None:
    page, (check, regions) = PAGES[name], DRAWN[name]
    project = platform.create_project(f"drawn: {name}", page.config).id
    data = task_data(page.config, browser.server.url) | {"other": "The other text."}
    [task] = platform.import_tasks(project, [NewTask("k", data)]).values()
    assert platform.import_predictions(project, [NewPrediction(task, page.result(), 0.5, "m1")]) == 1
    platform.configure(project, model_version="m1")
    browser.open_task(project, task, regions=regions)
    try:
        eventually(lambda: check(browser), 60)
    finally:
        keep_picture(browser.driver, tmp_path / f"drawn {name}.png")
    browser.submit()
    annotation = until(lambda: submitted(platform, project), 60, "the annotation did not arrive")
    values = page.values()
    for control in page.space.controls:
        kind = kind_of(control.kind)
        back = kind.read(control, annotation.result)
        assert back is not None, control.name
        words = kind.disagreement(control, values[control.name], back)
        assert kind.distance(control, values[control.name], back) <= MASK_SLACK, f"{control.name}: {words}"


def submitted(platform: LabelStudioPlatform, project: int) -> PlatformAnnotation | None:
    found = [annotation for task in platform.tasks(project) for annotation in task.annotations]
    return found[0] if found else None
