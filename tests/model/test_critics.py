"""The critics against the original's numbers, and their slopes to second order."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from gica_ops.model import LocalGlobalCritic, PatchCritic, tf_names
from gica_ops.train.losses import gradient_penalty
from tests.golden_networks import fill, read, tensor

BOXES = ["discriminator_v1_local32_global64", "discriminator_v1_local36x28_global50x72_batch2"]
# A float64 derivation differs from the stored float32 by up to this.
OUTPUTS = 2e-6


@pytest.fixture(autouse=True)
def double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def slope_of_sum(y: Tensor, x: Tensor) -> Tensor:
    (slope,) = torch.autograd.grad(y.sum(), x, retain_graph=True)
    return slope


def expect_slope(slope: Tensor, stored: Tensor) -> None:
    assert slope.shape == stored.shape
    assert (slope - stored).norm() <= 1e-5 * stored.norm()


@pytest.mark.parametrize("name", BOXES)
def test_local_and_global_critics_are_the_originals(name):
    data = read(name)
    inputs = {k: tensor(data, f"x_{k}", torch.float64) for k in ("local", "global")}
    sizes = [tuple(x.shape[2:]) for x in inputs.values()]
    critic = LocalGlobalCritic(*sizes)
    fill(critic, data)
    scores = critic(*(x.requires_grad_() for x in inputs.values()))
    for (side, x), score in zip(inputs.items(), scores, strict=True):
        stored = tensor(data, f"dout_{side}", torch.float64)
        assert score.shape == stored.shape == (x.shape[0], 1)
        assert (score - stored).abs().max() <= OUTPUTS
        expect_slope(slope_of_sum(score, x), tensor(data, f"d_dout_{side}_d_x_{side}", x.dtype))


def test_patch_critic_is_the_originals():
    data = read("discriminator_v2_64x64")
    critic = PatchCritic()
    fill(critic, data)
    trainable = {tf_names.tf_name(name) for name, _ in critic.named_parameters()}
    assert trainable == {str(name) for name in data["trainable"]}
    x = tensor(data, "x", torch.float64).requires_grad_()
    scores = critic(x)
    stored = tensor(data, "out", torch.float64)
    assert scores.shape == stored.shape
    assert (scores - stored).abs().max() <= OUTPUTS
    expect_slope(slope_of_sum(scores, x), tensor(data, "d_sum_out_d_x", torch.float64))
    for name, u in critic.named_buffers():
        after = tensor(data, f"u_after:{tf_names.tf_name(name)}", torch.float64)
        assert (u - after).abs().max() <= OUTPUTS, name


def test_power_iteration_goes_on_in_training_only():
    critic = PatchCritic(base=4)
    x = torch.rand(1, 4, 64, 64)
    first = critic(x)
    assert not torch.equal(critic(x), first)
    critic.eval()
    before = {name: u.clone() for name, u in critic.named_buffers()}
    assert torch.equal(critic(x), critic(x))
    assert all(torch.equal(u, before[name]) for name, u in critic.named_buffers())


def test_kernels_come_to_have_norm_1():
    critic = PatchCritic(base=4)
    x = torch.rand(1, 4, 16, 16)
    for _ in range(200):
        critic(x)
    for name, layer in critic.named_children():
        largest = torch.linalg.matrix_norm(layer.weight.flatten(1), 2)
        matrix = layer.weight.flatten(1).T
        v = torch.nn.functional.normalize(layer.u @ matrix.T)
        assert (v @ matrix).norm().item() == pytest.approx(largest.item(), rel=1e-3), name


@pytest.mark.parametrize("height", [1, 15, 16, 17])
def test_sizes_are_halved_and_rounded_up(height):
    pictures = torch.rand(3, 3, height, 40)
    critic = LocalGlobalCritic((height, 40), (16, 16), 2)
    assert critic.local_critic.fc_size == (-(-height // 16), 3)
    assert critic(pictures, torch.rand(3, 3, 16, 16))[0].shape == (3, 1)
    patches = PatchCritic(2)(torch.rand(3, 4, 4 * height, 40))
    assert patches.shape == (3, -(-height // 16) * 8)


def test_another_size_is_a_sentence():
    critic = LocalGlobalCritic((32, 32), (64, 64), 2)
    right = torch.rand(1, 3, 32, 32), torch.rand(1, 3, 64, 64)
    with pytest.raises(ValueError, match=r"x must be of size \(32, 32\), got \(32, 48\)"):
        critic(torch.rand(1, 3, 32, 48), right[1])
    with pytest.raises(ValueError, match=r"x must be of size \(64, 64\), got \(64, 63\)"):
        critic(right[0], right[1][..., :63])


def test_slopes_of_the_penalty_are_those_of_finite_differences():
    """The penalty's gradient is of second order in the critic."""
    critic = LocalGlobalCritic((8, 8), (16, 16), 2)
    x = torch.rand(2, 3, 16, 16)
    mask = torch.zeros(1, 1, 16, 16)
    mask[..., 3:12, 5:14] = 1
    parameters = dict(critic.global_critic.named_parameters())

    def penalty(x: Tensor, *values: Tensor) -> Tensor:
        def scores(x: Tensor) -> Tensor:
            state = dict(zip(parameters, values, strict=True))
            return torch.func.functional_call(critic.global_critic, state, x)

        return gradient_penalty(scores, x, mask)

    values = [p.detach().clone().requires_grad_() for p in parameters.values()]
    loss = penalty(x.requires_grad_(), *values)
    found = torch.autograd.grad(loss, (x, *values), allow_unused=True)
    generator = torch.Generator().manual_seed(0)
    for i, (value, slope) in enumerate(zip((x, *values), found, strict=True)):
        direction = torch.randn(value.shape, generator=generator)
        step = 1e-6 * direction / direction.norm()
        moved = []
        for sign in (1, -1):
            inputs = [x, *values]
            inputs[i] = (value + sign * step).detach()
            moved.append(penalty(*inputs))
        difference = (moved[0] - moved[1]).item() / 2
        expected = 0.0 if slope is None else (slope * step).sum().item()
        assert difference == pytest.approx(expected, rel=1e-3, abs=1e-12), i


def test_gradients_of_the_patch_critic_flow_through_the_norm():
    layer = PatchCritic(base=1).eval().get_submodule("conv1")
    x = torch.rand(1, 4, 2, 3)

    def scores(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return torch.func.functional_call(layer, {"weight": weight, "bias": bias}, x)

    arguments = (x, layer.weight.detach().clone(), torch.rand(1))
    arguments = tuple(a.requires_grad_() for a in arguments)
    assert torch.autograd.gradcheck(scores, arguments)
    assert torch.autograd.gradgradcheck(scores, arguments, fast_mode=True)
