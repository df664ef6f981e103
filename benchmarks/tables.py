"""python -m benchmarks.tables: writes the newest records into docs/benchmarks.md as tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.report import RESULTS, ROOT, Figure
from gica_ops.bench.report import write_section

__all__ = ["markdown", "newest_record"]

PAGE = ROOT / "docs" / "benchmarks.md"
SECTIONS = ("bounds", "networks", "inpainting")


def newest_record(section: str) -> Path | None:
    """The CPU's record with the latest date of a program of that name, None without one."""
    records = {path: json.loads(path.read_text()) for path in RESULTS.glob("*.json")}
    ours = [
        path
        for path, record in records.items()
        if "figures" in record and "cuda" not in record and section == program(record["command"])
    ]
    return max(ours, key=lambda path: str(records[path]["date"]), default=None)


def program(command: str) -> str:
    """The section of a command: that of its program, or the bounds of the kernels.

    >>> program("python -m benchmarks.networks --rounds 7"), program("python -m benchmarks speed")
    ('networks', 'bounds')
    """
    return next((name for name in SECTIONS if f"benchmarks.{name}" in command), "bounds")


def markdown(record: dict[str, Any], name: str) -> str:
    """The record's figures, and what they were measured on."""
    versions = ", ".join(f"{key} {value}" for key, value in record["versions"].items())
    lines = [
        f"{record['device']}, {record['date'][:10]}, commit {record['commit']}, {versions};",
        f"`{record['command']}`; [record](../benchmarks/results/{name}).",
        "",
        "| figure | measured | bound | |",
        "|---|---|---|---|",
    ]
    for entry in record["figures"]:
        figure = Figure(**entry)
        bound = "" if figure.bound is None else f"{figure.bound:g}"
        measured = f"{figure.value:.3g} {figure.unit}"
        lines.append(f"| {figure.name} | {measured} | {bound} | {figure.verdict} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    for section in SECTIONS:
        path = newest_record(section)
        if path is not None:
            table = markdown(json.loads(path.read_text()), path.name)
            write_section(PAGE, f"python -m benchmarks.tables: {section}", table)
            print(f"{PAGE}: {path.name}")


if __name__ == "__main__":
    main()
