"""Fills holes with a generator."""

from __future__ import annotations

import functools
import math
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from ..model import Generator, complete
from .checks import check_picture
from .pyramid import grow

__all__ = ["DEFAULT_WEIGHTS", "fill", "load_generator", "thickness"]

DEFAULT_WEIGHTS = Path(__file__).resolve().parent.parent / "weights"
# A generator fills holes as thick as those it learnt on; thicker ones it sees scaled down to that.
THICKEST = 48
# Pixels around the hole that are looked at, in all directions: at least, and as its thickness.
SURROUNDINGS = (32, 1.0)
LARGEST_MEASURED = 512  # of a hole's sides; larger ones are measured at a smaller scale


def load_generator(name: str | Path = "default") -> Generator:
    """The generator in a folder, or "default" for the weights that ship.

    Raises ValueError, a sentence, where there is none.

    >>> load_generator().config.version
    'v1'
    """
    return _default() if str(name) == "default" else Generator.from_pretrained(name)


@functools.lru_cache(maxsize=1)
def _default() -> Generator:
    return Generator.from_pretrained(DEFAULT_WEIGHTS)


@torch.inference_mode()
def fill(
    image: Tensor, mask: Tensor, *, generator: Generator | None = None, backend: str | None = None
) -> Tensor:
    """Fills the hole of a picture with what a generator makes of its surroundings.

    image: (C, H, W), any real dtype and range, on the CPU; what the hole holds is not looked at.
        Three channels are taken for red, green and blue; fewer or more are filled three by three.
    mask: (H, W) bool, True = hole.
    generator: one from `gica_ops.model`, on any device; None is the one that ships.
    backend: of its attention, for this call; None is the generator's own.

    The generator looks at the hole and what is around it. Holes thicker than 48 pixels are filled
    at a smaller scale, at which they are not, and the filling is enlarged.

    Returns a new (C, H, W) tensor of the image's dtype: known pixels as they were.

    Errors: as `gica_ops.inpainting.exemplar.fill`.

    >>> import torch
    >>> image = torch.full((3, 40, 40), 200, dtype=torch.uint8)
    >>> hole = torch.zeros(40, 40, dtype=torch.bool)
    >>> hole[10:20, 10:20] = True
    >>> filled = fill(image, hole)
    >>> bool((filled[:, ~hole] == 200).all())
    True
    """
    check_picture(image, mask)
    if not mask.any():
        return image.clone()
    generator = load_generator() if generator is None else generator
    window, scale = _window(mask)
    part, hole = image[:, window[0], window[1]], mask[window]
    low, high = _range(image, ~mask)
    units = (part.double() - low) / (high - low) * 2 - 1
    units = torch.where(hole, 0.0, units).float()
    before = generator.backend
    generator.backend = backend or before
    try:
        new = _enlarged(_predict(generator, *_reduced(units, hole, scale)), hole.shape)
    finally:
        generator.backend = before
    new = (new.double() + 1) / 2 * (high - low) + low
    filled = image.clone(memory_format=torch.contiguous_format)
    new = new.clamp(low, high) if image.is_floating_point() else new.round().clamp(low, high)
    filled[:, window[0], window[1]] = torch.where(hole, new.to(image.dtype), part)
    return filled


def thickness(mask: Tensor) -> int:
    """How far apart the sides of a hole are at its thickest, in pixels.

    mask: (H, W) bool, True = hole. Twice the largest distance of one of its pixels from what is
    known, rows and columns alike; the picture's border counts as neither. Of large holes it is
    known to a few pixels.

    >>> hole = torch.zeros(9, 9, dtype=torch.bool)
    >>> hole[2:6, 1:9] = True
    >>> thickness(hole)
    4
    """
    if not bool(mask.any()):
        return 0
    rows, columns = _extent(mask)
    rows, columns = (slice(max(s.start - 1, 0), s.stop + 1) for s in (rows, columns))
    known, unit = ~mask[rows, columns], 1
    while max(known.shape) > LARGEST_MEASURED:
        known = F.max_pool2d(known[None].float(), 2, 2, ceil_mode=True)[0] > 0
        unit *= 2
    if not bool(known.any()):
        return 2 * max(mask.shape)
    # The largest radius that does not reach all of the hole: a bit at a time.
    radius, step = 0, 1
    while not bool(grow(known, radius + step).all()):
        radius, step = radius + step, 2 * step
    while step > 1:
        step //= 2
        if not bool(grow(known, radius + step).all()):
            radius += step
    return 2 * (radius + 1) * unit


def _extent(mask: Tensor) -> tuple[slice, slice]:
    """The rows and columns a hole lies in."""
    found = (mask.any(axis).nonzero().flatten() for axis in (1, 0))
    rows, columns = (slice(int(i[0]), int(i[-1]) + 1) for i in found)
    return rows, columns


def _window(mask: Tensor) -> tuple[tuple[slice, slice], float]:
    """The part of the picture that is looked at, and the scale at which."""
    thick = thickness(mask)
    least, times = SURROUNDINGS
    margin = max(least, math.ceil(times * thick))
    rows, columns = (
        slice(max(extent.start - margin, 0), min(extent.stop + margin, length))
        for extent, length in zip(_extent(mask), mask.shape, strict=True)
    )
    return (rows, columns), min(1.0, THICKEST / thick)


def _range(image: Tensor, known: Tensor) -> tuple[float, float]:
    """The numbers that stand for black and white."""
    if image.dtype == torch.uint8:
        return 0.0, 255.0
    low, high = (float(x) for x in image[:, known].double().aminmax())
    return low, high if high > low else low + 1


def _reduced(units: Tensor, hole: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """Picture and hole at a smaller scale: means of known pixels; hole where one is missing."""
    if scale == 1:
        return units, hole
    size = [max(1, round(n * scale)) for n in hole.shape]
    share = F.interpolate((~hole)[None, None].float(), size, mode="area")[0]
    mean = F.interpolate((units * ~hole)[None], size, mode="area")[0]
    return mean / share.clamp_min(1e-6), share[0] < 0.999


def _predict(generator: Generator, units: Tensor, hole: Tensor) -> Tensor:
    """(C, h, w) from the generator, three channels at a time; the known ones as they are."""
    parameter = next(generator.parameters())
    groups = []
    for first in range(0, units.shape[0], 3):
        channels = [min(first + i, units.shape[0] - 1) for i in range(3)]
        colours = units[channels][None].to(parameter)
        mask = hole[None, None].to(parameter.device)
        filled = complete(colours, mask, generator(colours, mask)[1])
        groups.append(filled[0, : units.shape[0] - first].float().cpu())
    return torch.cat(groups)


def _enlarged(x: Tensor, size: torch.Size) -> Tensor:
    if x.shape[1:] == size:
        return x
    return F.interpolate(x[None], list(size), mode="bicubic", antialias=False)[0]
