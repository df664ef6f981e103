"""Prints a Markdown table of the CUDA kernels: what they take, and how a device is filled by them.

    python tests/native/cuda_report.py
    python tests/native/cuda_report.py --device "RTX 4090" --dtype float32 --side 512

No GPU is needed: registers and shared memory are the compiler's, the launches those of the kernels'
own host code for one image (128 channels, rate 2, features of a quarter of its side), run on a
runtime that only takes them down. The kernels are built where they are not yet.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.native.gate.build import Off, build_kernels
from tests.native.gate.compiled import Kernel, demangled, read_logs
from tests.native.gate.launches import DEVICES, PASSES, Device, Launch, Recording, Sizes, record
from tests.native.gate.occupancy import blocks_per_multiprocessor, occupancy

FEATURE_STRIDE = 4
HEADER = (
    "pass", "kernel", "launches", "blocks", "threads", "registers", "shared, KiB",
    "blocks per multiprocessor", "occupancy",
)  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="cuda_report.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--device", choices=DEVICES, default="H200")
    parser.add_argument("--dtype", choices=("bfloat16", "float16", "float32"), default="bfloat16")
    parser.add_argument("--tf32", action="store_true", help="float32 products rounded to TF32")
    parser.add_argument("--side", type=int, default=1024, help="of the image, in pixels (1024)")
    options = parser.parse_args()
    try:
        kernels = read_logs(build_kernels())
    except Off as reason:
        print(reason, file=sys.stderr)
        return 1
    device = DEVICES[options.device]
    print(table(kernels, device, options.dtype, options.tf32, options.side))
    return 0


def table(kernels: list[Kernel], device: Device, dtype: str, tf32: bool, side: int) -> str:
    size = side // FEATURE_STRIDE
    sizes = Sizes((size, size), allow_tf32=tf32)
    known = {(kernel.name, kernel.architecture): kernel for kernel in kernels}
    lines = [
        f"{device.name}, code for {device.architecture}, {dtype}, an image of {side} x {side}.",
        "",
        "| " + " | ".join(HEADER) + " |",
        "|---|---|" + "---:|" * (len(HEADER) - 2),
    ]
    for which in PASSES:
        recording = record(which, dtype, sizes, device)
        if recording.error:
            raise RuntimeError(f"{which}: error {recording.error} in {recording.what}")
        for first, times in in_order(recording):
            kernel = known[first.kernel, device.architecture]
            cells = (which, f"`{demangled(kernel.name)}`", times, *figures(kernel, first, device))
            lines.append("| " + " | ".join(map(str, cells)) + " |")
        lines.append(f"| {which} | scratch: {recording.scratch / 2**20:.1f} MiB |" + " |" * 7)
    return "\n".join(lines)


def in_order(recording: Recording) -> list[tuple[Launch, int]]:
    """Every kernel's first launch and how often it is launched, in the order of the pass."""
    times = Counter(launch.kernel for launch in recording.launches)
    first: dict[str, Launch] = {}
    for launch in recording.launches:
        first.setdefault(launch.kernel, launch)
    return [(launch, times[name]) for name, launch in first.items()]


def figures(kernel: Kernel, launch: Launch, device: Device) -> tuple[object, ...]:
    shared = (kernel.shared + launch.dynamic_shared) / 1024
    blocks = blocks_per_multiprocessor(kernel, launch, device)
    share = f"{occupancy(kernel, launch, device):.0%}"
    return launch.blocks, launch.threads, kernel.registers, f"{shared:.1f}", blocks, share


if __name__ == "__main__":
    sys.exit(main())
