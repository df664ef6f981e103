"""Small problems for compute-sanitizer, which runs kernels a hundred times slower:

    compute-sanitizer --tool memcheck python -m tests.gpu.sanitized

Without PyTorch's cache, so that every tensor is an allocation of its own, with a guarded end.
"""

from __future__ import annotations

import os

os.environ["PYTORCH_NO_CUDA_MEMORY_CACHING"] = "1"

import torch

import gica_ops
from gica_ops.testing import make_problem
from tests.gpu.device import moved

PROBLEMS = (
    {"channels": 16, "size": (36, 40), "rate": 2},
    {"channels": 5, "size": (9, 20), "b_size": (21, 7), "fuse_k": 5, "mask": "irregular"},
    {"channels": 16, "size": (24, 20), "rate": 4, "value_scale": 2, "query": True, "batch": 2},
)
DTYPES = (torch.bfloat16, torch.float32, torch.float16)


def main() -> None:
    for options in PROBLEMS:
        for dtype in DTYPES:
            p = moved(make_problem(**options, dtype=dtype, kind="natural")).requires_grad()
            y = gica_ops.contextual_attention(**p.attention_arguments(), backend="cuda")
            y.float().square().sum().backward()
            gica_ops.match(**p.match_arguments(), backend="cuda")
    torch.cuda.synchronize()
    print("every small problem ran")


if __name__ == "__main__":
    main()
