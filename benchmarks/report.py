"""Figures, the bounds they are held to, and the record that is written of a run."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from gica_ops.bench.machine import describe

__all__ = ["Figure", "Report"]

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"


@dataclass(frozen=True)
class Figure:
    """One measured number; `bound` is the most it may be, None where it only informs."""

    name: str
    value: float
    unit: str
    bound: float | None = None
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        if self.bound is None:
            return ""
        return "ok" if self.value <= self.bound else "MISSED"

    def line(self) -> str:
        bound = "" if self.bound is None else f"<= {self.bound:g}"
        return (
            f"{self.name:<58} {self.value:>9.3f} {self.unit:<8} {bound:<9} {self.verdict}".rstrip()
        )


class Report:
    """Collects figures, printing each as it comes."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self.figures: list[Figure] = []

    def add(self, figure: Figure) -> None:
        self.figures.append(figure)
        print(figure.line(), flush=True)

    def missed(self) -> list[Figure]:
        return [figure for figure in self.figures if figure.verdict == "MISSED"]

    def write(self, path: Path | None = None) -> Path:
        """Writes the record as JSON, to results/<device>-<date>.json unless told otherwise."""
        about = describe(self.threads)
        if path is None:
            device = re.sub(r"[^a-z0-9]+", "-", about["device"].lower()).strip("-")
            path = RESULTS / f"{device}-{about['date'][:10]}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        record = {**about, "figures": [asdict(figure) for figure in self.figures]}
        path.write_text(json.dumps(record, indent=1) + "\n")
        return path
