"""Times of single runs on a cold cache, and what they say together."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

__all__ = ["Clock", "Times"]

LEAST_FLUSH = 64 * 2**20


@dataclass(frozen=True)
class Times:
    """Seconds of the runs, in their order.

    >>> Times((3.0, 1.0, 2.0)).median
    2.0
    """

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def low(self) -> float:
        """The 20th percentile."""
        return self._quantile(0.2)

    @property
    def high(self) -> float:
        """The 80th percentile."""
        return self._quantile(0.8)

    @property
    def least(self) -> float:
        return min(self.seconds)

    @property
    def spread(self) -> float:
        """(largest - least) / median."""
        return (max(self.seconds) - self.least) / self.median

    def __add__(self, other: Times) -> Times:
        """Seconds of doing both, round by round."""
        return Times(tuple(a + b for a, b in zip(self.seconds, other.seconds, strict=True)))

    def record(self) -> dict[str, float | int]:
        """Figures for a record, in seconds."""
        return {
            "median_s": self.median,
            "least_s": self.least,
            "spread": self.spread,
            "rounds": len(self.seconds),
        }

    def _quantile(self, share: float) -> float:
        ordered = sorted(self.seconds)
        at = share * (len(ordered) - 1)
        below = int(at)
        above = min(below + 1, len(ordered) - 1)
        return ordered[below] + (at - below) * (ordered[above] - ordered[below])


class Clock:
    """Seconds of a run: wall clock on CPUs, events on CUDA. Caches are cold before each.

    >>> Clock("cpu").seconds(lambda: None) < 1
    True
    """

    def __init__(self, device: str) -> None:
        self.device = device
        self.junk = torch.ones(2 * last_cache(device), dtype=torch.uint8, device=device)

    def seconds(self, run: Callable[[], object]) -> float:
        self.junk.fill_(1)
        if self.device == "cuda":
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            run()
            end.record()
            torch.cuda.synchronize()
            return start.elapsed_time(end) / 1e3
        begun = time.perf_counter()
        run()
        return time.perf_counter() - begun


def last_cache(device: str) -> int:
    """Bytes of the largest cache, or more."""
    if device == "cuda":
        return max(LEAST_FLUSH, torch.cuda.get_device_properties(0).L2_cache_size)
    try:
        return max(LEAST_FLUSH, os.sysconf("SC_LEVEL3_CACHE_SIZE"))
    except (OSError, ValueError):
        return LEAST_FLUSH
