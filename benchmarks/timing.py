"""Wall-clock times of candidates measured in turn, so that their ratios come from one run."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

__all__ = ["Times", "measure", "ratio"]


@dataclass(frozen=True)
class Times:
    """Seconds of one candidate, one entry per round, in the order of the rounds."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

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
        return {
            "median_s": self.median,
            "least_s": self.least,
            "spread": self.spread,
            "rounds": len(self.seconds),
        }


def measure(candidates: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, Times]:
    """Runs every candidate once to warm up, then all of them in turn, `rounds` times.

    Taking turns makes a slow spell of the machine fall on all candidates alike.
    """
    for candidate in candidates.values():
        candidate()
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, candidate in candidates.items():
            start = time.perf_counter()
            candidate()
            seconds[name].append(time.perf_counter() - start)
    return {name: Times(tuple(values)) for name, values in seconds.items()}


def ratio(times: Times, unit: Times) -> float:
    """The median over the rounds of times / unit."""
    return statistics.median(a / b for a, b in zip(times.seconds, unit.seconds, strict=True))
