"""The paste for compute capability 9.0, emulated: by the judge, against the one for all devices,
and in every order."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from gica_ops import reference
from gica_ops.testing import Problem, assert_close_to_float64, make_problem
from tests import golden
from tests.judge import SKIPPING_UNIT, own_errors
from tests.native import emulated
from tests.native.emulated import Schedule
from tests.native.test_emulated import GOLDEN
from tests.strategies import laid_out
from tests.tiles import PASTES

pytestmark = pytest.mark.usefixtures("emulated_kernels")

SM90, SM80 = Schedule("sm90"), Schedule("sm80")
DTYPES = [torch.bfloat16, torch.float16]


def problem_named(name: str, dtype: torch.dtype) -> Problem:
    return make_problem(**{"mask": "irregular", **PASTES[name]}, dtype=dtype)


def pasted(problem: Problem, schedule: Schedule) -> torch.Tensor:
    arguments = problem.attention_arguments()
    return emulated.contextual_attention(**arguments, schedule=schedule).detach()


def equal_bits(a: torch.Tensor, b: torch.Tensor) -> bool:
    return torch.equal(a.contiguous().view(torch.int16), b.contiguous().view(torch.int16))


def live_blocks(kernels, problem: Problem) -> torch.Tensor:
    """The map of live tiles of the first sample."""
    p, o = problem, dict(problem.options)
    inputs = emulated.checks.inputs(p.f, p.b, p.mask, None, None, 3, 1, o.pop("rate", 1), 3, True)
    skip = o.pop("skip", "auto") == "auto"
    bare = emulated.problem_of(inputs, skip=skip, **o)
    return torch.from_numpy(kernels.forward(bare, SM90.native())["live"])[0]


def judge_output(problem: Problem, y: torch.Tensor) -> None:
    """As `tests.judge`, without gradients: those are the same in every family."""

    def by_reference(p: Problem) -> dict[str, torch.Tensor]:
        return {"output": reference.contextual_attention(**p.attention_arguments())}

    truth = by_reference(problem.to(torch.float64))["output"]
    dtype = problem.f.dtype
    if truth.abs().max() > torch.finfo(dtype).max / 2:
        return
    skipped = SKIPPING_UNIT[dtype] if problem.options.get("skip", "auto") == "auto" else 0.0
    values = problem.b if problem.values is None else problem.values
    allowance = skipped * float(values.abs().max())
    own = own_errors(problem, by_reference, 4)["output"]
    assert_close_to_float64(y, own, truth, allowance=allowance)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", GOLDEN)
def test_golden_cases(name, dtype):
    problem = golden.load(name).problem.to(dtype)
    judge_output(problem, pasted(problem, SM90))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", PASTES)
def test_problems(name, dtype):
    """Right, and as every other device has it, up to the order of sums."""
    problem = problem_named(name, dtype)
    y, expected = pasted(problem, SM90), pasted(problem, SM80)
    judge_output(problem, y)
    most = torch.finfo(dtype).eps * expected.double().abs()
    assert ((y.double() - expected.double()).abs() <= most).all()


def test_lists_are_as_long_as_their_names_say(emulated_kernels):
    def live(name):
        return live_blocks(emulated_kernels, problem_named(name, torch.bfloat16)).float()

    assert live("one live block in most rows").sum(1).median() <= 4
    assert live("split lists, dense").all()
    assert 0 < live("split lists, few live").mean() < 0.5
    assert not live("nothing to attend to").any()


@pytest.mark.parametrize(
    "name",
    [
        "two samples", "two parts of the columns", "one live block in most rows",
        "split lists, dense", "nothing to attend to, split lists",
    ],
)  # fmt: skip
def test_no_order_changes_a_bit(name):
    problem = problem_named(name, torch.bfloat16)
    first = pasted(problem, SM90)
    for eager in (False, True):
        for seed in (0, 1, 2):
            y = pasted(problem, replace(SM90, eager=eager, seed=seed, poison=0x55, threads=3))
            assert equal_bits(y, first), (eager, seed)


@pytest.mark.parametrize("name", ["two parts of the columns", "split lists, dense"])
def test_strips_change_rounding_at_most(name):
    problem = problem_named(name, torch.float16)
    whole = pasted(problem, SM90).double()
    y = pasted(problem, replace(SM90, scratch_limit=1)).double()
    assert (y - whole).abs().max() <= 2.0**-10 * whole.abs().max()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("channels", [5, 24])
def test_channels_last(channels, dtype):
    """Channels that lie side by side are written eight at a time, where there are eight."""
    p = make_problem(batch=2, channels=channels, size=(16, 20), rate=2, dtype=dtype)
    last = replace(p, f=laid_out(p.f, "channels_last"), b=laid_out(p.b, "channels_last"))
    y = pasted(last, SM90)
    assert y.is_contiguous(memory_format=torch.channels_last)
    assert equal_bits(y, pasted(p, SM90))


def test_the_generic_paste_on_request(emulated_kernels):
    """Family sm90 without its own kernels is family sm80."""
    problem = problem_named("split lists, dense", torch.float16)
    generic = pasted(problem, replace(SM90, generic=True))
    assert equal_bits(generic, pasted(problem, replace(SM80, generic=True)))
