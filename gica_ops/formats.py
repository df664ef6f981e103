"""The formats of pictures that are read."""

from __future__ import annotations

from PIL import Image

__all__ = ["picture_formats", "picture_suffixes"]

PROGRAMS = {"EPS"}  # opening a file of these formats runs it


def picture_formats() -> list[str]:
    """The formats that Pillow reads, but for those whose files are programs.

    >>> "PNG" in picture_formats(), "EPS" in picture_formats()
    (True, False)
    """
    Image.init()
    return [form for form in Image.ID if form not in PROGRAMS]


def picture_suffixes() -> frozenset[str]:
    """The ends of names, such as .png, of these formats.

    >>> {".png", ".jpg", ".webp"} <= picture_suffixes(), ".txt" in picture_suffixes()
    (True, False)
    """
    formats = picture_formats()
    return frozenset(s for s, form in Image.registered_extensions().items() if form in formats)
