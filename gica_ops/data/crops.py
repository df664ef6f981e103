"""From pictures of any size to squares of one."""

from __future__ import annotations

import math
from typing import Literal, get_args

import numpy as np
from PIL import Image

__all__ = ["Crop", "crop"]

Crop = Literal["crop", "resize", "random-scale"]

SMALLEST_SHARE = 0.1  # of the largest square's area


def crop(
    picture: np.ndarray, size: int, how: Crop, rng: np.random.Generator, flip: bool = True
) -> np.ndarray:
    """A square of a picture, (size, size, 3) uint8, mirrored every other time where `flip` is set.

    picture: (height, width, 3) uint8.
    how: "crop" takes a square of `size` pixels anywhere, and enlarges smaller pictures; "resize"
        takes the largest square, anywhere along the longer side; "random-scale" takes a square of
        0.1 to 1 of that one's area, which makes the most of a small set. What was taken is resized
        to `size`.

    Raises ValueError for another `how`.

    >>> picture = np.zeros((40, 60, 3), np.uint8)
    >>> crop(picture, 16, "random-scale", np.random.default_rng(0)).shape
    (16, 16, 3)
    """
    if how not in get_args(Crop):
        raise ValueError(f"crop must be one of {', '.join(get_args(Crop))}, got {how!r}")
    height, width = picture.shape[:2]
    largest = min(height, width)
    side = min(size, largest) if how == "crop" else largest
    if how == "random-scale":
        side = max(1, round(largest * math.sqrt(rng.uniform(SMALLEST_SHARE, 1))))
    top, left = (int(rng.integers(room + 1)) for room in (height - side, width - side))
    square = picture[top : top + side, left : left + side]
    if flip and rng.random() < 0.5:
        square = square[:, ::-1]
    if side == size:
        return np.ascontiguousarray(square)
    image = Image.fromarray(np.ascontiguousarray(square))
    return np.asarray(image.resize((size, size), Image.Resampling.BICUBIC, reducing_gap=3.0))
