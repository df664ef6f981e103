"""How much memory copying takes, and what part of a picture to search where that is too much."""

from __future__ import annotations

import bisect
import math

from torch import Tensor

from .level import KSIZES
from .pyramid import extent, grow

__all__ = ["needed", "window"]

BASE = 96 * 2**20  # what does not grow with the picture: matching of coarse levels, code, threads
KEPT, MOST_KEPT = 32, 256 * 2**20  # freed blocks that the C library keeps: those below 32 MiB
# Bytes: per pixel of the picture, beside its features, which are there twice for a while; per pixel
# of the hole, which is mostly the evening out of seams; per window that touches the hole.
PIXEL, HOLE, TARGET = 20, 260, 60
NEAREST = 32  # pixels around the hole that are searched at least


def needed(pixels: int, hole: int, targets: int, channels: int) -> int:
    """Bytes that copying takes at most, beyond the picture and the result.

    pixels: of the picture, or of the part that is searched. hole: pixels to fill. targets: windows
    of 7 x 7 pixels that hold one of those.

    That is 96 MiB; for each pixel 20 bytes, 4 for each channel and one more, twice (the second time
    in groups of four), and 32 that the C library may keep, up to 256 MiB; for each pixel of the
    hole 260 bytes, and 32 for each channel beyond three; for each target 60.

    >>> needed(3840 * 2160, 480 * 270, 486 * 276, channels=3) >> 20  # MiB
    800
    """
    features = 4 * (channels + 1) + 16 * math.ceil((channels + 1) / 4)
    seams = HOLE + 32 * max(0, channels - 3)
    kept = min(KEPT * pixels, MOST_KEPT)
    return BASE + kept + pixels * (PIXEL + features) + hole * seams + targets * TARGET


def window(mask: Tensor, channels: int, max_memory: int | None) -> tuple[slice, slice]:
    """The rows and columns to search: all, or as much around the hole as `max_memory` bytes allow.

    mask: (H, W) bool, True = hole, somewhere. max_memory: None for no limit.

    Raises ValueError, a sentence, where not even the hole and 32 pixels around it fit.

    >>> import torch
    >>> mask = torch.zeros(4000, 4000, dtype=torch.bool)
    >>> mask[1000:1100, 500:600] = True
    >>> window(mask, 3, None)
    (slice(0, 4000, None), slice(0, 4000, None))
    >>> window(mask, 3, 2**28)
    (slice(298, 1802, None), slice(0, 1302, None))
    """
    height, width = mask.shape
    if max_memory is None:
        return slice(0, height), slice(0, width)
    near = mask[extent(mask, max(KSIZES))]
    hole, targets = int(near.sum()), int(grow(near, max(KSIZES) // 2).sum())

    def box(margin: int) -> tuple[slice, slice]:
        return extent(mask, margin)

    def cost(margin: int) -> int:
        rows, columns = box(margin)
        pixels = (rows.stop - rows.start) * (columns.stop - columns.start)
        return needed(pixels, hole, targets, channels)

    # The widest margin whose cost is within the limit.
    margins = range(NEAREST, max(NEAREST, height, width) + 1)
    fitting = bisect.bisect_right(margins, max_memory, key=cost)
    if not fitting:
        least = math.ceil(cost(NEAREST) / 2**20)
        raise ValueError(
            f"max_memory must be at least {least} MiB for this hole, got {max_memory} bytes"
        )
    return box(margins[fitting - 1])
