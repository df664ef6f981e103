"""What a run of checks leaves behind: a record, a table, a status."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

from tests.gpu.progress import NOT_DONE, ROOT, Check

__all__ = ["status_of", "table", "write_record"]

RESULTS = ROOT / "benchmarks" / "results"


def write_record(check: Check, command: str) -> Path | None:
    """One record of all that was measured, and of the checks beside it."""
    checks = {
        name: {k: v for k, v in result.items() if k not in ("record", "figures")}
        for name, result in check.steps.items()
    }
    (check.out / "checks.json").write_text(json.dumps(checks, indent=1) + "\n")
    measured = {
        name.removeprefix("benchmark "): result
        for name, result in check.steps.items()
        if "record" in result
    }
    if not measured:
        return None
    about = next(iter(measured.values()))["record"]
    rows = [row for result in measured.values() for row in result["record"]["rows"]]
    figures = []
    for size, result in measured.items():
        for figure in result["figures"]:
            sized = figure["name"].startswith(size)
            figures.append(figure if sized else {**figure, "name": f"{size} {figure['name']}"})
    device = re.sub(r"[^a-z0-9]+", "-", about["device"].lower()).strip("-")
    path = RESULTS / f"{device}-{about['date'][:10]}.json"
    about["command"] = command
    record = {**about, "rows": rows, "checks": checks, "figures": figures}
    path.write_text(json.dumps(record, indent=1) + "\n")
    shutil.copy2(path, check.out)
    return path


def table(check: Check, path: Path | None) -> str:
    lines = ["| check | outcome | | s |", "|---|---|---|---|"]
    for name, result in check.steps.items():
        cells = name, result["outcome"], result["says"], str(result.get("seconds", ""))
        lines.append("| " + " | ".join(cell.replace("\n", " ") for cell in cells) + " |")
    if path is None:
        return "\n".join(lines)
    lines += ["", "| figure | measured | bound | |", "|---|---|---|---|"]
    for figure in json.loads(path.read_text())["figures"]:
        bound = figure["bound"]
        verdict = "" if bound is None else "ok" if figure["value"] <= bound else "MISSED"
        measured = f"{figure['value']:.4g} {figure['unit']}"
        lines.append(f"| {figure['name']} | {measured} | {bound or ''} | {verdict} |")
    return "\n".join([*lines, "", f"record: {path}"])


def status_of(check: Check) -> int:
    outcomes = {result["outcome"] for result in check.steps.values()}
    return 1 if "failed" in outcomes else 2 if NOT_DONE in outcomes else 0
