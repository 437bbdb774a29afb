"""`muster config check`: what a configuration file says."""

from __future__ import annotations

from pathlib import Path

import click

from scheduler.commands.options import INPUT_FILE, format_option
from scheduler.commands.output import emit_table, note


@click.group("config")
def command() -> None:
    """Look at the configuration of `muster run`."""


@command.command("check")
@click.argument("file", type=INPUT_FILE)
@format_option
def check(file: Path, output: str) -> None:
    """Check FILE and print every value that holds, defaults included."""
    from scheduler.config import read_config
    from scheduler.config_table import effective, remarks

    config, where = read_config(file)
    emit_table(effective(config, where), output)
    for remark in remarks(where):
        note(remark)
