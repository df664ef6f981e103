"""Rows as text: a line of the terminal, a table of a page."""

from __future__ import annotations

from collections.abc import Iterable

from .compare import Change
from .record import Record, Row

__all__ = ["HEADING", "changes_text", "line", "markdown", "source"]

MIB = 2**20
COLUMNS = (
    ("method", 10),
    ("ms", 10),
    ("20-80 %", 17),
    ("ref GFLOP/s", 12),
    ("run GFLOP/s", 12),
    ("roofline", 9),
    ("speed-up", 9),
    ("extra MiB", 10),
    ("live", 6),
)
HEADING = f"{'problem':<34}" + "".join(f"{name:>{width}}" for name, width in COLUMNS)


def number(value: float | None, form: str = ".3g", unit: str = "") -> str:
    """A number in three digits, nothing for none."""
    if value is None:
        return ""
    if form == ".3g" and abs(value) >= 1000:
        form = ".0f"
    return f"{value:{form}}{unit}"


def cells(row: Row, record: Record) -> list[str]:
    """The columns of a row, after its method."""
    if not row.measured:
        return [row.outcome] + [""] * (len(COLUMNS) - 2)
    times, floor = row.times, row.floor(record.rates)
    reference = row.problem.operations()
    return [
        number(1e3 * times.median),
        f"{number(1e3 * times.low)} - {number(1e3 * times.high)}"
        if len(times.seconds) > 1
        else "one run",
        number(reference / times.median / 1e9 if reference else None),
        number(row.executed / times.median / 1e9 if row.executed else None),
        number(floor / times.median if floor else None, ".0%"),
        number(record.speedup(row), ".2f", " x"),
        number(None if row.extra_bytes is None else row.extra_bytes / MIB),
        number(row.live, ".0%"),
    ]


def line(row: Row, record: Record) -> str:
    """A row for the terminal, under `HEADING`."""
    widths = [width for _, width in COLUMNS]
    texts = [row.method, *cells(row, record)]
    if not row.measured:
        return f"{row.problem.name:<34}{row.method:>{widths[0]}}  {row.outcome}"
    shown = (f"{text:>{width}}" for text, width in zip(texts, widths, strict=True))
    return f"{row.problem.name:<34}" + "".join(shown)


def markdown(rows: Iterable[Row], record: Record) -> str:
    """The rows as a table."""
    names = ["problem", *(name for name, _ in COLUMNS)]
    lines = ["| " + " | ".join(names) + " |", "|---|---|" + "---:|" * (len(names) - 2)]
    for row in rows:
        lines.append("| " + " | ".join([row.problem.name, row.method, *cells(row, record)]) + " |")
    return "\n".join(lines) + "\n"


def source(record: Record, where: str) -> str:
    """One paragraph: what the rows were measured on, and with what."""
    about = record.about
    versions = ", ".join(f"{name} {value}" for name, value in about["versions"].items())
    matrix = ", ".join(
        f"{rate / 1e9:.0f} GFLOP/s {d}" for d, rate in record.rates["matrix"].items()
    )
    return (
        f"{about['device']}, {about['date'][:10]}, commit {about['commit']}, {versions};\n"
        f"matrix products {matrix}, copies {record.rates['copy'] / 1e9:.1f} GB/s;\n"
        f"`{about['command']}`; [record]({where}).\n"
    )


def changes_text(changes: Iterable[Change], machine: dict[str, float]) -> str:
    """A line for each change: medians in milliseconds, ratio, its range, the verdict.

    machine: as `compare.machine_changes` has it; the last line.
    """
    lines = [f"{'problem':<44}{'method':>10}{'before':>10}{'after':>10}{'ratio':>8}{'range':>16}"]
    for change in changes:
        row = change.after
        text = f"{row.problem.name:<44}{row.method:>10}"
        if change.ratio is not None and change.low is not None and change.high is not None:
            before, after = (1e3 * r.times.median for r in (change.before, change.after))
            text += f"{number(before):>10}{number(after):>10}{change.ratio:>8.3f}"
            text += f"{f'{change.low:.3f} - {change.high:.3f}':>16}"
        mark = "" if change.verdict == "same" else f"  {change.verdict}"
        lines.append(text + mark)
    rates = ", ".join(f"{name} {ratio:.3f}" for name, ratio in machine.items())
    lines.append(f"rates of the machine, after over before: {rates}")
    return "\n".join(lines)
