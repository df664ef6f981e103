"""Three steps of the original's training: losses, weights and the optimiser's state after them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gica_ops.model import Generator, complete, load_tf_variables, tf_names
from gica_ops.model.tf_checkpoint import read_tf_checkpoint
from gica_ops.train.adversary import WassersteinBoxes
from gica_ops.train.optimizer import TFAdam
from gica_ops.train.reconstruction import Reconstruction
from tests.golden import FOLDER
from tests.golden_networks import read, seeded, tensor

CHECKPOINT = FOLDER / "checkpoint_v1_training_small" / "snap-1"
# A float64 derivation differs from the stored changes by up to this; float32 weights are rounded.
CHANGES, ROUNDING = 3e-8, 1.2e-7
# Of a variable's norm: gradients agree to 5e-5, and one slot holds their squares.
SLOTS = 1e-4
# Adam makes steps of full length of gradients that are next to nothing, rounding or not.
FAINT, FULL_STEPS = 1e-6, 2e-4
# Part of these biases' gradient cancels exactly: what is left is rounding.
NOISE = {f"discriminator/discriminator_{side}/conv4/bias" for side in ("local", "global")}


class GoldenTraining:
    """Two steps of the critics and one of the generator, on the same pictures, in float64."""

    def __init__(self) -> None:
        self.data = read("checkpoint_v1_training_small_expected")
        self.stored = read_tf_checkpoint(CHECKPOINT)
        self.start: dict[str, np.ndarray] = {}
        self.boxes = [tuple(int(n) for n in self.data["bbox"])]
        top, left, height, width = self.boxes[0]
        self.real = tensor(self.data, "images", torch.float64) / 127.5 - 1
        self.mask = torch.zeros(1, 1, *self.real.shape[2:], dtype=torch.float64)
        self.mask[..., top : top + height, left : left + width] = 1
        self.generator = Generator.v1(int(self.data["cnum_generator"]))
        size, width = tuple(self.real.shape[2:]), int(self.data["cnum_discriminator"])
        self.adversary = WassersteinBoxes(size, self.boxes[0][2:], width)
        self.draw("generator", self.generator, "inpaint_net/")
        self.draw("discriminator", self.adversary.critic, "discriminator/")
        networks = nn.ModuleList((self.generator, self.adversary)).double()
        # One optimiser and one count of steps for both, as the original has it.
        self.optimizer = TFAdam(networks.parameters(), lr=float(self.stored["lr"]))
        self.alphas = torch.stack(
            [tensor(self.data, f"alpha_{side}", torch.float64) for side in ("local", "global")]
        )

    def draw(self, kind: str, network: nn.Module, scope: str) -> None:
        wanted = {tf_names.tf_name(name) for name, _ in network.named_parameters()}
        shapes = {n: v.shape for n, v in self.stored.items() if n in wanted}
        assert wanted == set(shapes) and all(n.startswith(scope) for n in shapes)
        options = [self.data[f"seed_{kind}"], self.data[f"gain_{kind}"], self.data["bias_std"]]
        variables = seeded(shapes, int(options[0]), float(options[1]), float(options[2]))
        self.start |= variables
        load_tf_variables(network, variables)

    def critic_loss(self) -> Tensor:
        with torch.no_grad():
            fake = complete(self.real, self.mask, self.generator(self.real, self.mask)[1])
        return self.adversary.critic_loss(self.real, fake, self.mask, self.boxes, self.alphas)[0]

    def generator_loss(self) -> Tensor:
        stage1, stage2 = self.generator(self.real, self.mask)
        fake = complete(self.real, self.mask, stage2)
        loss, _ = Reconstruction().loss(self.real, stage1, stage2, self.mask, self.boxes)
        return loss + 0.001 * self.adversary.generator_loss(fake, self.mask, self.boxes)[0]

    def step(self, loss: Tensor, network: nn.Module) -> float:
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward(inputs=list(network.parameters()))
        self.optimizer.step()
        return loss.item()

    def networks(self) -> list[nn.Module]:
        return [self.generator, self.adversary.critic]

    def slots(self, slot: str) -> dict[str, np.ndarray]:
        """One of the optimiser's slots in the checkpoint, by its variable's name."""
        ending = f"/{slot}"
        stored = self.stored.items()
        return {n.removesuffix(ending): v for n, v in stored if n.endswith(ending)}

    def here(self, network: nn.Module, variables: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
        """Values by the original's names, as a network's parameters are named and laid out.

        Those that are missing are NaN.
        """
        names = {tf_names.tf_name(name) for name, _ in network.named_parameters()}
        missing = {n: np.full(self.stored[n].shape, np.nan, np.float32) for n in names}
        known = {n: v for n, v in variables.items() if n in names}
        return tf_names.tf_state_dict(network, {**missing, **known})


@pytest.fixture(scope="module")
def trained() -> GoldenTraining:
    torch.set_num_threads(1)
    training = GoldenTraining()
    losses = [
        training.step(training.critic_loss(), training.adversary)
        for _ in range(int(training.data["n_d_steps"]))
    ]
    assert losses == pytest.approx(training.data["d_loss_before_each_step"].tolist(), rel=5e-6)
    loss = training.step(training.generator_loss(), training.generator)
    assert loss == pytest.approx(float(training.data["g_loss_before_step"]), rel=5e-6)
    return training


def test_losses_after_the_steps(trained):
    after = [trained.critic_loss().item(), trained.generator_loss().item()]
    assert after == pytest.approx(trained.data["d_loss_g_loss_after"].tolist(), rel=5e-6)


def test_every_variable_is_the_checkpoints(trained):
    compared = unclear = 0
    for network in trained.networks():
        stored, slots = (trained.here(network, v) for v in (trained.stored, trained.slots("Adam")))
        for name, p in network.named_parameters():
            if tf_names.tf_name(name) in NOISE:
                continue
            faint = (slots[name] != 0) & (slots[name].abs() < FAINT)
            bound = 1e-7 + ROUNDING * stored[name].abs() + FULL_STEPS * faint
            assert ((p - stored[name]).abs() <= bound).all(), name
            compared += p.numel()
            unclear += int(faint.sum())
    assert unclear < 2e-3 * compared


def test_changes_of_the_small_variables_are_the_originals(trained):
    deltas = {n.removeprefix("delta:"): v for n, v in trained.data.items() if "delta:" in n}
    compared = 0
    for network in trained.networks():
        changes, start = (trained.here(network, v) for v in (deltas, trained.start))
        for name, p in network.named_parameters():
            known = changes[name].isfinite()
            if tf_names.tf_name(name) in NOISE or not known.any():
                continue
            assert known.all()
            # The original kept float32 weights: its changes are those of rounded values.
            bound = CHANGES + ROUNDING * start[name].abs()
            found = p - start[name].double()
            assert ((found - changes[name]).abs() <= bound).all(), name
            compared += 1
    assert compared == len(deltas) - len(NOISE)


@pytest.mark.parametrize(("slot", "key"), [("Adam", "exp_avg"), ("Adam_1", "exp_avg_sq")])
def test_the_optimisers_slots_are_the_checkpoints(trained, slot, key):
    slots = trained.slots(slot)
    for network in trained.networks():
        stored = trained.here(network, slots)
        for name, p in network.named_parameters():
            if tf_names.tf_name(name) in NOISE:
                continue
            found = trained.optimizer.state[p][key]
            assert (found - stored[name]).norm() <= SLOTS * stored[name].norm() + 1e-12, name


def test_the_clock_is_the_checkpoints(trained):
    (group,) = trained.optimizer.param_groups
    for beta, name in zip(group["betas"], ("beta1_power", "beta2_power"), strict=True):
        assert beta ** (group["updates"] + 1) == pytest.approx(float(trained.stored[name]))
