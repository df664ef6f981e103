"""What was measured, as it is written down and read again."""

from __future__ import annotations

import dataclasses
import json
import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from ..files import write_whole
from .problems import Problem
from .timing import Times

__all__ = ["MEASURED", "Record", "Row"]

MEASURED = "measured"
FORMAT = 1


@dataclass(frozen=True)
class Row:
    """One method on one problem.

    outcome: "measured", or why there is no time, such as "out of memory".
    seconds: of each round. extra_bytes: peak memory beyond inputs and results. errors: of each
    result, in errors of the reference, from the check; without them nothing was measured.
    checked_on: the problem of the check. live: share of live blocks, of the kernels only.
    """

    problem: Problem
    method: str
    outcome: str
    seconds: tuple[float, ...] = ()
    extra_bytes: int | None = None
    errors: dict[str, float] = field(default_factory=dict)
    checked_on: str = ""
    live: float | None = None

    def __post_init__(self) -> None:
        if (self.outcome == MEASURED) != bool(self.seconds):
            raise ValueError(
                f"outcome must be {MEASURED!r} with times and something else without, got "
                f"{self.outcome!r} of {self.method} on {self.problem.name}"
            )
        if self.seconds and not self.errors:
            raise ValueError(f"errors of {self.method} on {self.problem.name} must be there: a "
                             "time counts only after its check")  # fmt: skip

    @property
    def measured(self) -> bool:
        return self.outcome == MEASURED

    @cached_property
    def times(self) -> Times:
        return Times(self.seconds)

    def joined(self, later: Row) -> Row:
        """This row with the runs of a later visit to the same problem; a failure stays one."""
        if not (self.measured and later.measured):
            return later if self.measured else self
        known = [n for n in (self.extra_bytes, later.extra_bytes) if n is not None]
        return dataclasses.replace(
            self,
            seconds=self.seconds + later.seconds,
            extra_bytes=max(known, default=None),
            errors={name: max(error, later.errors[name]) for name, error in self.errors.items()},
        )

    @property
    def executed(self) -> float:
        """Operations of the products that were computed."""
        return self.problem.operations(self.live)

    def floor(self, rates: dict[str, Any]) -> float | None:
        """Seconds that the machine needs at least for what was executed; None if not counted."""
        if not self.executed or self.problem.dtype not in rates["matrix"]:
            return None
        products = self.executed / rates["matrix"][self.problem.dtype]
        return float(max(products, self.problem.least_bytes() / rates["copy"]))

    def as_json(self) -> dict[str, Any]:
        return {**dataclasses.asdict(self), "name": self.problem.name}


@dataclass(frozen=True)
class Record:
    """A run: the machine, how fast it was just then, and the rows."""

    about: dict[str, Any]
    rates: dict[str, Any]
    rows: tuple[Row, ...]

    def find(self, problem: Problem, method: str) -> Row | None:
        """The row of a method on a problem, measured or not."""
        return self._index.get((problem, method))

    @cached_property
    def _index(self) -> dict[tuple[Problem, str], Row]:
        return {(row.problem, row.method): row for row in self.rows}

    def speedup(self, row: Row, over: str = "reference") -> float | None:
        """How many times faster a row is than another method; None without both times.

        What skips nothing by itself, the reference, may have been measured under another `skip`.
        """
        for skip in (row.problem.skip, "auto", "never"):
            other = self.find(dataclasses.replace(row.problem, skip=skip), over)
            if other is not None and other.measured and row.measured:
                return other.times.median / row.times.median
        return None

    def write(self, path: Path) -> None:
        """Write it as JSON, whole or not at all."""
        rows = [row.as_json() for row in self.rows]
        values = {"format": FORMAT, **self.about, "rates": self.rates, "rows": rows}
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, (json.dumps(values, indent=1) + "\n").encode())

    @property
    def file_name(self) -> str:
        """<device>-bench-<date>.json"""
        device = re.sub(r"[^a-z0-9]+", "-", self.about["device"].lower()).strip("-")
        return f"{device}-bench-{self.about['date'][:10]}.json"

    @classmethod
    def read(cls, path: str | Path) -> Record:
        """What `write` wrote. Raises ValueError, a sentence, for anything else."""
        try:
            values = json.loads(Path(path).read_bytes())
            if (found := values.pop("format")) != FORMAT:
                raise ValueError(f"format {found!r}")
            rows = []
            for row in values.pop("rows"):
                row.pop("name")
                row["problem"] = Problem(**row["problem"])
                rows.append(Row(**{**row, "seconds": tuple(row["seconds"])}))
            rates = values.pop("rates")
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"record {str(path)!r} is none of `gica bench`: {error}") from None
        return cls(values, rates, tuple(rows))
