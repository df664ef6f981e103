"""`gica convert`: weights of the original or of a port for the other commands; ONNX files."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from ..model import Generator

__all__ = ["convert"]


@click.command()
@click.argument("checkpoint", metavar="CHECKPOINT")
@click.argument("out", metavar="OUT")
@click.option(
    "--dtype",
    type=click.Choice(["float32", "float16"]),
    default="float32",
    show_default=True,
    help="Of the weights written.",
)
@click.option(
    "--channels",
    type=click.Choice(["auto", "rgb", "bgr"]),
    default="auto",
    show_default=True,
    help="What the weights expect; auto: bgr for TensorFlow, rgb for ports.",
)
@click.option(
    "--size",
    metavar="HEIGHTxWIDTH",
    help="Of the pictures that an ONNX file takes; default: any multiple of 8.",
)
@click.option("--overwrite", is_flag=True, help="Write OUT even if there is something.")
def convert(
    checkpoint: str, out: str, dtype: str, channels: str, size: str | None, overwrite: bool
) -> None:
    """Turn weights into a generator's folder or an ONNX file.

    Writes the generator in CHECKPOINT to the folder OUT: model.safetensors and config.json.

    CHECKPOINT is a TensorFlow checkpoint of the original (what its files' names begin with, one of
    the files, or their folder), the file of a PyTorch port, or a folder with model.safetensors,
    which this command and `gica train` (in RUN/generator) write. OUT must be new or empty.

    Where OUT ends in .onnx it becomes an ONNX file, which is checked against PyTorch. That takes
    some minutes for pictures of any size, and less with --size.
    """
    to_onnx = out.endswith(".onnx")
    height_width = None if size is None else parse_size(size)
    if to_onnx:
        check_file(Path(out), dtype, overwrite)
    else:
        check_folder(Path(out), size, overwrite)
    kind, network, bgr = read(checkpoint)
    swap = channels == "bgr" or (bgr and channels == "auto")
    finish(network, checkpoint, dtype, swap)
    if to_onnx:
        from ..model.export import export_onnx

        worst = export_onnx(network, out, height_width)
    else:
        write(network, Path(out))
    config, count = network.config, sum(p.numel() for p in network.parameters())
    click.echo(f"{checkpoint}: {kind}, {config.version}, cnum {config.cnum}, {count:,} parameters")
    click.echo(f"padding {config.padding!r}, attention {config.semantics!r}")
    click.echo("channels turned from BGR to RGB" if swap else "channels left as they are, RGB")
    if to_onnx:
        click.echo(
            f"onnxruntime differs from PyTorch by {worst:.1g} at most, pictures being -1 to 1"
        )
    click.echo(f"{out}: written, {dtype}")


def read(checkpoint: str) -> tuple[str, Generator, bool]:
    """What CHECKPOINT is, its generator, and whether that one works on BGR."""
    from ..model import Generator
    from ..model.tf_checkpoint import is_tf_checkpoint

    if os.path.isfile(os.path.join(checkpoint, "model.safetensors")):
        return "a generator's folder", Generator.from_pretrained(checkpoint), False
    if is_tf_checkpoint(checkpoint):
        return "TensorFlow checkpoint", from_tensorflow(checkpoint), True
    if not os.path.exists(checkpoint):
        raise ValueError(
            f"CHECKPOINT {checkpoint!r} does not exist, neither as a file nor as {checkpoint}.index"
        )
    return "weights of a PyTorch port", from_port(checkpoint), False


def parse_size(text: str) -> tuple[int, int]:
    """HEIGHTxWIDTH in pixels. Raises ValueError, a sentence."""
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text)
    if match is None:
        raise ValueError(f"--size must be HEIGHTxWIDTH, such as 256x320, got {text!r}")
    return int(match[1]), int(match[2])


def check_folder(out: Path, size: str | None, overwrite: bool) -> None:
    """Raises ValueError, a sentence, unless a network may be written there."""
    if size is not None:
        raise ValueError(f"--size is for an OUT that ends in .onnx, got {str(out)!r}")
    if out.exists() and not out.is_dir():
        raise ValueError(f"OUT must be a folder, but {str(out)!r} is a file")
    if out.is_dir() and any(out.iterdir()) and not overwrite:
        raise ValueError(f"OUT must be new or empty, but {str(out)!r} holds files (--overwrite)")
    check_parent(out)


def check_file(out: Path, dtype: str, overwrite: bool) -> None:
    """Raises ValueError, a sentence, unless an ONNX file may be written there."""
    if dtype != "float32":
        raise ValueError(f"--dtype must be float32 for an ONNX file, got {dtype}")
    if out.is_dir():
        raise ValueError(f"OUT must be a file, but {str(out)!r} is a folder")
    if out.exists() and not overwrite:
        raise ValueError(f"OUT must be new, but {str(out)!r} is there (--overwrite)")
    check_parent(out)


def check_parent(out: Path) -> None:
    """Raises ValueError, a sentence, unless something may be made beside OUT."""
    parent = Path(os.path.realpath(out)).parent
    if not parent.is_dir():
        raise ValueError(f"folder {str(parent)!r}, where OUT is to be, does not exist")
    if not os.access(parent, os.W_OK):
        raise ValueError(f"folder {str(parent)!r} is not writable")


def from_tensorflow(checkpoint: str) -> Generator:
    """The generator of a TensorFlow checkpoint, as the original has it: BGR."""
    import torch

    from ..model import Generator
    from ..model.tf_checkpoint import list_tf_checkpoint, read_tf_checkpoint
    from ..model.tf_names import generator_config, generator_names, tf_name, tf_state_dict

    shapes = list_tf_checkpoint(checkpoint)
    names = generator_names(shapes)
    if not names:
        raise ValueError(f"checkpoint {checkpoint!r} holds no generator, nothing in inpaint_net/")
    variables = read_tf_checkpoint(checkpoint, names)
    kernels = (shapes.get(tf_name(f"{n}.weight"), ()) for n in ("coarse.conv1", "fine.xconv1"))
    # (height, width, in, out) to (out, in, height, width)
    first, branch = ((*kernel[:1:-1], *kernel[:2]) for kernel in kernels)
    try:
        config = generator_config(first, branch)
        with torch.device("meta"):
            network = Generator(config)
        state = tf_state_dict(network, variables)
    except ValueError as error:
        raise ValueError(f"checkpoint {checkpoint!r} cannot be converted: {error}") from None
    network.load_state_dict(state, assign=True)
    return network


def from_port(checkpoint: str) -> Generator:
    """The generator in a port's file."""
    import torch

    from ..model import Generator
    from ..model.ports import read_port_state_dict

    config, state = read_port_state_dict(checkpoint)
    with torch.device("meta"):
        network = Generator(config)
    network.load_state_dict(state, assign=True)
    return network


def finish(network: Generator, checkpoint: str, dtype: str, swap: bool) -> None:
    """Turns BGR to RGB where that is asked for, and changes the dtype."""
    import torch

    from ..model.tf_names import swap_rgb

    if swap:
        network.load_state_dict(swap_rgb(network.state_dict()), assign=True)
    network.to(getattr(torch, dtype))
    if not all(bool(torch.isfinite(p).all()) for p in network.parameters()):
        raise ValueError(f"{checkpoint!r} holds weights that are not finite in {dtype}")


def write(network: Generator, out: Path) -> None:
    """The network in a folder: a new one is there whole or not at all, an old one file by file."""
    out = Path(os.path.realpath(out))
    part = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        network.save_pretrained(part)
        if not out.is_dir() or not any(out.iterdir()):
            os.replace(part, out)
        else:
            for file in sorted(part.iterdir()):
                os.replace(file, out / file.name)
    finally:
        shutil.rmtree(part, ignore_errors=True)
