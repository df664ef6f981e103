"""Makes docs/images/app.png: the page with two towers painted over, and what it made of them.

python -m tests.app.screenshot [FILE]
"""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image

from gica_ops.app.server import served
from gica_ops.app.session import Settings
from tests.app.browser import Person, browser

ROOT = Path(__file__).resolve().parents[2]
PHOTO = ROOT / "examples/photo.png"
# Columns and rows of the photograph that the brush goes through.
TOWERS = (
    [
        (200, 122),
        (198, 220),
        (192, 300),
        (184, 380),
        (218, 380),
        (206, 300),
        (203, 220),
        (201, 130),
    ],
    [(447, 132), (447, 220), (449, 300), (452, 384)],
)


def main() -> None:
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs/images/app.png"
    with served("127.0.0.1", 0, Settings(), "exemplar") as address, browser() as chromium:
        person = Person(chromium, address, scale=1, width=1280)
        person.load(PHOTO)
        for tower in TOWERS:
            person.paint(tower, Image.open(PHOTO).size)
        print(person.fill())
        person.page.mouse.move(640, 20)
        person.page.wait_for_timeout(2000)
        person.page.screenshot(path=target, full_page=True)
    # 256 colours take a quarter of the bytes.
    few = Image.open(target).convert("RGB").quantize(256, method=Image.Quantize.FASTOCTREE)
    few.save(target, optimize=True)
    print(target)


if __name__ == "__main__":
    main()
