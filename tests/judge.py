"""Runs a problem through a backend and through the reference, and compares by rule."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

import gica_ops
from gica_ops import reference
from gica_ops.testing import Problem, assert_close_to_float64, largest_error

INNER_OPTIONS = ("ksize", "rate", "fuse_k", "fuse", "semantics")

Results = dict[str, Tensor]
# The name of a backend, or a function that takes the place of the one on trial.
Backend = str | Callable[..., Any]


def on_trial(function: Callable[..., Any], backend: Backend) -> Callable[..., Any]:
    return partial(function, backend=backend) if isinstance(backend, str) else backend


def run(problem: Problem, function: Callable[..., Tensor], g: Tensor | None, **extra) -> Results:
    """The output and, given weights g of the output, the gradients of sum(output * g)."""
    problem = problem.requires_grad()
    y = function(**problem.attention_arguments(), **extra)
    results = {"output": y.detach()}
    if g is not None:
        y.backward(g.to(y.dtype))
        for name in ("f", "b", "values"):
            leaf = getattr(problem, name)
            if leaf is not None and leaf.grad is not None:
                results[f"gradient of {name}"] = leaf.grad
    return results


def weights(problem: Problem, seed: int = 0) -> Tensor:
    """Random weights of the output, rounded so that every dtype holds them exactly."""
    pasted = problem.b if problem.values is None else problem.values
    s = pasted.shape[2] // problem.b.shape[2]
    batch, _, height, width = problem.f.shape
    generator = torch.Generator().manual_seed(seed)
    g = torch.randn(batch, pasted.shape[1], s * height, s * width, generator=generator)
    return g.bfloat16().double()


def neighbours(problem: Problem, count: int) -> list[Problem]:
    """The problem, and others that differ from it by a few rounding errors."""
    near = [problem]
    generator = torch.Generator().manual_seed(0)

    def shaken(x: Tensor) -> Tensor:
        noise = torch.randn(x.shape, generator=generator, dtype=torch.float64)
        return (x.double() * (1 + 8 * torch.finfo(x.dtype).eps * noise)).to(x.dtype)

    for _ in range(count - 1):
        f = shaken(problem.f)
        b = f if problem.b is problem.f else shaken(problem.b)
        values = None if problem.values is None else shaken(problem.values)
        near.append(replace(problem, f=f, b=b, values=values))
    return near


def own_errors(
    problem: Problem, compute: Callable[[Problem], Results], count: int
) -> dict[str, float]:
    """The largest errors that the reference makes near this problem, in its dtype.

    One run may be lucky: a last digit more or less in a score in the hundreds changes the result
    tenfold as much. The errors of float64 are those of float32, scaled down, and doubled: there the
    truth is as far off as the result.
    """
    scale = 1.0
    if problem.f.dtype == torch.float64:
        problem = problem.to(torch.float32)
        scale = 2 * torch.finfo(torch.float64).eps / torch.finfo(torch.float32).eps
    errors: dict[str, float] = {}
    for near in neighbours(problem, count):
        truth = compute(near.to(torch.float64))
        for name, result in compute(near).items():
            error = scale * largest_error(result, truth[name], f"reference of {name}")
            errors[name] = max(errors.get(name, 0.0), error)
    return errors


class Standard:
    """What a result of this problem is measured by: the truth, and how near to it it has to be.

    Results that the dtype cannot hold are not judged. allow_skipping: whether what may be skipped
    counts as right, as far as the bounds of docs/semantics.md go. tf32: whether operands of
    products may be rounded to TF32.
    """

    def __init__(
        self, problem: Problem, *, count: int = 4, allow_skipping: bool = True, tf32: bool = False
    ) -> None:
        self.problem, self.g = problem, weights(problem)
        exact = partial(run, function=reference.contextual_attention)
        self.truth = exact(problem.to(torch.float64), g=self.g)
        most = torch.finfo(problem.f.dtype).max
        self.holds = [name for name, t in self.truth.items() if not (t.abs() > most / 2).any()]

        def by_reference(p: Problem) -> Results:
            results = exact(p, g=self.g)
            return {name: results[name] for name in self.holds}

        self.own = own_errors(problem, by_reference, count)
        self.allowances = dict.fromkeys(self.truth, 0.0)
        if tf32:
            self.own = tf32_errors(problem, self.g, self.truth, count)
            for name, t in self.truth.items():
                self.allowances[name] = 2 * TF32_EPS * float(t.abs().max())
        if allow_skipping and problem.options.get("skip", "auto") == "auto":
            for name, bound in skipping_bounds(problem, self.g).items():
                self.allowances[name] = self.allowances.get(name, 0.0) + bound

    def judge(self, backend: Backend) -> Results:
        """Assert that a backend is good enough; return its results."""
        actual = run(self.problem, on_trial(gica_ops.contextual_attention, backend), self.g)
        assert actual.keys() == self.truth.keys()
        for name in self.holds:
            assert_close_to_float64(
                actual[name],
                self.own[name],
                self.truth[name],
                2.0 if name == "output" else 3.0,
                name,
                allowance=self.allowances[name],
            )
        return actual


def judge(problem: Problem, backend: Backend, **how: Any) -> Results:
    """Assert that a backend is as good as the reference on this problem; return its results.

    how: arguments of `Standard`.
    """
    return Standard(problem, **how).judge(backend)


# Ten digits of a mantissa behind the point.
TF32_EPS = 2.0**-10


def tf32_errors(problem: Problem, g: Tensor | None, truth: Results, count: int) -> dict[str, float]:
    """How far the exact result moves when what is multiplied is off by a rounding to TF32.

    Products of rounded operands are exact, so rounding operands is all that TF32 does: what comes
    out is the exact result of a problem that differs by as much, in the maps, in what is pasted and
    in the gradient of the output.
    """
    generator = torch.Generator().manual_seed(1)

    def shaken(x: Tensor) -> Tensor:
        noise = torch.randn(x.shape, generator=generator, dtype=torch.float64)
        return x * (1 + TF32_EPS / 2 * noise)

    errors = dict.fromkeys(truth, 0.0)
    exact = problem.to(torch.float64)
    for _ in range(count):
        f = shaken(exact.f)
        b = f if exact.b is exact.f else shaken(exact.b)
        values = None if exact.values is None else shaken(exact.values)
        near = replace(exact, f=f, b=b, values=values)
        near_g = None if g is None else shaken(g)
        for name, result in run(near, reference.contextual_attention, near_g).items():
            errors[name] = max(errors[name], largest_error(result, truth[name], name))
    return errors


SKIPPING_UNIT = {
    torch.float32: 2.0**-24,
    torch.float64: 2.0**-53,
    torch.bfloat16: 2.0**-9,
    torch.float16: 2.0**-12,
}


def skipping_bounds(problem: Problem, g: Tensor) -> dict[str, float]:
    """How far skipping may move each result, by the bounds of docs/semantics.md."""
    unit = SKIPPING_UNIT[problem.f.dtype]
    p, o = problem.to(torch.float64), problem.options
    ksize, rate, semantics = o.get("ksize", 3), o.get("rate", 1), o.get("semantics", "tf")
    pasted = p.b if p.values is None else p.values

    options = {k: v for k, v in o.items() if k in (*INNER_OPTIONS, "softmax_scale")}
    inner = reference.intermediates(p.f, p.b, p.mask, **options)
    attention = inner.attention.requires_grad_()
    y = reference._paste(attention, pasted, p.f.shape[2:], p.b.shape[2:], rate, semantics)
    (da,) = torch.autograd.grad(y, attention, g.double())
    of_scores = 2 * abs(o.get("softmax_scale", 10.0)) * unit * float(da.abs().max())

    # From there on everything is linear: propagation and box each add up window * window of them.
    window = o.get("fuse_k", 3) if o.get("fuse", True) else 1
    of_products = of_scores * ksize**2 * window**2
    f, b = (reference._reduce(x, rate, semantics) for x in (p.f, p.b))
    patches = torch.nn.functional.unfold(b, ksize, padding=ksize // 2)
    norm = float(patches.norm(dim=1).clamp_min(reference.SMALLEST_NORM).min())
    largest_f, largest_b, score = (float(x.abs().max()) for x in (f, b, inner.scores))
    pasting = unit * float(g.abs().max())
    of_f = of_products / norm * largest_b
    of_b = of_products / norm * (largest_f + score * largest_b / norm)
    of_b += pasting if p.values is None else 0.0
    both = of_f + of_b if p.f is p.b else 0.0
    return {
        "output": unit * float(pasted.abs().max()),
        "gradient of f": both or of_f,
        "gradient of b": both or of_b,
        "gradient of values": pasting,
    }


def judge_match(problem: Problem, backend: Backend) -> None:
    """Assert that a backend's matches are the best ones up to rounding, and scored rightly."""
    truth = reference.match(**problem.to(torch.float64).match_arguments())
    own = own_errors(
        problem, lambda p: {"scores": reference.match(**p.match_arguments()).scores}, 4
    )
    actual = on_trial(gica_ops.match, backend)(**problem.match_arguments())
    assert_close_to_float64(actual.scores, own["scores"], truth.scores, what="scores")
    judge_offsets(problem, actual.offsets)


def judge_offsets(problem: Problem, offsets: Tensor) -> None:
    """Assert that these positions are valid, and score within rounding of the best."""
    truth = reference.match(**problem.to(torch.float64).match_arguments())
    assert offsets.shape == truth.offsets.shape
    assert offsets.dtype == torch.int64
    nothing = truth.scores.isneginf()  # not queried (-1) or nothing to match (0)
    unmatched = nothing[:, None].expand_as(offsets)
    assert torch.equal(offsets[unmatched], truth.offsets[unmatched])

    options = {k: v for k, v in problem.options.items() if k in INNER_OPTIONS}
    exact, rounded = (
        reference.intermediates(p.f, p.b, p.mask, **options)
        for p in (problem.to(torch.float64), problem)
    )
    rate = problem.options.get("rate", 1)
    flat = offsets[:, 0] * (problem.b.shape[3] // rate) + offsets[:, 1]
    flat = flat.flatten(1)[..., None].clamp_min(0)
    allowed = torch.where(exact.valid, exact.fused, -torch.inf)
    short = allowed.amax(-1) - allowed.gather(-1, flat)[..., 0]
    error = (rounded.fused.double() - exact.fused).abs().max()
    floor = 2 * torch.finfo(rounded.fused.dtype).eps * exact.fused.abs().max()
    assert short[~nothing.flatten(1)].le(2 * (2 * error + floor)).all()
