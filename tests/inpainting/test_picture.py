"""Files in, files out: what is kept, and what is said of files that cannot be used."""

from __future__ import annotations

import struct

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image

from gica_ops.data import reading
from gica_ops.formats import picture_suffixes
from gica_ops.inpainting.picture import Picture
from gica_ops.inpainting.reading import read_picture
from gica_ops.inpainting.writing import (
    check_encoding,
    check_folder,
    encode,
    format_of,
    write_image,
)

from .mixed import PROFILE, deep_png, deep_tiff

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
    assert picture.size == SIZE and picture.form == format_of(path)
    filled = picture.replaced(picture.values, hole)
    write_image(filled, tmp_path / f"b{path.suffix}", picture.form)
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


@pytest.mark.parametrize("transparency", [1, bytes([255, 0, 255, 100])])
def test_alpha_is_kept_in_the_hole_of_a_palette(tmp_path, hole, transparency):
    """The nearest colour is taken among those as opaque, and never beyond the palette."""
    indices = np.arange(SIZE[0] * SIZE[1], dtype=np.uint8).reshape(SIZE) % 4
    image = Image.fromarray(indices)
    image.putpalette([250, 0, 0, 0, 0, 0, 0, 250, 0, 9, 9, 9])
    path = saved(image, tmp_path / "a.png", transparency=transparency)
    picture = read_picture(path)
    black = torch.zeros_like(picture.values)
    write_image(picture.replaced(black, hole), tmp_path / "b.png", "PNG")
    before, after = (Image.open(p).convert("RGBA") for p in (path, tmp_path / "b.png"))
    assert np.array_equal(before.getchannel("A"), after.getchannel("A"))
    found = np.asarray(Image.open(tmp_path / "b.png"))[hole.numpy()]
    assert found.max() <= 3
    nearest = {255: 0 if transparency == bytes([255, 0, 255, 100]) else 3, 0: 1, 100: 3}
    alphas = np.asarray(after)[hole.numpy(), 3]
    assert [nearest[int(a)] for a in alphas] == found.tolist()


def test_16_bits_of_grey_are_kept_and_of_colour_are_refused(tmp_path, pixels):
    deep = pixels[..., 0].astype(np.uint16) * 257
    picture = read_picture(saved(Image.fromarray(deep), tmp_path / "a.png"))
    assert picture.note is None and int(picture.values.max()) == int(deep.max())
    for name, data in {
        "rgb.png": deep_png(2, 3),
        "rgba.png": deep_png(6, 4),
        "la.png": deep_png(4, 2),
        "rgb.tif": deep_tiff(),
        "rgb.ppm": b"P6 2 1 1000\n" + bytes(12),
    }.items():
        (tmp_path / name).write_bytes(data)
        Image.open(tmp_path / name).load()  # Pillow has nothing against it
        with pytest.raises(ValueError, match="16 bits per colour, of which only 8"):
            read_picture(tmp_path / name)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_orientation_profile_exif_and_resolution(tmp_path, pixels, form):
    """Whatever the file it comes from, and whatever that it goes to."""
    smooth = Image.fromarray(np.kron(pixels[:4, :6], np.ones((5, 5, 1), np.uint8)))
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "maker"  # turned left: shown turned right by 90 degrees
    exif.get_ifd(0x8769)[0x9003] = "2020:01:02 03:04:05"
    options = {"exif": exif.tobytes(), "icc_profile": PROFILE, "dpi": (300, 300), "lossless": True}
    lying = smooth.transpose(Image.Transpose.ROTATE_90)
    picture = read_picture(saved(lying, tmp_path / "a", format=form, **options))
    assert picture.turned and picture.note is None
    assert np.abs(np.asarray(picture.image).astype(int) - np.asarray(smooth)).mean() < 20
    for to in ("PNG", "JPEG", "TIFF", "WEBP"):
        write_image(picture.image, tmp_path / "b", to)
        with Image.open(tmp_path / "b") as after:
            after.load()
            found = after.getexif()
            assert after.format == to and after.size == SIZE[::-1]
            assert 0x0112 not in found and found[0x010F] == "maker"
            assert found.get_ifd(0x8769)[0x9003] == "2020:01:02 03:04:05"
            assert after.info["icc_profile"] == PROFILE
            if to != "WEBP" and form != "WEBP":
                assert round(after.info["dpi"][0]) == 300
            if to != "JPEG":
                assert np.array_equal(np.asarray(after), np.asarray(picture.image))


def test_compressed_with_losses_is_written_without(tmp_path, pixels):
    path = saved(Image.fromarray(pixels), tmp_path / "a.tif", compression="jpeg")
    picture = read_picture(path)
    write_image(picture.image, tmp_path / "b.tif", "TIFF")
    assert np.array_equal(np.asarray(Image.open(tmp_path / "b.tif")), np.asarray(picture.image))


def test_broken_metadata_are_left_out(tmp_path, pixels):
    image = Image.fromarray(pixels)
    for exif in (b"Exif\0\0II*\0\xff\xff\xff\xff" + bytes(9), b"Exif\0\0no such thing as a tag"):
        picture = read_picture(saved(image, tmp_path / "a.jpg", exif=exif))
        assert "EXIF data that cannot be read" in (picture.note or "")
        assert b"Exif" not in encode(picture.image, "JPEG")
    empty = Image.Exif().tobytes()
    assert read_picture(saved(image, tmp_path / "a.jpg", exif=empty)).note is None
    for dpi in ((0, 0), (float("nan"), 1), (float("inf"), 1), (1e9, 1e9), (1,), "x", None):
        image.info["dpi"] = dpi
        for form in ("JPEG", "TIFF", "PNG"):
            encode(image, form)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.gif", "a.webp", "a.tif", "a.bmp"])
def test_truncated_anywhere_is_a_sentence(tmp_path, pixels, name):
    whole = saved(Image.fromarray(pixels), tmp_path / name).read_bytes()
    for share in (0.0, 0.01, 0.1, 0.5):
        (tmp_path / name).write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(ValueError, match="image '.*'"):
            read_picture(tmp_path / name)


def test_the_limit_of_pixels_is_asked_before_decoding(tmp_path, monkeypatch):
    path = saved(Image.new("1", (100, 50)), tmp_path / "a.png")
    assert read_picture(path, max_pixels=5000).size == (50, 100)
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda self: pytest.fail("decoded"))
    with pytest.raises(ValueError, match=r"is 100 x 50, above the limit of 4,999 pixels"):
        read_picture(path, max_pixels=4999)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(ValueError, match=r"is above the limit of 2,000 pixels"):
        read_picture(path)


def test_files_that_are_programs_are_not_run(tmp_path):
    """Pillow hands PostScript to Ghostscript."""
    path = tmp_path / "a.eps"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n")
    assert Image.open(path).format == "EPS" and ".eps" not in picture_suffixes()
    for read in (read_picture, reading.read_picture):
        with pytest.raises(ValueError, match="no picture that Pillow can read"):
            read(path)


def test_outputs_that_cannot_be_are_refused(tmp_path, pixels):
    clear = Image.fromarray(pixels).convert("RGBA")
    check_encoding(clear, "PNG")
    with pytest.raises(
        ValueError, match="output format JPEG cannot hold this picture of mode RGBA"
    ):
        check_encoding(clear, "JPEG")
    with pytest.raises(ValueError, match="only read, not written"):
        check_encoding(clear, "PSD")
    for name in ("a.unknown", "a"):
        with pytest.raises(ValueError, match="output must end in a picture format's name"):
            format_of(name)
    with pytest.raises(ValueError, match="does not exist"):
        check_folder(tmp_path / "no" / "where")
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ValueError, match="is a file"):
            check_folder(path)
    check_folder(tmp_path / "new")  # one folder will be made
    assert not (tmp_path / "new").exists()


def test_a_failed_write_leaves_the_old_file(tmp_path, pixels, monkeypatch):
    path = saved(Image.fromarray(pixels), tmp_path / "a.png")
    before = path.read_bytes()

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_image(Image.fromarray(255 - pixels), path, "PNG")
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_images_that_come_from_no_file():
    assert Picture(Image.new("La", (3, 2))).image.mode == "LA"
    odd = Image.new("L", (3, 2))
    odd._mode = "of the future"
    with pytest.raises(ValueError, match="mine has mode of the future, which cannot be filled"):
        Picture(odd, "mine")


def test_the_thumbnail_goes(tmp_path, pixels):
    """It shows what is to be removed."""
    make = struct.pack("<HHHI4s", 1, 0x010F, 2, 3, b"me\0\0")
    thumbnail = b"\xff\xd8thumbnail\xff\xd9"
    second = 8 + len(make) + 4
    tags = struct.pack("<HHHII", 2, 513, 4, 1, second + 30) + struct.pack(
        "<HHII", 514, 4, 1, len(thumbnail)
    )
    block = b"II*\0" + struct.pack("<I", 8) + make + struct.pack("<I", second) + tags + bytes(4)
    path = saved(Image.fromarray(pixels), tmp_path / "a.jpg", exif=b"Exif\0\0" + block + thumbnail)
    with Image.open(path) as image:
        assert image.getexif().get_ifd(ExifTags.IFD.IFD1)[514] == len(thumbnail)
    data = encode(read_picture(path).image, "JPEG")
    assert b"me\0" in data and b"thumbnail" not in data
