"""Shards: shared out among lanes, shuffled, gone on with in the middle, broken."""

from __future__ import annotations

import io
import itertools
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gica_ops.data import shards
from gica_ops.data.pictures import parse_source
from gica_ops.data.shards import ShardSource


def png(grey: int) -> bytes:
    file = io.BytesIO()
    Image.new("L", (8, 8), grey).save(file, "PNG")
    return file.getvalue()


def write(path: Path, members: dict[str, bytes]) -> None:
    with tarfile.open(path, "w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def cut(path: Path) -> None:
    """Leaves nine members, the last in parts."""
    path.write_bytes(path.read_bytes()[:9000])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five shards of seven pictures, grey 0 to 34, among other members."""
    for shard in range(5):
        members = {"folder/notes.txt": b"none", "x.seg.png": png(200), "._x.png": b"none"}
        members |= {f"folder/{i:04}.png": png(7 * shard + i) for i in range(7)}
        write(tmp_path / f"train-{shard:03}.tar", members)
    return tmp_path


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "CHUNK", 4)


def opened(folder: Path, lane: int = 0, lanes: int = 1, drawn: int = 0, seed: int = 0):
    source = ShardSource("shards", sorted(map(str, folder.glob("*.tar"))))
    source.enter(seed, lane, lanes, drawn)
    return source


def greys(source: ShardSource, count: int) -> list[int]:
    return [int(source.picture(-1, -1, 8)[0, 0, 0]) for _ in range(count)]


def test_names_of_shards(folder):
    for text in (f"{folder}/train-{{000..004}}.tar", f"{folder}/*.tar"):
        source, _ = parse_source(text)
        assert source.paths == [f"{folder}/train-{i:03}.tar" for i in range(5)]


def test_an_epoch_is_every_picture_once_in_another_order(folder):
    drawn = greys(opened(folder), 105)
    epochs = [drawn[i : i + 35] for i in range(0, 105, 35)]
    assert all(sorted(epoch) == list(range(35)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]
    assert drawn == greys(opened(folder), 105) != greys(opened(folder, seed=1), 105)
    # Neither shards nor the pictures in them come as they are stored.
    assert [g // 7 for g in drawn[:35:7]] != sorted(g // 7 for g in drawn[:35:7])
    assert any(np.diff(drawn[:7]) != 1)


def test_lanes_share_every_epoch(folder):
    lanes = [greys(opened(folder, lane, 3), 14 if lane < 2 else 7) for lane in range(3)]
    assert sorted(itertools.chain(*lanes)) == list(range(35))
    with pytest.raises(ValueError, match="at least as many shards as .* 6, but has 5"):
        opened(folder, 0, 6)


@pytest.mark.parametrize("lanes", [1, 3])
def test_going_on_is_as_if_unbroken_and_decodes_nothing(folder, lanes, monkeypatch):
    # A broken picture and a shard cut short must not shift what comes behind them.
    write(folder / "train-001.tar", {"a.png": png(1), "b.png": png(2)[:20], "c.png": png(3)})
    cut(folder / "train-003.tar")
    whole = greys(opened(folder, lanes - 1, lanes), 90)
    decoded = []

    def counted(data: bytes, name: str) -> np.ndarray:
        decoded.append(name)
        return decode(data, name)

    decode = shards.decode_picture
    monkeypatch.setattr(shards, "decode_picture", counted)
    for drawn in (0, 1, 4, 7, 26, 34, 35, 61, 89):
        source = opened(folder, lanes - 1, lanes, drawn)
        assert not decoded
        assert greys(source, 90 - drawn) == whole[drawn:], drawn
        decoded.clear()


def test_broken_members_and_shards_are_named(folder):
    write(folder / "train-001.tar", {"a.png": b"none", "b.png": png(99)})
    (folder / "train-002.tar").write_bytes(b"no tar" * 1000)
    cut(folder / "train-004.tar")
    source = opened(folder)
    assert set(greys(source, 100)) >= {99, *range(7), *range(21, 28)}
    expected = [f"{folder}/train-001.tar/a.png", *(f"{folder}/train-00{i}.tar" for i in (2, 4))]
    assert sorted(source.skipped) == expected
    assert "cut short" in source.skipped[expected[1]]


def test_nothing_to_read_is_a_sentence(tmp_path, monkeypatch):
    write(tmp_path / "a.tar", {"notes.txt": b"none"})
    with pytest.raises(ValueError, match="holds no picture"):
        opened(tmp_path).picture(0, 0, 8)
    monkeypatch.setattr(shards, "FAILURES", 20)
    write(tmp_path / "a.tar", {"a.png": b"none"})
    with pytest.raises(ValueError, match=r"20 pictures in a row cannot be read; .*a\.png"):
        opened(tmp_path).picture(0, 0, 8)


def test_what_webdataset_writes(tmp_path):
    webdataset = pytest.importorskip("webdataset")
    with webdataset.ShardWriter(str(tmp_path / "set-%03d.tar"), maxcount=3, verbose=0) as sink:
        for number in range(8):
            grey = np.full((8, 8, 3), number, np.uint8)
            sink.write({"__key__": f"{number:05}", "png": grey, "json": {"number": number}})
    source, _ = parse_source(f"{tmp_path}/set-{{000..002}}.tar")
    source.enter(0, 0, 1, 0)
    assert sorted(greys(source, 8)) == list(range(8))
