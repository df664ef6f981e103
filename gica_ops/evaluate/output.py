"""The folder that a run leaves, whole or not at all, and what it says of its origin."""

from __future__ import annotations

import contextlib
import importlib.metadata
import io
import json
import os
import platform
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from PIL import Image

from .._version import __version__
from ..files import write_whole
from ..info import commit
from .driver import Results, Shown
from .sheet import Sheet
from .summary import scores_csv, summarise, summary_markdown

__all__ = ["check_new", "file_name", "new_folder", "origin", "write_filled", "write_results"]

PACKAGES = (
    "torch", "numpy", "pillow", "scikit-image", "scipy", "torchmetrics", "opencv-python-headless",
)  # fmt: skip


def check_new(path: str | Path) -> Path:
    """Raises ValueError, a sentence, unless there is a place for a new folder of that name."""
    path = Path(path)
    if path.exists() and not path.is_dir():
        raise ValueError(f"output must be a folder, but {str(path)!r} is a file")
    if path.is_dir() and any(path.iterdir()):
        raise ValueError(f"output folder {str(path)!r} must be new or empty, but holds files")
    parent = Path(os.path.realpath(path)).parent
    if not parent.is_dir():
        raise ValueError(f"output folder {str(parent)!r} does not exist")
    if not os.access(parent, os.W_OK):
        raise ValueError(f"output folder {str(parent)!r} is not writable")
    return path


@contextlib.contextmanager
def new_folder(path: str | Path) -> Iterator[Path]:
    """A folder to write into, which gets the name `path` once all is written; else it goes.

    Raises as `check_new`, and OSError.

    >>> import tempfile
    >>> place = Path(tempfile.mkdtemp())
    >>> with new_folder(place / "out") as folder:
    ...     write_whole(folder / "file", b"data")
    >>> [path.name for path in place.rglob("*")]
    ['out', 'file']
    """
    path = Path(os.path.realpath(check_new(path)))
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.mkdir()
    try:
        yield part
        os.replace(part, path)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def write_results(folder: Path, results: Results, sheet: Sheet, record: dict[str, Any]) -> str:
    """Writes scores.csv, summary.json, summary.md and sheet.png; returns the Markdown.

    record: what the run was asked for; goes into summary.json before the versions and the means.

    Raises ValueError, a sentence, where not one picture was measured.
    """
    if not results.rows:
        reason = next(iter(results.broken.values()), "there are none")
        raise ValueError(f"none of {len(results.broken)} pictures could be measured: {reason}")
    summary = summarise(results)
    text = json.dumps({**record, **origin(), **summary}, indent=2, allow_nan=False)
    table = summary_markdown(summary)
    write_whole(folder / "scores.csv", scores_csv(results).encode())
    write_whole(folder / "summary.json", f"{text}\n".encode())
    write_whole(folder / "summary.md", table.encode())
    write_whole(folder / "sheet.png", _png(sheet.draw()))
    return table


def write_filled(folder: Path, shown: Shown) -> None:
    """Every filling of a picture as METHOD/PICTURE.png."""
    for label, picture in shown.filled.items():
        place = folder / file_name(label)
        place.mkdir(parents=True, exist_ok=True)
        name = file_name(shown.picture)
        name = name if name.lower().endswith(".png") else f"{name}.png"
        write_whole(place / name, _png(Image.fromarray(picture)))


def file_name(text: str) -> str:
    """A name for a file that text of any kind may go by, another for every text.

    >>> file_name("network:runs/1")
    'network%3Aruns%2F1'
    """
    name = quote(text, safe="#")
    return f"%2E{name[1:]}" if name.startswith(".") else name


def _png(image: Image.Image) -> bytes:
    """The picture as a PNG file."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def origin() -> dict[str, Any]:
    """Versions of what computes the scores, and the commit."""
    versions = {"gica_ops": __version__, "python": platform.python_version()}
    for name in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return {"versions": versions, "commit": commit(), "machine": platform.machine()}
