"""Photographs as files that come in and go out: what is let in, and what they are called."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..files import write_whole
from ..inpainting.masks import read_mask
from ..inpainting.picture import Picture, in_colour
from ..inpainting.reading import read_picture
from ..inpainting.writing import SINGLE, encode, suffix_of

__all__ = ["Limits", "Photograph", "open_mask", "open_photograph", "preview", "scaled"]

SIDE = 1280  # of what the page shows


class Limits(NamedTuple):
    """The largest file that is read, in bytes, and the most pixels that are decoded."""

    bytes: int = 100_000_000
    pixels: int = 50_000_000


class Photograph(NamedTuple):
    """A picture, and the name and format of the file that is made of it."""

    picture: Picture
    name: str
    form: str

    def replaced(self, image: Image.Image) -> Photograph:
        """Another image of the same name and format."""
        return self._replace(picture=Picture(image))

    def write(self, folder: Path) -> Path:
        """Writes the file into a folder, whole or not at all, and returns where.

        Raises ValueError, a sentence, where the format cannot hold the picture, and OSError.
        """
        path = folder / self.name
        write_whole(path, encode(self.picture.image, self.form))
        return path


def open_photograph(path: Path, limits: Limits) -> Photograph:
    """The photograph of a file. What is made of it has its format, or PNG where that is only read.

    Raises ValueError, a sentence, for one that is too large, that is no picture, or is broken.
    """
    _check_length(path, limits)
    try:
        picture = read_picture(path, max_pixels=limits.pixels)
    except ValueError as error:
        raise _without_folder(error, path) from error
    form = SINGLE.get(str(picture.form), str(picture.form))
    suffix = path.suffix
    if form not in Image.SAVE:
        form = "PNG"
    if Image.registered_extensions().get(suffix.lower()) != form:
        suffix = suffix_of(form)
    return Photograph(picture, f"{path.stem}-filled{suffix}", form)


def open_mask(path: Path, picture: Picture, limits: Limits) -> Tensor:
    """The hole of a mask's file, (height, width) bool, as `read_mask` reads it.

    Raises ValueError, a sentence, as `open_photograph` does and for another size.
    """
    _check_length(path, limits)
    try:
        return read_mask(path, picture, max_pixels=limits.pixels)
    except ValueError as error:
        raise _without_folder(error, path) from error


def preview(image: Image.Image) -> Image.Image:
    """The image as a browser shows it, RGB or RGBA, no side longer than 1280 pixels.

    >>> preview(Image.new("L", (2560, 100))).size
    (1280, 50)
    """
    clear = image.mode in ("LA", "RGBA") or "transparency" in image.info
    small = in_colour(image, "RGBA" if clear else "RGB")
    small.thumbnail((SIDE, SIDE), reducing_gap=3)
    return small


def scaled(hole: Tensor, size: tuple[int, int]) -> Tensor:
    """A hole, (H, W) bool, at another height and width: nearest pixels.

    >>> scaled(torch.tensor([[False, True]]), (1, 4)).tolist()
    [[False, False, True, True]]
    """
    image = Image.fromarray(hole.numpy()).resize(size[::-1], Image.Resampling.NEAREST)
    return torch.from_numpy(np.array(image))


def _check_length(path: Path, limits: Limits) -> None:
    length = path.stat().st_size
    if length > limits.bytes:
        raise ValueError(
            f"{path.name!r} has {length / 1e6:.3g} MB, above the limit of {limits.bytes / 1e6:g} MB"
        )


def _without_folder(error: ValueError, path: Path) -> ValueError:
    """The sentence with the name of the file in place of where the server keeps it."""
    return ValueError(str(error).replace(repr(str(path)), repr(path.name)))
