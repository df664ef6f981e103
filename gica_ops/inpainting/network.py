"""Fills holes with a generator, and with detail from the rest of the picture."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from .. import backends
from ..model import Generator
from . import transfer
from .checks import check_picture
from .filled import Filled
from .window import Window, windows

__all__ = ["DEFAULT_WEIGHTS", "fill", "fill_many", "load_generator", "memory"]

DEFAULT_WEIGHTS = Path(__file__).resolve().parent.parent / "weights"
BATCH = 2**20  # pixels that go through together at most, where one window is no more

# Of `memory`: bytes in any case, and numbers per pixel and group of three channels, measured.
BASE = 48 * 2**20
PICTURES = 28
ACTIVATIONS = 5

Progress = Callable[[float], None]


def load_generator(name: str | Path = "default", device: torch.device | str = "cpu") -> Generator:
    """The generator in a folder, or "default" for the weights that ship.

    Raises ValueError, a sentence, where there is none.

    >>> load_generator().config.version
    'v1'
    """
    if str(name) == "default":
        return _default(torch.device(device))
    return Generator.from_pretrained(name, device=device)


@functools.lru_cache(maxsize=2)
def _default(device: torch.device) -> Generator:
    return Generator.from_pretrained(DEFAULT_WEIGHTS, device=device)


def fill(
    image: Tensor,
    mask: Tensor,
    *,
    generator: Generator | None = None,
    backend: str | None = None,
    progress: Progress | None = None,
    max_memory: int | None = None,
) -> Filled:
    """Fills the hole of a picture with what a generator makes of its surroundings.

    image: (C, H, W), any real dtype and range, on the CPU; what the hole holds is not looked at.
        Three channels are taken for red, green and blue; fewer or more are filled three by three.
    mask: (H, W) bool, True = hole.
    generator: one from `gica_ops.model`, on any device; None is the one that ships.
    backend: of its attention, for this call; None is the generator's own.
    progress: called now and then with the share done, 0 to 1.
    max_memory: bytes that may be taken beyond image and result, by the estimate of `memory`. Less
        of the surroundings is looked at, or at a smaller scale, where that is what it takes.

    The generator looks at the hole and what is around it. Holes thicker than 48 pixels are filled
    at a smaller scale, at which they are not; the filling is enlarged, and the attention brings
    detail from outside the hole at full resolution.

    Returns the filled picture, known pixels as they were, and the sources that the attention looked
    at most.

    Errors: as `gica_ops.inpainting.exemplar.fill`; ValueError also where `max_memory` is not enough
    for any window.

    >>> import torch
    >>> image = torch.full((3, 40, 40), 200, dtype=torch.uint8)
    >>> hole = torch.zeros(40, 40, dtype=torch.bool)
    >>> hole[10:20, 10:20] = True
    >>> filled = fill(image, hole)
    >>> bool((filled.values[:, ~hole] == 200).all())
    True
    """
    return fill_many(
        [image],
        [mask],
        generator=generator,
        backend=backend,
        progress=progress,
        max_memory=max_memory,
    )[0]


@torch.no_grad()
def fill_many(
    images: Sequence[Tensor],
    masks: Sequence[Tensor],
    *,
    generator: Generator | None = None,
    backend: str | None = None,
    progress: Progress | None = None,
    max_memory: int | None = None,
) -> list[Filled]:
    """Fills the holes of pictures of equal size, as `fill` does, alike in company and alone.

    What the generator sees of them, where that is of equal size, goes through it together.

    Arguments and errors as in `fill`; images must have the same shape.
    """
    for image, mask in zip(images, masks, strict=True):
        check_picture(image, mask)
        if image.shape != images[0].shape:
            raise ValueError(
                f"images must have equal shapes, got {tuple(images[0].shape)} and "
                f"{tuple(image.shape)}"
            )
    generator = load_generator() if generator is None else generator
    backends.select(backend or generator.backend, next(generator.parameters()).device)
    filled = [Filled(image.clone(), torch.full((2, *image.shape[1:]), -1)) for image in images]
    alike: dict[tuple[object, ...], list[Part]] = {}
    for image, mask, whole in zip(images, masks, filled, strict=True):
        for part in _parts(image, mask, whole, generator, max_memory):
            alike.setdefault((*part.window.size, part.window.factor), []).append(part)
    done, total = 0, sum(map(len, alike.values()))
    for parts in alike.values():
        count = _together(parts[0], generator, max_memory)
        for first in range(0, len(parts), count):
            batch = parts[first : first + count]
            _fill(batch, generator, backend)
            done += len(batch)
            if progress is not None:
                progress(done / total)
    if progress is not None and not total:
        progress(1.0)
    return filled


def memory(generator: Generator, window: Window, channels: int) -> int:
    """Bytes that filling one window takes, at most, beyond the picture and the result.

    window: its size, and the factor by which it is scaled down. channels: of the picture.
    """
    height, width = window.size
    groups = (channels + 2) // 3
    seen = height * width / window.factor**2
    activations = ACTIVATIONS * generator.config.width * seen
    return BASE + 4 * groups * round(PICTURES * height * width + activations)


class Part(NamedTuple):
    """A window of a picture: what it holds, the hole there, where results go."""

    window: Window
    image: Tensor
    hole: Tensor
    values: Tensor
    sources: Tensor
    span: tuple[float, float]


def _parts(
    image: Tensor, mask: Tensor, filled: Filled, generator: Generator, max_memory: int | None
) -> list[Part]:
    """The windows that a picture is filled in."""
    if not bool(mask.any()):
        return []

    def need(window: Window) -> int:
        return memory(generator, window, len(image))

    try:
        found = windows(mask, lambda w: max_memory is None or need(w) <= max_memory)
    except LookupError as error:
        least = min(map(need, error.args[0])) / 2**20
        raise ValueError(
            f"max_memory must be at least {math.ceil(least)} MiB for this hole, "
            f"got {max_memory} bytes"
        ) from None
    span = _span(image, mask)
    parts = []
    for window in found:
        cut = window.rows, window.columns
        where = (slice(None), *cut)
        whole = image[where], mask[cut], filled.values[where], filled.sources[where]
        parts.append(Part(window, *whole, span))
    return parts


def _together(part: Part, generator: Generator, max_memory: int | None) -> int:
    """How many windows like this one go through at once."""
    count = BATCH // math.prod(part.window.size)
    if max_memory is not None:
        count = min(count, max_memory // memory(generator, part.window, len(part.image)))
    return max(count, 1)


def _span(image: Tensor, mask: Tensor) -> tuple[float, float]:
    """The numbers that stand for black and white."""
    if image.dtype == torch.uint8:
        return 0.0, 255.0
    # Row by row: a large picture is not doubled.
    rows = [row[:, ~hole] for row, hole in zip(image.unbind(1), mask, strict=True)]
    low = min(float(row.min()) for row in rows if row.numel())
    high = max(float(row.max()) for row in rows if row.numel())
    return low, high if high > low else low + 1


def _fill(batch: list[Part], generator: Generator, backend: str | None) -> None:
    """Fills windows of one size and scale, in place."""
    window, channels = batch[0].window, len(batch[0].image)
    parameter = next(generator.parameters())
    units = torch.stack([_units(part) for part in batch])
    hole = torch.stack([part.hole[None] for part in batch])
    # Three channels at a time; the last one stands in for those that are missing.
    colours = [min(i, channels - 1) for i in range(channels + -channels % 3)]
    units = units[:, colours].unflatten(1, (-1, 3)).flatten(0, 1)
    hole = hole.repeat_interleave(len(colours) // 3, 0)
    size = window.factor * generator.config.multiple
    units, hole = (_padded(x.to(parameter.device), size) for x in (units, hole))
    small, small_hole = transfer.reduced(units, hole, window.factor)
    look = generator.look(small.to(parameter.dtype), small_hole, backend=backend)
    new = transfer.enlarged(torch.where(look.hole, look.stage2.float(), small), window.factor)
    if window.factor > 1:  # else nothing is lost that could be carried
        new = new.add_(transfer.carried(generator, look, units.sub_(new), hole, backend))
    new = new.unflatten(0, (len(batch), -1)).flatten(1, 2).cpu()
    step = len(colours) // 3
    for part, values, found in zip(batch, new, look.offsets[::step].cpu(), strict=True):
        _put(part, values[:channels], found, hole.shape[2:])


def _units(part: Part) -> Tensor:
    """The window in -1 to 1, float32, 0 in the hole."""
    low, high = part.span
    units = part.image.to(torch.float64, copy=True).sub_(low).mul_(2 / (high - low)).sub_(1)
    return units.masked_fill_(part.hole, 0).float()


def _padded(x: Tensor, multiple: int) -> Tensor:
    """(B, C, H, W) with its border repeated, so that `multiple` divides its sides."""
    down, right = (-n % multiple for n in x.shape[2:])
    return F.pad(x.float(), (0, right, 0, down), mode="replicate").to(x.dtype)


def _put(part: Part, values: Tensor, offsets: Tensor, padded: torch.Size) -> None:
    """Writes a window's hole from values in -1 to 1, (C, H, W), and where they come from."""
    (height, width), hole = part.hole.shape, part.hole
    low, high = part.span
    new = (values[:, :height, :width][:, hole].double() + 1) / 2 * (high - low) + low
    if not part.values.is_floating_point():
        new = new.round()
    part.values[:, hole] = new.clamp(low, high).to(part.values.dtype)
    # The padding is no part of the picture: what comes from there comes from nowhere.
    blocked = F.pad(hole, (0, padded[1] - width, 0, padded[0] - height), value=True)
    found = transfer.sources(offsets, hole.nonzero(), blocked)
    first = torch.tensor([[part.window.rows.start], [part.window.columns.start]])
    part.sources[:, hole] = torch.where(found < 0, found, found + first)
