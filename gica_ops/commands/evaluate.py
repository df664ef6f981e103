"""`gica evaluate`: how well methods fill holes, side by side."""

from __future__ import annotations

import shlex
import sys
from typing import Any

import click

__all__ = ["evaluate"]


@click.command()
@click.option(
    "--images",
    required=True,
    metavar="PATH",
    help="A folder, file or glob of pictures, or bundled:held-out.",
)
@click.option(
    "--masks",
    required=True,
    metavar="SPEC",
    help="A spec (box-quarter, box-half, free-form, thin, medium, thick, or a .json file), or a "
    "folder of mask pictures of the same names, or one picture; white (> 127) is hole.",
)
@click.option(
    "--method",
    "methods",
    required=True,
    multiple=True,
    metavar="NAME",
    help="exemplar, network, network:FOLDER, telea or navier-stokes; again for another. "
    "LABEL=NAME gives it another name in the results.",
)
@click.option("--output", required=True, metavar="FOLDER", help="New or empty.")
@click.option(
    "--size",
    type=click.IntRange(1),
    metavar="PIXELS",
    help="Resize the centre square of every picture to this; else they stay as they are.",
)
@click.option(
    "--draws",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Masks of the spec for every picture, each counted as a picture of its own.",
)
@click.option("--save-filled", is_flag=True, help="Keep the filled pictures too.")
@click.option(
    "--sheet-rows",
    type=click.IntRange(1, 100),
    default=8,
    show_default=True,
    help="Pictures on the contact sheet.",
)
@click.option("--lpips-weights", metavar="FILE", help="A TorchScript module, for LPIPS.")
@click.option("--fid-weights", metavar="FILE", help="A TorchScript module, for FID.")
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
def evaluate(**options: Any) -> int:
    """Measure how well methods fill holes.

    Writes scores.csv (a row for every picture and method), summary.json, summary.md and sheet.png.
    Exits with 1 where a picture was broken or a method failed on one; the rest is measured.
    """
    try:
        return _evaluate(**options)
    except ImportError as error:
        raise click.ClickException(str(error)) from error


def _evaluate(
    images: str,
    masks: str,
    methods: tuple[str, ...],
    output: str,
    size: int | None,
    draws: int,
    save_filled: bool,
    sheet_rows: int,
    lpips_weights: str | None,
    fid_weights: str | None,
    quiet: bool,
) -> int:
    from ..evaluate.driver import Shown
    from ..evaluate.driver import evaluate as run
    from ..evaluate.learned import Frechet, Lpips
    from ..evaluate.masks import find_masks
    from ..evaluate.methods import make_methods
    from ..evaluate.output import check_new, new_folder, write_filled, write_results
    from ..evaluate.pictures import find_pictures, repeat
    from ..evaluate.sheet import Sheet

    check_new(output)
    pictures = repeat(find_pictures(images, size), draws)
    chosen = find_masks(masks, fit=size is not None)
    if draws > 1 and not chosen.drawn:
        raise ValueError(f"draws must be 1 where masks are pictures, got {draws}")
    fillers = make_methods(methods)
    lpips = Lpips(lpips_weights) if lpips_weights else None
    fid = Frechet(fid_weights) if fid_weights else None
    sheet = Sheet(list(fillers), sheet_rows)
    record = {
        "command": shlex.join(["gica", *sys.argv[1:]]),
        "images": images,
        "size": size,
        "draws": draws,
        "masks": chosen.record,
    }
    hidden = quiet or not sys.stderr.isatty()
    with (
        new_folder(output) as folder,
        click.progressbar(
            length=len(pictures), label="measuring", file=sys.stderr, hidden=hidden
        ) as bar,
    ):

        def observe(shown: Shown) -> None:
            sheet.add(shown)
            if save_filled:
                write_filled(folder / "filled", shown)

        results = run(
            pictures,
            chosen.hole,
            fillers,
            lpips=lpips,
            fid=fid,
            observe=observe,
            progress=lambda done: bar.update(done - bar.pos),
        )
        table = write_results(folder, results, sheet, record)
    for name, reason in results.broken.items():
        click.echo(f"left out {name}: {reason}", err=True)
    for row in results.rows:
        if row.error is not None:
            click.echo(f"failed {row.method} on {row.picture}: {row.error}", err=True)
    if not quiet:
        click.echo(table)
    return 0 if results.complete else 1
