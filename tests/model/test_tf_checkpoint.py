"""The reader of TensorFlow's checkpoints: on TensorFlow's own, and on files that lie."""

from __future__ import annotations

import os
import shutil
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from gica_ops.model.crc32c import crc32c, masked_crc32c
from gica_ops.model.tf_checkpoint import list_tf_checkpoint, read_tf_checkpoint
from tests.golden import FOLDER
from tests.golden_networks import seeded
from tests.model import tf_writer

SMALL = FOLDER / "checkpoint_v1_training_small"


@pytest.fixture(scope="module")
def expected() -> dict[str, np.ndarray]:
    with np.load(FOLDER / "checkpoint_v1_training_small_expected.npz") as file:
        return {name: file[name] for name in file.files if name.startswith("ckpt_")}


@pytest.mark.parametrize(
    "form", ["", "snap-1", "snap-1.index", "snap-1.data-00000-of-00001", "snap-1.meta"]
)
def test_every_form_of_a_name_lists_the_variables(expected, form):
    listed = list_tf_checkpoint(SMALL / form)
    shapes = [tuple(map(int, s.split(","))) if s else () for s in expected["ckpt_shapes"].tolist()]
    assert listed == dict(zip(expected["ckpt_names"].tolist(), shapes, strict=True))


def test_values_are_those_that_tensorflow_wrote(expected):
    variables = read_tf_checkpoint(SMALL)
    assert list(variables) == expected["ckpt_names"].tolist()
    for name, total, squares in zip(
        expected["ckpt_names"].tolist(), expected["ckpt_sum"], expected["ckpt_sumsq"], strict=True
    ):
        value = variables[name].astype(np.float64)
        assert np.isclose(value.sum(), total, rtol=1e-12, atol=1e-12), name
        assert np.isclose((value**2).sum(), squares, rtol=1e-12, atol=0), name
    assert variables["global_step"].dtype == np.int32 and variables["global_step"] == 1


def test_a_seeded_checkpoint_is_the_same_to_the_bit(tmp_path):
    """Its index is TensorFlow's; the data is drawn again, and every checksum has to match."""
    folder = tmp_path / "checkpoint"
    shutil.copytree(FOLDER / "checkpoint_v1_generator_cnum32", folder)
    drawn = seeded(list_tf_checkpoint(folder), seed=1001, gain=1.2, bias_std=0.1)
    data = b"".join(drawn[name].tobytes() for name in sorted(drawn))
    (folder / "model.ckpt.data-00000-of-00001").write_bytes(data)
    variables = read_tf_checkpoint(folder)
    assert sum(v.size for v in variables.values()) == 3_601_542
    assert all(np.array_equal(variables[name], drawn[name]) for name in drawn)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", 0),
        (b"123456789", 0xE3069283),
        # RFC 3720, B.4
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
    ],
)
def test_checksums_are_the_published_ones(data, expected):
    assert crc32c(data) == expected


@pytest.mark.parametrize("size", [*range(1, 20), 255, 1021, 4096, 70001])
def test_checksums_of_every_length_are_those_taken_byte_by_byte(size):
    data = np.random.default_rng(size).integers(0, 256, size, np.uint8)
    state = 0xFFFFFFFF
    for byte in data.tolist():
        state ^= byte
        for _ in range(8):
            state = state >> 1 ^ (0x82F63B78 if state & 1 else 0)
    assert crc32c(data) == state ^ 0xFFFFFFFF


@pytest.fixture
def variables() -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    values = {
        f"net/layer{i}/{kind}": generator.standard_normal(shape).astype(np.float32)
        for i in range(8)
        for kind, shape in (("kernel", (3, 3, 2, i + 1)), ("bias", (i + 1,)))
    }
    for dtype in ("f8", "f2", "i4", "u1", "i2", "i1", "c8", "i8", "b1", "u2", "c16", "u4", "u8"):
        values[f"typed/{dtype}"] = generator.integers(0, 2, (2, 3)).astype(dtype)
    values["scalar"] = np.float32(3).reshape(())
    values["empty"] = np.zeros((0, 4), np.float32)
    return values


@pytest.mark.parametrize("shards", [1, 3])
def test_types_and_shards(tmp_path, variables, shards):
    tf_writer.write(tmp_path / "model", variables, shards)
    read = read_tf_checkpoint(tmp_path / "model")
    assert set(read) == set(variables)
    for name, value in variables.items():
        assert read[name].dtype == value.dtype and np.array_equal(read[name], value), name
        assert read[name].shape == value.shape and read[name].flags.writeable, name


def test_chosen_names_alone_are_read(tmp_path, variables):
    """The second data file need not be there."""
    tf_writer.write(tmp_path / "model", variables, 2)
    names = sorted(variables)[::2]
    tf_writer.data_file(tmp_path / "model", 1, 2).unlink()
    assert set(read_tf_checkpoint(tmp_path / "model", names)) == set(names)
    assert read_tf_checkpoint(tmp_path / "model", []) == {}
    with pytest.raises(ValueError, match="has no variable 'nothing'"):
        read_tf_checkpoint(tmp_path / "model", ["nothing"])
    with pytest.raises(ValueError, match="model.data-00001-of-00002' cannot be read: No such file"):
        read_tf_checkpoint(tmp_path / "model")


def test_bfloat16_is_widened(tmp_path):
    raw = np.array([0x3F80, 0xC000, 0x7F80], "<u2").tobytes()  # 1, -2, infinity
    message = tf_writer.entry(14, (3,), 0, 0, 6, masked_crc32c(raw))
    make(tmp_path, [(b"x", message)], raw)
    read = read_tf_checkpoint(tmp_path / "model")["x"]
    assert read.dtype == np.float32 and read.tolist() == [1, -2, np.inf]


def make(folder: Path, entries: tf_writer.Entries, data: bytes = b"", header: bytes | None = None):
    """A checkpoint of one data file with these entries."""
    first = (b"", tf_writer.header() if header is None else header)
    (folder / "model.index").write_bytes(tf_writer.table([first, *entries]))
    tf_writer.data_file(folder / "model").write_bytes(data)


def one(size=4, dtype=1, shape=(1,), shard=0, offset=0, crc=None, more=b"") -> bytes:
    crc = masked_crc32c(bytes(4)) if crc is None else crc
    return tf_writer.entry(dtype, shape, shard, offset, size, crc, more)


LIES = {
    "more shape than bytes": ([(b"x", one(shape=(2,)))], "has 4 bytes for shape"),
    "a shape of everything": ([(b"x", one(shape=(2**20,) * 3, size=2**62))], "axes"),
    "a size of everything": ([(b"x", one(shape=(2**40,), size=2**42))], "too few for what"),
    "a negative size": ([(b"x", one(shape=(2**64 - 1,)))], "axes"),
    "too many axes": ([(b"x", one(shape=(1,) * 33))], "33 axes"),
    "an empty shape of everything": ([(b"x", one(shape=(0, 2**40, 2**40), size=0))], "axes"),
    "an offset past the end": ([(b"x", one(offset=1))], "too few for what"),
    "a far offset": ([(b"x", one(offset=2**63))], "too few for what"),
    "a shard too many": ([(b"x", one(shard=1))], "data file 1 of 1"),
    "the same bytes again": ([(b"x%d" % i, one()) for i in range(9)], "too few for what"),
    "a wrong checksum": ([(b"x", one(crc=1))], "checksum of variable 'x'"),
    "strings": ([(b"x", one(dtype=7))], "TensorFlow's type 7"),
    "no type": ([(b"x", one(dtype=0))], "TensorFlow's type 0"),
    "slices": ([(b"x", one(more=tf_writer.field(7, b"")))], "in slices"),
    "a slice": ([(b"\0x", one())], "in slices"),
    "no shape": ([(b"x", tf_writer.field(2, tf_writer.field(3, 1)))], "no shape"),
    "the same name": ([(b"x", one()), (b"x", one())], "not in order"),
    "disorder": ([(b"y", one()), (b"x", one())], "not in order"),
    "no text": ([(b"\xff", one())], "is no text"),
    "a cut message": ([(b"x", one()[:-2])], "cut off"),
    "bytes for a number": ([(b"x", tf_writer.field(1, b"1"))], "wrong kind"),
    "a number for bytes": ([(b"x", tf_writer.field(2, 1))], "wrong kind"),
    "an unknown kind": ([(b"x", b"\x0b")], "kind 3"),
    "an endless number": ([(b"x", b"\x08" + b"\xff" * 20)], "more than 64 bits"),
    "a number of 70 bits": ([(b"x", b"\x08" + b"\xff" * 9 + b"\x7f")], "more than 64 bits"),
}


@pytest.mark.parametrize("lie", LIES)
def test_lies_are_found_before_anything_is_allocated(tmp_path, lie):
    entries, sentence = LIES[lie]
    make(tmp_path, entries, bytes(4))
    tracemalloc.start()
    with pytest.raises(ValueError, match=sentence) as caught:
        read_tf_checkpoint(tmp_path / "model")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20
    assert str(tmp_path / "model") in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("header", "sentence"),
    [
        (tf_writer.header(0), "counts 0 data files"),
        (tf_writer.header(2**31), "counts 2147483648 data files"),
        (tf_writer.header(big_endian=1), "big-endian"),
        (b"", "no header"),
    ],
)
def test_headers_that_cannot_be_are_refused(tmp_path, header, sentence):
    make(tmp_path, [(b"x", one())], bytes(4), header)
    with pytest.raises(ValueError, match=sentence):
        list_tf_checkpoint(tmp_path / "model")


def test_tables_that_cannot_be_are_refused(tmp_path):
    first, item = (b"", tf_writer.header()), (b"x", one())
    block = tf_writer.block([first, item])
    whole = tf_writer.sealed(block)
    handle = tf_writer.varint(0) + tf_writer.varint(len(block))
    # Every entry spells out the long key of the one before, and one letter more.
    start = b"\0\0" + tf_writer.varint(len(first[1])) + first[1]
    long = start + b"\0" + tf_writer.varint(9999) + b"\0" + b"k" * 9999
    longer = b"".join(tf_writer.varint(9999 + i) + b"\1\0k" for i in range(5000))
    tables = {
        "compressed": tf_writer.assembled([block], [b"x"], compression=1),
        "checksum of the index": tf_writer.assembled([block], [b"x"]).replace(b"x", b"y", 1),
        "overlap": tf_writer.with_index(whole, tf_writer.block([(b"x", handle), (b"y", handle)])),
        "reaches beyond": tf_writer.with_index(
            whole, tf_writer.block([(b"x", tf_writer.varint(0) + tf_writer.varint(2**63))])
        ),
        "too short": tf_writer.assembled([b"\xff\xff\xff\x7f"], [b"x"]),
        "beyond its block": tf_writer.assembled([b"\x01\x01\x01kv" + bytes(4)], [b"x"]),
        "too long": tf_writer.assembled([long + longer + bytes(4)], [b"x"]),
        "does not end": b"",
        "no header": tf_writer.assembled([], []),
    }
    for sentence, content in tables.items():
        (tmp_path / "model.index").write_bytes(content)
        with pytest.raises(ValueError, match=sentence):
            list_tf_checkpoint(tmp_path / "model")


def test_folders_and_files_that_are_none(tmp_path):
    cases = {
        "none": "has no file .*none.index'",
        "": "has no file 'checkpoint'",
        "folder": "has no file 'checkpoint'",
        "pipe": "is no file",
        "big": "has more than",
    }
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe.index")
    with open(tmp_path / "big.index", "wb") as file:
        file.truncate(1 << 40)
    for name, sentence in cases.items():
        with pytest.raises(ValueError, match=sentence):
            read_tf_checkpoint(tmp_path / name)
    states = {b"nothing": "names no checkpoint", b'model_checkpoint_path: "gone"': "no file .*gone"}
    for state, sentence in states.items():
        (tmp_path / "checkpoint").write_bytes(state)
        with pytest.raises(ValueError, match=sentence):
            read_tf_checkpoint(tmp_path)


@pytest.mark.parametrize(
    "name", [b"/home/gone/model \\303\\274", "sub/model ü".encode(), b"model \xc3\xbc"]
)
def test_a_folder_that_has_moved_is_found(tmp_path, variables, name):
    sub = tmp_path / ("sub" if b"sub" in name else "")
    sub.mkdir(exist_ok=True)
    tf_writer.write(sub / "model ü", variables)
    for state in ("checkpoint.txt", "checkpoint"):
        (tmp_path / state).write_bytes(b'model_checkpoint_path: "%s"\n' % name)
        assert set(list_tf_checkpoint(tmp_path)) == set(variables)
        (tmp_path / state).unlink()


def test_a_cut_data_file_is_named(tmp_path, variables):
    tf_writer.write(tmp_path / "model", variables)
    path = tf_writer.data_file(tmp_path / "model")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match="model.data-00000-of-00001' has .* too few"):
        read_tf_checkpoint(tmp_path / "model")
