"""python -m benchmarks.inpainting: time and memory of `gica inpaint` as a person meets them.

A fresh process copies patches, from files to file. The picture is a photograph at 512 and 2048,
with a centre hole of a quarter of its side; at 4K and 8K it is the photograph mirrored over and
over, with noise, and the hole an eighth of each side. Ends with status 1 where a figure misses its
bound.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks import problems
from benchmarks.report import Figure, Report

__all__ = ["SIZES", "run"]

# Height, width, the image's sides over the hole's; the most it may take in seconds and MiB.
SIZES: dict[str, tuple[int, int, int, float | None, float | None]] = {
    "512": (512, 512, 4, 4.0, None),
    "2048": (2048, 2048, 4, 40.0, None),
    "4K": (2160, 3840, 8, 60.0, 1536),
    "8K": (4320, 7680, 8, 180.0, 4096),
}
PHOTOGRAPH = problems.PHOTOGRAPHS["coffee"]
TILE = 1024
NOISE = 2.0  # of 255: what a camera adds


def picture(height: int, width: int) -> np.ndarray:
    """(height, width, 3) uint8: a photograph, made larger by mirroring, not by stretching."""
    side = height if height == width else TILE
    tile = 255 * problems.photograph(PHOTOGRAPH, side)[0].permute(1, 2, 0).numpy()
    padding = ((0, height - side), (0, width - side), (0, 0))
    pixels: np.ndarray = np.pad(tile, padding, mode="symmetric")
    if height != width:
        noise = np.random.default_rng(0).normal(0, NOISE, pixels.shape)
        pixels += noise.astype(np.float32)
    return pixels.round().clip(0, 255).astype(np.uint8)


def run(report: Report, size: str, rounds: int) -> None:
    """Adds the median time of a size, and the largest memory of its processes."""
    height, width, divisor, most_seconds, most_mib = SIZES[size]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        Image.fromarray(picture(height, width)).save(folder / "image.png", compress_level=1)
        hole = np.zeros((height, width), np.uint8)
        rows, columns = (
            slice((n - n // divisor) // 2, (n + n // divisor) // 2) for n in hole.shape
        )
        hole[rows, columns] = 255
        Image.fromarray(hole).save(folder / "mask.png")
        runs = [once(folder, report.threads) for _ in range(rounds)]
    seconds, peaks = zip(*runs, strict=True)
    name = f"gica inpaint {width} x {height}, hole {width // divisor} x {height // divisor}"
    details = {"seconds": seconds, "photograph": PHOTOGRAPH}
    report.add(Figure(name, float(np.median(seconds)), "s", most_seconds, details))
    mib = max(peaks) / 2**20
    report.add(Figure(f"{name}, peak memory of the process", mib, "MiB", most_mib))


def once(folder: Path, threads: int) -> tuple[float, int]:
    """Seconds, and bytes of resident memory at the peak, Python and torch included."""
    command: list[str | Path] = [
        sys.executable, "-m", "gica_ops.cli", "inpaint", "--image", folder / "image.png",
        "--mask", folder / "mask.png", "--output", folder / "output.png", "--method", "exemplar",
    ]  # fmt: skip
    start = time.perf_counter()
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": str(threads)},
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"gica inpaint ended with status {process.returncode}")
    return time.perf_counter() - start, usage.ru_maxrss * 1024


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.inpainting",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("sizes", nargs="*", metavar="SIZE", help=f"{', '.join(SIZES)} (all)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--record", type=Path, help="where to write the record")
    options = parser.parse_args()
    unknown = sorted(set(options.sizes) - set(SIZES))
    if unknown:
        parser.error(f"unknown size {unknown[0]}: choose from {', '.join(SIZES)}")
    report = Report(options.threads)
    for size in options.sizes or SIZES:
        run(report, size, options.rounds)
    if options.record is not None:
        print("record:", report.write(options.record))
    return 1 if report.missed() else 0


if __name__ == "__main__":
    sys.exit(main())
