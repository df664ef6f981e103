"""Pictures into files, whole or not at all, with profile, EXIF and resolution."""

from __future__ import annotations

import contextlib
import io
import os
from pathlib import Path
from typing import Any

from PIL import Image

from ..files import write_whole

__all__ = ["QUALITY", "SINGLE", "check_folder", "encode", "format_of", "suffix_of", "write_image"]

QUALITY = 95  # of JPEG
SAVING: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": QUALITY},
    "WEBP": {"lossless": True, "exact": True},
    "TIFF": {"compression": "tiff_adobe_deflate"},  # not what the file read had: that may be JPEG
}
SINGLE = {"MPO": "JPEG"}  # formats of several pictures, and what one of them is


def format_of(path: str | Path) -> str:
    """The format that a name stands for.

    Raises ValueError, a sentence, where that is none that can be written.

    >>> format_of("photo.jpg")
    'JPEG'
    """
    Image.init()
    form = Image.registered_extensions().get(Path(path).suffix.lower())
    if form is None or form not in Image.SAVE:
        raise ValueError(
            f"output must end in a picture format's name, such as .png, got {Path(path).name!r}"
        )
    return form


def suffix_of(form: str) -> str:
    """The end of a name for a format, as it is called or as its files end.

    Raises ValueError, a sentence, where that is none that can be written.

    >>> suffix_of("JPEG"), suffix_of("tif"), suffix_of("png")
    ('.jpeg', '.tif', '.png')
    """
    suffix = f".{form.lower().removeprefix('.')}"
    try:
        format_of(f"x{suffix}")
    except ValueError:
        raise ValueError(
            f"format must be one that can be written, such as png, got {form!r}"
        ) from None
    return suffix


def check_folder(folder: str | Path) -> None:
    """Raises ValueError, a sentence, where no file could be written into this folder.

    One missing folder is made when the picture is there to be put in; more is likely a slip.
    """
    path = Path(folder)
    existing = path if path.exists() else path.absolute().parent
    if not existing.is_dir():
        problem = "is a file" if existing.exists() else "does not exist"
        raise ValueError(f"output folder {str(folder)!r} {problem}")
    if not os.access(existing, os.W_OK):
        raise ValueError(f"output folder {str(existing)!r} is not writable")


def encode(image: Image.Image, form: str, *, quality: int = QUALITY) -> bytes:
    """The bytes of a file of this format, with the image's profile, EXIF and resolution.

    quality: 1 to 100, of JPEG. WebP and TIFF are written without loss.

    Raises ValueError, a sentence, where the format cannot hold the picture.

    >>> encode(Image.new("L", (1, 1)), "PNG")[1:4]
    b'PNG'
    """
    form = SINGLE.get(form, form)
    options = SAVING.get(form, {}) | ({"quality": quality} if form == "JPEG" else {})
    buffer = io.BytesIO()
    try:
        if form not in Image.SAVE:
            raise ValueError("it is only read, not written")
        metadata = _metadata(image)
        if form == "TIFF" and "exif" in metadata:
            options = {"compression": "raw"}  # what compresses cannot write the blocks of EXIF
        image.save(buffer, form, **metadata, **options)
    except MemoryError:
        raise
    except Exception as error:  # Pillow's writers raise many kinds
        raise ValueError(
            f"output format {form} cannot hold this picture of mode {image.mode} ({error}); "
            "PNG and TIFF hold most"
        ) from error
    return buffer.getvalue()


def check_encoding(image: Image.Image, form: str) -> None:
    """Raises ValueError, a sentence, where the format cannot hold such a picture."""
    encode(image.resize((1, 1), Image.Resampling.NEAREST), form)


def write_image(image: Image.Image, path: str | Path, form: str, *, quality: int = QUALITY) -> None:
    """Writes the file in one step: it is there whole, or not at all. Makes one missing folder.

    Raises ValueError, a sentence, where the format cannot hold the picture, and OSError.
    """
    path = Path(os.path.realpath(path))
    data = encode(image, form, quality=quality)
    path.parent.mkdir(exist_ok=True)
    write_whole(path, data)


def _metadata(image: Image.Image) -> dict[str, Any]:
    kept = {key: image.info[key] for key in ("icc_profile", "exif") if image.info.get(key)}
    # Broken ones, such as fractions of no parts, come as anything.
    with contextlib.suppress(KeyError, TypeError, ValueError, ZeroDivisionError):
        across, down = (float(number) for number in image.info["dpi"])
        if 0 < across < 65536 and 0 < down < 65536:
            kept["dpi"] = (across, down)
    return kept
