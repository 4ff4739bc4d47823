"""Boxes by the detector that we ship, on the real page: learned from what people drew, drawn as pre-labels where the
things are, corrected and submitted, and back with us."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from box_examples import uri
from browser_support import REGIONS, Browser, chromium, keep_picture, painted, share, until
from live_endpoints import live_app

from adapter.label_studio.desk import LabelStudioDesk
from adapter.label_studio.embedded import EmbeddedServer
from adapter.label_studio.users import make_annotator
from adapter.stages.consolidate import consolidate
from adapter.stages.ingest import ingest
from adapter.stages.pull import pull
from adapter.stages.push import push
from adapter.stages.rank import rank
from adapter.stages.train import train
from adapter.vocabulary import TASK_KEY_FIELD

pytestmark = [
    pytest.mark.integration,
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.timeout(600),
    # Selenium itself leaves sockets to its finalisers.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

CONFIG = """<View>
  <Image name="image" value="$image" width="480px"/>
  <RectangleLabels name="things" toName="image">
    <Label value="cell" background="#f0f"/><Label value="drop" background="#0ff"/>
  </RectangleLabels>
</View>
"""
COLOURS = {"cell": (225, 50, 60), "drop": (40, 70, 230)}
SIDE = 120
FAST = {"size": 64, "epochs": 30, "flips": "both", "threads": 1}
ON_PAGE = """
const found = window.Htx.annotationStore.selected.serializeAnnotation();
return found.map((item) => [item.value.rectanglelabels[0], item.value.x, item.value.y, item.value.width,
                            item.value.height, item.score]);
"""
"""Asks the page's own store for the boxes that it draws."""
Box = tuple[str, float, float, float, float]
"""label; x, y, width and height in percent."""


@pytest.fixture(scope="module")
def browser(label_studio: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("chromium")) as driver:
        found = Browser(driver, label_studio)
        found.log_in("bea")
        yield found


def discs(count: int, seed: int) -> tuple[list[dict[str, str]], dict[str, list[Box]]]:
    """Return rows with a picture of three discs each on noisy grey ground, and by id where those are."""
    random = np.random.default_rng(seed)
    rows, gold = [], {}
    y, x = np.mgrid[:SIDE, :SIDE]
    for number in range(count):
        pixels = random.integers(110, 140, (SIDE, SIDE, 1)).astype(np.uint8).repeat(3, axis=2)
        placed: list[tuple[int, int, int]] = []
        boxes: list[Box] = []
        while len(placed) < 3:
            radius = int(random.integers(10, 16))
            left, top = (int(each) for each in random.integers(radius + 1, SIDE - radius - 1, 2))
            if any(np.hypot(left - a, top - b) < radius + other + 5 for a, b, other in placed):
                continue
            placed.append((left, top, radius))
            label = ("cell", "drop")[int(random.integers(2))] if len(placed) > 1 else "cell"
            pixels[(x - left) ** 2 + (y - top) ** 2 <= radius**2] = COLOURS[label]
            across = 100.0 * (2 * radius + 1) / SIDE
            boxes.append((label, 100.0 * (left - radius) / SIDE, 100.0 * (top - radius) / SIDE, across, across))
        rows.append({"id": f"d{number}", "image": uri(pixels)})
        gold[f"d{number}"] = boxes
    return rows, gold


def item(number: int, box: Box) -> dict[str, Any]:
    label, x, y, width, height = box
    value = {"x": x, "y": y, "width": width, "height": height, "rotation": 0, "rectanglelabels": [label]}
    size = {"original_width": SIDE, "original_height": SIDE, "image_rotation": 0}
    names = {"id": f"b{number}", "from_name": "things", "to_name": "image", "type": "rectanglelabels"}
    return {**names, **size, "value": value}


def box_of(found: Mapping[str, Any]) -> Box:
    value = found["value"]
    return value["rectanglelabels"][0], value["x"], value["y"], value["width"], value["height"]


def overlap(a: Box, b: Box) -> float:
    """Intersection over union; 0 where the labels differ."""
    width = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    height = min(a[2] + a[4], b[2] + b[4]) - max(a[2], b[2])
    both = max(width, 0.0) * max(height, 0.0)
    return both / (a[3] * a[4] + b[3] * b[4] - both) if a[0] == b[0] else 0.0


def work(project: Any, server: EmbeddedServer, gold: dict[str, list[Box]], count: int) -> set[str]:
    """Let an annotator draw the boxes of so many tasks as they are served; return our ids of them."""
    desk = LabelStudioDesk(server.url, make_annotator(server, "ann"), project.platform_id)
    done = set()
    for _ in range(count):
        task = desk.next_task()
        assert task is not None
        key = str(task.data[TASK_KEY_FIELD])
        desk.submit(task.task_id, [item(number, box) for number, box in enumerate(gold[key])], 1.0)
        done.add(key)
    desk.close()
    return done


def test_learned_boxes_are_drawn_where_the_things_are_and_come_back_corrected(
    browser: Browser, label_studio: EmbeddedServer, tmp_path: Path
) -> None:
    rows, gold = discs(44, seed=3)
    app = live_app(
        tmp_path,
        label_studio,
        CONFIG,
        rows,
        backends={"things": {"path": "backends.detection:Detection", "options": FAST}},
        window={"size": 20, "low_water": 19},
        train={"min_labels": 8, "min_new": 5, "min_gate": 4},
        blind={"share": 0.2, "batch_share": 0.2},
    )
    project: Any = app.project("live")
    ingest(project)
    push(project)
    while len(project.store.annotations.voting("live")) < 32:
        work(project, label_studio, gold, 16)
        pull(project)
        consolidate(project)
        push(project)
    told = train(project)
    assert told.promoted, told.sentence
    rank(project)
    assert push(project).version == told.version

    # Every pre-label finds most discs, and little else.
    tasks = {task.id: task for task in project.platform.tasks(project.platform_id)}
    shown = {row.task_id: row for row in project.platform.predictions(project.platform_id)}
    assert len(shown) >= 5
    hits = sum(
        max(overlap(box, box_of(one)) for one in row.result) >= 0.5
        for number, row in shown.items()
        for box in gold[str(tasks[number].key)]
    )
    assert hits >= 0.8 * 3 * len(shown)
    assert sum(len(row.result) for row in shown.values()) <= 1.2 * 3 * len(shown)

    # The surest is opened: the page draws just these boxes, and they lie on the discs.
    mixed = [number for number in shown if {one[0] for one in gold[str(tasks[number].key)]} == {"cell", "drop"}]
    number = max(mixed, key=lambda number: shown[number].score)
    told_boxes = sorted(box_of(one) for one in shown[number].result)
    truth = sorted(gold[str(tasks[number].key)])
    browser.open_task(project.platform_id, number, regions=len(told_boxes))
    on_page = lambda: sorted(browser.driver.execute_script(ON_PAGE))  # noqa: E731
    try:
        drawn = until(on_page, 30, "the page's store holds no boxes")
        assert [one[0] for one in drawn] == [one[0] for one in told_boxes] == [one[0] for one in truth]
        assert np.allclose([one[1:5] for one in drawn], [one[1:] for one in told_boxes], atol=0.01)
        assert all(overlap(a, b) >= 0.5 for a, b in zip(told_boxes, truth, strict=True))
        stage = browser.one("img[alt='image']")
        until(lambda: painted(stage).any(), 30, "no box is drawn")
        mask = painted(stage)
    finally:
        keep_picture(browser.driver, tmp_path / "learned boxes.png")
    for label, x, y, width, height in truth:
        inside = share(mask, x + width / 4, y + height / 4, width / 2, height / 2)
        assert inside > 0.9 if label == "cell" else inside == 0.0, (label, inside)
    assert not painted_far_from(mask, truth)

    # One box is moved, another removed; what was submitted comes back so.
    first = on_page()[0]
    middle = ((first[1] + first[3] / 2) / 100, (first[2] + first[4] / 2) / 100)
    to = (middle[0] + (0.1 if middle[0] < 0.5 else -0.1), middle[1])

    def moved() -> bool:
        browser.drag(stage, middle, to)
        return bool(np.abs(np.subtract(first[1:3], min(on_page(), key=lambda one: away(one, first))[1:3])).max() > 5)

    until(moved, 30, "the box was not moved")
    browser.keys("\ue00c")
    browser.click(browser.all(".lsf-outliner-item__title")[-1])
    browser.keys("\ue003")
    until(lambda: len(browser.all(REGIONS)) == len(told_boxes) - 1, 20, "the box was not removed")
    left = on_page()
    keep_picture(browser.driver, tmp_path / "corrected boxes.png")
    browser.submit()
    key = str(tasks[number].key)
    found = until(
        lambda: (pull(project), project.store.annotations.voting("live").get(key))[1], 60, "it did not arrive"
    )
    back = sorted(box_of(one) for one in found[0].result)
    assert [one[0] for one in back] == [one[0] for one in left]
    assert np.allclose([one[1:] for one in back], [one[1:5] for one in left], atol=0.01)
    assert found[0].shown == told.version
    kept = [one for one in back if any(overlap(one, other) > 0.99 for other in told_boxes)]
    assert len(kept) == len(told_boxes) - 2
    app.close()


def away(one: list[Any], other: list[Any]) -> float:
    """How much two boxes differ in label, size and place; of what was moved, only the place does."""
    return float(100 * (one[0] != other[0]) + np.abs(np.subtract(one[3:5], other[3:5])).sum())


def painted_far_from(mask: npt.NDArray[np.bool_], boxes: list[Box], slack: float = 4.0) -> bool:
    """Whether anything is painted that lies further than `slack` percent from every box."""
    rest = mask.copy()
    rows, columns = mask.shape
    for _, x, y, width, height in boxes:
        top, bottom = (round(each * rows / 100) for each in (max(y - slack, 0), y + height + slack))
        left, right = (round(each * columns / 100) for each in (max(x - slack, 0), x + width + slack))
        rest[top:bottom, left:right] = False
    return bool(rest.any())
