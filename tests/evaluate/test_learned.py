"""LPIPS and FID through TorchScript files: small modules, and independent formulas."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
import torch
from torch import Tensor, nn

from gica_ops.evaluate import evaluate
from gica_ops.evaluate.learned import Frechet, Lpips

# TorchScript is what the published files are.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")

SIDE = 8


class Distance(nn.Module):
    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        return (one - 2 * other).abs().max().reshape(1, 1, 1, 1)


class FeatureDistance(nn.Module):
    def forward(self, x: Tensor, resize_images: bool = True, return_lpips: bool = False) -> Tensor:
        assert return_lpips and not resize_images
        return x.mean(dim=(2, 3)) / 255


class Features(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        assert x.dtype == torch.uint8
        return torch.cat([x.float().mean(dim=(2, 3)), x.float().amax(dim=(2, 3))], 1)


class NamedFeatures(nn.Module):
    def forward(self, x: Tensor, return_features: bool = False) -> Tensor:
        assert return_features
        return x.float().mean(dim=(2, 3))


class Flat(nn.Module):
    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        return one + other


class Picky(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        assert x.shape[2] > 100, "too small"
        return x


def scripted(folder: Path, module: nn.Module) -> str:
    path = folder / f"{type(module).__name__}.pt"
    torch.jit.script(module).save(str(path))
    return str(path)


def pictures(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, SIDE, SIDE, 3), np.uint8)


def test_lpips_takes_the_filling_first_in_minus_one_to_one(tmp_path):
    truth, filled = pictures(2, 0)
    found = Lpips(scripted(tmp_path, Distance()))(truth, filled)
    one, other = (x.astype(np.float64) / 127.5 - 1 for x in (filled, truth))
    assert found == pytest.approx(np.abs(one - 2 * other).max(), rel=1e-6)


def test_lpips_by_features_is_their_squared_distance(tmp_path):
    truth, filled = pictures(2, 0)
    found = Lpips(scripted(tmp_path, FeatureDistance()))(truth, filled)
    means = (filled.mean((0, 1)) - truth.mean((0, 1))) / 255
    assert found == pytest.approx(np.square(means).sum(), rel=1e-4)


def frechet(one: np.ndarray, other: np.ndarray) -> float:
    """By the definition, with SciPy's matrix root."""
    mean = one.mean(0) - other.mean(0)
    first, second = np.cov(one.T), np.cov(other.T)
    root = scipy.linalg.sqrtm(first @ second).real
    return float(mean @ mean + np.trace(first + second - 2 * root))


def test_fid_is_the_frechet_distance_of_the_features(tmp_path):
    fid = Frechet(scripted(tmp_path, Features()))
    truth, good, bad = pictures(40, 0), pictures(40, 1), pictures(40, 2) // 2
    for i in range(40):
        fid.add(truth[i], {"good": good[i], "bad": bad[i]})

    def features(x: np.ndarray) -> np.ndarray:
        return np.concatenate([x.mean((1, 2)), x.max((1, 2))], 1).astype(np.float64)

    found = fid.distances()
    for label, filled in (("good", good), ("bad", bad)):
        assert found[label] == pytest.approx(
            frechet(features(truth), features(filled)), rel=1e-4
        ), label
    assert found["bad"] > 10 * found["good"]


def test_fid_of_one_picture_is_none_and_counts_per_method(tmp_path):
    fid = Frechet(scripted(tmp_path, NamedFeatures()))
    one, two = pictures(2, 0)
    fid.add(one, {"a": one, "b": one})
    fid.add(two, {"a": two})
    found = fid.distances()
    assert found["a"] == pytest.approx(0, abs=1e-6) and found["b"] is None


def test_the_driver_asks_both(tmp_path):
    def grey(seen: np.ndarray, hole: np.ndarray) -> np.ndarray:
        return np.where(hole[..., None], np.uint8(128), seen)

    def mask(name: str, size: tuple[int, int]) -> np.ndarray:
        return np.eye(*size, dtype=bool)

    lpips, fid = (
        kind(scripted(tmp_path, module))
        for kind, module in ((Lpips, Distance()), (Frechet, Features()))
    )
    named = {str(i): x for i, x in enumerate(pictures(3, 0))}
    results = evaluate(named, mask, {"grey": grey}, lpips=lpips, fid=fid)
    for row in results.rows:
        truth = named[row.picture]
        filled = grey(truth, mask("", truth.shape[:2]))
        assert row.scores["whole_lpips"] == lpips(truth, filled)
    assert results.fid["grey"] > 0


def test_files_that_are_none_are_sentences(tmp_path):
    (tmp_path / "text.pt").write_text("no module")
    for kind in (Lpips, Frechet):
        with pytest.raises(ValueError, match="do not exist"):
            kind(tmp_path / "missing.pt")
        with pytest.raises(ValueError, match="are no TorchScript file"):
            kind(tmp_path / "text.pt")
    truth = pictures(1, 0)[0]
    with pytest.raises(ValueError, match="one number"):
        Lpips(scripted(tmp_path, Flat()))(truth, truth)
    with pytest.raises(ValueError, match=r"do not take a picture of shape \(1, 3, 8, 8\).*small"):
        Frechet(scripted(tmp_path, Picky())).add(truth, {"a": truth})
