"""The layer on the emulated CUDA kernels: the functions of the package, for tensors on the CPU.

The same kernels as on a device, compiled as C++ and run by the emulator (emulator/). They have the
arguments of the functions they are named after, and a schedule in the place of a backend.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gica_ops import checks
from gica_ops.results import Attended, Match
from tests.native.builder import load_emulated

__all__ = ["Schedule", "contextual_attention", "match"]


@dataclass(frozen=True)
class Schedule:
    """How the kernels are run."""

    family: str = "sm80"
    allow_tf32: bool = False
    generic: bool = False  # leave the kernels for common sizes aside
    eager: bool = False  # asynchronous work is done when it is issued, not as late as it may be
    seed: int = 0  # the order in which warps and lanes run
    threads: int = 2  # blocks that run at the same time
    scratch_limit: int = 0  # bytes for what grows with P x Q; 0: the kernels' own choice
    poison: int = 0xFF  # the byte that outputs and scratch are full of

    def native(self) -> Any:
        return load_emulated().Schedule(**asdict(self))


def array(x: Tensor) -> np.ndarray:
    """The tensor's memory; bfloat16 as its bits."""
    x = x.detach()
    if x.dtype == torch.bfloat16:
        return x.view(torch.int16).numpy().view(np.uint16)
    return x.numpy()


def tensor(x: np.ndarray) -> Tensor:
    if x.dtype == np.uint16:
        return torch.from_numpy(x.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(x)


def problem_of(inputs: checks.Inputs, **options: Any) -> Any:
    f, b, hole, values, query, ksize, rate, fuse_k = inputs
    return load_emulated().Problem(
        array(f),
        array(b),
        None if values is None else array(values),
        hole=None if hole is None else array(hole),
        query=None if query is None else array(query),
        ksize=ksize,
        rate=rate,
        fuse_k=fuse_k,
        **options,
    )


class _Attention(torch.autograd.Function):
    """The forward and the backward kernels. Tensors come one by one: autograd looks for them."""

    @staticmethod
    def forward(ctx, f, b, values, inputs, options, schedule, offsets_too):
        problem = problem_of(inputs._replace(f=f, b=b, values=values), **options)
        out = load_emulated().forward(problem, schedule.native(), offsets_too)
        ctx.problem, ctx.schedule, ctx.saved = problem, schedule, out
        offsets = tensor(out["offsets"]) if offsets_too else None
        return tensor(out["y"]), offsets

    @staticmethod
    def backward(ctx, grad_y, _):
        saved = (ctx.saved[name] for name in ("row_max", "row_sum", "live"))
        wanted = {n for n, w in zip(("f", "b", "values"), ctx.needs_input_grad, strict=False) if w}
        gradients = load_emulated().backward(
            ctx.problem, array(grad_y), *saved, ctx.schedule.native(), wanted
        )
        found = (gradients.get(name) for name in ("f", "b", "values"))
        return *(None if g is None else tensor(g) for g in found), None, None, None, None


def contextual_attention(
    f: Tensor,
    b: Tensor,
    mask: Tensor | None = None,
    ksize: int = 3,
    stride: int = 1,
    rate: int = 1,
    fuse_k: int = 3,
    softmax_scale: float = 10.0,
    *,
    fuse: bool = True,
    values: Tensor | None = None,
    query_mask: Tensor | None = None,
    semantics: str = "tf",
    return_offsets: bool = False,
    skip: str = "auto",
    schedule: Schedule = Schedule(),
) -> Tensor | Attended:
    checks.choices(semantics, skip)
    inputs = checks.inputs(f, b, mask, values, query_mask, ksize, stride, rate, fuse_k, fuse)
    options = {
        "softmax_scale": checks.scale(softmax_scale),
        "semantics": semantics,
        "skip": skip == "auto",
    }
    y, offsets = _Attention.apply(
        inputs.f, inputs.b, inputs.values, inputs, options, schedule, return_offsets
    )
    return Attended(y, offsets) if return_offsets else y


def match(
    f: Tensor,
    b: Tensor,
    mask: Tensor | None = None,
    ksize: int = 3,
    stride: int = 1,
    rate: int = 1,
    fuse_k: int = 3,
    *,
    fuse: bool = True,
    query_mask: Tensor | None = None,
    semantics: str = "tf",
    schedule: Schedule = Schedule(),
) -> Match:
    checks.choices(semantics)
    inputs = checks.inputs(f, b, mask, None, query_mask, ksize, stride, rate, fuse_k, fuse)
    found = load_emulated().match(problem_of(inputs, semantics=semantics), schedule.native())
    return Match(tensor(found["offsets"]), tensor(found["scores"]))
