"""`gica convert`: what it writes, what it says, what it leaves behind."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
import safetensors.torch
import torch

from gica_ops.model import Generator, load_tf_variables, swap_rgb
from gica_ops.model.tf_checkpoint import list_tf_checkpoint, read_tf_checkpoint
from tests.command import gica
from tests.golden import FOLDER
from tests.golden_networks import read, seeded
from tests.held import kill_in
from tests.model import tf_writer
from tests.model.test_ports import PORTS, port_state

SMALL = FOLDER / "checkpoint_v1_training_small"
FILES = {"model.safetensors", "config.json"}


convert = partial(gica, "convert")


def test_the_original_s_weights_end_to_end(tmp_path):
    """TensorFlow's index, data drawn from its seed, and the pictures TensorFlow made of it."""
    checkpoint = tmp_path / "checkpoint"
    shutil.copytree(FOLDER / "checkpoint_v1_generator_cnum32", checkpoint)
    drawn = seeded(list_tf_checkpoint(checkpoint), seed=1001, gain=1.2, bias_std=0.1)
    data = b"".join(drawn[name].tobytes() for name in sorted(drawn))
    (checkpoint / "model.ckpt.data-00000-of-00001").write_bytes(data)
    done = convert(checkpoint, tmp_path / "out")
    assert (done.returncode, done.stderr) == (0, "")
    assert "v1, cnum 32, 3,601,542 parameters" in done.stdout and "from BGR to RGB" in done.stdout
    golden = {name: torch.tensor(value) for name, value in read("generator_v1_cnum32_64x64").items()
              if name in ("x", "mask", "x_stage1", "x_stage2")}  # fmt: skip
    generator = Generator.from_pretrained(tmp_path / "out")
    with torch.no_grad():
        stages = generator(golden["x"].flip(1), golden["mask"])
    for stage, name in zip(stages, ("x_stage1", "x_stage2"), strict=True):
        torch.testing.assert_close(stage.flip(1), golden[name], rtol=0, atol=5e-5)


@pytest.mark.parametrize("form", ["", "snap-1", "snap-1.index", "snap-1.data-00000-of-00001"])
def test_every_form_of_a_checkpoint_s_name(tmp_path, form):
    out = tmp_path / "out"
    done = convert(SMALL / form, out)
    assert done.returncode == 0, done.stderr
    assert {p.name for p in out.iterdir()} - {"README.md"} == FILES
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    original = Generator.v1(cnum=4)
    load_tf_variables(original, read_tf_checkpoint(SMALL))
    expected = swap_rgb(original.state_dict())
    state = Generator.from_pretrained(out).state_dict()
    assert all(torch.equal(state[name], expected[name]) for name in expected)


def test_dtype_and_channels(tmp_path):
    done = convert(SMALL, tmp_path / "out", "--dtype", "float16", "--channels", "rgb")
    assert done.returncode == 0 and "as they are" in done.stdout and "float16" in done.stdout
    tensors = safetensors.torch.load_file(tmp_path / "out" / "model.safetensors")
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float16}
    kernel = read_tf_checkpoint(SMALL)["inpaint_net/conv1/kernel"].transpose(3, 2, 0, 1)
    assert np.array_equal(tensors["coarse.conv1.weight"].numpy(), kernel.astype(np.float16))


@pytest.mark.parametrize("port", PORTS)
@pytest.mark.parametrize("channels", ["auto", "bgr"])
def test_ports(tmp_path, port, channels):
    generator = Generator(PORTS[port][1])
    torch.save({"G": port_state(port, generator)}, tmp_path / "weights.pth")
    done = convert(tmp_path / "weights.pth", tmp_path / "out", "--channels", channels)
    assert done.returncode == 0, done.stderr
    config = generator.config
    assert f"{config.version}, cnum {config.cnum}" in done.stdout
    assert f"padding {config.padding!r}, attention {config.semantics!r}" in done.stdout
    written = json.loads((tmp_path / "out" / "config.json").read_text())
    assert (written["padding"], written["semantics"]) == (config.padding, config.semantics)
    expected = generator.state_dict()
    expected = swap_rgb(expected) if channels == "bgr" else expected
    state = Generator.from_pretrained(tmp_path / "out").state_dict()
    assert all(torch.equal(state[name], expected[name]) for name in expected)


def test_v2_of_tensorflow_without_a_critic(tmp_path):
    generator = Generator.v2(cnum=8)
    shapes = {}
    for layer, module in generator.named_modules():
        if isinstance(module, torch.nn.Conv2d):
            name = layer.split(".")[1]
            name = (
                f"inpaint_net/{name}/{name}_conv" if "upsample" in name else f"inpaint_net/{name}"
            )
            out, channels, height, width = module.weight.shape
            shapes |= {f"{name}/kernel": (height, width, channels, out), f"{name}/bias": (out,)}
    tf_writer.write(tmp_path / "model", seeded(shapes, seed=3, gain=1.0, bias_std=0.1), shards=2)
    done = convert(tmp_path / "model", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "v2, cnum 8" in done.stdout
    assert Generator.from_pretrained(tmp_path / "out").config == generator.config


def test_what_is_there_is_kept_unless_overwriting_is_asked_for(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    assert convert(SMALL, out).returncode == 0  # empty
    (out / "notes.txt").write_text("mine")
    before = {p.name: p.read_bytes() for p in out.iterdir()}
    done = convert(SMALL, out, "--dtype", "float16")
    assert (
        done.returncode == 1
        and "OUT must be new or empty" in done.stderr
        and done.stderr.count("\n") == 1
    )
    assert {p.name: p.read_bytes() for p in out.iterdir()} == before
    assert convert(SMALL, out, "--dtype", "float16", "--overwrite").returncode == 0
    after = {p.name: p.read_bytes() for p in out.iterdir()}
    assert after["notes.txt"] == b"mine" and after.keys() == before.keys()
    assert len(after["model.safetensors"]) < len(before["model.safetensors"])


def test_bad_input_is_a_sentence_and_writes_nothing(tmp_path):
    cut = tmp_path / "cut"
    shutil.copytree(SMALL, cut)
    with open(cut / "snap-1.data-00000-of-00001", "r+b") as file:
        file.truncate(100_000)
    shutil.copytree(SMALL, tmp_path / "half")
    with open(tmp_path / "half" / "snap-1.index", "r+b") as file:
        file.truncate(5000)
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.pth").write_text("no weights")
    (tmp_path / "file").write_text("a file")
    tf_writer.write(tmp_path / "other", {"net/kernel": np.zeros((3, 3, 2, 2), np.float32)})
    huge = {"inpaint_net/conv1/kernel": np.full((5, 5, 5, 4), np.float32(1e30))}
    big = {**read_tf_checkpoint(SMALL / "snap-1"), **huge}
    tf_writer.write(tmp_path / "big", {n: v for n, v in big.items() if n.startswith("inpaint")})
    cases = {
        (cut, "out"): "too few for what its index lists",
        (tmp_path / "half", "out"): "does not end as an index file does",
        (tmp_path / "empty", "out"): "has no file 'checkpoint'",
        (tmp_path / "missing", "out"): "does not exist, neither as a file nor as",
        (tmp_path / "missing.index", "out"): "has no file",
        (tmp_path / "text.pth", "out"): "are refused",
        (tmp_path / "other", "out"): "holds no generator",
        (tmp_path / "big", "out", "--dtype=float16"): "not finite in float16",
        (SMALL, "file"): "OUT must be a folder",
        (SMALL, "no/folder"): "does not exist",
    }
    before = sorted(tmp_path.rglob("*"))
    for (checkpoint, out, *options), sentence in cases.items():
        done = convert(checkpoint, tmp_path / out, *options)
        assert done.returncode == 1 and done.stdout == "", checkpoint
        assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1, done.stderr
        assert sentence in done.stderr, done.stderr
        assert sorted(tmp_path.rglob("*")) == before, checkpoint
    assert convert(SMALL, tmp_path / "out", "--dtype", "int8").returncode == 2
    assert convert(SMALL).returncode == 2


@pytest.mark.parametrize(
    "kill", [signal.SIGTERM, pytest.param(signal.SIGKILL, marks=pytest.mark.slow)]
)
def test_a_killed_process_leaves_nothing_half_written(tmp_path, kill):
    kill_in("os", "replace", ["convert", str(SMALL), str(tmp_path / "out")], kill)
    left = {path.name for path in tmp_path.iterdir()}
    # Nothing can tidy up after SIGKILL, but what is left then is not the output.
    assert "out" not in left and (not left or kill == signal.SIGKILL)


def test_as_a_process(tmp_path):
    command = [sys.executable, "-m", "gica_ops.cli", "convert"]
    done = subprocess.run(
        [*command, str(SMALL), str(tmp_path / "out")], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith(f"{tmp_path / 'out'}: written, float32\n")
