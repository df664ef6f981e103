"""Everything about the operators that is not a kernel: what they return on fake tensors, their
gradients, autocast, vmap and flop formulas.

The schemas and the CPU kernels are in the native library (csrc/torch/library.cpp), the CUDA kernels
in a second one. Where the first is not loaded nothing is registered, and importing this module does
nothing.

    gica_ops::attend            the layer; also returns what its backward needs
    gica_ops::attend_backward   its gradients
    gica_ops::match             the best background positions and their scores
    gica_ops::window_costs      differences of pairs of windows, for the exemplar filler
    gica_ops::product           the matrix product of the CPU kernels, for measurements
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from . import _native
from .checks import widest
from .results import layout_like

# Side of the two-dimensional tiles whose pairs are the blocks that may be skipped.
TILE = 8


# Fake kernels: the shapes, dtypes and strides of what the kernels return.


def _empty_image(like: Tensor, channels: Any, height: Any, width: Any) -> Tensor:
    size = (like.shape[0], channels, height, width)
    return torch.empty(size, dtype=like.dtype, device=like.device, memory_format=layout_like(like))


def _arithmetic(dtype: torch.dtype) -> torch.dtype:
    return torch.float64 if dtype == torch.float64 else torch.float32


def _tiles(device: torch.device, n: Any) -> Any:
    """Tiles over n > 1 positions. On the CPU a single one left over goes with the tile before it,
    on CUDA every tile has one size."""
    return (n + TILE - 1) // TILE if device.type == "cuda" else (n + TILE - 2) // TILE


def _fake_attend(
    f: Tensor,
    b: Tensor,
    hole: Tensor | None,
    values: Tensor | None,
    query: Tensor | None,
    ksize: int,
    rate: int,
    fuse_k: int,
    softmax_scale: float,
    semantics: str,
    skip: bool,
    return_offsets: bool,
    allow_tf32: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    pasted = b if values is None else values
    s = pasted.shape[2] // b.shape[2]
    batch, fh, fw = f.shape[0], f.shape[2] // rate, f.shape[3] // rate
    bh, bw = b.shape[2] // rate, b.shape[3] // rate
    y = _empty_image(f, pasted.shape[1], s * f.shape[2], s * f.shape[3])
    row_max = f.new_empty((batch, fh, fw), dtype=_arithmetic(f.dtype))
    # Pasting joins grids that are one longer than the maps of positions.
    rows, columns, b_rows, b_columns = (_tiles(f.device, n + 1) for n in (fh, fw, bh, bw))
    live = f.new_empty((batch, rows * columns, b_rows * b_columns), dtype=torch.uint8)
    offsets = f.new_empty((batch, 2, fh, fw) if return_offsets else (0,), dtype=torch.int64)
    return y, row_max, torch.empty_like(row_max), live, offsets


def _fake_attend_backward(
    grad_y: Tensor,
    f: Tensor,
    b: Tensor,
    hole: Tensor | None,
    values: Tensor | None,
    query: Tensor | None,
    row_max: Tensor,
    row_sum: Tensor,
    live: Tensor,
    ksize: int,
    rate: int,
    fuse_k: int,
    softmax_scale: float,
    semantics: str,
    allow_tf32: bool,
    need_f: bool,
    need_b: bool,
    need_values: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    def like(t: Tensor | None, need: bool) -> Tensor:
        return _empty_image(t, *t.shape[1:]) if need and t is not None else f.new_empty((0,))

    return like(f, need_f), like(b, need_b), like(values, need_values)


def _fake_match(
    f: Tensor,
    b: Tensor,
    hole: Tensor | None,
    query: Tensor | None,
    ksize: int,
    rate: int,
    fuse_k: int,
    semantics: str,
    allow_tf32: bool,
) -> tuple[Tensor, Tensor]:
    batch, fh, fw = f.shape[0], f.shape[2] // rate, f.shape[3] // rate
    offsets = f.new_empty((batch, 2, fh, fw), dtype=torch.int64)
    return offsets, f.new_empty((batch, fh, fw), dtype=_arithmetic(f.dtype))


def _fake_window_costs(
    pixels: Tensor,
    weight: Tensor,
    targets: Tensor,
    sources: Tensor,
    height: int,
    width: int,
    ksize: int,
) -> Tensor:
    return pixels.new_empty((targets.shape[0],))


def _fake_product(a: Tensor, b: Tensor, transposed: bool) -> Tensor:
    return a.new_empty((a.shape[0], b.shape[0 if transposed else 1]))


# Autograd.


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    f, b, hole, values, query, *options = inputs
    _, row_max, row_sum, live, offsets = output
    ctx.mark_non_differentiable(row_max, row_sum, live, offsets)
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(f, b, hole, values, query, row_max, row_sum, live)
    *shared, _skip, _return_offsets, allow_tf32 = options
    ctx.options = (*shared, allow_tf32)


def _backward(ctx: Any, grad_y: Tensor | None, *_: Any) -> tuple[Tensor | None, ...]:
    need_f, need_b, _hole, need_values, *rest = ctx.needs_input_grad
    nothing: tuple[None, ...] = (None,) * len(rest)
    if grad_y is None:
        return (None, None, None, None, *nothing)
    df, db, dvalues = torch.ops.gica_ops.attend_backward(
        grad_y, *ctx.saved_tensors, *ctx.options, need_f, need_b, need_values
    )
    return (
        df if need_f else None,
        db if need_b else None,
        None,
        dvalues if need_values else None,
        *nothing,
    )


def _save_nothing(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    pass


def _refuse_double_backward(ctx: Any, *grads: Any) -> Any:
    raise RuntimeError(
        "contextual_attention supports no double backward on the compiled kernels: "
        'use backend="reference", which is differentiable as often as wanted'
    )


def _mark_match(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    ctx.mark_non_differentiable(*output)


def _refuse_gradient(ctx: Any, *grads: Any) -> Any:
    raise RuntimeError("this operator of gica_ops has no gradient")


# Autocast: the maps meet at the widest of their dtypes, whatever the autocast dtype is. The
# kernels accumulate in float32 anyway, and narrowing float32 maps would only lose digits.


def _register_autocast(library: torch.library.Library, name: str, values_at: int | None) -> None:
    op = getattr(torch.ops.gica_ops, name)

    def implement(device: str) -> Callable[..., Any]:
        def under_autocast(*args: Any) -> Any:
            widened = list(args)
            values = None if values_at is None else args[values_at]
            widened[0], widened[1], values = widest(args[0], args[1], values)
            if values_at is not None:
                widened[values_at] = values
            with torch.autocast(device, enabled=False):
                return op(*widened)

        return under_autocast

    for device, key in (("cpu", "AutocastCPU"), ("cuda", "AutocastCUDA")):
        library.impl(name, implement(device), key)


# vmap: the mapped dimension becomes part of the batch.


def _fold(t: Any, dim: int | None, mapped: int, batch: int) -> Any:
    """A tensor of batch `batch` or 1, mapped or not, as one of batch `mapped * batch` or 1."""
    if not isinstance(t, Tensor) or (dim is None and t.shape[0] == 1 != batch):
        return t
    t = t.unsqueeze(0) if dim is None else t.movedim(dim, 0)
    return t.expand(mapped, batch, *t.shape[2:]).flatten(0, 1)


def _vmap(op: Any, map_at: int) -> Callable[..., Any]:
    """The vmap rule of an operator that has a map at this place of its arguments."""

    def rule(info: Any, in_dims: Sequence[int | None], *args: Any) -> Any:
        dims = list(in_dims)
        like, dim = args[map_at], dims[map_at]
        batch = like.shape[0] if dim is None else like.movedim(dim, 0).shape[1]
        folded = (_fold(t, d, info.batch_size, batch) for t, d in zip(args, dims, strict=True))
        out = op(*folded)
        # An output of one dimension is the empty tensor that stands for what was not asked for.
        outputs = tuple(t if t.dim() == 1 else t.unflatten(0, (-1, batch)) for t in out)
        return outputs, tuple(None if t.dim() == 1 else 0 for t in out)

    return rule


# Flop formulas: the multiply-adds of the products that the restructured algorithm executes, two
# operations each, with nothing skipped. A padded border is not counted.


def _pairs(f: Sequence[int], b: Sequence[int], rate: int) -> int:
    return f[0] * (f[2] // rate) * (f[3] // rate) * (b[2] // rate) * (b[3] // rate)


def _paste_depth(b: Sequence[int], values: Sequence[int] | None, rate: int) -> int:
    """Values under one background position: what each pair is multiplied with when pasting."""
    pasted = b if values is None else values
    return pasted[1] * (pasted[2] // b[2] * rate) ** 2


def _attend_flops(
    f: Any, b: Any, hole: Any, values: Any, query: Any, ksize: int, rate: int, *_: Any, **__: Any
) -> int:
    return 2 * _pairs(f, b, rate) * (f[1] + _paste_depth(b, values, rate))


def _attend_backward_flops(
    grad_y: Any, f: Any, b: Any, hole: Any, values: Any, *a: Any, **_: Any
) -> int:
    rate, (need_f, need_b, need_values) = a[5], a[-3:]
    paste = _paste_depth(b, values, rate)
    depth = f[1]  # the match product again
    if need_f or need_b:
        depth += paste + f[1] * (need_f + need_b)
    if need_values or (need_b and values is None):
        depth += paste
    return 2 * _pairs(f, b, rate) * depth


def _match_flops(
    f: Any, b: Any, hole: Any, query: Any, ksize: int, rate: int, *_: Any, **__: Any
) -> int:
    return 2 * _pairs(f, b, rate) * f[1]


def _window_costs_flops(
    pixels: Any,
    weight: Any,
    targets: Any,
    sources: Any,
    height: int,
    width: int,
    ksize: int,
    **_: Any,
) -> int:
    return 3 * targets[0] * ksize**2 * pixels[1]


def _product_flops(a: Any, b: Any, transposed: bool, **_: Any) -> int:
    return 2 * a[0] * a[1] * b[0 if transposed else 1]


def _register() -> torch.library.Library:
    library = torch.library.Library("gica_ops", "FRAGMENT")
    ops = torch.ops.gica_ops
    fakes: dict[str, Callable[..., Any]] = {
        "attend": _fake_attend,
        "attend_backward": _fake_attend_backward,
        "match": _fake_match,
        "window_costs": _fake_window_costs,
        "product": _fake_product,
    }
    gradients = {
        "attend": (_backward, _save),
        "attend_backward": (_refuse_double_backward, _save_nothing),
        "match": (_refuse_gradient, _mark_match),
        "window_costs": (_refuse_gradient, _save_nothing),
        "product": (_refuse_gradient, _save_nothing),
    }
    flops: dict[str, Callable[..., Any]] = {
        "attend": _attend_flops,
        "attend_backward": _attend_backward_flops,
        "match": _match_flops,
        "window_costs": _window_costs_flops,
        "product": _product_flops,
    }
    for name, fake in fakes.items():
        torch.library.register_fake(f"gica_ops::{name}", fake, lib=library)
        backward, setup = gradients[name]
        torch.library.register_autograd(
            f"gica_ops::{name}", backward, setup_context=setup, lib=library
        )
        register_flop_formula(getattr(ops, name))(flops[name])
    for name, map_at in (("attend", 0), ("attend_backward", 1), ("match", 0)):
        rule = _vmap(getattr(ops, name), map_at)
        torch.library.register_vmap(f"gica_ops::{name}", rule, lib=library)
    _register_autocast(library, "attend", values_at=3)
    _register_autocast(library, "match", values_at=None)
    return library


# Registrations last as long as this object.
_LIBRARY = _register() if _native.LOADED else None
