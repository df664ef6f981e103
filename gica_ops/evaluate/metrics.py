"""How near a filled picture is to the truth, on the whole of it and on the hole alone."""

from __future__ import annotations

import math

import numpy as np
import torch

__all__ = ["METRICS", "score"]

# Column, and how many decimals tell methods apart. The order is that of the table.
METRICS = {
    "hole_l1": 4, "hole_l2": 4, "hole_psnr": 2, "hole_ssim": 4, "hole_tv": 4, "hole_tv_ratio": 3,
    "whole_l1": 4, "whole_l2": 4, "whole_psnr": 2, "whole_ssim": 4, "whole_ms_ssim": 4,
    "whole_tv": 4, "whole_tv_ratio": 3, "whole_lpips": 4,
}  # fmt: skip
RANGE = 255.0
SSIM_LEAST = 11  # the side of SSIM's window
MS_SSIM_LEAST = 176  # five scales: the coarsest must still hold a window


def score(truth: np.ndarray, filled: np.ndarray, hole: np.ndarray) -> dict[str, float | None]:
    """Every metric that needs no weights.

    truth, filled: (H, W, 3) uint8.
    hole: (H, W) bool, True = hole; some of it, not all.

    Returns by name, None where a metric is not defined for this picture:

    * `*_l1`: mean of |filled - truth| / 255; `*_l2`: mean of ((filled - truth) / 255)^2. Over
      pixels and colours; relative to the range, as the paper's percentages (section 5).
    * `*_psnr`: 10 log10(1 / l2) dB, infinite where all is equal.
    * `*_ssim`: Wang et al. 2004: Gaussian window of 11 x 11, sigma 1.5, population covariances,
      each colour for itself. The whole: mean of the map without the 5 pixels along the border. The
      hole: mean of the map over the hole's pixels, whose windows reach 5 pixels into what is
      known. None below 11 pixels a side.
    * `whole_ms_ssim`: Wang et al. 2003, five scales, negative terms taken as 0. None below 176
      pixels a side, where the coarsest scale holds no window. There is none of the hole: halving
      the picture mixes the hole with what is around it.
    * `*_tv`: total variation of the filled picture alone: mean of |difference of neighbours| / 255
      over pairs side by side and one above the other; of the hole: pairs with a pixel in it.
    * `*_tv_ratio`: that over the truth's: 1 is as rough as the truth, less is smoother. None where
      the truth is flat.

    Raises ValueError for other shapes or dtypes and for a hole of no or of all pixels, ImportError,
    a sentence, where the extra `evaluate` is not installed.

    >>> truth = np.full((16, 16, 3), 100, np.uint8)
    >>> hole = np.zeros((16, 16), bool)
    >>> hole[4:8, 4:8] = True
    >>> filled = np.where(hole[..., None], np.uint8(151), truth)
    >>> found = score(truth, filled, hole)
    >>> [round(found[name], 4) for name in ("hole_l1", "hole_l2", "whole_l1")]
    [0.2, 0.04, 0.0125]
    """
    _check(truth, filled, hole)
    found: dict[str, float | None] = {}
    difference = (filled.astype(np.float64) - truth) / RANGE
    everywhere = np.ones_like(hole)
    structure = _ssim(truth, filled)
    for part, where in (("hole", hole), ("whole", everywhere)):
        wrong = difference[where]
        squared = float(np.square(wrong).mean())
        found[f"{part}_l1"] = float(np.abs(wrong).mean())
        found[f"{part}_l2"] = squared
        found[f"{part}_psnr"] = 10 * math.log10(1 / squared) if squared else math.inf
        variation, expected = _variation(filled, where), _variation(truth, where)
        found[f"{part}_tv"] = variation
        found[f"{part}_tv_ratio"] = variation / expected if expected else None
    found["hole_ssim"] = None if structure is None else float(structure[1][hole].mean())
    found["whole_ssim"] = None if structure is None else float(structure[0])
    found["whole_ms_ssim"] = _ms_ssim(truth, filled)
    return {name: found[name] for name in METRICS if name in found}


def _check(truth: np.ndarray, filled: np.ndarray, hole: np.ndarray) -> None:
    for name, value in (("truth", truth), ("filled", filled)):
        if value.ndim != 3 or value.shape[2] != 3 or value.dtype != np.uint8:
            raise ValueError(
                f"{name} must be of shape (H, W, 3) and uint8, got {value.shape} of {value.dtype}"
            )
    if filled.shape != truth.shape:
        raise ValueError(f"filled must have the shape of truth {truth.shape}, got {filled.shape}")
    if hole.shape != truth.shape[:2] or hole.dtype != np.bool_:
        raise ValueError(
            f"hole must be of shape {truth.shape[:2]} and bool, got {hole.shape} of {hole.dtype}"
        )
    if not hole.any() or hole.all():
        raise ValueError("hole must cover some of the picture and not all, got a mask of one value")


def _variation(picture: np.ndarray, where: np.ndarray) -> float:
    values = picture.astype(np.float64) / RANGE
    down = np.abs(np.diff(values, axis=0))[where[1:] | where[:-1]]
    across = np.abs(np.diff(values, axis=1))[where[:, 1:] | where[:, :-1]]
    return float((down.sum() + across.sum()) / max(down.size + across.size, 1))


def _ssim(truth: np.ndarray, filled: np.ndarray) -> tuple[float, np.ndarray] | None:
    if min(truth.shape[:2]) < SSIM_LEAST:
        return None
    try:
        from skimage.metrics import structural_similarity
    except ImportError as error:
        raise ImportError(
            f"SSIM needs scikit-image: pip install gica_ops[evaluate] ({error})"
        ) from error
    whole, by_pixel = structural_similarity(
        truth, filled, data_range=RANGE, channel_axis=2, full=True,
        gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
    )  # fmt: skip
    return whole, by_pixel


def _ms_ssim(truth: np.ndarray, filled: np.ndarray) -> float | None:
    if min(truth.shape[:2]) < MS_SSIM_LEAST:
        return None
    try:
        from torchmetrics.functional.image import multiscale_structural_similarity_index_measure
    except ImportError as error:
        raise ImportError(
            f"MS-SSIM needs torchmetrics: pip install gica_ops[evaluate] ({error})"
        ) from error
    one, other = (torch.tensor(x).permute(2, 0, 1)[None].double() for x in (filled, truth))
    return float(multiscale_structural_similarity_index_measure(one, other, data_range=RANGE))
