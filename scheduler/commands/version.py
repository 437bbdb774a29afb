"""`muster version`."""

from __future__ import annotations

import click

from scheduler import __version__


@click.command("version")
def command() -> None:
    """Print the version."""
    click.echo(f"muster {__version__}")
