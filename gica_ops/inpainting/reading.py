"""Pictures from files: upright, within a limit of pixels, and no bits lost in silence."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from PIL import ExifTags, Image, ImageFile

from ..formats import picture_formats
from .picture import Picture

__all__ = ["MAX_PIXELS", "open_upright", "read_picture"]

MAX_PIXELS = 200_000_000
ORIENTATION = ExifTags.Base.Orientation
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
ON_ITS_SIDE = (5, 6, 7, 8)
# Tags that tell how a TIFF file is laid out, or what is kept elsewhere: they are nothing to copy.
LAYOUT = (
    254, 255, 256, 257, 258, 259, 262, 266, 273, 277, 278, 279, 284, 292, 293, 317, 320, 322, 323,
    324, 325, 330, 332, 338, 339, 347, 513, 514, 529, 530, 531, 532, 700, 33723, 34377, 34675,
)  # fmt: skip
# What holds the orientation, too.
EMPTY_EXIF = 20  # bytes of a block without tags
EXIF_BLOCKS = ("exif", "Raw profile type exif", "XML:com.adobe.xmp", "xmp")


def read_picture(path: str | Path, name: str = "image", *, max_pixels: int = MAX_PIXELS) -> Picture:
    """The picture of a file, upright, the first of several.

    max_pixels: a picture that claims to have more is refused before it is decoded.

    Raises ValueError, a sentence, for a file that is missing, unreadable, truncated, too large, or
    of a kind that cannot be filled: of 16 bits per colour Pillow would read 8.
    """
    image, form, turned, notes = open_upright(path, name, max_pixels=max_pixels, exact=True)
    note = "; ".join(notes) or None
    return Picture(image, f"{name} {str(path)!r}", note, form=form, turned=turned)


def open_upright(
    path: str | Path, name: str, *, max_pixels: int = MAX_PIXELS, exact: bool = False
) -> tuple[Image.Image, str | None, bool, list[str]]:
    """The first picture of a file, upright and read to the end.

    exact: refuse what would lose bits.

    Returns the image; the file's format; whether it lies on its side in the file; notes on what is
    left out. Raises ValueError, a sentence.
    """
    said = f"{name} {str(path)!r}"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what matters is said below, in one sentence
            with Image.open(path, formats=picture_formats()) as image:
                if image.width * image.height > max_pixels:
                    raise _Refused(
                        f"{said} is {image.width} x {image.height}, above the limit of "
                        f"{max_pixels:,} pixels"
                    )
                if exact and _deep(image):
                    raise _Refused(
                        f"{said} has 16 bits per colour, of which only 8 could be kept: convert it "
                        "to 8 bits first"
                    )
                return _upright(image, repr(str(path)))
    except _Refused as error:
        raise ValueError(str(error)) from None
    except Image.DecompressionBombError:
        limit = min(max_pixels, 2 * (Image.MAX_IMAGE_PIXELS or max_pixels))
        raise ValueError(f"{said} is above the limit of {limit:,} pixels") from None
    except FileNotFoundError:
        raise ValueError(f"{said} does not exist") from None
    except Image.UnidentifiedImageError:
        raise ValueError(f"{said} is no picture that Pillow can read") from None
    except MemoryError:
        raise
    # Pillow's readers raise what their formats' parsers raise: many kinds for one broken file.
    except Exception as error:
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise ValueError(f"{said} cannot be read: {why}") from error


class _Refused(Exception):
    """A sentence of our own."""


def _deep(image: ImageFile.ImageFile) -> bool:
    """Whether Pillow makes 8 bits of more."""
    if image.mode.startswith(("I", "F")):
        return False
    tags: Any = getattr(image, "tag_v2", None)
    if tags is not None and max(_numbers(tags.get(258, 8)), default=8) > 8:
        return True
    args = image.tile[0].args if image.tile else None
    args = args if isinstance(args, tuple) else (args,)
    if image.format == "PPM" and isinstance(args[-1], int):
        return args[-1] > 255
    return ";16" in str(args[0])


def _numbers(value: Any) -> list[int]:
    return [v for v in (value if isinstance(value, tuple) else (value,)) if isinstance(v, int)]


def _upright(
    image: ImageFile.ImageFile, name: str
) -> tuple[Image.Image, str | None, bool, list[str]]:
    notes = []
    if getattr(image, "n_frames", 1) > 1:
        notes.append(f"{name} holds several pictures; the first is used")
    # Pillow turns TIFFs by itself, and forgets that it has.
    tags: Any = getattr(image, "tag_v2", {})
    turned = tags.get(ORIENTATION) in ON_ITS_SIDE
    form = image.format
    image.load()
    exif: bytes | None = None
    orientation = 1
    try:
        found = image.getexif()
        orientation = found.pop(ORIENTATION, 1)
        for tag in LAYOUT:
            found.pop(tag, None)
        exif = found.tobytes() if len(found) else None
    except MemoryError:
        raise
    except Exception:  # whatever the parser of a broken block raises
        broken = True
    else:
        # Of others it makes nothing.
        broken = exif is None and orientation == 1 and len(image.info.get("exif", b"")) > EMPTY_EXIF
    if broken:
        notes.append(f"{name} has EXIF data that cannot be read; they are left out")
    way = UPRIGHT.get(orientation) if isinstance(orientation, int) else None
    upright = image.copy() if way is None else image.transpose(way)
    upright.info = {k: v for k, v in image.info.items() if k not in EXIF_BLOCKS}
    if exif is not None:
        upright.info["exif"] = exif
    return upright, form, turned or orientation in ON_ITS_SIDE, notes
