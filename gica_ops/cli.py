"""The command `gica`: fill a hole in a picture, and say what is installed.

What reads and fills pictures is imported once a command needs it.
"""

from __future__ import annotations

import signal
import sys
import time
from types import FrameType

import click

from ._version import __version__

__all__ = ["main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="gica")
def gica() -> None:
    """Contextual attention and exemplar inpainting."""


@gica.command()
@click.option("--image", required=True, metavar="PATH", help="The picture.")
@click.option("--mask", required=True, metavar="PATH", help="Its hole: white (> 127) is filled.")
@click.option("--output", required=True, metavar="PATH", help="Where the filled picture goes.")
@click.option(
    "--seed",
    type=click.IntRange(0, 2**63 - 1),
    default=0,
    show_default=True,
    help="Other seeds give other fillings.",
)
@click.option("--backend", default="auto", show_default=True, help="As `gica info` lists them.")
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
def inpaint(image: str, mask: str, output: str, seed: int, backend: str, quiet: bool) -> None:
    """Fill the hole of a picture with patches from around it.

    No weights, no network. Pixels outside the hole stay as they are, to the bit, in lossless
    formats. The format follows the output's name.
    """
    start = time.perf_counter()
    from .inpaint.exemplar import fill
    from .inpaint.picture import Picture, check_output, read_mask

    picture = Picture(image)
    hole = read_mask(mask, picture.size)
    check_output(output, picture)
    if picture.note and not quiet:
        click.echo(f"note: {picture.note}", err=True)
    hidden = quiet or not sys.stderr.isatty()
    with click.progressbar(length=1000, label="filling", file=sys.stderr, hidden=hidden) as bar:

        def show(share: float) -> None:
            bar.update(int(1000 * share) - bar.pos)

        values = fill(picture.values, hole, seed=seed, backend=backend, progress=show)
    picture.write(picture.replaced(values, hole), output)
    if not quiet:
        seconds = time.perf_counter() - start
        click.echo(f"{output}: {int(hole.sum())} pixels filled in {seconds:.1f} s")


@gica.command()
def info() -> None:
    """Print versions, what was built, and why a backend is off."""
    from .info import report

    click.echo(report())


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
