"""What a generator is made of, as it is written beside its weights."""

from __future__ import annotations

from dataclasses import dataclass, fields

from .. import checks

__all__ = ["GeneratorConfig"]

VERSIONS = ("v1", "v2")
PADDINGS = ("tf", "symmetric")
WIDTHS = {"v1": 32, "v2": 48}


@dataclass(frozen=True)
class GeneratorConfig:
    """The options of a `Generator`; what is not named is as published.

    version: "v1" (plain convolutions, ELU, clipped output) or "v2" (gated convolutions, tanh).
    cnum: channels of the first layer, all others being multiples of it; even, and in "v2" a
        multiple of 4. None is the published width, 32 and 48.
    padding: how strided convolutions meet the border: "tf" (the smaller half in front, as
        TensorFlow's SAME) or "symmetric" (the same on both sides, as PyTorch ports have it).
    semantics: of the attention and of the mask it is given, as in `contextual_attention`.
    ksize, rate, fuse_k, softmax_scale, fuse: of the attention, on features at a quarter of the
        image.

    Raises ValueError or TypeError, a sentence, for anything else.

    >>> GeneratorConfig("v2").cnum
    48
    """

    version: str = "v1"
    cnum: int | None = None
    padding: str = "tf"
    semantics: str = "tf"
    ksize: int = 3
    rate: int = 2
    fuse_k: int = 3
    softmax_scale: float = 10.0
    fuse: bool = True

    def __post_init__(self) -> None:
        checks.choice("version", self.version, VERSIONS)
        checks.choice("padding", self.padding, PADDINGS)
        checks.choices(self.semantics)
        checks.windows(self.ksize, 1, self.rate, self.fuse_k)
        checks.scale(self.softmax_scale)
        if self.cnum is None:
            object.__setattr__(self, "cnum", WIDTHS[self.version])
        even = 4 if self.version == "v2" else 2
        if isinstance(self.cnum, bool) or not isinstance(self.cnum, int):
            raise TypeError(f"cnum must be an int, got {type(self.cnum).__name__}")
        if self.cnum < even or self.cnum % even:
            raise ValueError(f"cnum must be a positive multiple of {even}, got {self.cnum}")

    @property
    def width(self) -> int:
        """`cnum` as an int."""
        assert self.cnum is not None
        return self.cnum

    @property
    def multiple(self) -> int:
        """Pictures are padded to multiples of this many pixels inside the network."""
        return 4 * self.rate

    @classmethod
    def from_dict(cls, values: dict[str, object]) -> GeneratorConfig:
        """The config from a dictionary, such as a JSON file holds.

        Raises ValueError, a sentence, for a name that is no option.
        """
        known = [f.name for f in fields(cls)]
        for name in values:
            if name not in known:
                raise ValueError(f"config must hold options of {', '.join(known)}, got {name!r}")
        return cls(**values)  # type: ignore[arg-type]
