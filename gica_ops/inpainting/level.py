"""One level of the pyramid: its pixels, and which places may be copied, filled and matched."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .pyramid import extent, grow

__all__ = ["KSIZES", "Level"]

KSIZES = (7, 5, 3)  # windows are as large as leaves enough of them to copy from
CHUNK = 4096  # windows at a time: their pixels stay in the second-level cache
FALLOFF = 1.45  # confidence in a guessed pixel is FALLOFF ** -(distance to the hole's edge)
FARTHEST = 20


class Level:
    """Pixels with flat row-major positions, and lists of the positions that matter.

    A *window* is ksize x ksize pixels, named by its centre, and always lies inside the picture.

    source: (H * W,) bool, windows that hold known pixels only: these may be copied.
    targets: (N,) windows that hold a pixel of the hole: these look for a source.
    slot: (H * W,) int32, place of a window in `targets`, -1 where it is none.
    hole: (M,) the pixels to fill.
    confidence: (H * W,) 1 for known pixels, falling with the distance to them in the hole.
    """

    def __init__(self, picture: Tensor, known: Tensor, ksize: int) -> None:
        self.channels, self.height, self.width = picture.shape
        self.ksize, radius = ksize, ksize // 2
        step = torch.arange(-radius, radius + 1)
        self.taps = (step[:, None] * self.width + step).flatten()
        whole = torch.zeros_like(known)
        whole[radius : self.height - radius, radius : self.width - radius] = True
        touching = grow(~known, radius)
        self.known = known
        self.source = (whole & ~touching).flatten()
        self.targets = (whole & touching).flatten().nonzero()[:, 0]
        self.slot = torch.full((known.numel(),), -1, dtype=torch.int32)
        self.slot[self.targets] = torch.arange(len(self.targets), dtype=torch.int32)
        self.hole = (~known).flatten().nonzero()[:, 0]
        self.confidence = _confidence(known).flatten()
        self.planes = _planes(picture)

    @property
    def pairs(self) -> int:
        """What matching everything costs: places around targets times places around sources."""
        if not len(self.targets) or not self.source.any():
            return 0
        sides = (*self.box(self.targets), *self.source_box)
        return math.prod(side.stop - side.start for side in sides)

    def box(self, centres: Tensor) -> tuple[slice, slice]:
        """The rows and columns that these windows reach."""
        radius = self.ksize // 2
        row, column = centres // self.width, centres % self.width
        return (
            slice(int(row.min()) - radius, int(row.max()) + radius + 1),
            slice(int(column.min()) - radius, int(column.max()) + radius + 1),
        )

    @property
    def source_box(self) -> tuple[slice, slice]:
        """The rows and columns that the source windows reach."""
        return extent(self.source.view(self.height, self.width), self.ksize // 2)

    @property
    def picture(self) -> Tensor:
        """(channels, H, W), a copy."""
        return torch.stack([self.channel(i) for i in range(self.channels)])

    def channel(self, index: int) -> Tensor:
        """(H, W), a view."""
        plane = self.planes[index // 4].view(torch.float32)
        return plane.view(self.height, self.width, -1)[..., index % 4]

    def pixels(self, positions: Tensor) -> Tensor:
        """The features at some positions: the shape of `positions` and one more axis."""
        parts = [plane[positions].view(torch.float32) for plane in self.planes]
        parts = [part.view(*positions.shape, -1) for part in parts]
        return parts[0] if len(parts) == 1 else torch.cat(parts, -1)

    def put(self, positions: Tensor, pixels: Tensor) -> None:
        """Overwrites features; pixels: (len(positions), channels), or as `pixels` returns them."""
        first = 0
        for plane in self.planes:
            count = plane.element_size() // 4
            part = pixels[..., first : first + count]
            group = torch.zeros(*part.shape[:-1], count)
            group[..., : part.shape[-1]] = part
            plane[positions] = group.view(plane.dtype)[..., 0]
            first += count


def _confidence(known: Tensor) -> Tensor:
    """(H, W) FALLOFF ** -steps to the nearest known pixel, rows, columns and diagonals alike."""
    confidence = torch.ones(known.shape)
    if not known.all():
        box = extent(~known, 1)
        reached = known[box]
        distance = torch.zeros(reached.shape)
        for _ in range(FARTHEST):
            distance += ~reached
            reached = grow(reached, 1)
        confidence[box] = FALLOFF**-distance
    return confidence


def _planes(picture: Tensor) -> list[Tensor]:
    """Pixels in groups of up to four floats, each group one complex number.

    Indexing then moves a pixel as one element, several times faster than channel by channel.
    """
    flat = picture.flatten(1).T
    count = 2 if flat.shape[1] <= 2 else 4
    dtype = torch.complex64 if count == 2 else torch.complex128
    planes = []
    for part in flat.split(count, 1):
        group = torch.zeros(len(flat), count)
        group[:, : part.shape[1]] = part
        planes.append(group.view(dtype)[:, 0])
    return planes
