"""The losses and the optimiser against the original's numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gica_ops.model import Generator, complete, load_tf_variables, tf_names
from gica_ops.train import losses
from gica_ops.train.adversary import HingePatches, WassersteinBoxes
from gica_ops.train.optimizer import TFAdam
from gica_ops.train.reconstruction import Reconstruction
from tests.golden_networks import read, seeded, tensor

FILES = ["losses_v1_64x64_batch2", "losses_v1_pretrain_coarse"]


def load_seeded(network: nn.Module, data: dict, kind: str) -> None:
    """Weights of a loss file: generator and critics have a random state each."""
    shapes = {}
    for name, p in network.state_dict().items():
        if name.endswith("fc.weight"):
            shapes[tf_names.tf_name(name)] = (p.shape[1], p.shape[0])
        else:
            kernel = p.permute(2, 3, 1, 0) if p.dim() == 4 else p
            shapes[tf_names.tf_name(name)] = tuple(kernel.shape)
    options = int(data[f"seed_{kind}"]), float(data[f"gain_{kind}"]), float(data["bias_std"])
    load_tf_variables(network, seeded(shapes, *options))


class GoldenStep:
    """One training step of the original, computed here in float64."""

    def __init__(self, name: str) -> None:
        self.data = read(name)
        self.coarse_only = bool(self.data["pretrain_coarse"])
        self.real = tensor(self.data, "images", torch.float64) / 127.5 - 1
        self.mask = tensor(self.data, "mask", torch.float64)
        self.boxes = [tuple(int(n) for n in self.data["bbox"])]
        self.generator = Generator.v1()
        load_seeded(self.generator, self.data, "generator")
        self.adversary = WassersteinBoxes((64, 64), self.boxes[0][2:])
        load_seeded(self.adversary.critic, self.data, "discriminator")
        self.generator.double()
        self.adversary.double()
        # The first stage's picture as the second stage sees it, too.
        self.inner: list[Tensor] = []
        self.generator.coarse.register_forward_hook(lambda m, a, y: self.inner.append(y))
        self.generator.fine.register_forward_hook(lambda m, a, y: self.inner.append(y[0]))
        self.stage1, self.stage2 = self.generator(self.real, self.mask)
        stage = self.stage1 if self.coarse_only else self.stage2
        self.fake = complete(self.real, self.mask, stage)
        self.alphas = torch.stack(
            [tensor(self.data, f"alpha_{n}", torch.float64) for n in ("local", "global")]
        )

    def expect(self, name: str, value: Tensor, relative: float = 5e-6) -> None:
        assert value.item() == pytest.approx(float(self.data[name]), rel=relative), name

    def tf_layout(self, network: nn.Module, gradient: Tensor) -> Tensor:
        if gradient.dim() == 4:
            return gradient.permute(2, 3, 1, 0)
        if gradient.dim() == 2:
            critics = (network.local_critic, network.global_critic)
            sizes = {c.fc.in_features: (-1, *c.fc_size) for c in critics}
            return gradient.view(sizes[gradient.shape[1]]).permute(1, 2, 0).reshape(-1, 1)
        return gradient

    def expect_gradients(self, network: nn.Module, kind: str) -> None:
        """Norms and sums of all variables' gradients, and the whole of the small ones."""
        names = [str(n) for n in self.data[f"{kind}_var_names"]]
        found = {tf_names.tf_name(n): p.grad for n, p in network.named_parameters()}
        assert sorted(found) == sorted(names)
        for i, name in enumerate(names):
            gradient = found[name]
            if kind == "g" and self.data["g_grad_is_none"][i]:
                assert gradient is None, name
                continue
            norm = self.data[f"{kind}_grad_norm"][i]
            assert gradient.norm().item() == pytest.approx(norm, rel=2e-4, abs=1e-7), name
            total = self.data[f"{kind}_grad_sum"][i]
            loose = 2e-4 * norm * math.sqrt(gradient.numel()) + 1e-7
            assert abs(gradient.sum().item() - total) < loose, name
            if f"grad:{name}" in self.data:
                stored = tensor(self.data, f"grad:{name}", torch.float64)
                gradient = self.tf_layout(network, gradient)
                assert gradient.shape == stored.shape, name
                assert (gradient - stored).norm() < 3e-4 * stored.norm() + 1e-7, name


@pytest.mark.parametrize("name", FILES)
def test_the_critics_losses_and_gradients(name):
    step = GoldenStep(name)
    loss, terms = step.adversary.critic_loss(
        step.real, step.fake.detach(), step.mask, step.boxes, step.alphas
    )
    for side in ("local", "global"):
        step.expect(f"penalty_{side}", terms[f"penalty_{side}"])
        step.expect(f"wgan_d_{side}", terms[f"critic_{side}"])
    step.expect("loss:d_loss", loss)
    loss.backward()
    step.expect_gradients(step.adversary.critic, "d")


@pytest.mark.parametrize("name", FILES)
def test_the_generators_losses_and_gradients(name):
    step = GoldenStep(name)
    for stage in step.inner:
        stage.retain_grad()
    second = None if step.coarse_only else step.stage2
    loss, terms = Reconstruction().loss(step.real, step.stage1, second, step.mask, step.boxes)
    step.expect("loss:l1_loss", terms["l1"])
    step.expect("loss:ae_loss", terms["background"])
    # Coarse pre-training has no adversarial term.
    if not step.coarse_only:
        adversarial, parts = step.adversary.generator_loss(step.fake, step.mask, step.boxes)
        for side in ("local", "global"):
            step.expect(f"wgan_g_{side}", parts[f"adversarial_{side}"], 2e-5)
        loss = loss + 0.001 * adversarial
    step.expect("loss:g_loss", loss)
    loss.backward()
    step.expect_gradients(step.generator, "g")
    if not step.coarse_only:
        for name, stage in zip(("x1", "x2"), step.inner, strict=True):
            stored = tensor(step.data, f"d_gloss_d_{name}", torch.float64)
            assert (stage.grad - stored).norm() < 1e-4 * stored.norm(), name


def test_spatial_discount_is_the_originals():
    pieces = read("pieces_v1")
    names = [n for n in pieces if n.startswith("discount_")]
    assert names
    for name in names:
        if name.startswith("discount_off"):
            continue  # all ones: here no discount
        size, gamma = name.removeprefix("discount_").split("_g")
        height, width = (int(n) for n in size.split("x"))
        found = losses.spatial_discount(height, width, float(gamma))
        stored = tensor(pieces, name).reshape(height, width)
        torch.testing.assert_close(found, stored, rtol=1e-6, atol=1e-7)


def test_adversarial_losses_are_the_originals():
    pieces = read("pieces_v1")
    for kind, critic, generator in (
        ("wgan", losses.wgan_critic, losses.wgan_generator),
        ("hinge", losses.hinge_critic, losses.hinge_generator),
    ):
        for i in (0, 1):
            pos, neg = (tensor(pieces, f"wgan{i}_{n}") for n in ("pos", "neg"))
            stored = {n: float(pieces[f"{kind}{i}_{n}"]) for n in ("d_loss", "g_loss")}
            assert critic(pos, neg).item() == pytest.approx(stored["d_loss"], rel=1e-6)
            assert generator(neg).item() == pytest.approx(stored["g_loss"], rel=1e-6)


def test_interpolation_crop_and_penalty_are_the_originals():
    pieces = read("pieces_v1")
    x, y, alpha = (tensor(pieces, f"interp_{n}") for n in ("x", "y", "alpha"))
    found = losses.interpolate(x, y, alpha.flatten())
    torch.testing.assert_close(found, tensor(pieces, "interp_out"))
    box = tuple(int(n) for n in pieces["crop_bbox"])
    cut = losses.crop(tensor(pieces, "crop_x"), [box])
    torch.testing.assert_close(cut, tensor(pieces, "crop_out"))
    x, u, q = (tensor(pieces, f"gp_{n}", torch.float64) for n in ("x", "u", "q"))
    mask = tensor(pieces, "gp_mask", torch.float64)

    def critic(x: Tensor) -> Tensor:
        return (x.tanh() * u + x.square() * q / 2).sum((1, 2, 3))

    x.requires_grad_()
    for name, options in (
        ("gp_masked", {"mask": mask}),
        ("gp_unmasked", {}),
        ("gp_masked_norm0.5", {"mask": mask, "norm": 0.5}),
    ):
        penalty = losses.gradient_penalty(critic, x, **options)
        assert penalty.item() == pytest.approx(float(pieces[name]), rel=1e-5), name
    (slope,) = torch.autograd.grad(losses.gradient_penalty(critic, x, mask), x)
    stored = tensor(pieces, "gp_grad_x", torch.float64)
    assert (slope - stored).norm() < 1e-5 * stored.norm()


def test_a_flat_critic_has_a_finite_penalty_and_gradient():
    weight = torch.zeros((), requires_grad=True)
    penalty = losses.gradient_penalty(lambda x: (x * weight).sum((1, 2, 3)), torch.ones(2, 3, 4, 4))
    penalty.backward()
    assert penalty.item() == pytest.approx(1) and weight.grad.isfinite()


def test_crops_of_one_box_per_picture():
    x = torch.arange(32.0).view(2, 1, 4, 4)
    cut = losses.crop(x, [(0, 0, 2, 2), (2, 1, 2, 2)])
    assert torch.equal(cut, torch.cat((x[:1, :, :2, :2], x[1:, :, 2:, 1:3])))
    for boxes in ([(0, 0, 2, 2), (0, 0, 2, 3)], [(0, 0, 1, 1)] * 3):
        with pytest.raises(ValueError, match="boxes must be one or 2, all of one size"):
            losses.crop(x, boxes)


def test_background_error_is_that_of_each_pictures_known_pixels():
    real, mask = torch.zeros(2, 3, 4, 4), torch.zeros(2, 1, 4, 4)
    mask[0, :, :2], mask[1, :, :3] = 1, 1
    prediction = real.clone()
    prediction[0], prediction[1] = 1, 3
    prediction[mask.expand_as(real) != 0] = 100
    assert losses.background_l1(prediction, real, mask).item() == pytest.approx(2)
    # Half a batch here and half there, then the mean: what two processes compute.
    halves = [
        losses.background_l1(*(x[i : i + 1] for x in (prediction, real, mask))) for i in (0, 1)
    ]
    assert sum(halves).item() / 2 == pytest.approx(2)


def test_hinge_patches_train_both_sides():
    torch.manual_seed(0)
    adversary = HingePatches(width=4)
    real, fake = torch.rand(2, 3, 64, 64), torch.rand(2, 3, 64, 64, requires_grad=True)
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., 20:40, 20:40] = 1
    loss, _ = adversary.critic_loss(real, fake.detach(), mask, [], torch.zeros(2, 2))
    loss.backward()
    assert all(p.grad is not None for p in adversary.parameters())
    adversary.generator_loss(fake, mask, [])[0].backward()
    assert fake.grad.abs().sum() > 0


def test_adam_is_tensorflows():
    data = read("adam_tf")
    options = {
        "lr": float(data["lr"]),
        "betas": (float(data["beta1"]), float(data["beta2"])),
        "eps": float(data["epsilon"]),
    }
    value = nn.Parameter(tensor(data, "v0"))
    optimizer = TFAdam([value], **options)
    for gradient, after in zip(data["gradients"], data["v_after"], strict=True):
        value.grad = torch.from_numpy(gradient)
        optimizer.step()
        np.testing.assert_allclose(value.detach().numpy(), after, rtol=1e-6, atol=1e-9)


def test_one_clock_for_all_groups_or_one_for_each():
    data = read("adam_tf")
    v, w = (nn.Parameter(tensor(data, "v0")) for _ in range(2))
    optimizer = TFAdam([{"params": [v]}, {"params": [w]}])
    for i in range(5):
        v.grad = torch.from_numpy(data["gradients"][i])
        optimizer.step()
    v.grad = None
    before = v.detach().clone()
    w.grad = torch.from_numpy(data["gradients"][0])
    optimizer.step()
    assert torch.equal(v, before)
    stored = data["shared_w_after_5v_then_1w"]
    np.testing.assert_allclose(w.detach().numpy(), stored, rtol=1e-6, atol=1e-9)
    powers = [beta ** (optimizer.param_groups[1]["updates"] + 1) for beta in (0.5, 0.9)]
    np.testing.assert_allclose(powers, data["shared_beta_powers"], rtol=1e-6)


def test_adam_goes_on_from_its_state():
    torch.manual_seed(0)
    gradients = torch.randn(6, 5)
    values = [nn.Parameter(torch.zeros(5)) for _ in range(2)]
    optimizers = [TFAdam([v]) for v in values]
    for i, gradient in enumerate(gradients):
        if i == 3:
            values[1] = nn.Parameter(values[1].detach().clone())
            state = optimizers[1].state_dict()
            optimizers[1] = TFAdam([values[1]])
            optimizers[1].load_state_dict(state)
        for value, optimizer in zip(values, optimizers, strict=True):
            value.grad = gradient.clone()
            optimizer.step()
    assert torch.equal(*values)


@pytest.mark.parametrize("options", [{"lr": -1}, {"betas": (1, 0.9)}, {"eps": -1}])
def test_adam_refuses_what_makes_no_sense(options):
    with pytest.raises(ValueError, match=f"{next(iter(options))} must be at least 0"):
        TFAdam([nn.Parameter(torch.zeros(1))], **options)
