"""The layer as a module."""

from __future__ import annotations

from torch import Tensor, nn

from . import backends, checks
from .functional import contextual_attention
from .results import Attended

__all__ = ["ContextualAttention"]


class ContextualAttention(nn.Module):
    """`contextual_attention` with its options fixed; it has no parameters.

    Options are those of `gica_ops.contextual_attention`, with the same defaults, and are checked
    here; the tensors go to `forward`.

    >>> import torch
    >>> layer = ContextualAttention(rate=2)
    >>> f = torch.randn(1, 8, 16, 16)
    >>> layer(f, f).shape
    torch.Size([1, 8, 16, 16])
    """

    def __init__(
        self,
        ksize: int = 3,
        stride: int = 1,
        rate: int = 1,
        fuse_k: int = 3,
        softmax_scale: float = 10.0,
        *,
        fuse: bool = True,
        semantics: str = "tf",
        return_offsets: bool = False,
        skip: str = "auto",
        deterministic: bool | None = None,
        backend: str = "auto",
    ) -> None:
        super().__init__()
        checks.windows(ksize, stride, rate, fuse_k)
        checks.choices(semantics, skip, deterministic)
        backends.check_name(backend)
        self.ksize = ksize
        self.stride = stride
        self.rate = rate
        self.fuse_k = fuse_k
        self.softmax_scale = checks.scale(softmax_scale)
        self.fuse = fuse
        self.semantics = semantics
        self.return_offsets = return_offsets
        self.skip = skip
        self.deterministic = deterministic
        self.backend = backend

    def forward(
        self,
        f: Tensor,
        b: Tensor,
        mask: Tensor | None = None,
        *,
        values: Tensor | None = None,
        query_mask: Tensor | None = None,
    ) -> Tensor | Attended:
        """Shapes and errors as in `contextual_attention`."""
        return contextual_attention(  # type: ignore[call-overload]
            f,
            b,
            mask,
            self.ksize,
            self.stride,
            self.rate,
            self.fuse_k,
            self.softmax_scale,
            fuse=self.fuse,
            values=values,
            query_mask=query_mask,
            semantics=self.semantics,
            return_offsets=self.return_offsets,
            skip=self.skip,
            deterministic=self.deterministic,
            backend=self.backend,
        )

    def extra_repr(self) -> str:
        options = (
            "ksize",
            "rate",
            "fuse_k",
            "softmax_scale",
            "fuse",
            "semantics",
            "return_offsets",
            "skip",
            "deterministic",
            "backend",
        )
        return ", ".join(f"{name}={getattr(self, name)!r}" for name in options)
