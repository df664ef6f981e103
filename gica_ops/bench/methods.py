"""The ways to compute a problem that are measured beside each other."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .. import available_backends, contextual_attention
from . import baselines
from .problems import Inputs, Problem

__all__ = ["METHODS", "Run", "make_run", "reason_against"]

METHODS = {
    "gica": "the library's kernels",
    "reference": "the unfused layer in plain PyTorch",
    "compiled": "the same under torch.compile",
    "grouped": "grouped convolutions, as the PyTorch ports",
    "sdpa": "scaled_dot_product_attention on unfolded patches, without propagation",
}
Run = Callable[[], dict[str, Tensor]]
Layer = Callable[[Tensor, Tensor, Tensor], Tensor]


def reason_against(method: str, problem: Problem) -> str | None:
    """Why a method has nothing to do with a problem, a sentence; None where it has."""
    generator = problem.work == "generator"
    if ":" in method:
        return "a layer of your own is not in the generator" if generator else None
    if method not in METHODS:
        known = ", ".join(METHODS)
        raise ValueError(f"method must be {known} or MODULE:FUNCTION, got {method!r}")
    if method == "sdpa" and problem.fuse:
        return "it cannot propagate scores"
    if generator and method not in ("gica", "reference"):
        return "the generator has no such backend"
    if method == "gica":
        return available_backends(problem.device)[problem.device]
    return None


def make_run(method: str, problem: Problem, inputs: Inputs) -> Run:
    """What does the work of a problem once, and returns what came out by name.

    method: of `METHODS`, or "module:function", a function of f, b, mask, rate and fuse.

    >>> problem = Problem(64, 64, channels=4)
    >>> run = make_run("reference", problem, Inputs.of(problem))
    >>> run()["output"].shape
    torch.Size([1, 4, 16, 16])
    """
    if problem.work == "generator":
        return _generator(method, inputs)
    layer = _layer(method, problem)
    if problem.work == "forward":

        def forward() -> dict[str, Tensor]:
            with torch.no_grad():
                return {"output": layer(inputs.f, inputs.b, inputs.mask)}

        return forward
    f, b = (x.detach().requires_grad_() for x in (inputs.f, inputs.b))

    def gradients(y: Tensor, keep: bool) -> dict[str, Tensor]:
        df, db = torch.autograd.grad(y, (f, b), inputs.g, retain_graph=keep)
        return {"gradient of f": df, "gradient of b": db}

    if problem.work == "backward":
        graph: list[Tensor] = []  # the first run makes it, and is part of what warms up

        def backward() -> dict[str, Tensor]:
            if not graph:
                graph.append(layer(f, b, inputs.mask))
            return gradients(graph[0], keep=True)

        return backward

    def both() -> dict[str, Tensor]:
        y = layer(f, b, inputs.mask)
        return {"output": y.detach(), **gradients(y, keep=False)}

    return both


def _layer(method: str, problem: Problem) -> Layer:
    options: dict[str, Any] = {"rate": problem.rate, "fuse": problem.fuse}
    if ":" in method:
        module, _, name = method.partition(":")
        return functools.partial(getattr(importlib.import_module(module), name), **options)
    if method == "grouped":
        return _wide(functools.partial(baselines.grouped_convolutions, **options))
    if method == "sdpa":
        return _wide(functools.partial(baselines.scaled_dot_product, rate=problem.rate))
    backend = problem.device if method == "gica" else "reference"

    def layer(f: Tensor, b: Tensor, mask: Tensor) -> Tensor:
        return contextual_attention(f, b, mask, **options, skip=problem.skip, backend=backend)

    return torch.compile(layer, dynamic=False) if method == "compiled" else layer


def _wide(layer: Layer) -> Layer:
    """The layer in float32: scores in the hundreds have no digits left in half types."""
    return lambda f, b, mask: layer(f.float(), b.float(), mask).to(f.dtype)


def _generator(method: str, inputs: Inputs) -> Run:
    from ..model import Generator

    torch.manual_seed(0)
    generator = Generator.v1(backend="auto" if method == "gica" else "reference")
    generator.to(inputs.f.device, inputs.f.dtype).eval()

    def run() -> dict[str, Tensor]:
        with torch.no_grad():
            stage1, stage2 = generator(inputs.f, inputs.mask)
        return {"first stage": stage1, "second stage": stage2}

    return run
