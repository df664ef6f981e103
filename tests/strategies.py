"""Problems of every shape the layer takes, for hypothesis."""

from __future__ import annotations

import torch
from hypothesis import strategies as st

from gica_ops.testing import MASKS, Problem, make_problem

# float32 twice: its arithmetic is that of the half types too, and shows more.
DTYPES = (torch.float32, torch.float32, torch.bfloat16, torch.float16, torch.float64)


@st.composite
def sizes(draw: st.DrawFn, rate: int, most: int) -> tuple[int, int]:
    """A height and width that rate divides, up to `most` positions at match resolution."""
    height = draw(st.integers(1, most))
    width = draw(st.integers(1, max(1, min(40, most * 12 // height))))
    return rate * height, rate * width


LAYOUTS = ("contiguous", "channels_last", "sliced", "transposed")


def laid_out(x: torch.Tensor, layout: str) -> torch.Tensor:
    """The same values with other strides."""
    if layout == "channels_last":
        return x.to(memory_format=torch.channels_last)
    if layout == "sliced":
        wide = torch.full((*x.shape[:3], 2 * x.shape[3] + 1), torch.nan, dtype=x.dtype)
        wide[..., 1::2] = x
        return wide[..., 1::2]
    if layout == "transposed":
        return x.transpose(2, 3).contiguous().transpose(2, 3)
    return x.contiguous()


@st.composite
def problems(draw: st.DrawFn, most: int = 12, channels: int = 130) -> Problem:
    """Any problem: at most `most` positions high, and about 12 * most positions in all."""
    rate = draw(st.integers(1, 4))
    size = draw(sizes(rate, most))
    b_size = draw(st.one_of(st.just(size), sizes(rate, most)))
    semantics = draw(st.sampled_from(["tf", "tf", "torch", "mmagic"]))
    problem = make_problem(
        batch=draw(st.integers(1, 3)),
        channels=draw(st.one_of(st.integers(1, 20), st.integers(1, channels))),
        size=size,
        b_size=b_size,
        mask=draw(st.sampled_from(MASKS)),
        kind=draw(st.sampled_from(["noise", "natural"])),
        value_scale=draw(st.sampled_from([0, 0, 1, 2, 3])),
        value_channels=draw(st.integers(1, 9)),
        query=draw(st.integers(0, 4)) == 0,
        dtype=draw(st.sampled_from(DTYPES)),
        seed=draw(st.integers(0, 2**20)),
        rate=rate,
        ksize=draw(st.sampled_from([3, 3, 1, 5, 7])),
        fuse_k=draw(st.sampled_from([3, 3, 1, 5])),
        softmax_scale=draw(st.sampled_from([10.0, 10.0, 1.0, 50.0, 0.0, -5.0])),
        fuse=draw(st.integers(0, 5)) > 0,
        semantics=semantics,
        skip=draw(st.sampled_from(["never", "never", "auto"])),
    )
    layout = draw(st.sampled_from(LAYOUTS))
    other = draw(st.sampled_from(LAYOUTS))
    return Problem(
        laid_out(problem.f, layout),
        laid_out(problem.b, other),
        problem.mask,
        problem.values,
        problem.query_mask,
        problem.options,
    )
