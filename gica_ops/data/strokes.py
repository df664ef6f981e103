"""Holes drawn with strokes: DeepFill v2's free-form masks and LaMa's thin, medium and thick ones.

The papers' numbers are for 256 x 256; widths and lengths grow with the picture.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

__all__ = ["LAMA", "LamaSetting", "free_form", "lama"]

PAPER_SIDE = 256


def free_form(size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """One to three zigzag strokes with round corners, (height, width) bool, True = hole.

    Source: algorithm 1 of "Free-Form Image Inpainting with Gated Convolution" (Yu et al., 2019),
    with the settings of its published code: 4 to 11 corners a stroke, turns of 72 +- 24 degrees to
    alternating sides, lengths around an eighth of the diagonal, widths 12 to 40 of 256.

    >>> hole = free_form((256, 256), np.random.default_rng(0))
    >>> hole.shape, str(hole.dtype), bool(0.02 < hole.mean() < 0.6)
    ((256, 256), 'bool', True)
    """
    height, width = size
    scale = min(size) / PAPER_SIDE
    radius = math.hypot(height, width) / 8
    canvas = Image.new("L", (width, height))
    draw = ImageDraw.Draw(canvas)
    for _ in range(rng.integers(1, 4)):
        corners = int(rng.integers(4, 12))
        low, high = 2 * math.pi / 5 + 2 * math.pi / 15 * np.array([-1, 1]) * rng.random(2)
        angles = rng.uniform(low, high, corners) * np.where(np.arange(corners) % 2, 1, -1)
        lengths = rng.normal(radius, radius / 2, corners).clip(0, 2 * radius)
        points = [(rng.uniform(0, width), rng.uniform(0, height))]
        for angle, length in zip(angles, lengths, strict=True):
            points.append(_step(points[-1], angle, length, size))
        brush = max(1, round(rng.uniform(12, 40) * scale))
        for start, end in zip(points, points[1:], strict=False):
            _segment(draw, start, end, brush)
    # The zigzags above all lean the same way.
    return np.array(canvas, bool)[:: rng.choice((-1, 1)), :: rng.choice((-1, 1))]


@dataclass(frozen=True)
class LamaSetting:
    """How LaMa draws a kind of mask. Counts include both ends; lengths are for 256 x 256."""

    strokes: tuple[int, int]
    width: int
    length: int
    boxes: tuple[int, int] = (0, 0)
    box_side: tuple[int, int] = (0, 0)
    margin: int = 0
    box_share: float = 0.0


# Configurations random_{thin,medium,thick}_256 of the paper's published code. A mask is of boxes
# with weight 0.3 against weight 1 for strokes.
LAMA = {
    "thin": LamaSetting(strokes=(4, 50), width=10, length=40),
    "medium": LamaSetting((4, 5), 50, 100, (1, 5), (10, 50), 0, 0.3 / 1.3),
    "thick": LamaSetting((1, 5), 100, 200, (1, 3), (30, 150), 10, 0.3 / 1.3),
}


def lama(setting: LamaSetting, size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Polygonal chains, or now and then boxes, (height, width) bool, True = hole.

    Source: "Resolution-robust Large Mask Inpainting with Fourier Convolutions" (Suvorov et al.,
    2022), section 3.3, with the settings of its published code.

    >>> thin, thick = (
    ...     np.mean([lama(LAMA[kind], (128, 128), np.random.default_rng(i)) for i in range(20)])
    ...     for kind in ("thin", "thick")
    ... )
    >>> bool(thin < thick)
    True
    """
    height, width = size
    scale = min(size) / PAPER_SIDE
    canvas = Image.new("L", (width, height))
    draw = ImageDraw.Draw(canvas)
    if rng.random() < setting.box_share:
        _boxes(draw, setting, size, scale, rng)
        return np.array(canvas, bool)
    for stroke in range(rng.integers(setting.strokes[0], setting.strokes[1] + 1)):
        point = (rng.uniform(0, width), rng.uniform(0, height))
        for _ in range(rng.integers(1, 6)):
            angle = (0.01 + rng.integers(4)) * (1 if stroke % 2 else -1)
            length = (10 + rng.integers(setting.length)) * scale
            end = _step(point, math.pi / 2 - angle, length, size)
            _segment(draw, point, end, max(1, round((5 + rng.integers(setting.width)) * scale)))
            point = end
    return np.array(canvas, bool)


def _boxes(
    draw: ImageDraw.ImageDraw,
    setting: LamaSetting,
    size: tuple[int, int],
    scale: float,
    rng: np.random.Generator,
) -> None:
    margin = round(setting.margin * scale)
    for _ in range(rng.integers(setting.boxes[0], setting.boxes[1] + 1)):
        tall, wide = (max(1, round(side * scale)) for side in rng.integers(*setting.box_side, 2))
        top = int(rng.integers(margin, max(margin + 1, size[0] - margin - tall)))
        left = int(rng.integers(margin, max(margin + 1, size[1] - margin - wide)))
        draw.rectangle((left, top, left + wide - 1, top + tall - 1), fill=1)


def _step(
    point: tuple[float, float], angle: float, length: float, size: tuple[int, int]
) -> tuple[float, float]:
    x = point[0] + length * math.cos(angle)
    y = point[1] + length * math.sin(angle)
    return min(max(x, 0.0), float(size[1])), min(max(y, 0.0), float(size[0]))


def _segment(
    draw: ImageDraw.ImageDraw, start: tuple[float, float], end: tuple[float, float], brush: int
) -> None:
    """A thick line with round ends."""
    draw.line((*start, *end), fill=1, width=brush)
    r = brush / 2
    for x, y in (start, end):
        draw.ellipse((x - r, y - r, x + r, y + r), fill=1)
