"""Small runs for the tests of the trainer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from gica_ops.data.loader import DataConfig
from gica_ops.model import GeneratorConfig
from gica_ops.train.config import TrainConfig, with_options
from gica_ops.train.trainer import Trainer

TINY = TrainConfig(
    generator=GeneratorConfig(cnum=4),
    data=DataConfig(sources=("dead-leaves",)),
    size=32,
    batch=4,
    steps=6,
    adversary_width=4,
    critic_steps=2,
    ema=0.9,
    workers=0,
    sample_every=100,
)


def tiny(**changes: Any) -> TrainConfig:
    """A run of a few steps on small pictures. Changes are options; dots become two underscores."""
    options = {name.replace("__", "."): json.dumps(value) for name, value in changes.items()}
    return with_options(TINY, options)


def run(config: TrainConfig, folder: Path, **options: Any) -> list[dict[str, float]]:
    """Train in this process; returns the lines of losses."""
    assert Trainer(config, folder, quiet=True, **options).run() == 0
    return losses(folder)


def losses(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "losses.jsonl").read_text().splitlines()]


def command(*arguments: str | Path, processes: int = 1) -> list[str]:
    python = [sys.executable]
    if processes > 1:
        python += ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    return [*python, "-m", "gica_ops.cli", "train", *map(str, arguments)]


def options(config: TrainConfig, folder: Path) -> list[str]:
    """The command's arguments for a config of its own in a new folder."""
    path = folder.with_suffix(".json")
    path.write_text(config.to_json())
    return [f"--config={path}", f"--output={folder}", "--quiet"]


def environment() -> dict[str, str]:
    """One thread a process: what is compared is then computed in one order."""
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def start(arguments: list[str], **more: Any) -> subprocess.Popen[str]:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(arguments, text=True, env=environment(), **pipes, **more)
