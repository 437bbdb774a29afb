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

    rows = compare(runs, out, on_warning=lambda text: note(f"warning: {text}"))
    emit_comparison(rows, output)
    note(f"report: {out / 'report.html'}")
