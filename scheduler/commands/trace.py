"""`muster trace import ...` and `muster trace check`: recorded workloads as trace directories."""

from __future__ import annotations

from collections.abc import Mapping
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
from scheduler.errors import CheckFailedError, UsageError

if TYPE_CHECKING:
    from scheduler.replay.trace import Trace


skip_bad_option = click.option(
    "--skip-bad", is_flag=True, help="Leave malformed rows out, and count them by reason."
)
gpus_per_node_option = click.option(
    "--gpus-per-node",
    type=click.IntRange(min=1),
    default=8,
    show_default=True,
    help="GPUs of every node.",
)


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
@skip_bad_option
@out_option("the trace")
def helios(jobs: Path, pools: tuple[tuple[str, int], ...], skip_bad: bool, out: Path) -> None:
    """Import SenseTime's Helios job log."""
    from scheduler.replay.importers.helios import import_helios

    _write(import_helios(jobs, dict(pools), skip_bad=skip_bad), out)


@import_.command("lingjun")
@click.option("--topo", type=INPUT_FILE, required=True, help="topo.csv: hosts and switches.")
@click.option("--jobs", type=INPUT_FILE, help="job.csv: jobs and their times (with --workers).")
@click.option("--workers", type=INPUT_FILE, help="worker.csv: where the workers of jobs ran.")
@gpus_per_node_option
@skip_bad_option
@out_option("the trace")
def lingjun(
    topo: Path,
    jobs: Path | None,
    workers: Path | None,
    gpus_per_node: int,
    skip_bad: bool,
    out: Path,
) -> None:
    """Import Alibaba's Lingjun fabric and, with --jobs and --workers, what ran on it.

    Without jobs the trace has no gangs: `muster generate --cluster` makes a workload for it. With
    them, `muster replay --placement as-recorded` gives the placement of the data set.
    """
    from scheduler.replay.importers.lingjun import import_lingjun, import_lingjun_jobs
    from scheduler.replay.recorded import RECORDED, recorded_csv

    if jobs is None and workers is None:
        _write(import_lingjun(topo, gpus_per_node, skip_bad=skip_bad), out)
    elif jobs is None or workers is None:
        raise UsageError("--jobs and --workers make the gangs together", "give both, or neither")
    else:
        trace, recorded = import_lingjun_jobs(
            topo, jobs, workers, gpus_per_node, skip_bad=skip_bad
        )  # fmt: skip
        _write(trace, out, {RECORDED: recorded_csv(recorded)})


@import_.command("philly")
@click.option("--jobs", type=INPUT_FILE, required=True, help="The jobs as parsed for Pollux.")
@click.option(
    "--vc-nodes", type=INPUT_FILE, required=True, help="Nodes of each virtual cluster: vc,node num."
)
@skip_bad_option
@out_option("the trace")
def philly(jobs: Path, vc_nodes: Path, skip_bad: bool, out: Path) -> None:
    """Import Microsoft's Philly jobs, as parsed for Pollux."""
    from scheduler.replay.importers.philly import import_philly

    _write(import_philly(jobs, vc_nodes, skip_bad=skip_bad), out)


@import_.command("swf")
@click.option("--jobs", type=INPUT_FILE, required=True, help="The log, 18 fields a line.")
@click.option("--nodes", type=click.IntRange(min=1), required=True, help="Nodes of the machine.")
@click.option(
    "--procs-per-node",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Processors a node.",
)
@skip_bad_option
@out_option("the trace")
def swf(jobs: Path, nodes: int, procs_per_node: int, skip_bad: bool, out: Path) -> None:
    """Import a log in the Standard Workload Format."""
    from scheduler.replay.importers.swf import import_swf

    _write(import_swf(jobs, nodes, procs_per_node, skip_bad=skip_bad), out)


@import_.command("acme")
@click.option("--jobs", type=INPUT_FILE, required=True, help="trace_seren.csv or trace_kalos.csv.")
@click.option("--nodes", type=click.IntRange(min=1), required=True, help="Nodes of the cluster.")
@gpus_per_node_option
@skip_bad_option
@out_option("the trace")
def acme(jobs: Path, nodes: int, gpus_per_node: int, skip_bad: bool, out: Path) -> None:
    """Import the AcmeTrace jobs of the Shanghai AI Laboratory."""
    from scheduler.replay.importers.acme import import_acme

    _write(import_acme(jobs, nodes, gpus_per_node, skip_bad=skip_bad), out)


@import_.command("spot")
@click.option("--jobs", type=INPUT_FILE, required=True, help="job_info_df.csv.")
@click.option("--nodes", type=INPUT_FILE, required=True, help="node_info_df.csv.")
@skip_bad_option
@out_option("the trace")
def spot(jobs: Path, nodes: Path, skip_bad: bool, out: Path) -> None:
    """Import Alibaba's high-priority and spot GPU jobs (cluster-trace-v2026-spot-gpu)."""
    from scheduler.replay.importers.spot import import_spot

    _write(import_spot(jobs, nodes, skip_bad=skip_bad), out)


@import_.command("openb")
@click.option("--nodes", type=INPUT_FILE, required=True, help="openb_node_list_gpu_node.csv.")
@click.option("--pods", type=INPUT_FILE, required=True, help="openb_pod_list_default.csv, or such.")
@skip_bad_option
@out_option("the trace")
def openb(nodes: Path, pods: Path, skip_bad: bool, out: Path) -> None:
    """Import Alibaba's pods that share GPUs (cluster-trace-gpu-v2023)."""
    from scheduler.replay.importers.openb import import_openb

    _write(import_openb(nodes, pods, skip_bad=skip_bad), out)


@import_.command("kubectl")
@click.option(
    "--dump",
    type=INPUT_FILE,
    required=True,
    help="kubectl get nodes,pods,statefulsets,jobs,replicasets,pvc,namespaces -A -o json",
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


def _write(trace: Trace, out: Path, extra: Mapping[str, bytes] | None = None) -> None:
    from scheduler.replay.trace_io import write_trace

    write_trace(trace, out, extra)
    _said(trace, out)


def _said(trace: Trace, out: Path) -> None:
    for reason, rows in trace.dropped_rows.items():
        note(f"dropped {rows} rows: {reason}")
    note(f"trace in {out}: {len(trace.nodes)} nodes, {len(trace.gangs)} gangs")
