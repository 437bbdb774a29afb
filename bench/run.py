"""`make bench`: everything that is bounded, a table, results.json and the growth plot.

Exit 1 if a bound is broken. Goals (absolute times) are printed and fail nothing.
"""

from __future__ import annotations

import sys
from pathlib import Path

import binding
import click
import engine_latency
import floor
import freezing
import go_tools
import growth
import kube_filters
import measure
import planner
import reading
import replaying
import rule_freezing
import rules

from scheduler.commands.output import emit_table

OUT = Path(__file__).with_name("out")
PARTS = ("plan", "rules", "freeze", "growth", "read", "bind", "latency", "replay")

LATENCY_RUNS = 3


@click.command()
@click.option("--runs", type=click.IntRange(min=3), default=21, show_default=True)
@click.option("--quick", is_flag=True, help="Smaller replays, fewer objects to read.")
@click.option("--only", type=click.Choice(PARTS), multiple=True, help="Leave out the others.")
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), default=OUT, show_default=True
)
def main(runs: int, quick: bool, only: tuple[str, ...], out: Path) -> None:
    """Measures; writes results.json and growth.* into OUT."""
    out.mkdir(parents=True, exist_ok=True)
    try:
        results = measured(set(only or PARTS), runs, out, quick=quick)
    except (
        floor.FloorError, replaying.ReplayError, go_tools.GoToolsError, reading.ReadingError,
        binding.BindingError, engine_latency.LatencyError, kube_filters.KubeFiltersError,
    ) as error:  # fmt: skip
        raise click.ClickException(str(error)) from error
    measure.write_results(results, out)
    emit_table([result.row() for result in results], "table")
    broken = [result.name for result in results if not result.ok]
    if broken:
        click.echo(f"broken bounds: {', '.join(broken)}", err=True)
        sys.exit(1)


def measured(parts: set[str], runs: int, out: Path, *, quick: bool) -> list[measure.Result]:
    """Everything in `parts`, in one order. Raises what `main` catches."""
    results: list[measure.Result] = []
    if parts & {"plan", "rules", "growth"}:
        library = floor.build(out)
    if "plan" in parts:
        results += planner.bounded(library, runs)
    if "rules" in parts:
        results += rules.bounded(library, runs)
        results += rule_freezing.bounded(runs)
        try:
            results += kube_filters.bounded()
        except kube_filters.NoOracleError as error:
            click.echo(f"rules: {error}", err=True)
    if "freeze" in parts:
        results += freezing.bounded(runs)
    if "growth" in parts:
        growth.write_growth(growth.measure_growth(library, runs), out)
        click.echo(f"growth: {out / 'growth.svg'}", err=True)
    if "read" in parts:
        try:
            results += reading.bounded(quick=quick, out=out)
        except go_tools.NoGoError as error:
            click.echo(f"read: {error}", err=True)
    if "bind" in parts:
        results += binding.bounded(runs)
    if "latency" in parts:
        try:
            results += engine_latency.bounded(LATENCY_RUNS, quick=quick)
        except go_tools.NoGoError as error:
            click.echo(f"latency: {error}", err=True)
    if "replay" in parts:
        results += replaying.bounded(quick=quick, out=out)
    return results


if __name__ == "__main__":
    main()
