"""Pictures from files and back, every known pixel as it was."""

from __future__ import annotations

import io
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from ..files import write_whole

__all__ = ["Picture", "check_output", "read_mask", "read_picture"]

# Channels to fill, by mode. Alpha and padding come after them and stay as they are.
COLOURS = {
    "1": 1, "L": 1, "LA": 1, "I": 1, "I;16": 1, "I;16L": 1, "I;16B": 1, "I;16N": 1, "F": 1,
    "RGB": 3, "RGBA": 3, "RGBX": 3, "YCbCr": 3, "LAB": 3, "HSV": 3, "CMYK": 4, "P": 3,
}  # fmt: skip
SAVING: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 95},
    "WEBP": {"lossless": True, "exact": True},
}
CHUNK = 65536


class Picture:
    """A picture of any mode as numbers to fill, and back.

    image: upright.
    note: a sentence where its file holds more than was read, else None.

    Raises ValueError, a sentence, for a mode that cannot be filled; `name` is what it calls the
    picture.
    """

    def __init__(self, image: Image.Image, name: str = "image", note: str | None = None) -> None:
        if image.mode in ("PA", "La", "RGBa"):
            image = image.convert("LA" if image.mode == "La" else "RGBA")
        if image.mode not in COLOURS:
            raise ValueError(f"{name} has mode {image.mode}, which cannot be filled")
        self.image = image
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
            pixels = self._palette()[pixels]
        pixels = pixels.reshape(*self.size, -1)[..., : COLOURS[self.image.mode]]
        if pixels.dtype.kind == "u" and pixels.dtype.itemsize == 2:
            pixels = pixels.astype(np.int32)  # torch has next to no arithmetic for uint16
        return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))

    def replaced(self, values: Tensor, hole: Tensor) -> Image.Image:
        """The picture with other values where `hole`, (height, width) bool, is set.

        Keeps mode, alpha, palette and metadata; in a palette the nearest colour is taken.
        """
        pixels = self._pixels()
        where = hole.numpy()
        new = values.numpy()[:, where].T
        if self.image.mode == "P":
            pixels[where] = _nearest(new, self._palette())
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
        colours = self.image.getpalette("RGB") or []
        table = np.zeros((256, 3), np.uint8)
        table[: len(colours) // 3] = np.asarray(colours, np.uint8).reshape(-1, 3)
        return table

    def write(self, image: Image.Image, path: str | Path) -> None:
        """Writes the file in one step: it is there whole, or not at all."""
        path = Path(os.path.realpath(path))
        data = _encode(image, _format(path), self._metadata())
        path.parent.mkdir(exist_ok=True)
        write_whole(path, data)

    def _metadata(self) -> dict[str, Any]:
        info = {key: self.image.info.get(key) for key in ("icc_profile", "dpi")}
        exif = self.image.getexif()
        if len(exif):
            info["exif"] = exif.tobytes()
        return {key: value for key, value in info.items() if value is not None}


def read_picture(path: str | Path, name: str = "image") -> Picture:
    """The picture of a file, upright, the first of several.

    Raises ValueError, a sentence, for a file that is missing, unreadable, truncated or of a kind
    that cannot be filled.
    """
    image, note = _open(path, name)
    return Picture(image, f"{name} {str(path)!r}", note)


def read_mask(path: str | Path, size: tuple[int, int]) -> Tensor:
    """The hole: (height, width) bool, True where the picture is brighter than 127 of 255.

    Transparent pixels are no hole. Raises ValueError, a sentence, for a file that cannot be read
    and for another size than `size`.
    """
    image, _ = _open(path, "mask")
    if (image.height, image.width) != size:
        raise ValueError(
            f"mask must have the size of the image, {size[1]} x {size[0]}, "
            f"but {str(path)!r} is {image.width} x {image.height}"
        )
    if image.mode.startswith(("I", "F")):
        grey = np.array(image)
        # 16 bits whatever they are stored in; anything else counts in 255ths.
        deep = image.mode.startswith("I;16") or grey.max(initial=0) > 255
        return torch.from_numpy(grey > (32767 if deep else 127))
    if image.mode in ("PA", "LA", "La", "RGBA", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        black = Image.new("RGBA", image.size, (0, 0, 0, 255))
        image = Image.alpha_composite(black, image)
    if image.mode in ("LAB", "HSV"):
        image = image.convert("RGB") if image.mode == "HSV" else image.getchannel("L")
    return torch.from_numpy(np.array(image.convert("L")) > 127)


def check_output(path: str | Path, picture: Picture) -> None:
    """Raises ValueError, a sentence, where the picture could not be written there."""
    path = Path(path)
    folder = Path(os.path.realpath(path)).parent
    if path.is_dir():
        raise ValueError(f"output must be a file, but {str(path)!r} is a folder")
    # One missing folder is made when the picture is there to be put in; more is likely a slip.
    existing = folder if folder.exists() else folder.parent
    if not existing.is_dir():
        raise ValueError(f"output folder {str(path.parent)!r} does not exist")
    if not os.access(existing, os.W_OK):
        raise ValueError(f"output folder {str(existing)!r} is not writable")
    form = _format(path)
    small = picture.image.resize((1, 1), Image.Resampling.NEAREST)
    _encode(small, form, picture._metadata())


def _format(path: Path) -> str:
    Image.init()
    form = Image.registered_extensions().get(path.suffix.lower())
    if form is None or form not in Image.SAVE:
        raise ValueError(
            f"output must end in a picture format's name, such as .png, got {path.name!r}"
        )
    return form


def _encode(image: Image.Image, form: str, metadata: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    try:
        image.save(buffer, form, **metadata, **SAVING.get(form, {}))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"output format {form} cannot hold this picture of mode {image.mode} ({error}); "
            "PNG and TIFF hold most"
        ) from error
    return buffer.getvalue()


def _open(path: str | Path, name: str) -> tuple[Image.Image, str | None]:
    """The first picture of a file, upright, read to the end, and a note on what is left out."""
    note = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what matters is said below, in one sentence
            with Image.open(path) as image:
                if getattr(image, "n_frames", 1) > 1:
                    note = f"{str(path)!r} holds several pictures; the first is used"
                mode = image.tile[0].args if image.tile else ""
                mode = mode[0] if isinstance(mode, tuple) else mode
                if image.mode.startswith("RGB") and ";16" in str(mode):
                    note = f"{str(path)!r} has 16 bits per colour; 8 of them are read and written"
                image.load()
                upright = ImageOps.exif_transpose(image)
    except FileNotFoundError:
        raise ValueError(f"{name} {str(path)!r} does not exist") from None
    except (IsADirectoryError, PermissionError) as error:
        raise ValueError(f"{name} {str(path)!r} cannot be read: {error.strerror}") from None
    except Image.UnidentifiedImageError:
        raise ValueError(f"{name} {str(path)!r} is no picture that Pillow can read") from None
    except MemoryError:
        raise
    # Pillow's readers raise what their formats' parsers raise: many kinds for one broken file.
    except Exception as error:
        raise ValueError(f"{name} {str(path)!r} cannot be read: {error}") from error
    return upright, note


def _nearest(colours: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """The palette's index of the nearest colour, for (N, 3) colours."""
    table = torch.from_numpy(palette).float()
    found = [
        torch.cdist(torch.from_numpy(part).float(), table).argmin(1)
        for part in np.array_split(colours, len(colours) // CHUNK + 1)
    ]
    return torch.cat(found).to(torch.uint8).numpy()
