"""The page in a browser: load, paint, fill, download, go on, go back; and what it says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from tests.app.browser import Person, browser

PHOTO = Path(__file__).resolve().parents[2] / "examples/photo.png"


def distance(height: int, width: int, start: tuple[int, int], end: tuple[int, int]) -> np.ndarray:
    """(height, width), of each pixel from a line on one row."""
    row, column = np.mgrid[:height, :width]
    nearest = np.clip(column, start[0], end[0])
    return np.hypot(column - nearest, row - start[1])


def test_a_photograph_is_painted_filled_and_downloaded(address, tmp_path):
    before = np.asarray(Image.open(PHOTO))
    height, width = before.shape[:2]
    stroke = [(180, 200), (260, 200)]
    with browser() as chromium:
        person = Person(chromium, address)
        person.load(PHOTO)
        person.page.get_by_role("button", name="Fill").click()
        person.page.get_by_text("Nothing is painted yet").wait_for()
        person.paint(stroke, (width, height))
        assert "filled by exemplar" in person.fill()
        after = Image.open(person.download(tmp_path))
        assert not person.page.get_by_role("button", name="Stop").is_visible()
        person.page.get_by_role("button", name="Go on with the result").click()
        back = person.page.get_by_role("button", name="Back to the picture before")
        back.click()
        back.wait_for(state="hidden")
        assert person.page.locator("#result img").count() == 0
        assert person.errors == [] and person.strangers == []
    assert (Path(after.filename).name, after.format) == ("photo-filled.png", "PNG")
    assert after.size == (width, height)
    changed = (np.asarray(after) != before).any(-1)
    away = distance(height, width, *stroke)
    assert not changed[away > 30].any()
    assert changed[away < 10].mean() > 0.5


def test_a_filling_can_be_stopped(address, tmp_path):
    size = (600, 600)
    Image.open(PHOTO).convert("RGB").resize(size).save(tmp_path / "large.jpg", quality=80)
    with browser() as chromium:
        person = Person(chromium, address)
        person.load(tmp_path / "large.jpg")
        person.paint([(100, 300), (500, 300)], size)
        fill, stop = (person.page.get_by_role("button", name=name) for name in ("Fill", "Stop"))
        fill.click()
        stop.click()
        fill.wait_for()
        stop.wait_for(state="hidden")
        assert person.page.locator("#result img").count() == 0
        assert "pixels filled" in person.fill()
        assert person.errors == []


def test_a_file_that_is_no_photograph_is_said_in_a_sentence(address, tmp_path):
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "long.png").write_bytes(bytes(1_000_001))
    with browser() as chromium:
        person = Person(chromium, address)
        person.page.set_input_files("input[type=file] >> nth=0", tmp_path / "text.png")
        person.page.get_by_text("Image 'text.png' is no picture that Pillow can read.").wait_for()
        assert "Traceback" not in person.page.inner_text("body")
        assert person.errors == [] and person.strangers == []
        person.page.reload()
        person.page.set_input_files("input[type=file] >> nth=0", tmp_path / "long.png")
        person.page.get_by_text("exceed the maximum allowed size").wait_for()
