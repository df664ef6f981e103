"""Masks from files."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor

from .picture import Picture, white
from .pyramid import grow
from .reading import MAX_PIXELS, open_upright

__all__ = ["MaskOptions", "read_mask"]


class MaskOptions(NamedTuple):
    """How a mask picture is understood.

    threshold: 0 to 255; what is brighter is hole.
    invert: what is not brighter is hole.
    resize: to the picture's size, to the nearest pixel, where it has another.
    dilate: pixels by which the hole grows on all sides.
    """

    threshold: int = 127
    invert: bool = False
    resize: bool = False
    dilate: int = 0


def read_mask(
    path: str | Path,
    picture: Picture | tuple[int, int],
    options: MaskOptions | None = None,
    *,
    max_pixels: int = MAX_PIXELS,
) -> Tensor:
    """The hole: (height, width) bool, by default True where the mask is brighter than 127 of 255.

    picture: what the mask is for, or its height and width. The size is that of the upright picture.

    Transparent pixels are no hole. Raises ValueError, a sentence, for a file that cannot be read
    and for another size than the picture's.
    """
    options = options or MaskOptions()
    size = picture.size if isinstance(picture, Picture) else picture
    image, _, _, _ = open_upright(path, "mask", max_pixels=max_pixels)
    hole = white(image, options.threshold, invert=options.invert)
    if hole.shape != size:
        if not options.resize:
            turned = isinstance(picture, Picture) and picture.turned
            raise ValueError(_another_size(path, hole, size, turned))
        hole = F.interpolate(hole[None, None].float(), size, mode="nearest-exact")[0, 0] > 0
    return grow(hole, options.dilate)


def _another_size(path: str | Path, hole: Tensor, size: tuple[int, int], turned: bool) -> str:
    height, width = hole.shape
    if turned and (width, height) == size:
        return (
            f"mask {str(path)!r} must have the size of the upright picture, "
            f"{size[1]} x {size[0]}, but it is {width} x {height}, as the picture lies in its file "
            "before its EXIF orientation is applied"
        )
    return (
        f"mask must have the size of the image, {size[1]} x {size[0]}, "
        f"but {str(path)!r} is {width} x {height}"
    )
