"""Filling with a generator: what it looks at, scales, and leaves alone."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from gica_ops.inpainting import methods, network
from gica_ops.inpainting.methods import choose
from gica_ops.inpainting.network import THICKEST, fill, load_generator, thickness
from gica_ops.model import Generator


@pytest.fixture(scope="module")
def generator() -> Generator:
    torch.manual_seed(0)
    return Generator.v1(4).eval()


def picture(shape: tuple[int, ...], dtype: torch.dtype = torch.uint8) -> Tensor:
    dice = torch.Generator().manual_seed(1)
    return (torch.rand(shape, generator=dice) * 250).to(dtype)


def box(size: tuple[int, int], *cut: slice) -> Tensor:
    hole = torch.zeros(size, dtype=torch.bool)
    hole[cut] = True
    return hole


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.float32, torch.float64])
def test_known_pixels_stay_and_the_hole_is_filled(generator, channels, dtype):
    image = picture((channels, 40, 50), dtype)
    hole = box((40, 50), slice(10, 25), slice(20, 31))
    image[:, hole] = 0
    before = image.clone()
    filled = fill(image, hole, generator=generator)
    assert torch.equal(image, before)
    assert filled.dtype == dtype and filled.shape == image.shape
    assert torch.equal(filled[:, ~hole], image[:, ~hole])
    assert filled[:, hole].double().std() > 0
    low, high = image[:, ~hole].double().aminmax()
    if dtype != torch.uint8:
        assert filled[:, hole].min() >= low and filled[:, hole].max() <= high


def test_what_the_hole_holds_is_not_looked_at(generator):
    image = picture((3, 40, 50), torch.float32)
    hole = box((40, 50), slice(0, 20), slice(30, 50))
    wanted = fill(image, hole, generator=generator)
    image[:, hole] = torch.nan
    assert torch.equal(fill(image, hole, generator=generator), wanted)


def test_a_grey_picture_is_filled_as_grey_colours(generator):
    grey = picture((1, 32, 32))
    hole = box((32, 32), slice(8, 20), slice(8, 20))
    colours = fill(grey.expand(3, -1, -1), hole, generator=generator)
    assert torch.equal(fill(grey, hole, generator=generator), colours[:1])


def test_far_away_pixels_do_not_matter_and_are_not_computed(generator, monkeypatch):
    image = picture((3, 400, 500))
    hole = box((400, 500), slice(200, 220), slice(300, 320))
    seen = []
    forward = generator.forward
    monkeypatch.setattr(generator, "forward", lambda x, m: seen.append(x.shape) or forward(x, m))
    wanted = fill(image, hole, generator=generator)
    image[:, :100], image[:, :, :200] = 0, 0
    assert torch.equal(fill(image, hole, generator=generator)[:, hole], wanted[:, hole])
    assert seen[0] == (1, 3, 84, 84)


def test_thick_holes_are_filled_at_a_smaller_scale(generator, monkeypatch):
    image = picture((3, 600, 600))
    hole = box((600, 600), slice(200, 392), slice(200, 392))
    seen = []
    forward = generator.forward
    monkeypatch.setattr(generator, "forward", lambda x, m: seen.append(m) or forward(x, m))
    filled = fill(image, hole, generator=generator)
    assert torch.equal(filled[:, ~hole], image[:, ~hole])
    assert thickness(seen[0][0, 0]) <= THICKEST + 4
    assert seen[0].shape[2] < 200


def test_a_flat_picture_scaled_down_has_flat_surroundings(generator):
    image = torch.full((3, 300, 300), 77, dtype=torch.uint8)
    hole = box((300, 300), slice(100, 200), slice(100, 200))
    window, scale = network._window(hole)
    units, small = network._reduced(image.float(), hole, scale)
    assert scale < 1 and torch.allclose(units[:, ~small], torch.tensor(77.0))
    assert window == (slice(0, 300), slice(0, 300))


@given(
    st.tuples(st.integers(4, 40), st.integers(4, 40)),
    st.integers(1, 30),
    st.integers(1, 30),
    st.tuples(st.integers(1, 20), st.integers(1, 20)),
)
def test_thickness_of_boxes(border, height, width, after):
    size = (border[0] + height + after[0], border[1] + width + after[1])
    hole = box(size, slice(border[0], border[0] + height), slice(border[1], border[1] + width))
    thin = min(height, width)
    assert thickness(hole) == thin + thin % 2
    assert thickness(hole.T) == thickness(hole)


def test_thickness_of_corner_cases():
    none = torch.zeros(8, 8, dtype=torch.bool)
    assert thickness(none) == 0 and thickness(~none) == 16
    assert thickness(box((50, 90), slice(0, 50), slice(0, 20))) == 40  # known on one side only
    large = thickness(box((3000, 3000), slice(1000, 2500), slice(500, 2500)))
    assert abs(large - 1500) <= 16


def test_choosing_by_what_was_measured(monkeypatch):
    """Every bin of the table that ships, and one in which the network is better."""
    bins = methods._bins()
    assert bins[0]["from"] == 0 and all(row["holes"] >= 20 for row in bins)
    for row in bins:
        hole = torch.zeros(100, 100, dtype=torch.bool)
        hole[: round(100 * row["from"]) + 3] = True
        scores = {name: row[name]["hole_ssim"] for name in ("exemplar", "network")}
        name, why = choose(hole)
        assert name == max(scores, key=scores.__getitem__)
        assert f"{round(100 * row['from'])} " in why and f"{scores[name]:.2f}" in why
    row = {"from": 0, "exemplar": {"hole_ssim": 0.5}, "network": {"hole_ssim": 0.75}}
    monkeypatch.setattr(methods, "_bins", lambda: [row])
    why = "SSIM 0.75 against 0.50 in holes of 0 % and more of the picture"
    assert choose(torch.ones(4, 4, dtype=torch.bool)) == ("network", why)


def test_bad_input_is_a_sentence(generator, tmp_path):
    image, hole = picture((3, 16, 16)), box((16, 16), slice(4, 8), slice(4, 8))
    with pytest.raises(ValueError, match="mask must leave some pixels"):
        fill(image, torch.ones_like(hole), generator=generator)
    with pytest.raises(TypeError, match="mask must be a bool tensor"):
        fill(image, hole.int(), generator=generator)
    with pytest.raises(ValueError, match="name must be a folder"):
        load_generator(tmp_path / "missing")
    with pytest.raises(ValueError, match="backend must be one of"):
        fill(image, hole, generator=generator, backend="abacus")


def test_the_generators_backend_stays_as_it_was(generator):
    image, hole = picture((3, 16, 16)), box((16, 16), slice(4, 8), slice(4, 8))
    fill(image, hole, generator=generator, backend="reference")
    assert generator.backend == "auto"


def test_no_hole_is_no_work(generator):
    image = picture((3, 16, 16))
    filled = fill(image, torch.zeros(16, 16, dtype=torch.bool), generator=generator)
    assert torch.equal(filled, image) and filled is not image
