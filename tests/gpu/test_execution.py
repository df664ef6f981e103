"""How the kernels run: on the current stream, without waiting, in graphs, the same every time, and
out of memory without harm."""

from __future__ import annotations

import gc
import time

import pytest
import torch

import gica_ops
from gica_ops.testing import Problem, make_problem
from tests.gpu.device import moved

MIB = 2**20
LONG = 400_000_000  # cycles, about a fifth of a second


def step(p: Problem) -> list[torch.Tensor]:
    """Everything there is: output, offsets, match, gradients."""
    p = p.requires_grad()
    result = gica_ops.contextual_attention(
        **p.attention_arguments(), return_offsets=True, backend="cuda"
    )
    g = torch.linspace(-1, 1, result.output.numel(), device="cuda").view_as(result.output)
    result.output.backward(g.to(result.output.dtype))
    match = gica_ops.match(**p.match_arguments(), backend="cuda")
    leaves = (p.f, p.b, p.values)
    gradients = [leaf.grad for leaf in leaves if leaf is not None]
    return [result.output.detach(), result.offsets, *match, *gradients]


def sample(**options) -> Problem:
    defaults = {"channels": 64, "size": (64, 72), "rate": 2, "kind": "natural"}
    return moved(make_problem(**{**defaults, **options}))


def assert_equal(results: list[torch.Tensor], expected: list[torch.Tensor], what: object) -> None:
    for i, (one, other) in enumerate(zip(results, expected, strict=True)):
        assert torch.equal(one, other), f"result {i} differs: {what}"


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("skip", ["auto", "never"])
def test_identical_over_100_repeats(dtype, skip):
    problem = sample(batch=2, channels=128, dtype=dtype, skip=skip, mask="per_sample")
    expected = step(problem)
    noise = torch.randn(2048, 2048, device="cuda")
    other = torch.cuda.Stream()
    for i in range(100):
        with torch.cuda.stream(other):
            noise @ noise  # blocks of another kernel between ours
        assert_equal(step(problem), expected, i)
    torch.cuda.synchronize()


def test_runs_on_the_current_stream():
    """The inputs become right late on one stream: what ran on another would have read NaN."""
    problem = sample()
    expected = step(problem)
    late = [torch.full_like(x, torch.nan) for x in (problem.f, problem.b)]
    stream = torch.cuda.Stream()
    torch.cuda.synchronize()
    with torch.cuda.stream(stream):
        torch.cuda._sleep(LONG)
        late[0].copy_(problem.f)
        late[1].copy_(problem.b)
        results = step(Problem(*late, problem.mask, options=problem.options))
    stream.synchronize()
    assert_equal(results, expected, "on a stream of its own")


def test_streams_side_by_side():
    problems = [sample(seed=seed, dtype=torch.bfloat16) for seed in range(4)]
    expected = [step(p) for p in problems]
    torch.cuda.synchronize()
    streams = [torch.cuda.Stream() for _ in problems]
    for _ in range(10):
        results = []
        for p, stream in zip(problems, streams, strict=True):
            with torch.cuda.stream(stream):
                results.append(step(p))
        torch.cuda.synchronize()
        for i, (one, other) in enumerate(zip(results, expected, strict=True)):
            assert_equal(one, other, f"problem {i}")


def test_the_host_does_not_wait():
    problem = sample().requires_grad()
    step(problem)
    torch.cuda.synchronize()
    start = time.perf_counter()
    torch.cuda._sleep(10 * LONG)
    done = torch.cuda.Event()
    y = gica_ops.contextual_attention(**problem.attention_arguments(), backend="cuda")
    gica_ops.match(**problem.match_arguments(), backend="cuda")
    done.record()
    issued = time.perf_counter() - start
    assert not done.query(), f"everything was done when it had been issued, after {issued:.3f} s"
    y.sum().backward()
    torch.cuda.synchronize()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_a_training_step_in_a_cuda_graph(dtype):
    problem = sample(dtype=dtype, batch=2)
    static = Problem(
        problem.f.clone().requires_grad_(),
        problem.b.clone().requires_grad_(),
        problem.mask,
        options=problem.options,
    )
    g = torch.ones_like(problem.f)

    def train() -> tuple[torch.Tensor, ...]:
        y = gica_ops.contextual_attention(**static.attention_arguments(), backend="cuda")
        return y.detach(), *torch.autograd.grad(y, (static.f, static.b), g)

    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        train()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = train()
    for seed in range(3):
        other = sample(dtype=dtype, batch=2, seed=seed)
        with torch.no_grad():
            static.f.copy_(other.f)
            static.b.copy_(other.b)
        graph.replay()
        replayed = [t.clone() for t in captured]
        assert_equal(replayed, list(train()), f"seed {seed}")


def test_out_of_memory_leaves_the_process_usable():
    small = sample()
    expected = step(small)
    large = sample(channels=128, size=(256, 256), dtype=torch.bfloat16)
    gc.collect()
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    before = torch.cuda.memory_allocated()
    # Room for the small problem, and not for the scratch of the large one.
    most = torch.cuda.memory_reserved() + 128 * MIB
    try:
        torch.cuda.set_per_process_memory_fraction(most / total)
        for _ in range(3):
            with pytest.raises(RuntimeError, match="could not allocate"):
                gica_ops.contextual_attention(**large.attention_arguments(), backend="cuda")
            assert torch.cuda.memory_allocated() == before
            assert_equal(step(small), expected, "after running out of memory")
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    step(large)
    torch.cuda.synchronize()


def test_scratch_is_given_back():
    problem = sample(channels=128, size=(256, 256), dtype=torch.bfloat16)
    step(problem)
    before = torch.cuda.memory_allocated()
    for _ in range(5):
        step(problem)
    assert torch.cuda.memory_allocated() == before


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")
def test_a_device_that_is_not_the_current_one():
    problem = sample()
    y = gica_ops.contextual_attention(**problem.attention_arguments(), backend="cuda")
    other = {
        k: v.to("cuda:1") if isinstance(v, torch.Tensor) else v
        for k, v in problem.attention_arguments().items()
    }
    on_other = gica_ops.contextual_attention(**other, backend="cuda")
    assert on_other.device.index == 1 and torch.cuda.current_device() == 0
    torch.testing.assert_close(on_other.cpu(), y.cpu())
