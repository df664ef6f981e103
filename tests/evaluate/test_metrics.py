"""Metrics against numbers worked out by hand and against the libraries that define them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from gica_ops.evaluate.metrics import METRICS, MS_SSIM_LEAST, score


def pictures(side: int = 32, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A truth, a filling, and the hole, in which alone they differ."""
    dice = np.random.default_rng(seed)
    truth, other = dice.integers(0, 256, (2, side, side, 3), np.uint8)
    hole = np.zeros((side, side), bool)
    hole[side // 4 : side // 2, side // 8 : side // 2] = True
    return truth, np.where(hole[..., None], other, truth), hole


def test_by_hand():
    truth = np.zeros((12, 12, 3), np.uint8)
    filled = truth.copy()
    filled[5, 5] = (255, 51, 0)
    hole = np.zeros((12, 12), bool)
    hole[5, 5:7] = True
    found = score(truth, filled, hole)
    assert found["hole_l1"] == pytest.approx((1 + 0.2) / 6)
    assert found["hole_l2"] == pytest.approx((1 + 0.04) / 6)
    assert found["hole_psnr"] == pytest.approx(10 * math.log10(6 / 1.04))
    assert found["whole_l1"] == pytest.approx(1.2 / (144 * 3))
    # Four pairs around the bright pixel change by (1, 0.2, 0). Pairs that touch the hole: 3 side by
    # side, 4 one above the other; of the whole, 2 * 11 * 12; of three colours each.
    assert found["hole_tv"] == pytest.approx(4 * 1.2 / (7 * 3))
    assert found["whole_tv"] == pytest.approx(4 * 1.2 / (2 * 11 * 12 * 3))
    assert found["hole_tv_ratio"] is None and found["whole_tv_ratio"] is None  # the truth is flat


def test_against_the_libraries():
    truth, filled, hole = pictures()
    found = score(truth, filled, hole)
    assert found["whole_psnr"] == pytest.approx(peak_signal_noise_ratio(truth, filled))
    options = {"data_range": 255, "gaussian_weights": True, "use_sample_covariance": False}
    by_colour = [
        structural_similarity(truth[..., c], filled[..., c], full=True, **options) for c in range(3)
    ]
    assert found["whole_ssim"] == pytest.approx(np.mean([mean for mean, _ in by_colour]))
    assert found["hole_ssim"] == pytest.approx(np.mean([m[hole].mean() for _, m in by_colour]))

    from torchmetrics.functional.image import total_variation

    image = torch.from_numpy(filled).permute(2, 0, 1)[None] / 255
    pairs = 2 * 31 * 32 * 3
    assert found["whole_tv"] == pytest.approx(float(total_variation(image)) / pairs, rel=1e-5)
    assert found["whole_tv_ratio"] == pytest.approx(found["whole_tv"] / score(
        filled, truth, hole
    )["whole_tv"])  # fmt: skip


def test_the_hole_ignores_what_is_outside():
    truth, filled, hole = pictures()
    found = score(truth, filled, hole)
    far = ~hole
    far[2:23, :23] = False  # no nearer to the hole than SSIM's window reaches
    filled[far] = 255 - filled[far]
    elsewhere = score(truth, filled, hole)
    assert {n: v for n, v in elsewhere.items() if n[:4] == "hole"} == {
        n: v for n, v in found.items() if n[:4] == "hole"
    }
    for name in ("l1", "l2", "psnr", "ssim", "tv"):
        assert elsewhere[f"whole_{name}"] != found[f"whole_{name}"], name


def test_equal_pictures():
    truth, _, hole = pictures()
    found = score(truth, truth.copy(), hole)
    assert found["hole_psnr"] == found["whole_psnr"] == math.inf
    assert found["hole_l1"] == found["whole_l2"] == 0
    assert found["hole_ssim"] == pytest.approx(1) and found["whole_ssim"] == pytest.approx(1)
    assert found["hole_tv_ratio"] == 1


@pytest.mark.filterwarnings("error")
def test_ms_ssim_begins_where_its_coarsest_scale_holds_a_window():
    from torchmetrics.functional.image import multiscale_structural_similarity_index_measure

    truth, filled, hole = pictures(MS_SSIM_LEAST - 1)
    assert score(truth, filled, hole)["whole_ms_ssim"] is None
    truth, filled, hole = pictures(MS_SSIM_LEAST)
    truth.flags.writeable = False  # as Pillow's are, which must not make PyTorch warn
    pair = [torch.tensor(x).permute(2, 0, 1)[None].float() / 255 for x in (truth, filled)]
    expected = float(multiscale_structural_similarity_index_measure(*pair, data_range=1.0))
    found = score(truth, filled, hole)["whole_ms_ssim"]
    assert found == pytest.approx(expected, abs=1e-4) and 0 < found < 1


def test_small_pictures_have_no_ssim():
    truth, filled, hole = pictures(10)
    found = score(truth, filled, hole)
    assert found["hole_ssim"] is None and found["whole_ssim"] is None
    assert found["hole_psnr"] is not None
    assert set(METRICS) - set(found) == {"whole_lpips"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"truth": np.zeros((8, 8), np.uint8)}, "truth must be of shape"),
        ({"truth": np.zeros((8, 8, 3))}, "truth must be of shape .* got .* float64"),
        ({"filled": np.zeros((8, 9, 3), np.uint8)}, "filled must have the shape of truth"),
        ({"hole": np.zeros((8, 8), np.uint8)}, "hole must be of shape .* uint8"),
        ({"hole": np.zeros((8, 8), bool)}, "hole must cover some"),
        ({"hole": np.ones((8, 8), bool)}, "hole must cover some"),
    ],
)
def test_bad_arguments_are_named(change, said):
    picture = np.zeros((8, 8, 3), np.uint8)
    arguments = {"truth": picture, "filled": picture, "hole": np.eye(8, dtype=bool), **change}
    with pytest.raises(ValueError, match=said):
        score(**arguments)
