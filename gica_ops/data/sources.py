"""The interface of sources of pictures."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import lru_cache

import numpy as np

__all__ = ["Source", "order", "uniform"]

ORDER = 1  # what random numbers are for: no two purposes share them


class Source(ABC):
    """Pictures at positions 0, 1, 2, ... without end.

    skipped: names of files that could not be read, with the sentence that says why.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.skipped: dict[str, str] = {}

    @abstractmethod
    def picture(self, position: int, seed: int, size: int) -> np.ndarray:
        """The picture at a position: (height, width, 3) uint8, RGB, the same for the same seed.

        size: what is needed in the end, for sources that can make any size.
        """


@lru_cache(4)
def order(seed: int, epoch: int, count: int) -> np.ndarray:
    """A random order of `count` things for one passage through them.

    >>> sorted(order(0, 5, 4).tolist()), order(0, 5, 99).tolist() == order(0, 6, 99).tolist()
    ([0, 1, 2, 3], False)
    """
    return np.random.default_rng((seed, ORDER, epoch)).permutation(count)


def uniform(seed: int, numbers: np.ndarray) -> np.ndarray:
    """A random share in [0, 1) for each whole number, float64: SplitMix64's mixing of the two.

    >>> shares = uniform(0, np.arange(1000))
    >>> bool(0 <= shares.min() < 0.01), bool(0.99 < shares.max() < 1)
    (True, True)
    """
    start = np.random.default_rng(seed).integers(2**64, dtype=np.uint64)
    x = numbers.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + start
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        x = (x ^ (x >> np.uint64(shift))) * np.uint64(factor)
    return ((x ^ (x >> np.uint64(31))) >> np.uint64(11)) * 2.0**-53
