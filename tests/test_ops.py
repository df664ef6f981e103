"""The operators as PyTorch sees them: schemas, fake kernels, autograd, autocast, vmap, flops."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import gica_ops
from gica_ops.testing import Problem, make_problem

pytestmark = pytest.mark.usefixtures("cpu")

SCHEMAS = {
    "attend": "gica_ops::attend(Tensor f, Tensor b, Tensor? hole, Tensor? values, Tensor? query, "
    "int ksize, int rate, int fuse_k, float softmax_scale, str semantics, bool skip, "
    "bool return_offsets, bool allow_tf32) -> (Tensor y, Tensor row_max, Tensor row_sum, "
    "Tensor live, Tensor offsets)",
    "attend_backward": "gica_ops::attend_backward(Tensor grad_y, Tensor f, Tensor b, Tensor? hole, "
    "Tensor? values, Tensor? query, Tensor row_max, Tensor row_sum, Tensor live, int ksize, "
    "int rate, int fuse_k, float softmax_scale, str semantics, bool allow_tf32, bool need_f, "
    "bool need_b, bool need_values) -> (Tensor df, Tensor db, Tensor dvalues)",
    "match": "gica_ops::match(Tensor f, Tensor b, Tensor? hole, Tensor? query, int ksize, "
    "int rate, int fuse_k, str semantics, bool allow_tf32) -> (Tensor offsets, Tensor scores)",
    "product": "gica_ops::product(Tensor a, Tensor b, bool transposed) -> Tensor",
}


@pytest.mark.parametrize("name", SCHEMAS)
def test_schemas_are_pinned(name):
    """Saved programs name these schemas: a change here needs a new operator."""
    assert str(getattr(torch.ops.gica_ops, name).default._schema) == SCHEMAS[name]


def sample_problems() -> list[Problem]:
    size = {"size": (8, 12), "rate": 2}
    problems = [
        make_problem(**size),
        make_problem(**size, batch=2, mask="per_sample", value_scale=2, query=True),
        make_problem(size=(5, 7), b_size=(9, 4), mask="none", dtype=torch.float64, fuse_k=1),
        make_problem(size=(20, 18), b_size=(9, 33), mask="irregular", semantics="mmagic"),
        make_problem(**size, dtype=torch.bfloat16, value_scale=1),
        make_problem(**size, channels=1, mask="all"),
    ]
    last = make_problem(**size, batch=2)
    problems.append(
        Problem(*(x.to(memory_format=torch.channels_last) for x in (last.f, last.b)),
                last.mask, options=last.options)
    )  # fmt: skip
    narrow = make_problem(size=(8, 24), rate=2)
    problems.append(Problem(narrow.f[..., ::2], narrow.b[..., 1::2], options=narrow.options))
    return problems


PROBLEMS = sample_problems()


def tensors(p: Problem) -> tuple[torch.Tensor | None, ...]:
    masks = (None if m is None else m != 0 for m in (p.mask, p.query_mask))
    hole, query = masks
    return p.f, p.b, hole, p.values, query


def windows(p: Problem) -> tuple[int, int, int]:
    return 3, p.options.get("rate", 1), p.options.get("fuse_k", 3)


def attend_arguments(p: Problem, skip: bool = True, return_offsets: bool = True) -> tuple:
    semantics = p.options.get("semantics", "tf")
    return *tensors(p), *windows(p), 10.0, semantics, skip, return_offsets, False


def backward_arguments(p: Problem, need: tuple[bool, bool, bool]) -> tuple:
    arguments = attend_arguments(p)
    y, row_max, row_sum, live, _ = torch.ops.gica_ops.attend(*arguments)
    shared = torch.randn_like(y), *arguments[:5], row_max, row_sum, live, *arguments[5:10]
    return *shared, False, *need


@pytest.mark.parametrize("p", PROBLEMS)
def test_opcheck_attend(p):
    torch.library.opcheck(torch.ops.gica_ops.attend.default, attend_arguments(p))
    torch.library.opcheck(
        torch.ops.gica_ops.attend.default, attend_arguments(p.requires_grad(), False, False)
    )


@pytest.mark.parametrize("p", PROBLEMS)
def test_opcheck_attend_backward(p):
    for need in itertools.product((True, False), repeat=3):
        torch.library.opcheck(
            torch.ops.gica_ops.attend_backward.default,
            backward_arguments(p, need),
            test_utils=("test_schema", "test_faketensor"),
        )
    torch.library.opcheck(
        torch.ops.gica_ops.attend_backward.default, backward_arguments(p, (True, True, True))
    )


@pytest.mark.parametrize("p", PROBLEMS)
def test_opcheck_match(p):
    f, b, hole, _, query = tensors(p)
    arguments = (hole, query, *windows(p), p.options.get("semantics", "tf"), False)
    torch.library.opcheck(torch.ops.gica_ops.match.default, (f, b, *arguments))
    leaves = p.requires_grad()
    torch.library.opcheck(torch.ops.gica_ops.match.default, (leaves.f, leaves.b, *arguments))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("transposed", [False, True])
def test_opcheck_product(dtype, transposed):
    a, b = torch.randn(5, 7, dtype=dtype), torch.randn(7, 9, dtype=dtype)
    b = b.t().contiguous() if transposed else b
    torch.library.opcheck(torch.ops.gica_ops.product.default, (a, b, transposed))


def test_gradients_agree_with_finite_differences():
    p = make_problem(
        channels=2, size=(6, 8), b_size=(8, 6), dtype=torch.float64, value_scale=2, batch=2,
        mask="per_sample", query=True,
    ).requires_grad()  # fmt: skip

    def layer(f, b, values, semantics):
        return gica_ops.contextual_attention(
            f, b, p.mask, values=values, query_mask=p.query_mask, rate=2, softmax_scale=2.0,
            semantics=semantics, backend="cpu",
        )  # fmt: skip

    for semantics in ("tf", "torch", "mmagic"):
        for values in (p.values, None):
            assert torch.autograd.gradcheck(layer, (p.f, p.b, values, semantics), fast_mode=True)


def test_only_the_gradients_asked_for_are_computed():
    p = make_problem(rate=2, value_scale=1)
    flops = {}
    for wanted in [("f",), ("b",), ("values",), ("f", "b"), ("f", "b", "values")]:
        leaves = {
            n: getattr(p, n).clone().requires_grad_(n in wanted) for n in ("f", "b", "values")
        }
        y = gica_ops.contextual_attention(mask=p.mask, rate=2, backend="cpu", **leaves)
        with FlopCounterMode(display=False) as counter:
            y.sum().backward()
        flops[wanted] = counter.get_total_flops()
        for name, leaf in leaves.items():
            assert (leaf.grad is not None) == (name in wanted)
    full = flops["f", "b", "values"]
    assert all(count < full for wanted, count in flops.items() if len(wanted) < 3)


def test_a_second_backward_is_refused_in_a_sentence():
    p = make_problem(rate=2, dtype=torch.float64).requires_grad()
    y = gica_ops.contextual_attention(p.f, p.b, p.mask, rate=2, backend="cpu")
    (df,) = torch.autograd.grad(y.square().sum(), p.f, create_graph=True)
    with pytest.raises(RuntimeError, match='no double backward.*backend="reference"'):
        df.sum().backward()


def test_backward_twice_through_one_graph():
    p = make_problem(rate=2).requires_grad()
    y = gica_ops.contextual_attention(p.f, p.b, p.mask, rate=2, backend="cpu")
    y.sum().backward(retain_graph=True)
    once = p.f.grad.clone()
    y.sum().backward()
    assert torch.equal(p.f.grad, 2 * once)


def test_nothing_but_the_output_has_a_gradient(backend):
    p = make_problem(rate=2).requires_grad()
    result = gica_ops.contextual_attention(
        p.f, p.b, p.mask, rate=2, return_offsets=True, backend=backend
    )
    assert result.output.requires_grad and not result.offsets.requires_grad
    match = gica_ops.match(p.f, p.b, p.mask, rate=2, backend=backend)
    assert not match.offsets.requires_grad and not match.scores.requires_grad


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_meets_at_the_widest_dtype(dtype, backend):
    p = make_problem(rate=2, value_scale=1)
    expected = gica_ops.contextual_attention(**p.attention_arguments(), backend=backend)
    with torch.autocast("cpu", dtype=dtype):
        wide = gica_ops.contextual_attention(**p.attention_arguments(), backend=backend)
        mixed = gica_ops.contextual_attention(
            p.f.to(dtype), p.b, p.mask, rate=2, values=p.values.double(), backend=backend
        )
        match = gica_ops.match(p.f.to(dtype), p.b, p.mask, rate=2, backend=backend)
    assert torch.equal(wide, expected)
    assert mixed.dtype == torch.float64
    assert match.scores.dtype == torch.float32
    with pytest.raises(TypeError, match="b must have the dtype of f"):
        gica_ops.contextual_attention(p.f.to(dtype), p.b, p.mask, rate=2, backend=backend)


def test_autocast_of_the_bare_operators():
    p = make_problem(rate=2, value_scale=1)
    f, *others = attend_arguments(p)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.ops.gica_ops.attend(f.bfloat16(), *others)[0].dtype == torch.float32
        both = torch.ops.gica_ops.attend(
            f.bfloat16(), others[0].bfloat16(), None, None, *others[3:]
        )
        assert both[0].dtype == torch.bfloat16
        maps = f.half(), p.b.bfloat16()
        scores = torch.ops.gica_ops.match(*maps, None, None, 3, 2, 3, "tf", False)[1]
        assert scores.dtype == torch.float32


def test_gradients_under_autocast_have_the_dtypes_of_their_leaves():
    p = make_problem(rate=2).requires_grad()
    f = p.f.detach().bfloat16().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = gica_ops.contextual_attention(f, p.b, p.mask, rate=2, backend="cpu")
    y.sum().backward()
    assert (f.grad.dtype, p.b.grad.dtype) == (torch.bfloat16, torch.float32)


@pytest.mark.parametrize("mapped", ["f b mask", "f", "b", "mask", "f mask", "values", "query"])
def test_vmap(mapped, backend):
    v, batch = 3, 2
    p = make_problem(batch=v * batch, rate=2, size=(8, 12), mask="per_sample", value_scale=1)
    whole = {
        "f": p.f, "b": p.b, "mask": p.mask, "values": p.values, "query": p.mask.flip(3)
    }  # fmt: skip
    stacked = {k: x.unflatten(0, (v, batch)) for k, x in whole.items()}
    names = mapped.split()
    arguments = [x if k in names else x[0] for k, x in stacked.items()]

    def layer(f, b, mask, values, query):
        return gica_ops.contextual_attention(
            f, b, mask, rate=2, values=values, query_mask=query, return_offsets=True,
            backend=backend,
        )  # fmt: skip

    dims = tuple(0 if k in names else None for k in stacked)
    together = torch.vmap(layer, in_dims=dims)(*arguments)
    for i in range(v):
        one = (x[i] if k in names else x for k, x in zip(stacked, arguments, strict=True))
        alone = layer(*one)
        torch.testing.assert_close(together.output[i], alone.output)
        assert torch.equal(together.offsets[i], alone.offsets)


def test_vmap_over_masks_of_one_sample_and_other_dimensions(backend):
    p = make_problem(batch=2, rate=2)
    f = torch.stack((p.f, 2 * p.f, -p.f), 3)  # mapped in the middle
    masks = torch.rand(3, 1, 1, 16, 16) > 0.9

    def layer(f, mask):
        return gica_ops.contextual_attention(f, p.b, mask, rate=2, backend=backend)

    together = torch.vmap(layer, in_dims=(3, 0))(f, masks)
    alone = torch.stack([layer(f.select(3, i), masks[i]) for i in range(3)])
    torch.testing.assert_close(together, alone)
    matches = torch.vmap(
        lambda f: gica_ops.match(f, p.b, rate=2, backend=backend).scores, in_dims=3
    )(f)
    assert matches.shape == (3, 2, 8, 8)


def test_gradients_through_vmap(backend):
    p = make_problem(batch=6, rate=2, size=(8, 8)).requires_grad()

    def layer(f, b):
        return gica_ops.contextual_attention(f, b, p.mask, rate=2, backend=backend)

    f, b = (x.unflatten(0, (3, 2)) for x in (p.f, p.b))
    torch.vmap(layer)(f, b).square().sum().backward()
    mapped = p.f.grad.clone(), p.b.grad.clone()
    p.f.grad = p.b.grad = None
    layer(p.f, p.b).square().sum().backward()
    torch.testing.assert_close(mapped, (p.f.grad, p.b.grad))


@pytest.mark.parametrize("value_scale", [0, 2])
def test_flop_formulas_count_what_is_executed(value_scale):
    rate, channels, value_channels = 2, 8, 3
    p = make_problem(
        batch=2, channels=channels, size=(8, 12), b_size=(16, 8), rate=rate,
        value_scale=value_scale, value_channels=value_channels,
    ).requires_grad()  # fmt: skip
    pairs = 2 * (4 * 6) * (8 * 4)
    paste = (value_scale * rate) ** 2 * value_channels if value_scale else rate**2 * channels
    with FlopCounterMode(display=False) as forward:
        y = gica_ops.contextual_attention(**p.attention_arguments(), backend="cpu")
    assert forward.get_total_flops() == 2 * pairs * (channels + paste)
    with FlopCounterMode(display=False) as backward:
        y.sum().backward()
    assert backward.get_total_flops() == 2 * pairs * (3 * channels + 2 * paste)
    if not value_scale:  # 10 and 22 operations per pair and channel at rate 2
        assert forward.get_total_flops() == 10 * pairs * channels
        assert backward.get_total_flops() == 22 * pairs * channels
    with FlopCounterMode(display=False) as match:
        gica_ops.match(**p.match_arguments(), backend="cpu")
    assert match.get_total_flops() == 2 * pairs * channels
    with FlopCounterMode(display=False) as product:
        torch.ops.gica_ops.product(torch.ones(3, 4), torch.ones(5, 4), True)
    assert product.get_total_flops() == 2 * 3 * 4 * 5
