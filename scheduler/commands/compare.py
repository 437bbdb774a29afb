"""`muster compare`: several runs side by side."""

from __future__ import annotations

from pathlib import Path

import click

from scheduler.commands.options import TRACE_DIR, format_option, out_option
from scheduler.commands.output import emit_comparison, note
from scheduler.errors import UsageError


@click.command("compare")
@click.argument("runs", metavar="RUN RUN...", nargs=-1, required=True, type=TRACE_DIR)
@out_option("the comparison")
@format_option
def command(runs: tuple[Path, ...], out: Path, output: str) -> None:
    """Put runs side by side: figures, differences to the first run, and plots."""
    if len(runs) == 1:
        raise UsageError("a comparison needs two runs", "name another run directory")
    from scheduler.replay.compare import compare
    from scheduler.replay.compare_measures import mixed_workloads
    from scheduler.replay.run_dir import read_run

    rows = compare(runs, out)
    emit_comparison(rows, output)
    if warning := mixed_workloads([read_run(path) for path in runs]):
        note(f"warning: {warning}")
    note(f"report: {out / 'report.html'}")
