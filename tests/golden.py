"""The golden cases (tests/data/golden/README.md) as problems with their expected results."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gica_ops.testing import Problem

FOLDER = Path(__file__).parent / "data" / "golden"
PREFIX = "contextual_attention_"
NAMES = sorted(p.stem.removeprefix(PREFIX) for p in FOLDER.glob(f"{PREFIX}*.npz"))
# Where the largest attention leads by less, rounding decides the arg-max.
CLEAR_MARGIN = 1e-4


@dataclass(frozen=True, eq=False)
class Case:
    name: str
    problem: Problem
    expected: dict[str, Tensor]

    @property
    def has_gradients(self) -> bool:
        return "g" in self.expected

    @property
    def has_intermediates(self) -> bool:
        return "scores" in self.expected

    def gradients(self, problem: Problem) -> dict[str, Tensor]:
        """The gradients that were stored, by the names they were stored under."""
        grads = {"dL_dx": problem.f.grad, "dL_df": problem.f.grad, "dL_db": problem.b.grad}
        return {k: g for k, g in grads.items() if g is not None and k in self.expected}


def load(name: str) -> Case:
    return read(FOLDER / f"{PREFIX}{name}.npz")


def positions(name: str) -> int:
    """Of the foreground in one sample, where patches are compared."""
    with np.load(FOLDER / f"{PREFIX}{name}.npz") as data:
        return data["f"].shape[2] * data["f"].shape[3] // int(data["rate"]) ** 2


def read(path: Path) -> Case:
    data = np.load(path)
    options = {k: int(data[k]) for k in ("ksize", "stride", "rate", "fuse_k")}
    f = torch.from_numpy(data["f"])
    problem = Problem(
        f,
        f if data["f_is_b"] else torch.from_numpy(data["b"]),
        torch.from_numpy(data["mask"]) if data["has_mask"] else None,
        options={
            **options,
            "softmax_scale": float(data["softmax_scale"]),
            "fuse": bool(data["fuse"]),
        },
    )
    expected = {k: torch.from_numpy(data[k]) for k in data.files if data[k].ndim > 0}
    return Case(path.stem.removeprefix(PREFIX), problem, expected)
