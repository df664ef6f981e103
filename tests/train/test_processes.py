"""`gica train` as real processes: killed, stopped, two at once, short of disk."""

from __future__ import annotations

import random
import resource
import signal
import time
from pathlib import Path

import pytest

from gica_ops.train.config import TrainConfig
from tests.train.runs import command, losses, options, run, start, tiny

TIMEOUT = 120


def finish(arguments: list[str], code: int = 0, **more) -> tuple[str, str]:
    process = start(arguments, **more)
    out, err = process.communicate(timeout=TIMEOUT)
    assert process.returncode == code, err
    assert "Traceback" not in err or code == 0, err
    return out, err


def wait_for_step(process, folder: Path, step: int) -> None:
    """Until the run has written its line of this step."""
    path = folder / "losses.jsonl"
    end = time.monotonic() + TIMEOUT
    while time.monotonic() < end and process.poll() is None:
        if path.exists() and path.read_bytes().count(b"\n") >= step:
            return
        time.sleep(0.01)


def kill_and_resume(tmp_path: Path, config: TrainConfig, kills: int, seed: int) -> None:
    """Kill a run this often, each time at a random moment; its losses are the unbroken run's."""
    whole = run(config, tmp_path / "whole")
    dice = random.Random(seed)
    folder = tmp_path / "broken"
    arguments, done = options(config, folder), 0
    for _ in range(kills):
        process = start(command(*arguments))
        wait_for_step(process, folder, min(done + 1, config.steps - 1))
        time.sleep(dice.uniform(0, 0.3))
        process.kill()
        process.communicate()
        assert process.returncode in (-signal.SIGKILL, 0)
        if (folder / "losses.jsonl").exists() and (folder / "checkpoints").exists():
            kept = losses_whole(folder)
            done = len(kept)
            assert kept == whole[:done]
            arguments = [f"--output={folder}", "--resume", "--quiet"]
    assert run(config, folder) == whole
    assert not list(folder.rglob("*.part"))


def losses_whole(folder: Path) -> list[dict[str, float]]:
    """The lines that are whole: the last may have been cut off."""
    path = folder / "losses.jsonl"
    data = path.read_bytes()
    path.write_bytes(data[: data.rfind(b"\n") + 1])
    return losses(folder)


def test_killed_runs_go_on_as_if_unbroken(tmp_path):
    kill_and_resume(tmp_path, tiny(steps=12, save_seconds=0), kills=2, seed=0)


@pytest.mark.slow
def test_twenty_random_kills(tmp_path):
    config = tiny(steps=120, save_seconds=0.2, data__sources=["dead-leaves", "bundled"])
    kill_and_resume(tmp_path, config, kills=20, seed=1)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_run_finishes_its_step_and_says_how_to_go_on(tmp_path, number):
    config = tiny(steps=10_000, adversary="none", save_seconds=1000, workers=1)
    folder = tmp_path / "run"
    arguments = [a for a in options(config, folder) if a != "--quiet"]
    process = start(command(*arguments))
    wait_for_step(process, folder, 2)
    process.send_signal(number)
    _, said = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 128 + number, said
    assert "--resume goes on" in said and "Traceback" not in said
    (path,) = (folder / "checkpoints").iterdir()
    assert path.name == f"step-{len(losses(folder)):09d}.safetensors"


def test_two_processes_are_one(tmp_path):
    config = tiny(steps=3, precision="float64", data__per_batch_mask=False)
    one = run(config, tmp_path / "one")
    finish(command(*options(config, tmp_path / "two"), processes=2))
    same(losses(tmp_path / "two"), one)
    # One goes on where two were, as it would have from its own.
    longer = tiny(steps=4, precision="float64", data__per_batch_mask=False)
    same(run(longer, tmp_path / "two"), run(longer, tmp_path / "one"))


def test_processes_share_a_batch(tmp_path):
    """Each knows of the others: two that train for themselves would not mind an odd batch."""
    process = start(command(*options(tiny(batch=5), tmp_path / "run"), processes=2))
    _, said = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 1
    assert "batch must be a multiple of processes times accumulate, 2 * 1, got 5" in said


def test_processes_that_do_not_join_are_refused(tmp_path, monkeypatch):
    run(tiny(steps=1, adversary="none"), tmp_path / "one")  # Accelerate has made up its mind
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ValueError, match="2 processes were started, but Accelerate joins 1 on cpu"):
        run(tiny(steps=1), tmp_path / "two")
    assert not (tmp_path / "two").exists()


def same(found: list[dict[str, float]], wanted: list[dict[str, float]]) -> None:
    assert len(found) == len(wanted)
    for a, b in zip(found, wanted, strict=True):
        assert a == pytest.approx(b, rel=1e-9, abs=1e-12)


def test_a_full_disk_is_a_sentence_and_the_run_goes_on_later(tmp_path):
    config = tiny(steps=3, save_seconds=0, adversary="none")
    whole = run(config, tmp_path / "whole")
    folder = tmp_path / "run"
    run(tiny(steps=1, save_seconds=0, adversary="none"), folder)
    size = next((folder / "checkpoints").iterdir()).stat().st_size

    def short_of_disk() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, size // 2))

    again = [f"--output={folder}", "--resume", "--quiet", "--set", "steps=3"]
    _, said = finish(command(*again), code=1, preexec_fn=short_of_disk)
    assert said.splitlines()[-1].startswith("error: ") and "too large" in said
    assert [p.name for p in (folder / "checkpoints").iterdir()] == ["step-000000001.safetensors"]
    assert run(config, folder) == whole
