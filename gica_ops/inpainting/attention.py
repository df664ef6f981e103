"""Pictures of where the content of a hole comes from."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from ..flow import UNQUERIED, flow_to_image
from .picture import in_colour
from .pyramid import extent, grow

__all__ = ["arrows", "strip", "wheel"]

DIM = 0.35  # brightness left to the picture around the hole
ARROWS = 40  # at most; fewer where the hole is small
NEAREST = 3  # line widths between the places where arrows start, at least
SMOOTH = 2048  # smaller pictures are drawn on larger and reduced, so that lines are smooth


def wheel(sources: Tensor, image: Image.Image | None = None) -> Tensor:
    """The displacement from every pixel of the hole to its source, as a colour.

    sources: (2, H, W) int64, as `Filled` holds them.
    image: what is shown around the hole, dimmed and grey, with a wheel in the corner farthest from
        the hole as the key; None leaves the surroundings black.

    Returns (3, H, W) uint8, red, green, blue: hue for the direction, saturation for the length, as
    `gica_ops.flow_to_image` paints them; black where content comes from nowhere in particular.

    Raises ValueError, a sentence, for other shapes and sizes.

    >>> import torch
    >>> sources = torch.full((2, 8, 8), -1)
    >>> sources[:, 2:4, 2:4] = 6
    >>> wheel(sources)[:, 0, 0].tolist(), int(wheel(sources)[:, 2, 2].max())
    ([0, 0, 0], 255)
    """
    _check(sources)
    has = sources[0] >= 0
    painted = torch.zeros(3, *has.shape, dtype=torch.uint8)
    if image is not None:
        _same_size("image", image, has)
        painted[:] = torch.from_numpy(np.array(in_colour(image).convert("L")) * DIM).byte()
    if has.any():
        # Elsewhere there is nothing to paint, and painting takes a hundred bytes a pixel.
        rows, columns = extent(has)
        top_left = torch.tensor([rows.start, columns.start])[:, None, None]
        there = sources[:, rows, columns] - top_left
        moved = torch.where(has[rows, columns], there - _grid(*there.shape[1:]), UNQUERIED)
        colour = flow_to_image(moved[None])[0]
        painted[:, rows, columns] = torch.where(
            has[rows, columns], colour, painted[:, rows, columns]
        )
    if image is not None:
        _add_key(painted, has)
    return painted


def arrows(image: Image.Image, sources: Tensor, hole: Tensor) -> Image.Image:
    """Arrows on the picture, from places spread over the hole to where their content comes from.

    image: a Pillow image of any mode. sources: (2, H, W) int64, as `Filled` holds them.
    hole: (H, W) bool, True = hole; its edge is drawn.

    Returns an RGB image of the same size. The hue of an arrow is that which `wheel` gives its
    direction. There are no arrows where content comes from nowhere in particular.

    Raises ValueError, a sentence, for other shapes and sizes.

    >>> import torch
    >>> sources, hole = torch.full((2, 32, 48), -1), torch.zeros(32, 48, dtype=torch.bool)
    >>> hole[8:16, 8:16] = True
    >>> sources[:, hole] = 28
    >>> arrows(Image.new("L", (48, 32)), sources, hole).size
    (48, 32)
    """
    _check(sources)
    _same_size("image", image, hole)
    _same_size("sources", Image.new("1", (sources.shape[2], sources.shape[1])), hole)
    scale = max(1, min(4, SMOOTH // max(image.size)))
    longest = max(image.size) * scale
    width = max(2, round(longest / 500))
    # Each pixel as a square: reduced, what is not drawn on is what it was.
    large = (image.width * scale, image.height * scale)
    drawn = in_colour(image).resize(large, Image.Resampling.NEAREST)
    wide = hole.repeat_interleave(scale, 0).repeat_interleave(scale, 1)
    black, white = (0, 0, 0), (255, 255, 255)
    for colour, edge in ((black, grow(wide, width) & ~wide), (white, _rim(wide, width))):
        drawn.paste(colour, mask=Image.fromarray(edge.numpy()))
    pen = ImageDraw.Draw(drawn)
    starts = _spread(hole & (sources[0] >= 0), NEAREST * width / scale)
    ends = sources[:, starts[0], starts[1]]
    far = (ends - starts).double()
    direction = far / far.square().sum(0).sqrt().clamp_min(1)
    # Unit vectors: flow_to_image scales by the longest, which gives every hue in full.
    colours = flow_to_image(direction[None, :, None])[0, :, 0].T.tolist() if starts.numel() else []
    for start, end, colour in zip(starts.T.tolist(), ends.T.tolist(), colours, strict=True):
        tail, tip = (np.array(point[::-1]) * scale for point in (start, end))
        _arrow(pen, tail, tip, tuple(colour), width)
    return drawn.reduce(scale) if scale > 1 else drawn


def strip(before: Image.Image, mask: Tensor, after: Image.Image) -> Image.Image:
    """The picture, its mask and the filled picture side by side.

    before, after: Pillow images of one size and any mode. mask: (H, W) bool, True = hole, which is
    shown white.

    Returns an RGB image, three times as wide and two gaps. Raises ValueError for other sizes.

    >>> import torch
    >>> grey = Image.new("L", (200, 100))
    >>> strip(grey, torch.zeros(100, 200, dtype=torch.bool), grey).size
    (604, 100)
    """
    _same_size("before", before, mask)
    _same_size("after", after, mask)
    height, width = mask.shape
    gap = max(2, width // 100)
    whole = Image.new("RGB", (3 * width + 2 * gap, height), (255, 255, 255))
    cells = (in_colour(before), Image.fromarray(mask.numpy()).convert("RGB"), in_colour(after))
    for i, cell in enumerate(cells):
        whole.paste(cell, (i * (width + gap), 0))
    return whole


def _check(sources: Tensor) -> None:
    if sources.dim() != 3 or sources.shape[0] != 2 or not sources.numel():
        raise ValueError(f"sources must have shape (2, H, W), got {tuple(sources.shape)}")


def _same_size(name: str, image: Image.Image, hole: Tensor) -> None:
    if (image.height, image.width) != tuple(hole.shape):
        raise ValueError(
            f"{name} must have the hole's height and width {tuple(hole.shape)}, "
            f"got {(image.height, image.width)}"
        )


def _grid(height: int, width: int) -> Tensor:
    """(2, height, width): every place's own row and column."""
    return torch.stack(torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij"))


def _rim(region: Tensor, width: int) -> Tensor:
    return region & grow(~region, width)


def _add_key(painted: Tensor, has: Tensor) -> None:
    """A disc of all displacements up to the longest, in the corner that holds least of the hole."""
    radius = max(4, min(painted.shape[1:]) // 12)
    side = 2 * radius + 1
    height, width = has.shape
    if min(height, width) < 2 * side:
        return
    offset = _grid(side, side) - radius
    disc = offset.square().sum(0) <= radius**2
    colour = flow_to_image(torch.where(disc, offset, UNQUERIED)[None])[0]
    down, across = (height // 2, height), (width // 2, width)
    corners = [(top, left) for top in (False, True) for left in (True, False)]

    def held(corner: tuple[bool, bool]) -> int:
        rows = slice(0, down[0]) if corner[0] else slice(*down)
        columns = slice(0, across[0]) if corner[1] else slice(*across)
        return int(has[rows, columns].sum())

    top, left = min(corners, key=held)
    margin = radius // 2
    row = margin if top else height - margin - side
    column = margin if left else width - margin - side
    part = painted[:, row : row + side, column : column + side]
    part.copy_(torch.where(disc, colour, part))


def _spread(region: Tensor, nearest: float) -> Tensor:
    """(2, N) rows and columns of at most ARROWS places of a region, evenly spread over it.

    One place for each cell of a grid: the pixel nearest the middle of what the cell holds of it.
    """
    places = region.nonzero().double()
    if not len(places):
        return region.new_zeros(2, 0, dtype=torch.long)
    side = max(nearest, (len(places) / ARROWS) ** 0.5)
    while True:
        cell = (places - places.amin(0)).div(side).long()
        number, which, count = torch.unique(
            cell[:, 0] * (1 + cell[:, 1].max()) + cell[:, 1],
            return_inverse=True,
            return_counts=True,
        )
        # A cell with a scrap of the region would crowd its neighbours.
        full = (count >= count.max() / 3).nonzero()[:, 0]
        if len(full) <= ARROWS:
            break
        side *= 1.1
    total = torch.zeros(len(number), 2, dtype=torch.double).index_add_(0, which, places)
    away = (places - (total / count[:, None])[which]).square().sum(1)
    order = away.argsort(stable=True)
    order = order[which[order].argsort(stable=True)]  # by cell, the nearest of each first
    return places[order[count.cumsum(0) - count][full]].long().T


def _arrow(
    pen: ImageDraw.ImageDraw,
    start: np.ndarray,
    end: np.ndarray,
    colour: tuple[int, ...],
    width: int,
) -> None:
    """A line with a head, in its colour upon a wider black one."""
    length = float(np.hypot(*(end - start)))
    along = (end - start) / max(length, 1.0)
    across = along[::-1] * (-1, 1)
    head = min(5.0 * width, length)
    neck = end - head * along
    for shade, more in (((0, 0, 0), max(1, width // 2)), (colour, 0)):
        pen.line([*map(tuple, (start, neck))], shade, width + 2 * more)
        pen.circle(tuple(start), 1.2 * width + more, shade)
        tip = end + 1.6 * more * along
        back = neck - more * along
        half = (0.45 * head + 1.6 * more) * across
        pen.polygon([*map(tuple, (tip, back + half, back - half))], shade)
