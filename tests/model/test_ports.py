"""Weights of PyTorch ports: synthetic files in each port's naming come back as they went in."""

from __future__ import annotations

import pickle

import pytest
import safetensors.torch
import torch
from torch import Tensor

from gica_ops.model import Generator, GeneratorConfig
from gica_ops.model.ports import read_port_state_dict

# The ports' layers in the order of their files, beside the original's. Written out anew: a slip in
# the map is not in here, too.
ATROUS = ["7_atrous", "8_atrous", "9_atrous", "10_atrous"]
COMMON = {
    **{f"coarse_generator.conv{n}": f"coarse.conv{n}" for n in
       [1, "2_downsample", 3, "4_downsample", 5, 6, *ATROUS, 11, 12, 14, 16, 17]},
    "coarse_generator.conv13": "coarse.conv13_upsample",
    "coarse_generator.conv15": "coarse.conv15_upsample",
    **{f"fine_generator.conv{n}": f"fine.xconv{n}" for n in
       [1, "2_downsample", 3, "4_downsample", 5, 6, *ATROUS]},
    **{f"fine_generator.pmconv{n}": f"fine.pmconv{n}" for n in
       [1, "2_downsample", 3, "4_downsample", 5, 6, 9, 10]},
    **{f"fine_generator.allconv{n}": f"fine.allconv{n}" for n in [11, 12, 14, 16, 17]},
    "fine_generator.allconv13": "fine.allconv13_upsample",
    "fine_generator.allconv15": "fine.allconv15_upsample",
}  # fmt: skip
GATED_TF = {
    layer.split(".")[1] + (".conv" if "upsample" in layer else ""): layer
    for layer in COMMON.values()
}
DOWN = ["down_block1.conv1_downsample", "down_block1.conv2", "down_block2.conv1_downsample",
        "down_block2.conv2"]  # fmt: skip
DOWN_TO = ["2_downsample", "3", "4_downsample", "5"]
UP = ["up_block1.conv1_upsample.conv", "up_block1.conv2", "up_block2.conv1_upsample.conv",
      "up_block2.conv2", "conv_to_rgb"]  # fmt: skip
UP_TO = ["13_upsample", "14", "15_upsample", "16", "17"]


def gated(first: str, second: str) -> dict[str, str]:
    """With the names that its branches had first, b1 and b2, or have now, conv and ca."""
    bottleneck = [f"conv_bn{i}" for i in range(1, 8)]
    stage1 = zip(
        ["conv1", *DOWN, *bottleneck, *UP],
        ["1", *DOWN_TO, "6", *ATROUS, "11", "12", *UP_TO],
        strict=True,
    )
    branch = zip(["conv1", *DOWN, *bottleneck[:5]], ["1", *DOWN_TO, "6", *ATROUS], strict=True)
    matching = zip(
        ["conv1", *DOWN, "conv_bn1", "conv_bn4", "conv_bn5"],
        ["1", *DOWN_TO, "6", "9", "10"],
        strict=True,
    )
    joint = zip([*bottleneck[5:], *UP], ["11", "12", *UP_TO], strict=True)
    return {
        **{f"stage1.{a}": f"coarse.conv{b}" for a, b in stage1},
        **{f"stage2.{first}_{a}": f"fine.xconv{b}" for a, b in branch},
        **{f"stage2.{second}_{a}": f"fine.pmconv{b}" for a, b in matching},
        **{f"stage2.{a}": f"fine.allconv{b}" for a, b in joint},
    }


PORTS = {
    "common": (COMMON, GeneratorConfig("v1", 8, padding="symmetric", semantics="torch")),
    "gated tf": (GATED_TF, GeneratorConfig("v2", 8)),
    "gated": (
        gated("conv", "ca"), GeneratorConfig("v2", 8, padding="symmetric", semantics="torch")
    ),
    "gated, older": (
        gated("b1", "b2"), GeneratorConfig("v2", 12, padding="symmetric", semantics="torch")
    ),
}  # fmt: skip


def port_state(name: str, generator: Generator) -> dict[str, Tensor]:
    """A generator's state dictionary as a port names it."""
    layers, state = PORTS[name][0], generator.state_dict()
    return {
        f"{theirs}.conv.{kind}": state[f"{ours}.{kind}"]
        for theirs, ours in layers.items()
        for kind in ("weight", "bias")
    }


@pytest.mark.parametrize("port", PORTS)
def test_a_port_s_file_comes_back_as_it_went_in(port, tmp_path):
    generator = Generator(PORTS[port][1])
    for parameter in generator.parameters():
        torch.nn.init.normal_(parameter)
    torch.save(port_state(port, generator), tmp_path / "weights.pth")
    config, state = read_port_state_dict(tmp_path / "weights.pth")
    assert config == generator.config
    expected = generator.state_dict()
    assert set(state) == set(expected)
    assert all(torch.equal(state[name], expected[name]) for name in expected)
    Generator(config).load_state_dict(state)


WRAPPED = {
    "G": lambda s: {"G": s, "D": {"conv1.weight": torch.zeros(1)}, "n_iter": 7},
    "state_dict": lambda s: {"state_dict": s, "meta": {"epoch": 1}},
    "both": lambda s: {"model": {"netG": s}, "lr": 1e-4},
    "module": lambda s: {f"module.{n}": t for n, t in s.items()},
    "trainer": lambda s: {
        **{f"netG.{n}": t for n, t in s.items()},
        "localD.linear.weight": torch.zeros(1, 2),
        "globalD.linear.bias": torch.zeros(1),
    },
    "module.netG": lambda s: {f"module.netG.{n}": t for n, t in s.items()},
    "buffer": lambda s: {**s, "stage2.contextual_attention.fuse_weight": torch.eye(3)},
}


@pytest.mark.parametrize("wrapping", WRAPPED)
@pytest.mark.parametrize("form", ["pth", "legacy"])
def test_what_is_around_the_generator_is_passed_over(wrapping, form, tmp_path):
    generator = Generator(PORTS["common"][1])
    wrapped = WRAPPED[wrapping](port_state("common", generator))
    path = tmp_path / "weights.pth"
    torch.save(wrapped, path, _use_new_zipfile_serialization=form == "pth")
    config, state = read_port_state_dict(path)
    assert config == generator.config
    assert torch.equal(state["fine.xconv3.bias"], generator.fine.xconv3.bias)


def test_safetensors_files_are_read(tmp_path):
    generator = Generator(PORTS["gated"][1])
    state = WRAPPED["trainer"](port_state("gated", generator))
    safetensors.torch.save_file(state, tmp_path / "weights.safetensors")
    config, read = read_port_state_dict(tmp_path / "weights.safetensors")
    assert config == generator.config
    assert torch.equal(read["fine.allconv14.bias"], generator.fine.allconv14.bias)


def broken(change) -> dict[str, Tensor]:
    state = port_state("common", Generator(PORTS["common"][1]))
    change(state)
    return state


BROKEN = {
    "missing": (
        lambda s: s.pop("fine_generator.conv3.conv.weight"),
        "1 tensors are missing, fine.xconv3.weight",
    ),
    "more": (
        lambda s: s.update({"fine_generator.conv30.conv.bias": torch.zeros(3)}),
        "fine.xconv30.bias is no part of a generator of v1",
    ),
    "another layer": (
        lambda s: s.update({"fine_generator.norm.weight": torch.zeros(3)}),
        "the common port has no 'fine_generator.norm.weight'",
    ),
    "another part": (
        lambda s: s.update({"refiner.conv1.conv.bias": torch.zeros(3)}),
        "the common port has no 'refiner.conv1.conv.bias'",
    ),
    "twice": (
        lambda s: s.update({"coarse_generator.conv1.conv.conv.bias": torch.zeros(8)}),
        "'coarse_generator.conv1.conv.conv.bias' is there twice",
    ),
    "shape": (
        # Released weights of the common port's first months have such channels.
        lambda s: s.update({"fine_generator.pmconv3.conv.weight": torch.zeros(8, 8, 3, 3)}),
        r"fine.pmconv3.weight must have shape \(16, 8, 3, 3\), got \(8, 8, 3, 3\)",
    ),
    "integers": (
        lambda s: s.update({"coarse_generator.conv1.conv.bias": torch.zeros(8, dtype=torch.int8)}),
        "has dtype torch.int8",
    ),
    "four channels": (
        lambda s: s.update({"coarse_generator.conv1.conv.weight": torch.zeros(8, 4, 5, 5)}),
        "kernels of conv1 and xconv1",
    ),
    "gated": (
        lambda s: s.update({"fine_generator.conv1.conv.weight": torch.zeros(8, 3, 5, 5)}),
        "the common port is v1, but shapes are those of v2",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_files_that_do_not_fit_are_refused_in_a_sentence(case, tmp_path):
    change, sentence = BROKEN[case]
    path = tmp_path / "weights.pth"
    torch.save(broken(change), path)
    with pytest.raises(ValueError, match=sentence) as caught:
        read_port_state_dict(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_networks_of_another_kind_are_refused(tmp_path):
    path = tmp_path / "weights.pth"
    states = {
        "mmagic's, whose convolutions pad by reflection": {
            "state_dict": {"generator.stage1.encoder.enc1.conv.weight": torch.zeros(32, 5, 5, 5)}
        },
        "'coarse.0.conv2d.weight' are of no port": {"coarse.0.conv2d.weight": torch.zeros(1)},
        "no named tensors": [torch.zeros(3)],
        "hold no named tensors": {"epoch": 3},
    }
    for sentence, state in states.items():
        torch.save(state, path)
        with pytest.raises(ValueError, match=sentence):
            read_port_state_dict(path)


class Trap:
    def __reduce__(self):
        return (print, ("this ran",))


def test_files_that_would_run_code_are_refused_unrun(tmp_path, capsys):
    state = port_state("common", Generator(PORTS["common"][1]))
    torch.save({"G": state, "trap": Trap()}, tmp_path / "zip.pth")
    (tmp_path / "bare.pth").write_bytes(pickle.dumps({"G": {}, "trap": Trap()}))
    for name in ("zip.pth", "bare.pth"):
        with pytest.raises(ValueError, match="could run code, so they are refused"):
            read_port_state_dict(tmp_path / name)
    assert "this ran" not in capsys.readouterr().out


@pytest.mark.parametrize("form", ["pth", "safetensors"])
def test_cut_files_are_refused(form, tmp_path):
    state = port_state("common", Generator(PORTS["common"][1]))
    path = tmp_path / f"weights.{form}"
    torch.save(state, path) if form == "pth" else safetensors.torch.save_file(state, path)
    content = path.read_bytes()
    for size in (0, 1, 9, 100, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:size])
        with pytest.raises(ValueError, match="cannot be read|refused") as caught:
            read_port_state_dict(path)
        assert str(path) in str(caught.value)


def test_folders_are_no_files(tmp_path):
    with pytest.raises(ValueError, match="are no file"):
        read_port_state_dict(tmp_path)
