"""python -m benchmarks.bounds: prints figures with their bounds, and writes a record.

Float32, 128 channels, rate 2, propagation on, a centre hole of half the side; maps are a quarter of
the image's side. Ends with status 1 where a figure misses its bound.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from benchmarks import memory, problems, speed, strips
from benchmarks.report import Figure, Report

MIB = 2**20
MEMORY_BOUNDS_MIB = {
    "forward": {512: 96, 1024: 256, 2048: 1536},
    "backward": {512: 192, 1024: 512, 2048: 3072},
}
PARTS = ("speed", "strips", "reference", "memory")


def main() -> int:
    options = parse()
    torch.set_num_threads(options.threads)
    report = Report(options.threads)
    if "speed" in options.parts:
        for side in options.sides:
            speed.run(report, side, options.rounds)
    if "strips" in options.parts:
        for side in options.sides:
            strips.run(report, side, options.rounds)
    if "reference" in options.parts:
        add_reference(report, min(options.sides))
    if "memory" in options.parts:
        add_memory(report, options.memory_sides)
    if options.record is not None or not options.quick:
        print("record:", report.write(options.record))
    missed = report.missed()
    print(f"{len(missed)} of {sum(f.bound is not None for f in report.figures)} bounds missed")
    return 1 if missed else 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.bounds",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "parts",
        nargs="*",
        metavar="PART",
        help=f"what to measure, of {', '.join(PARTS)} (all of these)",
    )
    parser.add_argument("--sides", type=int, nargs="+", help="image sides for speed (512 1024)")
    parser.add_argument("--memory-sides", type=int, nargs="+", help="(512 1024 2048)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, help="rounds of each timing (7)")
    parser.add_argument("--quick", action="store_true", help="small sizes, 3 rounds, no record")
    parser.add_argument("--record", type=Path, help="where to write the record, also with --quick")
    options = parser.parse_args()
    unknown = sorted(set(options.parts) - set(PARTS))
    if unknown:
        parser.error(f"unknown part {unknown[0]}: choose from {', '.join(PARTS)}")
    options.parts = options.parts or PARTS
    options.rounds = options.rounds or (3 if options.quick else 7)
    options.sides = options.sides or ([256] if options.quick else [512, 1024])
    options.memory_sides = options.memory_sides or ([512] if options.quick else [512, 1024, 2048])
    return options


def add_memory(report: Report, sides: list[int]) -> None:
    for side in sides:
        for which in memory.PASSES:
            for kind, skip in speed.CASES:
                grown = memory.peak_growth(kind, side, which, skip, report.threads, "auto")
                report.add(
                    Figure(
                        f"{side} {which} peak memory growth, {kind}, skip={skip}",
                        grown / MIB,
                        "MiB",
                        MEMORY_BOUNDS_MIB[which].get(side),
                        {"bytes": grown},
                    )
                )


def add_reference(report: Report, side: int) -> None:
    """What the unfused layer in plain torch takes, for comparison."""
    seconds = speed.time_forward(problems.make("noise", side), "reference")
    report.add(Figure(f"{side} forward, reference backend", seconds, "s"))
    grown = memory.peak_growth("noise", side, "forward", "never", report.threads, "reference")
    report.add(Figure(f"{side} forward peak memory growth, reference backend", grown / MIB, "MiB"))


if __name__ == "__main__":
    sys.exit(main())
