"""Pictures that show how far a run is."""

from __future__ import annotations

import dataclasses

import torch
import torch.nn.functional as F
from torch import Tensor

from ..data.loader import make_loader
from ..flow import displacements, flow_to_image
from ..model import Generator, complete
from .config import TrainConfig

__all__ = ["sample_pictures"]

SAMPLES = 4


@torch.no_grad()
def sample_pictures(
    generator: Generator, config: TrainConfig, device: torch.device
) -> dict[str, Tensor]:
    """The same few pictures every time: hole, both stages, the result, and where attention looked.

    Returns (4, 3, size, size) in 0 to 1 by name. The pictures are of the run's sources, with other
    crops and holes than those it trains on.
    """
    data = dataclasses.replace(config.data, seed=config.data.seed + 1, per_batch_mask=False)
    batch = next(make_loader(data, size=config.size, batch=SAMPLES))
    dtype = next(generator.parameters()).dtype
    image, mask = batch.image.to(device, dtype), batch.mask.to(device, dtype)
    stage1, stage2, offsets = generator(image, mask, return_offsets=True)
    flow = flow_to_image(displacements(offsets)).to(device, dtype) / 255
    pictures = {
        "1_hole": complete(image, mask, torch.ones_like(image)),
        "2_stage1": stage1,
        "3_stage2": stage2,
        "4_result": complete(image, mask, stage2),
        "5_real": image,
    }
    units = {name: (picture + 1) / 2 for name, picture in pictures.items()}
    return units | {"6_attention": F.interpolate(flow, size=image.shape[2:], mode="nearest")}
