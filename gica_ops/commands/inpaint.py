"""`gica inpaint`: fill the hole of a picture."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["inpaint"]


@click.command()
@click.option("--image", required=True, metavar="PATH", help="The picture.")
@click.option("--mask", required=True, metavar="PATH", help="Its hole: white (> 127) is filled.")
@click.option("--output", required=True, metavar="PATH", help="Where the filled picture goes.")
@click.option(
    "--method",
    type=click.Choice(["auto", "exemplar", "network"]),
    default="auto",
    show_default=True,
    help="Copy patches (exemplar), ask a trained generator (network), or what suits the hole.",
)
@click.option(
    "--weights",
    metavar="FOLDER",
    help="A generator's folder, as `gica train` and `gica convert` write it.  "
    "[default: the weights that come with the package]",
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**63 - 1),
    default=0,
    show_default=True,
    help="Other seeds give other fillings, where patches are copied.",
)
@click.option("--backend", default="auto", show_default=True, help="As `gica info` lists them.")
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
def inpaint(
    image: str,
    mask: str,
    output: str,
    method: str,
    weights: str | None,
    seed: int,
    backend: str,
    quiet: bool,
) -> None:
    """Fill the hole of a picture.

    Pixels outside the hole stay as they are, to the bit, in lossless formats. The format follows
    the output's name.
    """
    start = time.perf_counter()
    from ..inpainting.methods import choose
    from ..inpainting.picture import check_output, read_mask, read_picture

    if weights is not None and method == "exemplar":
        raise click.UsageError("--weights is for --method network, got --method exemplar")
    picture = read_picture(image)
    hole = read_mask(mask, picture.size)
    check_output(output, picture)
    if picture.note and not quiet:
        click.echo(f"note: {picture.note}", err=True)
    reason = ""
    if weights is not None:
        method = "network"
    elif method == "auto":
        method, why = choose(hole)
        reason = f" ({why})"
    hidden = quiet or not sys.stderr.isatty()
    with click.progressbar(length=1000, label="filling", file=sys.stderr, hidden=hidden) as bar:

        def show(share: float) -> None:
            bar.update(int(1000 * share) - bar.pos)

        values = _fill(method, picture.values, hole, weights, seed, backend, show)
    picture.write(picture.replaced(values, hole), output)
    if not quiet:
        seconds = time.perf_counter() - start
        filled = f"{int(hole.sum())} pixels filled by {method}{reason}"
        click.echo(f"{output}: {filled} in {seconds:.1f} s")


def _fill(
    method: str,
    values: Tensor,
    hole: Tensor,
    weights: str | None,
    seed: int,
    backend: str,
    show: Callable[[float], None],
) -> Tensor:
    if method == "exemplar":
        from ..inpainting import exemplar

        return exemplar.fill(values, hole, seed=seed, backend=backend, progress=show)
    from ..inpainting import network

    generator = network.load_generator(weights or "default")
    filled = network.fill(values, hole, generator=generator, backend=backend)
    show(1.0)
    return filled
