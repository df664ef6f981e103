"""Pictures from files, procedural ones, bundled ones, crops."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from gica_ops.data import bundled, dead_leaves, pictures
from gica_ops.data.bundled import bundled_pictures
from gica_ops.data.crops import crop
from gica_ops.data.pictures import LeavesSource, parse_source
from gica_ops.data.reading import decode_picture, read_picture
from gica_ops.data.shards import ShardSource


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def save(path: Path, grey: int, size: tuple[int, int] = (24, 24)) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (grey, grey, grey)).save(path)
    return str(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six pictures of grey 0 to 5, two of them in a folder, and files that are none."""
    for grey in range(6):
        save(tmp_path / ("deeper" if grey > 3 else "") / f"{grey}.png", grey)
    (tmp_path / "notes.txt").write_text("no picture")
    return tmp_path


def broken(folder: Path) -> set[str]:
    """Files with a picture's name that hold none."""
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    whole = io.BytesIO()
    Image.fromarray(noise).save(whole, "JPEG")
    files = {
        "empty.png": b"",
        "text.png": b"no picture",
        "cut.jpg": whole.getvalue()[: len(whole.getvalue()) // 2],
    }
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return {str(folder / name) for name in files}


def greys(source, positions, seed: int = 0) -> list[int]:
    return [int(source.picture(position, seed, 8)[0, 0, 0]) for position in positions]


def test_a_folder_is_taken_whole_in_another_order_every_time(folder):
    source, weight = parse_source(str(folder))
    assert weight == 1 and not source.skipped
    first, second = greys(source, range(6)), greys(source, range(6, 12))
    assert sorted(first) == sorted(second) == list(range(6)) and first != second
    assert greys(source, [7, 3]) == [second[1], first[3]]  # whatever was asked for before
    assert any(greys(source, range(6), seed) != first for seed in (1, 2))


def test_lists_patterns_and_single_files(folder, tmp_path):
    (folder / "list.txt").write_text("deeper/4.png\n\n1.png  \n")
    assert sorted(greys(parse_source(f"{folder}/list.txt")[0], range(2))) == [1, 4]
    assert sorted(greys(parse_source(f"{folder}/[23]*")[0], range(2))) == [2, 3]
    assert sorted(greys(parse_source(f"{folder}/**/*.png")[0], range(6))) == list(range(6))
    assert greys(parse_source(f"{folder}/3.png")[0], [0]) == [3]


def test_weights_and_kinds(folder):
    assert parse_source("dead-leaves*0.25")[1] == 0.25
    source, weight = parse_source(f"{folder}/*.png*2")
    assert (len(source.paths), weight) == (4, 2)
    assert isinstance(parse_source("dead-leaves")[0], LeavesSource)
    (folder / "a.tar").write_bytes(bytes(1024))
    assert isinstance(parse_source(f"{folder}/*.tar")[0], ShardSource)


def test_what_is_no_source(folder):
    (folder / "none").mkdir()
    (folder / "binary").write_bytes(b"\xff\xfe\x00")
    cases = {
        "nowhere": "must be a folder", f"{folder}/none": "holds no picture",
        f"{folder}/*.gif": "holds no picture", "dead-leaves*0": "weight above 0",
        f"{folder}/binary": "no list of files", f"{folder}/x-{{0..2}}.tar": "x-0.tar",
        f"{folder}/*.tar": "no file matches", "bundled:other": "must be one of",
    }  # fmt: skip
    for text, why in cases.items():
        with pytest.raises(ValueError, match="^(data source|split) .*" + why):
            parse_source(text)


def test_broken_files_are_named_and_the_next_take_their_places(folder):
    names = broken(folder)
    (folder / "folder.png").mkdir()
    names.add(str(folder / "folder.png"))
    source, _ = parse_source(f"{folder}/*.*g")
    assert len(source.paths) == 4 + 4
    first = greys(source, range(8))
    assert set(first) == {0, 1, 2, 3} and len(first) == 8
    assert set(source.skipped) == names
    assert all(name in why for name, why in source.skipped.items())
    # The same for one that did not come upon the broken files in the same order.
    again, _ = parse_source(f"{folder}/*.*g")
    assert greys(again, reversed(range(8))) == first[::-1]


def test_nothing_but_broken_files_is_a_sentence(tmp_path):
    broken(tmp_path)
    source, _ = parse_source(str(tmp_path))
    for _ in range(2):
        with pytest.raises(ValueError, match="none of 3 files can be read; .*(empty|text|cut)"):
            source.picture(0, 0, 8)


def test_decoded_pictures_are_kept_within_bounds(folder, monkeypatch):
    reads = []
    monkeypatch.setattr(
        pictures, "read_picture", lambda path: reads.append(path) or read_picture(path)
    )
    source, _ = parse_source(str(folder))
    greys(source, range(30))
    assert len(reads) == 6
    monkeypatch.setattr(pictures, "CACHE_BYTES", 2 * 24 * 24 * 3)
    bounded, _ = parse_source(str(folder))
    assert sorted(greys(bounded, range(60))) == sorted(list(range(6)) * 10)
    assert len(bounded._cache) == 2 and len(reads) > 30


def test_every_mode_becomes_upright_rgb(tmp_path):
    rgb = generator().integers(0, 256, (5, 7, 3), np.uint8)
    image, grey = Image.fromarray(rgb), rgb[..., 0]
    expected = {
        "rgb.png": (image, rgb),
        "rgba.png": (Image.fromarray(np.dstack([rgb, grey])), rgb),
        "grey.png": (Image.fromarray(grey), np.dstack([grey] * 3)),
        "alpha.png": (Image.fromarray(np.dstack([grey, grey]), "LA"), np.dstack([grey] * 3)),
        "deep.png": (Image.fromarray(grey.astype(np.uint16) * 257), np.dstack([grey] * 3)),
        "float.tif": (Image.fromarray(grey.astype(np.float32)), np.dstack([grey] * 3)),
    }
    for name, (picture, values) in expected.items():
        picture.save(tmp_path / name)
        got = read_picture(str(tmp_path / name))
        assert got.dtype == np.uint8 and np.array_equal(got, values), name
    image.convert("P", palette=Image.Palette.ADAPTIVE).save(tmp_path / "palette.png")
    assert np.array_equal(read_picture(str(tmp_path / "palette.png")), rgb)  # 35 colours fit
    for mode in ("CMYK", "1", "LAB"):
        image.convert("RGB").convert(mode if mode != "LAB" else "RGB").save(tmp_path / "m.tif")
        assert read_picture(str(tmp_path / "m.tif")).shape == (5, 7, 3)
    exif = image.getexif()
    exif[0x0112] = 6  # to be turned by a quarter
    image.save(tmp_path / "turned.png", exif=exif)
    assert np.array_equal(read_picture(str(tmp_path / "turned.png")), np.rot90(rgb, -1))


def test_bombs_and_missing_files_are_broken(tmp_path, monkeypatch):
    path = save(tmp_path / "a.png", 1)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 24 * 24 - 1)
    with pytest.raises(ValueError, match=r"a\.png.*exceeds limit"):
        read_picture(path)
    with pytest.raises(ValueError, match=r"b\.png.*No such file"):
        read_picture(str(tmp_path / "b.png"))
    with pytest.raises(ValueError, match="'x' is no picture"):
        decode_picture(b"", "x")


@settings(max_examples=60)
@given(
    st.integers(1, 70), st.integers(1, 70), st.integers(1, 40),
    st.sampled_from(["crop", "resize", "random-scale"]), st.integers(0, 999),
)  # fmt: skip
def test_crops_have_the_size_asked_for(height, width, size, how, seed):
    picture = generator(seed).integers(0, 256, (height, width, 3), np.uint8)
    square = crop(picture, size, how, generator(seed))
    assert square.shape == (size, size, 3) and square.dtype == np.uint8
    assert np.array_equal(square, crop(picture, size, how, generator(seed)))


def test_crops_take_what_they_say():
    rows, columns = np.meshgrid(np.arange(60), np.arange(90), indexing="ij")
    picture = np.dstack([rows, columns, rows * 0]).astype(np.uint8)
    tops, lefts, mirrored = set(), set(), 0
    for seed in range(400):
        square = crop(picture, 20, "crop", generator(seed)).astype(int)
        assert (np.diff(square[..., 0], axis=0) == 1).all()  # pixels as they were
        steps = np.diff(square[..., 1], axis=1)
        assert (steps == steps[0, 0]).all() and abs(steps[0, 0]) == 1
        mirrored += steps[0, 0] == -1
        tops.add(square[0, 0, 0])
        lefts.add(square[0, :, 1].min())
    assert tops == set(range(41)) and {0, 70} <= lefts and max(lefts) == 70
    assert 150 < mirrored < 250
    assert not any(
        (np.diff(crop(picture, 20, "crop", generator(s), flip=False)[..., 1].astype(int)) < 0).any()
        for s in range(40)
    )
    for seed in range(20):
        whole = crop(picture, 20, "resize", generator(seed))[..., 0].astype(int)
        assert whole[0].mean() < 3 and whole[-1].mean() > 56  # all rows
    spans = [
        np.ptp(crop(picture, 20, "random-scale", generator(seed))[..., 0].astype(int))
        for seed in range(200)
    ]
    assert min(spans) < 25 and max(spans) > 50
    with pytest.raises(ValueError, match="crop must be one of .*'squash'"):
        crop(picture, 20, "squash", generator())


def test_bundled_pictures_are_photographs_and_apart():
    pytest.importorskip("skimage")
    pytest.importorskip("sklearn")
    train, held = bundled_pictures("train"), bundled_pictures("held-out")
    assert bundled_pictures() == train + held and len(held) >= 5
    names = [picture.name for picture in train + held]
    assert len(set(names)) == len(names) == len({p.path for p in train + held})
    for picture in train + held:
        values = picture.load()
        assert values.dtype == np.uint8 and values.shape[2] == 3, picture.name
        assert min(values.shape[:2]) >= 256 and values.std() > 10 and picture.licence, picture.name
    assert [p.path for p in held] == parse_source("bundled:held-out")[0].paths
    assert [p.path for p in train] == parse_source("bundled")[0].paths


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(bundled, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"scikit-image, .*pip install gica_ops\[train\]"):
        bundled_pictures()


def test_bundled_pictures_import_nothing():
    pytest.importorskip("skimage")
    before = set(sys.modules)
    bundled_pictures()
    assert "skimage" not in set(sys.modules) - before


@settings(max_examples=25)
@given(st.integers(8, 80), st.integers(8, 80), st.integers(0, 999))
def test_leaves_have_any_size_and_one_picture_per_seed(height, width, seed):
    picture = dead_leaves.draw((height, width), generator(seed))
    assert picture.shape == (height, width, 3) and picture.dtype == np.uint8
    assert np.array_equal(picture, dead_leaves.draw((height, width), generator(seed)))


@pytest.fixture(scope="module")
def leaves() -> np.ndarray:
    return np.stack([dead_leaves.draw((128, 128), generator(seed)) for seed in range(60)])


def test_leaves_have_the_spectrum_of_photographs(leaves):
    """Amplitudes of photographs fall with frequency as f^-1.2, give or take 0.2."""
    grey = leaves.astype(float).mean(3)
    window = np.hanning(128)[:, None] * np.hanning(128)
    grey = (grey - grey.mean((1, 2), keepdims=True)) * window
    power = (np.abs(np.fft.fft2(grey)) ** 2).mean(0)
    frequency = np.hypot(np.fft.fftfreq(128)[:, None], np.fft.fftfreq(128))
    edges = np.geomspace(0.02, 0.3, 12)
    rings = [(frequency >= low) & (frequency < 1.3 * low) for low in edges]
    amplitude = [np.sqrt(power[ring].mean()) for ring in rings]
    slope = np.polyfit(np.log([frequency[ring].mean() for ring in rings]), np.log(amplitude), 1)[0]
    assert -1.6 < slope < -0.8


def test_leaves_have_edges_and_smooth_places(leaves):
    steps = np.diff(leaves.astype(float).mean(3), axis=2)
    kurtosis = (steps**4).mean() / (steps**2).mean() ** 2
    assert kurtosis > 8  # 3 for a Gaussian; photographs have about 10 to 20
    assert (np.abs(steps) < 3).mean() > 0.4 and (np.abs(steps) > 40).mean() > 0.01


def test_leaves_differ_and_use_the_range(leaves):
    means, spreads = leaves.mean((1, 2)), leaves.std((1, 2, 3))
    assert means.std(0).min() > 20 and 60 < means.mean() < 180
    assert spreads.min() > 8 and np.median(spreads) > 35
    saturation = np.ptp(leaves.astype(int), axis=3).mean((1, 2))
    assert saturation.std() > 10 and 15 < saturation.mean() < 100
    assert ((leaves == 0) | (leaves == 255)).mean() < 0.15


def test_leaves_of_a_source_follow_from_seed_and_position():
    source = LeavesSource()
    same = source.picture(5, 1, 32)
    assert np.array_equal(same, LeavesSource().picture(5, 1, 32))
    for other in (source.picture(6, 1, 32), source.picture(5, 2, 32)):
        assert not np.array_equal(same, other)
    with pytest.raises(ValueError, match="at least 8 x 8"):
        dead_leaves.draw((7, 9), generator())
