"""Weights of public PyTorch ports, by their layers' names.

    common port     daa233/generative-inpainting-pytorch and its descendants (v1)
    gated port      nipponjo/deepfillv2-pytorch, `networks.py` (v2)
    gated TF port   the same, `networks_tf.py`: the original's weights, padding and resizing (v2)

All take RGB in -1 to 1 and a mask that is 1 in the hole, and pad with zeros. mmagic's networks pad
by reflection and show the second stage of v2 more channels, which no `Generator` does.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .config import GeneratorConfig
from .generator import Generator
from .tf_names import generator_config

__all__ = ["read_port_state_dict"]

# What savers wrap state dictionaries in, and what they put in front of names.
WRAPPERS = ("G", "netG", "generator", "model", "state_dict", "model_state_dict", "gen")
PREFIXES = re.compile(r"^((module|netG|generator|model)\.)+")
# Parts of a file that are not the generator, and what is computed and not learnt.
OTHERS = re.compile(r"(localD|globalD|disc|discriminator)\.|.*\.fuse_weight$|data_preprocessor\.")
CONVOLUTION = re.compile(r"(.+?)((?:\.conv)+)\.(weight|bias)")
UPSAMPLING = ("conv13", "conv15", "allconv13", "allconv15")


class Port(NamedTuple):
    """A port: what it computes, and the layer here that one of its layers is, if any."""

    title: str
    version: str
    padding: str
    semantics: str
    layer: Callable[[str], str | None]


def read_port_state_dict(path: str | Path) -> tuple[GeneratorConfig, dict[str, Tensor]]:
    """The generator in a port's file: a config and a state dictionary for `Generator(config)`.

    path: what `torch.save` wrote, or a .safetensors file. A file that holds more than tensors and
        plain containers is refused, for loading it could run code.

    Critics, optimisers and counters are passed over. Tensors keep their dtype.

    Raises ValueError, a sentence, for what is missing, unreadable, of no known port, or of one
    that computes what a `Generator` cannot.

    >>> read_port_state_dict("nowhere.pth")
    Traceback (most recent call last):
    ...
    ValueError: weights 'nowhere.pth' do not exist
    """
    state = _unwrapped(_load(Path(path)))
    if not state:
        raise ValueError(f"weights {str(path)!r} hold no named tensors")
    try:
        port, mapped = _mapped(state)
        config = _config(port, mapped)
        _check(config, mapped)
    except ValueError as error:
        raise ValueError(f"weights {str(path)!r} cannot be converted: {error}") from None
    return config, mapped


def _load(path: Path) -> Any:
    if not path.exists():
        raise ValueError(f"weights {str(path)!r} do not exist")
    if not path.is_file():
        raise ValueError(f"weights {str(path)!r} are no file")
    if path.suffix == ".safetensors":
        import safetensors.torch

        try:
            return safetensors.torch.load_file(path)
        except (OSError, safetensors.SafetensorError) as error:
            raise ValueError(f"weights {str(path)!r} cannot be read: {error}") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what matters is said below, in one sentence
            return torch.load(path, map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    # What a broken file raises depends on where it breaks: pickle, zip, storage.
    except Exception as error:
        if "weights_only" in str(error) or "WeightsUnpickler" in str(error):
            raise ValueError(
                f"weights {str(path)!r} hold more than tensors and plain containers, or are "
                "damaged; loading them could run code, so they are refused"
            ) from None
        raise ValueError(f"weights {str(path)!r} cannot be read by torch: {error}") from None


def _unwrapped(loaded: Any) -> dict[str, Tensor]:
    """The tensors by name, without what is around them; empty where there are none."""
    for _ in range(len(WRAPPERS)):
        if not isinstance(loaded, Mapping):
            return {}
        inner = [loaded[w] for w in WRAPPERS if isinstance(loaded.get(w), Mapping)]
        if not inner:
            break
        loaded = inner[0]
    named = {
        PREFIXES.sub("", name): value
        for name, value in loaded.items()
        if isinstance(name, str) and isinstance(value, Tensor)
    }
    return {name: value for name, value in named.items() if not OTHERS.match(name)}


def _common(layer: str) -> str | None:
    """coarse_generator.conv13 -> coarse.conv13_upsample, fine_generator.conv1 -> fine.xconv1."""
    network, _, name = layer.partition(".")
    inner = f"{name}_upsample" if name in UPSAMPLING else name
    if network == "coarse_generator":
        return f"coarse.{inner}"
    if network == "fine_generator":
        return f"fine.x{name}" if name.startswith("conv") else f"fine.{inner}"
    return None


def _gated_tf(layer: str) -> str | None:
    """conv13_upsample -> coarse.conv13_upsample, xconv1 -> fine.xconv1."""
    return f"coarse.{layer}" if layer.startswith("conv") else f"fine.{layer}"


# The gated port numbers a stage's layers from the bottleneck on, in blocks before and after it.
BLOCKS = {
    "conv1": "conv1",
    "down_block1.conv1_downsample": "conv2_downsample",
    "down_block1.conv2": "conv3",
    "down_block2.conv1_downsample": "conv4_downsample",
    "down_block2.conv2": "conv5",
    "conv_bn1": "conv6",
    "conv_bn2": "conv7_atrous",
    "conv_bn3": "conv8_atrous",
    "conv_bn4": "conv9_atrous",
    "conv_bn5": "conv10_atrous",
    "conv_bn6": "conv11",
    "conv_bn7": "conv12",
    "up_block1.conv1_upsample": "conv13_upsample",
    "up_block1.conv2": "conv14",
    "up_block2.conv1_upsample": "conv15_upsample",
    "up_block2.conv2": "conv16",
    "conv_to_rgb": "conv17",
}
# After the attention there are two convolutions where the branch of convolutions has four.
MATCHING = {**BLOCKS, "conv_bn4": "conv9", "conv_bn5": "conv10"}


def _gated(layer: str) -> str | None:
    """stage1.conv_bn1 -> coarse.conv6, stage2.b1_conv_bn1 and stage2.conv_conv_bn1 -> fine.xconv6.

    The port has changed the names of its branches: b1 and b2 are conv and ca in newer files.
    """
    stage, _, name = layer.partition(".")
    if stage == "stage1":
        return f"coarse.{BLOCKS[name]}" if name in BLOCKS else None
    if name in BLOCKS:
        return f"fine.all{BLOCKS[name]}"
    branch, _, inner = name.partition("_")
    if branch in ("b1", "conv") and inner in BLOCKS:
        return f"fine.x{BLOCKS[inner]}"
    if branch in ("b2", "ca") and inner in MATCHING:
        return f"fine.pm{MATCHING[inner]}"
    return None


COMMON = Port("the common port", "v1", "symmetric", "torch", _common)
GATED = Port("the gated port", "v2", "symmetric", "torch", _gated)
GATED_TF = Port("the gated port for TensorFlow's weights", "v2", "tf", "tf", _gated_tf)


def _recognised(state: dict[str, Tensor]) -> Port:
    """The port that names of this kind are of."""
    if "coarse_generator.conv1.conv.weight" in state:
        return COMMON
    if "stage1.conv1.conv.weight" in state:
        return GATED
    if "xconv1.conv.weight" in state and "conv1.conv.weight" in state:
        return GATED_TF
    if any(name.startswith("stage1.encoder.enc1.") for name in state):
        raise ValueError("they are mmagic's, whose convolutions pad by reflection")
    raise ValueError(f"names such as {min(state)!r} are of no port that is known")


def _mapped(state: dict[str, Tensor]) -> tuple[Port, dict[str, Tensor]]:
    """The tensors by the names of a `Generator`."""
    port = _recognised(state)
    mapped: dict[str, Tensor] = {}
    for name, value in state.items():
        match = CONVOLUTION.fullmatch(name)
        layer = port.layer(match[1]) if match else None
        if match is None or layer is None:
            raise ValueError(f"{port.title} has no {name!r}")
        new = f"{layer}.{match[3]}"
        if new in mapped:
            raise ValueError(f"{name!r} is there twice")
        if not value.is_floating_point():
            raise ValueError(f"{name!r} has dtype {value.dtype}")
        mapped[new] = value
    return port, mapped


def _config(port: Port, mapped: dict[str, Tensor]) -> GeneratorConfig:
    kernels = [mapped.get(f"{name}.weight") for name in ("coarse.conv1", "fine.xconv1")]
    first, branch = (() if kernel is None else kernel.shape for kernel in kernels)
    config = generator_config(first, branch, port.padding, port.semantics)
    if config.version != port.version:
        raise ValueError(
            f"{port.title} is {port.version}, but shapes are those of {config.version}"
        )
    return config


def _check(config: GeneratorConfig, mapped: dict[str, Tensor]) -> None:
    """Raises ValueError, half a sentence, unless names and shapes are those of the network."""
    with torch.device("meta"):
        wanted = Generator(config).state_dict()
    missing = [name for name in wanted if name not in mapped]
    if missing:
        raise ValueError(f"{len(missing)} tensors are missing, {missing[0]} among them")
    for name, tensor in mapped.items():
        if name not in wanted:
            raise ValueError(f"{name} is no part of a generator of {config.version}")
        if tensor.shape != wanted[name].shape:
            shapes = f"{tuple(wanted[name].shape)}, got {tuple(tensor.shape)}"
            raise ValueError(f"{name} must have shape {shapes}")
