"""Distances by trained networks, LPIPS and FID. Their files are the user's; nothing is fetched."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

__all__ = ["Frechet", "Lpips"]

FEWEST = 2  # pictures that have a covariance


class Lpips:
    """LPIPS (Zhang et al., CVPR 2018) by a TorchScript file.

    path: a module that takes two float32 pictures (1, 3, H, W) in [-1, 1], RGB, and returns one
        number; or one whose forward has an argument `return_lpips`, as `vgg16.pt` of StyleGAN 2
        has: it takes a picture in [0, 255] and returns features, whose squared distance is LPIPS.

    A TorchScript file runs as a program does: use files of those you trust.

    Raises ValueError, a sentence, for a file that is missing or holds no such module.
    """

    def __init__(self, path: str | Path) -> None:
        module = _load(path, "lpips weights")
        self._run = partial(_run, module, "lpips weights")
        self.by_features = "return_lpips" in _arguments(module)

    @torch.inference_mode()
    def __call__(self, truth: np.ndarray, filled: np.ndarray) -> float:
        """The distance of two (H, W, 3) uint8 pictures."""
        one, other = _batch(filled).float(), _batch(truth).float()
        if self.by_features:
            options = {"resize_images": False, "return_lpips": True}
            apart = self._run(one, **options) - self._run(other, **options)
            return float(apart.double().square().sum())
        found = self._run(one / 127.5 - 1, other / 127.5 - 1)
        if found.numel() != 1:
            raise ValueError("lpips weights must hold a module that returns one number for a pair")
        return float(found)


class Frechet:
    """FID (Heusel et al., 2017) of what every method filled, by a TorchScript file.

    path: a module that takes uint8 pictures (1, 3, H, W), RGB, and returns features, (1, F); an
        argument `return_features` of its forward is set, as `inception-2015-12-05.pt` of
        StyleGAN 2 asks for.

    The distance is torchmetrics'. It is biased upwards for few pictures, the more so the more
    features there are: compare only runs over the same pictures.

    Raises as `Lpips`, and ImportError where torchmetrics is missing.
    """

    def __init__(self, path: str | Path) -> None:
        module = _load(path, "fid weights")
        has_option = "return_features" in _arguments(module)
        options = {"return_features": True} if has_option else {}
        self._run = partial(_run, module, "fid weights", **options)
        self.metrics: dict[str, Any] = {}
        try:
            from torchmetrics.image.fid import FrechetInceptionDistance
        except ImportError as error:
            raise ImportError(
                f"FID needs torchmetrics: pip install gica_ops[evaluate] ({error})"
            ) from error
        self.metric = FrechetInceptionDistance

    def add(self, truth: np.ndarray, filled: Mapping[str, np.ndarray]) -> None:
        """Takes a picture and its fillings by method, all (H, W, 3) uint8."""
        expected = self._features(truth) if filled else torch.empty(0)
        for label, picture in filled.items():
            if label not in self.metrics:
                self.metrics[label] = self.metric(feature=_Features(expected.shape[1]))
            self.metrics[label].update(expected, real=True)
            self.metrics[label].update(self._features(picture), real=False)

    def distances(self) -> dict[str, float | None]:
        """FID by method; None for one with less than two pictures."""
        return {
            label: float(metric.compute()) if metric.fake_features_num_samples >= FEWEST else None
            for label, metric in self.metrics.items()
        }

    @torch.inference_mode()
    def _features(self, picture: np.ndarray) -> Tensor:
        features = self._run(_batch(picture))
        if features.shape[:1] != (1,):
            raise ValueError("fid weights must hold a module that returns features of shape (1, F)")
        return features.flatten(1).double()


class _Features(nn.Module):
    """In the place of torchmetrics' network: the features are there already."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.num_features = number

    def forward(self, features: Tensor) -> Tensor:
        return features


def _load(path: str | Path, name: str) -> torch.jit.ScriptModule:
    if not Path(path).is_file():
        raise ValueError(f"{name} {str(path)!r} do not exist")
    try:
        return torch.jit.load(str(path), map_location="cpu").eval()
    except (RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ValueError(f"{name} {str(path)!r} are no TorchScript file: {reason}") from None


def _run(module: torch.jit.ScriptModule, name: str, *pictures: Tensor, **options: bool) -> Tensor:
    try:
        found = module(*pictures, **options)
    except (RuntimeError, torch.jit.Error) as error:
        reason = str(error).strip().splitlines()[-1]
        shape = tuple(pictures[0].shape)
        raise ValueError(f"{name} do not take a picture of shape {shape}: {reason}") from None
    if not isinstance(found, Tensor):
        raise ValueError(f"{name} must hold a module that returns a tensor, not {type(found)}")
    return found


def _arguments(module: torch.jit.ScriptModule) -> list[str]:
    schema: Any = getattr(module.forward, "schema")  # noqa: B009, unknown to torch's annotations
    return [argument.name for argument in schema.arguments]


def _batch(picture: np.ndarray) -> Tensor:
    return torch.tensor(picture).permute(2, 0, 1)[None].contiguous()
