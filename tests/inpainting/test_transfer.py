"""Detail at full resolution from the attention at a smaller scale."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from gica_ops.inpainting import network, transfer
from gica_ops.inpainting.network import fill
from gica_ops.model import Generator


@pytest.fixture(scope="module")
def generator() -> Generator:
    torch.manual_seed(0)
    return Generator.v1(4).eval()


def gradient(picture: Tensor, hole: Tensor) -> float:
    """The mean difference of neighbours in the hole."""
    return float(picture.double().diff(dim=2)[:, hole[:, 1:]].abs().mean())


def grain(size: int) -> Tensor:
    """Grain of a pixel's size on a flat ground: nothing of it is left at half the scale."""
    dice = torch.Generator().manual_seed(2)
    return (100 + 60 * torch.rand(1, size, size, generator=dice)).round().expand(3, -1, -1)


def test_grain_comes_back_in_a_hole_filled_at_a_smaller_scale(monkeypatch):
    """With the weights that ship: half of the grain or more, and almost none without the transfer.

    The layer averages four patches, which halves what has nothing in common.
    """
    image, hole = grain(288), torch.zeros(288, 288, dtype=torch.bool)
    hole[96:192, 96:192] = True
    truth = gradient(image, hole)
    with_detail = gradient(fill(image, hole).values, hole) / truth
    monkeypatch.setattr(transfer, "carried", lambda *arguments: torch.zeros_like(arguments[2]))
    without = gradient(fill(image, hole).values, hole) / truth
    assert without < 0.3 and 0.35 < with_detail < 1.1 and with_detail > 1.5 * without


def test_detail_is_that_of_the_sources(generator):
    """Where every residual is the same number, so is what is carried, up to the border."""
    hole = torch.zeros(1, 1, 128, 128, dtype=torch.bool)
    hole[..., :64, 40:90] = True
    small, small_hole = transfer.reduced(torch.rand(1, 3, 128, 128), hole, 2)
    look = generator.look(small, small_hole)
    residual = torch.full((1, 3, 128, 128), 0.25)
    detail = transfer.carried(generator, look, residual, hole, None)
    inside = detail[:, :, hole[0, 0]]
    assert torch.allclose(inside, torch.full_like(inside, 0.25), atol=1e-5)
    assert look.offsets.shape == (1, 2, 8, 8)


def test_what_the_hole_holds_is_not_carried(generator):
    hole = torch.zeros(1, 1, 64, 64, dtype=torch.bool)
    hole[..., 30, 4:60] = True  # a scratch that the attention's own mask may overlook
    small, small_hole = transfer.reduced(torch.rand(1, 3, 64, 64), hole, 1)
    look = generator.look(small, small_hole)
    residual = torch.rand(1, 3, 64, 64)
    wanted = transfer.carried(generator, look, residual, hole, None)
    spoilt = transfer.carried(generator, look, residual.masked_fill(hole, 9.0), hole, None)
    assert torch.equal(spoilt, wanted)


@pytest.mark.parametrize("factor", [1, 2, 3, 5])
def test_reducing_takes_means_of_what_is_known(factor):
    units = torch.rand(2, 3, 30, 60)
    hole = torch.zeros(2, 1, 30, 60, dtype=torch.bool)
    hole[0, :, 10:17, 3:20] = True
    small, small_hole = transfer.reduced(units, hole, factor)
    assert small.shape == (2, 3, 30 // factor, 60 // factor)
    blocks = hole.unflatten(3, (-1, factor)).unflatten(2, (-1, factor))
    assert torch.equal(small_hole, blocks.any(5).any(3))
    values = units.unflatten(3, (-1, factor)).unflatten(2, (-1, factor))
    wanted = values.mean((3, 5)).masked_fill(small_hole, 0)
    assert torch.allclose(small.masked_fill(small_hole, 0), wanted, atol=1e-6)


def test_what_is_partly_known_is_a_mean_of_that():
    hole = torch.zeros(1, 1, 60, 60, dtype=torch.bool)
    hole[..., 20:33, 20:33] = True
    flat = torch.where(hole, 7.0, 0.3).expand(-1, 3, -1, -1)
    small, _ = transfer.reduced(flat, hole, 3)
    gone = hole.unflatten(3, (-1, 3)).unflatten(2, (-1, 3)).all(5).all(3)[0, 0]
    assert gone.any() and torch.allclose(small[..., ~gone], torch.tensor(0.3))


def test_numbers_of_any_range_are_filled_alike(generator):
    """A picture in other units is the same picture."""
    image = torch.rand(3, 120, 120, dtype=torch.float64)
    hole = torch.zeros(120, 120, dtype=torch.bool)
    hole[20:90, 30:100] = True
    here = fill(image, hole, generator=generator).values
    there = fill(1e6 + 1000 * image, hole, generator=generator).values
    assert torch.allclose((there - 1e6) / 1000, here, atol=1e-4)


def test_the_padding_is_no_source(generator):
    image = torch.rand(3, 75, 83)
    hole = torch.zeros(75, 83, dtype=torch.bool)
    hole[30:, 40:] = True
    filled = fill(image, hole, generator=generator)
    rows, columns = filled.sources[:, hole]
    assert rows.max() < 75 and columns.max() < 83
    assert network.windows(hole)[0].size == (75, 83)
