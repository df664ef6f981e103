"""The picture at halved sizes, down to where the hole is a few pixels wide."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["grow", "halve", "smooth"]


def grow(region: Tensor, radius: int) -> Tensor:
    """The (H, W) bool region and all that lies within `radius` of it, rows and columns alike."""
    if radius < 1:
        return region
    grown = region[None].to(torch.uint8).float()
    grown = F.max_pool2d(grown, (2 * radius + 1, 1), 1, (radius, 0))
    return F.max_pool2d(grown, (1, 2 * radius + 1), 1, (0, radius))[0] > 0


def halve(picture: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """Half the size: means over the known ones of each 2 x 2 pixels.

    A pixel is known where more than half of its own are: a stroke one pixel wide stays one pixel
    wide, it neither vanishes nor eats up its surroundings.
    """
    weight = known[None].to(picture.dtype)
    total = _mean(picture * weight)
    share = _mean(weight)
    return torch.where(share > 0, total / share.clamp_min(1e-6), 0.0), share[0] > 0.51


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
