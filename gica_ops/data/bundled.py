"""Photographs that come inside the wheels of scikit-image and scikit-learn, without download."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import numpy as np

from .reading import read_picture

__all__ = ["BundledPicture", "Split", "bundled_pictures"]

Split = Literal["train", "held-out", "all"]

FOLDERS = {"skimage": ("scikit-image", "data"), "sklearn": ("scikit-learn", "datasets/images")}
CC0 = "CC0"
FREE = "public domain"
# Both parts have a landscape, a person or animal, an object and a texture. Pictures of one scene
# are in one part. Diagrams, pages, medical pictures, and those of no stated origin are left out.
PICTURES = (
    ("astronaut", "train", "skimage", "astronaut.png", f"NASA, {FREE}"),
    ("brick", "train", "skimage", "brick.png", f"CC0Textures Bricks25, {CC0}"),
    ("china", "train", "sklearn", "china.jpg", "danielbuechele, CC BY 2.0"),
    ("clock", "train", "skimage", "clock_motion.png", f"Stefan van der Walt, {FREE}"),
    ("coins", "train", "skimage", "coins.png", "Brooklyn Museum, no known restrictions"),
    ("grass", "train", "skimage", "grass.png", f"linolafett, {CC0}"),
    ("hubble", "train", "skimage", "hubble_deep_field.jpg", f"NASA, {FREE}"),
    ("motorcycle-left", "train", "skimage", "motorcycle_left.png", "Middlebury Stereo 2014"),
    ("motorcycle-right", "train", "skimage", "motorcycle_right.png", "Middlebury Stereo 2014"),
    ("camera", "held-out", "skimage", "camera.png", f"Lav Varshney, {CC0}"),
    ("chelsea", "held-out", "skimage", "chelsea.png", f"Stefan van der Walt, {CC0}"),
    ("coffee", "held-out", "skimage", "coffee.png", f"Rachel Michetti, {CC0}"),
    ("flower", "held-out", "sklearn", "flower.jpg", "vultilion, CC BY 2.0"),
    ("gravel", "held-out", "skimage", "gravel.png", f"CC0Textures Gravel04, {CC0}"),
    ("rocket", "held-out", "skimage", "rocket.jpg", f"SpaceX, {FREE}"),
)


class BundledPicture(NamedTuple):
    """A photograph in an installed package, and whose it is."""

    name: str
    path: str
    licence: str

    def load(self) -> np.ndarray:
        """The picture, (height, width, 3) uint8, RGB; grey ones have three equal channels."""
        return read_picture(self.path)


def bundled_pictures(split: Split = "all") -> list[BundledPicture]:
    """The photographs to train with, those held out for evaluation, or all.

    Raises ValueError for another split, and where scikit-image or scikit-learn are not installed.

    >>> [picture.name for picture in bundled_pictures("held-out")]  # doctest: +SKIP
    ['camera', 'chelsea', 'coffee', 'flower', 'gravel', 'rocket']
    """
    if split not in get_args(Split):
        raise ValueError(f"split must be one of {', '.join(get_args(Split))}, got {split!r}")
    return [
        BundledPicture(name, str(_folder(package) / file), licence)
        for name, part, package, file, licence in PICTURES
        if split in ("all", part)
    ]


def _folder(package: str) -> Path:
    spec = find_spec(package)  # does not import it
    name, folder = FOLDERS[package]
    if spec is None or not spec.submodule_search_locations:
        raise ValueError(
            f"the bundled photographs need {name}, which is not installed: "
            "pip install gica_ops[train]"
        )
    return Path(spec.submodule_search_locations[0]) / folder
