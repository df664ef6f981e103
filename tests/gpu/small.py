"""Small problems of every kind: what to run first on a device, and what compute-sanitizer watches,
under which kernels are many times slower.

    python -m tests.gpu.small bfloat16
    compute-sanitizer --tool memcheck python -m tests.gpu.small --only-run bfloat16

Names a problem before it runs, so that a kernel that hangs is known. Without PyTorch's cache: every
tensor is an allocation of its own, with a guarded end.
"""

from __future__ import annotations

import os
import sys

import torch

import gica_ops
from gica_ops.testing import Problem, make_problem
from tests.gpu.device import moved
from tests.tiles import PASTES, WALKS

PROBLEMS = {
    "rate 2": {"channels": 16, "size": (36, 40), "rate": 2},
    "propagation by 5": {
        "channels": 5, "size": (9, 20), "b_size": (21, 7), "fuse_k": 5, "mask": "irregular",
    },
    "values, queried": {
        "channels": 16, "size": (24, 20), "rate": 4, "value_scale": 2, "query": True, "batch": 2,
    },
    "two tiles of the foreground": WALKS["two tiles of the foreground"],
    "two steps of depth": WALKS["two steps of depth"],
    "two parts of the columns": PASTES["two parts of the columns"],
    "split lists, dense": PASTES["split lists, dense"],
}  # fmt: skip
# Of the largest value: far more than rounding does, far less than a wrong kernel.
MOST = {"float32": 0.001, "bfloat16": 0.03, "float16": 0.005}


def compute(problem: Problem, backend: str) -> list[torch.Tensor]:
    """The output, the gradients and the best scores."""
    p = problem.requires_grad()
    y = gica_ops.contextual_attention(**p.attention_arguments(), backend=backend)
    g = torch.linspace(-1, 1, y.numel(), device=y.device).view_as(y)
    y.backward(g.to(y.dtype))
    scores = gica_ops.match(**p.match_arguments(), backend=backend).scores
    leaves = [leaf for leaf in (p.f, p.b, p.values) if leaf is not None]
    return [y.detach(), *(leaf.grad for leaf in leaves if leaf.grad is not None), scores]


def off_by(results: list[torch.Tensor], expected: list[torch.Tensor]) -> float:
    """The largest error of any result, in its largest value; infinite where one is not finite."""
    worst = 0.0
    for one, right in zip(results, expected, strict=True):
        finite = right.isfinite()  # scores of what is not queried are not
        if not torch.equal(one.isfinite(), finite):
            return float("inf")
        one, right = one[finite].double(), right[finite].double()
        if one.numel():
            scale = right.abs().max().clamp_min(torch.finfo(torch.float32).tiny)  # all may be 0
            worst = max(worst, float((one - right).abs().max() / scale))
    return worst


def main(arguments: list[str], device: str = "cuda", backend: str = "cuda") -> int:
    os.environ["PYTORCH_NO_CUDA_MEMORY_CACHING"] = "1"  # read at the first allocation
    only_run, dtype = arguments[:-1] == ["--only-run"], arguments[-1]
    wrong = 0
    for name, options in PROBLEMS.items():
        print(f"{name}, {dtype}: ", end="", flush=True)
        problem = make_problem(kind="natural", **options, dtype=getattr(torch, dtype))
        if device == "cuda":
            problem = moved(problem)
        results = compute(problem, backend)
        if device == "cuda":
            torch.cuda.synchronize()
        if only_run:
            print("ran", flush=True)
            continue
        error = off_by(results, compute(problem.to(torch.float32), "reference"))
        wrong += not error <= MOST[dtype]
        print(f"off by {error:.2g}{'' if error <= MOST[dtype] else ', WRONG'}", flush=True)
    print(f"{len(PROBLEMS) - wrong} of {len(PROBLEMS)} small problems are right in {dtype}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
