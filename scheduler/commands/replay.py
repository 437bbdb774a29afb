"""`muster replay`: one recorded workload through the engine, with a virtual clock."""

from __future__ import annotations

from pathlib import Path

import click

from scheduler.commands.options import TRACE_DIR, Level, format_option, out_option, seed_option
from scheduler.commands.output import emit_table, note, progress

PLACEMENTS = ("muster", "first-fit", "best-fit", "leaf-best-fit", "spread", "random")


@click.command("replay")
@click.argument("trace", metavar="DIR", type=TRACE_DIR)
@click.option(
    "--order",
    type=click.Choice(["fifo", "sjf", "priority"]),
    default="priority",
    show_default=True,
    help="Which gang is decided first.",
)
@click.option(
    "--scan",
    type=click.Choice(["strict", "greedy"]),
    default="greedy",
    show_default=True,
    help="Behind a gang that does not fit: nobody of its pool, or whatever fits.",
)
@click.option(
    "--placement",
    type=click.Choice(PLACEMENTS),
    default="muster",
    show_default=True,
    help="Rule that chooses the nodes.",
)
@click.option(
    "--tie-break",
    type=click.Choice(["name", "seeded"]),
    default="name",
    show_default=True,
    help="Between equals: the first by name, or by --seed.",
)
@click.option(
    "--levels",
    type=Level(),
    multiple=True,
    help="Lay a level over the nodes, like leaf=8,8,4; repeat from the top down.",
)
@click.option("--pool", metavar="NAME", help="Only this pool; --levels is laid over it.")
@click.option(
    "--fill",
    type=click.FloatRange(min=0, min_open=True),
    help="Shuffled arrivals, one attempt each, no departures, to this multiple of the capacity.",
)
@seed_option
@out_option("the run")
@format_option
def command(
    trace: Path,
    order: str,
    scan: str,
    placement: str,
    tie_break: str,
    levels: tuple[tuple[str, tuple[int, ...]], ...],
    pool: str | None,
    fill: float | None,
    seed: int,
    out: Path,
    output: str,
) -> None:
    """Replay the trace in DIR and write a run directory with its report.

    The engine, its queue and its cycle are those of production; one cycle per instant.
    """
    from scheduler.replay.run_dir import summary_rows, write_run
    from scheduler.replay.simulate import ReplayOptions, replay
    from scheduler.replay.trace_io import read_trace

    options = ReplayOptions(
        order=order,
        scan=scan,
        placement=placement,
        tie_break=tie_break,
        levels=levels,
        pool=pool,
        fill=fill,
        seed=seed,
    )
    with progress("replay") as step:
        result = replay(read_trace(trace), options, on_progress=step)
    summary = write_run(result, out)
    emit_table(summary_rows([summary]), output)
    note(f"report: {out / 'report.html'}")
