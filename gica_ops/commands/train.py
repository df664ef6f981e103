"""`gica train`: train a generator."""

from __future__ import annotations

import dataclasses
import json
import signal
import sys
from pathlib import Path

import click

__all__ = ["train"]


@click.command()
@click.option(
    "--config",
    metavar="NAME|FILE",
    help="v1 (the paper's recipe), v2 (gated, free-form holes), or a JSON file.  [default: v1]",
)
@click.option(
    "--data",
    multiple=True,
    metavar="SOURCE",
    help="A folder, list, pattern, tar shards, `dead-leaves` or `bundled`; may be repeated.  "
    "[default: dead-leaves]",
)
@click.option("--output", required=True, metavar="FOLDER", help="The run's folder.")
@click.option(
    "--set",
    "options",
    multiple=True,
    metavar="NAME=VALUE",
    help="Change an option of the config, such as batch=8 or data.masks=box:64.",
)
@click.option(
    "--init",
    metavar="FOLDER",
    help="Weights to start from: a folder with a generator, or `default` for those that ship.",
)
@click.option("--resume", is_flag=True, help="Go on with the run in the folder.")
@click.option("--show-config", is_flag=True, help="Print the config as JSON and stop.")
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
def train(
    config: str | None,
    data: tuple[str, ...],
    output: str,
    options: tuple[str, ...],
    init: str | None,
    resume: bool,
    show_config: bool,
    quiet: bool,
) -> None:
    """Train a generator, or go on training it.

    The folder gets checkpoints, losses, TensorBoard's files and the generator itself. A run that
    was stopped or killed goes on with --resume as if it had not been. Several processes: put
    `torchrun --nproc-per-node N -m gica_ops.cli` in place of `gica`.
    """
    from ..train.config import TrainConfig, read_config, with_options

    changes = {}
    for option in options:
        name, equals, value = option.partition("=")
        if not equals:
            raise click.BadParameter(f"must be NAME=VALUE, got {option!r}", param_hint="--set")
        changes[name] = value
    folder = Path(output)
    if resume:
        if config or data or init:
            raise click.UsageError("--resume takes everything from the folder but --set")
        if not (folder / "config.json").is_file():
            raise ValueError(f"output {output!r} holds no run to go on with: no config.json")
        chosen = read_config(folder / "config.json")
    else:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise ValueError(
                f"output {output!r} must be new or empty; with --resume a run in it goes on"
            )
        chosen = read_config(config or "v1")
    if data:
        changes["data.sources"] = json.dumps(data)
    generator = None
    if init is not None:
        from ..inpainting.network import load_generator

        generator = load_generator(init)
        chosen = dataclasses.replace(chosen, generator=generator.config)
    chosen = with_options(chosen, changes) if changes else chosen
    assert isinstance(chosen, TrainConfig)
    if show_config:
        click.echo(chosen.to_json(), nl=False)
        return
    try:
        from ..train.trainer import Trainer
    except ImportError as error:
        raise click.ClickException(
            f"training needs more packages: pip install 'gica_ops[train]' ({error})"
        ) from error
    trainer = Trainer(chosen, folder, generator=generator, quiet=quiet)
    stopped = trainer.run()
    if stopped:
        name = signal.Signals(stopped).name
        trainer.log.say(f"{name}: stopped after step {trainer.step}; --resume goes on from there")
        sys.exit(128 + stopped)
    if not quiet and trainer.accelerator.is_main_process:
        click.echo(f"{output}: {trainer.step} steps, generator in {folder / 'generator'}")
