"""`muster sweep`: a grid of traces, policies and seeds, and one report."""

from __future__ import annotations

from pathlib import Path

import click

from scheduler.commands.options import INPUT_FILE, format_option
from scheduler.commands.output import emit_table, note, progress


@click.command("sweep")
@click.argument("file", metavar="FILE", type=INPUT_FILE)
@click.option(
    "--out",
    required=True,
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Directory for the runs and the report; finished runs in it are kept.",
)
@click.option(
    "--jobs",
    metavar="N",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Processes on this machine.",
)
@click.option(
    "--dask",
    metavar="ADDRESS",
    default="",
    help="Use the workers of this Dask scheduler instead (needs muster[dask]).",
)
@format_option
def command(file: Path, out: Path, jobs: int, dask: str, output: str) -> None:
    """Replay every trace of FILE with every policy and seed, and compare them.

    Runs are whole or not there; called again, a sweep computes only what is missing.
    """
    from scheduler.replay.sweep import COMPARE, sweep
    from scheduler.replay.sweep_file import read_sweep

    found = read_sweep(file)
    with progress("sweep") as step:
        rows = sweep(found, file.parent, out, jobs=jobs, dask=dask, on_done=step)
    emit_table(rows, output)
    note(f"report: {out / COMPARE / 'report.html'}")
