"""Plots of records, as SVG and PNG, readable on light and on dark pages."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from .record import Record, Row

__all__ = ["draw", "lines", "roofline", "speedups"]

MIB = 2**20
GREY = "#8a8f98"
COLOURS = {
    "gica": "#e4572e",
    "reference": "#3d8fd1",
    "compiled": "#9a6fd0",
    "grouped": "#2e9e6b",
    "sdpa": "#c29a1b",
}
STYLE = {
    "font.size": 13,
    "lines.linewidth": 2.5,
    "lines.markersize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "legend.frameon": False,
    "svg.hashsalt": "gica_ops",  # the same plot is the same file
    "savefig.transparent": True,
    **dict.fromkeys(
        ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), GREY
    ),
    "grid.color": GREY,
    "axes.titlecolor": GREY,
}
Value = Callable[[Row], float | None]


@contextlib.contextmanager
def draw(path: Path, panels: int = 1) -> Iterator[list[Any]]:
    """Axes side by side; at the end they are saved as path.svg and path.png.

    Raises ValueError, a sentence, where matplotlib is not installed.
    """
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError:
        raise ValueError("plots need matplotlib: pip install gica_ops[bench]") from None
    with matplotlib.rc_context(STYLE):  # type: ignore[arg-type]
        figure = Figure(figsize=(6.4 * panels, 4.4), layout="constrained")
        yield list(figure.subplots(1, panels, squeeze=False)[0])
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path.with_suffix(".svg"), metadata={"Date": None})
        figure.savefig(path.with_suffix(".png"), dpi=110, metadata={"Software": None})


def colour(method: str) -> str:
    return COLOURS.get(method, GREY)


def methods_of(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(row.method for row in rows))


def lines(
    axes: Any, rows: Sequence[Row], x: Value, y: Value, labels: tuple[str, str], *, log: str = ""
) -> None:
    """A line for each method; where one has no time, a cross at its last value says so.

    log: the axes that are logarithmic, such as "xy".
    """
    for method in methods_of(rows):
        own = [row for row in rows if row.method == method]
        points = [(x(row), y(row)) for row in own if row.measured]
        shown = sorted((a, b) for a, b in points if a is not None and b is not None)
        if not shown:
            continue
        axes.plot(*zip(*shown, strict=True), "o-", color=colour(method), label=method)
        stopped = [row for row in own if not row.measured]
        if stopped:
            axes.plot(*shown[-1], "x", color=colour(method), markersize=14, markeredgewidth=3)
            axes.annotate(
                f"{stopped[0].problem.size}: {stopped[0].outcome}", shown[-1], (-8, 10),
                textcoords="offset points", ha="right", color=colour(method), fontsize=11,
            )  # fmt: skip
    for axis in log:
        # Small maps take no time to speak of, or no memory: such zeros are not on a log axis.
        getattr(axes, f"set_{axis}scale")("log", nonpositive="mask")
    axes.margins(y=0.15)  # for what is said of the last points
    axes.set_xlabel(labels[0])
    axes.set_ylabel(labels[1])
    axes.legend()


def name_sizes(axes: Any, rows: Sequence[Row]) -> None:
    """The ticks of an axis of positions: the image sizes they stand for."""
    ticks = {row.problem.positions: row.problem.size for row in rows}
    every = sorted(ticks)
    # Neighbours that are too close to each other share a label.
    shown = [p for i, p in enumerate(every) if i == 0 or p >= 1.9 * every[i - 1] or p == every[-1]]
    axes.set_xticks(shown, [ticks[p] for p in shown])
    axes.minorticks_off()


def by_size(path: Path, groups: dict[str, list[Row]], y: Value, label: str) -> None:
    """A panel for each group of rows: a value over the size of the image, both logarithmic."""
    with draw(path, len(groups)) as panels:
        for axes, (title, rows) in zip(panels, groups.items(), strict=True):
            lines(axes, rows, lambda r: float(r.problem.positions), y, ("image", label), log="xy")
            name_sizes(axes, rows)
            axes.set_title(title)


def times(path: Path, groups: dict[str, list[Row]]) -> None:
    """Milliseconds over size."""
    by_size(path, groups, lambda row: 1e3 * row.times.median, "ms")


def memory(path: Path, groups: dict[str, list[Row]]) -> None:
    """Peak extra memory over size."""
    by_size(path, groups, extra_mib, "MiB beyond inputs and results")


def extra_mib(row: Row) -> float | None:
    return None if row.extra_bytes is None else row.extra_bytes / MIB


def speedups(path: Path, record: Record, groups: dict[str, list[Row]]) -> None:
    """Bars: how many times faster than the reference."""
    with draw(path, len(groups)) as panels:
        for axes, (title, rows) in zip(panels, groups.items(), strict=True):
            sizes = list(dict.fromkeys(row.problem.size for row in rows))
            methods = methods_of(rows)
            width = 0.8 / len(methods)
            for i, method in enumerate(methods):
                found = {
                    row.problem.size: record.speedup(row) for row in rows if row.method == method
                }
                at = [sizes.index(s) + (i - (len(methods) - 1) / 2) * width for s in found]
                values = [value or 0.0 for value in found.values()]
                bars = axes.bar(at, values, 0.9 * width, color=colour(method), label=method)
                texts = [f"{v:.1f}" if v else "none" for v in values]
                axes.bar_label(bars, texts, color=GREY, fontsize=11)
            axes.set_xticks(range(len(sizes)), sizes)
            axes.set_ylabel("times faster than the reference")
            axes.set_title(title)
            axes.legend()


def roofline(path: Path, record: Record, rows: Sequence[Row]) -> None:
    """What was executed per second over operations per byte, under the machine's roof."""
    counted = [row for row in rows if row.measured and row.floor(record.rates)]
    dtype = counted[0].problem.dtype
    peak, copy = record.rates["matrix"][dtype] / 1e9, record.rates["copy"] / 1e9
    with draw(path) as (axes,):
        intensity = {id(r): r.executed / r.problem.least_bytes() for r in counted}
        low, high = peak / copy / 4, 2 * max(*intensity.values(), peak / copy)
        axes.plot([low, peak / copy, high], [low * copy, peak, peak], "-", color=GREY)
        axes.annotate(
            f"{peak:.0f} GFLOP/s, {copy:.0f} GB/s measured", (high, peak), (0, 6),
            textcoords="offset points", ha="right", fontsize=11,
        )  # fmt: skip
        lowest = low * copy
        for method in methods_of(counted):
            own = [row for row in counted if row.method == method and row.problem.dtype == dtype]
            rates = [row.executed / row.times.median / 1e9 for row in own]
            lowest = min([lowest, *rates])
            axes.plot(
                [intensity[id(row)] for row in own], rates, "o", color=colour(method), label=method
            )
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_ylim(bottom=10 ** math.floor(math.log10(lowest)))  # whole decades have labels
        axes.set_xlabel("executed operations per byte of inputs and results")
        axes.set_ylabel("executed GFLOP/s")
        axes.legend(loc="lower right")
