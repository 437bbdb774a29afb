"""`muster plan`: one cycle over a snapshot, offline."""

from __future__ import annotations

from pathlib import Path

import click

from scheduler.commands.options import TRACE_DIR, format_option
from scheduler.commands.output import emit_table


@click.command("plan")
@click.option(
    "--snapshot",
    type=TRACE_DIR,
    required=True,
    help="A snapshot (its waiting gangs), or a trace (all its gangs at once, empty cluster).",
)
@click.option("--gang", metavar="NS/KIND/NAME", help="Only this gang, and where each member goes.")
@format_option
def command(snapshot: Path, gang: str | None, output: str) -> None:
    """Plan one cycle and print a verdict for each gang, with the sentence if it does not fit."""
    from scheduler.replay.plan_once import in_words, plan_once

    rows = plan_once(snapshot, gang)
    emit_table(rows if output == "json" else in_words(rows), output)
