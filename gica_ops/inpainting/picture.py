"""Pillow's images of any mode as numbers to fill, and back, every known pixel as it was."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor

__all__ = ["Picture", "in_colour", "white"]

# Channels to fill, by mode. Alpha and padding come after them and stay as they are.
COLOURS = {
    "1": 1, "L": 1, "LA": 1, "I": 1, "I;16": 1, "I;16L": 1, "I;16B": 1, "I;16N": 1, "F": 1,
    "RGB": 3, "RGBA": 3, "RGBX": 3, "YCbCr": 3, "LAB": 3, "HSV": 3, "CMYK": 4, "P": 3,
}  # fmt: skip
CHUNK = 65536


class Picture:
    """A picture of any mode as numbers to fill, and back.

    image: upright.
    form: the format of its file, such as "PNG"; None where it comes from none.
    turned: its file holds it lying on its side.
    note: sentences where its file holds more than was read, else None.

    Raises ValueError, a sentence, for a mode that cannot be filled; `name` is what it calls the
    picture.

    >>> picture = Picture(Image.new("RGBA", (4, 3), "red"))
    >>> picture.size, tuple(picture.values.shape)
    ((3, 4), (3, 3, 4))
    """

    def __init__(
        self,
        image: Image.Image,
        name: str = "image",
        note: str | None = None,
        *,
        form: str | None = None,
        turned: bool = False,
    ) -> None:
        if image.mode in ("PA", "La", "RGBa"):
            image = image.convert("LA" if image.mode == "La" else "RGBA")
        if image.mode not in COLOURS:
            raise ValueError(f"{name} has mode {image.mode}, which cannot be filled")
        self.image = image
        self.form = form
        self.turned = turned
        self.note = note

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.image.height, self.image.width

    @property
    def values(self) -> Tensor:
        """What there is to fill: (colours, height, width), of the file's own numbers."""
        pixels = self._pixels()
        if self.image.mode == "P":
            colours = np.zeros((256, 3), np.uint8)  # a broken file may point beyond its palette
            palette = self._palette()
            colours[: len(palette)] = palette
            pixels = colours[pixels]
        pixels = pixels.reshape(*self.size, -1)[..., : COLOURS[self.image.mode]]
        if pixels.dtype.kind == "u" and pixels.dtype.itemsize == 2:
            pixels = pixels.astype(np.int32)  # torch has next to no arithmetic for uint16
        return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))

    def replaced(self, values: Tensor, hole: Tensor) -> Image.Image:
        """The picture with other values where `hole`, (height, width) bool, is set.

        Keeps mode, alpha, palette and metadata; of a palette the nearest colour is taken among
        those as opaque as what was there.
        """
        pixels = self._pixels()
        where = hole.numpy()
        new = values.numpy()[:, where].T
        if self.image.mode == "P":
            pixels[where] = self._indices(new, pixels[where])
        elif pixels.ndim == 2:
            pixels[where] = new[:, 0]
        else:
            pixels[where, : new.shape[1]] = new
        if self.image.mode == "1":
            upright = Image.fromarray(pixels).convert("1", dither=Image.Dither.NONE)
        else:
            upright = self.image.copy()
            upright.frombytes(pixels.tobytes())
        upright.info = dict(self.image.info)
        return upright

    def _pixels(self) -> np.ndarray:
        return np.array(self.image.convert("L") if self.image.mode == "1" else self.image)

    def _palette(self) -> np.ndarray:
        """(N, 3) uint8, N at most 256."""
        colours = self.image.getpalette("RGB") or [0, 0, 0]
        return np.asarray(colours, np.uint8).reshape(-1, 3)[:256]

    def _opacity(self) -> np.ndarray:
        """(256,) uint8, the alpha of each colour of the palette."""
        alpha = np.full(256, 255, np.uint8)
        given = self.image.info.get("transparency")
        if isinstance(given, bytes):
            alpha[: len(given)] = np.frombuffer(given[:256], np.uint8)
        elif isinstance(given, int) and 0 <= given < 256:
            alpha[given] = 0
        return alpha

    def _indices(self, colours: np.ndarray, before: np.ndarray) -> np.ndarray:
        """The palette's indices for (N, 3) colours, where (N,) indices were before."""
        palette, alpha = self._palette(), self._opacity()
        found = np.empty_like(before)
        for level in np.unique(alpha[before]):
            here = alpha[before] == level
            usable = np.flatnonzero(alpha[: len(palette)] == level)
            if not len(usable):  # the file points beyond its palette
                usable = np.arange(len(palette))
            found[here] = usable[_nearest(colours[here], palette[usable])]
        return found


def in_colour(image: Image.Image, mode: str = "RGB") -> Image.Image:
    """An image of any mode to look at; numbers beyond 8 bits are stretched over their range.

    mode: "RGB", or another of 8 bits. What is not finite is black.

    >>> in_colour(Image.new("F", (1, 1), float("nan"))).getpixel((0, 0))
    (0, 0, 0)
    """
    if image.mode.startswith(("I", "F")):
        values = np.array(image, np.float64)
        finite = np.isfinite(values)
        seen = values[finite] if finite.any() else np.zeros(1)
        values = np.where(finite, values - seen.min(), 0) * (255 / (np.ptp(seen) or 1))
        image = Image.fromarray(values.astype(np.uint8))
    return image.convert(mode)


def white(image: Image.Image, threshold: int = 127, *, invert: bool = False) -> Tensor:
    """Where an image of any mode is brighter than `threshold`: (height, width) bool.

    threshold: 0 to 255, also for 16 bits, which count in 257ths.
    invert: where it is not brighter. What is transparent is neither.

    >>> white(Image.new("L", (2, 1), 200))
    tensor([[True, True]])
    """
    if image.mode.startswith(("I", "F")):
        grey = np.array(image)
        # 16 bits whatever they are stored in; anything else counts in 255ths.
        deep = image.mode.startswith("I;16") or grey.max(initial=0) > 255
        found = grey > (257 * threshold + 128 if deep else threshold)
    else:
        if image.mode in ("PA", "LA", "La", "RGBA", "RGBa") or "transparency" in image.info:
            image = image.convert("RGBA")
            shade = (255, 255, 255, 255) if invert else (0, 0, 0, 255)
            image = Image.alpha_composite(Image.new("RGBA", image.size, shade), image)
        if image.mode in ("LAB", "HSV"):
            image = image.convert("RGB") if image.mode == "HSV" else image.getchannel("L")
        found = np.array(image.convert("L")) > threshold
    return torch.from_numpy(~found if invert else found)


def _nearest(colours: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """The index of the nearest colour, for (N, 3) colours."""
    table = torch.from_numpy(palette).float()
    found = [
        torch.cdist(torch.from_numpy(part).float(), table).argmin(1)
        for part in np.array_split(colours, len(colours) // CHUNK + 1)
    ]
    return torch.cat(found).numpy()
