"""Holes that leave little, or lie awkwardly, and pictures with little in them."""

from __future__ import annotations

import pytest
import torch

from gica_ops.inpainting.blend import blend
from gica_ops.inpainting.exemplar import fill
from gica_ops.inpainting.level import Level
from gica_ops.inpainting.pyramid import grow, halve, smooth


def noise(height: int, width: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (3, height, width), generator=generator).to(torch.uint8)


def empty(height: int, width: int) -> torch.Tensor:
    return torch.zeros(height, width, dtype=torch.bool)


def all_but_a_corner() -> torch.Tensor:
    hole = ~empty(64, 72)
    hole[2:14, 3:15] = False
    return hole


def all_but_two_corners() -> torch.Tensor:
    hole = all_but_a_corner()
    hole[50:62, 58:70] = False
    return hole


def all_but_a_pixel() -> torch.Tensor:
    hole = ~empty(64, 72)
    hole[5, 5] = False
    return hole


def grid() -> torch.Tensor:
    hole = empty(64, 72)
    hole[::9], hole[:, ::9] = True, True
    return hole


def lines_that_leave_no_window() -> torch.Tensor:
    hole = empty(64, 72)
    hole[::3] = True
    return hole


def every_corner() -> torch.Tensor:
    hole = empty(64, 72)
    for rows in (slice(0, 12), slice(52, 64)):
        for columns in (slice(0, 9), slice(60, 72)):
            hole[rows, columns] = True
    return hole


HOLES = [
    all_but_a_corner,
    all_but_two_corners,
    all_but_a_pixel,
    grid,
    lines_that_leave_no_window,
    every_corner,
]


@pytest.mark.parametrize("make", HOLES, ids=lambda make: make.__name__)
def test_known_pixels_stay_and_values_stay_in_range(make):
    image, hole = noise(64, 72), make()
    filled = fill(image, hole).values
    assert torch.equal(filled[:, ~hole], image[:, ~hole])
    low, high = image[:, ~hole].aminmax(dim=1, keepdim=True)
    assert (filled[:, hole] >= low).all() and (filled[:, hole] <= high).all()


def test_specks_too_small_for_the_coarser_sizes_of_a_large_picture():
    image, hole = noise(900, 900), empty(900, 900)
    hole[400, 501] = hole[20, 33] = True
    filled = fill(image, hole)
    assert torch.equal(filled.values[:, ~hole], image[:, ~hole])
    row, column = filled.sources[:, hole]
    assert not hole[row, column].any() and (row >= 0).all()


def test_what_was_copied_is_what_the_sources_hold():
    """But for the correction of seams, which is slight in something of one brightness."""
    image, hole = (noise(64, 72) % 2 * 10 + 100), empty(64, 72)
    hole[20:40, 30:50] = True
    filled = fill(image, hole)
    row, column = filled.sources[:, hole]
    difference = filled.values[:, hole].int() - image[:, row, column].int()
    assert not hole[row, column].any()
    assert difference.abs().float().mean() < 2  # of 10
    assert (filled.sources[:, ~hole] == -1).all()


def test_something_even_is_filled_evenly():
    image, hole = torch.full((3, 40, 40), 77, dtype=torch.uint8), empty(40, 40)
    hole[10:30, :25] = True
    assert torch.equal(fill(image, hole).values, image)


@pytest.mark.parametrize("dtype", [torch.uint16, torch.int16, torch.float16, torch.bfloat16])
def test_dtypes_that_torch_has_little_arithmetic_for(dtype):
    image, hole = noise(40, 40).float().to(dtype), empty(40, 40)
    hole[12:24, 15:30] = True
    filled = fill(image, hole).values
    assert filled.dtype == dtype
    assert torch.equal(filled.double()[:, ~hole], image.double()[:, ~hole])


def test_brightness_and_contrast_do_not_matter():
    image, hole = noise(40, 40).double(), empty(40, 40)
    hole[12:24, 15:30] = True
    scaled = fill(image * 1e-4 + 3, hole).values
    torch.testing.assert_close(scaled, fill(image, hole).values * 1e-4 + 3, rtol=0, atol=1e-9)


def test_values_in_the_hole_may_be_nan_but_not_outside():
    image, hole = noise(40, 40).float(), empty(40, 40)
    hole[12:24, 15:30] = True
    image[:, hole] = torch.nan
    assert fill(image, hole).values.isfinite().all()
    image[0, 0, 0] = torch.inf
    with pytest.raises(ValueError, match="image must be finite"):
        fill(image, hole)


def test_what_is_no_tensor_or_elsewhere_is_refused():
    image, hole = noise(16, 16), empty(16, 16)
    hole[5, 5] = True
    with pytest.raises(TypeError, match="image must be a tensor, got ndarray"):
        fill(image.numpy(), hole)
    with pytest.raises(ValueError, match="must be on the CPU"):
        fill(image.to("meta"), hole)
    with pytest.raises(ValueError, match="backend must be"):
        fill(image, hole, backend="abacus")


def test_halving_keeps_a_thin_stroke_thin():
    known = torch.ones(32, 32, dtype=torch.bool)
    known[:, 13] = False
    for _ in range(3):
        _, known = halve(torch.zeros(1, *known.shape), known)
        assert ((~known).sum(1) == 1).all()


def test_smooth_stays_between_what_is_known():
    picture, known = torch.rand(2, 33, 21), torch.rand(33, 21) < 0.1
    guess = smooth(picture * known, known)
    seen = picture[:, known]
    assert torch.equal(guess[:, known], seen)
    assert guess.min() >= seen.min() - 1e-6 and guess.max() <= seen.max() + 1e-6


def test_blending_evens_out_a_step_and_leaves_copies_in_place_alone():
    """A plane of grey, its hole copied from a place that is a little brighter."""
    known = torch.ones(48, 80, dtype=torch.bool)
    known[16:32, 16:32] = False
    image = torch.zeros(1, 48, 80)
    image[..., 40:] = 0.02
    level = Level(image, known, 3)
    near, far = level.hole - 16, level.hole + 40
    level.put(level.hole, level.pixels(near))
    assert blend(level, near, 1).abs().max() == 0
    level.put(level.hole, level.pixels(far))
    left = (level.pixels(level.hole)[:, :1] + blend(level, far, 1)).abs().mean()
    assert left < 0.1 * 0.02


def test_growing_takes_in_what_is_within_the_radius():
    region = empty(40, 90)
    region[0, 0] = region[20, 89] = region[39, 30] = True
    rows, columns = region.nonzero().T
    for radius in (0, 1, 2, 3, 7, 16, 39, 120):
        near = (torch.arange(40)[:, None, None] - rows).abs() <= radius
        near = near & ((torch.arange(90)[None, :, None] - columns).abs() <= radius)
        assert torch.equal(grow(region, radius), near.any(2))
