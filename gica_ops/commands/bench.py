"""`gica bench`: what the layer costs beside other ways to compute it."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import click

__all__ = ["bench"]

DEFAULT_METHODS = ("gica", "reference", "grouped")


def several(name: str, default: tuple[str, ...], text: str) -> Any:
    """An option that may be given again, each value making problems of its own."""
    return click.option(name, multiple=True, default=default, show_default=True, help=text)


@click.group(invoke_without_command=True)
@several("--size", ("256", "512", "1024"), "Of the image: 64 to 4096, 4K, 8K, HEIGHTxWIDTH.")
@several("--work", ("forward",), "forward, backward, both, or generator.")
@several("--kind", ("natural",), "natural or noise.")
@several("--skip", ("auto",), "auto or never.")
@several("--fuse", ("on",), "Propagation, on or off.")
@several("--hole", ("0.5",), "Side of the hole, as a share of the image's.")
@several("--contrast", ("1",), "Factor on the features.")
@several("--batch", ("1",), "Pictures.")
@several("--channels", ("128",), "Of the feature maps.")
@several("--rate", ("2",), "Of the layer.")
@several("--dtype", ("float32",), "float32, bfloat16 or float16.")
@click.option(
    "--problem", "problems", multiple=True, metavar="SIZE[,NAME=VALUE...]",
    help="Measure this instead, such as 512,work=both,skip=never; may be repeated.",
)  # fmt: skip
@click.option(
    "--growth", is_flag=True, help="Measure what the page on growth shows: size, hole, live share."
)
@click.option(
    "--method", "methods", multiple=True, metavar="NAME",
    help="gica, reference, compiled, grouped, sdpa, or MODULE:FUNCTION of your own; may be "
    f"repeated.  [default: {', '.join(DEFAULT_METHODS)}]",
)  # fmt: skip
@click.option("--device", type=click.Choice(("cpu", "cuda")), default="cpu", show_default=True)
@click.option("--threads", type=click.IntRange(1), help="Of torch.  [default: all cores]")
@click.option(
    "--rounds", type=click.IntRange(1), default=60, show_default=True, help="Timed runs of a row."
)
@click.option(
    "--seconds", type=click.FloatRange(0), default=12.0, show_default=True,
    help="Fewer rounds where a row would take longer: three, or one that takes longer alone.",
)  # fmt: skip
@click.option(
    "--visits",
    type=click.IntRange(1),
    default=3,
    show_default=True,
    help="Go through all problems so often, in fresh processes, for a part of the rounds each.",
)
@click.option("--memory", type=click.IntRange(1), metavar="MIB", help="A method may take this.")
@click.option("--profile", is_flag=True, help="Show the kernels of each row with their share.")
@click.option("--record", type=click.Path(path_type=Path), help="Write the record to this file.")
@click.pass_context
def bench(context: click.Context, **options: Any) -> None:
    """Measure the layer beside other ways to compute it.

    Every method is checked against float64 before it is timed, on a cold cache, in turns with the
    others, in a process of its own. Without options: forward at 256, 512 and 1024.
    """
    if context.invoked_subcommand is None:
        _measure(**options)


def _measure(
    problems: tuple[str, ...],
    growth: bool,
    methods: tuple[str, ...],
    device: str,
    threads: int | None,
    rounds: int,
    seconds: float,
    visits: int,
    memory: int | None,
    profile: bool,
    record: Path | None,
    **axes: tuple[str, ...],
) -> None:
    from ..bench.growth import growth_problems
    from ..bench.problems import parse_problem, unique
    from ..bench.session import measure
    from ..bench.tables import HEADING, line

    if growth:
        wanted = growth_problems(device)
    elif problems:
        wanted = [parse_problem(text, device=device) for text in problems]
    else:
        names = [name for name in axes if name != "size"]
        wanted = [
            parse_problem(
                ",".join((size, *map("=".join, zip(names, values, strict=True)))), device=device
            )
            for size, *values in itertools.product(axes["size"], *(axes[name] for name in names))
        ]
    click.echo(HEADING)
    measured = measure(
        unique(wanted),
        methods or DEFAULT_METHODS,
        rounds=rounds,
        seconds=seconds,
        visits=visits,
        threads=threads,
        most_bytes=None if memory is None else memory * 2**20,
        profile=profile,
        show=click.echo,
        row_done=lambda row, so_far: click.echo(line(row, so_far)),
    )
    if record is not None:
        measured.write(record)
        click.echo(f"record: {record}")


@bench.command()
@click.argument("before", type=click.Path(path_type=Path))
@click.argument("after", type=click.Path(path_type=Path))
def compare(before: Path, after: Path) -> None:
    """Print the ratio of every row that two records share, and what changed beyond noise."""
    from ..bench.compare import compare as compared
    from ..bench.compare import machine_changes
    from ..bench.record import Record
    from ..bench.tables import changes_text

    old, new = Record.read(before), Record.read(after)
    click.echo(changes_text(compared(old, new), machine_changes(old, new)))


@bench.command()
@click.argument("records", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--output", type=click.Path(path_type=Path), default=Path("docs"), show_default=True,
    help="Folder of benchmarks.md, growth.md and images/.",
)  # fmt: skip
def report(records: tuple[Path, ...], output: Path) -> None:
    """Turn records into pages with tables and plots."""
    from ..bench.record import Record
    from ..bench.report import write_report

    for path in write_report({path: Record.read(path) for path in records}, output):
        click.echo(path)
