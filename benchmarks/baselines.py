"""What the layer is measured against: its bare matrix products, by torch.mm and by its own kernel.

The products are dense, on operands of the layer's sizes, and write nothing but their result. Those
whose P x Q matrix passes STRIP_BYTES are done in strips of its rows, over and over into the same
buffer: that spares them the page faults of a fresh matrix of several GB.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from benchmarks.problems import RATE, Problem
from tests.native.builder import load_bridge

__all__ = ["Product", "backward_products", "candidates", "forward_products", "tile_products"]

STRIP_BYTES = 256 * 2**20


@dataclass(frozen=True)
class Product:
    """rows x inner times inner x columns."""

    name: str
    rows: int
    inner: int
    columns: int
    right_transposed: bool = False

    @property
    def operations(self) -> int:
        return 2 * self.rows * self.inner * self.columns


def forward_products(problem: Problem) -> list[Product]:
    """10 P Q C operations at rate 2."""
    positions, channels, values = sizes(problem)
    return [
        Product("match", positions, channels, positions, right_transposed=True),
        Product("paste", positions, positions, values),
    ]


def backward_products(problem: Problem) -> list[Product]:
    """22 P Q C operations at rate 2: the match again, dA, and what ends in f, b and the values."""
    positions, channels, values = sizes(problem)
    return [
        Product("match", positions, channels, positions, right_transposed=True),
        Product("attention gradient", positions, values, positions, right_transposed=True),
        Product("foreground gradient", positions, positions, channels),
        Product("background gradient", positions, positions, channels),
        Product("value gradient", positions, positions, values),
    ]


def tile_products(problem: Problem) -> list[Product]:
    """The pieces that the kernels cut these into: rows of a map with their halo, tiles of 8 x 8."""
    _, channels, values = sizes(problem)
    row = problem.f.shape[3] // RATE + 4
    return [
        Product("match tile", row, channels, row),
        Product("paste block", 64, 64, values),
        Product("attention gradient block", 81, values, 64),
        Product("map gradient tile", row, row, channels),
    ]


def sizes(problem: Problem) -> tuple[int, int, int]:
    """Positions, channels, and the values pasted per position."""
    channels = problem.f.shape[1]
    return problem.positions, channels, RATE**2 * channels


def candidates(product: Product, threads: int, repeats: int = 1) -> dict[str, Callable[[], object]]:
    """The product by "own" and by "mm", each a function that does all of it, `repeats` times."""
    largest = product.rows * max(product.columns, product.inner) * 4
    strips = -(-largest // STRIP_BYTES)
    if product.rows % strips:
        raise ValueError(f"{product.rows} rows do not divide into {strips} strips")
    rows = product.rows // strips
    generator = torch.Generator().manual_seed(0)
    left = torch.rand(rows, product.inner, generator=generator)
    right = torch.rand(product.inner, product.columns, generator=generator)
    if product.right_transposed:
        right = right.t().contiguous()
    right_view = right.t() if product.right_transposed else right
    out = torch.empty(rows, product.columns)
    arrays = left.numpy(), right.numpy(), product.right_transposed, threads, out.numpy()
    bridge = load_bridge()
    kernels = bridge.best()

    def own() -> None:
        for _ in range(strips * repeats):
            bridge.product(kernels, *arrays)

    def mm() -> None:
        for _ in range(strips * repeats):
            torch.mm(left, right_view, out=out)

    return {"own": own, "mm": mm}
