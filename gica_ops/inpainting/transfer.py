"""Detail for what a generator filled at a smaller scale, from the rest of the picture.

The picture less its own low frequencies is a residual. The attention that told the generator where
content comes from tells where residuals come from, too: the layer again, with other values.

Source: Yi et al., "Contextual Residual Aggregation for Ultra High-Resolution Image Inpainting",
CVPR 2020.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..model import Generator
from ..model.generator import Look

__all__ = ["carried", "enlarged", "reduced", "sources"]


def reduced(units: Tensor, hole: Tensor, factor: int) -> tuple[Tensor, Tensor]:
    """Pictures (B, C, H, W) and holes (B, 1, H, W) bool, their sides divided by a whole number.

    Means of the known pixels; hole where one is missing.
    """
    if factor == 1:
        return units, hole
    share = F.avg_pool2d((~hole).to(units.dtype), factor)
    mean = F.avg_pool2d(units.masked_fill(hole, 0), factor)
    # A pixel too few is a share that no rounding makes up for.
    return mean / share.clamp_min(1e-6), share < 1 - 0.5 / factor**2


def enlarged(units: Tensor, factor: int) -> Tensor:
    """Pictures (B, C, H, W), their sides times a whole number."""
    if factor == 1:
        return units
    return F.interpolate(units, scale_factor=float(factor), mode="bicubic")


def carried(
    generator: Generator, look: Look, residual: Tensor, hole: Tensor, backend: str | None
) -> Tensor:
    """Residuals from outside the hole, where the attention looks for its content.

    look: of the pictures scaled down. residual: (B, C, H, W), at full size. hole: (B, 1, H, W)
    bool, at full size.

    Returns (B, C, H, W), of which what the hole holds counts.
    """
    # The last channel is how much of what is pasted is known: less than 1 at the picture's border,
    # where fewer patches overlap, and where a thin part of the hole was overlooked.
    known = torch.ones_like(residual[:, :1])
    values = torch.cat((residual, known), 1).masked_fill_(hole, 0)
    features = look.features.to(residual.dtype)
    wanted = F.max_pool2d(hole.to(residual.dtype), residual.shape[2] // features.shape[2])
    pasted, _ = generator.fine.attend(
        features, look.hole, False, backend, values=values, query_mask=wanted
    )
    return pasted[:, :-1].div_(pasted[:, -1:].clamp_min(1e-3))


def sources(offsets: Tensor, pixels: Tensor, hole: Tensor) -> Tensor:
    """Where the attention looked, for pixels of the hole: (2, N), -1 where there is nothing.

    offsets: (2, h, w), as the attention returns them. pixels: (N, 2). hole: (H, W) bool, its sides
    a whole number times h and w. A pixel keeps its place within its position.

    >>> offsets = torch.tensor([[[0, 0]], [[1, 1]]])  # both look at the second of two positions
    >>> hole = torch.tensor([[True, True, False, False]] * 2)
    >>> sources(offsets, hole.nonzero(), hole)
    tensor([[0, 0, 1, 1],
            [2, 3, 2, 3]])
    """
    side = hole.shape[0] // offsets.shape[1]
    row, column = pixels.unbind(1)
    found = offsets[:, row // side, column // side] * side
    found += pixels.T % side
    return found.masked_fill_(hole[tuple(found.clamp_min(0))], -1)
