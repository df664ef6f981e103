"""What the windows over a pixel say it should be."""

from __future__ import annotations

import torch
from torch import Tensor

from .level import CHUNK, Level

__all__ = ["cheapest", "vote"]


def vote(
    level: Level,
    sources: Tensor,
    trust: Tensor,
    cost: Tensor | None = None,
    where: Tensor | None = None,
) -> None:
    """Sets the hole's pixels, or those of `where`, to a mean over the windows that cover them.

    Every window proposes the pixel of its source. It weighs `trust`, (N,), and with costs also
    exp(-cost / mean cost of the windows over this pixel).
    """
    where = level.hole if where is None else where
    last = len(level.slot) - 1
    shift = sources - level.targets
    for i in range(0, len(where), CHUNK):
        here = where[i : i + CHUNK, None]
        window, covers = _windows(level, here)
        weight = trust[window] * covers
        if cost is not None:
            price = cost[window] * covers
            mean = price.sum(1, keepdim=True) / covers.sum(1, keepdim=True)
            weight *= torch.exp(-price / mean.clamp_min(1e-9))
        weight /= weight.sum(1, keepdim=True).clamp_min(1e-30)
        proposed = level.pixels((here + shift[window]).clamp(0, last))
        level.put(here[:, 0], (weight[:, None] @ proposed)[:, 0])


def cheapest(level: Level, sources: Tensor, cost: Tensor) -> Tensor:
    """(M,): for each pixel of the hole, the position that the cheapest window over it proposes.

    One opinion instead of a mean: it keeps the grain.
    """
    origin = torch.empty_like(level.hole)
    shift = sources - level.targets
    for i in range(0, len(level.hole), CHUNK):
        here = level.hole[i : i + CHUNK, None]
        window, covers = _windows(level, here)
        best = cost[window].where(covers, torch.inf).argmin(1, keepdim=True)
        origin[i : i + CHUNK] = (here + shift[window.gather(1, best)])[:, 0]
    return origin


def _windows(level: Level, here: Tensor) -> tuple[Tensor, Tensor]:
    """The windows over some pixels, as places in `targets`, and which of them there are."""
    window = level.slot[(here + level.taps).clamp(0, len(level.slot) - 1)]
    return window.clamp_min(0), window >= 0
