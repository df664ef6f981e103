"""Pictures of where fillings come from: what is painted where, in which colour."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from gica_ops import displacements, flow_to_image
from gica_ops.inpainting.attention import arrows, strip, wheel

SIZE = (120, 160)


@pytest.fixture
def hole() -> torch.Tensor:
    hole = torch.zeros(SIZE, dtype=torch.bool)
    hole[40:70, 60:90] = True
    return hole


@pytest.fixture
def sources(hole: torch.Tensor) -> torch.Tensor:
    """Everything comes from 45 columns to the right; one row from nowhere in particular."""
    sources = torch.full((2, *SIZE), -1)
    sources[:, hole] = hole.nonzero().T + torch.tensor([[0], [45]])
    sources[:, 50] = -1
    return sources


def grey(mode: str = "L") -> Image.Image:
    return Image.new("L", SIZE[::-1], 100).convert(mode)


def test_the_wheel_has_the_colours_of_the_flow(sources, hole):
    expected = flow_to_image(displacements(sources[None]))[0] * (sources[0] >= 0)
    assert torch.equal(wheel(sources), expected)


@pytest.mark.parametrize("mode", ["L", "RGBA", "CMYK", "I;16"])
def test_the_picture_is_dimmed_around_the_hole_and_a_key_is_far_from_it(sources, hole, mode):
    painted = wheel(sources, grey(mode))
    has = sources[0] >= 0
    assert torch.equal(painted[:, has], wheel(sources)[:, has])
    near = painted[:, 35:75, 55:95][:, ~has[35:75, 55:95]]
    assert (near == near[:, :1]).all() and int(near.max()) <= 35
    coloured = (painted.float().std(0) > 0) & ~has
    rows, columns = coloured.nonzero().T
    assert int(rows.min()) > 60 and int(columns.min()) > 80  # the corner that the hole is not in


def test_arrows_go_from_the_hole_to_its_sources_in_the_colour_of_the_wheel(sources, hole):
    picture = np.array(arrows(grey(), sources, hole)).astype(int)
    assert picture.shape == (*SIZE, 3)
    colour = flow_to_image(torch.tensor([0.0, 1.0])[None, :, None, None])[0, :, 0, 0].numpy()
    painted = picture.max(2) - picture.min(2) > 40  # lines are thin, and blend with what is beside
    mean = picture[painted].mean(0)
    assert np.corrcoef(mean, colour)[0, 1] > 0.9
    rows, columns = np.nonzero(painted)
    assert rows.min() >= 35 and rows.max() <= 75  # level: in the hole's rows
    assert columns.min() >= 55 and 100 <= columns.max() <= 90 + 45 + 3
    assert (picture[:30] == 100).all()  # the rest of the picture is as it was


def test_arrows_without_sources_show_the_hole_alone(hole):
    picture = np.array(arrows(grey(), torch.full((2, *SIZE), -1), hole)).astype(int)
    assert (picture[45:65, 65:85] == 100).all()
    assert picture[40, 60:90].max() > 200


def test_a_strip_is_before_mask_after(hole):
    after = Image.new("RGB", SIZE[::-1], (1, 2, 3))
    shown = np.array(strip(grey("RGBA"), hole, after))
    assert shown.shape == (SIZE[0], 3 * SIZE[1] + 2 * 2, 3)
    assert (shown[:, : SIZE[1]] == 100).all()
    mask = shown[:, SIZE[1] + 2 : 2 * SIZE[1] + 2]
    assert np.array_equal(mask[..., 0] == 255, hole.numpy()) and set(np.unique(mask)) == {0, 255}
    assert (shown[:, -SIZE[1] :] == (1, 2, 3)).all()


def test_what_is_not_finite_in_a_hole_leaves_the_rest_to_be_seen(hole):
    values = np.tile(np.linspace(0, 1, SIZE[1], dtype=np.float32), (SIZE[0], 1))
    values[hole] = np.nan
    shown = np.array(strip(Image.fromarray(values), hole, grey()))
    assert (shown[0, : SIZE[1], 0] == (255 * values[0].astype(float)).astype(np.uint8)).all()


def test_other_sizes_are_refused(sources, hole):
    small = Image.new("L", (5, 5))
    for call in (
        lambda: wheel(sources, small),
        lambda: arrows(small, sources, hole),
        lambda: strip(grey(), hole, small),
        lambda: wheel(sources[0]),
    ):
        with pytest.raises(ValueError, match="must have"):
            call()
