"""Tables of sorted keys and values, as LevelDB and the index files of TensorFlow have them.

Source: LevelDB's doc/table_format.md; TensorFlow's tensorflow/core/lib/io/format.h.
"""

from __future__ import annotations

from collections.abc import Iterator

from .crc32c import masked_crc32c

__all__ = ["read_table", "read_varint"]

MAGIC = bytes.fromhex("57fb808b247547db")
FOOTER = 48
TRAILER = 5  # a byte for the compression, four for the checksum
# Keys share their beginnings, which lets a small file spell out long ones again and again.
MOST_SPELLED = 64


def read_table(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The keys of a table and their values, in order.

    Every checksum is verified. Raises ValueError, half a sentence, for what is no table.
    """
    if len(data) < FOOTER or data[-8:] != MAGIC:
        raise ValueError("it does not end as an index file does")
    footer = data[-FOOTER:-8]
    _, at = _handle(footer, 0)  # of the index of filters, which nothing needs
    index, _ = _handle(footer, at)
    last, end = b"", 0
    for number, (_, value) in enumerate(_entries(_block(data, index))):
        handle, at = _handle(value, 0)
        # Blocks follow each other: one that is named twice would be read over and over.
        if at != len(value) or handle[0] < end:
            raise ValueError("its blocks overlap")
        end = sum(handle) + TRAILER
        for position, (key, content) in enumerate(_entries(_block(data, handle))):
            if key <= last and (number or position):
                raise ValueError("its names are not in order")
            last = key
            yield key, content


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """An integer below 2^64 of seven bits a byte, low ones first, and where it ends."""
    value = 0
    for i in range(10):
        if at + i >= len(data):
            raise ValueError("a number is cut off")
        byte = data[at + i]
        value |= (byte & 0x7F) << 7 * i
        if byte < 0x80:
            if value >> 64:
                break
            return value, at + i + 1
    raise ValueError("a number has more than 64 bits")


def _handle(data: bytes, at: int) -> tuple[tuple[int, int], int]:
    """Where a block begins and how long it is; and where this is said no longer."""
    offset, at = read_varint(data, at)
    size, at = read_varint(data, at)
    return (offset, size), at


def _block(data: bytes, handle: tuple[int, int]) -> bytes:
    """The entries of a block: without the list of restarts, which serves searching."""
    offset, size = handle
    end = offset + size
    if end + TRAILER > len(data) - FOOTER:
        raise ValueError("a block reaches beyond its end")
    if masked_crc32c(data[offset : end + 1]) != int.from_bytes(data[end + 1 : end + 5], "little"):
        raise ValueError("a checksum of the index does not match")
    if data[end]:
        raise ValueError("a block is compressed, which is not supported")
    restarts = int.from_bytes(data[end - 4 : end], "little") if size >= 4 else size
    if 4 * restarts + 4 > size:
        raise ValueError("a block is too short")
    return data[offset : end - 4 * restarts - 4]


def _entries(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    at, key, spelled = 0, b"", 0
    while at < len(block):
        shared, at = read_varint(block, at)
        own, at = read_varint(block, at)
        size, at = read_varint(block, at)
        if shared > len(key) or at + own + size > len(block):
            raise ValueError("an entry reaches beyond its block")
        key = key[:shared] + block[at : at + own]
        at += own + size
        spelled += len(key)
        if spelled > MOST_SPELLED * len(block):
            raise ValueError("its names are too long")
        yield key, block[at - size : at]
