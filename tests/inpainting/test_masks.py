"""How mask pictures are understood."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from gica_ops.inpainting.masks import MaskOptions, read_mask
from gica_ops.inpainting.reading import read_picture

SIZE = (20, 30)  # height, width


@pytest.fixture
def hole() -> torch.Tensor:
    hole = torch.zeros(SIZE, dtype=torch.bool)
    hole[5:12, 8:20] = True
    return hole


def saved(image: Image.Image, path, **options):
    image.save(path, **options)
    return path


@pytest.mark.parametrize("invert", [False, True])
@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "I;16", "I", "F", "CMYK"])
def test_a_mask_of_any_mode_means_the_same(tmp_path, hole, mode, invert):
    grey = Image.fromarray(hole.numpy().astype(np.uint8) * 255)
    deep = Image.fromarray(hole.numpy().astype(np.uint16) * 65535)
    path = saved(deep if mode == "I;16" else grey.convert(mode), tmp_path / "m.tif")
    expected = ~hole if invert else hole
    assert torch.equal(read_mask(path, SIZE, MaskOptions(invert=invert)), expected)


@pytest.mark.parametrize("threshold", [0, 1, 127, 200, 254, 255])
def test_the_threshold_is_the_same_in_8_and_16_bits(tmp_path, threshold):
    steps = np.array([[0, 1, 2, 127, 128, 200, 201, 254, 255]], np.uint8)
    for image in (Image.fromarray(steps), Image.fromarray(steps.astype(np.uint16) * 257)):
        path = saved(image, tmp_path / "m.png")
        for invert in (False, True):
            found = read_mask(path, (1, 9), MaskOptions(threshold, invert=invert))
            assert np.array_equal(found.numpy(), (steps > threshold) ^ invert)


def test_what_is_transparent_is_no_hole(tmp_path):
    clear = saved(Image.new("RGBA", SIZE[::-1], (255, 255, 255, 0)), tmp_path / "m.png")
    assert not read_mask(clear, SIZE).any()
    strokes = Image.new("RGBA", SIZE[::-1], (0, 0, 0, 0))
    strokes.putpixel((3, 2), (0, 0, 0, 255))
    black = saved(strokes, tmp_path / "black.png")
    found = read_mask(black, SIZE, MaskOptions(invert=True))
    assert found.nonzero().tolist() == [[2, 3]]


def test_growing(tmp_path, hole):
    path = saved(Image.fromarray(hole.numpy()), tmp_path / "m.png")
    grown = read_mask(path, SIZE, MaskOptions(dilate=2))
    expected = torch.zeros(SIZE, dtype=torch.bool)
    expected[3:14, 6:22] = True
    assert torch.equal(grown, expected)
    everything = read_mask(path, SIZE, MaskOptions(dilate=100))
    assert everything.all()


def test_resizing_takes_the_nearest_pixel_and_grows_afterwards(tmp_path, hole):
    path = saved(Image.fromarray(hole.numpy()), tmp_path / "m.png")
    double = hole.repeat_interleave(2, 0).repeat_interleave(2, 1)
    assert torch.equal(read_mask(path, (40, 60), MaskOptions(resize=True)), double)
    half = saved(Image.fromarray(double.numpy()), tmp_path / "d.png")
    assert torch.equal(read_mask(half, SIZE, MaskOptions(resize=True)), hole)
    grown = read_mask(path, (40, 60), MaskOptions(resize=True, dilate=1))
    assert int(grown.sum()) == (2 * 7 + 2) * (2 * 12 + 2)


def test_a_mask_of_another_size_says_both(tmp_path, hole):
    path = saved(Image.fromarray(hole.numpy()), tmp_path / "m.png")
    with pytest.raises(ValueError, match=r"size of the image, 7 x 9, but '.*m.png' is 30 x 20"):
        read_mask(path, (9, 7))


@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", [3, 6])
def test_masks_are_of_the_upright_picture(tmp_path, hole, form, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    lying = SIZE if orientation == 6 else SIZE[::-1]  # width, height in the file
    picture = read_picture(saved(Image.new("RGB", lying), tmp_path / f"a.{form}", exif=exif))
    assert picture.size == SIZE and picture.turned == (orientation == 6)
    upright = saved(Image.fromarray(hole.numpy()), tmp_path / "m.png")
    assert torch.equal(read_mask(upright, picture), hole)
    raw = saved(Image.fromarray(hole.T.numpy()), tmp_path / "raw.png")
    said = "upright picture, 30 x 20.*20 x 30.*before its EXIF orientation is applied"
    with pytest.raises(ValueError, match=said if orientation == 6 else "size of the image"):
        read_mask(raw, picture)


def test_a_mask_too_large_is_refused_before_it_is_decoded(tmp_path):
    path = saved(Image.new("1", (100, 100)), tmp_path / "m.png")
    with pytest.raises(ValueError, match=r"mask '.*' is 100 x 100, above the limit of 9,999"):
        read_mask(path, (100, 100), max_pixels=9_999)
