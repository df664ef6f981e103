"""Generators as ONNX files, which run without PyTorch."""

from __future__ import annotations

import copy
import importlib
import importlib.util
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ..files import write_whole
from .generator import Generator

if TYPE_CHECKING:
    import onnx

__all__ = ["export_onnx"]

NAMES = ("image", "mask"), ("stage1", "stage2")
LARGEST_SIDE = 16384
# In a picture's units, -1 to 1: an eighth of a grey level.
TOLERANCE = 1e-3


def export_onnx(
    generator: Generator, path: str | Path, size: tuple[int, int] | None = None
) -> float:
    """Write a generator to an ONNX file, and see that it computes the same there.

    Inputs are image (B, 3, H, W), RGB in -1 to 1, and mask (B, 1, H, W), not 0 = hole; outputs are
    stage1 and stage2 (B, 3, H, W); all are float32, and B may be anything. The attention is written
    out in plain operations, as `backend="reference"` computes it: memory grows with the square of
    the number of pixels.

    generator: stays as it is.
    path: of the file, which is there whole or not at all.
    size: height and width of the pictures. None: any multiples of `generator.config.multiple`
        from two of them up. Other sizes would need a graph that pads, and the symbolic arithmetic
        of that is beyond the exporter; even so this takes some minutes, for one size seconds.

    Returns the largest difference between onnxruntime's results and PyTorch's on random pictures.
    Raises ValueError, a sentence, where that is above 1e-3, for a size that makes no sense, and
    where a package is missing; OSError where the file cannot be written.
    """
    for package in ("onnx", "onnxscript", "onnxruntime"):
        if importlib.util.find_spec(package) is None:
            raise ValueError(f"ONNX export needs {package}: pip install gica_ops[onnx]")
    check_size(size)
    network = copy.deepcopy(generator).to("cpu", torch.float32).eval().requires_grad_(False)
    network.backend = "reference"
    model = trace(network, size)
    data = model.SerializeToString()
    step = network.config.multiple
    sizes = [(6 * step, 8 * step), (9 * step, 7 * step)] if size is None else [size]
    found = [difference(network, data, picture(s, batch)) for batch, s in enumerate(sizes, 1)]
    worst = torch.tensor(found).max().item()
    if not worst <= TOLERANCE:
        raise ValueError(
            f"onnxruntime must differ from PyTorch by at most {TOLERANCE}, got {worst:.2g}"
        )
    write_whole(path, data)
    return worst


def check_size(size: tuple[int, int] | None) -> None:
    """Raise ValueError, a sentence, unless this is None or a height and a width."""
    if size is not None and (len(size) != 2 or not all(0 < n <= LARGEST_SIDE for n in size)):
        raise ValueError(
            f"size must be a height and a width of 1 to {LARGEST_SIDE} pixels, got {size}"
        )


class Stages(nn.Module):
    """A generator's two pictures, as a graph has them: a fixed number of tensors in and out."""

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        stage1, stage2 = self.generator(image, mask)
        return stage1, stage2


def trace(generator: Generator, size: tuple[int, int] | None) -> onnx.ModelProto:
    """The generator as an ONNX model."""
    step = generator.config.multiple
    axes: dict[int, Any] = {0: torch.export.Dim("batch")}
    if size is None:
        # A bound keeps the exporter's proofs short.
        most = LARGEST_SIDE // step
        rows, columns = (torch.export.Dim(n, min=2, max=most) for n in ("rows", "columns"))
        axes |= {2: step * rows, 3: step * columns}
    # Lengths that differ from each other and from the channels are not taken for one another.
    example = picture(size or (6 * step, 8 * step), batch=2)
    with quiet():
        program = torch.export.export(
            Stages(generator), example, dynamic_shapes=(axes, axes), strict=False
        )
        exported = torch.onnx.export(
            program, dynamo=True, input_names=NAMES[0], output_names=NAMES[1], verbose=False
        )
    assert exported is not None
    model: onnx.ModelProto = exported.model_proto
    for value in (*model.graph.input, *model.graph.output):
        axis_names = ("batch", "channels", "height", "width")
        for name, axis in zip(axis_names, value.type.tensor_type.shape.dim, strict=True):
            if axis.dim_param:
                axis.dim_param = name
    model.doc_string = "image: RGB in -1 to 1. mask: not 0 = hole. Height and width: " + (
        f"multiples of {step}." if size is None else f"{size[0]} and {size[1]}."
    )
    return model


def picture(size: tuple[int, int], batch: int) -> tuple[Tensor, Tensor]:
    """A random picture with a hole, the same every time."""
    random = torch.Generator().manual_seed(0)
    image = torch.rand(batch, 3, *size, generator=random) * 2 - 1
    mask = torch.zeros(batch, 1, *size)
    for i in range(batch):
        mask[i, :, size[0] // 4 + i : size[0] // 2 + i, size[1] // 3 : size[1] // 2] = 1
    return image, mask


@torch.inference_mode()
def difference(generator: Generator, model: bytes, inputs: tuple[Tensor, Tensor]) -> float:
    """How far onnxruntime's results are from PyTorch's, at most; NaN where they have one."""
    onnxruntime = importlib.import_module("onnxruntime")
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    feed = {name: x.numpy() for name, x in zip(NAMES[0], inputs, strict=True)}
    found = (torch.from_numpy(y) for y in session.run(list(NAMES[1]), feed))
    pairs = zip(found, generator(*inputs), strict=True)
    return torch.stack([(a - b).abs().max() for a, b in pairs]).max().item()


@contextmanager
def quiet() -> Iterator[None]:
    """Without the exporter's warnings, which are about packages and calls that are not used."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
