"""Whether a method computes the right thing: the check that comes before any timing."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ..testing import assert_close_to_float64, largest_error
from .methods import make_run
from .problems import SCALE, Inputs, Problem

__all__ = ["CheckFailed", "Truth"]

POSITIONS = {"cpu": 32**2, "cuda": 128**2}
"""Larger problems are checked on a smaller image: float64 of all pairs has to fit."""
FACTOR = {"output": 4.0, "others": 6.0, "baselines": 32.0}
"""Of the reference's own error. It tells right from wrong; how right is the tests' business."""


class CheckFailed(ValueError):
    """A method computed something else than the layer, so that its time means nothing."""


@dataclass(frozen=True)
class Truth:
    """What float64 says of a problem, and how far the reference in the problem's dtype is off."""

    problem: Problem
    exact: dict[str, Tensor]
    errors: dict[str, float]

    @classmethod
    def of(cls, problem: Problem) -> Truth:
        """The truth of the problem, on a smaller image where that has to be."""
        problem = problem.shrunk(POSITIONS[problem.device])
        inputs = Inputs.of(problem)
        wide = Inputs(*(getattr(inputs, f.name).double() for f in dataclasses.fields(inputs)))
        exact = make_run("reference", problem, wide)()
        plain = make_run("reference", problem, inputs)()
        errors = {name: largest_error(plain[name], t, name) for name, t in exact.items()}
        if problem.device == "cuda":
            torch.cuda.empty_cache()  # the methods have processes of their own
        return cls(problem, exact, errors)

    def save(self, path: Path) -> None:
        """Write it for another process."""
        torch.save({**vars(self), "problem": dataclasses.asdict(self.problem)}, path)

    @classmethod
    def load(cls, path: str) -> Truth:
        """What `save` wrote."""
        values = torch.load(path, weights_only=True)
        return cls(**{**values, "problem": Problem(**values["problem"])})

    def check(self, method: str) -> dict[str, float]:
        """Errors of a method, in errors of the reference. Raises CheckFailed, a sentence."""
        results = make_run(method, self.problem, Inputs.of(self.problem))()
        ratios = {}
        for name, exact in self.exact.items():
            kind = "output" if name == "output" else "others"
            factor = FACTOR[kind if method == "gica" else "baselines"]
            # Where the reference is right to the last digit, a rounding counts as its error.
            eps, largest = torch.finfo(results[name].dtype).eps, float(exact.abs().max())
            unit = max(self.errors[name], eps * largest / 2)
            skipped = self.problem.skip == "auto" and method == "gica"
            allowance = (1.0 if kind == "output" else 4 * SCALE) * eps * largest * skipped
            try:
                assert_close_to_float64(
                    results[name], unit, exact, factor, name, allowance=allowance
                )
            except AssertionError as error:
                raise CheckFailed(
                    f"{method} is wrong on {self.problem.name}, and is not timed: {error}"
                ) from None
            ratios[name] = largest_error(results[name], exact, name) / unit
        return ratios
