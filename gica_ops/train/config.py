"""Everything that defines a training run, as it is written into the run's folder."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .. import checks
from ..data.loader import DataConfig
from ..data.masks import BoxMask, parse_mask_spec
from ..model import GeneratorConfig
from .reconstruction import Reconstruction

__all__ = ["RECIPES", "TrainConfig", "read_config", "with_options"]

ADVERSARIES = ("wgan-gp", "hinge", "none")
PRECISIONS = ("float32", "bfloat16", "float64")


@dataclass(frozen=True)
class TrainConfig:
    """A training run. The defaults are the paper's.

    generator, data, reconstruction: see their classes.
    size: side of the square crops, in pixels.
    batch: pictures per update, over all processes and accumulated parts.
    accumulate: parts that a process takes its share of a batch in.
    coarse_steps: generator updates that train the first stage alone, before all others.
    steps: generator updates in all.
    adversary: "wgan-gp" (v1's critics), "hinge" (v2's) or "none".
    adversary_width: channels of the critics' first layers. adversary_weight: of the adversarial
        term. global_weight: of the whole picture's critic in it. penalty: of the critics' slopes.
    critic_steps: critic updates, each on a batch of its own, before a generator update, which
        shares the last one's.
    lr, beta1, beta2: of Adam. lr_final: the share of lr that is left at the last step, along half a
        cosine; 1 keeps it. shared_clock: whether critics and generator share the count of
        updates in its bias correction.
    ema: decay of the average of weights that is exported; 0 exports the weights themselves.
    precision: "float32", "bfloat16" for autocast, or "float64" to compare runs.
    backend: of the attention.
    workers: processes that read pictures.
    seed: of the initial weights and the penalty's draws; the data have their own.
    save_seconds: between checkpoints; 0 saves after every step. keep: checkpoints kept.
    sample_every: steps between sample pictures in TensorBoard.

    Raises ValueError or TypeError, a sentence, for values that make no sense.
    """

    generator: GeneratorConfig = field(default_factory=GeneratorConfig)
    data: DataConfig = field(default_factory=DataConfig)
    reconstruction: Reconstruction = field(default_factory=Reconstruction)
    size: int = 256
    batch: int = 16
    accumulate: int = 1
    coarse_steps: int = 0
    steps: int = 1_000_000
    adversary: str = "wgan-gp"
    adversary_width: int = 64
    adversary_weight: float = 0.001
    global_weight: float = 1.0
    penalty: float = 10.0
    critic_steps: int = 5
    lr: float = 1e-4
    lr_final: float = 1.0
    beta1: float = 0.5
    beta2: float = 0.9
    shared_clock: bool = True
    ema: float = 0.0
    precision: str = "float32"
    backend: str = "auto"
    workers: int = 2
    seed: int = 0
    save_seconds: float = 60.0
    keep: int = 2
    sample_every: int = 1000

    def __post_init__(self) -> None:
        checks.choice("adversary", self.adversary, ADVERSARIES)
        checks.choice("precision", self.precision, PRECISIONS)
        least = {"size": 8, "batch": 1, "accumulate": 1, "coarse_steps": 0, "steps": 1}
        least |= {"critic_steps": 1, "adversary_width": 1, "workers": 0, "keep": 1}
        for name, smallest in (least | {"sample_every": 1, "seed": 0}).items():
            checks.integer(name, getattr(self, name), smallest)
        if not 0 <= self.ema < 1:
            raise ValueError(f"ema must be at least 0 and less than 1, got {self.ema}")
        if self.batch % self.accumulate:
            raise ValueError(
                f"batch must be a multiple of accumulate, got {self.batch} and {self.accumulate}"
            )
        if self.reconstruction.box or self.adversary == "wgan-gp":
            self.box()

    def box(self) -> tuple[int, int]:
        """Height and width of the box around the hole, in pixels; one for all pictures.

        Raises ValueError, a sentence, where masks have no such box.
        """
        spec = parse_mask_spec(self.data.masks)
        if not isinstance(spec, BoxMask):
            raise ValueError(
                "data.masks must be boxes of one size for the local critic and the box's loss, "
                f"got {self.data.masks!r}: take adversary='hinge' and reconstruction.box=0"
            )
        drawn = spec.draw((self.size, self.size), np.random.default_rng(0)).box
        assert drawn is not None
        return drawn[2:]

    def rate_at(self, step: int) -> float:
        """The learning rate of the step after so many."""
        left = 0.5 + 0.5 * math.cos(math.pi * min(step / self.steps, 1))
        return self.lr * (self.lr_final + (1 - self.lr_final) * left)

    def to_json(self) -> str:
        """The config as JSON text."""
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TrainConfig:
        """The config from what `to_json` writes, parsed; what is left out has its default.

        Raises ValueError or TypeError, a sentence.
        """
        return _build(cls, values, "config")


def _build(kind: type[Any], values: Any, name: str) -> Any:
    """A dataclass from a dictionary, its own dataclasses included."""
    if not isinstance(values, dict):
        raise TypeError(f"{name} must be an object, got {type(values).__name__}")
    arguments = {}
    known = {f.name: f for f in dataclasses.fields(kind)}
    for key, value in values.items():
        if key not in known:
            raise ValueError(f"{name} must hold options of {', '.join(known)}, got {key!r}")
        inner = known[key].default_factory
        if isinstance(inner, type) and dataclasses.is_dataclass(inner):
            value = _build(inner, value, key)
        arguments[key] = tuple(value) if isinstance(value, list) else value
    return kind(**arguments)


RECIPES = {
    "v1": TrainConfig(),
    "v2": TrainConfig(
        generator=GeneratorConfig("v2"),
        data=DataConfig(masks="free-form+box", per_batch_mask=False),
        reconstruction=Reconstruction(box=0, background=0, whole=1, coarse=1, discount=1),
        adversary="hinge",
        adversary_weight=1.0,
        critic_steps=1,
        beta2=0.999,
        shared_clock=False,
    ),
}


def read_config(name: str | Path) -> TrainConfig:
    """A recipe by its name, "v1" or "v2", or the config in a JSON file.

    Raises ValueError, a sentence, for what is neither.

    >>> read_config("v2").adversary
    'hinge'
    """
    if str(name) in RECIPES:
        return RECIPES[str(name)]
    try:
        values = json.loads(Path(name).read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        known = ", ".join(RECIPES)
        raise ValueError(
            f"config must be {known} or a JSON file, got {str(name)!r}: {error}"
        ) from None
    try:
        return TrainConfig.from_dict(values)
    except (TypeError, ValueError) as error:
        raise ValueError(f"config {str(name)!r} is not one of a training run: {error}") from None


def with_options(config: TrainConfig, options: dict[str, str]) -> TrainConfig:
    """The config with some options changed.

    options: by name, dots leading inwards; values are JSON, or text where they are not.

    >>> with_options(TrainConfig(), {"batch": "4", "data.masks": "box:64"}).batch
    4
    """
    values = dataclasses.asdict(config)
    for name, text in options.items():
        *path, last = name.split(".")
        inner = values
        for part in path:
            inner = inner.get(part, {}) if isinstance(inner, dict) else {}
        if not isinstance(inner, dict) or last not in inner or isinstance(inner[last], dict):
            raise ValueError(f"option {name!r} is none of a training run's")
        try:
            inner[last] = json.loads(text)
        except ValueError:
            inner[last] = text
    return TrainConfig.from_dict(values)
