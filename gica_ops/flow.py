"""Offsets as displacements, and displacements as colours."""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["UNQUERIED", "displacements", "flow_to_image"]

UNQUERIED = torch.iinfo(torch.int64).min
"""Row and column displacement of positions that were not queried: no true displacement."""

# (steps, colour at the start) of the arcs of the wheel: red, yellow, green, cyan, blue, magenta.
_ARCS = (
    (15, (255, 0, 0)),
    (6, (255, 255, 0)),
    (4, (0, 255, 0)),
    (11, (0, 255, 255)),
    (13, (0, 0, 255)),
    (6, (255, 0, 255)),
)


def displacements(offsets: Tensor) -> Tensor:
    """How far each foreground position has to go to the background position it looks at.

    offsets: (batch, 2, height, width) int64, (row, column) background positions as
        `contextual_attention` and `match` return them.
    Returns (batch, 2, height, width) int64: offsets minus the position itself. Positions that were
    not queried (offsets of -1) become `UNQUERIED`, the smallest int64, in rows and columns: -1 is a
    displacement like any other.

    Errors: TypeError for other dtypes, ValueError for other shapes.

    >>> import torch
    >>> offsets = torch.tensor([[[[0, 1]], [[1, -1]]]])  # to (0, 1), and to (1, -1)
    >>> displacements(offsets)[0, :, 0, 0].tolist()
    [0, 1]
    """
    _check("offsets", offsets)
    if offsets.dtype != torch.int64:
        raise TypeError(f"offsets must be int64, got {offsets.dtype}")
    rows = torch.arange(offsets.shape[2], device=offsets.device)[:, None]
    columns = torch.arange(offsets.shape[3], device=offsets.device)
    here = torch.stack((rows + columns * 0, columns + rows * 0))
    return torch.where(offsets[:, :1] < 0, UNQUERIED, offsets - here)


def flow_to_image(displacements: Tensor) -> Tensor:
    """Displacements as a picture: hue for the direction, saturation for the length.

    displacements: (batch, 2, height, width), rows and columns, integer or floating point.
    Returns (batch, 3, height, width) uint8, red, green, blue, on the same device: white where
    nothing moves, black where the displacement is `UNQUERIED` or not finite. Sample i is scaled by
    the longest displacement of samples 0 to i, as the original does: pass samples one by one for a
    scale of their own.

    Computed in float64 on the CPU, so that colours are the same on every device.

    Errors: TypeError for anything but a real tensor, ValueError for other shapes.

    Source: the 55-colour wheel of Baker et al., "A Database and Evaluation Methodology for Optical
    Flow", IJCV 2011.

    >>> import torch
    >>> flow_to_image(torch.zeros(1, 2, 4, 4))[0, :, 0, 0].tolist()
    [255, 255, 255]
    """
    _check("displacements", displacements)
    if displacements.is_complex():
        raise TypeError(f"displacements must be real, got {displacements.dtype}")
    flow = displacements.detach().cpu().double()
    known = (flow.isfinite() & (flow != float(UNQUERIED))).all(1)
    flow = torch.where(known[:, None], flow, 0)
    # Not hypot: the last bit decides which of two neighbouring colours a pixel gets.
    longest = flow.square().sum(1).sqrt().amax((1, 2)).cummax(0).values
    flow = flow / (longest + torch.finfo(torch.float64).eps)[:, None, None, None]
    radius = flow.square().sum(1).sqrt()
    wheel = _wheel()
    angle = torch.atan2(-flow[:, 1], -flow[:, 0]) / math.pi
    place = (angle + 1) / 2 * (len(wheel) - 1)
    low = place.floor().long()
    part = (place - low)[..., None]
    colour = (1 - part) * wheel[low] + part * wheel[(low + 1) % len(wheel)]
    colour = 1 - radius[..., None] * (1 - colour)
    image = (255 * colour).floor() * known[..., None]
    return image.permute(0, 3, 1, 2).to(torch.uint8).contiguous().to(displacements.device)


def _wheel() -> Tensor:
    """The colours of the wheel, (55, 3) in 0..1: each arc moves one channel from end to end."""
    colours = []
    for arc, (steps, start) in enumerate(_ARCS):
        _, end = _ARCS[(arc + 1) % len(_ARCS)]
        for step in range(steps):
            moved = 255 * step // steps
            turn = ((z > a) - (z < a) for a, z in zip(start, end, strict=True))
            colours.append([a + moved * t for a, t in zip(start, turn, strict=True)])
    return torch.tensor(colours, dtype=torch.float64) / 255


def _check(name: str, value: object) -> None:
    if not isinstance(value, Tensor):
        raise TypeError(f"{name} must be a torch.Tensor, got {type(value).__name__}")
    if value.dim() != 4 or value.shape[1] != 2 or value.numel() == 0:
        raise ValueError(
            f"{name} must have shape (batch, 2, height, width) and not be empty, got "
            f"{tuple(value.shape)}"
        )
