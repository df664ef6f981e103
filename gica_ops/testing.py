"""What the tests and the benchmarks share: when a result is right, and problems to try it on.

A result is right when its error against float64 is at most a small multiple of the error that the
reference itself makes in the same dtype. No tolerance is chosen by hand: hard problems widen it by
themselves, and easy ones do not hide a mistake behind it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

MASKS = ("none", "all", "centre", "irregular", "per_sample", "nearly_all", "edge")


def assert_close_to_float64(
    actual: Tensor,
    reference: Tensor | float,
    truth: Tensor,
    factor: float = 2.0,
    what: str = "result",
    *,
    allowance: float = 0.0,
) -> None:
    """Raise AssertionError unless `actual` is as near to the truth as its dtype allows.

    actual: the tensor on trial. reference: what the reference computes in the dtype of `actual`, or
    the error it makes if that is known already (`largest_error`). truth: what the reference
    computes in float64. The largest error of `actual` may be `factor` times that of the reference,
    plus 2 eps times the largest value, plus the smallest normal number (below it a 0 will do), plus
    an allowance for what is left out on purpose. A NaN or an infinity passes only where the truth
    has the same.

    >>> truth = torch.tensor([1.0, 2.0], dtype=torch.float64)
    >>> assert_close_to_float64(truth.float(), truth.float(), truth)
    """
    if isinstance(reference, Tensor):
        if reference.dtype != actual.dtype:
            raise AssertionError(
                f"{what}: actual ({actual.dtype}) and reference ({reference.dtype}) must have one "
                "dtype"
            )
        reference = largest_error(reference, truth, f"reference of {what}")
    error = largest_error(actual, truth, what)
    largest = largest_error(torch.zeros_like(truth), truth.nan_to_num(0.0, 0.0, 0.0))
    floor = 2 * torch.finfo(actual.dtype).eps * largest + torch.finfo(actual.dtype).tiny
    bound = factor * reference + floor + allowance
    if not error <= bound < float("inf"):
        raise AssertionError(
            f"{what}: error {error:.3e} against float64 is above {bound:.3e} = {factor:g} x the "
            f"reference's own {reference:.3e} + a rounding floor of {floor:.3e} + an allowance of "
            f"{allowance:.3e}"
        )


def largest_error(result: Tensor, truth: Tensor, what: str = "result") -> float:
    """The largest distance to the truth, float64; AssertionError for a difference in kind.

    Differences in kind: another shape, a value that is not finite where the truth is, any other
    value where the truth is not.
    """
    if result.shape != truth.shape:
        raise AssertionError(
            f"{what}: shapes differ: {tuple(result.shape)}, truth {tuple(truth.shape)}"
        )
    if truth.dtype != torch.float64:
        raise AssertionError(f"{what}: the truth must be float64, got {truth.dtype}")
    wide, finite = result.detach().double(), truth.isfinite()
    same = (wide == truth) | (wide.isnan() & truth.isnan())
    if not same[~finite].all():
        raise AssertionError(f"{what}: differs where the truth is not finite")
    bad = int((~wide[finite].isfinite()).sum())
    if bad:
        raise AssertionError(f"{what}: {bad} values are not finite where the truth is")
    return float((wide - truth)[finite].abs().max()) if finite.any() else 0.0


@dataclass(frozen=True, eq=False)
class Problem:
    """One call of the layer: two maps, what goes with them, and the options."""

    f: Tensor
    b: Tensor
    mask: Tensor | None = None
    values: Tensor | None = None
    query_mask: Tensor | None = None
    options: dict[str, Any] = field(default_factory=dict)

    def to(self, dtype: torch.dtype) -> Problem:
        """The same problem in another dtype; the masks stay."""
        f = self.f.to(dtype)
        b = f if self.b is self.f else self.b.to(dtype)
        values = None if self.values is None else self.values.to(dtype)
        return replace(self, f=f, b=b, values=values)

    def with_options(self, **options: Any) -> Problem:
        """The same problem with some options changed."""
        return replace(self, options={**self.options, **options})

    def requires_grad(self) -> Problem:
        """The same problem on fresh leaves that require gradients; one leaf where f is b."""
        f = self.f.detach().clone().requires_grad_()
        b = f if self.b is self.f else self.b.detach().clone().requires_grad_()
        values = None if self.values is None else self.values.detach().clone().requires_grad_()
        return replace(self, f=f, b=b, values=values)

    def attention_arguments(self) -> dict[str, Any]:
        """Keyword arguments for `contextual_attention`."""
        return {
            "f": self.f,
            "b": self.b,
            "mask": self.mask,
            "values": self.values,
            "query_mask": self.query_mask,
            **self.options,
        }

    def match_arguments(self) -> dict[str, Any]:
        """Keyword arguments for `match`."""
        drop = ("values", "softmax_scale", "skip", "deterministic", "return_offsets")
        return {k: v for k, v in self.attention_arguments().items() if k not in drop}


def make_problem(
    *,
    batch: int = 1,
    channels: int = 8,
    size: tuple[int, int] = (16, 16),
    b_size: tuple[int, int] | None = None,
    mask: str = "centre",
    kind: str = "noise",
    value_scale: int = 0,
    value_channels: int = 3,
    query: bool = False,
    f_is_b: bool = False,
    dtype: torch.dtype = torch.float32,
    seed: int = 0,
    **options: Any,
) -> Problem:
    """A problem made from a seed: the same on every machine.

    kind: "noise" or "natural" (see `natural_features`). mask: one of `MASKS`. value_scale: 0 to
    paste b itself, s to paste values s times its size with `value_channels` channels. query:
    whether to ask for a part of the output only. f_is_b: whether the map is matched with itself, as
    a network does.
    """
    generator = torch.Generator().manual_seed(seed)
    b_size = size if b_size is None else b_size
    make = {"noise": noise_features, "natural": natural_features}[kind]
    f = make(batch, channels, size, generator).to(dtype)
    b = f if f_is_b else make(batch, channels, b_size, generator).to(dtype)
    values = None
    if value_scale:
        s = value_scale
        values = torch.randn(
            batch, value_channels, s * b_size[0], s * b_size[1], generator=generator
        )
    query_mask = make_mask("irregular", batch, size, generator) if query else None
    return Problem(
        f,
        b,
        make_mask(mask, batch, b_size, generator),
        None if values is None else values.to(dtype),
        query_mask,
        options,
    )


def noise_features(
    batch: int, channels: int, size: tuple[int, int], generator: torch.Generator
) -> Tensor:
    """Gaussian noise of standard deviation 0.3: every position is like no other."""
    return 0.3 * torch.randn(batch, channels, *size, generator=generator)


def natural_features(
    batch: int, channels: int, size: tuple[int, int], generator: torch.Generator
) -> Tensor:
    """Features like those of photographs: 1/f noise, one random 5 x 5 convolution, ReLU."""
    height, width = size
    rows, columns = torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)
    frequency = (rows.square() + columns.square()).sqrt().clamp_min(0.5 / max(size))
    white = torch.fft.rfft2(torch.randn(batch, 3, *size, generator=generator))
    picture = torch.fft.irfft2(white / frequency, s=size)
    picture = picture - picture.mean((2, 3), keepdim=True)
    picture = 0.5 * picture / picture.square().mean((2, 3), keepdim=True).sqrt().clamp_min(1e-6)
    weight = torch.randn(channels, 3, 5, 5, generator=generator) / 75**0.5
    return F.conv2d(picture, weight, padding=2).relu()


def make_mask(
    kind: str, batch: int, size: tuple[int, int], generator: torch.Generator
) -> Tensor | None:
    """A mask of one of the kinds in `MASKS`, 1 = hole; "per_sample" has one per sample."""
    height, width = size
    mask = torch.zeros(1, 1, height, width)
    if kind == "none":
        return None
    if kind == "all":
        return mask + 1
    if kind == "centre":
        mask[..., height // 4 : height - height // 4, width // 4 : width - width // 4] = 1
    elif kind == "edge":
        mask[..., : max(1, height // 3), :] = 1
        mask[..., -1:] = 1
    elif kind == "irregular":
        mask[0, 0] = _blobs(size, 0.3, generator)
    elif kind == "nearly_all":
        mask[0, 0] = _blobs(size, 0.9, generator)
    elif kind == "per_sample":
        shares = torch.linspace(0.0, 0.6, batch).tolist()
        mask = torch.stack([_blobs(size, share, generator)[None] for share in shares])
    else:
        raise ValueError(f"kind must be one of {MASKS}, got {kind!r}")
    return mask


def _blobs(size: tuple[int, int], share: float, generator: torch.Generator) -> Tensor:
    """Blobs that cover about this share of the map."""
    if share == 0.0:
        return torch.zeros(size)
    smooth = F.avg_pool2d(torch.randn(1, 1, *size, generator=generator), 5, 1, 2)[0, 0]
    return (smooth >= smooth.quantile(1 - share)).float()
