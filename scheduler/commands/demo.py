"""`muster demo`: the main job on the embedded default."""

from __future__ import annotations

from pathlib import Path

import click

from scheduler.commands.options import format_option, seed_option
from scheduler.commands.output import emit_comparison, note, progress


@click.command("demo")
@click.option(
    "--out",
    default="out/demo",
    show_default=True,
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Directory for the runs and the report; replaced if it is there.",
)
@seed_option
@format_option
def command(out: Path, seed: int, output: str) -> None:
    """Generate a cluster of 20 spines and a gang workload, and compare three placements."""
    from scheduler.replay.demo import demo

    with progress("demo") as step:
        rows, report = demo(out, seed=seed, on_progress=step)
    emit_comparison(rows, output)
    note(f"report: {report}")
