"""What a page does with photographs, without the page."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gica_ops.app.photograph import Limits, open_photograph, preview
from gica_ops.app.session import Session, Settings, Stopped, fill

SETTINGS = Settings()
HOLE = (slice(10, 18), slice(12, 24))


def pixels(height: int = 40, width: int = 50) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def saved(path: Path, image: Image.Image | None = None, **options: object) -> Path:
    (Image.fromarray(pixels()) if image is None else image).save(path, **options)
    return path


def stroke(width: int = 50, height: int = 40) -> Image.Image:
    """A layer of the page's editor with `HOLE` painted, half transparent."""
    alpha = np.zeros((height, width, 4), np.uint8)
    alpha[HOLE] = 255, 0, 0, 128
    return Image.fromarray(alpha)


def filled(session: Session, **options: object) -> object:
    given = {"method": "exemplar", "seed": 0, "progress": lambda share: None} | options
    return session.fill([stroke()], **given)


@pytest.mark.parametrize(
    ("name", "mode"),
    [("a.png", "RGB"), ("a.png", "RGBA"), ("a.png", "P"), ("a.TIF", "L"), ("a.webp", "RGB")],
)
def test_a_photograph_comes_back_in_its_format_with_known_pixels_as_they_were(tmp_path, name, mode):
    path = saved(tmp_path / name, Image.fromarray(pixels()).convert(mode), lossless=True)
    session = Session(SETTINGS)
    assert session.open(path) is None
    done = filled(session)
    assert "96 pixels filled by exemplar in" in done.said
    written = done.photograph.write(tmp_path)
    assert written.name == f"a-filled{path.suffix}"
    before, after = Image.open(path), Image.open(written)
    assert (after.format, after.mode, after.size) == (before.format, before.mode, before.size)
    same = np.asarray(before) == np.asarray(after)
    known = np.ones(same.shape[:2], bool)
    known[HOLE] = False
    assert same[known].all() and not same[~known].all()


def test_a_jpeg_keeps_its_exif_and_profile_and_its_format_whatever_its_name(tmp_path):
    exif = Image.Exif()
    exif[0x010F] = "a camera"
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    path = saved(tmp_path / "wrong.png", format="JPEG", exif=exif, icc_profile=profile)
    session = Session(SETTINGS)
    session.open(path)
    written = filled(session).photograph.write(tmp_path)
    after = Image.open(written)
    assert (written.suffix, after.format) == (".jpeg", "JPEG")
    assert after.getexif()[0x010F] == "a camera" and after.info["icc_profile"] == profile


def test_what_is_painted_on_the_preview_is_scaled_to_the_photograph(tmp_path):
    session = Session(SETTINGS)
    session.open(saved(tmp_path / "a.png", Image.new("RGB", (2560, 1000))))
    assert session.shown.size == (1280, 500)
    hole = session.hole([stroke(1280, 500)])
    expected = torch.zeros(1000, 2560, dtype=torch.bool)
    expected[20:36, 24:48] = True
    assert torch.equal(hole, expected)
    # An editor whose canvas is larger, as on screens of high resolution.
    layer = stroke(1280, 500).resize((2560, 1000), Image.Resampling.NEAREST)
    assert torch.equal(session.hole([layer]), expected)


def test_a_mask_file_keeps_its_resolution_where_it_is_not_painted_over(tmp_path):
    session = Session(SETTINGS)
    session.open(saved(tmp_path / "a.png", Image.new("RGB", (2560, 1000))))
    mask = np.zeros((1000, 2560), np.uint8)
    mask[501:504, ::2] = 255  # finer than the preview
    shown = session.load_mask(saved(tmp_path / "mask.png", Image.fromarray(mask)))
    assert shown.size == (1280, 500)
    layer = Image.new("RGBA", shown.size)
    layer.paste((255, 0, 0, 255), mask=shown)
    assert torch.equal(session.hole([layer]), torch.from_numpy(mask > 0))
    hole = session.hole([layer, stroke(1280, 500)])
    assert bool(hole[20:36, 24:48].all())
    assert torch.equal(hole[500:], torch.from_numpy(mask > 0)[500:])
    with pytest.raises(ValueError, match="mask must have the size of the image, 2560 x 1000"):
        session.load_mask(saved(tmp_path / "small.png"))


def test_going_on_and_back(tmp_path):
    session = Session(SETTINGS)
    first = saved(tmp_path / "a.png")
    session.open(first)
    with pytest.raises(ValueError, match="There is no result yet"):
        session.go_on()
    filled(session)
    session.go_on()
    assert session.can_undo
    assert not np.array_equal(np.asarray(session.shown), pixels())
    session.undo()
    assert np.array_equal(np.asarray(session.shown), pixels()) and not session.can_undo
    with pytest.raises(ValueError, match="There is no picture before this one"):
        session.undo()


def test_another_picture_stops_a_filling_that_is_under_way(tmp_path):
    session = Session(SETTINGS)
    path = saved(tmp_path / "a.png")
    session.open(path)
    with pytest.raises(Stopped):
        filled(session, progress=lambda share: session.open(path))
    assert session.result is None
    with pytest.raises(Stopped):
        filled(session, progress=lambda share: session.close())
    with pytest.raises(ValueError, match="Load a photograph first"):
        filled(session)


def test_a_filling_can_be_stopped_and_begun_again(tmp_path):
    session = Session(SETTINGS)
    session.open(saved(tmp_path / "a.png"))
    first = filled(session).photograph
    with pytest.raises(Stopped):
        filled(session, progress=lambda share: session.stop())
    assert session.result is first
    with pytest.raises(Stopped):  # stopped while it waits for its turn
        filled(session)
    session.begin()
    assert filled(session).photograph is session.result is not first


def test_seeds_and_what_is_asked_of_fill(tmp_path):
    photograph = open_photograph(saved(tmp_path / "a.png"), SETTINGS.limits)
    with pytest.raises(ValueError, match="Nothing is painted yet"):
        fill(photograph, torch.zeros(40, 50, dtype=torch.bool), SETTINGS)
    with pytest.raises(ValueError, match="covers"):
        fill(photograph, torch.ones(40, 50, dtype=torch.bool), SETTINGS)


def png_of_size(width: int, height: int) -> bytes:
    """A file that claims to be a picture of this size, without its pixels."""
    parts = [b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0), b"IDAT", b"IEND"]
    chunks = [struct.pack(">I", len(p) - 4) + p + struct.pack(">I", zlib.crc32(p)) for p in parts]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.mark.parametrize("size", [(1001, 1000), (10**5, 10**5)])
def test_too_many_pixels_are_refused_by_the_header(tmp_path, size):
    path = tmp_path / "huge.png"
    path.write_bytes(png_of_size(*size))
    with pytest.raises(ValueError, match=r"'huge.png' is .*above the limit of"):
        open_photograph(path, Limits(pixels=10**6))


def test_what_is_refused_is_named_without_the_servers_folder(tmp_path):
    (tmp_path / "text.png").write_text("no picture")
    cut = saved(tmp_path / "cut.png")
    cut.write_bytes(cut.read_bytes()[:900])
    long = saved(tmp_path / "long.png")
    for path, limits, said in (
        (tmp_path / "text.png", Limits(), "'text.png' is no picture"),
        (cut, Limits(), "'cut.png' cannot be read"),
        (long, Limits(bytes=1000), " MB, above the limit of 0.001 MB"),
    ):
        with pytest.raises(ValueError) as error:
            open_photograph(path, limits)
        assert said in str(error.value) and str(tmp_path) not in str(error.value)


def test_previews_of_every_mode_can_be_shown():
    deep = Image.fromarray(np.arange(0, 60000, 1000, np.uint16).reshape(6, 10))
    assert preview(deep).getextrema() == ((0, 255),) * 3
    for mode in ("1", "L", "LA", "P", "RGBA", "CMYK", "F", "I"):
        assert preview(Image.new(mode, (3, 2))).mode in ("RGB", "RGBA"), mode
