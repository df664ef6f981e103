"""The command `gica`: its subcommands, and how they end.

A subcommand's file is imported when it is asked for, so that one whose extra is not installed is in
nobody's way.
"""

from __future__ import annotations

import importlib
import signal
import sys
from types import FrameType

import click

from ._version import __version__

__all__ = ["main"]

COMMANDS = ("inpaint", "app", "train", "evaluate", "convert", "bench", "info")


class Commands(click.Group):
    """The subcommands, each in the module of its name in `gica_ops.commands`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module = importlib.import_module(f"gica_ops.commands.{name}")
        command: click.Command = getattr(module, name)
        return command


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="gica")
def gica() -> None:
    """Inpainting by contextual attention: fill holes, train, evaluate, convert weights."""


def main() -> None:
    """The entry point. Exits with 0 done, 1 failed, 2 wrong usage, 128 + n stopped by signal n."""
    signal.signal(signal.SIGTERM, _stop)
    try:
        sys.exit(gica.main(standalone_mode=False) or 0)
    except click.exceptions.Exit as leave:
        sys.exit(leave.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped, nothing written", err=True)
        sys.exit(128 + signal.SIGINT)
    except MemoryError:
        click.echo("error: out of memory", err=True)
        sys.exit(1)
    except (ValueError, TypeError, OSError) as error:
        click.echo(f"error: {' '.join(str(error).split())}", err=True)
        sys.exit(1)


def _stop(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)


if __name__ == "__main__":
    main()
