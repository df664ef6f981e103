"""Reads any picture as upright 8-bit RGB."""

from __future__ import annotations

import io
import warnings

import numpy as np
from PIL import Image, ImageOps

from ..formats import picture_formats

__all__ = ["decode_picture", "read_picture"]


def read_picture(path: str) -> np.ndarray:
    """The picture of a file: (height, width, 3) uint8, RGB, upright, the first of several.

    Grey becomes three equal channels, 16 bits become 8, alpha is dropped. Raises ValueError, a
    sentence, for a file that cannot be read, is cut short, or is larger than Pillow deems safe.
    """
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise ValueError(f"{path!r} cannot be read: {error.strerror}") from None
    return decode_picture(data, path)


def decode_picture(data: bytes, name: str) -> np.ndarray:
    """As read_picture, of the bytes of a file; `name` is for the sentence where that fails.

    >>> file = io.BytesIO()
    >>> Image.new("L", (3, 2), 7).save(file, "PNG")
    >>> decode_picture(file.getvalue(), "grey.png").tolist() == [[[7, 7, 7]] * 3] * 2
    True
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=picture_formats()) as image:
                image.load()
                return np.array(_rgb(ImageOps.exif_transpose(image)))
    except Image.UnidentifiedImageError:
        raise ValueError(f"{name!r} is no picture that Pillow can read") from None
    except MemoryError:
        raise
    # Pillow's readers raise what their formats' parsers raise: many kinds for one broken file.
    except Exception as error:
        raise ValueError(f"{name!r} cannot be read: {error}") from error


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith(("I", "F")):
        grey = np.asarray(image).astype(np.float32)
        # 16 bits whatever they are stored in; anything else counts in 255ths.
        deep = image.mode.startswith("I;16") or grey.max(initial=0) > 255
        grey = (grey / 257 if deep else grey).round().clip(0, 255)
        image = Image.fromarray(grey.astype(np.uint8))
    if image.mode in ("PA", "La", "RGBa"):
        image = image.convert("LA" if image.mode == "La" else "RGBA")
    return image.convert("RGB")
