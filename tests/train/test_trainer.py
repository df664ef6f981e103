"""Whole runs in this process: what they compute, write, and go on from."""

from __future__ import annotations

import copy
import json

import pytest
import safetensors.torch
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from gica_ops.model import Generator, GeneratorConfig
from gica_ops.train.config import RECIPES, TrainConfig, read_config, with_options
from gica_ops.train.trainer import NonFiniteError, Trainer
from tests.train.runs import losses, run, tiny


def state(folder) -> dict[str, torch.Tensor]:
    """The tensors of the newest checkpoint."""
    newest = sorted((folder / "checkpoints").iterdir())[-1]
    return safetensors.torch.load_file(newest)


def assert_same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name


def close(one: list[dict], other: list[dict], relative: float) -> None:
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        assert a.keys() == b.keys()
        for name in a:
            assert a[name] == pytest.approx(b[name], rel=relative, abs=relative), (a["step"], name)


def test_a_run_leaves_losses_checkpoints_pictures_and_a_generator(tmp_path):
    lines = run(tiny(steps=3, sample_every=2, keep=2, save_seconds=0), tmp_path)
    assert [line["step"] for line in lines] == [1, 2, 3]
    assert {"l1", "background", "total", "critics", "penalty_local"} <= lines[0].keys()
    names = [p.name for p in sorted((tmp_path / "checkpoints").iterdir())]
    assert names == ["step-000000002.safetensors", "step-000000003.safetensors"]
    assert read_config(tmp_path / "config.json") == tiny(
        steps=3, sample_every=2, keep=2, save_seconds=0
    )
    generator = Generator.from_pretrained(tmp_path / "generator")
    stored = state(tmp_path)
    for name, p in generator.state_dict().items():
        assert torch.equal(p, stored[f"average.module.{name}"])
        assert not torch.equal(p, stored[f"generator.{name}"])
    events = EventAccumulator(str(tmp_path / "tensorboard"), {"images": 0})
    events.Reload()
    assert [e.step for e in events.Scalars("loss/total")] == [1, 2, 3]
    assert events.Scalars("speed/images_per_second")[0].value > 0
    for name in ("1_hole", "2_stage1", "4_result", "6_attention"):
        assert [e.step for e in events.Images(name)] == [2, 3]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"coarse_steps": 2, "lr_final": 0.1},
        {"adversary": "none", "data__per_batch_mask": False, "accumulate": 2, "workers": 1},
        {
            "adversary": "hinge", "generator__version": "v2", "data__masks": "free-form",
            "reconstruction__box": 0, "reconstruction__background": 0,
            "reconstruction__whole": 1, "shared_clock": False, "data__per_batch_mask": False,
        },
    ],
    ids=["wgan", "coarse first", "no adversary", "v2"],
)  # fmt: skip
def test_resumed_is_unbroken(tmp_path, changes):
    whole = run(tiny(steps=4, **changes), tmp_path / "whole")
    config = tiny(steps=4, save_seconds=0, keep=9, **changes)
    trainer = Trainer(config, tmp_path / "broken", quiet=True)
    trainer.log.step = stop_after(trainer, 2)  # type: ignore[method-assign]
    assert trainer.run() != 0
    assert len(losses(tmp_path / "broken")) == 2
    assert run(config, tmp_path / "broken") == whole
    assert_same(state(tmp_path / "broken"), state(tmp_path / "whole"))


def stop_after(trainer: Trainer, step: int):
    log = trainer.log.step

    def record(number, terms, pictures):
        log(number, terms, pictures)
        trainer.stopped = 15 if number == step else 0

    return record


def test_an_unreadable_checkpoint_gives_way_to_the_one_before(tmp_path):
    config = tiny(steps=4, save_seconds=0, keep=9, adversary="none")
    whole = run(config, tmp_path)
    files = sorted((tmp_path / "checkpoints").iterdir())
    end = state(tmp_path)
    for cut in (files[3].stat().st_size - 1, 100, 0):
        files[3].write_bytes(files[3].read_bytes()[:cut])
        files[2].write_bytes(b"\xff" * 64)
        trainer = Trainer(config, tmp_path, quiet=True)
        assert trainer.step == 2
        assert trainer.run() == 0
        assert losses(tmp_path) == whole
        assert_same(state(tmp_path), end)
    for path in files:
        path.write_bytes(b"")
    with pytest.raises(ValueError, match="checkpoint '.*' cannot be read"):
        Trainer(config, tmp_path, quiet=True)


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    run(tiny(steps=1, adversary="none"), tmp_path)
    with pytest.raises(ValueError, match="checkpoint is of another run"):
        Trainer(tiny(adversary="none", generator__cnum=8), tmp_path, quiet=True)


def test_lines_beyond_the_checkpoint_go(tmp_path):
    config = tiny(steps=2, adversary="none")
    whole = run(config, tmp_path)
    with open(tmp_path / "losses.jsonl", "a") as file:
        file.write(json.dumps({"step": 3, "total": 7}) + "\n" + '{"step": 4, "to')
    assert run(config, tmp_path) == whole


def test_parts_of_a_batch_are_the_batch(tmp_path):
    options = {"precision": "float64", "steps": 2}
    whole = run(tiny(**options), tmp_path / "whole")
    parts = run(tiny(**options, accumulate=2), tmp_path / "parts")
    close(parts, whole, 1e-9)
    separate = {**options, "data__per_batch_mask": False}
    whole = run(tiny(**separate), tmp_path / "whole2")
    close(run(tiny(**separate, accumulate=4), tmp_path / "parts2"), whole, 1e-9)


def test_kernels_and_reference_give_one_curve(tmp_path, cpu):
    """300 steps of it are a slow test; in float64 these few would show a wrong gradient."""
    options = {"precision": "float64", "steps": 3, "size": 48, "critic_steps": 1, "lr": 1e-3}
    kernels = run(tiny(**options, backend="cpu"), tmp_path / "kernels")
    reference = run(tiny(**options, backend="reference"), tmp_path / "reference")
    close(kernels, reference, 1e-9)


@pytest.mark.slow
@pytest.mark.parametrize(("precision", "noise"), [("float64", 1e-7), ("float32", 3e-2)])
def test_300_steps_with_kernels_and_reference_give_one_curve(tmp_path, cpu, precision, noise):
    options = {"precision": precision, "steps": 300, "size": 64, "critic_steps": 1}
    kernels = run(tiny(**options, backend="cpu"), tmp_path / "kernels")
    reference = run(tiny(**options, backend="reference"), tmp_path / "reference")
    totals = [[line["total"] for line in lines] for lines in (kernels, reference)]
    for step, (a, b) in enumerate(zip(*totals, strict=True), 1):
        assert a == pytest.approx(b, rel=noise), step
    assert sum(totals[0][-30:]) < 0.8 * sum(totals[0][:30])


def test_coarse_steps_train_the_first_stage_alone(tmp_path):
    config = tiny(steps=2, coarse_steps=2, ema=0)
    torch.manual_seed(config.seed)
    before = Generator(config.generator).state_dict()
    lines = run(config, tmp_path)
    assert "critics" not in lines[0]
    stored = state(tmp_path)
    for name, p in before.items():
        assert torch.equal(stored[f"generator.{name}"], p) == name.startswith("fine"), name
    assert not any("exp_avg" in name and ("fine" in name or "critic" in name) for name in stored)


def test_what_is_not_finite_stops_the_run_and_keeps_the_batch(tmp_path):
    config = tiny(steps=4, save_seconds=0)
    trainer = Trainer(config, tmp_path, quiet=True)
    trainer.log.step = stop_after(trainer, 2)  # type: ignore[method-assign]
    trainer.run()
    trainer = Trainer(config, tmp_path, quiet=True)
    weight = trainer.learner.generator.coarse.get_submodule("conv5").weight
    with torch.no_grad():
        weight[0, 0, 0, 0] = torch.inf
    before = copy.deepcopy(trainer.learner.generator.state_dict())
    with pytest.raises(NonFiniteError, match="not finite in step 3; its batch is in .*step 2"):
        trainer.run()
    assert_same(trainer.learner.generator.state_dict(), before)
    (path,) = tmp_path.glob("nonfinite-step-*.safetensors")
    assert safetensors.torch.load_file(path)["0.image"].shape == (4, 3, 32, 32)
    assert len(list((tmp_path / "checkpoints").iterdir())) == 2
    assert len(run(config, tmp_path)) == 4


def test_a_nan_in_the_critics_is_found_too(tmp_path):
    trainer = Trainer(tiny(steps=1), tmp_path, quiet=True)
    with torch.no_grad():
        trainer.learner.adversary.critic.local_critic.conv1.weight[0] = torch.nan
    with pytest.raises(NonFiniteError, match="critic_local"):
        trainer.run()


def test_bfloat16_trains_and_keeps_its_weights_in_float32(tmp_path):
    lines = run(tiny(steps=2, precision="bfloat16"), tmp_path)
    assert all(torch.tensor(list(line.values())).isfinite().all() for line in lines)
    assert all(t.dtype == torch.float32 for n, t in state(tmp_path).items() if "weight" in n)
    exact = run(tiny(steps=2), tmp_path / "exact")
    assert lines[0]["total"] == pytest.approx(exact[0]["total"], rel=2e-2)
    assert lines[0]["total"] != exact[0]["total"]


def test_training_goes_on_from_given_weights(tmp_path):
    torch.manual_seed(7)
    given = Generator.v1(4)
    trainer = Trainer(tiny(steps=1, lr=0.0, ema=0), tmp_path, generator=given, quiet=True)
    trainer.run()
    assert_same(Generator.from_pretrained(tmp_path / "generator").state_dict(), given.state_dict())
    with pytest.raises(ValueError, match="generator must be one of the run's config"):
        Trainer(tiny(), tmp_path / "other", generator=Generator.v1(8), quiet=True)


def test_given_weights_survive_a_run_killed_before_its_first_checkpoint(tmp_path):
    torch.manual_seed(7)
    given = Generator.v1(4)
    Trainer(tiny(ema=0), tmp_path, generator=given, quiet=True)
    again = Trainer(tiny(ema=0), tmp_path, quiet=True)
    assert again.step == 0
    assert_same(again.learner.generator.state_dict(), given.state_dict())


def test_a_checkpoint_without_its_state_is_unreadable(tmp_path):
    run(tiny(steps=1, adversary="none"), tmp_path)
    (path,) = (tmp_path / "checkpoints").iterdir()
    safetensors.torch.save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(ValueError, match="cannot be read"):
        Trainer(tiny(adversary="none"), tmp_path, quiet=True)


def test_training_learns(tmp_path):
    options = {"steps": 60, "coarse_steps": 60, "adversary": "none", "generator__cnum": 8}
    lines = run(tiny(**options, lr=3e-3, beta1=0.9, beta2=0.99), tmp_path)
    start, end = (sum(line["total"] for line in part) for part in (lines[:5], lines[-20:]))
    assert end / 20 < 0.85 * start / 5


def test_recipes_are_those_of_the_papers():
    v1, v2 = RECIPES["v1"], RECIPES["v2"]
    assert (v1.size, v1.batch, v1.lr, v1.beta1, v1.beta2) == (256, 16, 1e-4, 0.5, 0.9)
    assert (v1.critic_steps, v1.adversary, v1.penalty, v1.box()) == (5, "wgan-gp", 10, (128, 128))
    assert v1.generator == GeneratorConfig("v1", 32)
    assert v2.generator == GeneratorConfig("v2", 48) and v2.adversary == "hinge"


def test_configs_survive_json():
    for config in (*RECIPES.values(), tiny(), tiny(data__sources=["a", "b*2"])):
        assert TrainConfig.from_dict(json.loads(config.to_json())) == config


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"batch": "0"}, "batch must be at least 1, got 0"),
        ({"batch": "6", "accumulate": "4"}, "batch must be a multiple of accumulate"),
        ({"adversary": "gan"}, "adversary must be one of"),
        ({"precision": "float8"}, "precision must be one of"),
        ({"data.masks": "free-form"}, "data.masks must be boxes of one size"),
        ({"data.masks": "stars"}, "masks must be made of"),
        ({"ema": "1"}, "ema must be at least 0 and less than 1"),
        ({"generator.cnum": "3"}, "cnum must be a positive multiple"),
        ({"nothing": "1"}, "option 'nothing' is none of a training run's"),
        ({"generator": "{}"}, "option 'generator' is none"),
        ({"steps": '"many"'}, "steps must be an int, got str"),
    ],
)
def test_bad_options_are_sentences(options, words):
    with pytest.raises((TypeError, ValueError), match=words):
        with_options(TrainConfig(), options)
