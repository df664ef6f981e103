"""The emulated CUDA kernels on every golden file of a folder.

    python tests/native/check_golden.py tests/data/golden

Builds what it needs, then runs the forward pass, and the backward pass where a file has gradients,
of both families of kernels. In float32 and TF32 they are compared with the numbers in the file; in
the half types, which round the inputs, with the reference in float64 on the rounded inputs. Prints
the worst error of every file, as a share of what it may be, and exits with 1 where one may not be.

What an error may be is the rule of all tests (gica_ops.testing): 2 times the error that the
reference itself makes in the same dtype on this problem and its neighbours within rounding, 3 times
for gradients, and a rounding floor. To that comes what the stored numbers, float32 themselves,
differ from the truth: 4e-6 of the largest output (of 1, where that is less), 1e-5 of the largest
gradient. For TF32 the reference's error is that of the exact result under roundings of what is
multiplied (tests/judge.py).
"""

from __future__ import annotations

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch
from torch import Tensor

from gica_ops import reference
from gica_ops.testing import largest_error
from tests import golden, judge
from tests.native import builder, emulated

FAMILIES = ("sm80", "sm90")
STORED, STORED_GRADIENT = 4e-6, 1e-5


@dataclass(frozen=True)
class Arithmetic:
    name: str
    dtype: torch.dtype
    tf32: bool = False


ARITHMETICS = [
    Arithmetic("float32", torch.float32),
    Arithmetic("tf32", torch.float32, True),
    Arithmetic("bfloat16", torch.bfloat16),
    Arithmetic("float16", torch.float16),
]


def stored(case: golden.Case) -> judge.Results:
    """The numbers of the file, under the names of the judge."""
    found = {"output": case.expected["y"]}
    if "dL_dx" in case.expected:  # a map matched with itself has one gradient
        found["gradient of f"] = found["gradient of b"] = case.expected["dL_dx"]
    for name in ("f", "b"):
        if f"dL_d{name}" in case.expected:
            found[f"gradient of {name}"] = case.expected[f"dL_d{name}"]
    return {name: values.double() for name, values in found.items()}


def bounds(case: golden.Case, arithmetic: Arithmetic, g: Tensor | None) -> tuple:
    """What the results ought to be, and how far off they may be."""
    problem = case.problem.to(arithmetic.dtype)
    exact = partial(judge.run, function=reference.contextual_attention, g=g)
    truth = exact(problem.to(torch.float64))
    if arithmetic.tf32:
        own, eps = judge.tf32_errors(problem, g, truth, 4), judge.TF32_EPS
    else:
        own, eps = judge.own_errors(problem, exact, 4), torch.finfo(arithmetic.dtype).eps
    if arithmetic.dtype == torch.float32:
        truth = {name: stored(case)[name] for name in truth}
    allowed = {}
    for name, values in truth.items():
        largest = float(values.abs().max())
        allowed[name] = (2 if name == "output" else 3) * own[name] + 2 * eps * largest
        allowed[name] += torch.finfo(arithmetic.dtype).tiny
        if arithmetic.dtype == torch.float32:
            off = STORED * max(largest, 1) if name == "output" else STORED_GRADIENT * largest
            allowed[name] += off
    return truth, allowed


def check_file(file: Path) -> tuple[float, str]:
    """The worst error of a file, as a share of what is allowed, and where it was."""
    return check(golden.read(file))


def check(case: golden.Case) -> tuple[float, str]:
    worst, where = 0.0, "no error at all"
    for arithmetic in ARITHMETICS:
        problem = case.problem.to(arithmetic.dtype)
        g = case.expected["g"].double() if case.has_gradients else None
        if g is not None and arithmetic.dtype != torch.float32:
            g = g.to(arithmetic.dtype).double()
        truth, allowed = bounds(case, arithmetic, g)
        for family in FAMILIES:
            schedule = emulated.Schedule(family, allow_tf32=arithmetic.tf32)
            attention = partial(emulated.contextual_attention, schedule=schedule)
            for name, result in judge.run(replace(problem), attention, g).items():
                try:
                    error = largest_error(result, truth[name], name)
                except AssertionError:
                    error = float("inf")
                if error / allowed[name] > worst:
                    worst = error / allowed[name]
                    where = f"{name}, {arithmetic.name}, {family}: {error:.2e}"
                    where += f" of {allowed[name]:.2e} allowed"
    return worst, where


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help=f"with files {golden.PREFIX}*.npz")
    files = sorted(parser.parse_args().folder.glob(f"{golden.PREFIX}*.npz"))
    if not files:
        sys.exit("no golden files there")
    torch.set_num_threads(1)
    builder.load_emulated()
    failed = 0
    with ProcessPoolExecutor() as pool:
        for file, (worst, where) in zip(files, pool.map(check_file, files), strict=True):
            verdict = "ok  " if worst <= 1 else "FAIL"
            failed += verdict == "FAIL"
            name = file.stem.removeprefix(golden.PREFIX)
            print(f"{verdict} {name:44s} {worst:6.2f}  {where}", flush=True)
    print(f"{len(files)} files, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
