"""What fills holes, by name. A method never sees what was in the hole."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import numpy as np
import torch

from ..inpainting.filled import Filled

__all__ = ["METHODS", "Method", "make_method", "make_methods"]

# From a picture, (H, W, 3) uint8, black in the hole, and the hole, (H, W) bool, to the filled
# picture, (H, W, 3) uint8, the known pixels as they were.
Method = Callable[[np.ndarray, np.ndarray], np.ndarray]

TELEA_RADIUS = 3  # pixels around a point that are looked at, as in OpenCV's examples


def make_method(text: str) -> Method:
    """The method of that name: "exemplar", "telea", "navier-stokes", "network", "network:FOLDER".

    Raises ValueError, a sentence, for an unknown name, and ImportError where its package is
    missing.

    >>> picture = np.tile(np.uint8([[[10], [200]]]), (16, 8, 3))
    >>> hole = np.zeros((16, 16), bool)
    >>> hole[6:10, 6:10] = True
    >>> filled = make_method("exemplar")(picture * ~hole[..., None], hole)
    >>> bool((filled == picture).all())
    True
    """
    name, _, argument = text.partition(":")
    if name not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, got {text!r}")
    return METHODS[name](argument)


def make_methods(texts: Iterable[str]) -> dict[str, Method]:
    """Methods by label: the text itself, or what stands before its "=", as in "mine=network:a/b".

    Raises as `make_method` does, and ValueError where two have one label.

    >>> list(make_methods(["exemplar", "patches=exemplar"]))
    ['exemplar', 'patches']
    """
    methods: dict[str, Method] = {}
    for text in texts:
        named = re.fullmatch(r"([^=:/]+)=(.+)", text)
        label, method = named.groups() if named else (text, text)
        if label in methods:
            raise ValueError(
                f"method {label!r} is there twice; LABEL={method} gives it another label"
            )
        methods[label] = make_method(method)
    return methods


def _no_argument(name: str, argument: str) -> None:
    if argument:
        raise ValueError(f"method {name} takes nothing after a colon, got {argument!r}")


def _exemplar(argument: str) -> Method:
    _no_argument("exemplar", argument)
    from ..inpainting.exemplar import fill

    return partial(_by_tensors, fill)


def _network(argument: str) -> Method:
    if argument and not Path(argument).is_dir():
        raise ValueError(f"method network takes a folder after the colon, got {argument!r}")
    from ..inpainting.network import fill, load_generator

    generator = load_generator(argument or "default")
    return partial(_by_tensors, partial(fill, generator=generator))


def _by_tensors(fill: Callable[..., Filled], picture: np.ndarray, hole: np.ndarray) -> np.ndarray:
    image = torch.from_numpy(picture).permute(2, 0, 1).contiguous()
    return fill(image, torch.from_numpy(hole)).values.permute(1, 2, 0).contiguous().numpy()


def _opencv(name: str, flag: str, argument: str) -> Method:
    _no_argument(name, argument)
    try:
        import cv2
    except ImportError as error:
        raise ImportError(
            f"method {name} needs OpenCV: pip install gica_ops[evaluate] ({error})"
        ) from error
    way = getattr(cv2, flag)

    def fill(picture: np.ndarray, hole: np.ndarray) -> np.ndarray:
        return np.asarray(cv2.inpaint(picture, hole.astype(np.uint8), TELEA_RADIUS, way))

    return fill


# By name, what makes the method from the text after the name's colon.
METHODS: dict[str, Callable[[str], Method]] = {
    "exemplar": _exemplar,
    "network": _network,
    "telea": partial(_opencv, "telea", "INPAINT_TELEA"),
    "navier-stokes": partial(_opencv, "navier-stokes", "INPAINT_NS"),
}
