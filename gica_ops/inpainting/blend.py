"""Takes out seams: steps in brightness where two copied pieces, or a piece and the rim, meet."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .level import Level

__all__ = ["blend"]

REACH = 24.0  # pixels over which a step is spread
EDGE = 0.05  # steps much larger than this, in parts of the picture's range, are edges and stay
TURNS = 120
TOGETHER = 2**15  # pixels of the hole that are worked on at a time
SIDES = ((-1, 0), (1, 0), (0, -1), (0, 1))


def blend(level: Level, origin: Tensor, channels: int) -> Tensor:
    """A smooth correction for the hole's pixels, (M, channels), to be added to what was copied.

    level: with the copies in its hole; its first `channels` are corrected.
    origin: (M,), where each was copied from.

    The difference of two neighbours should be what it was where they were copied from. With t that
    difference less the one found, the correction c minimises, over neighbours p and q, the sum of
    w (c_q - c_p - t)^2 and of (c / REACH)^2, with c = 0 on known pixels. The weight w falls with t,
    so that edges of things are not smeared.

    Source: the guidance field is that of Perez et al., "Poisson Image Editing", SIGGRAPH 2003.
    """
    count = len(level.hole)
    pull = torch.zeros(count, channels)
    neighbours = torch.empty(len(SIDES), count, dtype=torch.int32)
    weights = torch.empty(len(SIDES), count, 1)
    for start in range(0, count, TOGETHER):
        part = slice(start, min(count, start + TOGETHER))
        for i, (rows, columns) in enumerate(SIDES):
            step = rows * level.width + columns
            neighbours[i, part], seam, weights[i, part] = _seams(
                level, origin, part, step, channels
            )
            pull[part] -= weights[i, part] * seam
    total = weights.sum(0).add_(REACH**-2)
    weights /= total
    pull /= total
    return torch.cat([_solve(neighbours, weights, part) for part in pull.split(4, 1)], 1)


def _seams(
    level: Level, origin: Tensor, part: slice, step: int, channels: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Of some of the hole's pixels: their neighbours on one side, by place in the hole, t and w."""
    positions, count = level.hole[part], len(level.hole)
    there, inside = _beside(level, positions, step)
    # Known pixels share one more row, which stays 0.
    neighbour = torch.searchsorted(level.hole, there).clamp_max_(count - 1)
    neighbour = torch.where(level.hole[neighbour] == there, neighbour, count)
    # Two pieces have a say: that of this pixel, and that of its neighbour.
    back = origin[neighbour.clamp_max(count - 1)]
    mine, mine_holds = _difference(level, origin[part], step, channels)
    other, other_holds = _difference(level, back, -step, channels)
    other_holds &= neighbour < count
    said = mine_holds.float() + other_holds.float()
    wanted = mine * mine_holds[:, None] - other * other_holds[:, None]
    wanted /= said.clamp_min(1)[:, None]
    seam = wanted - (level.pixels(there) - level.pixels(positions))[:, :channels]
    seam *= (inside & (said > 0))[:, None]
    weight = inside[:, None] / (1 + seam.square().sum(1, keepdim=True) / EDGE**2)
    return neighbour, seam, weight


def _beside(level: Level, positions: Tensor, step: int) -> tuple[Tensor, Tensor]:
    """The positions one step on, and whether they are in the picture."""
    there = positions + step
    inside = (there >= 0) & (there < len(level.slot))
    if abs(step) == 1:
        inside &= there // level.width == positions // level.width
    return there.clamp(0, len(level.slot) - 1), inside


def _difference(level: Level, positions: Tensor, step: int, channels: int) -> tuple[Tensor, Tensor]:
    """What a step from known pixels changes, and whether it leads to a known pixel."""
    there, inside = _beside(level, positions, step)
    change = level.pixels(there)[:, :channels] - level.pixels(positions)[:, :channels]
    return change, inside & level.known.flatten()[there]


def _solve(neighbours: Tensor, weights: Tensor, pull: Tensor) -> Tensor:
    """c = pull + the sum of weights * c at the neighbours, by Jacobi steps; up to 4 channels.

    Chebyshev's acceleration needs no scalar products, so the result does not depend on threads.
    """
    radius = 4 / (4 + REACH**-2)
    count, channels = pull.shape
    # Rows of four floats are gathered as one number; the last row is that of known pixels.
    fixed = F.pad(pull, (0, 4 - channels, 0, 1))
    before, now, pace = fixed, fixed, 1.0
    for turn in range(TURNS):
        new = fixed.clone()
        rows = now.view(torch.complex128)[:, 0]
        for neighbour, weight in zip(neighbours, weights, strict=True):
            there = rows.index_select(0, neighbour).view(torch.float32).view(count, 4)
            new[:-1].addcmul_(weight, there)
        if turn:
            pace = 1 / (1 - radius**2 * pace / (2 if turn == 1 else 4))
        # before + pace * (new - before), in the memory of `new`
        before, now = now, new.sub_(before).mul_(pace).add_(before)
    return now[:-1, :channels]
