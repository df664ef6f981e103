"""Files that are there whole or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

__all__ = ["clear_parts", "write_whole"]


def write_whole(path: str | Path, data: bytes) -> None:
    """Write a file in one step: whoever reads it finds all of it, or what was there before.

    The bytes are on the disk before the name is. A link is followed. Raises OSError.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "file"
    >>> write_whole(path, b"data")
    >>> path.read_bytes()
    b'data'
    """
    path = Path(os.path.realpath(path))
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with open(part, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            part.unlink()


def clear_parts(folder: str | Path) -> None:
    """Remove what killed processes left unfinished in a folder that nobody else writes in.

    >>> import tempfile
    >>> part = Path(tempfile.mkdtemp()) / ".file.1.part"
    >>> part.touch()
    >>> clear_parts(part.parent)
    >>> part.exists()
    False
    """
    for part in Path(folder).glob(".*.part"):
        if part.is_dir():
            shutil.rmtree(part, ignore_errors=True)
        else:
            part.unlink(missing_ok=True)
