"""Peak growth of resident memory over one pass, measured in a fresh process.

The inputs, with the gradient handed to the backward, are in memory before the count starts; what
the pass allocates, its output included, is counted. The backward's figure is that of a whole step,
forward and backward, so it includes what the forward leaves for the backward.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import subprocess
import sys
from pathlib import Path

import torch

from benchmarks import problems

__all__ = ["PASSES", "peak_growth"]

PASSES = ("forward", "backward")


def peak_growth(
    kind: str, image_side: int, which: str, skip: str, threads: int, backend: str
) -> int:
    """Bytes; `kind` of problems.KINDS, `which` of PASSES."""
    command = [
        sys.executable, "-m", "benchmarks.memory", kind, str(image_side), which, skip,
        str(threads), backend,
    ]  # fmt: skip
    root = Path(__file__).resolve().parent.parent
    done = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True)
    return int(json.loads(done.stdout)["peak_growth_bytes"])


def run_pass(
    problem: problems.Problem, grad: torch.Tensor, which: str, skip: str, backend: str
) -> None:
    from gica_ops import contextual_attention

    problem.f.requires_grad_(which == "backward")
    problem.b.requires_grad_(which == "backward")
    with torch.set_grad_enabled(which == "backward"):
        y = contextual_attention(**problem.arguments(skip), backend=backend)
        if which == "backward":
            torch.autograd.backward(y, grad)


def status_bytes(field: str) -> int:
    """A field of /proc/self/status, e.g. VmHWM, the peak of resident memory."""
    for line in Path("/proc/self/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) * 1024
    raise RuntimeError(f"/proc/self/status has no {field}")


def child(kind: str, image_side: int, which: str, skip: str, threads: int, backend: str) -> int:
    torch.set_num_threads(threads)
    # A tiny problem first: code is loaded and threads are started before the count.
    tiny = problems.make("noise", 64)
    run_pass(tiny, torch.ones_like(tiny.f), which, skip, backend)
    problem = problems.make(kind, image_side)
    grad = torch.ones_like(problem.f)
    # What making the inputs has left free would otherwise be used again, uncounted.
    ctypes.CDLL(None).malloc_trim(0)
    before = status_bytes("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from here
    run_pass(problem, grad, which, skip, backend)
    return status_bytes("VmHWM") - before


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.memory", description=__doc__)
    parser.add_argument("kind", choices=problems.KINDS)
    parser.add_argument("image_side", type=int)
    parser.add_argument("which", choices=PASSES)
    parser.add_argument("skip", choices=("auto", "never"))
    parser.add_argument("threads", type=int)
    parser.add_argument("backend")
    print(json.dumps({"peak_growth_bytes": child(**vars(parser.parse_args()))}))


if __name__ == "__main__":
    main()
