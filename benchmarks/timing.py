"""Wall-clock times of candidates measured in turn, so that their ratios come from one run."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

from gica_ops.bench.timing import Times

__all__ = ["Times", "measure", "ratio"]


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
