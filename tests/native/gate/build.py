"""Builds what the compile gate looks at: the CUDA kernels, their logs, and the recorder."""

from __future__ import annotations

import functools
import sys
from pathlib import Path

from tests.native.builder import BUILD, ROOT, run, tool
from tests.native.lock import alone_in

__all__ = ["Off", "build_kernels"]


class Off(Exception):
    """There are no CUDA kernels in this build; the message says why."""


@functools.cache
def build_kernels() -> Path:
    """The build folder with the kernels and the recorder up to date in it; raises Off."""
    with alone_in(BUILD):
        run(
            tool("cmake"), "-S", ROOT, "-B", BUILD, "-G", "Ninja", "-DGICA_GATE=ON",
            "-DCMAKE_BUILD_TYPE=Release", f"-DCMAKE_MAKE_PROGRAM={tool('ninja')}",
            f"-DPython_EXECUTABLE={sys.executable}",
        )  # fmt: skip
        off = (BUILD / "cuda_off.txt").read_text()
        if off:
            raise Off(f"no CUDA kernels in this build: {off}")
        run(tool("cmake"), "--build", BUILD, "--target", "gica_cuda_recorder")
    return BUILD
