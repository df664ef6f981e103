"""The generative inpainting networks: generators, critics, and weights in and out."""

from .config import GeneratorConfig
from .critics import LocalGlobalCritic, PatchCritic
from .generator import Generator, complete
from .tf_names import load_tf_variables, swap_rgb

__all__ = [
    "Generator",
    "GeneratorConfig",
    "LocalGlobalCritic",
    "PatchCritic",
    "complete",
    "load_tf_variables",
    "swap_rgb",
]
