"""Generators compiled, exported, to ONNX, in half types, copied: what comes out is the same."""

from __future__ import annotations

import copy
import io
import pickle
import types
import warnings

import numpy as np
import pytest
import torch
from torch import Tensor

from gica_ops.model import Generator, GeneratorConfig
from gica_ops.model import export as onnx_export
from gica_ops.model.export import export_onnx
from tests.command import gica

VERSIONS = {"v1": 4, "v2": 8}
# Of the kernels, so that pictures have contrast: initial weights make v2's next to black.
GAINS = {"v1": 1.2, "v2": 2.0}


def make(version: str, backend: str = "auto", seed: int = 0) -> Generator:
    """A small generator whose pictures have contrast."""
    generator = Generator(GeneratorConfig(version, VERSIONS[version]), backend=backend).eval()
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in generator.parameters():
            scale = 0.1 if p.dim() == 1 else GAINS[version] / p[0].numel() ** 0.5
            p.copy_(torch.randn(p.shape, generator=random) * scale)
    return generator


def picture(size: tuple[int, int] = (32, 48), batch: int = 2, seed: int = 0) -> list[Tensor]:
    random = torch.Generator().manual_seed(seed)
    image = torch.rand(batch, 3, *size, generator=random) * 2 - 1
    mask = torch.zeros(batch, 1, *size)
    for i in range(batch):
        mask[i, :, size[0] // 4 + i : size[0] // 2 + i, size[1] // 3 : size[1] // 2] = 1
    return [image, mask]


@pytest.fixture
def fresh_compiler():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def gradients(generator: Generator, stages: tuple[Tensor, ...]) -> list[Tensor]:
    generator.zero_grad()
    sum(s.square().sum() for s in stages).backward()
    return [p.grad.clone() for p in generator.parameters()]


slow = pytest.mark.slow


@pytest.mark.usefixtures("fresh_compiler")
@pytest.mark.parametrize(
    ("version", "name", "compiler"),
    [
        ("v1", "cpu", "aot_eager"),
        pytest.param("v2", "cpu", "aot_eager", marks=slow),
        pytest.param("v1", "reference", "aot_eager", marks=slow),
        pytest.param("v2", "reference", "aot_eager", marks=slow),
        pytest.param("v1", "cpu", "inductor", marks=slow),
    ],
)
def test_compiles_whole_forward_and_backward(version, name, compiler, cpu):
    generator = make(version, name)
    inputs = picture()
    wanted = generator(*inputs)
    slopes = gradients(generator, wanted)
    compiled = torch.compile(generator, fullgraph=True, backend=compiler)
    found = compiled(*inputs)
    for a, b in zip(found, wanted, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)
    for a, b in zip(gradients(generator, found), slopes, strict=True):
        assert (a - b).norm() <= 1e-4 * b.norm() + 1e-6


@pytest.mark.parametrize(
    ("version", "name"),
    [
        ("v1", "cpu"),
        pytest.param("v2", "cpu", marks=slow),
        pytest.param("v2", "reference", marks=slow),
    ],
)
def test_exports_with_any_batch_and_comes_back_from_a_file(version, name, cpu):
    generator = make(version, name).requires_grad_(False)
    batch = {0: torch.export.Dim("batch")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(
            generator, tuple(picture()), dynamic_shapes=(batch, batch), strict=False
        )
        file = io.BytesIO()
        torch.export.save(program, file)
        file.seek(0)
        again = torch.export.load(file)
    for count in (1, 3):
        inputs = picture(batch=count, seed=count)
        wanted = generator(*inputs)
        for module in (program.module(), again.module()):
            for a, b in zip(module(*inputs), wanted, strict=True):
                torch.testing.assert_close(a, b, rtol=0, atol=1e-6)


def run_onnx(path, *inputs: Tensor) -> list[np.ndarray]:
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert [i.name for i in session.get_inputs()] == ["image", "mask"]
    feed = {"image": inputs[0].numpy(), "mask": inputs[1].numpy()}
    return session.run(["stage1", "stage2"], feed)


def same_in_onnx(path, generator: Generator, inputs: list[Tensor]) -> None:
    with torch.no_grad():
        wanted = generator(*inputs)
    for a, b in zip(run_onnx(path, *inputs), wanted, strict=True):
        np.testing.assert_allclose(a, b.numpy(), rtol=0, atol=1e-5)


def test_convert_writes_onnx_files_that_compute_the_same(tmp_path):
    pytest.importorskip("onnxscript")
    generator = make("v1")
    generator.save_pretrained(tmp_path / "net")
    out = tmp_path / "net.onnx"
    done = gica("convert", tmp_path / "net", out, "--size", "30x41")
    assert done.returncode == 0, done.stderr
    assert "onnxruntime differs from PyTorch by" in done.stdout
    assert "torchvision" not in done.stderr
    same_in_onnx(out, generator, picture((30, 41), batch=3))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["net", "net.onnx"]
    # The comparison that was made sees another bias.
    with torch.no_grad():
        generator.fine.allconv17.bias[1] += 0.01
    off = onnx_export.difference(generator, out.read_bytes(), tuple(picture((30, 41))))
    assert 0.005 < off < 0.0101
    assert generator.backend == "auto" and all(p.requires_grad for p in generator.parameters())


@slow
@pytest.mark.parametrize("version", VERSIONS)
def test_one_onnx_file_for_all_sizes(tmp_path, version):
    pytest.importorskip("onnxscript")
    generator = make(version).half()
    worst = export_onnx(generator, tmp_path / "net.onnx")
    assert worst < 1e-5
    for i, size in enumerate([(16, 16), (40, 24), (64, 48), (104, 128)], 1):
        same_in_onnx(tmp_path / "net.onnx", copy.deepcopy(generator).float(), picture(size, i))


def test_onnx_files_that_cannot_be_are_sentences(tmp_path):
    (tmp_path / "there.onnx").write_text("mine")
    (tmp_path / "folder.onnx").mkdir()
    make("v1").save_pretrained(tmp_path / "net")
    cases = {
        ("there.onnx",): "OUT must be new",
        ("folder.onnx",): "OUT must be a file",
        ("no/net.onnx",): "does not exist",
        ("net.onnx", "--dtype=float16"): "--dtype must be float32",
        ("net.onnx", "--size=40"): "--size must be HEIGHTxWIDTH",
        ("net.onnx", "--size=0x40"): "size must be a height and a width of 1 to",
        ("net", "--size=40x40"): "--size is for an OUT that ends in .onnx",
    }
    before = sorted(tmp_path.rglob("*"))
    for (out, *options), words in cases.items():
        done = gica("convert", tmp_path / "net", tmp_path / out, *options)
        said = done.stderr
        assert done.returncode == 1, said
        assert words in said and said.count("\n") == 1, said
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "there.onnx").read_text() == "mine"


def test_a_missing_package_is_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_export.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install gica_ops\[onnx\]"):
        export_onnx(make("v1"), tmp_path / "net.onnx", (16, 16))


@pytest.mark.parametrize("off", [0.01, float("nan")])
@pytest.mark.parametrize("first", [True, False])
def test_an_onnx_file_that_differs_is_not_written(tmp_path, monkeypatch, off, first):
    pytest.importorskip("onnxruntime")
    differences = iter([off, 0.0] if first else [0.0, off])
    model = types.SimpleNamespace(SerializeToString=lambda: b"")
    monkeypatch.setattr(onnx_export, "trace", lambda *_: model)
    monkeypatch.setattr(onnx_export, "difference", lambda *_: next(differences))
    with pytest.raises(ValueError, match="onnxruntime must differ from PyTorch by at most 0.001"):
        export_onnx(make("v1"), tmp_path / "net.onnx")
    assert not list(tmp_path.iterdir())


# Largest error in a picture of -1 to 1, beside float32.
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("dtype", "most"), [(torch.bfloat16, 0.05), (torch.float16, 0.006)])
@pytest.mark.parametrize("way", ["autocast", "weights"])
def test_half_types_are_near_float32(version, dtype, most, way, backend):
    generator = make(version, backend)
    image, mask = picture((64, 64))
    with torch.no_grad():
        wanted = generator(image, mask)
        if way == "autocast":
            with torch.autocast("cpu", dtype):
                found = generator(image, mask)
        else:
            found = copy.deepcopy(generator).to(dtype)(image.to(dtype), mask.to(dtype))
    for a, b in zip(found, wanted, strict=True):
        assert a.dtype == (torch.float32 if way == "autocast" else dtype)
        error = (a.float() - b).abs().max()
        assert 0 < error < most


def test_trains_under_autocast():
    generator = make("v1").train()
    inputs = picture()
    slopes = gradients(generator, generator(*inputs))
    with torch.autocast("cpu", torch.bfloat16):
        stages = generator(*inputs)
    for a, b in zip(gradients(generator, stages), slopes, strict=True):
        assert a.dtype == torch.float32
        assert torch.nn.functional.cosine_similarity(a.flatten(), b.flatten(), 0) > 0.98


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("size", [(32, 48), (30, 41)])
def test_layouts_of_inputs_and_weights_change_nothing(version, size):
    generator = make(version)
    image, mask = picture(size)
    last = copy.deepcopy(generator).to(memory_format=torch.channels_last)
    strided = torch.cat((image, image), 3)[..., : size[1]]
    with torch.no_grad():
        wanted = generator(image, mask)
        for network, x in (
            (generator, image.to(memory_format=torch.channels_last)),
            (last, image),
            (last, image.to(memory_format=torch.channels_last)),
            (generator, strided),
        ):
            for a, b in zip(network(x, mask), wanted, strict=True):
                torch.testing.assert_close(a, b, rtol=0, atol=1e-5)


@pytest.mark.parametrize("version", VERSIONS)
def test_copies_are_the_same_network_and_their_own(version):
    generator = make(version, "reference")
    inputs = picture()
    with torch.no_grad():
        wanted = generator(*inputs)
        file = io.BytesIO()
        torch.save(generator.state_dict(), file)
        file.seek(0)
        loaded = make(version)
        loaded.load_state_dict(torch.load(file, weights_only=True))
        copies = [copy.deepcopy(generator), pickle.loads(pickle.dumps(generator)), loaded]
        for network in copies:
            assert network.config == generator.config
            for a, b in zip(network(*inputs), wanted, strict=True):
                torch.testing.assert_close(a, b, rtol=0, atol=1e-6)
        assert [n.backend for n in copies] == ["reference", "reference", "auto"]
        for network in copies:
            for p in network.parameters():
                p.zero_()
        for a, b in zip(generator(*inputs), wanted, strict=True):
            assert torch.equal(a, b)


def test_functional_call_takes_other_weights():
    generator, other = make("v1"), make("v1", seed=1)
    inputs = tuple(picture())
    state = {name: p.detach() for name, p in other.named_parameters()}
    found = torch.func.functional_call(generator, state, inputs)
    for a, b in zip(found, other(*inputs), strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(found[1], generator(*inputs)[1])
