"""`muster replay`: one recorded workload through the engine, with a virtual clock."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from scheduler.commands.options import (
    INPUT_FILE,
    TRACE_DIR,
    Level,
    Multiple,
    format_option,
    out_option,
    seed_option,
)
from scheduler.commands.output import emit_table, note, progress
from scheduler.errors import UsageError

if TYPE_CHECKING:
    from scheduler.replay.result import RunResult
    from scheduler.replay.simulate import ReplayOptions

PLACEMENTS = (
    "muster", "first-fit", "best-fit", "leaf-best-fit", "spread", "random",
    "kueue-tas", "kai", "kube-tas", "slurm-tree", "as-recorded",
    "fgd", "fgd-bestfit", "fgd-packing", "fgd-clustering", "fgd-dotprod", "fgd-random",
)  # fmt: skip


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
    "--pack",
    type=click.Choice(["leaf", "spine"]),
    default="leaf",
    show_default=True,
    help="What the placement muster packs first: the tightest leaf, or the tightest spine.",
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
    type=Multiple(),
    help="Shuffled arrivals, one attempt each, no departures, to this multiple of the capacity.",
)
@click.option(
    "--what-if",
    type=INPUT_FILE,
    metavar="FILE",
    help="Change the cluster or the course of the run, as docs/what-if.md says (YAML or JSON).",
)
@seed_option
@out_option("the run")
@format_option
def command(
    trace: Path,
    order: str,
    scan: str,
    placement: str,
    pack: str,
    tie_break: str,
    levels: tuple[tuple[str, tuple[int, ...]], ...],
    pool: str | None,
    fill: float | None,
    what_if: Path | None,
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
    from scheduler.replay.what_if import read_what_if

    options = ReplayOptions(
        order=order,
        scan=scan,
        placement=placement,
        pack=pack,
        tie_break=tie_break,
        levels=levels,
        pool=pool,
        fill=fill,
        seed=seed,
        what_if=None if what_if is None else read_what_if(what_if),
    )
    with progress("replay") as step:
        if placement == "as-recorded":
            result = _recorded(trace, options)
        else:
            result = replay(read_trace(trace), options, on_progress=step)
    summary = write_run(result, out)
    emit_table(summary_rows([summary]), output)
    note(f"report: {out / 'report.html'}")


def _recorded(directory: Path, options: ReplayOptions) -> RunResult:
    """The run that the data set recorded. Raises UsageError with options that would change it."""
    from scheduler.replay.recorded import recorded_run
    from scheduler.replay.trace_io import read_trace

    if options.pool is not None or options.levels or options.fill is not None:
        what = "--placement as-recorded is a run that took place: nothing of it can be changed"
        raise UsageError(what, "leave --pool, --levels and --fill out")
    return recorded_run(directory, read_trace(directory))
