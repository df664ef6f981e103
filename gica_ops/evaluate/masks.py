"""The hole of every picture: drawn by a fixed spec, or read from files.

A spec is a JSON file: what `gica_ops.data.masks.parse_mask_spec` takes, and a seed. A picture's
mask depends on the spec and on the picture's name and size, never on what else is measured.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from functools import partial
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from ..data.masks import MaskSpec, parse_mask_spec
from ..inpainting.masks import read_mask
from ..inpainting.picture import white
from ..inpainting.reading import open_upright
from .pictures import centre_square, picture_files

__all__ = ["Masks", "find_masks", "spec_names"]

SPECS = resources.files("gica_ops.evaluate") / "specs"


class Masks(NamedTuple):
    """What gives the holes, and what to note of it in a record.

    hole: from a picture's name and its height and width an (H, W) bool array, True = hole. Raises
        ValueError, a sentence, where there is none for that picture.
    record: JSON-serialisable.
    """

    hole: Callable[[str, tuple[int, int]], np.ndarray]
    record: dict[str, Any]

    @property
    def drawn(self) -> bool:
        """By a spec, for any name; not read from pictures."""
        return "seed" in self.record


def spec_names() -> list[str]:
    """The specs that come with the package.

    >>> spec_names()
    ['box-half', 'box-quarter', 'free-form', 'medium', 'thick', 'thin']
    """
    return sorted(path.name[:-5] for path in SPECS.iterdir() if path.name.endswith(".json"))


def find_masks(masks: str, *, fit: bool = False) -> Masks:
    """The masks that a name stands for.

    masks: the name of a spec of the package, a spec's own file (.json), a folder with a mask
        picture for every picture, of the same name but for its end, or one mask picture for all.
        White (> 127) is hole.
    fit: mask pictures are cut to their centre square and resized to the nearest pixel, as
        `find_pictures` does with pictures where it is given a size; else they must have the
        pictures' sizes.

    Raises ValueError, a sentence, for what is none of these.

    >>> hole = find_masks("box-quarter").hole("coffee.png", (64, 64))
    >>> hole.shape, int(hole.sum())
    ((64, 64), 256)
    """
    if masks in spec_names():
        return _drawn((SPECS / f"{masks}.json").read_text(), masks)
    path = Path(masks)
    if path.is_dir():
        files = picture_files(masks)
        by_stem = {file.stem: file for file in files}
        if not files or len(by_stem) < len(files):
            problem = "two masks of one name" if files else "no pictures"
            raise ValueError(f"masks folder {masks!r} holds {problem}")
        return Masks(partial(_of_folder, masks, by_stem, fit), {"folder": masks})
    if not path.is_file():
        raise ValueError(
            f"masks must be a folder, a picture, a .json file or one of {', '.join(spec_names())}, "
            f"got {masks!r}"
        )
    if path.suffix.lower() == ".json":
        return _drawn(path.read_text(errors="replace"), masks)
    return Masks(partial(_of_file, path, fit), {"file": masks})


def _drawn(text: str, name: str) -> Masks:
    try:
        spec = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"mask spec {name!r} is no JSON: {error}") from None
    fits = isinstance(spec, dict) and spec.keys() - {"about"} == {"masks", "seed"}
    if not fits or not isinstance(spec["masks"], str) or not isinstance(spec["seed"], int):
        raise ValueError(
            f"mask spec {name!r} must be a JSON object of masks, a text, and seed, a whole number, "
            f"got {' '.join(text.split())[:80]!r}"
        )
    return Masks(partial(_draw, parse_mask_spec(spec["masks"]), spec), {"name": name, **spec})


def _draw(spec: MaskSpec, options: dict[str, Any], name: str, size: tuple[int, int]) -> np.ndarray:
    key = json.dumps([options["masks"], options["seed"], PurePosixPath(name).stem])
    seed = int.from_bytes(hashlib.sha256(key.encode()).digest(), "big")
    return spec.draw(size, np.random.default_rng(seed)).hole


def _of_folder(
    folder: str, by_stem: dict[str, Path], fit: bool, name: str, size: tuple[int, int]
) -> np.ndarray:
    path = by_stem.get(PurePosixPath(name).stem)
    if path is None:
        raise ValueError(f"masks folder {folder!r} holds none for {name!r}")
    return _of_file(path, fit, name, size)


def _of_file(path: Path, fit: bool, name: str, size: tuple[int, int]) -> np.ndarray:
    if not fit:
        return read_mask(path, size).numpy()
    hole = white(open_upright(path, "mask")[0]).numpy()
    fitted = centre_square(Image.fromarray(hole), size[0], Image.Resampling.NEAREST)
    return np.array(fitted, bool)
