"""The reader of TensorFlow's checkpoints on thousands of files with something changed in them."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from gica_ops.model.tf_checkpoint import read_tf_checkpoint
from tests.model import tf_writer

CASES = 500


@pytest.fixture
def few() -> dict[str, np.ndarray]:
    """A small checkpoint, to be read thousands of times."""
    values = np.random.default_rng(0).standard_normal(24).astype(np.float32)
    return {"a/bias": values[:2], "a/kernel": values.reshape(3, 2, 4), "step": np.array([7])}


def test_a_changed_byte_of_data_is_found_wherever_it_is(tmp_path, few):
    tf_writer.write(tmp_path / "model", few)
    path = tf_writer.data_file(tmp_path / "model")
    content = path.read_bytes()
    for at in range(len(content)):
        path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        with pytest.raises(ValueError, match="is damaged: the checksum of variable"):
            read_tf_checkpoint(tmp_path / "model")


def mutated(content: bytes, draw: np.random.Generator) -> bytes:
    """A few bytes changed, put in, left out, or the end cut off."""
    changed = bytearray(content)
    for _ in range(draw.integers(1, 4)):
        at = int(draw.integers(0, len(changed) + 1))
        kind = draw.integers(0, 5)
        if kind == 0:
            changed[at : at + 1] = bytes([draw.integers(0, 256)])
        elif kind == 1:
            changed[at : at + 1] = bytes([draw.choice([0, 1, 0x7F, 0x80, 0xFF])])
        elif kind == 2:
            changed[at:at] = draw.bytes(draw.integers(1, 12))
        elif kind == 3:
            del changed[at : at + int(draw.integers(1, 12))]
        elif draw.random() < 0.2:
            del changed[at:]
    return bytes(changed)


def outcome(prefix: Path, limit: int) -> str:
    """What reading comes to: "read" or "refused"; anything else is an error of the test."""
    start = time.perf_counter()
    try:
        read = read_tf_checkpoint(prefix)
    except ValueError as error:
        assert str(prefix) in str(error) and "\n" not in str(error)
        return "refused"
    finally:
        assert time.perf_counter() - start < 30
    assert sum(value.nbytes for value in read.values()) <= limit
    return "read"


@pytest.mark.parametrize("target", ["index", "data"])
def test_mutated_files_are_refused_in_a_sentence(tmp_path, few, target):
    prefix = tmp_path / "model"
    tf_writer.write(prefix, few)
    path = {"index": Path(f"{prefix}.index"), "data": tf_writer.data_file(prefix)}[target]
    content, draw = path.read_bytes(), np.random.default_rng(1)
    outcomes = []
    for _ in range(CASES):
        path.write_bytes(mutated(content, draw))
        outcomes.append(outcome(prefix, 1 << 16))
    assert outcomes.count("refused") > CASES // 2


@pytest.mark.parametrize("target", ["messages", "blocks", "index", "footer"])
def test_mutated_files_with_matching_checksums_are_read_or_refused(tmp_path, few, target):
    """What the checksums would catch is caught behind them, too."""
    prefix = tmp_path / "model"
    entries = tf_writer.write(prefix, few)
    whole, draw = Path(f"{prefix}.index").read_bytes(), np.random.default_rng(2)
    parts = [entries[i : i + 2] for i in range(0, len(entries), 2)]
    blocks, keys = [tf_writer.block(p) for p in parts], [p[-1][0] for p in parts]
    outcomes = []
    for _ in range(CASES):
        if target == "messages":
            chosen = int(draw.integers(0, len(entries)))
            key, message = entries[chosen]
            lying = [*entries[:chosen], (key, mutated(message, draw)), *entries[chosen + 1 :]]
            content = tf_writer.table(lying, 2)
        elif target == "blocks":
            chosen = int(draw.integers(0, len(blocks)))
            lying = [*blocks[:chosen], mutated(blocks[chosen], draw), *blocks[chosen + 1 :]]
            content = tf_writer.assembled(lying, keys)
        elif target == "index":
            file = b"".join(map(tf_writer.sealed, blocks))
            ends = np.cumsum([0, *(len(b) + 5 for b in blocks)]).tolist()
            handles = [
                tf_writer.varint(at) + tf_writer.varint(len(b))
                for at, b in zip(ends, blocks, strict=False)
            ]
            index = tf_writer.block(list(zip(keys, handles, strict=True)))
            content = tf_writer.with_index(file, mutated(index, draw))
        else:
            content = whole[:-48] + mutated(whole[-48:-8], draw) + whole[-8:]
        Path(f"{prefix}.index").write_bytes(content)
        outcomes.append(outcome(prefix, 1 << 16))
    # Some mutations touch what says nothing, such as restarts; both happen.
    assert "refused" in outcomes and "read" in outcomes
