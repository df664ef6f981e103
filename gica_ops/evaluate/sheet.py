"""A contact sheet: pictures one below the other; truth, hole and every filling side by side."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .driver import Shown

__all__ = ["Sheet"]

CELL = 192  # pixels a side at most
GAP = 4
LINE = 14  # pixels of height for a line of text
HOLE = (255, 0, 255)
PAPER, INK = (255, 255, 255), (0, 0, 0)

Cell = tuple[Image.Image | None, str]  # what is shown, and the line below it


class Sheet:
    """Collects the first `most` pictures it is shown; only their thumbnails are kept."""

    def __init__(self, methods: list[str], most: int = 8) -> None:
        if most < 1:
            raise ValueError(f"rows of the sheet must be at least 1, got {most}")
        self.methods, self.most = methods, most
        self.rows: list[list[Cell]] = []

    def add(self, shown: Shown) -> None:
        """One more row, unless there are enough."""
        if len(self.rows) >= self.most:
            return
        holed = np.where(shown.hole[..., None], np.array(HOLE, np.uint8), shown.truth)
        share = f"{100 * shown.hole.mean():.0f} % hole"
        cells: list[Cell] = [
            (_thumbnail(shown.truth), shown.picture),
            (_thumbnail(holed), share),
        ]
        for row in shown.rows:
            if row.error is not None:
                cells.append((None, "failed"))
            else:
                text = f"{row.scores['hole_psnr']:.1f} dB in the hole"
                cells.append((_thumbnail(shown.filled[row.method]), text))
        self.rows.append(cells)

    def draw(self) -> Image.Image:
        """The sheet, RGB: at most `most` rows of cells of at most 192 pixels a side."""
        font = ImageFont.load_default()
        sizes = [image.size for row in self.rows for image, _ in row if image is not None]
        cell_width = max([96, *(width for width, _ in sizes)])
        headings = ["truth", "hole", *self.methods]
        heights = [max(i.height for i, _ in row if i is not None) + LINE + GAP for row in self.rows]
        size = (len(headings) * (cell_width + GAP) + GAP, LINE + 2 * GAP + sum(heights))
        sheet = Image.new("RGB", size, PAPER)
        pen = ImageDraw.Draw(sheet)
        for column, heading in enumerate(headings):
            left = GAP + column * (cell_width + GAP)
            pen.text((left, GAP), _cut(heading, font, cell_width), INK, font)
        top = LINE + 2 * GAP
        for cells, height in zip(self.rows, heights, strict=True):
            for column, (image, text) in enumerate(cells):
                left = GAP + column * (cell_width + GAP)
                below = top + height - LINE - GAP
                if image is not None:
                    sheet.paste(image, (left, top))
                pen.text((left, below), _cut(text, font, cell_width), INK, font)
            top += height
        return sheet


def _thumbnail(picture: np.ndarray) -> Image.Image:
    image = Image.fromarray(picture)
    image.thumbnail((CELL, CELL), Image.Resampling.LANCZOS)
    return image


def _cut(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    """The text, or as much of its end as fits: paths differ in their ends."""
    text = text.encode("ascii", "replace").decode()  # what Pillow's smallest font can draw
    kept = text
    while kept and font.getlength(kept if kept == text else f"..{kept}") > width:
        kept = kept[1:]
    return kept if kept == text else f"..{kept}"
