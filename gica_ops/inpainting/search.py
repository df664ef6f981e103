"""Which source window looks most like a target window: everywhere, or near a good guess."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .. import _native
from ..functional import match
from .level import CHUNK, Level

__all__ = ["costs", "everywhere", "lift", "nearby", "nearest_sources", "plain_costs"]


def lift(picture: Tensor) -> Tensor:
    """(C, H, W) to (C + 1, H, W): every pixel moved onto a sphere.

    Cosine matching of colours takes a dark patch for a bright one. On a sphere all patches have the
    same norm, so the product of two falls as their squared distance grows. It stays so when some
    pixels of the foreground are scaled down or set to 0: they count less, or not at all.
    """
    norm = picture.square().sum(0, keepdim=True)
    return torch.cat([picture, (norm.max() - norm).clamp_min(0).sqrt()])


def everywhere(level: Level, weight: Tensor, backend: str, which: Tensor | None = None) -> Tensor:
    """The best source of all for each target, or for those of `which`, (N,) bool.

    weight: (H * W,), how a target's pixels count.
    """
    targets = level.targets if which is None else level.targets[which]
    # Only what the windows reach is matched, of either side.
    here, there = level.box(targets), level.source_box
    picture = level.picture
    lifted = lift(picture - picture.mean((1, 2), keepdim=True))
    foreground = (lifted * weight.view(level.height, level.width))[:, here[0], here[1]]
    wanted = torch.zeros(foreground.shape[1:], dtype=torch.bool)
    row, column = targets // level.width - here[0].start, targets % level.width - here[1].start
    wanted[row, column] = True
    # A frame of hole keeps out windows that leave the background.
    background = F.pad(lifted[:, there[0], there[1]], (1, 1, 1, 1))
    hole = F.pad(~level.known[there], (1, 1, 1, 1), value=True)
    found = match(
        foreground[None],
        background[None],
        hole[None, None],
        level.ksize,
        query_mask=wanted[None, None],
        fuse=False,
        semantics="torch",
        backend=backend,
    )
    row, column = found.offsets[0, :, row, column] - 1
    return (row + there[0].start) * level.width + column + there[1].start


def costs(level: Level, targets: Tensor, sources: Tensor, weight: Tensor) -> Tensor:
    """Mean squared difference of window pairs; weight: (H * W,), how a target's pixels count."""
    if not _native.LOADED:
        return plain_costs(level, targets, sources, weight)
    size = level.height, level.width, level.ksize
    return sum(
        torch.ops.gica_ops.window_costs(
            plane.view(torch.float32).view(len(plane), -1), weight, targets, sources, *size
        )
        for plane in level.planes
    )


def plain_costs(level: Level, targets: Tensor, sources: Tensor, weight: Tensor) -> Tensor:
    """`costs` in plain torch."""
    cost = torch.empty(len(targets))
    for i in range(0, len(targets), CHUNK):
        there = targets[i : i + CHUNK, None] + level.taps
        difference = level.pixels(there)
        difference -= level.pixels(sources[i : i + CHUNK, None] + level.taps)
        share = weight[there]
        total = (difference.square_().sum(2) * share).sum(1)
        cost[i : i + CHUNK] = total / share.sum(1).clamp_min(1e-6)
    return cost


def nearby(
    level: Level,
    sources: Tensor,
    cost: Tensor,
    weight: Tensor,
    radius: int,
    around: int,
    dice: torch.Generator,
) -> None:
    """Improves `sources` and `cost` in place.

    Each target tries what its neighbours found, moved along with them; then places around itself,
    at random within `around`, and around its own best, within `radius`, both ever closer.
    """
    for reach in (4, 2, 1):
        for shift in (-reach * level.width, reach * level.width, -reach, reach):
            neighbour = level.slot[(level.targets + shift).clamp(0, len(level.slot) - 1)]
            moved = sources[neighbour.clamp_min(0)] - shift
            moved = torch.where(neighbour >= 0, moved, sources)
            _try(level, sources, cost, weight, moved)
    while around >= 4:
        _try(level, sources, cost, weight, _shaken(level, level.targets, around, dice))
        around = around * 2 // 3
    while radius >= 1:
        _try(level, sources, cost, weight, _shaken(level, sources, radius, dice))
        radius //= 2


def _shaken(level: Level, positions: Tensor, reach: int, dice: torch.Generator) -> Tensor:
    """Positions of the picture at most `reach` rows and columns from the given ones."""
    row, column = torch.randint(-reach, reach + 1, (2, len(positions)), generator=dice)
    row = (positions // level.width + row).clamp(0, level.height - 1)
    column = (positions % level.width + column).clamp(0, level.width - 1)
    return row * level.width + column


def _try(level: Level, sources: Tensor, cost: Tensor, weight: Tensor, candidates: Tensor) -> None:
    inside = candidates.clamp(0, len(level.source) - 1)
    new = (level.source[inside] & (inside == candidates) & (candidates != sources)).nonzero()[:, 0]
    if not len(new):
        return
    candidate = candidates[new]
    found = costs(level, level.targets[new], candidate, weight)
    better = found < cost[new]
    sources[new[better]] = candidate[better]
    cost[new[better]] = found[better]


def nearest_sources(level: Level, positions: Tensor, dice: torch.Generator) -> Tensor:
    """The positions, those that are no source replaced by a source near them."""
    found = positions.clone()
    lost = (~level.source[found]).nonzero()[:, 0]
    for reach in range(1, max(level.height, level.width)):
        if not len(lost):
            return found
        candidate = _shaken(level, found[lost], reach, dice)
        good = level.source[candidate]
        found[lost[good]] = candidate[good]
        lost = lost[~good]
    every = level.source.nonzero()[:, 0]
    found[lost] = every[torch.randint(len(every), (len(lost),), generator=dice)]
    return found
