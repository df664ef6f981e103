"""The original's variables, by their TensorFlow names, in the networks here.

Values stay as they are; the original works on BGR pictures, and `swap_rgb` turns a network round.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from .config import GeneratorConfig
from .critics import Critic, LocalGlobalCritic, PatchCritic
from .generator import Generator

__all__ = [
    "generator_config",
    "generator_names",
    "load_tf_variables",
    "swap_rgb",
    "tf_name",
    "tf_state_dict",
]

GENERATOR, CRITIC = "inpaint_net/", "discriminator/"
# What training keeps beside the networks: the optimiser's slots and powers, and counters.
BOOKKEEPING = re.compile(r"(.*/Adam(_\d+)?|(.*/)?(beta[12]_power|global_step|lr)(_\d+)?)")
PARAMETER = re.compile(r"(?:(coarse|fine|local_critic|global_critic)\.)?(\w+)\.(weight|bias|u)")
ENDINGS = {"weight": "kernel", "bias": "bias", "u": "kernel_sn/u"}
LARGEST_WIDTH = 512
FIRST = ("coarse.conv1", "fine.xconv1", "fine.pmconv1", "local_critic.conv1", "global_critic.conv1")
LAST = ("coarse.conv17", "fine.allconv17")


def tf_name(parameter: str) -> str:
    """The original's name of a parameter or buffer of a `Generator` or a critic.

    Raises ValueError, a sentence, for a name that is none.

    >>> tf_name("fine.allconv13_upsample.weight")
    'inpaint_net/allconv13_upsample/allconv13_upsample_conv/kernel'
    >>> tf_name("local_critic.fc.bias")
    'discriminator/dout_local_fc/bias'
    >>> tf_name("conv1.u")
    'discriminator/sn_patch_gan/conv1/kernel_sn/u'
    """
    match = PARAMETER.fullmatch(parameter)
    if match is None:
        raise ValueError(f"parameter must be one of a generator or a critic, got {parameter!r}")
    network, layer, kind = match.groups()
    if network in ("coarse", "fine"):
        inner = f"{GENERATOR}{layer}/{layer}_conv" if "upsample" in layer else GENERATOR + layer
    elif network is None:
        inner = f"{CRITIC}sn_patch_gan/{layer}"
    else:
        side = network.removesuffix("_critic")
        inner = CRITIC + (f"dout_{side}_fc" if layer == "fc" else f"discriminator_{side}/{layer}")
    return f"{inner}/{ENDINGS[kind]}"


def load_tf_variables(module: nn.Module, variables: Mapping[str, np.ndarray]) -> None:
    """Fill a network with the original's variables.

    Takes and raises what `tf_state_dict` does; where it raises, the module is as it was. Values
    take the parameters' dtype.
    """
    module.load_state_dict(tf_state_dict(module, variables))


def tf_state_dict(module: nn.Module, variables: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    """The original's variables as a state dictionary of a network.

    module: a `Generator`, a `LocalGlobalCritic` or a `PatchCritic`.
    variables: by name, with or without ":0" and the scope `inpaint_net/` or `discriminator/`.
        Kernels are (height, width, in, out), dense ones (in, out) with rows in the order height,
        width, channel. The other network's variables and the optimiser's are passed over.

    Raises TypeError for another module and ValueError, a sentence, where names are missing or too
    many or shapes differ.

    >>> tf_state_dict(Generator.v1(cnum=4), {})
    Traceback (most recent call last):
    ...
    ValueError: variables must hold all of a Generator, but 84 are missing: inpaint_net/conv1/...
    """
    if not isinstance(module, (Generator, LocalGlobalCritic, PatchCritic)):
        raise TypeError(f"module must be a generator or a critic, got {type(module).__name__}")
    kind = type(module).__name__
    given = _own(variables, GENERATOR if isinstance(module, Generator) else CRITIC)
    state = module.state_dict()
    wanted = {tf_name(name): name for name in state}
    if missing := [name for name in wanted if name not in given]:
        raise ValueError(
            f"variables must hold all of a {kind}, but {len(missing)} are missing: {_few(missing)}"
        )
    if unknown := [name for name in given if name not in wanted]:
        raise ValueError(
            f"variables must be those of a {kind}, but {len(unknown)} are not: {_few(unknown)}"
        )
    wrong = []
    for name, parameter in wanted.items():
        shape = _tf_shape(parameter, state[parameter])
        if given[name].shape != shape:
            wrong.append(f"{name} has shape {given[name].shape} and not {shape}")
        elif given[name].dtype.kind != "f":
            wrong.append(f"{name} has dtype {given[name].dtype}")
    if wrong:
        raise ValueError(f"variables must fit this {kind}, but {_few(wrong)}")
    return {p: _tensor(module, p, given[name]) for name, p in wanted.items()}


def generator_names(names: Iterable[str]) -> list[str]:
    """Those of a checkpoint's names that are a generator's, without the optimiser's.

    >>> generator_names(["inpaint_net/conv1/bias", "inpaint_net/conv1/bias/Adam", "lr"])
    ['inpaint_net/conv1/bias']
    """
    return [n for n in names if n.startswith(GENERATOR) and not BOOKKEEPING.fullmatch(n)]


def generator_config(
    first: Sequence[int], branch: Sequence[int], padding: str = "tf", semantics: str = "tf"
) -> GeneratorConfig:
    """The config that fits the shapes (out, in, height, width) of two kernels.

    first: of `coarse.conv1`, which tells the width. branch: of `fine.xconv1`, which sees the mask
        in "v1" and does not in "v2". padding, semantics: of the config.

    Raises ValueError, a sentence, for other shapes, and for widths far from any that is used.

    >>> generator_config((48, 5, 5, 5), (48, 3, 5, 5)).version
    'v2'
    """
    versions = {5: "v1", 3: "v2"}
    first, branch = tuple(first), tuple(branch)
    if first[1:] != (5, 5, 5) or branch[:1] != first[:1] or branch[1:2] not in ((5,), (3,)):
        raise ValueError(
            "the kernels of conv1 and xconv1 must have shapes (width, 5, 5, 5) and (width, 5 or 3, "
            f"5, 5), got {first} and {branch}"
        )
    if first[0] > LARGEST_WIDTH:
        raise ValueError(f"conv1 must have at most {LARGEST_WIDTH} channels, got {first[0]}")
    return GeneratorConfig(versions[branch[1]], int(first[0]), padding=padding, semantics=semantics)


def swap_rgb(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state dictionary of a network that takes and gives RGB where this one does BGR, or back.

    state: of a `Generator`, a `LocalGlobalCritic` or a `PatchCritic`; it stays as it is.

    >>> state = {"fine.allconv17.bias": torch.tensor([1.0, 2.0, 3.0])}
    >>> swap_rgb(state)["fine.allconv17.bias"]
    tensor([3., 2., 1.])
    """
    swapped = dict(state)
    for name, tensor in state.items():
        layer, _, kind = name.rpartition(".")
        if kind == "weight" and layer in (*FIRST, "conv1"):
            swapped[name] = torch.cat((tensor[:, :3].flip(1), tensor[:, 3:]), 1)
        elif layer in LAST:
            swapped[name] = tensor.flip(0)
    return swapped


def _own(variables: Mapping[str, np.ndarray], scope: str) -> dict[str, np.ndarray]:
    """The variables of one network, by their full names."""
    own: dict[str, np.ndarray] = {}
    for name, value in variables.items():
        full = name.removesuffix(":0")
        if BOOKKEEPING.fullmatch(full):
            continue
        if not full.startswith((GENERATOR, CRITIC)):
            full = scope + full
        if full in own:
            raise ValueError(f"variables must hold {full} once, got it twice")
        if full.startswith(scope):
            own[full] = np.asarray(value)
    return own


def _tf_shape(parameter: str, tensor: Tensor) -> tuple[int, ...]:
    """The shape of a parameter's variable."""
    shape = tuple(tensor.shape)
    if len(shape) == 4:
        return (*shape[2:], shape[1], shape[0])
    return shape[::-1] if parameter.endswith("fc.weight") else shape


def _tensor(module: nn.Module, parameter: str, value: np.ndarray) -> Tensor:
    """A variable as the parameter of that name is laid out."""
    # Copied, in the machine's byte order: torch shares memory and knows no other.
    tensor = torch.from_numpy(np.array(value, value.dtype.newbyteorder("="), order="C"))
    if tensor.dim() == 4:
        return tensor.permute(3, 2, 0, 1).contiguous()
    if parameter.endswith("fc.weight"):
        critic = module.get_submodule(parameter.split(".")[0])
        assert isinstance(critic, Critic)
        height, width = critic.fc_size
        rows = tensor.T.reshape(1, height, width, -1)
        return rows.permute(0, 3, 1, 2).reshape(1, -1)
    return tensor


def _few(parts: list[str]) -> str:
    return ", ".join(parts[:3]) + (", ..." if len(parts) > 3 else "")
