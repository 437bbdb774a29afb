"""A live cluster, from a dump of its nodes, pods and what owns them (see COMMAND).

The trace holds the nodes and the gangs that wait; run times are unknown and 0. Pods on nodes
(of every scheduler) are folded into what is used there, and so is a waiting pod that is pinned
to one node by name; rules between pods count them. Every waiting pod counts, whichever scheduler
it names: the question is where Muster would put it. PersistentVolumes are read too where the
dump has them (add `pv`).
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from scheduler.errors import BadInputError
from scheduler.model import decode
from scheduler.model.decode import Node, ObjectError, Pod
from scheduler.model.names import natural_key
from scheduler.model.resources import GPU, ResourceOrder
from scheduler.model.wishes import Level
from scheduler.replay.cluster_file import SCHEMA_VERSION, ClusterFile, NodeEntry
from scheduler.replay.cluster_trace import trace_of
from scheduler.replay.importers.kubectl_dump import Dump, seat_of
from scheduler.replay.importers.kubectl_gangs import WaitingGangs
from scheduler.replay.importers.levels import detect_levels
from scheduler.replay.trace import Trace

COMMAND = "kubectl get nodes,pods,statefulsets,jobs,replicasets,pvc,namespaces -A -o json"
_MOST_AMOUNT = 2**53
_MOST_COUNT = 10**6
"""Limits of nodes.csv and gangs.csv, far above any machine: more is a slip of a unit."""


@dataclass(frozen=True, slots=True)
class ClusterImport:
    """What a dump becomes: both go to `snapshot_dir.write_snapshot`."""

    trace: Trace
    cluster: ClusterFile


_READERS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "Node": ("nodes", decode.decode_node),
    "Pod": ("pods", decode.decode_pod),
    "StatefulSet": ("controllers", decode.decode_stateful_set),
    "ReplicaSet": ("controllers", decode.decode_replica_set),
    "Job": ("controllers", decode.decode_job),
    "PersistentVolumeClaim": ("claims", decode.decode_claim),
    "PersistentVolume": ("disks", decode.decode_volume),
    "Namespace": ("namespaces", lambda found: found.metadata),
}


def import_kubectl(
    dump: Path, *, levels: Sequence[Level] | None = None, skip_bad: bool = False
) -> ClusterImport:
    """The cluster in file `dump`. `levels` root first; None = detect well-known labels.

    Raises BadInputError if the file is no List, for the first malformed object (with
    `skip_bad` it is left out and counted instead), and if there is no node.
    """
    try:
        data = dump.read_bytes()
    except OSError as error:
        what = f"cannot be read: {error.strerror or error}"
        raise BadInputError(dump, None, what, f"save the output of `{COMMAND}`") from error
    try:
        found = read_dump(data)
    except msgspec.DecodeError as error:
        what = f"is not a List of objects: {error}"
        raise BadInputError(dump, None, what, f"save the output of `{COMMAND}`") from error
    if found.problems and not skip_bad:
        first = found.problems[0]
        do = "correct the object, or leave it out with --skip-bad"
        raise BadInputError(dump, None, f"{first.key}: {first.what}", do)
    if not found.nodes:
        raise BadInputError(dump, None, "has no Node", f"save the output of `{COMMAND}`")
    cluster, dropped = fold(found, tuple(levels) if levels is not None else None)
    source = f"{COMMAND}; {dump.name} sha256 {hashlib.sha256(data).hexdigest()}"
    return ClusterImport(trace_of(cluster, source, dropped), cluster)


def read_dump(data: bytes) -> Dump:
    """Objects of a List, each on its own. Raises msgspec.DecodeError if it is no List."""
    dump = Dump()
    for raw in decode.decode_list(data):
        try:
            kind, found = decode.decode_item(raw)
            if found is not None:
                place, read = _READERS[kind]
                value = read(found)
                _refuse_absurd(kind, value)
                getattr(dump, place).append(value)
        except ObjectError as error:
            dump.problems.append(error)
    return dump


def _refuse_absurd(kind: str, value: object) -> None:
    """Amounts that parse, but are no machine's. Raises ObjectError."""
    if isinstance(value, Node):
        key, amounts, slots = f"Node {value.name}", value.allocatable, value.slots
    elif isinstance(value, Pod):
        key, amounts, slots = f"{kind} {value.key}", value.request, 0
    else:
        return
    for name, amount in amounts.items():
        if amount > (_MOST_COUNT if name == GPU else _MOST_AMOUNT):
            raise ObjectError(key, f"{name} is {amount}, more than any machine has")
    if slots > _MOST_COUNT:
        raise ObjectError(key, f"pods is {slots}, more than any machine takes")


def fold(dump: Dump, levels: tuple[Level, ...] | None) -> tuple[ClusterFile, dict[str, int]]:
    """The cluster, and how many objects of the dump are not in it, by reason."""
    dropped = Counter(f"malformed {error.key.split()[0]}" for error in dump.problems)
    nodes = sorted(dump.nodes, key=lambda node: natural_key(node.name))
    if levels is None:
        levels = detect_levels([node.labels for node in nodes])
    order = ResourceOrder.of(
        {name for node in nodes for name in node.allocatable}
        | {name for pod in dump.pods for name, amount in pod.request.items() if amount}
        | {name for c in dump.controllers for name, amount in c.template.request.items() if amount}
    )
    file = ClusterFile(
        schema_version=SCHEMA_VERSION,
        levels=list(levels),
        resources=list(order.names),
        shapes=[],
        nodes=_node_entries(nodes, dump.pods, dropped),
        gangs=[],
        notes=[*(str(error) for error in dump.problems), *_unused_levels(nodes, levels)],
    )
    WaitingGangs(dump, order, file, dropped).fill(levels)
    return file, dict(sorted(dropped.items()))


def _unused_levels(nodes: Sequence[Node], levels: Sequence[Level]) -> list[str]:
    """A sentence for each level that no node has: most often a slip in its label."""
    return [
        f"level {level.name}: no node has the label {level.label}"
        for level in levels
        if not any(node.labels.get(level.label) for node in nodes)
    ]


def _node_entries(
    nodes: Sequence[Node], pods: Sequence[Pod], dropped: Counter[str]
) -> list[NodeEntry]:
    entries = {
        node.name: NodeEntry(
            name=node.name,
            labels=dict(sorted(node.labels.items())),
            taints=list(node.taints),
            cordoned=node.unschedulable,
            allocatable=dict(sorted(node.allocatable.items())),
            slots=node.slots,
            features=list(node.features),
        )
        for node in nodes
    }
    for pod in pods:
        seat = seat_of(pod)
        if pod.finished or not seat:
            continue
        entry = entries.get(seat)
        if entry is None:
            dropped["pod on an unknown node"] += 1
            continue
        entry.pods += 1
        for name, amount in pod.request.items():
            if amount:
                entry.used[name] = entry.used.get(name, 0) + amount
        entry.tokens += pod.shape.tokens
    for entry in entries.values():
        entry.tokens = sorted(set(entry.tokens))
        entry.used = dict(sorted(entry.used.items()))
    return list(entries.values())
