"""pytest benchmarks --benchmark-autosave, and later --benchmark-compare."""

from __future__ import annotations

from typing import Any

import pytest

from gica_ops.bench.methods import make_run, reason_against
from gica_ops.bench.problems import Inputs, Problem, parse_problem
from gica_ops.bench.truth import Truth

PROBLEMS = [
    parse_problem(f"{size},work={work},fuse={fuse}")
    for size in (128, 256, 512)
    for work in ("forward", "both")
    for fuse in ("on", "off")
] + [parse_problem("256,work=generator")]
METHODS = ("gica", "reference", "grouped", "sdpa")


@pytest.fixture(scope="module", params=PROBLEMS, ids=lambda problem: problem.name)
def truth(request: pytest.FixtureRequest) -> tuple[Problem, Truth]:
    return request.param, Truth.of(request.param)


@pytest.mark.parametrize("method", METHODS)
def test_speed(benchmark: Any, truth: tuple[Problem, Truth], method: str) -> None:
    problem, exact = truth
    reason = reason_against(method, problem)
    if reason is not None:
        pytest.skip(reason)
    exact.check(method)
    benchmark.group = problem.name
    run = make_run(method, problem, Inputs.of(problem))
    benchmark.pedantic(run, rounds=5, warmup_rounds=1)
