"""What `gica train` says and refuses."""

from __future__ import annotations

import sys

import pytest
from PIL import Image

from gica_ops import cli
from tests.train.runs import losses, options, tiny


@pytest.fixture
def gica(monkeypatch, capsys):
    """The command, in this process: its exit code, and what it wrote to stdout and stderr."""

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["gica", "train", *arguments])
        with pytest.raises(SystemExit) as left:
            cli.main()
        said = capsys.readouterr()
        return int(left.value.code or 0), said.out, said.err

    return call


def test_misuse_is_a_sentence(tmp_path, gica):
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "bad.json").write_text('{"steps": 0}')
    (tmp_path / "file").write_text("")
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "a.png").write_bytes(b"no picture")
    new = f"--output={tmp_path / 'new'}"
    cases = [
        ([new, "--config=v3"], "config must be v1, v2 or a JSON file"),
        ([new, f"--config={tmp_path / 'broken.json'}"], "config must be v1, v2 or a JSON file"),
        ([new, f"--config={tmp_path / 'bad.json'}"], "steps must be at least 1, got 0"),
        ([f"--output={tmp_path}"], "must be new or empty"),
        ([f"--output={tmp_path / 'file'}"], "must be new or empty"),
        ([f"--output={tmp_path / 'empty'}", "--resume"], "holds no run"),
        ([new, "--resume", "--data=dead-leaves"], "--resume takes everything from the folder"),
        ([new, "--data", str(tmp_path / "missing")], str(tmp_path / "missing")),
        ([new, "--data", str(tmp_path / "empty")], str(tmp_path / "empty")),
        ([new, "--set", "batch"], "must be NAME=VALUE"),
        ([new, "--set", "speed=9"], "option 'speed' is none"),
        ([new, "--init", str(tmp_path / "missing")], "must be a folder"),
    ]
    for arguments, words in cases:
        code, _, said = gica(*arguments)
        assert code in (1, 2), (arguments, said)
        assert words in " ".join(said.split()) and "Traceback" not in said, (arguments, said)
        assert not (tmp_path / "new").exists(), arguments
    # What only reading tells comes when reading, and leaves a run that --resume can go on with.
    broken = ["--data", str(tmp_path / "pictures"), "--set", "workers=0", "--quiet"]
    code, _, said = gica(new, *broken)
    assert code == 1 and said.startswith("error: ") and "pictures" in said


def test_corrupt_pictures_are_passed_over_and_named(tmp_path, gica):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for i in range(3):
        Image.effect_noise((40, 48), 60 + i).convert("RGB").save(pictures / f"{i}.png")
    whole = (pictures / "0.png").read_bytes()
    (pictures / "cut.png").write_bytes(whole[: len(whole) // 2])
    config = tiny(steps=4, adversary="none", data__sources=[str(pictures)])
    arguments = [a for a in options(config, tmp_path / "run") if a != "--quiet"]
    code, out, said = gica(*arguments)
    assert code == 0 and "cut.png" in said and len(losses(tmp_path / "run")) == 4
    assert "images/s" in said and "4 steps" in out


def test_without_the_extra_it_says_what_to_install(tmp_path, gica, monkeypatch):
    monkeypatch.delitem(sys.modules, "gica_ops.train.trainer", raising=False)
    monkeypatch.setitem(sys.modules, "accelerate", None)
    code, _, said = gica(f"--output={tmp_path / 'run'}", "--quiet")
    assert code == 1 and "pip install 'gica_ops[train]'" in said and "Traceback" not in said


def test_show_config_prints_what_config_takes(tmp_path, gica):
    _, out, _ = gica("--config=v2", "--set", "batch=2", "--show-config", "--output=x")
    (tmp_path / "config.json").write_text(out)
    _, again, _ = gica(f"--config={tmp_path / 'config.json'}", "--show-config", "--output=x")
    assert again == out and '"batch": 2' in out
