"""Holes to train and to judge with, described by a line of text.

| text | hole |
|---|---|
| `box` | DeepFill v1's: a square of half the shorter side, the hole shrunk inside it at random |
| `box:64`, `box:0.25,delta=0,margin=8` | another side, shrinking and distance from the border |
| `free-form` | DeepFill v2's strokes |
| `thin`, `medium`, `thick` | LaMa's |
| `files:PATH` | pictures of a folder, or that match a pattern; white (> 127) is hole |
| `box+free-form` | one of these, each as likely |

Whole numbers count pixels, numbers with a point are shares: of the picture's shorter side for
`side` and `margin`, of the box's side for `delta`.
"""

from __future__ import annotations

import glob
import os
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps

from .strokes import LAMA, free_form, lama

__all__ = ["Box", "Mask", "MaskSpec", "box_hole", "parse_mask_spec", "sample_box"]

Box = tuple[int, int, int, int]  # top, left, height, width

KINDS = ("box", "free-form", *LAMA, "files")
TRIES = 50
LAMA_LIMIT = 0.5  # of the picture, as LaMa's configurations have it
FREE_FORM_LIMIT = 0.75


@dataclass(frozen=True)
class Mask:
    """A hole, (height, width) bool, True = hole, and the box it was drawn in, where it was."""

    hole: np.ndarray
    box: Box | None = None

    def bounding_box(self) -> Box:
        """The box the hole was drawn in, else the smallest that contains it.

        >>> hole = np.zeros((8, 8), bool)
        >>> hole[2:5, 3] = True
        >>> Mask(hole).bounding_box()
        (2, 3, 3, 1)
        """
        if self.box is not None:
            return self.box
        rows, columns = (np.flatnonzero(self.hole.any(axis)) for axis in (1, 0))
        top, left = int(rows[0]), int(columns[0])
        return top, left, int(rows[-1]) - top + 1, int(columns[-1]) - left + 1


class MaskSpec(ABC):
    """A kind of hole."""

    limit = 1.0  # the largest share of a picture a hole may take

    def draw(self, size: tuple[int, int], rng: np.random.Generator) -> Mask:
        """A mask for a picture of `size`, height and width in pixels.

        The same state of `rng` gives the same mask. There is always a hole and always something
        around it. Raises ValueError where the size leaves no room for both.

        >>> mask = parse_mask_spec("box:4,delta=0").draw((8, 16), np.random.default_rng(0))
        >>> int(mask.hole.sum()), mask.box[2:]
        (16, (4, 4))
        """
        if min(size) < 1 or max(size) < 2:
            raise ValueError(f"size must leave room for a hole and its surroundings, got {size}")
        for _ in range(TRIES):
            mask = self._attempt(size, rng)
            if 0 < mask.hole.sum() < mask.hole.size and mask.hole.mean() <= self.limit:
                return mask
        return self._fallback(size)

    @abstractmethod
    def _attempt(self, size: tuple[int, int], rng: np.random.Generator) -> Mask: ...

    def _fallback(self, size: tuple[int, int]) -> Mask:
        """For pictures of a few pixels, where strokes always cover too much."""
        hole = np.zeros(size, bool)
        hole[: (size[0] + 1) // 2, : (size[1] + 1) // 2] = True
        return Mask(hole)


def parse_mask_spec(text: str) -> MaskSpec:
    """Reads a description as in the table above.

    Raises ValueError for one that is not understood and for files that do not exist.

    >>> parse_mask_spec("box")
    BoxMask(side=0.5, delta=0.25, margin=0)
    >>> parse_mask_spec("box:96,delta=0")
    BoxMask(side=96, delta=0, margin=0)
    >>> parse_mask_spec("free-form+thick").draw((64, 64), np.random.default_rng(0)).hole.shape
    (64, 64)
    """
    # A plus in a file's name is a plus: only one before a kind's name separates.
    parts = re.split(rf"\+(?=(?:{'|'.join(KINDS)})(?:[:+]|$))", text)
    specs = tuple(_parse_one(part, text) for part in parts)
    return specs[0] if len(specs) == 1 else MixedMask(specs)


def _parse_one(part: str, text: str) -> MaskSpec:
    kind, _, options = part.partition(":")
    if kind == "files" and options:
        return FileMask(_mask_files(options))
    if kind == "box":
        return _parse_box(options, text)
    if not options and kind == "free-form":
        return FreeFormMask()
    if not options and kind in LAMA:
        return LamaMask(kind)
    raise ValueError(
        f"masks must be made of {', '.join(KINDS[:-1])} and files:PATH, joined by +, got {text!r}"
    )


def _parse_box(options: str, text: str) -> BoxMask:
    if options and "=" not in options.partition(",")[0]:
        options = f"side={options}"
    values: dict[str, float] = {}
    for option in options.split(",") if options else ():
        name, _, value = option.partition("=")
        if name not in ("side", "delta", "margin") or not re.fullmatch(r"\d+|\d*\.\d+", value):
            raise ValueError(
                "masks: a box takes side, delta and margin as NAME=NUMBER, "
                f"got {option!r} in {text!r}"
            )
        values[name] = float(value) if "." in value else int(value)
    return BoxMask(**values)


def _mask_files(path: str) -> tuple[str, ...]:
    Image.init()
    found = glob.glob(os.path.join(glob.escape(path), "*") if os.path.isdir(path) else path)
    known = Image.registered_extensions()
    files = sorted(f for f in found if os.path.splitext(f)[1].lower() in known)
    if not files:
        raise ValueError(f"masks: files:{path} finds no picture")
    return tuple(files)


def sample_box(
    size: tuple[int, int],
    box: tuple[int, int],
    rng: np.random.Generator,
    margin: tuple[int, int] = (0, 0),
) -> Box:
    """A box of height and width `box` somewhere in a picture of `size`, `margin` off its border.

    The last place at the bottom and at the right is never taken, as in the original code.
    Raises ValueError where the box does not fit.

    >>> sample_box((8, 9), (8, 8), np.random.default_rng(0))
    (0, 0, 8, 8)
    """
    room = [s - 2 * m - b for s, m, b in zip(size, margin, box, strict=True)]
    if min(room) < 0:
        raise ValueError(
            f"masks: a box of {box[0]} x {box[1]} pixels with a margin of {margin[0]} and "
            f"{margin[1]} does not fit into a picture of {size[0]} x {size[1]}"
        )
    top, left = (m + int(rng.integers(max(r, 1))) for m, r in zip(margin, room, strict=True))
    return top, left, *box


def box_hole(size: tuple[int, int], box: Box, shrink: tuple[int, int] = (0, 0)) -> np.ndarray:
    """The hole, (height, width) bool: `box` less `shrink` rows and columns on either side.

    >>> int(box_hole((8, 8), (1, 1, 6, 6), (1, 2)).sum())
    8
    """
    top, left, height, width = box
    hole = np.zeros(size, bool)
    rows, columns = shrink
    hole[top + rows : top + height - rows, left + columns : left + width - columns] = True
    return hole


@dataclass(frozen=True)
class BoxMask(MaskSpec):
    """A square; the hole has the same rows missing at top and bottom, columns left and right.

    Source: section 4 of "Generative Image Inpainting with Contextual Attention" (Yu et al., 2018)
    and its published code: 128 of 256, shrunk by up to 32 in all.
    """

    side: float = 0.5
    delta: float = 0.25
    margin: float = 0

    def __post_init__(self) -> None:
        if self.side <= 0:
            raise ValueError(f"masks: a box must have a side above 0, got {self.side}")

    def _attempt(self, size: tuple[int, int], rng: np.random.Generator) -> Mask:
        side = max(1, _pixels(self.side, min(size)))
        margin = _pixels(self.margin, min(size))
        if size[0] <= side >= size[1]:
            raise ValueError(
                f"masks: a box of side {side} leaves nothing of a picture of {size[0]} x {size[1]}"
            )
        box = sample_box(size, (side, side), rng, (margin, margin))
        most = min(_pixels(self.delta, side) // 2, (side - 1) // 2)
        rows, columns = (int(shrink) for shrink in rng.integers(0, most + 1, 2))
        return Mask(box_hole(size, box, (rows, columns)), box)


def _pixels(number: float, whole: int) -> int:
    return int(number * whole) if isinstance(number, float) else number


@dataclass(frozen=True)
class FreeFormMask(MaskSpec):
    """See strokes.free_form."""

    limit = FREE_FORM_LIMIT

    def _attempt(self, size: tuple[int, int], rng: np.random.Generator) -> Mask:
        return Mask(free_form(size, rng))


@dataclass(frozen=True)
class LamaMask(MaskSpec):
    """See strokes.lama."""

    kind: str

    limit = LAMA_LIMIT

    def _attempt(self, size: tuple[int, int], rng: np.random.Generator) -> Mask:
        return Mask(lama(LAMA[self.kind], size, rng))


@dataclass(frozen=True)
class FileMask(MaskSpec):
    """One of these pictures, resized to the nearest pixel."""

    files: tuple[str, ...]

    def _attempt(self, size: tuple[int, int], rng: np.random.Generator) -> Mask:
        path = self.files[rng.integers(len(self.files))]
        try:
            with Image.open(path) as image:
                grey = ImageOps.exif_transpose(image).convert("L")
        # Pillow's readers raise many kinds for a broken file.
        except Exception as error:
            raise ValueError(f"mask {path!r} cannot be read: {error}") from error
        grey = grey.resize((size[1], size[0]), Image.Resampling.NEAREST)
        return Mask(np.array(grey) > 127)

    def _fallback(self, size: tuple[int, int]) -> Mask:
        raise ValueError(
            f"masks: {TRIES} of the files beside {self.files[0]!r} left no hole, or nothing else, "
            f"at {size[0]} x {size[1]}"
        )


@dataclass(frozen=True)
class MixedMask(MaskSpec):
    """One of several kinds, each as likely."""

    specs: tuple[MaskSpec, ...]

    def _attempt(self, size: tuple[int, int], rng: np.random.Generator) -> Mask:
        return self.specs[rng.integers(len(self.specs))].draw(size, rng)
