"""`muster trace import ...` and `muster trace check`: recorded workloads as trace directories."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from scheduler.commands.options import (
    INPUT_FILE,
    TRACE_DIR,
    LevelLabel,
    PoolNodes,
    format_option,
    out_option,
)
from scheduler.commands.output import emit_table, note
from scheduler.errors import CheckFailedError

if TYPE_CHECKING:
    from scheduler.replay.trace import Trace


@click.group("trace")
def command() -> None:
    """Import recorded workloads, and check trace directories."""


@command.group("import")
def import_() -> None:
    """Turn a published data set or a cluster's dump into a trace directory."""


@import_.command("helios")
@click.option("--jobs", type=INPUT_FILE, required=True, help="The job log, a CSV file.")
@click.option(
    "--pool",
    "pools",
    type=PoolNodes(),
    multiple=True,
    help="Nodes of a virtual cluster; repeat for each one (default: as the log states).",
)
@out_option("the trace")
def helios(jobs: Path, pools: tuple[tuple[str, int], ...], out: Path) -> None:
    """Import SenseTime's Helios job log."""
    from scheduler.replay.importers.helios import import_helios

    _write(import_helios(jobs, dict(pools)), out)


@import_.command("lingjun")
@click.option("--topo", type=INPUT_FILE, required=True, help="topo.csv: hosts and switches.")
@click.option(
    "--gpus-per-node", type=click.IntRange(min=1), default=8, show_default=True, help="GPUs a host."
)
@out_option("the trace")
def lingjun(topo: Path, gpus_per_node: int, out: Path) -> None:
    """Import the topology of Alibaba's Lingjun fabric: a cluster without gangs.

    `muster generate --cluster` makes a workload for it.
    """
    from scheduler.replay.importers.lingjun import import_lingjun

    _write(import_lingjun(topo, gpus_per_node), out)


@import_.command("kubectl")
@click.option(
    "--dump",
    type=INPUT_FILE,
    required=True,
    help="kubectl get nodes,pods,statefulsets,jobs,replicasets,pvc -A -o json",
)
@click.option(
    "--level",
    "levels",
    type=LevelLabel(),
    multiple=True,
    help="A level of the network and its node label, root first (default: well-known labels).",
)
@click.option("--skip-bad", is_flag=True, help="Leave malformed objects out, and count them.")
@out_option("the snapshot")
def kubectl(dump: Path, levels: tuple[tuple[str, str], ...], skip_bad: bool, out: Path) -> None:
    """Import a cluster as kubectl prints it; `muster plan --snapshot` plans its waiting gangs."""
    from scheduler.model.wishes import Level
    from scheduler.replay.importers.kubectl import import_kubectl
    from scheduler.replay.snapshot_dir import write_snapshot

    given = [Level(name, label) for name, label in levels] or None
    found = import_kubectl(dump, levels=given, skip_bad=skip_bad)
    write_snapshot(found.trace, found.cluster, out)
    for text in found.cluster.notes:
        note(text)
    _said(found.trace, out)


@command.command("check")
@click.argument("directory", metavar="DIR", type=TRACE_DIR)
@format_option
def check(directory: Path, output: str) -> None:
    """Check a trace directory: hashes, rows, names, topology.

    Exit code 1 if something is wrong, 3 if it cannot be read as a trace at all.
    """
    from scheduler.replay.check import check_trace

    checked = check_trace(directory)
    for finding in checked.findings:
        note(f"{directory}: {'error' if finding.error else 'note'}: {finding.text}")
    emit_table([checked.summary], output)
    if not checked.ok:
        errors = sum(finding.error for finding in checked.findings)
        raise CheckFailedError(f"{directory}: {errors} errors", "correct or import it again")


def _write(trace: Trace, out: Path) -> None:
    from scheduler.replay.trace_io import write_trace

    write_trace(trace, out)
    _said(trace, out)


def _said(trace: Trace, out: Path) -> None:
    for reason, rows in trace.dropped_rows.items():
        note(f"dropped {rows} rows: {reason}")
    note(f"trace in {out}: {len(trace.nodes)} nodes, {len(trace.gangs)} gangs")
