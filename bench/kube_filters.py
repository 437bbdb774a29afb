"""Muster's planner beside the loop of filters that kube-scheduler runs for every pod.

Both get the cluster of rule_scenario.py, kube-scheduler's packages (e2e/tools/cmd/oracle, built
for the tests of verdicts) as the objects an API server would send. Before anything is timed, the
nodes that each finds feasible for a pod of each shape that is asked about are counted: the same,
or nothing is measured.

    python bench/kube_filters.py                  # the size of `make bench`
    python bench/kube_filters.py --nodes 100000   # the whole cluster: minutes, 4 GB of memory

What is timed of kube-scheduler is PreFilter and Filter on one core, no scoring and no binding; of
Muster the whole plan() of 10,000 pods, on one core too.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import click
import msgspec
import numpy as np
import rule_scenario
import scenario
from measure import Contender, Result, take_turns
from rule_scenario import FIRST_SINGLE, GROUP_SHAPES, GROUPS, HOSTNAME, Cluster

from scheduler.commands.output import emit_table
from scheduler.model.arrays import I32
from scheduler.model.constraints import Taint, Toleration
from scheduler.model.policy import Policy
from scheduler.model.resources import GPU
from scheduler.model.shape import Shape
from scheduler.plan import plan
from scheduler.plan.gang import Gang
from scheduler.plan.ledger import Ledger

sys.path.append(str(Path(__file__).resolve().parents[1]))  # e2e is not in the wheel

from e2e.binaries import find_oracle

NODES = 20_000
ASKED = 10
"""Pods that kube-scheduler finds nodes for, of as many shapes; two have anti-affinity."""
RUNS = 5
BOUND = 1 / 100
"""Of what a pod costs kube-scheduler at NODES; more nodes make the gap wider."""
LIMIT_S = 1_800.0
NAMESPACE = "team"
NAME = "rules: beside kube-scheduler's filters"
NO_ORACLE = "skipped: kube-scheduler's filters are not built here; `make oracle` builds them"
Object = dict[str, Any]


class KubeFiltersError(RuntimeError):
    """The two sides cannot be compared; the text says why."""


class NoOracleError(KubeFiltersError):
    """kube-scheduler's filters are not there: skipped, with this text."""

    def __init__(self) -> None:
        super().__init__(NO_ORACLE)


@dataclass(frozen=True, slots=True)
class Timing:
    """What the oracle's -bench prints; see bench.go."""

    nodes: int
    pods: int
    queue: int
    loading_seconds: float
    seconds: float
    each_seconds: list[float]
    feasible: list[int]


def bounded(nodes: int = NODES) -> list[Result]:
    """Milliseconds a pod, with every node filtered and with kube-scheduler's own sampling.

    Raises NoOracleError, or KubeFiltersError.
    """
    oracle = find_oracle()
    if oracle is None:
        raise NoOracleError
    cluster = rule_scenario.cluster(nodes)
    pending = rule_scenario.singles()
    placed = plan(cluster.snapshot, pending, Policy(), 0).stats.members_placed
    if placed != pending.members:
        raise KubeFiltersError(f"{placed} of {pending.members} pods placed; take more nodes")

    def own() -> object:
        return plan(cluster.snapshot, pending, Policy(), 0)

    mine = take_turns([Contender(own)], RUNS)[0]
    with tempfile.TemporaryFile() as case:
        _write(cluster, case)
        whole = _ask(oracle, case)
        sampled = _ask(oracle, case, "-adaptive")
    mine += take_turns([Contender(own)], RUNS)[0]  # before and after: the machine may be busy
    _must_agree(cluster, whole)
    results = []
    for words, timing in (("every node", whole), ("sampled", sampled)):
        params: dict[str, int | float | str] = {
            "nodes": nodes, "bound_pods": cluster.bound.size, "pods": pending.members,
            "asked": timing.queue, "filtering": words, "seed": scenario.SEED,
        }  # fmt: skip
        each = [ms / pending.members for ms in mine]
        median, theirs = statistics.median(each), 1_000 * timing.seconds / timing.queue
        bound = BOUND if timing is whole else None
        ratio = median / theirs
        results.append(
            Result(
                f"{NAME}, {words}", params, len(each), median, min(each), theirs, ratio, bound,
                bound is None or ratio <= bound, "kube-scheduler's, a pod",
            )
        )  # fmt: skip
    return results


def _ask(oracle: Path, case: IO[bytes], *flags: str) -> Timing:
    """Runs the oracle on one core over the case."""
    case.seek(0)
    try:
        done = subprocess.run(
            [oracle, "-bench", "-parallelism", "1", *flags], stdin=case, capture_output=True,
            check=True, timeout=LIMIT_S, env={**os.environ, "GOMAXPROCS": "1"},
        )  # fmt: skip
    except subprocess.CalledProcessError as error:
        raise KubeFiltersError(f"the oracle failed: {error.stderr.decode()}") from error
    except (OSError, subprocess.SubprocessError) as error:
        raise KubeFiltersError(f"the oracle failed: {error}") from error
    return msgspec.json.decode(done.stdout, type=Timing)


def _must_agree(cluster: Cluster, timing: Timing) -> None:
    """Raises KubeFiltersError unless each shape has as many feasible nodes on both sides."""
    ledger, pending = Ledger(cluster.snapshot), rule_scenario.singles()
    own = [
        int(np.count_nonzero(ledger.view(FIRST_SINGLE + i, Gang.of(pending, i)).cap))
        for i in range(ASKED)
    ]
    if own != timing.feasible:
        raise KubeFiltersError(
            f"feasible nodes: {own} here, {timing.feasible} there; nothing to compare"
        )


def _write(cluster: Cluster, sink: IO[bytes]) -> None:
    """The oracle's case, object by object: the whole of it is larger than one likes to hold."""
    shapes = cluster.snapshot.shapes[FIRST_SINGLE:]
    parts = {
        "nodes": _nodes(cluster),
        "pods": _bound(cluster),
        "queue": (_asking(single, shapes[single]) for single in range(ASKED)),
    }
    encode = msgspec.json.encode
    for opening, (name, objects) in zip("{,,", parts.items(), strict=True):
        sink.write(f'{opening}"{name}":['.encode())
        comma = b""
        for each in objects:
            sink.write(comma + encode(each))
            comma = b","
        sink.write(b"]")
    sink.write(b"}")


def _nodes(cluster: Cluster) -> Iterator[Object]:
    """Nodes as large as what is free on them: the bound pods ask for nothing but their slots."""
    snapshot = cluster.snapshot
    columns = [(c.key, c.values, c.code.tolist()) for c in snapshot.labels.values()]
    taints = [[_taint(taint) for taint in taints] for taints in snapshot.taint_sets]
    cpu, memory, gpus = snapshot.free.tolist()
    there: I32 = np.bincount(cluster.bound, minlength=len(snapshot.names)).astype(np.int32)
    slots = (snapshot.slots + there).tolist()
    for row, name in enumerate(snapshot.names):
        labels = {key: values[code[row]] for key, values, code in columns if code[row] >= 0}
        room = _amounts((cpu[row], memory[row], gpus[row])) | {"pods": str(slots[row])}
        yield {
            "metadata": {"name": name, "labels": labels},
            "spec": {"taints": taints[int(snapshot.taint_set[row])]},
            "status": {"allocatable": room, "capacity": room},
        }


def _bound(cluster: Cluster) -> Iterator[Object]:
    names = cluster.snapshot.names
    for pod, row in enumerate(cluster.bound.tolist()):
        yield {
            "metadata": _meta(f"bound-{pod}", pod % GROUPS),
            "spec": {"nodeName": names[row], "containers": [{"name": "main"}]},
        }


def _asking(single: int, shape: Shape) -> Object:
    """The pod that `shape` stands for."""
    group = single // GROUP_SHAPES
    spec: Object = {
        "containers": [{"name": "main", "resources": {"requests": _amounts(shape.requests)}}],
        "nodeSelector": dict(shape.selector),
        "tolerations": [_toleration(toleration) for toleration in shape.tolerations],
    }
    if rule_scenario.keeps_away(single):
        term = {"topologyKey": HOSTNAME, "labelSelector": {"matchLabels": _labels(group)}}
        required = {"requiredDuringSchedulingIgnoredDuringExecution": [term]}
        spec["affinity"] = {"podAntiAffinity": required}
    return {"metadata": _meta(f"single-{single}", group), "spec": spec}


def _meta(name: str, group: int) -> Object:
    return {"name": name, "namespace": NAMESPACE, "uid": name, "labels": _labels(group)}


def _labels(group: int) -> dict[str, str]:
    return {"group": f"group-{group}"}


def _amounts(amounts: tuple[int, ...]) -> dict[str, str]:
    cpu, memory, gpus = amounts
    return {"cpu": f"{cpu}m", "memory": str(memory), GPU: str(gpus)}


def _taint(taint: Taint) -> dict[str, str]:
    return {"key": taint.key, "value": taint.value, "effect": taint.effect}


def _toleration(toleration: Toleration) -> dict[str, str]:
    return {"key": toleration.key, "operator": toleration.operator}


@click.command()
@click.option("--nodes", type=click.IntRange(min=1_000), default=NODES, show_default=True)
def main(nodes: int) -> None:
    """Compares at one size and prints both rows."""
    try:
        emit_table([result.row() for result in bounded(nodes)], "table")
    except KubeFiltersError as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main()
