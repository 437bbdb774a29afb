"""`muster validate`: published results, reproduced."""

from __future__ import annotations

from pathlib import Path

import click

from scheduler.commands.options import TRACE_DIR, format_option
from scheduler.commands.output import emit_table, progress
from scheduler.errors import CheckFailedError


@click.command("validate")
@click.argument("experiment", type=click.Choice(["helios", "leaves", "lingjun", "openb"]))
@click.option(
    "--traces",
    type=TRACE_DIR,
    help="Directory of the real traces (default: $MUSTER_TRACES, then ../shared/traces).",
)
@format_option
def command(experiment: str, traces: Path | None, output: str) -> None:
    """Reproduce a published result; exit code 1 outside the stated bands."""
    from scheduler.replay.validate import validate

    with progress(f"validate {experiment}") as step:
        rows = validate(experiment, traces, on_progress=step)
    emit_table(rows, output)
    failed = [row for row in rows if not row["ok"]]
    if failed:
        raise CheckFailedError(f"{len(failed)} of {len(rows)} figures are outside their bands")
