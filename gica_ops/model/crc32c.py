"""CRC-32C (Castagnoli), the checksum of TensorFlow's checkpoints, at NumPy's speed."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

__all__ = ["crc32c", "masked_crc32c"]

POLYNOMIAL = 0x82F63B78  # reflected
MASK_DELTA = 0xA282EAD8


def crc32c(data: bytes | bytearray | memoryview | np.ndarray) -> int:
    """The checksum of `data`, contiguous.

    A checksum is linear: the data is cut into equal rows, a step takes one word of every row, and
    the rows' checksums are joined two by two.

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    content = np.frombuffer(data, np.uint8)
    if not content.size:
        return 0
    words = -(-content.size // 4)
    rows = 1 << words.bit_length() // 2
    steps = -(-words // rows)
    # Zeros in front change nothing in a checksum that starts from zero. Starting from all ones, as
    # this one does, is starting from zero with the first four bytes flipped.
    padded = np.zeros(rows * steps * 4, np.uint8)
    start = padded.size - content.size
    padded[start:] = content
    padded[start : start + 4] ^= 0xFF
    state = np.zeros(rows, np.uint32)
    tables = _tables()
    for word in np.ascontiguousarray(padded.view("<u4").reshape(rows, steps).T):
        state = state ^ word
        state = (
            tables[3][state & 0xFF]
            ^ tables[2][state >> 8 & 0xFF]
            ^ tables[1][state >> 16 & 0xFF]
            ^ tables[0][state >> 24]
        )
    length = steps * 4
    while len(state) > 1:
        state = _apply(_zeros(length), state[::2]) ^ state[1::2]
        length *= 2
    # Ones of the start that data of less than four bytes leaves over come out shifted.
    left_over = 0xFFFFFFFF >> 8 * min(content.size, 4)
    return int(state[0]) ^ left_over ^ 0xFFFFFFFF


def masked_crc32c(data: bytes | bytearray | memoryview | np.ndarray) -> int:
    """The checksum as files hold it: rotated and shifted, since it may itself be checksummed.

    >>> hex(masked_crc32c(b"123456789"))
    '0xc78ab0e5'
    """
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + MASK_DELTA) & 0xFFFFFFFF


@lru_cache(1)
def _tables() -> np.ndarray:
    """(4, 256): what a byte does to a checksum, followed by 0 to 3 zero bytes."""
    byte: np.ndarray = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        byte = byte >> 1 ^ np.where(byte & 1, np.uint32(POLYNOMIAL), np.uint32(0))
    tables = [byte]
    for _ in range(3):
        tables.append(byte[tables[-1] & 0xFF] ^ tables[-1] >> 8)
    return np.stack(tables)


def _apply(images: np.ndarray, states: np.ndarray) -> np.ndarray:
    """A linear map, given by its images of the 32 bits, applied to every state."""
    bits = states[:, None] >> np.arange(32, dtype=np.uint32) & 1
    return np.bitwise_xor.reduce(np.where(bits, images, np.uint32(0)), axis=1)


@lru_cache(256)
def _zeros(length: int) -> np.ndarray:
    """What `length` zero bytes do to a checksum, as a linear map."""
    if length == 1:
        bits = np.uint32(1) << np.arange(32, dtype=np.uint32)
        return _tables()[0][bits & 0xFF] ^ bits >> 8
    half = _zeros(length // 2)
    twice = _apply(half, half)
    return _apply(_zeros(1), twice) if length % 2 else twice
