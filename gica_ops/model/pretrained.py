"""Networks as folders: model.safetensors beside config.json, local or on the Hugging Face hub."""

from __future__ import annotations

import dataclasses
import json
import os
import tempfile
from pathlib import Path
from typing import Any, TypeVar

import safetensors
import safetensors.torch
import torch
from huggingface_hub import ModelCard, ModelHubMixin, constants, hf_hub_download
from torch import nn

from ..files import write_whole
from .config import GeneratorConfig

__all__ = ["Pretrained", "load_weights", "read_config"]

Self = TypeVar("Self", bound="Pretrained")

CARD = """
---
{{ card_data }}
---

# Inpainting network, {{ config.version }}, width {{ config.cnum }}

Fills the hole of a picture. The architecture is that of "{{ paper }}", as the Python package
`gica_ops` has it, with {{ parameters }} parameters.

```python
from gica_ops.model import Generator, complete

generator = Generator.from_pretrained("this folder, or owner/name of this repository")
stage1, stage2 = generator(image, mask)  # (B, 3, H, W) RGB in -1 to 1; (B, 1, H, W), 1 = hole
filled = complete(image, mask, stage2)
```

Its options, as in `config.json`:
{% for name, value in options.items() %}
* {{ name }}: {{ value }}
{%- endfor %}

This card was written with the weights. On what they were trained, how well they do and under which
licence they are is for whoever trained them to add.
"""
PAPERS = {
    "v1": "Generative Image Inpainting with Contextual Attention",
    "v2": "Free-Form Image Inpainting with Gated Convolution",
}


class Pretrained(
    ModelHubMixin,
    library_name="gica_ops",
    tags=["image-inpainting", "contextual-attention"],
    model_card_template=CARD,
):
    """What a `Generator` needs for `save_pretrained`, `from_pretrained` and `push_to_hub`."""

    config: GeneratorConfig

    @classmethod
    def from_pretrained(  # type: ignore[override]
        cls: type[Self],
        name: str | Path,
        *,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        backend: str = "auto",
        **download: Any,
    ) -> Self:
        """The network in a folder that `save_pretrained` wrote, or in a repository of the hub.

        name: the folder, or "owner/name" of a repository, which is fetched.
        dtype: of the parameters, whatever the file has.
        device, backend: where the network runs, and the backend of its attention.
        download: of `huggingface_hub.hf_hub_download`, such as `revision`, `cache_dir`, `token`
            and `local_files_only`.

        Returns it in evaluation mode. Raises ValueError, a sentence, for a folder that is missing
        or holds something else, for weights of another shape, and for a repository that cannot be
        fetched.
        """
        folder = Path(name)
        if not folder.is_dir():
            folder = fetch(str(name), **download)
        network = cls(read_config(folder), backend=backend)
        assert isinstance(network, nn.Module)
        load_weights(network, folder / constants.SAFETENSORS_SINGLE_FILE)
        return network.to(device=device, dtype=dtype).eval()

    def save_pretrained(
        self,
        save_directory: str | Path,
        *,
        push_to_hub: bool = False,
        repo_id: str | None = None,
        model_card_kwargs: dict[str, Any] | None = None,
        **options: Any,
    ) -> str | None:
        """Write model.safetensors, config.json, and README.md unless there is one, to a folder.

        All files are written before any takes its place: what was there stays whole if the disk
        is full.

        save_directory: the folder; it is made where it is missing.
        push_to_hub, repo_id, model_card_kwargs, options: as `huggingface_hub.ModelHubMixin` has
            them; the config is always the network's own.

        Returns None, or the address on the hub. Raises OSError.
        """
        folder = Path(save_directory)
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".", suffix=".part", dir=folder) as part:
            self._save_pretrained(Path(part))
            if not (folder / "README.md").exists():
                card = self.generate_model_card(**(model_card_kwargs or {}))
                write_whole(Path(part) / "README.md", str(card).encode())
            for path in sorted(Path(part).iterdir()):
                os.replace(path, folder / path.name)
        if push_to_hub:
            return self.push_to_hub(
                repo_id or folder.name, model_card_kwargs=model_card_kwargs, **options
            )
        return None

    def generate_model_card(self, *args: Any, **options: Any) -> ModelCard:
        """A README.md that says what the network is and how to load it."""
        assert isinstance(self, nn.Module)
        values = {
            "config": self.config,
            "options": dataclasses.asdict(self.config),
            "paper": PAPERS[self.config.version],
            "parameters": f"{sum(p.numel() for p in self.parameters()):,}",
        }
        return super().generate_model_card(*args, **{**values, **options})

    def _save_pretrained(self, save_directory: Path) -> None:
        assert isinstance(self, nn.Module)
        tensors = {name: t.detach().cpu().contiguous() for name, t in self.state_dict().items()}
        data = safetensors.torch.save(tensors, metadata={"format": "pt"})
        write_whole(save_directory / constants.SAFETENSORS_SINGLE_FILE, data)
        text = json.dumps(dataclasses.asdict(self.config), indent=2) + "\n"
        write_whole(save_directory / constants.CONFIG_NAME, text.encode())


def fetch(name: str, **download: Any) -> Path:
    """The folder of a repository's files. Raises ValueError, a sentence."""
    if name.count("/") != 1 or name.startswith((".", "/", "~")):
        raise ValueError(f"name must be a folder with a network in it, but {name!r} is none")
    try:
        for file in (constants.CONFIG_NAME, constants.SAFETENSORS_SINGLE_FILE):
            path = hf_hub_download(name, file, **download)
    # What the hub's client raises depends on the library that it speaks HTTP with.
    except Exception as error:
        first = str(error).strip().split("\n")[0]
        raise ValueError(
            f"{name!r} is no folder here, and as a repository it cannot be fetched: {first}"
        ) from None
    return Path(path).parent


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
        if not tensors[name].is_floating_point():
            raise ValueError(
                f"{source!r} must hold floating-point tensors, but {name} is {tensors[name].dtype}"
            )
    for name in tensors:
        if name not in wanted:
            raise ValueError(f"{source!r} is of another network: {name} is not in this one")
    network.load_state_dict(tensors)
