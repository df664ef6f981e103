"""Where a generator looks, and at which scale: at a hole, or at each of its pieces, from around."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from .pyramid import extent, grow

__all__ = ["THICKEST", "Window", "thickness", "windows"]

# A generator fills holes as thick as those it learnt on; thicker ones it sees scaled down to that.
THICKEST = 48
# Pixels around the hole that are looked at, in all directions: at least, and as its thickness.
SURROUNDINGS = (32, 1.0)
# Sides are multiples of this, scaled down, so that similar holes are seen in windows of equal size;
# of less where less is looked at, for want of memory.
STEP, LEAST_STEP = 32, 8
LARGEST = 1024**2  # of what the generator sees at once, in pixels
LARGEST_MEASURED = 512  # of a hole's sides; larger ones are measured at a smaller scale
CELL, CELLS = 32, 64  # pieces are told apart on a grid of such cells, at most so many a side
LEAST = 4  # pixels across the hole that are left of it at the smallest scale


class Window(NamedTuple):
    """A part of the picture, and the factor by which it is scaled down for the generator."""

    rows: slice
    columns: slice
    factor: int

    @property
    def size(self) -> tuple[int, int]:
        return self.rows.stop - self.rows.start, self.columns.stop - self.columns.start

    def meets(self, other: Window) -> bool:
        """Whether the two have pixels in common."""
        pairs = ((self.rows, other.rows), (self.columns, other.columns))
        return all(a.start < b.stop and b.start < a.stop for a, b in pairs)


Fits = Callable[[Window], bool]


def windows(mask: Tensor, fits: Fits | None = None) -> list[Window]:
    """Windows that hold all of the hole and have no pixel in common.

    mask: (H, W) bool, True = hole, somewhere.
    fits: whether a window may be used. Where one may not, less of the surroundings is looked at,
        and then at a smaller scale.

    Pieces of the hole that lie far apart are looked at one by one. What is seen depends on nothing
    but the mask and `fits`. Raises LookupError, holding the windows that were tried, where none
    fits a piece.

    >>> mask = torch.zeros(200, 400, dtype=torch.bool)
    >>> mask[90:110, 50:60] = mask[90:110, 350:360] = True
    >>> [window.columns for window in windows(mask)]
    [slice(7, 103, None), slice(304, 400, None)]
    """
    boxes = _pieces(mask)
    while True:
        found = [_window(mask, box, fits) for box in boxes]
        merged = _merged(found, boxes)
        if len(merged) == len(boxes):
            return found
        boxes = merged


Box = tuple[slice, slice]


def thickness(mask: Tensor) -> int:
    """How far apart the sides of a hole are at its thickest, in pixels.

    mask: (H, W) bool, True = hole. Twice the largest distance of one of its pixels from what is
    known, rows and columns alike; the picture's border counts as neither. Of large holes it is
    known to a few pixels.

    >>> hole = torch.zeros(9, 9, dtype=torch.bool)
    >>> hole[2:6, 1:9] = True
    >>> thickness(hole)
    4
    """
    if not bool(mask.any()):
        return 0
    known, unit = ~mask[extent(mask, 1)], 1
    while max(known.shape) > LARGEST_MEASURED:
        known = F.max_pool2d(known[None].float(), 2, 2, ceil_mode=True)[0] > 0
        unit *= 2
    if not bool(known.any()):
        return 2 * max(mask.shape)
    # The largest radius that does not reach all of the hole, in ever smaller steps.
    radius, step = 0, LARGEST_MEASURED
    while step:
        wider = grow(known, step)
        if not bool(wider.all()):
            known, radius = wider, radius + step
        step //= 2
    return 2 * (radius + 1) * unit


def _pieces(mask: Tensor) -> list[Box]:
    """Boxes around the pieces of the hole, as a coarse grid tells them apart."""
    rows, columns = extent(mask)
    part = mask[rows, columns]
    cell = max(CELL, math.ceil(max(part.shape) / CELLS))
    height, width = (math.ceil(n / cell) for n in part.shape)
    grid = part.new_zeros(height * cell, width * cell)
    grid[: part.shape[0], : part.shape[1]] = part
    taken = grid.view(height, cell, width, cell).any(3).any(1)
    # Cells that touch take the largest number among them, until none changes any more.
    label, before = torch.arange(1, height * width + 1.0).view(height, width) * taken, None
    while before is None or not torch.equal(label, before):
        label, before = F.max_pool2d(label[None], 3, 1, 1)[0] * taken, label
    boxes = []
    for number in label[taken].unique():
        down, across = extent(label == number)
        cells = grid[down.start * cell : down.stop * cell, across.start * cell : across.stop * cell]
        first = rows.start + down.start * cell, columns.start + across.start * cell
        boxes.append(tuple(_moved(s, by) for s, by in zip(extent(cells), first, strict=True)))
    return boxes  # type: ignore[return-value]


def _moved(part: slice, by: int) -> slice:
    return slice(part.start + by, part.stop + by)


def _merged(found: list[Window], boxes: list[Box]) -> list[Box]:
    """The boxes, those whose windows meet made one."""
    groups: list[list[int]] = []
    for i, window in enumerate(found):
        meeting = [g for g in groups if any(window.meets(found[j]) for j in g)]
        groups = [g for g in groups if g not in meeting] + [[i, *(j for g in meeting for j in g)]]
    return [_around([boxes[i] for i in group]) for group in groups]


def _around(boxes: list[Box]) -> Box:
    rows, columns = (
        slice(min(s.start for s in side), max(s.stop for s in side))
        for side in zip(*boxes, strict=True)
    )
    return rows, columns


def _window(mask: Tensor, box: Box, fits: Fits | None) -> Window:
    """The window around a box."""
    thick = thickness(mask[_framed(box, mask)])
    least, times = SURROUNDINGS
    factor = math.ceil(thick / THICKEST)
    tried = []
    while True:
        margin, step = max(least * factor, math.ceil(times * thick)), STEP
        while True:
            window = _placed(mask, box, margin, step * factor)
            tried.append(Window(*window, factor))
            small = math.prod(tried[-1].size) <= LARGEST * factor**2
            if small and (fits is None or fits(tried[-1])):
                return tried[-1]
            if margin == least:
                break
            margin, step = max(margin // 2, least), LEAST_STEP
        if small and factor * LEAST > thick:
            raise LookupError(tried)
        factor += 1


def _framed(box: Box, mask: Tensor) -> Box:
    """A pixel more on each side: what is known there bounds the hole."""
    rows, columns = (slice(max(s.start - 1, 0), s.stop + 1) for s in box)
    return rows, columns


def _placed(mask: Tensor, box: Box, margin: int, step: int) -> Box:
    """A box with a margin: sides are multiples of a step, and shifted to stay in the picture."""
    sides = []
    for part, length in zip(box, mask.shape, strict=True):
        wanted = part.stop - part.start + 2 * margin
        side = min(math.ceil(wanted / step) * step, length)
        start = min(max(part.start - (side - part.stop + part.start) // 2, 0), length - side)
        sides.append(slice(start, start + side))
    rows, columns = sides
    return rows, columns
