"""Measures how well holes are filled: fixed masks, metrics, methods side by side."""

from .driver import Results, Row, Shown, evaluate
from .masks import find_masks, spec_names
from .methods import METHODS, Method, make_methods
from .metrics import METRICS, score
from .pictures import find_pictures

__all__ = [
    "METHODS",
    "METRICS",
    "Method",
    "Results",
    "Row",
    "Shown",
    "evaluate",
    "find_masks",
    "find_pictures",
    "make_methods",
    "score",
    "spec_names",
]
