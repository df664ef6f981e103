"""What the CUDA kernels are held to, as figures of a record of `gica bench`.

    python -m benchmarks.bars problems 1024 4K  # the arguments that measure each size, as JSON
    python -m benchmarks.bars figures RECORD    # its figures and bounds, as JSON

The dense floor of a pass is what its bare matrix products would take, with nothing skipped, at the
rate that `torch.mm` reaches on the same device in the same run.
"""

from __future__ import annotations

import dataclasses
import json
import sys

from benchmarks.report import Figure
from gica_ops.bench.record import Record, Row

__all__ = ["arguments", "figures"]

GIB = 2**30
CASES = ("kind=noise,skip=never", "kind=natural,skip=auto")
PROBLEMS = tuple(
    f"{{size}},dtype=bfloat16,{case},work={work}"
    for case in CASES
    for work in ("forward", "backward")
)
# The most that a pass may take, in dense floors: at least so much of the floor is reached.
FLOORS = {
    ("forward", "never"): 2.0,
    ("forward", "auto"): 1.0,
    ("backward", "never"): 2.5,
    ("backward", "auto"): 1.25,
}
FLOOR_SIZES = ("1024", "2048", "4K")
MILLISECONDS_4K = {"never": 55.0, "auto": 25.0}
# The same in times of the reference: 10 and 20 times faster where it counts, never slower.
REFERENCES = {"never": 0.1, "auto": 0.05}
FAST_SIZES = ("512", "1024")
GIB_4K = 1.0
ERRORS = {"output": 2.0}
OTHER_ERRORS = 3.0
BATCHES = {"256": 16}  # samples that are worked through side by side, as in training
REFERENCE_SIZES = ("64", "128", "256", "512", "1024")
FORWARD_ONLY = ("8K",)  # that it ends is the figure


def arguments(size: str) -> list[str]:
    """Of `python -m benchmarks`, to measure what the bounds of a size are about."""
    problems = [text.format(size=size) for text in PROBLEMS]
    if size in BATCHES:
        problems += [f"{text},batch={BATCHES[size]}" for text in problems]
    if size in FORWARD_ONLY:
        problems = [text for text in problems if text.endswith("work=forward")]
    methods = ["gica", "reference"] if size in REFERENCE_SIZES else ["gica"]
    words = ["--device", "cuda"]
    words += [word for method in methods for word in ("--method", method)]
    return words + [word for text in problems for word in ("--problem", text)]


def figures(record: Record) -> list[Figure]:
    """The figures of the kernels' rows, each with its bound where it has one."""
    found = []
    for dtype, rate in record.rates["matrix"].items():
        found.append(Figure(f"{dtype} matrix rate", rate / 1e12, "TFLOP/s"))
    found.append(Figure("copy bandwidth", record.rates["copy"] / 1e12, "TB/s"))
    for row in record.rows:
        if row.method == "gica":
            found += of_row(row, record) if row.measured else [not_measured(row)]
    return found


def not_measured(row: Row) -> Figure:
    """A bound that no number meets."""
    return Figure(f"{row.problem.name}: {row.outcome}", 1.0, "missing", 0.0)


def of_row(row: Row, record: Record) -> list[Figure]:
    problem, median = row.problem, row.times.median
    work, skip, name = problem.work, problem.skip, problem.name
    details = {"seconds": list(row.seconds), "live_blocks": row.live}
    limit = MILLISECONDS_4K[skip] if (problem.size, work) == ("4K", "forward") else None
    found = [Figure(name, 1e3 * median, "ms", limit, details)]
    floor = problem.operations(1.0) / record.rates["matrix"][problem.dtype]
    bound = FLOORS.get((work, skip)) if problem.size in FLOOR_SIZES else None
    found.append(Figure(f"{name}, of the dense floor", median / floor, "x floor", bound))
    speedup = record.speedup(row)
    if speedup is not None:
        bound = REFERENCES[skip] if problem.size in FAST_SIZES else 1.0
        found.append(Figure(f"{name}, of the reference", 1 / speedup, "x ref", bound))
    if work == "forward" and row.extra_bytes is not None:
        bound = GIB_4K if problem.size == "4K" else None
        found.append(Figure(f"{name}, extra memory", row.extra_bytes / GIB, "GiB", bound))
    if problem.size == row.checked_on.split()[0]:
        for result, error in row.errors.items():
            bound = ERRORS.get(result, OTHER_ERRORS)
            found.append(Figure(f"{name}, error of the {result}", error, "x ref", bound))
    return found


def main() -> None:
    what, *of = sys.argv[1:]
    if what == "problems":
        print(json.dumps({size: arguments(size) for size in of}))
    else:
        print(json.dumps([dataclasses.asdict(figure) for figure in figures(Record.read(of[0]))]))


if __name__ == "__main__":
    main()
