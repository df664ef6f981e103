"""The CUDA kernels: times against the dense floor and the reference, errors, memory.

bfloat16, 128 channels, rate 2, propagation on, a centre hole. The dense floor of a pass is what its
bare matrix products would take, with nothing skipped, at the rate that `torch.mm` reaches on the
same device in the same run: 1280 P Q operations forward, 2816 P Q backward.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from benchmarks import problems
from benchmarks.problems import RATE, Problem
from benchmarks.report import Figure, Report
from benchmarks.timing import Times
from gica_ops import contextual_attention
from gica_ops.testing import largest_error

__all__ = ["SIZES", "measure_device", "run"]

# Images by name: height and width.
SIZES = {str(side): (side, side) for side in (64, 128, 256, 512, 1024, 2048)}
SIZES |= {"4K": (2160, 3840), "8K": (4320, 7680)}
ERROR_SIZES = ("256",)
REFERENCE_SIZES = ("64", "128", "256", "512", "1024")
OPERATIONS = {"forward": 10 * problems.CHANNELS, "backward": 22 * problems.CHANNELS}
# The most that a pass may take, in dense floors: at least so much of the floor is reached.
FLOORS = {
    ("forward", "never"): 2.0,
    ("forward", "auto"): 1.0,
    ("backward", "never"): 2.5,
    ("backward", "auto"): 1.25,
}
FLOOR_SIZES = ("1024", "2048", "4K")
MILLISECONDS_4K = {"never": 55.0, "auto": 25.0}
# The same in times of the reference: 10 and 20 times faster where it counts, never slower.
REFERENCES = {"never": 0.1, "auto": 0.05}
FAST_SIZES = ("512", "1024")
GIB_4K = 1.0
CASES = (("noise", "never"), ("coffee", "auto"))
DTYPE = torch.bfloat16
GIB = 2**30


def make(kind: str, size: str) -> Problem:
    """The problem of an image of this size on CUDA; of a wide one the middle of a square."""
    height, width = (n // problems.FEATURE_STRIDE for n in SIZES[size])
    if kind == "noise":
        generator = torch.Generator().manual_seed(0)
        features = 0.5 * torch.randn(1, problems.CHANNELS, height, width, generator=generator)
    else:
        picture = problems.photograph(problems.PHOTOGRAPHS[kind], SIZES[size][1])
        top = (picture.shape[2] - SIZES[size][0]) // 2
        picture = picture[:, :, top : top + SIZES[size][0]]
        deviation, mean = torch.std_mean(picture, (2, 3), keepdim=True)
        features = problems.random_features((picture - mean) / deviation, problems.CHANNELS)
    hole = torch.zeros(1, 1, height, width, dtype=torch.bool)
    hole[..., height // 4 : height - height // 4, width // 4 : width - width // 4] = True
    features = features.to("cuda", DTYPE)
    return Problem(f"{kind} {size}", features, features.clone(), hole.cuda())


def timed(run: Callable[[], object], rounds: int) -> Times:
    """Seconds of a run on the device, by events, after two runs that warm up."""
    run()
    run()
    events = [[torch.cuda.Event(enable_timing=True) for _ in range(2)] for _ in range(rounds)]
    for start, end in events:
        start.record()
        run()
        end.record()
    torch.cuda.synchronize()
    return Times(tuple(start.elapsed_time(end) / 1e3 for start, end in events))


def measure_device(report: Report, rounds: int) -> float:
    """Adds what the device can do; returns operations a second of bfloat16 products."""
    n = 8192
    a, b = (torch.randn(n, n, device="cuda", dtype=DTYPE) for _ in range(2))
    c = torch.empty_like(a)
    times = timed(lambda: torch.mm(a, b, out=c), 3 * rounds)
    rate = 2 * n**3 / times.median
    report.add(Figure("bfloat16 matrix rate", rate / 1e12, "TFLOP/s", None, times.record()))
    source = torch.empty(2 * GIB, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    times = timed(lambda: target.copy_(source), 3 * rounds)
    bandwidth = 2 * source.numel() / times.median
    report.add(Figure("copy bandwidth", bandwidth / 1e12, "TB/s", None, times.record()))
    return rate


def run(report: Report, size: str, rate: float, rounds: int) -> None:
    """Adds the figures of one image size."""
    if size in ERROR_SIZES:
        for kind, skip in CASES:
            add_errors(report, kind, size, skip)
    for kind, skip in CASES:
        problem = make(kind, size)
        forward, backward = passes(problem, skip, "cuda")
        details = {"live_blocks": live_blocks(problem) if skip == "auto" else 1.0}
        add_pass(report, size, "forward", (kind, skip), timed(forward, rounds), rate, details)
        add_memory(report, size, kind, skip, problem)
        if size == "8K":
            continue  # that it ends is the figure
        step = backward()
        add_pass(report, size, "backward", (kind, skip), timed(step, rounds), rate, details)
        if size in REFERENCE_SIZES:
            add_reference(report, size, (kind, skip), problem, rounds)
        del problem, forward, backward, step
        torch.cuda.empty_cache()


def passes(
    problem: Problem, skip: str, backend: str
) -> tuple[Callable[[], object], Callable[[], Callable[[], object]]]:
    """The forward; and what runs one, and returns the backward of it."""
    arguments = {**problem.arguments(skip), "backend": backend}

    def forward() -> torch.Tensor:
        with torch.no_grad():
            return contextual_attention(**arguments)

    def prepare_backward() -> Callable[[], object]:
        f, b = (x.detach().requires_grad_() for x in (problem.f, problem.b))
        y = contextual_attention(**{**arguments, "f": f, "b": b})
        g = torch.randn_like(y)
        return lambda: torch.autograd.grad(y, (f, b), g, retain_graph=True)

    return forward, prepare_backward


def pairs(size: str) -> int:
    height, width = SIZES[size]
    step = problems.FEATURE_STRIDE * RATE
    return ((height // step) * (width // step)) ** 2


def add_pass(
    report: Report,
    size: str,
    which: str,
    case: tuple[str, str],
    times: Times,
    rate: float,
    details: dict[str, Any],
) -> None:
    kind, skip = case
    floor = OPERATIONS[which] * pairs(size) / rate
    name = f"{size} {which}, {kind}, skip={skip}"
    limit = MILLISECONDS_4K[skip] if (size, which) == ("4K", "forward") else None
    details = {
        **details,
        **times.record(),
        "floor_s": floor,
        "share_of_floor": floor / times.median,
    }
    report.add(Figure(name, 1e3 * times.median, "ms", limit, details))
    bound = FLOORS[which, skip] if size in FLOOR_SIZES else None
    report.add(Figure(f"{name}, of the dense floor", times.median / floor, "x floor", bound))


def add_reference(
    report: Report, size: str, case: tuple[str, str], problem: Problem, rounds: int
) -> None:
    """Kernels and reference in turn; nothing where the reference runs out of memory."""
    kind, skip = case
    own, plain = (passes(problem, skip, backend) for backend in ("cuda", "reference"))
    bound = REFERENCES[skip] if size in FAST_SIZES else 1.0
    try:
        for which in ("forward", "backward"):
            first, second = (p[0] if which == "forward" else p[1]() for p in (own, plain))
            times, reference = timed(first, rounds), timed(second, max(3, rounds // 2))
            report.add(
                Figure(
                    f"{size} {which}, {kind}, skip={skip}, of the reference",
                    times.median / reference.median,
                    "x ref",
                    bound,
                    {"kernels": times.record(), "reference": reference.record()},
                )
            )
    except torch.OutOfMemoryError:
        print(f"{size}: the reference runs out of memory")


def add_memory(report: Report, size: str, kind: str, skip: str, problem: Problem) -> None:
    """What a forward takes at its peak beyond inputs and output."""
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    with torch.no_grad():
        y = contextual_attention(**problem.arguments(skip), backend="cuda")
    torch.cuda.synchronize()
    grown = torch.cuda.max_memory_allocated() - before - y.numel() * y.element_size()
    bound = GIB_4K if size == "4K" else None
    name = f"{size} forward memory beyond inputs and output, {kind}, skip={skip}"
    report.add(Figure(name, grown / GIB, "GiB", bound, {"bytes": grown}))


def add_errors(report: Report, kind: str, size: str, skip: str) -> None:
    """The largest errors against float64, in errors of the reference in the same dtype."""
    problem = make(kind, size)
    g = torch.randn(problem.f.shape, device="cuda", dtype=DTYPE)

    def compute(backend: str, dtype: torch.dtype) -> list[torch.Tensor]:
        f, b = (x.to(dtype).requires_grad_() for x in (problem.f, problem.b))
        arguments = {**problem.arguments(skip), "f": f, "b": b}
        y = contextual_attention(**arguments, backend=backend)
        return [y.detach(), *torch.autograd.grad(y, (f, b), g.to(dtype))]

    truth = compute("reference", torch.float64)
    own, reference = compute("cuda", DTYPE), compute("reference", DTYPE)
    for name, exact, one, other in zip(
        ("output", "gradient of f", "gradient of b"), truth, own, reference, strict=True
    ):
        errors = largest_error(one, exact, name), largest_error(other, exact, name)
        # Where the reference is right to the last digit, a rounding counts as its error.
        unit = max(errors[1], torch.finfo(DTYPE).eps * float(exact.abs().max()) / 2)
        report.add(
            Figure(
                f"{size} error of the {name}, {kind}, skip={skip}",
                errors[0] / unit,
                "x ref",
                2.0 if name == "output" else 3.0,
                {"error": errors[0], "reference": errors[1]},
            )
        )


def live_blocks(problem: Problem) -> float:
    """The share of blocks of attention that skipping leaves."""
    options = (3, RATE, 3, 10.0, "tf", True, False, False)
    arguments = problem.f, problem.b, problem.mask, None, None
    return torch.ops.gica_ops.attend(*arguments, *options)[3].float().mean().item()
