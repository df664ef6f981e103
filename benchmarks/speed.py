"""Times of the layer, as multiples of the time of its bare matrix products in the same run."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Sequence

import torch

from benchmarks import baselines, problems
from benchmarks.baselines import Product
from benchmarks.report import Figure, Report
from benchmarks.timing import Times, measure, ratio

__all__ = ["CASES", "run", "time_forward"]

# The most that each pass may take, in bare products, where the products outweigh all that is fixed.
BOUNDED_SIDES = (512, 1024)
BOUNDS = {
    ("forward", "never"): 1.6,
    ("forward", "auto"): 1.0,
    ("backward", "never"): 1.8,
    ("backward", "auto"): 1.1,
}
# In noise skipping has little to skip; its bound is stated for the features of photographs.
CASES = [("noise", "never"), *((kind, "auto") for kind in problems.PHOTOGRAPHS)]


def run(report: Report, image_side: int, rounds: int) -> None:
    """Adds the figures of one image size: products, forward and backward."""
    made = {kind: problems.make(kind, image_side) for kind, _ in CASES}
    add_tiles(report, image_side, baselines.tile_products(made["noise"]), rounds)
    for which, products in (
        ("forward", baselines.forward_products(made["noise"])),
        ("backward", baselines.backward_products(made["noise"])),
    ):
        runs: dict[str, Callable[[], object]] = {}
        for product in products:
            for by, candidate in baselines.candidates(product, report.threads).items():
                runs[f"{product.name} {by}"] = candidate
        for kind, skip in CASES:
            runs[f"{kind} {skip}"] = layer_pass(made[kind], which, skip)
        times = measure(runs, rounds)
        bare = add_products(report, f"{image_side} {which}", products, times, None)
        for kind, skip in CASES:
            layer = times[f"{kind} {skip}"]
            report.add(
                Figure(
                    f"{image_side} {which}, {kind}, skip={skip}",
                    ratio(layer, bare),
                    "x bare",
                    BOUNDS[which, skip] if image_side in BOUNDED_SIDES else None,
                    {
                        "layer": layer.record(),
                        "bare": bare.record(),
                        "live_blocks": live_blocks(made[kind]) if skip == "auto" else 1.0,
                    },
                )
            )


def add_tiles(report: Report, image_side: int, products: Sequence[Product], rounds: int) -> None:
    """The products as the kernels cut them, on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    runs: dict[str, Callable[[], object]] = {}
    for product in products:
        repeats = max(1, round(2e9 / product.operations))  # some 10 ms
        for by, candidate in baselines.candidates(product, 1, repeats).items():
            runs[f"{product.name} {by}"] = candidate
    add_products(report, f"{image_side} tile", products, measure(runs, rounds), 1.0)
    torch.set_num_threads(threads)


def add_products(
    report: Report,
    name: str,
    products: Sequence[Product],
    times: dict[str, Times],
    bound: float | None,
) -> Times:
    """Adds a figure for each product, own kernel against torch.mm; the sum of the faster ones."""
    faster = []
    for product in products:
        own, mm = times[f"{product.name} own"], times[f"{product.name} mm"]
        shape = f"{product.rows} x {product.inner} x {product.columns}"
        report.add(
            Figure(
                f"{name} product {shape}, own kernel",
                ratio(own, mm),
                "x mm",
                bound,
                {"product": product.name, "own": own.record(), "mm": mm.record()},
            )
        )
        faster.append(min(own, mm, key=lambda candidate: candidate.median))
    return functools.reduce(operator.add, faster)


def layer_pass(problem: problems.Problem, which: str, skip: str) -> Callable[[], object]:
    """The forward, or the backward of a forward that was run once, before."""
    from gica_ops import contextual_attention

    if which == "forward":

        def forward() -> torch.Tensor:
            with torch.no_grad():
                return contextual_attention(**problem.arguments(skip))

        return forward

    f, b = (x.detach().requires_grad_() for x in (problem.f, problem.b))
    y = contextual_attention(**{**problem.arguments(skip), "f": f, "b": b})
    grad = torch.randn(y.shape, generator=torch.Generator().manual_seed(1))
    return lambda: torch.autograd.grad(y, (f, b), grad, retain_graph=True)


def live_blocks(problem: problems.Problem) -> float:
    """The share of blocks of attention that skipping leaves."""
    options = (3, problems.RATE, 3, 10.0, "tf", True, False, False)
    hole = problem.mask
    _, _, _, live, _ = torch.ops.gica_ops.attend(problem.f, problem.b, hole, None, None, *options)
    return live.float().mean().item()


def time_forward(problem: problems.Problem, backend: str) -> float:
    """Seconds of one forward through a backend, the least of two."""
    from gica_ops import contextual_attention

    with torch.no_grad():
        arguments = problem.arguments()
        times = measure({"": lambda: contextual_attention(**arguments, backend=backend)}, 2)
    return times[""].least
