"""The pictures that fillings are measured on: a folder's, a glob's or the bundled ones."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path, PurePosixPath
from typing import cast

import numpy as np
from PIL import Image

from ..data.bundled import Split, bundled_pictures
from ..data.reading import read_picture
from ..formats import picture_suffixes

__all__ = ["Load", "centre_square", "find_pictures", "picture_files", "repeat"]

Load = Callable[[], np.ndarray]


def find_pictures(images: str, size: int | None = None) -> dict[str, Load]:
    """The pictures by name, in the order of their names; each is read when it is asked for.

    images: a folder (the pictures in it, not in folders below), a file, a glob, or
        "bundled:held-out", "bundled:train" or "bundled", the photographs of installed packages.
    size: the centre square of every picture is resized (Lanczos) to this many pixels a side; None
        leaves pictures as they are.

    Returns by name a function that gives an (H, W, 3) uint8 array, upright, alpha dropped, and
    raises ValueError, a sentence, where the file is broken.

    Raises ValueError, a sentence, where there are no pictures.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> Image.new("L", (30, 20), 7).save(folder / "a.png")
    >>> pictures = find_pictures(str(folder), size=16)
    >>> {name: load().shape for name, load in pictures.items()}
    {'a.png': (16, 16, 3)}
    """
    if size is not None and size < 1:
        raise ValueError(f"size must be at least 1 pixel, got {size}")
    if images.partition(":")[0] == "bundled":
        return _bundled(images, size)
    paths = picture_files(images)
    if not paths:
        raise ValueError(f"images must be a folder, file or glob with pictures, got {images!r}")
    base = os.path.commonpath([path.parent for path in paths])
    names = [Path(os.path.relpath(path, base)).as_posix() for path in paths]
    reads = [partial(read_picture, str(path)) for path in paths]
    return {name: partial(_load, read, size) for name, read in zip(names, reads, strict=True)}


def repeat(pictures: Mapping[str, Load], draws: int) -> dict[str, Load]:
    """Every picture `draws` times, by names that get masks of their own; the first as it is.

    With few pictures the mean over one mask each says more of where the masks fell than of what
    filled them.

    >>> list(repeat({"a.png": lambda: None, "b.png": lambda: None}, 2))
    ['a.png', 'b.png', 'a#2.png', 'b#2.png']
    """
    numbered = dict(pictures)
    for draw in range(2, draws + 1):
        for name, load in pictures.items():
            path = PurePosixPath(name)
            numbered[str(path.with_name(f"{path.stem}#{draw}{path.suffix}"))] = load
    return numbered


def picture_files(place: str) -> list[Path]:
    """The files of a folder that Pillow reads by their names' ends; else one file, or a glob's."""
    folder = Path(place)
    if not folder.is_dir():
        return [folder] if folder.exists() else sorted(Path(path) for path in glob.glob(place))
    ends = picture_suffixes()
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in ends)


def centre_square(image: Image.Image, size: int, filter: Image.Resampling) -> Image.Image:
    """The largest square at the centre, resized to `size` pixels a side.

    Cut before it is resized: Pillow's filters would reach beyond the cut's edge.
    """
    side = min(image.size)
    left, top = ((length - side) // 2 for length in image.size)
    return image.crop((left, top, left + side, top + side)).resize((size, size), filter)


def _bundled(images: str, size: int | None) -> dict[str, Load]:
    split = images.partition(":")[2] or "all"
    return {p.name: partial(_load, p.load, size) for p in bundled_pictures(cast(Split, split))}


def _load(read: Load, size: int | None) -> np.ndarray:
    picture = read()
    if size is None:
        return picture
    square = centre_square(Image.fromarray(picture), size, Image.Resampling.LANCZOS)
    return np.asarray(square)
