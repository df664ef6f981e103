"""Two records side by side: what changed beyond the noise."""

from __future__ import annotations

from dataclasses import dataclass

from .record import Record, Row

__all__ = ["Change", "compare"]

LEAST = 0.03


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
    touch, and the medians differ by more than three per cent.
    """
    changes = []
    for row in after.rows:
        old = before.find(row.problem, row.method)
        if old is not None:
            changes.append(_change(old, row))
    if not changes:
        raise ValueError("records must share a problem and a method, these share none")
    return changes


def _change(before: Row, after: Row) -> Change:
    if not (before.measured and after.measured):
        verdict = (
            "same" if before.outcome == after.outcome else f"{before.outcome} -> {after.outcome}"
        )
        return Change(before, after, None, None, None, verdict)
    old, new = before.times, after.times
    ratio, low, high = new.median / old.median, new.low / old.high, new.high / old.low
    verdict = "same"
    if high < 1 and ratio < 1 - LEAST:
        verdict = "faster"
    elif low > 1 and ratio > 1 + LEAST:
        verdict = "slower"
    return Change(before, after, ratio, low, high, verdict)
