"""Takes out seams: steps in brightness where two copied pieces, or a piece and the rim, meet."""

from __future__ import annotations

import torch
from torch import Tensor

from .level import Level

__all__ = ["blend"]

REACH = 24.0  # pixels over which a step is spread
EDGE = 0.05  # steps much larger than this, in parts of the picture's range, are edges and stay
TURNS = 120


def blend(level: Level, colours: Tensor, origin: Tensor) -> Tensor:
    """A smooth correction for the hole's pixels, (M, C), to be added to what was copied.

    colours: (H * W, C), the copies in place; origin: (M,), where each was copied from.

    The difference of two neighbours should be what it was where they were copied from. With t that
    difference less the one found, the correction c minimises, over neighbours p and q, the sum of
    w (c_q - c_p - t)^2 and of (c / REACH)^2, with c = 0 on known pixels. The weight w falls with t,
    so that edges of things are not smeared.

    Source: the guidance field is that of Perez et al., "Poisson Image Editing", SIGGRAPH 2003.
    """
    count, last = len(level.hole), len(level.slot) - 1
    place = torch.full((last + 1,), count)  # known pixels share one more row, which stays 0
    place[level.hole] = torch.arange(count)
    pull = colours.new_zeros(count, colours.shape[1])
    neighbours, weights = [], []
    for step in (-level.width, level.width, -1, 1):
        there, inside = _beside(level, level.hole, step)
        neighbour = place[there]
        # Two pieces have a say: that of this pixel, and that of its neighbour.
        back = origin[neighbour.clamp_max(count - 1)]
        mine, mine_holds = _difference(level, colours, origin, step)
        other, other_holds = _difference(level, colours, back, -step)
        other_holds &= neighbour < count
        said = mine_holds.float() + other_holds.float()
        wanted = mine * mine_holds[:, None] - other * other_holds[:, None]
        wanted /= said.clamp_min(1)[:, None]
        seam = wanted - (colours[there] - colours[level.hole])
        seam *= (inside & (said > 0))[:, None]
        weight = inside[:, None] / (1 + seam.square().sum(1, keepdim=True) / EDGE**2)
        pull -= weight * seam
        neighbours.append(neighbour)
        weights.append(weight)
    total = torch.stack(weights).sum(0) + REACH**-2
    return _solve(neighbours, [weight / total for weight in weights], pull / total)


def _beside(level: Level, positions: Tensor, step: int) -> tuple[Tensor, Tensor]:
    """The positions one step on, and whether they are in the picture."""
    there = positions + step
    inside = (there >= 0) & (there < len(level.slot))
    if abs(step) == 1:
        inside &= there // level.width == positions // level.width
    return there.clamp(0, len(level.slot) - 1), inside


def _difference(
    level: Level, colours: Tensor, positions: Tensor, step: int
) -> tuple[Tensor, Tensor]:
    """What a step from known pixels changes, and whether it leads to a known pixel."""
    there, inside = _beside(level, positions, step)
    return colours[there] - colours[positions], inside & level.known.flatten()[there]


def _solve(neighbours: list[Tensor], weights: list[Tensor], pull: Tensor) -> Tensor:
    """c = pull + the sum of weights * c at the neighbours, by Jacobi steps.

    Chebyshev's acceleration needs no scalar products, so the result does not depend on threads.
    """
    radius = 4 / (4 + REACH**-2)
    zero = pull.new_zeros(1, pull.shape[1])
    before, now, pace = pull, pull, 1.0
    for turn in range(TURNS):
        padded = torch.cat([now, zero])
        new = pull.clone()
        for neighbour, weight in zip(neighbours, weights, strict=True):
            new.addcmul_(weight, padded.index_select(0, neighbour))
        if turn:
            pace = 1 / (1 - radius**2 * pace / (2 if turn == 1 else 4))
        before, now = now, before + pace * (new - before)
    return now
