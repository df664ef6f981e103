"""`gica inpaint`: fill the holes of pictures."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ._options import Bytes, GroupedCommand, grouped

if TYPE_CHECKING:
    from ..inpainting.jobs import Job
    from ..inpainting.pipeline import Options
    from ..inpainting.report import Report

__all__ = ["inpaint"]

FILES, MASKS, FILLING, WRITING, TELLING = "Pictures", "Masks", "Filling", "Writing", "Telling"


@click.command(cls=GroupedCommand)
@grouped(
    FILES,
    click.option(
        "--image",
        required=True,
        metavar="PATH",
        help='A picture, a folder of pictures, or a glob in quotes, such as "photos/*.jpg".',
    ),
    click.option(
        "--mask",
        required=True,
        metavar="PATH",
        help="White (> 127) is hole. One picture for all, or a folder that holds a mask for each, "
        "of the same name but for its suffix.",
    ),
    click.option(
        "--output",
        required=True,
        metavar="PATH",
        help="A file for one picture, else a folder.",
    ),
    click.option("--recursive", is_flag=True, help="The folders in the folder, too."),
    click.option(
        "--max-pixels",
        type=click.IntRange(1),
        default=200_000_000,
        show_default=True,
        metavar="COUNT",
        help="Refuse larger pictures, before they are decoded.",
    ),
)
@grouped(
    MASKS,
    click.option("--invert-mask", is_flag=True, help="Black is hole."),
    click.option(
        "--threshold",
        type=click.IntRange(0, 255),
        default=127,
        show_default=True,
        metavar="LEVEL",
        help="Brighter than this, of 255, is hole.",
    ),
    click.option(
        "--resize-mask", is_flag=True, help="To the picture's size, to the nearest pixel."
    ),
    click.option(
        "--dilate",
        type=click.IntRange(0),
        default=0,
        metavar="PIXELS",
        help="Let holes grow on all sides.",
    ),
)
@grouped(
    FILLING,
    click.option(
        "--method",
        type=click.Choice(["auto", "exemplar", "network"]),
        default="auto",
        show_default=True,
        help="Copy patches (exemplar), ask a trained generator (network), or what suits the hole.",
    ),
    click.option(
        "--weights",
        metavar="FOLDER",
        help="A generator's folder, as `gica train` and `gica convert` write it.  "
        "[default: the weights that come with the package]",
    ),
    click.option(
        "--seed",
        type=click.IntRange(0, 2**63 - 1),
        default=0,
        show_default=True,
        metavar="NUMBER",
        help="Other seeds give other fillings, where patches are copied.",
    ),
    click.option("--device", metavar="NAME", help="Where the network runs, such as cuda."),
    click.option(
        "--dtype",
        type=click.Choice(["float32", "bfloat16", "float16"]),
        help="What the network is computed in.  [default: as its weights]",
    ),
    click.option(
        "--backend",
        default="auto",
        show_default=True,
        metavar="NAME",
        help="As `gica info` lists them.",
    ),
    click.option(
        "--max-memory",
        type=Bytes(),
        metavar="SIZE",
        help="Such as 2GiB: what filling may take beside the picture; it then looks at less of the "
        "surroundings.",
    ),
    click.option(
        "--batch-size",
        type=click.IntRange(1),
        default=4,
        show_default=True,
        metavar="COUNT",
        help="Pictures of one size that go through the network together.",
    ),
)
@grouped(
    WRITING,
    click.option("--overwrite", is_flag=True, help="Replace outputs that are there."),
    click.option("--skip-existing", is_flag=True, help="Leave out what has an output already."),
    click.option(
        "--format",
        "form",
        metavar="SUFFIX",
        help="Of the files in the output folder, such as png.  [default: each picture's own]",
    ),
    click.option(
        "--quality",
        type=click.IntRange(1, 100),
        default=95,
        show_default=True,
        metavar="NUMBER",
        help="Of JPEG. PNG, WebP and TIFF are written without loss.",
    ),
    click.option(
        "--save-attention",
        is_flag=True,
        help="Show where fillings come from: NAME_attention.png in colours, NAME_arrows.png.",
    ),
    click.option(
        "--concat", is_flag=True, help="Show before, mask and after in one: NAME_concat.png."
    ),
)
@grouped(
    TELLING,
    click.option("--dry-run", is_flag=True, help="List what would be done, and do nothing."),
    click.option(
        "--json", "summary", metavar="FILE", help="A summary of every picture; - is the terminal."
    ),
    click.option("--quiet", is_flag=True, help="Print nothing but errors."),
)
def inpaint(**options: Any) -> int:
    """Fill the hole of a picture, or those of all pictures of a folder.

    Pixels outside the hole stay as they are, to the bit, in lossless formats. Pictures keep their
    mode, alpha, colour profile and EXIF data; the orientation that a camera noted is applied, and
    masks have the size of the upright picture. The format follows the output's name.

    A picture of a folder that fails stops no other: it is named, and the exit code is 1.
    """
    from ..inpainting.jobs import plan

    if options["overwrite"] and options["skip_existing"]:
        raise click.UsageError("--overwrite and --skip-existing exclude each other")
    if options["weights"] is not None and options["method"] == "exemplar":
        raise click.UsageError("--weights is for --method network, got --method exemplar")
    beside = ["attention", "arrows"] * options["save_attention"] + ["concat"] * options["concat"]
    existing = {"overwrite": options["overwrite"], "skip": options["skip_existing"]}
    jobs = plan(
        options["image"],
        options["mask"],
        options["output"],
        recursive=options["recursive"],
        form=options["form"],
        existing=next((name for name, given in existing.items() if given), "refuse"),
        beside=beside,
    )
    _check_summary(options["summary"], jobs)
    if options["dry_run"]:
        return _list(jobs)
    return _run(jobs, options)


def _check_summary(summary: str | None, jobs: list[Job]) -> None:
    if summary in (None, "-"):
        return
    from ..inpainting.writing import check_folder

    check_folder(Path(str(summary)).parent)
    if os.path.isdir(str(summary)):
        raise ValueError(f"json must be a file, but {summary!r} is a folder")
    paths = (p for job in jobs for p in (job.image, job.mask, job.output, *job.beside.values()))
    if os.path.realpath(str(summary)) in {os.path.realpath(path) for path in paths if path}:
        raise ValueError(f"json must be a file of its own, but {summary!r} is one of the pictures")


def _list(jobs: list[Job]) -> int:
    """What would be done, a line for every picture."""
    for job in jobs:
        if job.error is not None:
            what = f"fails: {job.error}"
        elif job.skip:
            what = f"skipped: {str(job.output)!r} is there"
        else:
            targets = ", ".join(repr(str(path)) for path in (job.output, *job.beside.values()))
            what = f"with {str(job.mask)!r} to {targets}"
        click.echo(f"{str(job.image)!r} {what}")
    failed = sum(job.error is not None for job in jobs)
    skipped = sum(job.skip for job in jobs)
    click.echo(f"{len(jobs) - failed - skipped} to fill, {skipped} to skip, {failed} would fail")
    return int(failed > 0)


def _run(jobs: list[Job], options: dict[str, Any]) -> int:
    from ..inpainting.pipeline import run
    from ..inpainting.report import Report

    report = Report(len(jobs), quiet=options["quiet"])
    chosen = _options(options)
    try:
        with report:
            run(jobs, chosen, report.tell, report.progress)
    except (KeyboardInterrupt, SystemExit) as stop:
        _summarise(options, report, stopped=True)
        if len(jobs) == 1:
            raise
        click.echo(f"stopped: {report.line()} of {len(jobs)}", err=True)
        code = 128 + signal.SIGINT if isinstance(stop, KeyboardInterrupt) else int(stop.code or 0)
        raise click.exceptions.Exit(code) from None
    _summarise(options, report)
    if len(jobs) == 1 and report.failed:
        raise ValueError(report.outcomes[0].error)
    if not options["quiet"]:
        line = _line(report) if len(jobs) == 1 else f"{options['output']}: {report.line()}"
        text = f"{line} in {report.seconds:.1f} s"
        click.echo(text, err=options["summary"] == "-")
    return int(report.failed)


def _options(given: dict[str, Any]) -> Options:
    import torch
    from PIL import Image

    from ..inpainting.masks import MaskOptions
    from ..inpainting.network import load_generator
    from ..inpainting.pipeline import Options

    # Pillow's own limit holds for the whole process, and it refuses what has twice as many.
    Image.MAX_IMAGE_PIXELS = given["max_pixels"]
    weights = given["weights"]
    return Options(
        method=given["method"] if weights is None else "network",
        weights=None if weights is None else load_generator(weights),
        seed=given["seed"],
        device=given["device"],
        dtype=None if given["dtype"] is None else getattr(torch, given["dtype"]),
        backend=given["backend"],
        max_memory=given["max_memory"],
        batch_size=given["batch_size"],
        max_pixels=given["max_pixels"],
        masks=MaskOptions(
            given["threshold"], given["invert_mask"], given["resize_mask"], given["dilate"]
        ),
        quality=given["quality"],
    )


def _summarise(options: dict[str, Any], report: Report, *, stopped: bool = False) -> None:
    summary = options["summary"]
    if summary == "-":
        click.echo(report.json(stopped=stopped), nl=False)
    elif summary is not None:
        from ..files import write_whole

        Path(summary).parent.mkdir(exist_ok=True)
        write_whole(summary, report.json(stopped=stopped).encode())


def _line(report: Report) -> str:
    """What became of a single picture."""
    (outcome,) = report.outcomes
    where = click.format_filename(outcome.job.output)
    if outcome.status == "skipped":
        return f"{where}: is there already, left as it is"
    if outcome.status == "unchanged":
        return f"{where}: written unchanged, since {outcome.why},"
    reason = f" ({outcome.why})" if outcome.why else ""
    return f"{where}: {outcome.pixels} pixels filled by {outcome.method}{reason}"
