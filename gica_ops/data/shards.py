"""WebDataset shards: tar files of pictures, read from front to end, for sets of any size.

Of the files `0001.jpg`, `0001.json`, `0001.seg.png` the first is a picture, as WebDataset names
things: the kind is what follows the first point.
"""

from __future__ import annotations

import itertools
import os
import re
import tarfile
from collections import deque
from collections.abc import Iterator

import numpy as np

from ..formats import picture_suffixes
from .reading import decode_picture
from .sources import Source, order

__all__ = ["ShardSource", "expand_braces"]

SHUFFLE = 3  # what random numbers are for: no two purposes share them
CHUNK = 256  # pictures, undecoded, that are shuffled at a time
FAILURES = 1000  # in a row, after which a set is given up


class ShardSource(Source):
    """Shards in a random order, shared out among lanes; in a lane pictures are shuffled in chunks.

    A lane is what one worker of one rank reads. `enter` one before asking for pictures; positions
    do not matter then, the pictures come one after another. A picture that cannot be read is
    skipped: the next one takes its place too. A shard that is cut short ends there.
    """

    def __init__(self, text: str, paths: list[str]) -> None:
        super().__init__(text)
        missing = [path for path in paths if not os.path.isfile(path)]
        if missing or not paths:
            what = f"there is no file {missing[0]!r}" if missing else "no file matches"
            raise ValueError(f"data source {text!r}: {what}")
        self.paths = paths
        self._counts: dict[str, int] = {}
        self._coming: Iterator[tuple[str, bytes]] = iter(())
        self._ahead: deque[tuple[str, bytes]] = deque()

    def enter(self, seed: int, lane: int, lanes: int, drawn: int) -> None:
        """Goes to where `drawn` pictures of a lane were taken. Passes by them without decoding.

        Raises ValueError where there are fewer shards than lanes.
        """
        if len(self.paths) < lanes:
            raise ValueError(
                f"data source {self.text!r} must have at least as many shards as there are ranks "
                f"times workers, {lanes}, but has {len(self.paths)}"
            )
        self._coming = self._shuffled(seed, lane, lanes, drawn)
        self._ahead.clear()

    def picture(self, position: int, seed: int, size: int) -> np.ndarray:
        """The next one. Raises ValueError where far too many cannot be read."""
        for turn in range(FAILURES):
            if turn == len(self._ahead):
                self._ahead.append(next(self._coming))
            name, data = self._ahead[turn]
            try:
                picture = decode_picture(data, name)
            except ValueError as error:
                self.skipped[name] = str(error)
                continue
            # What took another's place comes again in its own turn, so that as many pictures are
            # drawn as there were turns, and a start in the middle need not decode.
            self._ahead.popleft()
            return picture
        raise ValueError(
            f"data source {self.text!r}: {FAILURES} pictures in a row cannot be read; "
            f"{self.skipped[name]}"
        )

    def _shuffled(self, seed: int, lane: int, lanes: int, skip: int) -> Iterator[tuple[str, bytes]]:
        for epoch in itertools.count():
            found = 0
            for number in order(seed, epoch, len(self.paths))[lane::lanes].tolist():
                path = self.paths[number]
                if skip and skip >= self._count(path):
                    skip -= self._count(path)
                    found += self._count(path)
                    continue
                for name, data in self._shard(path, (seed, SHUFFLE, epoch, number), skip):
                    found += 1
                    yield name, data
                skip = 0
            if not found:
                raise ValueError(f"data source {self.text!r} holds no picture")

    def _shard(self, path: str, seed: tuple[int, ...], skip: int) -> Iterator[tuple[str, bytes]]:
        """The pictures of a shard, shuffled in chunks, but the first `skip`."""
        members = self._members(path)
        first, skip = divmod(skip, CHUNK)
        for _ in itertools.islice(members, first * CHUNK):
            pass  # these are not read
        for chunk in itertools.count(first):
            held = [
                (f"{path}/{member.name}", file.read())
                for tar, member in itertools.islice(members, CHUNK)
                if (file := tar.extractfile(member)) is not None  # which it never is, for files
            ]
            if not held:
                return
            for turn in np.random.default_rng((*seed, chunk)).permutation(len(held))[skip:]:
                yield held[turn]
            skip = 0

    def _count(self, path: str) -> int:
        if path not in self._counts:
            self._counts[path] = sum(1 for _ in self._members(path))
        return self._counts[path]

    def _members(self, path: str) -> Iterator[tuple[tarfile.TarFile, tarfile.TarInfo]]:
        """The pictures of a shard that are there to their end."""
        suffixes = picture_suffixes()
        end = os.path.getsize(path)
        try:
            with tarfile.open(path, "r:") as tar:
                for member in tar:
                    kind = os.path.basename(member.name).lower().partition(".")[2]
                    if member.isfile() and f".{kind}" in suffixes:
                        if member.offset_data + member.size > end:
                            raise tarfile.ReadError("unexpected end of data")
                        yield tar, member
        except tarfile.TarError as error:
            self.skipped[path] = f"{path!r} is cut short, or no tar file: {error}"


def expand_braces(text: str) -> list[str]:
    """Names with a range of numbers, as WebDataset writes them.

    >>> expand_braces("train-{098..101}.tar")
    ['train-098.tar', 'train-099.tar', 'train-100.tar', 'train-101.tar']
    """
    found = re.search(r"\{(\d+)\.\.(\d+)\}", text)
    if not found:
        return [text]
    return [
        name
        for number in range(int(found[1]), int(found[2]) + 1)
        for name in expand_braces(
            f"{text[: found.start()]}{number:0{len(found[1])}d}{text[found.end() :]}"
        )
    ]
