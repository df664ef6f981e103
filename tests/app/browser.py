"""A person in front of the page: a headless Chromium that sees no other host than this one."""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.app.conftest import needs

__all__ = ["Person", "browser"]

FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)  # fmt: skip
WAIT = 30_000  # milliseconds


@contextlib.contextmanager
def browser() -> Iterator[Any]:
    """Chromium, as it is installed. Skips the test where it or Playwright is missing."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    needs(importlib.util.find_spec("playwright"), "playwright is not installed")
    needs(path, "Chromium is not installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=FLAGS, headless=True)
        yield chromium
        chromium.close()


class Person:
    """Who opens the page and uses it.

    scale: pixels of the screen to one of the page. width: of the page. Both are small by default,
        since nothing draws them but a processor.
    errors: what the page's console complained of. strangers: other hosts that were asked.
    """

    def __init__(self, chromium: Any, address: str, scale: float = 0.5, width: int = 900) -> None:
        self.errors: list[str] = []
        self.strangers: list[str] = []
        context = chromium.new_context(
            viewport={"width": width, "height": 1000},
            device_scale_factor=scale,
            color_scheme="light",
            accept_downloads=True,
        )
        context.set_default_timeout(WAIT)
        self.page = context.new_page()
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", self._asked)
        self.page.goto(address)

    def load(self, path: Path) -> None:
        """Loads the first photograph, and waits until it can be painted on."""
        with self.page.expect_response(lambda answer: answer.url.endswith("image.png")):
            self.page.set_input_files("input[type=file] >> nth=0", path)
        self.page.wait_for_selector("button:has-text('Fill'):enabled")
        # The canvas says nothing when it has drawn the picture and fitted it in.
        canvas, seen = self.page.locator("#editor canvas").first, [b""]
        while len(seen) < 3 or len({*seen[-3:]}) > 1:
            self.page.wait_for_timeout(200)
            seen.append(canvas.screenshot())

    def paint(self, points: list[tuple[float, float]], size: tuple[int, int]) -> None:
        """A stroke along points, columns and rows of a photograph of this width and height."""
        zoom = float(self.page.inner_text("#editor .zoom-number").strip().rstrip("%")) / 100
        box = self.page.locator("#editor canvas").first.bounding_box()
        x, y = (
            [
                box[corner] + box[side] / 2 + (point[axis] - size[axis] / 2) * zoom
                for point in points
            ]
            for axis, (corner, side) in enumerate((("x", "width"), ("y", "height")))
        )
        self.page.mouse.move(x[0], y[0])
        self.page.mouse.down()
        for place in zip(x, y, strict=True):
            self.page.mouse.move(*place)
        self.page.mouse.up()

    def fill(self) -> str:
        """Presses the button, and returns the line under the result."""
        self.page.get_by_role("button", name="Fill").click()
        self.page.wait_for_selector("#said:has-text('pixels filled')")
        self.page.wait_for_selector("#result img")
        return str(self.page.inner_text("#said"))

    def download(self, folder: Path) -> Path:
        """Downloads the result under the name that the page gives it."""
        with self.page.expect_download() as download:
            self.page.get_by_text("Download", exact=True).click()
        path = folder / download.value.suggested_filename
        download.value.save_as(path)
        return path

    def _heard(self, message: Any) -> None:
        if message.type == "error":
            self.errors.append(message.text)

    def _asked(self, request: Any) -> None:
        url = urlsplit(request.url)
        if url.scheme not in ("data", "blob") and url.hostname != "127.0.0.1":
            self.strangers.append(request.url)
