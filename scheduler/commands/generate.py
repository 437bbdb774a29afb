"""`muster generate`: a cluster and a gang workload, as a trace directory."""

from __future__ import annotations

from pathlib import Path

import click

from scheduler.commands.options import TRACE_DIR, Multiple, SizeRange, out_option, seed_option
from scheduler.commands.output import note
from scheduler.errors import UsageError


@click.command("generate")
@click.option("--nodes", type=click.IntRange(1, 10**6), help="Nodes of the generated cluster.")
@click.option("--spines", type=click.IntRange(min=1), help="Spines of the generated cluster.")
@click.option("--leaf-size", type=click.IntRange(min=1), help="Nodes under one leaf.")
@click.option("--gangs", type=click.IntRange(0, 10**7), required=True, help="Gangs to generate.")
@click.option(
    "--sizes",
    type=SizeRange(),
    default="1:128",
    show_default=True,
    help="Smallest and largest gang, in members.",
)
@click.option(
    "--load",
    type=Multiple(),
    default=0.85,
    show_default=True,
    help="Mean demand as a share of the cluster's GPUs.",
)
@click.option(
    "--whole-hosts",
    is_flag=True,
    help="No small jobs: every member takes all GPUs of a host, also where sizes begin at 1.",
)
@seed_option
@click.option(
    "--cluster", type=TRACE_DIR, help="Take the cluster from this trace instead of generating one."
)
@out_option("the trace")
def command(
    nodes: int | None,
    spines: int | None,
    leaf_size: int | None,
    gangs: int,
    sizes: tuple[int, int],
    load: float,
    whole_hosts: bool,
    seed: int,
    cluster: Path | None,
    out: Path,
) -> None:
    """Generate a trace: a cluster (or that of --cluster) and a gang workload for it.

    Sizes and durations follow published distributions; the same seed gives the same bytes.
    """
    given = {"--nodes": nodes, "--spines": spines, "--leaf-size": leaf_size}
    named = [option for option, value in given.items() if value is not None]
    if cluster is not None and named:
        raise UsageError(
            f"{', '.join(named)} and --cluster both describe the cluster", "give one of them"
        )
    if cluster is None and nodes is None:
        raise UsageError("no cluster is described", "give --nodes, or --cluster DIR")

    from scheduler.replay.generate import GenerateOptions, generate
    from scheduler.replay.trace_io import read_trace, write_trace

    options = GenerateOptions(
        nodes=nodes,
        spines=spines,
        leaf_size=leaf_size,
        gangs=gangs,
        sizes=sizes,
        load=load,
        whole_hosts=whole_hosts,
        seed=seed,
        cluster=None if cluster is None else read_trace(cluster),
    )
    write_trace(generate(options), out)
    note(f"trace in {out}")
