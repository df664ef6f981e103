"""TensorFlow's checkpoints (version 2: PREFIX.index and PREFIX.data-...) without TensorFlow.

An index file is a table from names to messages (`BundleEntryProto`) that say of which type and
shape a variable is, and in which data file it lies where.

Source: TensorFlow's tensorflow/core/protobuf/tensor_bundle.proto.
"""

from __future__ import annotations

import math
import os
import re
import stat
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .crc32c import masked_crc32c
from .sstable import read_table, read_varint

__all__ = ["is_tf_checkpoint", "list_tf_checkpoint", "read_tf_checkpoint"]

# TensorFlow's numbers of types. bfloat16, which NumPy does not have, is widened to float32.
BFLOAT16 = 14
DTYPES = {
    1: "<f4", 2: "<f8", 3: "<i4", 4: "<u1", 5: "<i2", 6: "<i1", 8: "<c8", 9: "<i8", 10: "?",
    BFLOAT16: "<u2", 17: "<u2", 18: "<c16", 19: "<f2", 22: "<u4", 23: "<u8",
}  # fmt: skip
# Enough for 80,000 variables; the original's networks have 316.
LARGEST_INDEX = 1 << 22
LARGEST_STATE = 1 << 16
MOST_AXES = 32
ENDINGS = re.compile(r"\.(index|meta|data-\d{5}-of-\d{5})$")


def read_tf_checkpoint(
    prefix: str | Path, names: Collection[str] | None = None
) -> dict[str, np.ndarray]:
    """The variables of a checkpoint by name, as they are stored.

    prefix: what its files' names begin with, one of the files, or a folder with a file
        `checkpoint` that names the newest.
    names: read only these.

    float16 to float64, integers, bool and complex numbers have NumPy's dtype of that name;
    bfloat16 becomes float32. All checksums are verified, and no more is allocated than the files
    hold.

    Raises ValueError, a sentence, for what is missing or damaged, for names that are not there,
    and for what is not supported: variables in slices, strings, compressed indices, big-endian
    files.

    >>> read_tf_checkpoint("nowhere/model.ckpt")
    Traceback (most recent call last):
    ...
    ValueError: checkpoint 'nowhere/model.ckpt' has no file 'nowhere/model.ckpt.index'
    """
    base = _base(prefix)
    shards, entries = _index(base)
    if names is not None:
        missing = sorted(set(names) - set(entries))
        if missing:
            raise ValueError(f"checkpoint {str(base)!r} has no variable {missing[0]!r}")
        entries = {name: entries[name] for name in entries if name in names}
    paths = {e.shard: Path(f"{base}.data-{e.shard:05}-of-{shards:05}") for e in entries.values()}
    for shard, path in paths.items():
        _check_shard(path, [e for e in entries.values() if e.shard == shard])
    return {name: _read(paths[entry.shard], name, entry) for name, entry in entries.items()}


def list_tf_checkpoint(prefix: str | Path) -> dict[str, tuple[int, ...]]:
    """The shapes of a checkpoint's variables by name; reads the index alone.

    Takes and raises what `read_tf_checkpoint` does.
    """
    return {name: entry.shape for name, entry in _index(_base(prefix))[1].items()}


def is_tf_checkpoint(path: str | Path) -> bool:
    """Whether a path is one that the readers here take, by its name and what is there.

    >>> is_tf_checkpoint("nowhere/model.ckpt.index"), is_tf_checkpoint("nowhere/model.pth")
    (True, False)
    """
    name = str(path)
    return os.path.isdir(name) or bool(ENDINGS.search(name)) or os.path.exists(f"{name}.index")


@dataclass(frozen=True)
class _Entry:
    """Where a variable lies, and as what."""

    dtype: int
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    crc: int


def _base(path: str | Path) -> Path:
    """The prefix that a path means."""
    path = Path(path)
    if not path.is_dir():
        return path.with_name(ENDINGS.sub("", path.name)) if path.name else path
    # Downloads of the original's folders come with .txt added.
    found = [path / name for name in ("checkpoint", "checkpoint.txt") if (path / name).is_file()]
    if not found:
        raise ValueError(f"folder {str(path)!r} has no file 'checkpoint' that names the newest one")
    text = _content(found[0], LARGEST_STATE)
    named = re.search(rb'^\s*model_checkpoint_path\s*:\s*"((?:[^"\\\n]|\\.)*)"', text, re.M)
    if named is None:
        raise ValueError(f"checkpoint file {str(found[0])!r} names no checkpoint")
    escapes = re.compile(rb"\\([0-7]{1,3}|.)")
    name = escapes.sub(_unescaped, named[1]).decode("utf-8", "replace").replace("\0", "")
    # Folders move: a full path that is gone means the file of that name beside.
    base = path / name
    return base if os.path.exists(f"{base}.index") else path / Path(name).name


def _unescaped(match: re.Match[bytes]) -> bytes:
    code = match[1]
    return bytes([int(code, 8) & 0xFF]) if code.isdigit() and code < b"8" else code


def _content(path: Path, most: int) -> bytes:
    try:
        status = path.stat()
        # A pipe would never end.
        if not stat.S_ISREG(status.st_mode):
            raise ValueError(f"checkpoint file {str(path)!r} is no file")
        if status.st_size > most:
            raise ValueError(f"checkpoint file {str(path)!r} has more than {most} bytes")
        with open(path, "rb") as file:
            return file.read(status.st_size)
    except OSError as error:
        raise ValueError(
            f"checkpoint file {str(path)!r} cannot be read: {error.strerror}"
        ) from None


def _index(base: Path) -> tuple[int, dict[str, _Entry]]:
    """The number of data files, and the entries by name."""
    path = Path(f"{base}.index")
    if not os.path.exists(path):
        raise ValueError(f"checkpoint {str(base)!r} has no file {str(path)!r}")
    content = _content(path, LARGEST_INDEX)
    try:
        table = read_table(content)
        key, header = next(table, (b"", b""))
        if key or not header:
            raise ValueError("its first entry is no header")
        shards = _shards(header)
        return shards, dict(_named(key, value, shards) for key, value in table)
    except ValueError as error:
        raise ValueError(f"checkpoint file {str(path)!r} cannot be read: {error}") from None


def _shards(header: bytes) -> int:
    """The number of data files, of a `BundleHeaderProto`."""
    shards = 0
    for number, value in _fields(header, {1: int, 2: int}):
        if number == 2 and value != 0:
            raise ValueError("it is big-endian, which is not supported")
        if number == 1 and isinstance(value, int):
            shards = value
    if not 1 <= shards <= 99999:
        raise ValueError(f"it counts {shards} data files")
    return shards


def _named(key: bytes, message: bytes, shards: int) -> tuple[str, _Entry]:
    """A name and what a `BundleEntryProto` says of it."""
    try:
        name = key.decode()
    except UnicodeDecodeError:
        raise ValueError(f"name {key[:80]!r} is no text") from None
    given: dict[int, int] = {}
    shape: tuple[int, ...] = ()
    for number, value in _fields(
        message, {1: int, 2: bytes, 3: int, 4: int, 5: int, 6: int, 7: bytes}
    ):
        if number == 7 or key.startswith(b"\0"):
            raise ValueError("it holds variables in slices, which are not supported")
        if isinstance(value, bytes):
            shape = _shape(value)
        else:
            given[number] = value
    entry = _Entry(given.get(1, 0), shape, *(given.get(i, 0) for i in (3, 4, 5, 6)))
    if entry.shard >= shards:
        raise ValueError(f"variable {name[:80]!r} is in data file {entry.shard} of {shards}")
    if entry.dtype in DTYPES:
        width = np.dtype(DTYPES[entry.dtype]).itemsize
        if math.prod(shape) * width != entry.size:
            raise ValueError(f"variable {name[:80]!r} has {entry.size} bytes for shape {shape}")
    return name, entry


def _shape(message: bytes) -> tuple[int, ...]:
    """The sizes in a `TensorShapeProto`."""
    sizes: list[int] = []
    for number, value in _fields(message, {2: bytes, 3: int}):
        if number == 3 and value:
            raise ValueError("a variable has no shape")
        if isinstance(value, bytes):
            sizes.append(sum(v for _, v in _fields(value, {1: int}) if isinstance(v, int)))
    if len(sizes) > MOST_AXES or math.prod(max(n, 1) for n in sizes) >= 1 << 48:
        raise ValueError(f"a variable has {len(sizes)} axes, more or longer ones than fit")
    return tuple(sizes)


def _fields(message: bytes, kinds: dict[int, type]) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a protobuf message whose numbers are in `kinds`, which says what they hold."""
    at = 0
    while at < len(message):
        tag, at = read_varint(message, at)
        number, wire = tag >> 3, tag & 7
        value: int | bytes
        if wire == 0:
            value, at = read_varint(message, at)
        elif wire in (1, 2, 5):
            size, at = read_varint(message, at) if wire == 2 else ({1: 8, 5: 4}[wire], at)
            value, at = message[at : at + size], at + size
            if at > len(message):
                raise ValueError("a message is cut off")
            if wire != 2:
                value = int.from_bytes(value, "little")
        else:
            raise ValueError(f"a message has a field of kind {wire}")
        if number in kinds:
            if not isinstance(value, kinds[number]):
                raise ValueError(f"a message has a field of the wrong kind {wire}")
            yield number, value


def _check_shard(path: Path, entries: list[_Entry]) -> None:
    """Raises ValueError, a sentence, where a data file cannot hold these."""
    try:
        status = path.stat()
    except OSError as error:
        raise ValueError(
            f"checkpoint file {str(path)!r} cannot be read: {error.strerror}"
        ) from None
    if not stat.S_ISREG(status.st_mode):
        raise ValueError(f"checkpoint file {str(path)!r} is no file")
    end = max(entry.offset + entry.size for entry in entries)
    # Variables that lie over each other could take any amount of memory.
    if max(end, sum(entry.size for entry in entries)) > status.st_size:
        raise ValueError(
            f"checkpoint file {str(path)!r} has {status.st_size} bytes, too few for what its "
            "index lists; it is cut off or of another checkpoint"
        )


def _read(path: Path, name: str, entry: _Entry) -> np.ndarray:
    if entry.dtype not in DTYPES:
        raise ValueError(
            f"variable {name!r} in checkpoint file {str(path)!r} is of TensorFlow's type "
            f"{entry.dtype}, which is not supported"
        )
    data = np.empty(entry.size, np.uint8)
    try:
        with open(path, "rb", buffering=0) as file:
            file.seek(entry.offset)
            count, view = 0, memoryview(data)
            while count < entry.size and (more := file.readinto(view[count:])):
                count += more
    except OSError as error:
        raise ValueError(
            f"checkpoint file {str(path)!r} cannot be read: {error.strerror}"
        ) from None
    if count < entry.size or masked_crc32c(data) != entry.crc:
        raise ValueError(
            f"checkpoint file {str(path)!r} is damaged: the checksum of variable {name!r} "
            "does not match"
        )
    dtype = np.dtype(DTYPES[entry.dtype])
    if dtype.kind == "b":
        return (data != 0).reshape(entry.shape)
    array = data.view(dtype).astype(dtype.newbyteorder("="), copy=False)
    if entry.dtype == BFLOAT16:
        array = (array.astype(np.uint32) << 16).view(np.float32)
    return array.reshape(entry.shape)
