"""The contextual-attention inpainting layer as fused, memory-lean operators for PyTorch."""

from . import reference
from ._version import __version__
from .backends import available_backends
from .flow import displacements, flow_to_image
from .functional import contextual_attention, match
from .inpainting.inpaint import inpaint
from .modules import ContextualAttention
from .results import Attended, Match

__all__ = [
    "Attended",
    "ContextualAttention",
    "Match",
    "__version__",
    "available_backends",
    "contextual_attention",
    "displacements",
    "flow_to_image",
    "inpaint",
    "match",
    "reference",
]
