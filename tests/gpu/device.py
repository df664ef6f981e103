"""The layer on CUDA as a function of CPU tensors, so that the same judge tries every backend."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

import gica_ops
from gica_ops.testing import Problem

__all__ = ["REASON", "attention", "match", "moved", "to_cuda"]

REASON = gica_ops.available_backends("cuda")["cuda"]
"""Why nothing here can run, None where it can."""


def to_cuda(x: Tensor) -> Tensor:
    """The same values with the same strides; gaps between them are left as they are found."""
    y = torch.empty_strided(x.size(), x.stride(), dtype=x.dtype, device="cuda")
    return y.copy_(x)


def moved(problem: Problem) -> Problem:
    """The same problem on CUDA; one tensor where f is b."""

    def to(x: Tensor | None) -> Tensor | None:
        return None if x is None else to_cuda(x)

    f = to_cuda(problem.f)
    b = f if problem.b is problem.f else to_cuda(problem.b)
    masks = to(problem.mask), to(problem.query_mask)
    return Problem(f, b, masks[0], to(problem.values), masks[1], problem.options)


def _on_cuda(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(**arguments: Any) -> Any:
        here = {k: to_cuda(v) if isinstance(v, Tensor) else v for k, v in arguments.items()}
        result = function(**here, backend="cuda")
        if isinstance(result, Tensor):
            return result.cpu()
        return type(result)(*(part.cpu() for part in result))

    return call


attention = _on_cuda(gica_ops.contextual_attention)
match = _on_cuda(gica_ops.match)
