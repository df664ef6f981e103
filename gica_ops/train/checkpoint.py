"""The state of a run in one file, which is there whole or not at all."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from ..files import write_whole

__all__ = ["Checkpoints", "optimizer_tensors", "restore_optimizer"]

NAME = re.compile(r"step-(\d{9})\.safetensors")


class Checkpoints:
    """The checkpoints of a run: `folder/step-*.safetensors`, the last few of them.

    A file holds tensors by name and, as its metadata, a JSON object. No pickle is read.
    """

    def __init__(self, folder: Path, keep: int = 2) -> None:
        self.folder = folder
        self.keep = keep

    def steps(self) -> list[int]:
        """The steps there are checkpoints of, ascending."""
        if not self.folder.is_dir():
            return []
        found = (NAME.fullmatch(path.name) for path in self.folder.iterdir())
        return sorted(int(match[1]) for match in found if match)

    def path(self, step: int) -> Path:
        return self.folder / f"step-{step:09d}.safetensors"

    def save(self, step: int, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
        """Write one, then remove all but the last few. Raises OSError; older ones then stay."""
        self.folder.mkdir(parents=True, exist_ok=True)
        on_cpu = {
            name: t.detach().to("cpu", copy=False).contiguous() for name, t in tensors.items()
        }
        data = safetensors.torch.save(on_cpu, metadata={"state": json.dumps(state)})
        write_whole(self.path(step), data)
        for old in self.steps()[: -self.keep]:
            self.path(old).unlink(missing_ok=True)

    def load(self) -> tuple[dict[str, Tensor], dict[str, Any], list[str]]:
        """The newest that can be read, and a sentence on each newer one that cannot.

        Raises ValueError, a sentence, where none can.
        """
        notes: list[str] = []
        for step in reversed(self.steps()):
            try:
                return *_read(self.path(step)), notes
            except (OSError, ValueError, KeyError, TypeError, safetensors.SafetensorError) as error:
                notes.append(f"checkpoint {str(self.path(step))!r} cannot be read: {error}")
        raise ValueError(notes[0] if notes else f"{str(self.folder)!r} holds no checkpoint")


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    with safetensors.safe_open(path, "pt") as file:
        state = json.loads(file.metadata()["state"])
        return {name: file.get_tensor(name) for name in file.keys()}, state  # noqa: SIM118


def optimizer_tensors(
    optimizer: torch.optim.Optimizer, named: dict[str, nn.Parameter]
) -> dict[str, Tensor]:
    """The optimiser's moments, named after the parameters they belong to."""
    return {
        f"{name}.{kind}": value
        for name, parameter in named.items()
        for kind, value in optimizer.state[parameter].items()
    }


def restore_optimizer(
    optimizer: torch.optim.Optimizer, named: dict[str, nn.Parameter], tensors: dict[str, Tensor]
) -> None:
    """The reverse of `optimizer_tensors`."""
    for name, parameter in named.items():
        for kind in ("exp_avg", "exp_avg_sq"):
            if f"{name}.{kind}" in tensors:
                stored = tensors[f"{name}.{kind}"]
                optimizer.state[parameter][kind] = torch.empty_like(parameter).copy_(stored)
