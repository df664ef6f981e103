"""`gica info`: what is installed."""

from __future__ import annotations

import click

__all__ = ["info"]


@click.command()
def info() -> None:
    """Print versions, what was built, and why a backend is off."""
    from ..info import report

    click.echo(report())
