"""python -m benchmarks.tables: writes the newest record into docs/benchmarks.md as a table."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from benchmarks.report import RESULTS, ROOT, Figure

__all__ = ["markdown", "newest_record"]

PAGE = ROOT / "docs" / "benchmarks.md"
SECTION = re.compile(r"(<!-- written by [^>]*-->\n).*?(<!-- end -->)", re.DOTALL)


def newest_record() -> Path | None:
    """The record of the CPU's `python -m benchmarks` with the latest date, None without one."""
    records = {path: json.loads(path.read_text()) for path in RESULTS.glob("*.json")}
    ours = [path for path, r in records.items() if "figures" in r and "cuda" not in r]
    return max(ours, key=lambda path: str(records[path]["date"]), default=None)


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
    path = newest_record()
    if path is None:
        raise SystemExit("no record in benchmarks/results: run python -m benchmarks first")
    table = markdown(json.loads(path.read_text()), path.name)
    PAGE.write_text(SECTION.sub(lambda found: found[1] + table + found[2], PAGE.read_text()))
    print(f"{PAGE}: {path.name}")


if __name__ == "__main__":
    main()
