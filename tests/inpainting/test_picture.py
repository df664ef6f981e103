"""Files in, files out: what is kept, and what is said of files that cannot be used."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from gica_ops.inpainting.picture import check_output, read_mask, read_picture

SIZE = (20, 30)  # height, width


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)


@pytest.fixture
def hole() -> torch.Tensor:
    hole = torch.zeros(SIZE, dtype=torch.bool)
    hole[5:12, 8:20] = True
    return hole


def saved(image: Image.Image, path, **options):
    image.save(path, **options)
    return path


def deep_colour(path):
    """A PNG of 2 x 1 pixels with 16 bits per colour, which Pillow reads but does not write."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0))
    rows = chunk(b"IDAT", zlib.compress(b"\0" + bytes(range(12))))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + rows + chunk(b"IEND", b""))
    return path


@pytest.mark.parametrize(
    ("mode", "name"),
    [("1", "a.png"), ("L", "a.png"), ("LA", "a.png"), ("P", "a.png"), ("P", "a.gif"),
     ("RGB", "a.webp"), ("RGBA", "a.png"), ("CMYK", "a.tif"), ("F", "a.tif"), ("I", "a.tif"),
     ("RGB", "a.bmp"), ("LAB", "a.tif")],
)  # fmt: skip
def test_what_is_read_and_written_unfilled_is_the_same(tmp_path, pixels, hole, mode, name):
    image = Image.fromarray(pixels)
    image = Image.frombytes("LAB", image.size, image.tobytes()) if mode == "LAB" else image
    path = saved(
        image.convert(mode), tmp_path / name, **({"lossless": True} if "webp" in name else {})
    )
    picture = read_picture(path)
    assert picture.size == SIZE
    picture.write(picture.replaced(picture.values, hole), tmp_path / f"b{path.suffix}")
    before, after = Image.open(path), Image.open(tmp_path / f"b{path.suffix}")
    assert before.mode == after.mode
    assert np.array_equal(np.asarray(before), np.asarray(after))


def test_alpha_is_kept_in_the_hole(tmp_path, pixels, hole):
    image = Image.fromarray(pixels).convert("RGBA")
    image.putalpha(Image.fromarray(pixels[..., 0]))
    picture = read_picture(saved(image, tmp_path / "a.png"))
    assert picture.values.shape == (3, *SIZE)
    new = np.asarray(picture.replaced(255 - picture.values, hole))
    assert np.array_equal(new[..., 3], pixels[..., 0])
    assert np.array_equal(new[hole.numpy(), :3], 255 - pixels[hole.numpy()])


def test_16_bits_of_grey_are_kept_and_of_colour_are_noted(tmp_path, pixels):
    deep = pixels[..., 0].astype(np.uint16) * 257
    picture = read_picture(saved(Image.fromarray(deep), tmp_path / "a.png"))
    assert picture.note is None and int(picture.values.max()) == int(deep.max())
    colour = read_picture(deep_colour(tmp_path / "b.png"))
    assert "16 bits" in (colour.note or "") and colour.image.mode == "RGB"


def test_orientation_and_colour_profile(tmp_path, pixels):
    upright = Image.fromarray(pixels)
    exif = upright.getexif()
    exif[0x0112] = 6  # turned left: shown turned right by 90 degrees
    options = {"exif": exif, "icc_profile": b"profile", "dpi": (300, 300)}
    picture = read_picture(saved(upright.rotate(90, expand=True), tmp_path / "a.png", **options))
    picture.write(picture.image, tmp_path / "b.png")
    after = Image.open(tmp_path / "b.png")
    assert np.array_equal(np.asarray(after), pixels)
    assert after.getexif().get(0x0112, 1) == 1
    assert after.info["icc_profile"] == b"profile" and round(after.info["dpi"][0]) == 300


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "I;16", "I", "CMYK"])
def test_a_mask_of_any_mode_means_the_same(tmp_path, hole, mode):
    grey = Image.fromarray(hole.numpy().astype(np.uint8) * 255)
    deep = Image.fromarray(hole.numpy().astype(np.uint16) * 65535)
    image = deep if mode == "I;16" else grey.convert(mode)
    assert torch.equal(read_mask(saved(image, tmp_path / "m.tif"), SIZE), hole)


def test_the_limit_is_above_127(tmp_path):
    steps = np.array([[0, 127, 128, 255]], np.uint8)
    expected = torch.tensor([[False, False, True, True]])
    for image in (Image.fromarray(steps), Image.fromarray(steps.astype(np.uint16) * 257)):
        assert torch.equal(read_mask(saved(image, tmp_path / "m.png"), (1, 4)), expected)


def test_what_is_transparent_in_a_mask_is_no_hole(tmp_path):
    clear = Image.new("RGBA", SIZE[::-1], (255, 255, 255, 0))
    assert not read_mask(saved(clear, tmp_path / "m.png"), SIZE).any()


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.gif", "a.webp", "a.tif", "a.bmp"])
def test_truncated_anywhere_is_a_sentence(tmp_path, pixels, name):
    whole = saved(Image.fromarray(pixels), tmp_path / name).read_bytes()
    for share in (0.0, 0.01, 0.1, 0.5):
        (tmp_path / name).write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(ValueError, match="image '.*'"):
            read_picture(tmp_path / name)


def test_outputs_that_cannot_be_are_refused_before_any_work(tmp_path, pixels):
    picture = read_picture(saved(Image.fromarray(pixels).convert("RGBA"), tmp_path / "a.png"))
    for name, said in {
        "a.jpg": "output format JPEG cannot hold",
        "a.unknown": "output must end in a picture format's name",
        "a": "output must end in a picture format's name",
        "no/where/a.png": "does not exist",
    }.items():
        with pytest.raises(ValueError, match=said):
            check_output(tmp_path / name, picture)
    with pytest.raises(ValueError, match="is a folder"):
        check_output(tmp_path, picture)
    check_output(tmp_path / "new" / "a.png", picture)  # one folder will be made
    assert not (tmp_path / "new").exists()


def test_a_failed_write_leaves_the_old_file(tmp_path, pixels, monkeypatch):
    path = saved(Image.fromarray(pixels), tmp_path / "a.png")
    before = path.read_bytes()

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", fail)
    picture = read_picture(path)
    with pytest.raises(OSError, match="disk full"):
        picture.write(picture.image, path)
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["a.png"]
