"""Writes TensorFlow checkpoints, whole ones and ones that lie: the reader's opposite."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from gica_ops.model.crc32c import masked_crc32c

TYPES = {"f4": 1, "f8": 2, "i4": 3, "u1": 4, "i2": 5, "i1": 6, "c8": 8, "i8": 9, "b1": 10,
         "u2": 17, "c16": 18, "f2": 19, "u4": 22, "u8": 23}  # fmt: skip
Entries = Sequence[tuple[bytes, bytes]]


def varint(value: int) -> bytes:
    parts = []
    while value >= 0x80:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])


def field(number: int, value: int | bytes) -> bytes:
    """A field of a protobuf message: a number, or bytes."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def header(shards: int = 1, big_endian: int = 0) -> bytes:
    return field(1, shards) + field(2, big_endian) + field(3, field(1, 1))


def shape_message(shape: Iterable[int]) -> bytes:
    return b"".join(field(2, field(1, n)) for n in shape)


def entry(
    dtype: int,
    shape: Iterable[int],
    shard: int,
    offset: int,
    size: int,
    crc: int,
    more: bytes = b"",
) -> bytes:
    """A BundleEntryProto."""
    message = field(1, dtype) + field(2, shape_message(shape)) + field(3, shard) + field(4, offset)
    return message + field(5, size) + varint(6 << 3 | 5) + crc.to_bytes(4, "little") + more


def block(entries: Entries, interval: int = 16) -> bytes:
    """A block's content: entries that share their keys' beginnings, and where they start afresh."""
    content, restarts, last = b"", [], b""
    for i, (key, value) in enumerate(entries):
        shared = 0
        if i % interval == 0:
            restarts.append(len(content))
        else:
            while shared < min(len(key), len(last)) and key[shared] == last[shared]:
                shared += 1
        own = key[shared:]
        content += varint(shared) + varint(len(own)) + varint(len(value)) + own + value
        last = key
    restarts = restarts or [0]
    numbers = b"".join(n.to_bytes(4, "little") for n in [*restarts, len(restarts)])
    return content + numbers


def sealed(content: bytes, compression: int = 0) -> bytes:
    """A block as it stands in the file, with its checksum."""
    whole = content + bytes([compression])
    return whole + masked_crc32c(whole).to_bytes(4, "little")


def assembled(blocks: Sequence[bytes], keys: Sequence[bytes], compression: int = 0) -> bytes:
    """A table of blocks' contents; keys are at or after the blocks' last ones."""
    file, handles = b"", []
    for content in blocks:
        handles.append(varint(len(file)) + varint(len(content)))
        file += sealed(content, compression)
    return with_index(file, block(list(zip(keys, handles, strict=True))))


def with_index(file: bytes, index: bytes) -> bytes:
    """Sealed blocks, an index of them, and the end of a table."""
    meta = varint(len(file)) + varint(8)
    file += sealed(block([]))
    footer = meta + varint(len(file)) + varint(len(index))
    file += sealed(index)
    return file + footer.ljust(40, b"\0") + bytes.fromhex("57fb808b247547db")


def table(entries: Entries, per_block: int = 5) -> bytes:
    parts = [entries[i : i + per_block] for i in range(0, len(entries), per_block)]
    return assembled([block(part) for part in parts], [part[-1][0] for part in parts])


def write(
    prefix: Path, variables: dict[str, np.ndarray], shards: int = 1
) -> list[tuple[bytes, bytes]]:
    """Writes a checkpoint, variables dealt out to data files in turn; returns its entries."""
    data = [b""] * shards
    entries = [(b"", header(shards))]
    for (name, value), shard in zip(sorted(variables.items()), itertools.cycle(range(shards))):
        raw = value.tobytes()
        kind = TYPES[value.dtype.str[1:]]
        message = entry(kind, value.shape, shard, len(data[shard]), len(raw), masked_crc32c(raw))
        entries.append((name.encode(), message))
        data[shard] += raw
    for shard, content in enumerate(data):
        data_file(prefix, shard, shards).write_bytes(content)
    Path(f"{prefix}.index").write_bytes(table(entries))
    return entries


def data_file(prefix: Path, shard: int = 0, shards: int = 1) -> Path:
    return Path(f"{prefix}.data-{shard:05}-of-{shards:05}")
