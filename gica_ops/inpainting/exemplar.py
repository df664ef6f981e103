"""Fills holes with pixels from elsewhere in the same picture, coarse to fine.

Down a pyramid the hole shrinks to a few pixels. There it is filled from its rim inwards; then,
level by level, every window that touches the hole looks for the known window most like it, and the
windows over a pixel vote what it should be, some times over. A finer level starts from the offsets
that the coarser one found, twice as long, not from its pixels: so texture stays sharp. In the end
every pixel is a copy of a known one, and the steps between copied pieces are evened out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from .. import backends
from .blend import blend
from .checks import check_picture
from .filled import Filled
from .level import KSIZES, Level
from .memory import window
from .pyramid import extent, grow, halve, smooth, strips
from .search import costs, everywhere, nearby, nearest_sources
from .vote import cheapest, vote

__all__ = ["fill"]

FEWEST_SOURCES = 32
RIM = 14  # the pyramid ends where no pixel of the hole is farther than this from its edge
# Pairs of windows that are matched exhaustively: in every pass, or in the first.
EVERY_PASS = 1e7
FIRST_PASS = 4e7
PASSES = (10, 4, 3)  # with exhaustive matching, with local search, on the finest level
TEXTURE = 2.0  # weight of the local contrast beside the colours
INWARDS = 3  # how much a window at the rim must be seen to be trusted
GUESS = 0.1  # what pixels that are still to be filled count, when the hole is filled from its rim
SPREAD = 4  # steps that offsets are carried beyond the windows that have them, a level below
SEARCH = (8, 4)  # radius around the best match so far: coarse levels, finest level
SURROUNDINGS = 60  # radius around the target itself

Progress = Callable[[float], None]


def fill(
    image: Tensor,
    mask: Tensor,
    *,
    seed: int = 0,
    backend: str = "auto",
    progress: Progress | None = None,
    max_memory: int | None = None,
) -> Filled:
    """Fills the hole of a picture with pixels copied from around it.

    image: (C, H, W), any real dtype and range, on the CPU; what the hole holds is not looked at.
    mask: (H, W) bool, True = hole, of any shape, in any number of pieces.
    seed: other seeds search other places; one seed always gives one result.
    backend: as `gica_ops.match` takes it, for the coarse levels.
    progress: called now and then with the share done, 0 to 1.
    max_memory: bytes that may be taken beyond image and result, by the estimate of
        `gica_ops.inpainting.memory`. Where the whole picture takes more, only what is near the hole
        is searched, as far as it fits.

    Returns the filled picture and its sources. Known pixels are as they were, those of the hole
    copies of the pixels that `sources` names, but for a smooth correction that takes out seams.

    Where not even one window of 3 x 3 pixels is known they are means of what is near, from nowhere
    in particular.

    Errors: TypeError or ValueError, a sentence, for arguments of other shapes or dtypes, values
    outside the hole that are not finite, where nothing is known, and where `max_memory` does not
    allow even the hole and 32 pixels around it.

    Source: matching by coarse-to-fine voting goes back to Wexler, Shechtman and Irani, "Space-Time
    Completion of Video", PAMI 2007; local search to Barnes et al., "PatchMatch", SIGGRAPH 2009.

    >>> import torch
    >>> stripes = torch.arange(32).remainder(4).expand(3, 32, 32)
    >>> hole = torch.zeros(32, 32, dtype=torch.bool)
    >>> hole[12:20, 12:20] = True
    >>> bool((fill(stripes, hole).values == stripes).float().mean() > 0.95)
    True
    """
    check_picture(image, mask)
    backends.select(backend, torch.device("cpu"))
    report = progress or (lambda share: None)
    sources = torch.full((2, *mask.shape), -1)
    filled = Filled(image.clone(memory_format=torch.contiguous_format), sources)
    if mask.any():
        rows, columns = window(mask, len(image), max_memory)
        part = Filled(filled.values[:, rows, columns], filled.sources[:, rows, columns])
        _fill(part, mask[rows, columns], seed, backend, report)
        has = part.sources[0] >= 0
        part.sources[:, has] += torch.tensor([[rows.start], [columns.start]])
    report(1.0)
    return filled


def _fill(part: Filled, mask: Tensor, seed: int, backend: str, report: Progress) -> None:
    """Fills the hole of a picture in place."""
    known = mask.logical_not()
    scale = _scale(part.values, known)
    levels = _levels(_features(part.values, known, scale), known)
    if not levels:
        guess = smooth(_features(part.values, known, scale)[:-1], known)[:, mask].double()
        _place(part.values, mask, guess * scale.span + scale.mean, scale)
        return
    dice = torch.Generator().manual_seed(seed)
    # Work grows fourfold from level to level.
    share = [4.0**-i for i in range(len(levels))]
    sources = torch.empty(0, dtype=torch.long)
    for i in range(len(levels) - 1, -1, -1):
        level = levels[i]
        if i == len(levels) - 1:
            sources = _start(level, backend, dice)
        else:
            sources = _inherit(levels[i + 1], sources, level, dice)
            vote(level, sources, level.confidence[level.targets])
        before = sum(share[i + 1 :])

        def within(part: float, done: float = before, size: float = share[i]) -> None:
            report((done + size * part) / sum(share))

        cost = _settle(level, sources, dice, backend, within, last=i == 0)
    origin = cheapest(level, sources, cost)
    _place(part.values, mask, _blended(part.values, level, origin, scale), scale)
    part.sources[:, mask] = torch.stack((origin // level.width, origin % level.width))


class Scale(NamedTuple):
    """Of what is known of a picture, in float64: means and range of each channel, (C, 1)."""

    mean: Tensor
    low: Tensor
    high: Tensor

    @property
    def span(self) -> float:
        """The widest range of a channel."""
        return float((self.high - self.low).max()) or 1.0


def _scale(image: Tensor, known: Tensor) -> Scale:
    total, low, high = (torch.full((len(image),), x).double() for x in (0.0, torch.inf, -torch.inf))
    for rows in strips(*known.shape):
        seen = image[:, rows].double()[:, known[rows]]
        if seen.numel():
            total += seen.sum(1)
            low, high = low.minimum(seen.amin(1)), high.maximum(seen.amax(1))
    return Scale(*(value[:, None] for value in (total / known.sum(), low, high)))


def _features(image: Tensor, known: Tensor, scale: Scale) -> Tensor:
    """(C + 1, H, W): the colours about their mean, in parts of their range, and their local
    contrast, which keeps a smooth place from being taken for a textured one of the same mean
    colour; 0 in the hole."""
    features = torch.zeros(len(image) + 1, *known.shape)
    for rows in strips(*known.shape):
        units = (image[:, rows].double() - scale.mean[..., None]) / scale.span
        features[:-1, rows] = torch.where(known[rows], units, 0.0)
        grey = features[:-1, max(0, rows.start - 1) : rows.stop].mean(0)
        seen = known[max(0, rows.start - 1) : rows.stop]
        down = (grey[1:] - grey[:-1]).abs() * (seen[1:] & seen[:-1])
        across = (grey[:, 1:] - grey[:, :-1]).abs() * (seen[:, 1:] & seen[:, :-1])
        contrast = features[-1, rows]
        contrast[:, 1:] += across[-len(contrast) :]
        contrast[len(contrast) - len(down) :] += down
        contrast *= TEXTURE
    return features


def _blended(image: Tensor, level: Level, origin: Tensor, scale: Scale) -> Tensor:
    """(C, M): copies of the pixels at `origin`, seams taken out."""
    level.put(level.hole, level.pixels(origin))
    copied = image[:, origin // level.width, origin % level.width].double()
    return copied.add_(blend(level, origin, len(image)).T, alpha=scale.span)


def _place(image: Tensor, mask: Tensor, new: Tensor, scale: Scale) -> None:
    """Writes (C, M) new values into the hole, within the range of what is known."""
    new.clamp_(scale.low, scale.high)
    if not image.is_floating_point():
        new.round_()
    # Bytes are moved, since not every dtype can be indexed.
    as_bytes = image.unsqueeze(-1).view(torch.uint8)
    as_bytes[:, mask] = new.to(image.dtype).contiguous().unsqueeze(-1).view(torch.uint8)


def _levels(features: Tensor, known: Tensor) -> list[Level]:
    """The pyramid, finest level first; empty where no window of 3 x 3 pixels is known."""
    levels: list[Level] = []
    while (ksize := _ksize(known, FEWEST_SOURCES if levels else 1)) is not None:
        if levels and known.all():  # what is left of the hole is too small for this size
            break
        features *= known
        level = Level(features, known, ksize)
        levels.append(level)
        if level.pairs <= FIRST_PASS and _shallow(known):
            break
        features, known = halve(features, known)
    return levels


def _shallow(known: Tensor) -> bool:
    """Whether no pixel of the hole is farther than RIM from its edge."""
    return bool(known.all() or grow(known[extent(~known, RIM)], RIM).all())


def _ksize(known: Tensor, fewest: int) -> int | None:
    for ksize in KSIZES:
        r = ksize // 2
        inner = (~grow(~known, r))[r : known.shape[0] - r, r : known.shape[1] - r]
        if ksize <= min(known.shape) and int(inner.sum()) >= fewest:
            return ksize
    return None


def _start(level: Level, backend: str, dice: torch.Generator) -> Tensor:
    """Fills the hole of the coarsest level from its rim inwards, and returns the sources.

    What lies further in counts a little, as a smooth guess: without it a window that sees nothing
    but a scrap of something at the rim would bring in the whole of that thing.
    """
    guess = [smooth(level.channel(i)[None], level.known) for i in range(level.channels)]
    level.put(level.hole, torch.stack([part.flatten()[level.hole] for part in guess], 1))
    if level.pairs > FIRST_PASS:  # too little is known to go on halving, yet it lies far apart
        return nearest_sources(level, level.targets, dice)
    done = level.known.clone()
    sources = everywhere(level, level.confidence, backend)
    while not done.all():
        ring = ~done & grow(done, 1)
        sure = level.confidence * done.flatten()
        weight = level.confidence * done.flatten().float().clamp_min(GUESS)
        near = grow(ring, level.ksize // 2).flatten()[level.targets]
        sources[near] = everywhere(level, weight, backend, near)
        cost = costs(level, level.targets, sources, weight)
        seen = sure[level.targets[:, None] + level.taps].mean(1) * near
        usual = cost[seen > 0].median()
        trust = seen**INWARDS * torch.exp(-(cost / (2 * usual).clamp_min(1e-9)).clamp_max(20))
        vote(level, sources, trust, where=ring.flatten().nonzero()[:, 0])
        done |= ring
    return sources


def _inherit(below: Level, sources: Tensor, level: Level, dice: torch.Generator) -> Tensor:
    """The sources of a level from those of the level at half its size: twice the offsets."""
    places = torch.stack((level.targets // level.width, level.targets % level.width))
    old = torch.stack((below.targets // below.width, below.targets % below.width))
    # The box of the coarser level that is looked at, with room for the steps below.
    both = torch.cat([places // 2, old], 1)
    corner = (both.amin(1, keepdim=True) - SPREAD - 1).clamp_min(0)
    size = torch.tensor([[below.height], [below.width]])
    height, width = ((both.amax(1, keepdim=True) + SPREAD + 2).minimum(size) - corner).flatten()
    field = torch.zeros(2, height, width, dtype=torch.long)
    has = torch.zeros(1, height, width, dtype=torch.bool)
    row, column = old - corner
    field[:, row, column] = torch.stack((sources // below.width, sources % below.width)) - old
    has[:, row, column] = True
    for _ in range(SPREAD):  # a finer window may lie a little outside what the coarser ones covered
        for axis in (1, 2):
            for step in (1, -1):
                new = ~has & has.roll(step, axis)
                field = torch.where(new, field.roll(step, axis), field)
                has = has | new
    row, column = places // 2 - corner
    row, column = places + 2 * field[:, row, column]
    r = level.ksize // 2
    row = row.clamp(r, level.height - 1 - r)
    column = column.clamp(r, level.width - 1 - r)
    return nearest_sources(level, row * level.width + column, dice)


def _settle(
    level: Level,
    sources: Tensor,
    dice: torch.Generator,
    backend: str,
    report: Progress,
    last: bool,
) -> Tensor:
    """Matches and votes in turn; improves `sources` in place and returns their costs."""
    every, first = level.pairs <= EVERY_PASS, level.pairs <= FIRST_PASS
    passes = PASSES[0] if every else PASSES[2] if last else PASSES[1]
    weight = level.confidence
    trust = weight[level.targets]
    for turn in range(passes):
        cost = costs(level, level.targets, sources, weight)
        if every or (first and turn == 0):
            found = everywhere(level, weight, backend)
            price = costs(level, level.targets, found, weight)
            better = price < cost
            sources[better] = found[better]
            cost[better] = price[better]
        else:
            around = SURROUNDINGS if turn == 0 else 0
            nearby(level, sources, cost, weight, SEARCH[last], around, dice)
        if not (last and turn == passes - 1):
            vote(level, sources, trust, cost)
        report((turn + 1) / passes)
    return cost
