"""Networks as folders: model.safetensors beside config.json, local or on the Hugging Face hub."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any, TypeVar

import safetensors
import safetensors.torch
import torch
from huggingface_hub import ModelHubMixin, constants, hf_hub_download
from torch import nn

from ..files import write_whole
from .config import GeneratorConfig

__all__ = ["Pretrained", "load_weights", "read_config"]

Self = TypeVar("Self", bound="Pretrained")


class Pretrained(
    ModelHubMixin,
    library_name="gica_ops",
    tags=["image-inpainting", "contextual-attention"],
    repo_url="https://arxiv.org/abs/1801.07892",
):
    """What a `Generator` needs for `save_pretrained`, `from_pretrained` and `push_to_hub`."""

    config: GeneratorConfig

    @classmethod
    def from_pretrained(cls: type[Self], name: str | Path, **options: Any) -> Self:  # type: ignore[override]
        """The network in a folder that `save_pretrained` wrote, or in a repository of the hub.

        name: the folder, or "owner/name" of a repository, which is fetched.
        options: `dtype` of the parameters (default float32, whatever the file has), `device`,
            `backend`, and those of `huggingface_hub.ModelHubMixin.from_pretrained`.

        Returns it in evaluation mode. Raises ValueError, a sentence, for a folder that is missing
        or holds something else, and for weights of another shape.
        """
        path = Path(name)
        is_repository = str(name).count("/") == 1 and not str(name).startswith((".", "/", "~"))
        if not path.is_dir() and not is_repository:
            raise ValueError(f"name must be a folder with a network in it, but {name} is none")
        return super().from_pretrained(str(name), **options)

    @classmethod
    def _from_pretrained(
        cls: type[Self],
        *,
        model_id: str,
        config: dict[str, Any] | None = None,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        backend: str = "auto",
        **download: Any,
    ) -> Self:
        if os.path.isdir(model_id):
            folder = Path(model_id)
        else:
            hf_hub_download(model_id, constants.CONFIG_NAME, **download)
            weights = hf_hub_download(model_id, constants.SAFETENSORS_SINGLE_FILE, **download)
            folder = Path(weights).parent
        network = cls(read_config(folder), backend=backend)  # type: ignore[call-arg]
        assert isinstance(network, nn.Module)
        load_weights(network, folder / constants.SAFETENSORS_SINGLE_FILE)
        return network.to(device=device, dtype=dtype).eval()  # type: ignore[return-value]

    def _save_pretrained(self, save_directory: Path) -> None:
        assert isinstance(self, nn.Module)
        tensors = {name: t.detach().cpu().contiguous() for name, t in self.state_dict().items()}
        data = safetensors.torch.save(tensors, metadata={"format": "pt"})
        write_whole(save_directory / constants.SAFETENSORS_SINGLE_FILE, data)
        text = json.dumps(dataclasses.asdict(self.config), indent=2) + "\n"
        write_whole(save_directory / constants.CONFIG_NAME, text.encode())


def read_config(folder: str | Path) -> GeneratorConfig:
    """The config of the network in a folder. Raises ValueError, a sentence."""
    path = Path(folder) / constants.CONFIG_NAME
    try:
        values = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise ValueError(f"{str(folder)!r} holds no network: {path.name} is missing") from None
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{str(path)!r} cannot be read as JSON: {error}") from None
    if not isinstance(values, dict):
        raise ValueError(f"{str(path)!r} must hold a JSON object, got {type(values).__name__}")
    try:
        return GeneratorConfig.from_dict(values)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{str(path)!r} is no generator's config: {error}") from None


def load_weights(network: nn.Module, path: str | Path) -> None:
    """Fill a network from a safetensors file, in the network's own dtype.

    Raises ValueError, a sentence, where the file is missing, cut off, or of another network; the
    network is then as it was.
    """
    try:
        tensors = safetensors.torch.load_file(path)
    except FileNotFoundError:
        raise ValueError(f"weights {str(path)!r} are missing") from None
    except (OSError, safetensors.SafetensorError) as error:
        raise ValueError(f"weights {str(path)!r} cannot be read: {error}") from None
    load_tensors(network, tensors, str(path))


def load_tensors(network: nn.Module, tensors: dict[str, torch.Tensor], source: str) -> None:
    """Fill a network from tensors by name. Raises ValueError and changes nothing if they differ."""
    wanted = network.state_dict()
    for name, tensor in wanted.items():
        if name not in tensors:
            raise ValueError(f"{source!r} is of another network: {name} is missing")
        if tensors[name].shape != tensor.shape:
            shapes = f"{tuple(tensor.shape)}, got {tuple(tensors[name].shape)}"
            raise ValueError(f"{source!r} is of another network: {name} must have shape {shapes}")
    for name in tensors:
        if name not in wanted:
            raise ValueError(f"{source!r} is of another network: {name} is not in this one")
    network.load_state_dict(tensors)
