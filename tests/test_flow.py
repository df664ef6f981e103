"""Displacements and their colours."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gica_ops import displacements, flow, flow_to_image, match
from gica_ops.testing import make_problem
from tests.golden import FOLDER

PIECES = np.load(FOLDER / "pieces_v1.npz")


def test_the_wheel_is_that_of_the_original():
    assert np.array_equal(255 * flow._wheel().numpy(), PIECES["color_wheel"])


@pytest.mark.parametrize("number", range(5))
@pytest.mark.parametrize("dtype", [torch.int32, torch.int64, torch.float32, torch.float64])
def test_pictures_are_those_of_the_original(number, dtype):
    offsets = torch.from_numpy(PIECES[f"flow{number}_offsets"]).to(dtype)
    image = flow_to_image(offsets)
    assert image.dtype == torch.uint8
    assert np.array_equal(image.numpy(), PIECES[f"flow{number}_image"])


def test_displacements_subtract_the_position():
    offsets = torch.randint(0, 9, (2, 2, 4, 5))
    moved = displacements(offsets)
    for y in range(4):
        for x in range(5):
            expected = offsets[:, :, y, x] - torch.tensor([y, x])
            assert torch.equal(moved[:, :, y, x], expected)


def test_positions_that_were_not_queried_stay_recognisable(backend):
    problem = make_problem(rate=2, query=True)
    offsets = match(**problem.match_arguments(), backend=backend).offsets
    missing = offsets[:, 0] == -1
    assert missing.any() and not missing.all()
    moved = displacements(offsets)
    for axis in (0, 1):
        assert torch.equal(moved[:, axis] == flow.UNQUERIED, missing)
    image = flow_to_image(moved).permute(0, 2, 3, 1)
    assert (image[missing] == 0).all()
    assert (image[~missing].sum(-1) > 0).all()


def test_what_is_not_finite_is_black_and_touches_nothing_else():
    moved = torch.randn(1, 2, 4, 4)
    moved[0, :, 0, 0] = 0
    expected = flow_to_image(moved)
    for bad in (float("nan"), float("inf")):
        broken = moved.clone()
        broken[0, 1, 0, 0] = bad
        image = flow_to_image(broken)
        assert (image[0, :, 0, 0] == 0).all()
        assert torch.equal(image[0, :, 1:], expected[0, :, 1:])


def test_a_sample_is_scaled_by_those_before_it():
    moved = torch.randn(3, 2, 4, 4)
    together = flow_to_image(moved)
    assert torch.equal(together[:1], flow_to_image(moved[:1]))
    assert torch.equal(together[:2], flow_to_image(moved[:2]))
