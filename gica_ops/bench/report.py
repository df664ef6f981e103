"""Pages from records: tables, plots, and the sections they go into."""

from __future__ import annotations

import os
import re
from pathlib import Path

from . import plots, tables
from .growth import MIDDLE, growth_problems
from .problems import Problem
from .record import Record, Row

__all__ = ["write_report", "write_section"]

BENCHMARKS, GROWTH, IMAGES = "benchmarks.md", "growth.md", "images"
README = "README.md"
COMMAND = "gica bench report"
HEADINGS = {BENCHMARKS: "# Benchmarks", GROWTH: "# How cost grows"}


def write_report(records: dict[Path, Record], folder: Path) -> list[Path]:
    """Write pages and plots of records into a folder; returns the pages.

    A record with problems of other contrasts belongs on the page on growth, any other on that of
    benchmarks. README.md beside the folder gets the two plots that matter if it has their section.
    """
    written = []
    for path, record in records.items():
        on_growth = any(row.problem.contrast != 1 for row in record.rows)
        page = folder / (GROWTH if on_growth else BENCHMARKS)
        name = "bench_gpu" if "cuda" in record.about else "bench"
        images = folder / IMAGES
        where = os.path.relpath(path.resolve(), folder.resolve())
        if on_growth:
            body = growth_body(record, where, images, f"{name}_growth")
        else:
            body = benchmarks_body(record, where, images, name)
        write_section(page, f"{COMMAND}: {name}", body)
        written.append(page)
        readme = folder.resolve().parent / README
        if (
            not on_growth
            and readme.exists()
            and opening(f"{COMMAND}: {name}") in readme.read_text()
        ):
            shown = [f"{folder.name}/{IMAGES}/{name}_{plot}.svg" for plot in ("speedup", "memory")]
            texts = ("Speed-up over the unfused layer", "Memory beyond inputs and results")
            body = "\n".join(f"![{t}]({s})" for t, s in zip(texts, shown, strict=True)) + "\n"
            write_section(readme, f"{COMMAND}: {name}", body)
            written.append(readme)
    return written


def opening(name: str) -> str:
    return f"<!-- written by {name} -->\n"


def write_section(page: Path, name: str, body: str) -> None:
    """Put a text between a page's marks; a page or a section that is not there is made.

    name: what writes it, as the marks say.
    """
    start, end = opening(name), "<!-- end -->\n"
    text = page.read_text() if page.exists() else HEADINGS.get(page.name, "") + "\n"
    if start not in text:
        text += f"\n{start}{end}"
    found = re.compile(re.escape(start) + ".*?" + re.escape(end), re.DOTALL)
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(found.sub(lambda _: start + body + end, text))


def picture(text: str, images: Path, name: str) -> str:
    return f"![{text}]({images.name}/{name}.svg)\n"


def by_work(rows: tuple[Row, ...]) -> dict[str, list[Row]]:
    """Rows of the layer by what they do and what is not as usual, sizes left aside."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        if row.problem.work != "generator":
            title = row.problem.name.removeprefix(f"{row.problem.size} ")
            groups.setdefault(title.removesuffix(" skip=auto"), []).append(row)
    return groups


def benchmarks_body(record: Record, where: str, images: Path, name: str) -> str:
    """The section of a record: source, plots, table."""
    groups = by_work(record.rows)
    sized = {k: v for k, v in groups.items() if len({row.problem.size for row in v}) > 1}
    parts = [tables.source(record, where)]
    if sized:
        plots.times(images / f"{name}_time", sized)
        plots.memory(images / f"{name}_memory", sized)
        plots.speedups(images / f"{name}_speedup", record, sized)
        plots.roofline(images / f"{name}_roofline", record, [r for g in sized.values() for r in g])
        texts = {
            "speedup": "Speed-up over the unfused layer in plain PyTorch",
            "time": "Time over the size of the image",
            "memory": "Memory beyond inputs and results over the size of the image",
            "roofline": "Executed operations under the roof of the machine",
        }
        parts += [picture(text, images, f"{name}_{plot}") for plot, text in texts.items()]
    parts.append(tables.markdown(record.rows, record))
    return "\n".join(parts)


def growth_body(record: Record, where: str, images: Path, name: str) -> str:
    """The section on growth: three questions, a plot for each, and the table."""
    device = record.rows[0].problem.device
    own = set(growth_problems(device))
    rows = [row for row in record.rows if row.problem in own]
    side = MIDDLE[device]
    middle = Problem(side, side, device=device)
    sizes = [r for r in rows if is_like(r.problem, middle, ("height", "width"))]
    holes = [r for r in rows if is_like(r.problem, middle, ("hole",))]
    live = [r for r in rows if is_like(r.problem, middle, ("contrast",))]
    plots.times(images / f"{name}_time", {"": sizes})
    plots.memory(images / f"{name}_memory", {"": sizes})
    with plots.draw(images / f"{name}_hole") as (axes,):
        share = "masked share of the image"
        plots.lines(axes, holes, lambda r: r.problem.hole**2, milliseconds, (share, "ms"), log="y")
    lives = {row.problem: row.live for row in live if row.live is not None}
    with plots.draw(images / f"{name}_live") as (axes,):
        labels = ("share of live blocks", "ms")
        plots.lines(axes, live, lambda r: lives.get(r.problem), milliseconds, labels, log="y")
    parts = [
        tables.source(record, where),
        "Time over the size of the image: all methods compare every position with every other, so"
        f" time grows with the square of the pixels; {steepness(sizes, 'time')}.\n",
        picture("Time over size", images, f"{name}_time"),
        "Memory beyond inputs and results: the kernels hold a few strips, O(N) in the pixels, the"
        f" others whole matrices, O(N^2); {steepness(sizes, 'memory')}. A curve ends, with a cross,"
        " where the memory does.\n",
        picture("Memory over size", images, f"{name}_memory"),
        f"Time over the masked share, at {side} x {side}: the hole takes candidates away, and with"
        " them changes the share of blocks that live (the table's last column).\n",
        picture("Time over the masked share", images, f"{name}_hole"),
        f"Time over the share of live blocks, at {side} x {side}: features of more and less"
        " contrast. Scores are computed in any case, the rest only where blocks live.\n",
        picture("Time over the share of live blocks", images, f"{name}_live"),
        tables.markdown(record.rows, record),
    ]
    return "\n".join(parts)


def is_like(problem: Problem, other: Problem, but: tuple[str, ...]) -> bool:
    """Whether two problems are the same but for some fields."""
    a, b = vars(problem), vars(other)
    return all(a[name] == b[name] for name in a if name not in but)


def milliseconds(row: Row) -> float:
    return 1e3 * row.times.median


def steepness(rows: list[Row], what: str) -> str:
    """How many times as much four times the pixels take, between each method's largest sizes."""
    value = milliseconds if what == "time" else plots.extra_mib
    parts = []
    for method in plots.methods_of(rows):
        own = {r.problem.positions: value(r) for r in rows if r.method == method and r.measured}
        for positions in sorted(own, reverse=True):
            larger, smaller = own[positions], own.get(positions // 4)
            if larger and smaller:
                parts.append(f"{method} {larger / smaller:.1f}")
                break
    if not parts:
        return "no two sizes are a factor of two apart"
    return f"four times the pixels take so many times as much: {', '.join(parts)}"
