"""`gica app`: a page on this computer to take things out of photographs."""

from __future__ import annotations

import importlib.util
import threading
import webbrowser

import click

from ._options import Bytes

__all__ = ["app"]


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to serve on.")
@click.option("--port", type=click.IntRange(0, 65535), default=7860, show_default=True)
@click.option(
    "--weights",
    metavar="FOLDER",
    help="A generator's folder.  [default: the weights that come with the package]",
)
@click.option(
    "--method",
    type=click.Choice(["auto", "exemplar", "network"]),
    default="auto",
    show_default=True,
    help="The one that is set at first.",
)
@click.option(
    "--max-memory", type=Bytes(), metavar="SIZE", help="Such as 2GiB: what a filling may take."
)
@click.option(
    "--max-pixels",
    type=click.FloatRange(0, min_open=True),
    default=50,
    show_default=True,
    metavar="MILLIONS",
    help="Larger pictures are refused.",
)
@click.option(
    "--max-upload-mb",
    type=click.FloatRange(0, min_open=True),
    default=100,
    show_default=True,
    metavar="MB",
    help="Larger files are refused.",
)
@click.option("--browser/--no-browser", default=True, show_default=True, help="Open the page.")
def app(
    host: str,
    port: int,
    weights: str | None,
    method: str,
    max_memory: int | None,
    max_pixels: float,
    max_upload_mb: float,
    browser: bool,
) -> None:
    """Serve a page to take things out of photographs: load one, paint, fill, download.

    The page is for this computer alone, unless --host says otherwise. Ctrl-C ends it.
    """
    if importlib.util.find_spec("gradio") is None:
        raise click.ClickException("the page needs gradio: pip install 'gica_ops[app]'")
    from ..app.photograph import Limits
    from ..app.server import LOCAL, served
    from ..app.session import Settings
    from ..inpainting.network import load_generator

    settings = Settings(
        limits=Limits(int(max_upload_mb * 1e6), int(max_pixels * 1e6)),
        generator=None if weights is None else load_generator(weights),
        max_memory=max_memory,
    )
    if host not in LOCAL:
        click.echo(
            f"warning: on {host} the page is open to whoever reaches this computer, "
            "without a password",
            err=True,
        )
    try:
        with served(host, port, settings, method) as address:
            click.echo(f"the page is at {address} until Ctrl-C")
            if browser:
                webbrowser.open(address)
            threading.Event().wait()
    except KeyboardInterrupt:
        click.echo("stopped")
