"""The exemplar filler: what holds for every picture and hole."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gica_ops import _native
from gica_ops.inpainting.exemplar import fill
from gica_ops.inpainting.level import Level
from gica_ops.inpainting.search import costs, everywhere, lift, plain_costs


def picture(height: int, width: int, channels: int = 3, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (channels, height, width), generator=generator).to(torch.uint8)


def box(height: int, width: int, top: int, left: int, bottom: int, right: int) -> torch.Tensor:
    hole = torch.zeros(height, width, dtype=torch.bool)
    hole[top:bottom, left:right] = True
    return hole


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.sampled_from([1, 3, 4]),
    st.integers(0, 99),
    st.data(),
)
def test_any_picture_and_hole(height, width, channels, seed, data):
    image = picture(height, width, channels, seed)
    kind = data.draw(st.sampled_from(["box", "dots", "stroke", "border"]))
    hole = torch.zeros(height, width, dtype=torch.bool)
    if kind == "box":
        top, left = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
        hole[top : top + data.draw(st.integers(1, 20)), left : left + 9] = True
    elif kind == "dots":
        hole = torch.rand(height, width, generator=torch.Generator().manual_seed(seed)) < 0.01
    elif kind == "stroke":
        hole[:, width // 2] = True
    else:
        hole[: height // 3] = True
    if hole.all():
        with pytest.raises(ValueError, match="mask must leave"):
            fill(image, hole)
        return
    filled = fill(image, hole).values
    assert filled.dtype == image.dtype and filled.shape == image.shape
    assert torch.equal(filled[:, ~hole], image[:, ~hole])
    if hole.any():
        low, high = image[:, ~hole].aminmax(dim=1, keepdim=True)
        assert (filled[:, hole] >= low).all() and (filled[:, hole] <= high).all()


def test_what_the_hole_holds_does_not_matter():
    image, hole = picture(40, 48), box(40, 48, 10, 12, 25, 30)
    other = image.clone()
    other[:, hole] = 7
    assert torch.equal(fill(image, hole).values, fill(other, hole).values)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.float32, torch.float64])
def test_one_seed_gives_one_result_of_the_dtype_given(dtype):
    image, hole = picture(40, 48).to(dtype), box(40, 48, 10, 12, 25, 30)
    first = fill(image, hole, seed=3).values
    assert first.dtype == dtype
    assert torch.equal(first, fill(image, hole, seed=3).values)


def test_a_regular_pattern_goes_on_through_the_hole():
    row, column = torch.meshgrid(torch.arange(96), torch.arange(96), indexing="ij")
    image = (((row // 6) + (column // 6)) % 2 * 200).to(torch.uint8).expand(3, -1, -1)
    hole = box(96, 96, 30, 33, 62, 60)
    assert (fill(image, hole).values == image).float().mean() > 0.99


def test_nothing_to_fill_and_nothing_known():
    image = picture(16, 16)
    assert torch.equal(fill(image, torch.zeros(16, 16, dtype=torch.bool)).values, image)
    with pytest.raises(ValueError, match="covers the whole image"):
        fill(image, torch.ones(16, 16, dtype=torch.bool))


def test_bad_arguments_are_refused_in_a_sentence():
    image, hole = picture(16, 16), box(16, 16, 4, 4, 8, 8)
    with pytest.raises(ValueError, match="image must be"):
        fill(image[0], hole)
    with pytest.raises(TypeError, match="mask must be a bool"):
        fill(image, hole.float())
    with pytest.raises(ValueError, match="mask must have the image's"):
        fill(image, hole[1:])


def test_progress_goes_up_to_one():
    seen: list[float] = []
    fill(picture(64, 64), box(64, 64, 20, 20, 40, 40), progress=seen.append)
    assert seen == sorted(seen) and seen[-1] == pytest.approx(1.0)


def test_lifted_pixels_have_one_norm():
    lifted = lift(picture(5, 6).float())
    norms = lifted.square().sum(0)
    torch.testing.assert_close(norms, norms.max().expand_as(norms))


@pytest.mark.parametrize("channels", [2, 4, 5])
@pytest.mark.parametrize("ksize", [3, 7])
def test_native_costs_are_those_of_plain_torch(channels, ksize):
    if not _native.LOADED:
        pytest.skip("the native library is not loaded")
    known = ~box(30, 34, 9, 10, 20, 22)
    level = Level(torch.rand(channels, 30, 34), known, ksize)
    sources = level.source.nonzero()[:, 0]
    sources = sources[torch.randint(len(sources), (len(level.targets),))]
    found = costs(level, level.targets, sources, level.confidence)
    torch.testing.assert_close(
        found, plain_costs(level, level.targets, sources, level.confidence), rtol=1e-5, atol=1e-6
    )


def test_exhaustive_matching_finds_the_window_nearest_on_the_sphere():
    known = ~box(24, 26, 8, 8, 14, 15)
    level = Level(torch.rand(3, 24, 26), known, 5)
    weight = torch.ones(24 * 26)
    picture = level.picture
    lifted = Level(lift(picture - picture.mean((1, 2), keepdim=True)), known, 5)
    found = costs(lifted, level.targets, everywhere(level, weight, "auto"), weight)
    for source in level.source.nonzero()[:, 0]:
        same = source.expand(len(level.targets)).contiguous()
        assert (found <= costs(lifted, level.targets, same, weight) + 1e-5).all()


def test_window_costs_refuses_windows_outside_the_picture():
    if not _native.LOADED:
        pytest.skip("the native library is not loaded")
    pixels, weight, corner = torch.rand(64, 2), torch.rand(64), torch.tensor([0])
    with pytest.raises(RuntimeError, match="inside the picture"):
        torch.ops.gica_ops.window_costs(pixels, weight, corner, corner, 8, 8, 3)
