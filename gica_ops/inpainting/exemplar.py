"""Fills holes with pixels from elsewhere in the same picture, coarse to fine.

Down a pyramid the hole shrinks to a few pixels. There it is filled from its rim inwards; then,
level by level, every window that touches the hole looks for the known window most like it, and the
windows over a pixel vote what it should be, some times over. A finer level starts from the offsets
that the coarser one found, twice as long, not from its pixels: so texture stays sharp. In the end
every pixel is a copy of a known one, and the steps between copied pieces are evened out.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .. import backends
from .blend import blend
from .checks import check_picture
from .level import Level
from .pyramid import grow, halve, smooth
from .search import costs, everywhere, nearby, nearest_sources
from .vote import cheapest, vote

__all__ = ["fill"]

KSIZES = (7, 5, 3)  # windows are as large as leaves enough of them to copy from
FEWEST_SOURCES = 32
RIM = 14  # the pyramid ends where no pixel of the hole is farther than this from its edge
# Pairs of windows that are matched exhaustively: in every pass, or in the first.
EVERY_PASS = 1e7
FIRST_PASS = 4e7
PASSES = (10, 4, 3)  # with exhaustive matching, with local search, on the finest level
TEXTURE = 2.0  # weight of the local contrast beside the colours
INWARDS = 3  # how much a window at the rim must be seen to be trusted
GUESS = 0.1  # what pixels that are still to be filled count, when the hole is filled from its rim
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
) -> Tensor:
    """Fills the hole of a picture with pixels copied from around it.

    image: (C, H, W), any real dtype and range, on the CPU; what the hole holds is not looked at.
    mask: (H, W) bool, True = hole, of any shape, in any number of pieces.
    seed: other seeds search other places; one seed always gives one result.
    backend: as `gica_ops.match` takes it, for the coarse levels.
    progress: called now and then with the share done, 0 to 1.

    Returns a new (C, H, W) tensor of the image's dtype: known pixels as they were, those of the
    hole copies of known ones, but for a smooth correction that takes out seams.

    Where not even one window of 3 x 3 pixels is known they are means of what is near.

    Errors: TypeError or ValueError, a sentence, for arguments of other shapes or dtypes, values
    outside the hole that are not finite, and where nothing is known.

    Source: matching by coarse-to-fine voting goes back to Wexler, Shechtman and Irani, "Space-Time
    Completion of Video", PAMI 2007; local search to Barnes et al., "PatchMatch", SIGGRAPH 2009.

    >>> import torch
    >>> stripes = torch.arange(32).remainder(4).expand(3, 32, 32)
    >>> hole = torch.zeros(32, 32, dtype=torch.bool)
    >>> hole[12:20, 12:20] = True
    >>> bool((fill(stripes, hole) == stripes).float().mean() > 0.95)
    True
    """
    check_picture(image, mask)
    backends.select(backend, torch.device("cpu"))
    report = progress or (lambda share: None)
    if not mask.any():
        report(1.0)
        return image.clone()
    known = mask.logical_not()
    units, span = _units(image, known)
    levels = _levels(_features(units, known), known)
    if not levels:
        report(1.0)
        guess = smooth(units, known)[:, mask].double() * span
        return _placed(image, known, guess + image[:, known].double().mean(1, keepdim=True))
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
    return _finish(image, units, span, level, cheapest(level, sources, cost))


def _finish(image: Tensor, units: Tensor, span: float, level: Level, origin: Tensor) -> Tensor:
    """The image with its hole filled from `origin`, seams taken out."""
    units = units.flatten(1).T.contiguous()
    units[level.hole] = units[origin]
    copied = image.flatten(1)[:, origin].double()
    new = copied + blend(level, units, origin).T.double() * span
    return _placed(image, level.known, new)


def _placed(image: Tensor, known: Tensor, new: Tensor) -> Tensor:
    """The image with (C, M) new values in the hole, within the range of what is known."""
    low, high = image[:, known].double().aminmax(dim=1, keepdim=True)
    new = new.clamp(low, high)
    new = new if image.is_floating_point() else new.round()
    filled = image.clone(memory_format=torch.contiguous_format)
    # Bytes are moved, since not every dtype can be indexed.
    as_bytes = filled.view(*image.shape, 1).view(torch.uint8)
    as_bytes[:, ~known] = new.to(image.dtype).contiguous().view(*new.shape, 1).view(torch.uint8)
    return filled


def _units(image: Tensor, known: Tensor) -> tuple[Tensor, float]:
    """Colours about their mean, in parts of their range, which is returned too; 0 in the hole."""
    values = image.double()
    seen = values[:, known]
    low, high = seen.aminmax(dim=1)
    span = float((high - low).max()) or 1.0
    units = (values - seen.mean(1)[:, None, None]) / span
    return torch.where(known, units, 0.0).float(), span


def _features(units: Tensor, known: Tensor) -> Tensor:
    """(C + 1, H, W): the colours and their local contrast, which keeps a smooth place from being
    taken for a textured one of the same mean colour."""
    grey = units.mean(0)
    contrast = torch.zeros_like(grey)
    contrast[:, 1:] += (grey[:, 1:] - grey[:, :-1]).abs() * (known[:, 1:] & known[:, :-1])
    contrast[1:] += (grey[1:] - grey[:-1]).abs() * (known[1:] & known[:-1])
    return torch.cat([units, TEXTURE * contrast[None]])


def _levels(features: Tensor, known: Tensor) -> list[Level]:
    """The pyramid, finest level first; empty where no window of 3 x 3 pixels is known."""
    levels: list[Level] = []
    while (ksize := _ksize(known, FEWEST_SOURCES if levels else 1)) is not None:
        level = Level(features * known, known, ksize)
        levels.append(level)
        if level.pairs <= FIRST_PASS and bool(grow(known, RIM).all()):
            break
        features, known = halve(features, known)
    return levels


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
    level.put(level.hole, smooth(level.picture, level.known).flatten(1).T[level.hole])
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
    field = torch.zeros(2, below.height * below.width, dtype=torch.long)
    field[0, below.targets] = sources // below.width - below.targets // below.width
    field[1, below.targets] = sources % below.width - below.targets % below.width
    field = field.view(2, below.height, below.width)
    has = (below.slot >= 0).view(1, below.height, below.width)
    for _ in range(4):  # a finer window may lie a little outside what the coarser ones covered
        for axis in (1, 2):
            for step in (1, -1):
                new = ~has & has.roll(step, axis)
                field = torch.where(new, field.roll(step, axis), field)
                has = has | new
    row, column = level.targets // level.width, level.targets % level.width
    down, across = 2 * field[:, row // 2, column // 2]
    r = level.ksize // 2
    row = (row + down).clamp(r, level.height - 1 - r)
    column = (column + across).clamp(r, level.width - 1 - r)
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
