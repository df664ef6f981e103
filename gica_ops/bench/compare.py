"""Two records side by side: what changed beyond the noise."""

from __future__ import annotations

from dataclasses import dataclass

from .record import Record, Row
from .timing import Times

__all__ = ["Change", "compare", "machine_changes"]

LEAST = 0.03
ALONE = 0.05  # how far a single run may be off, as a share of it


@dataclass(frozen=True)
class Change:
    """A row before and after.

    ratio: of the medians, after over before; None where one has no time. low, high: the same of the
    20th and 80th percentiles, as far apart as they can be. verdict: "faster", "slower", "same", or
    both outcomes where one has no time.
    """

    before: Row
    after: Row
    ratio: float | None
    low: float | None
    high: float | None
    verdict: str


def compare(before: Record, after: Record) -> list[Change]:
    """The rows that both records have. Raises ValueError, a sentence, where they share none.

    A change is beyond the noise where the ranges from the 20th to the 80th percentile do not
    touch, and the medians differ by more than three per cent, and on one machine by more than it
    changed itself. A single run counts as a range of five per cent to both sides.
    """
    changes = []
    least = LEAST
    if before.about["device"] == after.about["device"]:
        for ratio in machine_changes(before, after).values():
            least = max(least, abs(ratio - 1), abs(1 / ratio - 1))
    for row in after.rows:
        old = before.find(row.problem, row.method)
        if old is not None:
            changes.append(_change(old, row, least))
    if not changes:
        raise ValueError("records must share a problem and a method, these share none")
    return changes


def machine_changes(before: Record, after: Record) -> dict[str, float]:
    """What the machine reached in products and copies, after over before."""
    old, new = before.rates, after.rates
    found = {
        f"matrix {dtype}": rate / old["matrix"][dtype]
        for dtype, rate in new["matrix"].items()
        if dtype in old["matrix"]
    }
    return {**found, "copy": new["copy"] / old["copy"]}


def _change(before: Row, after: Row, least: float) -> Change:
    if not (before.measured and after.measured):
        verdict = (
            "same" if before.outcome == after.outcome else f"{before.outcome} -> {after.outcome}"
        )
        return Change(before, after, None, None, None, verdict)
    old, new = before.times, after.times
    (old_low, old_high), (new_low, new_high) = _range(old), _range(new)
    ratio, low, high = new.median / old.median, new_low / old_high, new_high / old_low
    verdict = "same"
    if high < 1 and ratio < 1 - least:
        verdict = "faster"
    elif low > 1 and ratio > 1 + least:
        verdict = "slower"
    return Change(before, after, ratio, low, high, verdict)


def _range(times: Times) -> tuple[float, float]:
    if len(times.seconds) == 1:
        return times.median * (1 - ALONE), times.median * (1 + ALONE)
    return times.low, times.high
