"""The original's variables in the networks: names, layouts, channels."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from gica_ops.model import Generator, LocalGlobalCritic, PatchCritic, load_tf_variables, swap_rgb
from gica_ops.model.tf_checkpoint import read_tf_checkpoint
from gica_ops.model.tf_names import generator_config, tf_name
from tests.golden import FOLDER

NETWORKS = {
    "generator_v1_variables": Generator.v1,
    "generator_v2_variables": Generator.v2,
    "discriminator_v1_variables_local32_global64": lambda: LocalGlobalCritic((32, 32), (64, 64)),
    "discriminator_v2_variables": PatchCritic,
}
SMALL = FOLDER / "checkpoint_v1_training_small"


def drawn(module: torch.nn.Module) -> dict[str, np.ndarray]:
    """Every variable of a network, no two values alike."""
    generator = np.random.default_rng(0)
    shapes = {}
    for name, tensor in module.state_dict().items():
        shape = tuple(tensor.shape)
        if name.endswith("weight"):
            shape = (*shape[2:], shape[1], shape[0])
        shapes[tf_name(name)] = shape
    return {n: generator.standard_normal(s).astype(np.float32) * 0.1 for n, s in shapes.items()}


def unchanged(module: torch.nn.Module, before: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(t, before[n]) for n, t in module.state_dict().items())


def copied(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


@pytest.mark.parametrize("file", NETWORKS)
def test_names_and_shapes_are_the_original_s(file):
    with open(FOLDER / f"{file}.json") as text:
        variables = {v["name"]: tuple(v["shape"]) for v in json.load(text)["variables"]}
    network = NETWORKS[file]()
    assert sorted(tf_name(n) for n in network.state_dict()) == sorted(variables)
    # Loading is what checks shapes.
    load_tf_variables(network, {n: np.zeros(s, np.float32) for n, s in variables.items()})


@pytest.mark.parametrize(
    "name", ["", "conv1", "coarse.conv1", "coarse.conv1.scale", "a.b.c.weight"]
)
def test_other_names_are_refused(name):
    with pytest.raises(ValueError, match="must be one of a generator or a critic"):
        tf_name(name)


def test_a_whole_training_checkpoint_fills_its_generator_and_its_critics():
    variables = read_tf_checkpoint(SMALL)
    generator = Generator.v1(cnum=4)
    critic = LocalGlobalCritic((16, 16), (32, 32), base=8)
    for network in (generator, critic):
        load_tf_variables(network, variables)
    kernel = variables["inpaint_net/xconv3/kernel"]
    assert np.array_equal(generator.fine.xconv3.weight.numpy(force=True)[5, 2], kernel[..., 2, 5])
    bias = variables["inpaint_net/conv13_upsample/conv13_upsample_conv/bias"]
    assert np.array_equal(generator.coarse.conv13_upsample.bias.numpy(force=True), bias)
    dense = variables["discriminator/dout_global_fc/kernel"]
    assert np.array_equal(
        np.sort(critic.global_critic.fc.weight.numpy(force=True)[0]), np.sort(dense[:, 0])
    )


def test_dense_rows_follow_channels_however_the_map_is_shaped():
    critic = LocalGlobalCritic((36, 28), (50, 72), base=2)
    variables = drawn(critic)
    load_tf_variables(critic, variables)
    for side, (height, width) in (("local", (3, 2)), ("global", (4, 5))):
        kernel = variables[f"discriminator/dout_{side}_fc/kernel"].reshape(height, width, -1)
        row = critic.get_submodule(f"{side}_critic.fc").weight.numpy(force=True)
        assert np.array_equal(row.reshape(-1, height, width), kernel.transpose(2, 0, 1))


@pytest.mark.parametrize("module", [Generator.v1(4), Generator.v2(8), PatchCritic(2)])
def test_every_name_may_have_its_suffix_and_lack_its_scope(module):
    variables = drawn(module)
    load_tf_variables(module, variables)
    before = copied(module)
    scope = "inpaint_net/" if isinstance(module, Generator) else "discriminator/"
    for change in (lambda n: n + ":0", lambda n: n.removeprefix(scope), lambda n: n):
        for parameter in module.parameters():
            torch.nn.init.zeros_(parameter)
        other = {
            f"{scope}conv1/kernel/Adam": np.zeros(1), f"{scope}conv1/kernel/Adam_1:0": np.zeros(1),
            "beta1_power": np.zeros(()), "beta2_power_1": np.zeros(()), "global_step": np.zeros(()),
            "lr": np.zeros(()),
        }  # fmt: skip
        load_tf_variables(module, {change(n): v for n, v in variables.items()} | other)
        assert unchanged(module, before)


def test_values_of_another_float_type_take_the_network_s():
    generator = Generator.v1(4)
    variables = drawn(generator)
    load_tf_variables(generator, {n: v.astype(">f8") for n, v in variables.items()})
    weight = generator.coarse.conv3.weight
    assert weight.dtype == torch.float32
    kernel = variables["inpaint_net/conv3/kernel"]
    assert np.array_equal(weight.numpy(force=True), kernel.transpose(3, 2, 0, 1))


# A variable in place of the right one, or none, and what is said of it.
WRONG = {
    "missing": ("inpaint_net/xconv5/bias", None, "1 are missing: inpaint_net/xconv5/bias"),
    "unexpected": ("inpaint_net/conv18/bias", np.zeros(3), "1 are not: inpaint_net/conv18/bias"),
    "twice": ("conv1/bias", np.zeros(4), "inpaint_net/conv1/bias once, got it twice"),
    "shape": ("inpaint_net/conv1/bias", np.zeros(5), r"has shape \(5,\) and not \(4,\)"),
    "swapped": (
        "inpaint_net/conv17/kernel",
        np.zeros((3, 3, 3, 2)),
        r"has shape \(3, 3, 3, 2\) and not \(3, 3, 2, 3\)",
    ),
    "dtype": ("inpaint_net/conv1/bias", np.zeros(4, int), "dtype int64"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_listed_and_nothing_is_changed(case):
    name, value, sentence = WRONG[case]
    generator = Generator.v1(4)
    before, variables = copied(generator), drawn(generator)
    variables.pop(name, None)
    if value is not None:
        variables[name] = value
    with pytest.raises(ValueError, match=sentence) as caught:
        load_tf_variables(generator, variables)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400
    assert unchanged(generator, before)


def test_networks_that_do_not_fit_are_refused():
    with pytest.raises(
        ValueError, match="must fit this Generator, but inpaint_net/conv1/kernel has"
    ):
        load_tf_variables(Generator.v1(8), drawn(Generator.v1(4)))
    with pytest.raises(ValueError, match="18 are missing"):
        load_tf_variables(PatchCritic(2), drawn(Generator.v1(4)))
    with pytest.raises(TypeError, match="module must be a generator or a critic, got Linear"):
        load_tf_variables(torch.nn.Linear(1, 1), {})


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_configs_are_told_from_shapes(version):
    generator = Generator.v1(12) if version == "v1" else Generator.v2(20)
    state = generator.state_dict()
    config = generator_config(state["coarse.conv1.weight"].shape, state["fine.xconv1.weight"].shape)
    assert config == generator.config


@pytest.mark.parametrize(
    "shapes",
    [
        ((), ()),
        ((8, 5, 5, 5), (8,)),
        ((8, 5, 5, 5), (8, 4, 5, 5)),
        ((8, 4, 5, 5), (8, 5, 5, 5)),
        ((6, 5, 5, 5), (8, 5, 5, 5)),
        ((5, 5, 5, 5), (5, 5, 5, 5)),
        ((1024, 5, 5, 5), (1024, 5, 5, 5)),
    ],
)
def test_shapes_of_no_generator_are_refused(shapes):
    with pytest.raises(ValueError, match="conv1 must have|conv1 and xconv1|cnum must be"):
        generator_config(*shapes)


@pytest.mark.parametrize("module", [Generator.v1(4), Generator.v2(8)])
def test_a_swapped_generator_does_with_rgb_what_the_other_does_with_bgr(module):
    torch.manual_seed(0)
    load_tf_variables(module, drawn(module))
    swapped = Generator(module.config)
    swapped.load_state_dict(swap_rgb(module.state_dict()))
    rgb = torch.rand(2, 3, 32, 40) * 2 - 1
    mask = torch.zeros(1, 1, 32, 40)
    mask[..., 8:20, 10:30] = 1
    with torch.no_grad():
        for ours, theirs in zip(swapped(rgb, mask), module(rgb.flip(1), mask), strict=True):
            # Products are added in another order.
            torch.testing.assert_close(ours, theirs.flip(1), rtol=0, atol=2e-5)
            assert (ours - theirs).abs().max() > 1e-3


def test_swapped_critics_judge_rgb_as_the_others_do_bgr():
    torch.manual_seed(0)
    critic, patches = LocalGlobalCritic((32, 32), (48, 48), base=4), PatchCritic(4)
    boxes, pictures, mask = (
        torch.rand(2, 3, 32, 32),
        torch.rand(2, 3, 48, 48),
        torch.rand(2, 1, 48, 48),
    )
    other = LocalGlobalCritic((32, 32), (48, 48), base=4)
    other.load_state_dict(swap_rgb(critic.state_dict()))
    for a, b in zip(other(boxes, pictures), critic(boxes.flip(1), pictures.flip(1)), strict=True):
        torch.testing.assert_close(a, b)
    patches.eval()
    other = PatchCritic(4).eval()
    other.load_state_dict(swap_rgb(patches.state_dict()))
    expected = patches(torch.cat((pictures.flip(1), mask), 1))
    torch.testing.assert_close(other(torch.cat((pictures, mask), 1)), expected)
    assert not torch.allclose(patches(torch.cat((pictures, mask), 1)), expected)


def test_swapping_twice_is_nothing():
    state = Generator.v2(8).state_dict()
    again = swap_rgb(swap_rgb(state))
    assert list(again) == list(state) and all(torch.equal(again[n], state[n]) for n in state)
