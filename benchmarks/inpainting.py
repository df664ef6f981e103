"""Times of `gica inpaint` as a person meets them: a fresh process, files in, file out."""

from __future__ import annotations

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

__all__ = ["run"]

BOUNDS = {512: 4.0, 2048: 40.0}
PHOTOGRAPH = problems.PHOTOGRAPHS["coffee"]


def run(report: Report, side: int, rounds: int) -> None:
    """Adds the time for a square photograph with a centre hole of a quarter of its side."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        pixels = problems.photograph(PHOTOGRAPH, side)[0].permute(1, 2, 0) * 255
        Image.fromarray(pixels.round().byte().numpy()).save(folder / "image.png")
        hole = problems.centre_hole(side, side // 4)[0, 0].numpy()
        Image.fromarray(hole.astype(np.uint8) * 255).save(folder / "mask.png")
        command: list[str | Path] = [
            sys.executable, "-m", "gica_ops.cli", "inpaint", "--image", folder / "image.png",
            "--mask", folder / "mask.png", "--output", folder / "output.png",
        ]  # fmt: skip
        seconds = []
        for _ in range(rounds):
            start = time.perf_counter()
            subprocess.run(
                command,
                check=True,
                capture_output=True,
                env={**os.environ, "OMP_NUM_THREADS": str(report.threads)},
            )
            seconds.append(time.perf_counter() - start)
    report.add(
        Figure(
            f"gica inpaint {side} x {side}, hole {side // 4}",
            float(np.median(seconds)),
            "s",
            BOUNDS.get(side),
            {"seconds": seconds, "photograph": PHOTOGRAPH},
        )
    )
