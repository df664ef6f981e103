"""Networks as folders: there and back, what is refused, and what a full disk leaves."""

from __future__ import annotations

import json
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import huggingface_hub
import pytest
import safetensors.torch
import torch

from gica_ops.model import Generator, GeneratorConfig

FILES = ["README.md", "config.json", "model.safetensors"]
CONFIGS = [
    GeneratorConfig("v1", 4),
    GeneratorConfig("v2", 8),
    GeneratorConfig("v1", 2, "symmetric", "mmagic", ksize=5, rate=1, softmax_scale=5.0, fuse=False),
]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def edit(folder: Path, **values: object) -> None:
    """Change options in a folder's config.json."""
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


@pytest.fixture
def saved(tmp_path) -> Path:
    Generator.v1(4).save_pretrained(tmp_path / "net")
    return tmp_path / "net"


@pytest.mark.parametrize("config", CONFIGS)
def test_there_and_back(tmp_path, config):
    generator = Generator(config)
    assert generator.save_pretrained(tmp_path / "some" / "folder") is None
    assert sorted(p.name for p in (tmp_path / "some" / "folder").iterdir()) == FILES
    again = Generator.from_pretrained(tmp_path / "some" / "folder", backend="reference")
    assert again.config == config and again.backend == "reference" and not again.training
    state = generator.state_dict()
    assert again.state_dict().keys() == state.keys()
    assert all(torch.equal(t, state[name]) for name, t in again.state_dict().items())


def test_weights_of_any_float_dtype_are_loaded_into_the_one_asked_for(tmp_path):
    generator = Generator.v1(4).half()
    generator.save_pretrained(tmp_path)
    stored = safetensors.torch.load_file(tmp_path / "model.safetensors")
    assert {t.dtype for t in stored.values()} == {torch.float16}
    for wanted in (torch.float32, torch.float64, torch.bfloat16):
        again = Generator.from_pretrained(tmp_path, dtype=wanted)
        assert {p.dtype for p in again.parameters()} == {wanted}
    again = Generator.from_pretrained(str(tmp_path))
    for name, p in again.named_parameters():
        assert p.dtype == torch.float32 and torch.equal(p, stored[name].float())


def test_the_card_says_what_the_network_is_and_a_card_that_is_there_stays(tmp_path):
    Generator.v2(8).save_pretrained(tmp_path)
    card = (tmp_path / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: gica_ops\n")
    assert "v2, width 8" in card and "115,258 parameters" in card and "* rate: 2\n" in card
    assert "pushed to the Hub" not in card and "{{" not in card
    (tmp_path / "README.md").write_text("mine")
    Generator.v1(4).save_pretrained(tmp_path)
    assert (tmp_path / "README.md").read_text() == "mine"
    assert Generator.from_pretrained(tmp_path).config == GeneratorConfig("v1", 4)


def test_a_folder_written_before_options_were_added(saved):
    (saved / "config.json").write_text('{"cnum": 4}')
    assert Generator.from_pretrained(saved).config == GeneratorConfig("v1", 4)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"depth": 3}, "must hold options of version, cnum, .*, got 'depth'"),
        ({"cnum": "four"}, "cnum must be an int, got str"),
        ({"cnum": 2.0}, "cnum must be an int, got float"),
        ({"version": ["v1"]}, "version must be one of 'v1', 'v2'"),
        ({"rate": None}, "rate must be an int, got NoneType"),
        ({"softmax_scale": "10"}, "softmax_scale must be a number, got str"),
        ({"cnum": 8}, r"coarse.conv1.weight must have shape \(8, 5, 5, 5\), got \(4, 5, 5, 5\)"),
        ({"version": "v2"}, "of another network"),
    ],
)
def test_a_config_that_makes_no_sense_is_a_sentence(saved, options, words):
    edit(saved, **options)
    with pytest.raises(ValueError, match=words) as caught:
        Generator.from_pretrained(saved)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "cannot be read as JSON"),
        ("", "cannot be read as JSON"),
        ("\x80", "cannot be read as JSON"),
        ("[" * 100_000, "cannot be read as JSON"),
        ("[1, 2]", "must hold a JSON object, got list"),
        ("null", "must hold a JSON object, got NoneType"),
    ],
)
def test_a_config_that_is_no_json_object_is_a_sentence(saved, text, words):
    (saved / "config.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match=words):
        Generator.from_pretrained(saved)


def test_files_that_are_missing_are_named(saved):
    (saved / "model.safetensors").unlink()
    with pytest.raises(ValueError, match="model.safetensors' are missing"):
        Generator.from_pretrained(saved)
    (saved / "config.json").unlink()
    with pytest.raises(ValueError, match="holds no network: config.json is missing"):
        Generator.from_pretrained(saved)
    with pytest.raises(ValueError, match="name must be a folder with a network in it"):
        Generator.from_pretrained(saved / "nowhere")


def damaged(data: bytes) -> dict[str, bytes]:
    length = int.from_bytes(data[:8], "little")
    return {
        "empty": b"",
        "cut in the length": data[:5],
        "cut in the header": data[: length // 2],
        "cut in the weights": data[:-1],
        "with more behind": data + b"\0",
        "of another kind": b"\x93NUMPY" * 1000,
        "of a huge header": (1 << 62).to_bytes(8, "little") + data[8:],
        "of a broken header": data[:8] + b"[" * length + data[8 + length :],
    }


def test_damaged_weights_are_a_sentence(saved):
    path = saved / "model.safetensors"
    for kind, data in damaged(path.read_bytes()).items():
        path.write_bytes(data)
        with pytest.raises(ValueError, match="cannot be read"):
            Generator.from_pretrained(saved)
            pytest.fail(kind)


def test_other_tensors_are_refused(saved):
    path = saved / "model.safetensors"
    tensors = safetensors.torch.load_file(path)
    name = "fine.pmconv3.bias"
    changed = {
        f"{name} is missing": {n: t for n, t in tensors.items() if n != name},
        "extra is not in this one": {**tensors, "extra": torch.zeros(1)},
        f"{name} must have shape": {**tensors, name: torch.zeros(3)},
        "must hold floating-point tensors": {**tensors, name: tensors[name].int()},
    }
    for words, others in changed.items():
        safetensors.torch.save_file(others, path)
        with pytest.raises(ValueError, match=words):
            Generator.from_pretrained(saved)


def cached(folder: Path, generator: Generator) -> None:
    """Lay a network into a cache of the hub's client, as fetching owner/name does."""
    repository = folder / "models--owner--name"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("a" * 40)
    generator.save_pretrained(repository / "snapshots" / ("a" * 40))


def test_a_repository_of_the_hub(tmp_path):
    generator = Generator.v1(4)
    cached(tmp_path, generator)
    again = Generator.from_pretrained("owner/name", cache_dir=tmp_path, local_files_only=True)
    assert torch.equal(again.state_dict()["fine.pmconv3.weight"], generator.fine.pmconv3.weight)


def test_a_repository_that_cannot_be_fetched_is_a_sentence(tmp_path):
    for name in ("nobody/nothing", "no body/no thing"):
        with pytest.raises(ValueError, match="is no folder here, and as a repository") as caught:
            Generator.from_pretrained(name, cache_dir=tmp_path, local_files_only=True)
        assert "\n" not in str(caught.value)


def test_offline_it_is_a_sentence_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ValueError, match="'nobody/nothing' is no folder here"):
        Generator.from_pretrained("nobody/nothing", cache_dir=tmp_path)


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Writing more than so many bytes to a file fails, as on a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_full_disk_leaves_the_old_files_whole(saved):
    before = contents(saved)
    wider = Generator.v1(8)
    with largest_file(100_000), pytest.raises(OSError, match="File too large"):
        wider.save_pretrained(saved)
    assert contents(saved) == before
    assert sorted(p.name for p in saved.iterdir()) == FILES
    wider.save_pretrained(saved)
    assert Generator.from_pretrained(saved).config.cnum == 8


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_an_os_error(saved):
    before = contents(saved)
    saved.chmod(0o500)
    with pytest.raises(OSError, match="Permission denied"):
        Generator.v1(8).save_pretrained(saved)
    saved.chmod(0o700)
    assert contents(saved) == before


def test_where_a_file_is_no_folder_can_be(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OSError):
        Generator.v1(4).save_pretrained(tmp_path / "file")
    assert contents(tmp_path) == {"file": b"mine"}
