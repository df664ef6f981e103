"""Where pictures come from, described by a line of text.

| text | pictures |
|---|---|
| a folder | every picture in it and below |
| a pattern, `photos/*.jpg` | the files that match; `**` matches folders too |
| a text file | the files it lists, one a line, relative to its own folder |
| `shards/train-{000..099}.tar`, `shards/*.tar` | WebDataset shards: tar files of pictures |
| `dead-leaves` | procedural pictures, without end |
| `bundled`, `bundled:held-out`, `bundled:all` | see gica_ops.data.bundled; the first to train |

`*2` or `*0.5` behind any of them weighs it against the others.
"""

from __future__ import annotations

import glob
import os
import re
from collections import OrderedDict
from typing import cast

import numpy as np

from ..formats import picture_suffixes
from . import dead_leaves
from .bundled import Split, bundled_pictures
from .reading import read_picture
from .shards import ShardSource, expand_braces
from .sources import Source, order

__all__ = ["FileSource", "LeavesSource", "parse_source"]

CACHE_BYTES = 256 << 20  # of decoded pictures, in every process
LEAVES = 2  # what random numbers are for: no two purposes share them


class LeavesSource(Source):
    """Procedural pictures.

    >>> LeavesSource().picture(3, seed=0, size=32).shape
    (32, 32, 3)
    """

    def __init__(self, text: str = "dead-leaves") -> None:
        super().__init__(text)

    def picture(self, position: int, seed: int, size: int) -> np.ndarray:
        return dead_leaves.draw((size, size), np.random.default_rng((seed, LEAVES, position)))


class FileSource(Source):
    """Files, all of them once in a random order, then all of them again in another.

    A file that cannot be read is skipped: the next of the order takes its place too.
    """

    def __init__(self, text: str, paths: list[str]) -> None:
        super().__init__(text)
        if not paths:
            raise ValueError(f"data source {text!r} holds no picture")
        self.paths = paths
        self._cache: OrderedDict[str, np.ndarray] = OrderedDict()
        self._cached_bytes = 0

    def picture(self, position: int, seed: int, size: int) -> np.ndarray:
        """See Source. Raises ValueError where not one file can be read."""
        epoch, place = divmod(position, len(self.paths))
        numbers = order(seed, epoch, len(self.paths))
        for step in range(len(self.paths)):
            path = self.paths[numbers[(place + step) % len(self.paths)]]
            if path in self.skipped:
                continue
            try:
                return self._read(path)
            except ValueError as error:
                self.skipped[path] = str(error)
        first = next(iter(self.skipped.values()))
        raise ValueError(
            f"data source {self.text!r}: none of {len(self.paths)} files can be read; {first}"
        )

    def _read(self, path: str) -> np.ndarray:
        if path in self._cache:
            self._cache.move_to_end(path)
            return self._cache[path]
        picture = read_picture(path)
        self._cache[path] = picture
        self._cached_bytes += picture.nbytes
        while self._cached_bytes > CACHE_BYTES:
            self._cached_bytes -= self._cache.popitem(last=False)[1].nbytes
        return picture


def parse_source(text: str) -> tuple[Source, float]:
    """A source as in the table above, and its weight.

    Raises ValueError for one that does not exist or holds no picture.

    >>> source, weight = parse_source("dead-leaves*0.5")
    >>> source.text, weight
    ('dead-leaves', 0.5)
    """
    weighted = re.fullmatch(r"(.+)\*(\d+\.?\d*|\.\d+)", text)
    name, weight = (weighted[1], float(weighted[2])) if weighted else (text, 1.0)
    if weight <= 0:
        raise ValueError(f"data source {text!r} must have a weight above 0")
    if name == "dead-leaves":
        return LeavesSource(), weight
    if name.partition(":")[0] == "bundled" and not os.path.exists(name):
        split = cast(Split, name.partition(":")[2] or "train")
        return FileSource(name, [picture.path for picture in bundled_pictures(split)]), weight
    if name.endswith(".tar"):
        magic = glob.has_magic(name)
        return ShardSource(name, sorted(glob.glob(name)) if magic else expand_braces(name)), weight
    return FileSource(name, _files(name)), weight


def _files(name: str) -> list[str]:
    if os.path.isdir(name):
        suffixes = picture_suffixes()
        return [
            os.path.join(folder, file)
            for folder, _, files in sorted(os.walk(name, followlinks=True))
            for file in sorted(files)
            if os.path.splitext(file)[1].lower() in suffixes
        ]
    if os.path.isfile(name):
        return [name] if os.path.splitext(name)[1].lower() in picture_suffixes() else _list(name)
    if glob.has_magic(name):
        suffixes = picture_suffixes()
        found = sorted(glob.glob(name, recursive=True))
        return [path for path in found if os.path.splitext(path)[1].lower() in suffixes]
    raise ValueError(
        f"data source {name!r} must be a folder, a pattern, a list of files, tar shards, "
        "dead-leaves or bundled, but there is no such file"
    )


def _list(path: str) -> list[str]:
    folder = os.path.dirname(path)
    try:
        with open(path, encoding="utf-8") as file:
            return [os.path.join(folder, line.strip()) for line in file if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"data source {path!r} is no list of files: {error}") from None
