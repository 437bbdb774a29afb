"""`muster snapshot`: the running scheduler's view of the cluster, as a directory."""

from __future__ import annotations

from pathlib import Path

import click

from scheduler.commands.options import address_option, format_option, out_option
from scheduler.commands.output import emit_table, note


@click.command("snapshot")
@out_option("the snapshot")
@click.option(
    "--scheduler",
    default="",
    metavar="NAME",
    help="schedulerName whose levels and gangs are meant; needed if the process has several.",
)
@address_option
@format_option
def command(out: Path, scheduler: str, address: str, output: str) -> None:
    """Save what a running scheduler knows, for `muster plan --snapshot` and replay."""
    from scheduler.replay.snapshot_tar import unpack
    from scheduler.serve.client import Client

    with Client(address).snapshot(scheduler) as stream:
        sizes = unpack(stream, out)
    emit_table([{"file": str(out / name), "bytes": size} for name, size in sizes.items()], output)
    note(f"plan it: muster plan --snapshot {out}")
