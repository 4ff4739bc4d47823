"""A real browser at Label Studio's pages: log in, open a task, see what is drawn, submit."""

from __future__ import annotations

import io
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from adapter.label_studio.embedded import EmbeddedServer
from adapter.label_studio.users import annotator_email, annotator_password, make_annotator

REGIONS = ".lsf-outliner-item"
"""One entry for each region in the side panel."""
_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
    "--window-size=1500,1100",
)


@contextmanager
def chromium(profile: Path) -> Iterator[Any]:
    """Yield a headless Chromium that ends with the block, or skip where there is none."""
    if not shutil.which("chromium") or not shutil.which("chromedriver"):
        pytest.skip("needs Chromium and its driver: apt-get install chromium chromium-driver")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    for flag in (*_FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.binary_location = shutil.which("chromium") or ""
    driver = webdriver.Chrome(
        options=options, service=webdriver.ChromeService(executable_path=shutil.which("chromedriver"))
    )
    try:
        yield driver
    finally:
        driver.quit()


def until(ready: Callable[[], Any], seconds: float, what: str) -> Any:
    """Return what `ready` returns as soon as it is true; fail with `what` after so many seconds. Elements that the page
    has just drawn anew count as not ready."""
    from selenium.common.exceptions import StaleElementReferenceException

    deadline = time.monotonic() + seconds
    while True:
        try:
            found = ready()
        except StaleElementReferenceException:
            found = None
        if found:
            return found
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def eventually(check: Callable[[], None], seconds: float) -> None:
    """Check again and again until nothing fails, since a page is drawn bit by bit; after so many seconds, fail as the
    last check did."""
    from selenium.common.exceptions import StaleElementReferenceException

    deadline = time.monotonic() + seconds
    while True:
        try:
            check()
        except (AssertionError, ValueError, IndexError, StaleElementReferenceException):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return


def keep_picture(driver: Any, path: Path) -> None:
    """Take a screenshot; keep it where HITL_TEST_PICTURES says, for somebody to look at."""
    driver.save_screenshot(str(path))
    assert path.stat().st_size > 10_000
    if folder := os.environ.get("HITL_TEST_PICTURES"):
        shutil.copy(path, Path(folder) / path.name)


class Browser:
    """A browser in front of one Label Studio, used by one person at a time."""

    def __init__(self, driver: Any, server: EmbeddedServer) -> None:
        self.driver = driver
        self.server = server

    def log_in(self, name: str) -> None:
        """Log in as the annotator `name`, made if need be, whoever was logged in before."""
        from selenium.webdriver.common.by import By

        make_annotator(self.server, name)
        self.driver.delete_all_cookies()
        self.driver.get(f"{self.server.url}/user/login/")
        until(lambda: self.all("input[name=email]"), 60, "no log-in form")
        self.driver.find_element(By.NAME, "email").send_keys(annotator_email(name))
        self.driver.find_element(By.NAME, "password").send_keys(annotator_password(self.server, name))
        self.driver.find_element(By.CSS_SELECTOR, "button[type=submit], input[type=submit]").click()
        until(lambda: "/user/login" not in self.driver.current_url, 60, "log-in failed")

    def open(self, path: str) -> None:
        """Open a page of the server. It may be the page that is open: then it is loaded anew."""
        self.driver.get("about:blank")
        self.driver.get(self.server.url + path)

    def open_task(self, project: int, task: int, *, regions: int | None = None) -> None:
        """Open one task as the Data Manager does, and wait for the page (and for so many regions in its list)."""
        self.open(f"/projects/{project}/data?task={task}")
        self.ready(regions)

    def ready(self, regions: int | None = None) -> None:
        """Wait until the labeling page can be used."""
        until(lambda: self.button("Submit", "Update"), 90, "no labeling page")
        if regions is not None:
            until(
                lambda: len(self.all(REGIONS)) == regions,
                30,
                f"{regions} regions were to be listed",
            )

    def all(self, selector: str) -> list[Any]:
        """Return the elements that match."""
        from selenium.webdriver.common.by import By

        found: list[Any] = self.driver.find_elements(By.CSS_SELECTOR, selector)
        return found

    def one(self, selector: str, seconds: float = 60) -> Any:
        """Return the first element that matches and is shown."""
        shown = lambda: [each for each in self.all(selector) if each.is_displayed()]  # noqa: E731
        return until(shown, seconds, f"nothing on the page matches {selector}")[0]

    def button(self, *names: str) -> Any:
        """Return the button whose words begin with one of these; None without one."""
        buttons = [each for each in self.all("button") if each.text.strip().startswith(names)]
        return buttons[0] if buttons else None

    def listed(self) -> list[str]:
        """Return the words of each region in the side panel: number, labels, text."""
        return [" ".join(each.text.split()) for each in self.all(REGIONS)]

    def click(self, element: Any) -> None:
        """Click, even where something lies above."""
        self.driver.execute_script("arguments[0].click()", element)

    def keys(self, *keys: str) -> None:
        """Press keys on the page."""
        from selenium.webdriver.common.action_chains import ActionChains

        ActionChains(self.driver).send_keys(*keys).perform()

    def drag(self, element: Any, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Drag from one place on an element to another; both as shares of its width and height."""
        from selenium.webdriver.common.action_chains import ActionChains

        size = element.size
        (x, y), (v, w) = ((int((p[0] - 0.5) * size["width"]), int((p[1] - 0.5) * size["height"])) for p in (start, end))
        (
            ActionChains(self.driver, duration=100)
            .move_to_element_with_offset(element, x, y)
            .click_and_hold()
            .move_by_offset((v - x) // 2, (w - y) // 2)
            .move_by_offset(v - x - (v - x) // 2, w - y - (w - y) // 2)
            .release()
            .perform()
        )

    def submit(self) -> None:
        """Submit (or update) the annotation."""
        until(lambda: self.button("Submit", "Update"), 20, "no submit button").click()


def painted(element: Any) -> npt.NDArray[np.bool_]:
    """Return which pixels of an element, as the screen shows it, are magenta: the colour of the label `one` in the
    configs of these tests, also where it is laid over something thinly. Shape (height, width); the page may show a part
    of the element, then the rest is not painted."""
    from PIL import Image

    box = element.parent.execute_script("return arguments[0].getBoundingClientRect()", element)
    pixels = np.asarray(Image.open(io.BytesIO(element.parent.get_screenshot_as_png())).convert("RGB")).astype(int)
    red, green, blue = (pixels[:, :, channel] for channel in range(3))
    screen = (red - green > 20) & (blue - green > 20)
    mask = np.zeros((round(box["height"]), round(box["width"])), bool)
    top, left = round(box["y"]), round(box["x"])
    rows = slice(max(top, 0), min(top + mask.shape[0], screen.shape[0]))
    columns = slice(max(left, 0), min(left + mask.shape[1], screen.shape[1]))
    mask[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] = screen[rows, columns]
    return mask


def share(mask: npt.NDArray[np.bool_], x: float, y: float, width: float, height: float) -> float:
    """Return the share of pixels that are painted in a box; its place and size in percent, as Label Studio says."""
    rows, columns = mask.shape
    top, bottom = round(y * rows / 100), round((y + height) * rows / 100)
    left, right = round(x * columns / 100), round((x + width) * columns / 100)
    return float(mask[top:bottom, left:right].mean())


def stretch(mask: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """Return where the painted part begins and ends from left to right, in percent of the width."""
    columns = np.flatnonzero(mask.sum(axis=0) > 0.3 * mask.sum(axis=0).max()) if mask.any() else np.array([])
    assert columns.size, "nothing is painted"
    return 100.0 * float(columns[0]) / mask.shape[1], 100.0 * float(columns[-1] + 1) / mask.shape[1]


def select_text(browser: Browser, element: Any, start: int, end: int) -> None:
    """Select a stretch of an element's text with the mouse, from one character up to another."""
    from selenium.webdriver.common.action_chains import ActionChains

    places = browser.driver.execute_script(
        """
        const [element, start, end] = arguments;
        const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
        const at = (offset, back) => {
          walker.currentNode = element;
          for (let seen = 0, node; (node = walker.nextNode()); seen += node.length) {
            const inside = offset - seen;
            if (inside < node.length || (back && inside === node.length)) {
              const range = document.createRange();
              range.setStart(node, back ? inside - 1 : inside);
              range.setEnd(node, back ? inside : inside + 1);
              const box = range.getBoundingClientRect();
              return [back ? box.right - 1 : box.left + 1, (box.top + box.bottom) / 2];
            }
          }
        };
        return [at(start, false), at(end, true)];
        """,
        element,
        start,
        end,
    )
    chain = ActionChains(browser.driver, duration=100)
    pointer: Any = chain.w3c_actions.pointer_action
    pointer.move_to_location(*(round(part) for part in places[0]))
    pointer.pointer_down()
    pointer.move_to_location(*(round(part) for part in places[1]))
    pointer.pointer_up()
    chain.perform()
