"""The golden networks (tests/data/golden/README.md): weights are drawn anew from their seeds."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from gica_ops.model import load_tf_variables
from tests.golden import FOLDER


def read(name: str) -> dict[str, np.ndarray]:
    """The arrays of one file."""
    with np.load(FOLDER / f"{name}.npz") as data:
        return dict(data)


def tensor(data: dict[str, np.ndarray], name: str, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.tensor(data[name]).to(dtype)


def seeded(
    shapes: dict[str, tuple[int, ...]], seed: int, gain: float, bias_std: float
) -> dict[str, np.ndarray]:
    """Variables by their TensorFlow names, drawn as the original's were for these files."""
    random = np.random.RandomState(seed)
    variables = {}
    for name in sorted(shapes):
        value = random.standard_normal(shapes[name])
        if name.endswith("/kernel"):
            value *= gain / math.sqrt(math.prod(shapes[name][:-1]))
        elif name.endswith("/bias"):
            value *= bias_std
        variables[name] = value.astype(np.float32)
    return variables


def stored_shapes(data: dict[str, np.ndarray]) -> dict[str, tuple[int, ...]]:
    """The shapes of a file's variables."""
    return {
        str(name): tuple(int(n) for n in str(shape).split(","))
        for name, shape in zip(data["var_names"], data["var_shapes"], strict=True)
    }


def fill(network: nn.Module, data: dict[str, np.ndarray]) -> None:
    """Give a network the weights of a file, after checking that they are those that were used."""
    variables = seeded(
        stored_shapes(data), int(data["seed"]), float(data["gain"]), float(data["bias_std"])
    )
    sums = [variables[str(name)].astype(np.float64).sum() for name in data["var_names"]]
    np.testing.assert_allclose(sums, data["var_sum"], rtol=1e-12, atol=1e-9)
    load_tf_variables(network, variables)
