"""Models at work on the real pages: what a person marks brings suggestions, and pictures of digits come with their
pre-labels."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from box_examples import box, ground, uri
from browser_support import REGIONS, Browser, chromium, keep_picture, select_text, until
from known_boxes import KnownBoxes
from live_endpoints import endpoints, keep_model, live_app
from word_list import WordList

from adapter.core.spans.spread import SCORE
from adapter.demo.data import digit_images
from adapter.label_studio.embedded import EmbeddedServer
from adapter.ports import PlatformAnnotation
from adapter.stages.ingest import ingest
from adapter.stages.push import push
from adapter.stages.setup import setup

pytestmark = [
    pytest.mark.integration,
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.timeout(600),
    # Selenium itself leaves sockets to its finalisers.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

TOGGLE = "[data-testid=bottombar-auto-annotation-toggle]"
ACCEPT = "[data-testid=bottombar-accept-suggestions-button]"
NAMES = """<View>
  <Labels name="names" toName="text">
    <Label value="person" background="#d33"/><Label value="place" background="#33d"/>
  </Labels>
  <Text name="text" value="$text"/>
  <Choices name="tone" toName="text"><Choice value="good"/><Choice value="bad"/></Choices>
</View>
"""
TEXT = "\U0001f600 Ann met Bob in Rome. Ann left; Annette and ann stayed with Ann, in Rome or in Oslo."
BLOCKS = ((10, 10), (60, 10), (35, 60))
"""Where the blocks of a picture begin, in percent; each is 20 wide and high."""
UNUSED: dict[str, Any] = {"labels": (), "weights": None, "seed": 0}
SHAPES = """<View>
  <Image name="image" value="$image" width="400px"/>
  <RectangleLabels name="shapes" toName="image">
    <Label value="block" background="#f0f"/><Label value="ring" background="#0ff"/>
  </RectangleLabels>
</View>
"""


@pytest.fixture(scope="module")
def browser(label_studio: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("chromium")) as driver:
        found = Browser(driver, label_studio)
        found.log_in("mia")
        yield found


def annotation(project: Any) -> PlatformAnnotation:
    made = lambda: [a for task in project.platform.tasks(project.platform_id) for a in task.annotations]  # noqa: E731
    found: PlatformAnnotation = until(made, 60, "the annotation did not arrive")[0]
    return found


def switch_on(browser: Browser) -> None:
    """Turn "Auto-Annotation" on; this browser remembers it from then on."""
    toggle = until(lambda: browser.all(TOGGLE), 30, "the page offers no auto-annotation")[0]
    if not toggle.is_selected():
        browser.click(toggle)
    until(lambda: browser.all(TOGGLE)[0].is_selected(), 10, "auto-annotation is not on")


def mark(browser: Browser, key: str, word: str) -> None:
    """Mark the first of a word with the label that a key stands for."""
    browser.keys(key)
    before = len(TEXT[: TEXT.index(word)].encode("utf-16-le")) // 2  # as JavaScript counts
    select_text(browser, browser.one(".lsf-htx-richtext"), before, before + len(word))


def test_a_marked_span_brings_the_same_words_and_the_model_s(
    browser: Browser, label_studio: EmbeddedServer, tmp_path: Path
) -> None:
    rows = [{"id": "t1", "text": TEXT}]
    app = live_app(
        tmp_path, label_studio, NAMES, rows, blind={"share": 0.0}, backends={"names": {"path": "word_list:WordList"}}
    )
    project = app.project("live")
    model = WordList(["text"])
    model.words = {"Oslo.": ("place", 0.3)}  # too doubtful for a pre-label
    asked: list[Any] = []
    with endpoints(app, watch=lambda body: asked.append(json.loads(body)["params"]["context"])) as service:
        ingest(project)
        setup(project)
        push(project)
        version = keep_model(project, tmp_path / "model", {"names": model})
        until(lambda: service.host.current("live").version == version, 30, "the model is not served")
        [task] = project.platform.task_ids(project.platform_id)
        browser.open_task(project.platform_id, task)
        switch_on(browser)
        mark(browser, "1", "Ann")
        anns = ["person Ann", f"person Ann {SCORE}", f"person Ann {SCORE}"]
        listed = lambda: [words.partition(" ")[2] for words in browser.listed()]  # noqa: E731
        try:
            until(lambda: sorted(listed()) == sorted([*anns, "place Oslo. 0.30"]), 30, f"suggested: {listed()}")
            assert sorted(each.text for each in browser.all(".htx-highlight")) == ["Ann", "Ann", "Ann", "Oslo."]
        finally:
            keep_picture(browser.driver, tmp_path / "suggested spans.png")

        # What a person removes stays away, also when something else is marked.
        browser.click(next(e for e in browser.all(".lsf-outliner-item__title") if "Oslo" in e.text))
        browser.keys("\ue003")
        until(lambda: len(listed()) == 3, 10, f"not removed: {listed()}")
        browser.keys("\ue00c")
        mark(browser, "2", "Rome")
        wanted = sorted([*anns, "place Rome", f"place Rome {SCORE}"])
        until(lambda: sorted(listed()) == wanted, 30, f"listed: {listed()}")
        browser.submit()
        result = annotation(project).result
        marked = sorted((item["value"]["start"], item["value"]["labels"][0]) for item in result)
        starts = [(n, "person") for n in (2, 23, 61)] + [(n, "place") for n in (17, 69)]
        assert marked == sorted(starts)
        assert all(TEXT[item["value"]["start"] : item["value"]["end"]] in ("Ann", "Rome") for item in result)
        assert [context is None for context in asked] == [True, False, False]
    app.close()


def test_without_auto_annotation_nothing_is_asked(
    browser: Browser, label_studio: EmbeddedServer, tmp_path: Path
) -> None:
    app = live_app(tmp_path, label_studio, NAMES, [{"id": "t1", "text": TEXT}], blind={"share": 0.0})
    project = app.project("live")
    asked: list[Any] = []
    with endpoints(app, watch=lambda body: asked.append(json.loads(body)["params"]["context"])):
        ingest(project)
        setup(project)
        push(project)
        [task] = project.platform.task_ids(project.platform_id)
        browser.open_task(project.platform_id, task)
        switch_on(browser)
        browser.click(browser.all(TOGGLE)[0])
        until(lambda: not browser.all(TOGGLE)[0].is_selected(), 10, "auto-annotation is still on")
        mark(browser, "1", "Ann")
        until(lambda: browser.listed() == ["1 person Ann"], 20, "nothing was marked")
        browser.submit()
        assert len(annotation(project).result) == 1
        assert not [context for context in asked if context is not None]
    app.close()


def test_a_box_brings_the_model_s_boxes_to_take_or_leave(
    browser: Browser, label_studio: EmbeddedServer, tmp_path: Path
) -> None:
    picture = blocks()
    app = live_app(
        tmp_path,
        label_studio,
        SHAPES,
        [{"id": "t0", **picture}],
        blind={"share": 0.0},
        backends={"shapes": {"path": "known_boxes:KnownBoxes"}},
    )
    project = app.project("live")
    model = KnownBoxes(["image"])
    size = {"original_width": 200, "original_height": 200, "image_rotation": 0}
    model.fit([picture], [[{**box(*at, 20, 20, "block"), "envelope": size} for at in BLOCKS]], **UNUSED)
    asked: list[Any] = []
    with endpoints(app, watch=lambda body: asked.append(json.loads(body)["params"]["context"])) as service:
        ingest(project)
        setup(project)
        push(project)
        version = keep_model(project, tmp_path / "model", {"shapes": model})
        until(lambda: service.host.current("live").version == version, 30, "the model is not served")
        [task] = project.platform.task_ids(project.platform_id)
        browser.open_task(project.platform_id, task)
        switch_on(browser)
        browser.click(browser.one(".lsf-tool_smart"))
        browser.keys("1")
        stage = browser.one("img[alt='image']")
        browser.drag(stage, (0.09, 0.09), (0.31, 0.31))
        try:
            until(lambda: browser.all(ACCEPT), 30, "no suggestions are offered")
        finally:
            keep_picture(browser.driver, tmp_path / "suggested boxes.png")
        browser.click(browser.all(ACCEPT)[0])
        until(lambda: len(browser.all(REGIONS)) == 3 and not browser.all(ACCEPT), 20, "not taken")
        keep_picture(browser.driver, tmp_path / "accepted boxes.png")
        browser.submit()
        values = [item["value"] for item in annotation(project).result]
        centres = sorted((value["x"] + value["width"] / 2, value["y"] + value["height"] / 2) for value in values)
        assert np.allclose(centres, [(x + 10, y + 10) for x, y in sorted(BLOCKS)], atol=1), centres
        assert {value["rectanglelabels"][0] for value in values} == {"block"}
        assert [context is None for context in asked] == [True, False]
    app.close()


def test_pictures_of_digits_come_with_their_pre_label(
    browser: Browser, label_studio: EmbeddedServer, tmp_path: Path
) -> None:
    """The pictures are files of a folder project: the page gets them from our endpoints."""
    from backends.pixels import Pixels

    pictures = digit_images(300)
    folder = tmp_path / "digits"
    folder.mkdir()
    for number, (picture, _) in enumerate(pictures[:6]):
        (folder / f"{number}.png").write_bytes(base64.b64decode(picture.partition(",")[2]))
    config = Path("config/label_configs/digits.xml").read_text(encoding="utf-8")
    app = live_app(
        tmp_path, label_studio, config, folder, blind={"share": 0.0}, backend={"path": "backends.pixels:Pixels"}
    )
    project = app.project("live")
    (control,) = project.space.controls
    model = Pixels(["image"], media_root=str(folder))
    targets = np.array([[float(label == digit) for label in control.labels] for _, digit in pictures[6:]], np.float32)
    examples = [{"image": picture} for picture, _ in pictures[6:]]
    model.fit(examples, targets, weights=np.ones(len(examples), np.float32), multiple=False, seed=0)
    with endpoints(app):
        ingest(project)
        setup(project)
        version = keep_model(project, tmp_path / "model", {control.name: model})
        assert push(project).version == version
        stored = project.platform.predictions(project.platform_id)
        assert len(stored) == 6
        shown = {row.task_id: row.result[0]["value"]["choices"][0] for row in stored}
        digits = {f"{number}.png": digit for number, (_, digit) in enumerate(pictures[:6])}
        truth = {task.id: digits[task.data["path"]] for task in project.platform.tasks(project.platform_id)}
        assert sum(shown[task] == digit for task, digit in truth.items()) >= 5
        browser.open(f"/projects/{project.platform_id}/data?labeling=1")
        browser.ready()
        drawn = browser.one("img[alt='image']")
        try:
            until(
                lambda: browser.driver.execute_script("return arguments[0].naturalWidth", drawn) == 128,
                30,
                "the picture is not shown",
            )
            boxes = until(lambda: selected(browser), 30, "no digit is selected")
        finally:
            keep_picture(browser.driver, tmp_path / "digits.png")
        assert boxes == [shown[min(shown)]]
        served = [task.data["image"] for task in project.platform.tasks(project.platform_id)]
        assert all(address.startswith(f"{project.public_url}/files/live/") for address in served)
        browser.submit()
        assert annotation(project).result[0]["value"]["choices"] == boxes
    app.close()


def selected(browser: Browser) -> list[str]:
    """Return the choices that are selected on the page: the tenth digit is 9."""
    inputs = browser.all("[class*=choices] input")
    return [str(digit) for digit, each in enumerate(inputs) if each.is_selected()]


def blocks() -> dict[str, str]:
    """A picture of 200 x 200 with three equal blocks."""
    pixels = ground(np.random.default_rng(5), 200, 200)
    for x, y in BLOCKS:
        pixels[2 * y : 2 * y + 40, 2 * x : 2 * x + 40] = (230, 40, 40)
    return {"image": uri(pixels)}
