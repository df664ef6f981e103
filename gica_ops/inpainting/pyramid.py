"""The picture at halved sizes, down to where the hole is a few pixels wide."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["extent", "grow", "halve", "smooth", "strips"]

STRIP = 2**18  # pixels that are worked on at a time, where a picture may be large


def strips(height: int, width: int) -> Iterator[slice]:
    """Rows of a picture in pieces of about STRIP pixels, an even number of rows each but the last.

    >>> list(strips(5, STRIP // 2))
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    rows = max(2, STRIP // width // 2 * 2)
    for top in range(0, height, rows):
        yield slice(top, min(height, top + rows))


def extent(region: Tensor, margin: int = 0) -> tuple[slice, slice]:
    """The rows and columns of a (H, W) bool region that is not empty, and `margin` more around it.

    >>> extent(torch.eye(5)[1:3] > 0), extent(torch.eye(5)[1:3] > 0, 1)
    ((slice(0, 2, None), slice(1, 3, None)), (slice(0, 2, None), slice(0, 4, None)))
    """
    rows, columns = (
        slice(max(0, int(some[0]) - margin), min(len(line), int(some[-1]) + margin + 1))
        for line in (region.any(1), region.any(0))
        for some in [line.nonzero()]
    )
    return rows, columns


def grow(region: Tensor, radius: int) -> Tensor:
    """The (H, W) bool region and all that lies within `radius` of it, rows and columns alike."""
    if radius < 1 or not region.any():
        return region
    box = extent(region, radius)
    part = region[box]
    for axis in (0, 1):
        reached = 0
        while reached < radius:
            # A run that starts at the border may be shifted by its length and stays one.
            step = min(reached + 1, radius - reached)
            length = part.shape[axis] - step
            if length > 0:
                wider = part.clone()
                wider.narrow(axis, step, length).logical_or_(part.narrow(axis, 0, length))
                wider.narrow(axis, 0, length).logical_or_(part.narrow(axis, step, length))
                part = wider
            reached += step
    grown = region.clone()
    grown[box] = part
    return grown


def halve(picture: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """Half the size: means over the known ones of each 2 x 2 pixels.

    A pixel is known where more than half of its own are: a stroke one pixel wide stays one pixel
    wide, it neither vanishes nor eats up its surroundings.
    """
    count, height, width = picture.shape
    half = picture.new_empty(count, (height + 1) // 2, (width + 1) // 2)
    seen = torch.empty(half.shape[1:], dtype=torch.bool)
    for rows in strips(height, width):
        weight = known[None, rows].to(picture.dtype)
        total, share = _mean(picture[:, rows] * weight), _mean(weight)
        here = slice(rows.start // 2, (rows.stop + 1) // 2)
        half[:, here] = torch.where(share > 0, total / share.clamp_min(1e-6), 0.0)
        seen[here] = share[0] > 0.51
    return half, seen


def smooth(picture: Tensor, known: Tensor) -> Tensor:
    """The picture with what is not known filled with means over ever larger neighbourhoods."""
    if known.all() or known.numel() == 1:
        return picture
    weight = known[None].to(picture.dtype)
    share = _mean(weight)
    coarse = smooth(_mean(picture * weight) / share.clamp_min(1e-6), share[0] > 0)
    height, width = known.shape
    wide = F.interpolate(coarse[None], scale_factor=2.0, mode="bilinear")[0, :, :height, :width]
    return torch.where(known, picture, wide)


def _mean(values: Tensor) -> Tensor:
    return F.avg_pool2d(values[None], 2, 2, ceil_mode=True, count_include_pad=False)[0]
