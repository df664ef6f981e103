"""What is to be filled: pictures, their masks, and where the results go, checked beforehand."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from ..formats import picture_suffixes
from .writing import check_folder, format_of, suffix_of

__all__ = ["Job", "plan"]

REFUSE, OVERWRITE, SKIP = EXISTING = ("refuse", "overwrite", "skip")


class Job(NamedTuple):
    """A picture to fill.

    form: the format to write; None is that of the picture's own file.
    beside: pictures to write beside the output, by what they show.
    skip: the output is there already, and is to stay.
    error: a sentence, why it cannot be done.
    """

    image: Path
    mask: Path | None
    output: Path
    form: str | None = None
    beside: dict[str, Path] = {}  # never changed
    skip: bool = False
    error: str | None = None


def plan(
    image: str,
    mask: str,
    output: str,
    *,
    recursive: bool = False,
    form: str | None = None,
    existing: str = REFUSE,
    beside: Sequence[str] = (),
) -> list[Job]:
    """The jobs of a command, in the order of their names.

    image: a picture, a folder of pictures, or a glob. In folders, files are taken by their suffix,
        those that begin with a dot are not.
    mask: one picture for all, or a folder, in which a picture's mask has the same place and the
        same name but for its suffix.
    output: a file for one picture, else a folder, in which pictures keep their place and name.
    recursive: the folders in the folder too, but for those of the masks and of the output.
    form: of what is written into a folder, such as "png"; None keeps every picture's own.
    existing: "refuse", "overwrite" or "skip" outputs that are there. One explicit output file is
        overwritten; an image only with "overwrite", a mask or another job's image never.
    beside: what is shown in pictures beside each output, NAME_WHAT.png.

    What is wrong with one picture is the `error` of its job. Raises ValueError, a sentence, for
    what is wrong with all: paths that are not there, and two files for one output.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> (folder / "photo.png").touch()
    >>> job, = plan(str(folder), str(folder / "photo.png"), str(folder / "out"), form="webp")
    >>> job.output.name, job.form
    ('photo.webp', 'WEBP')
    """
    if existing not in EXISTING:
        raise ValueError(f"existing must be one of {', '.join(EXISTING)}, got {existing!r}")
    masks = _Masks(mask)
    single = os.path.isfile(image) or not (os.path.isdir(image) or glob.has_magic(image))
    if single:
        jobs = [_single(image, masks, output, form, beside)]
        check_folder(Path(os.path.realpath(output)).parent)
    else:
        jobs = _several(image, masks, output, recursive, form, beside)
        check_folder(output)
    _check_distinct(jobs)
    inputs = {os.path.realpath(path) for job in jobs for path in (job.image, job.mask) if path}
    root = None if single else output
    return [_checked(job, inputs, existing, root) for job in jobs]


def _single(image: str, masks: _Masks, output: str, form: str | None, beside: Sequence[str]) -> Job:
    if form is not None:
        raise ValueError(
            f"format is for folders, got {form!r}: the name of a single output says its format"
        )
    path = Path(output)
    if path.is_dir():
        raise ValueError(f"output must be a file, as image is one, but {output!r} is a folder")
    found, error = masks.of(Path(Path(image).name))
    return Job(Path(image), found, path, format_of(path), _beside(path, beside), error=error)


def _several(
    image: str,
    masks: _Masks,
    output: str,
    recursive: bool,
    form: str | None,
    beside: Sequence[str],
) -> list[Job]:
    folder = os.path.isdir(image)
    if folder:
        root = Path(image)
        found = _files(root, recursive, (masks.path, output))
    else:
        root = _root(image)
        found = sorted(Path(path) for path in glob.glob(image, recursive=True))
    suffixes = picture_suffixes()
    pictures = [path for path in found if path.suffix.lower() in suffixes]
    if not pictures:
        hint = "" if recursive or not folder else "; --recursive looks into its folders"
        raise ValueError(f"image {image!r} holds no pictures{hint}")
    suffix = None if form is None else suffix_of(form)
    jobs = []
    for path in pictures:
        place = Path(os.path.relpath(path, root)) if folder else path.relative_to(root)
        mask_path, error = masks.of(place)
        if not path.is_file():
            kind = "a folder" if path.is_dir() else "no file"
            error = f"image {str(path)!r} is {kind}"
        target = Path(output, place if suffix is None else place.with_suffix(suffix))
        to = None if suffix is None else format_of(target)
        jobs.append(Job(path, mask_path, target, to, _beside(target, beside), error=error))
    return jobs


def _files(root: Path, recursive: bool, spared: Iterable[str | Path]) -> list[Path]:
    """What lies in a folder, sorted by name, but for what begins with a dot."""
    spared_paths = {os.path.realpath(path) for path in spared}
    found = []
    for path in sorted(root.iterdir()):
        if path.name.startswith("."):
            continue
        if recursive and path.is_dir():
            if not path.is_symlink() and os.path.realpath(path) not in spared_paths:
                found += _files(path, recursive, spared)
        else:
            found.append(path)
    return found


def _root(pattern: str) -> Path:
    """The folder that a glob looks in: what comes before its first wildcard."""
    parts = Path(pattern).parts
    wild = next(i for i, part in enumerate(parts) if glob.has_magic(part))
    return Path(*parts[:wild])


class _Masks:
    """One mask for all pictures, or a folder of them, whose names are read once."""

    def __init__(self, path: str) -> None:
        if not os.path.exists(path):
            raise ValueError(f"mask {path!r} does not exist")
        self.path = Path(path)
        self.folders: dict[Path, dict[str, list[str]]] = {}

    def of(self, place: Path) -> tuple[Path | None, str | None]:
        """The mask of a picture at this place in its folder, or a sentence why there is none."""
        if not self.path.is_dir():
            return self.path, None
        folder = self.path / place.parent
        if folder not in self.folders:
            self.folders[folder] = _by_stem(folder)
        names = self.folders[folder].get(place.stem, [])
        if place.name in names:
            return folder / place.name, None
        if len(names) == 1:
            return folder / names[0], None
        problem = f"holds {' and '.join(names)}" if names else "holds no mask"
        return None, f"mask folder {str(folder)!r} {problem} for {place.name!r}"


def _by_stem(folder: Path) -> dict[str, list[str]]:
    """The names of the pictures in a folder, by their stems; none where there is no folder."""
    suffixes = picture_suffixes()
    by_stem: dict[str, list[str]] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.suffix.lower() in suffixes and not path.name.startswith("."):
            by_stem.setdefault(path.stem, []).append(path.name)
    return by_stem


def _beside(output: Path, what: Sequence[str]) -> dict[str, Path]:
    return {name: output.with_name(f"{output.stem}_{name}.png") for name in what}


def _check_distinct(jobs: list[Job]) -> None:
    writers: dict[Path, Path] = {}
    for job in jobs:
        for path in (job.output, *job.beside.values()):
            if path in writers:
                raise ValueError(
                    f"{str(writers[path])!r} and {str(job.image)!r} would both be written to "
                    f"{str(path)!r}"
                )
            writers[path] = job.image


def _checked(job: Job, inputs: set[str], existing: str, root: str | None) -> Job:
    """The job, with what is to become of an output that is there. root: that outputs stay in."""
    if job.error is not None:
        return job
    outputs = (job.output, *job.beside.values())
    for path in outputs:
        if root is not None and not _inside(path, root):
            return job._replace(error=f"output {str(path)!r} would lie outside of {root!r}")
        if path.is_dir():
            return job._replace(error=f"output {str(path)!r} is a folder")
    if existing == SKIP and job.output.exists():
        return job._replace(skip=True)
    for path in outputs:
        real = os.path.realpath(path)
        if real in inputs and (real != os.path.realpath(job.image) or existing != OVERWRITE):
            own = "the image itself: --overwrite replaces it"
            which = own if real == os.path.realpath(job.image) else "an image or a mask to be read"
            return job._replace(error=f"output {str(path)!r} is {which}")
        if root is not None and existing == REFUSE and path.exists():
            return job._replace(
                error=f"output {str(path)!r} is there already: --overwrite or --skip-existing "
                "says what to do"
            )
    return job


def _inside(path: Path, root: str) -> bool:
    """Whether a path lies in a folder whatever links there are."""
    if ".." in path.parts[len(Path(root).parts) :] or path.is_symlink():
        return False
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root))
