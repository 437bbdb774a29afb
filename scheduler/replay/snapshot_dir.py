"""A snapshot directory: a trace directory plus `cluster.json`, what only a live cluster has.

nodes.csv and gangs.csv are what replay reads; cluster.json adds labels, taints, cordons, other
resources, pods that are bound (folded per node) and waiting gangs with their shapes, ranks and
pins; from a running scheduler also holds, claims and the profile. `load_snapshot` builds the
planner's columns from cluster.json alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from scheduler.errors import BadInputError
from scheduler.model.arrays import I64, frozen
from scheduler.model.names import natural_key
from scheduler.model.pending import NO_DOMAIN, NO_LEVEL, NO_PIN, NO_ROW, Pending
from scheduler.model.pod_rules import MarkColumn
from scheduler.model.policy import Pack, Policy
from scheduler.model.resources import ResourceOrder
from scheduler.model.snapshot import (
    CORDONED,
    SETTLING,
    Claims,
    Holds,
    LabelColumn,
    Snapshot,
)
from scheduler.model.topology import Topology
from scheduler.model.topology_build import build_topology
from scheduler.model.wishes import Level
from scheduler.replay.cluster_file import SCHEMA_VERSION, ClusterFile, GangEntry, NodeEntry
from scheduler.replay.cluster_text import cluster_text
from scheduler.replay.node_entries import marks_read
from scheduler.replay.trace import Trace, column
from scheduler.replay.trace_io import changed_files, read_manifest, trace_files, write_trace
from scheduler.state.claims import find_domain

CLUSTER_FILE = "cluster.json"


def policy_of(cluster: ClusterFile) -> Policy:
    """How to plan it."""
    profile = cluster.profile
    return Policy(
        pack=Pack(profile.pack),
        budget=profile.search_per_gang,
        cycle_budget=profile.search_per_cycle,
    )


def write_snapshot(trace: Trace, cluster: ClusterFile, out: Path) -> None:
    """Write both as directory `out`. Raises UsageError if `out` is taken."""
    write_trace(trace, out, {CLUSTER_FILE: cluster_text(cluster)})


def snapshot_files(trace: Trace, cluster: ClusterFile) -> Iterator[tuple[str, bytes]]:
    """(name, content) of what `write_snapshot` writes, made one after the other."""
    return trace_files(trace, {CLUSTER_FILE: cluster_text(cluster)})


def load_snapshot(directory: Path) -> tuple[Snapshot, Pending]:
    """The cluster and its complete waiting gangs. Raises BadInputError."""
    cluster = read_cluster(directory)
    try:
        snapshot = snapshot_of(cluster)
        return snapshot, pending_of(cluster, snapshot)
    except (ValueError, KeyError, OverflowError) as error:
        what = error.args[0] if error.args else error
        do = "take the snapshot again"
        raise BadInputError(directory / CLUSTER_FILE, None, str(what), do) from error


def read_cluster(directory: Path) -> ClusterFile:
    """cluster.json as it stands. Raises BadInputError, also if its hash is not the manifest's."""
    file = directory / CLUSTER_FILE
    do = "take the snapshot again (muster snapshot, muster trace import kubectl)"
    if CLUSTER_FILE in changed_files(directory, read_manifest(directory)):
        raise BadInputError(file, None, "is not the file whose sha256 the manifest names", do)
    try:
        cluster = msgspec.json.decode(file.read_bytes(), type=ClusterFile)
    except OSError as error:
        what = f"cannot be read: {error.strerror or error}"
        raise BadInputError(file, None, what, do) from error
    except msgspec.DecodeError as error:
        raise BadInputError(file, None, str(error), do) from error
    if cluster.schema_version != SCHEMA_VERSION:
        what = f"schema_version is {cluster.schema_version}, this program reads {SCHEMA_VERSION}"
        raise BadInputError(file, None, what, do)
    return cluster


def snapshot_of(cluster: ClusterFile) -> Snapshot:
    """The node columns. Raises ValueError for what does not fit together."""
    nodes = sorted(cluster.nodes, key=lambda node: natural_key(node.name))
    names = tuple(node.name for node in nodes)
    if len(set(names)) < len(names):
        raise ValueError("two nodes have the same name")
    order = ResourceOrder(tuple(cluster.resources))
    for shape in cluster.shapes:
        if len(shape.requests) != len(order) or min(shape.requests, default=0) < 0:
            raise ValueError(f"shape {shape.requests} is no request over {order.names}")
    features, declared = _numbered(tuple(sorted(set(node.features))) for node in nodes)
    allocatable = _amounts(order, [node.allocatable for node in nodes])
    sets, set_of = _numbered(tuple(node.taints) for node in nodes)
    topology = _topology(cluster.levels, nodes)
    return Snapshot(
        generation=1,
        resources=order,
        names=names,
        topology=topology,
        allocatable=frozen(allocatable),
        free=frozen(allocatable - _amounts(order, [node.used for node in nodes])),
        slots=frozen(np.array([node.slots - node.pods for node in nodes], np.int64)),
        flags=frozen(np.array([_flags(node) for node in nodes], np.uint8)),
        taint_sets=sets,
        taint_set=frozen(np.array(set_of, np.int32)),
        labels=_label_columns([node.labels for node in nodes]),
        tokens=_tokens(nodes),
        marks=_marks(cluster.marks, nodes),
        features=features or ((),),
        feature_set=frozen(np.array(declared, np.int32)),
        shapes=tuple(cluster.shapes),
        claims=_claims(cluster, topology),
        holds=_holds(cluster, names),
    )


def _flags(node: NodeEntry) -> int:
    return (CORDONED if node.cordoned else 0) | (SETTLING if node.settling else 0)


def _claims(cluster: ClusterFile, topology: Topology) -> Claims:
    """Claims of domains that exist."""
    number = {level.name: at for at, level in enumerate(cluster.levels)}
    found = [
        (find_domain(topology, tuple((number[level], name) for level, name in claim.path)), claim)
        for claim in cluster.claims
    ]
    found = [(domain, claim) for domain, claim in found if domain != NO_DOMAIN]
    return Claims(
        column((domain for domain, _ in found), np.int32),
        tuple(claim.owner for _, claim in found),
        column((claim.priority for _, claim in found), np.int32),
    )


def _holds(cluster: ClusterFile, names: Sequence[str]) -> Holds:
    """Holds on nodes that exist."""
    row_of = {name: row for row, name in enumerate(names)}
    held = [hold for hold in cluster.holds if hold.node in row_of]
    if any(hold.shape >= len(cluster.shapes) for hold in held):
        raise ValueError("a hold has a shape that is not there")
    return Holds(
        row=column((row_of[hold.node] for hold in held), np.int32),
        shape=column((hold.shape for hold in held), np.int32),
        owner=tuple(hold.owner for hold in held),
        rank=column((hold.rank for hold in held), np.int32),
        until_us=column((hold.until_us for hold in held), np.int64),
    )


def _amounts(order: ResourceOrder, given: Sequence[Mapping[str, int]]) -> I64:
    """[R, N]"""
    rows = [order.vector(amounts) for amounts in given]
    shape = (len(given), len(order))
    return np.ascontiguousarray(np.array(rows, np.int64).reshape(shape).T)


def _topology(levels: Sequence[Level], nodes: Sequence[NodeEntry]) -> Topology:
    return build_topology(
        [level.name for level in levels],
        [node.name for node in nodes],
        [[node.labels.get(level.label) for level in levels] for node in nodes],
    )


T = TypeVar("T")


def _numbered(values: Iterable[T]) -> tuple[tuple[T, ...], list[int]]:
    """Distinct values by first use, and the number of each."""
    number: dict[T, int] = {}
    of = [number.setdefault(value, len(number)) for value in values]
    return tuple(number), of


def _label_columns(labels: Sequence[Mapping[str, str]]) -> dict[str, LabelColumn]:
    at: dict[str, list[int]] = {}
    found: dict[str, list[str]] = {}
    for row, of_node in enumerate(labels):
        for key, value in of_node.items():
            at.setdefault(key, []).append(row)
            found.setdefault(key, []).append(value)
    columns: dict[str, LabelColumn] = {}
    for key in sorted(at):
        values, codes = _numbered(found[key])
        code = np.full(len(labels), -1, np.int32)
        code[at[key]] = codes
        columns[key] = LabelColumn(key, values, frozen(code))
    return columns


def _tokens(nodes: Sequence[NodeEntry]) -> dict[str, npt.NDArray[np.int32]]:
    rows: dict[str, list[int]] = {}
    for row, node in enumerate(nodes):
        for token in sorted(set(node.tokens)):
            rows.setdefault(token, []).append(row)
    return {token: frozen(np.array(rows[token], np.int32)) for token in sorted(rows)}


def _marks(marks: Sequence[str], nodes: Sequence[NodeEntry]) -> dict[str, MarkColumn]:
    """A column for every mark, also for one that no pod has."""
    if len(set(marks)) < len(marks):
        raise ValueError("a mark is listed twice")
    rows: dict[str, list[int]] = {str(number): [] for number in range(len(marks))}
    counts: dict[str, list[int]] = {number: [] for number in rows}
    for row, node in enumerate(nodes):
        for number, count in node.marks.items():
            if number not in rows:
                raise ValueError(f"node {node.name}: there is no mark {number}")
            rows[number].append(row)
            counts[number].append(count)
    return {
        mark: MarkColumn(column(rows[number], np.int32), column(counts[number], np.int64))
        for mark, number in zip(marks, rows, strict=True)
    }


def pending_of(cluster: ClusterFile, snapshot: Snapshot) -> Pending:
    """The gangs to try, in file order. Raises ValueError for what does not fit together."""
    gangs = [gang for gang in cluster.gangs if not gang.waits_for and not gang.left_out]
    if len({gang.key for gang in gangs}) < len(gangs):
        raise ValueError("two gangs have the same key")
    level = {entry.name: at for at, entry in enumerate(cluster.levels)} | {"": NO_LEVEL}
    row_of = {name: row for row, name in enumerate(snapshot.names)}
    for gang in gangs:
        _check(gang, cluster, level)
    members = [len(gang.ranks) for gang in gangs]
    return Pending(
        key=tuple(gang.key for gang in gangs),
        name=tuple(gang.name for gang in gangs),
        offset=column((0, *np.cumsum(members, dtype=np.int64).tolist()), np.int64),
        minimum=column((gang.minimum for gang in gangs), np.int32),
        required=column((level[gang.required] for gang in gangs), np.int8),
        preferred=column((level[gang.preferred] for gang in gangs), np.int8),
        segment_size=column((gang.segment_size for gang in gangs), np.int32),
        segment_level=column((level[gang.segment_topology] for gang in gangs), np.int8),
        home=column((_home(gang, level, snapshot, row_of) for gang in gangs), np.int32),
        single=column((gang.single for gang in gangs), np.uint8),
        repair=column(
            (bool(gang.bound) if gang.repair is None else gang.repair for gang in gangs), np.uint8
        ),
        starved=column((gang.starved for gang in gangs), np.uint8),
        priority=column((gang.priority for gang in gangs), np.int32),
        ready_us=column((gang.ready_us for gang in gangs), np.int64),
        expected_us=column((0 for _ in gangs), np.int64),
        pool=column((0 for _ in gangs), np.int32),
        rank=column((rank for gang in gangs for rank in gang.ranks), np.int32),
        shape=column((shape for gang in gangs for shape in gang.shapes), np.int32),
        held_row=column((row_of.get(name, NO_ROW) for name in _held(gangs)), np.int32),
        pin=column((pin for gang in gangs for pin in gang.pins), np.int32),
        pins=tuple(
            column(sorted({row_of[name] for name in names if name in row_of}), np.int32)
            for names in cluster.pins
        ),
    )


def _held(gangs: Sequence[GangEntry]) -> Iterator[str]:
    """Node of every member's held room, empty where none is."""
    for gang in gangs:
        yield from gang.held or [""] * len(gang.ranks)


def _check(gang: GangEntry, cluster: ClusterFile, level: Mapping[str, int]) -> None:
    n = len(gang.ranks)
    if not n or {len(gang.shapes), len(gang.pins), len(gang.pods)} != {n}:
        raise ValueError(f"gang {gang.name}: pods, ranks, shapes and pins must be {n} each, not 0")
    if len(gang.held) not in (0, n):
        raise ValueError(f"gang {gang.name}: held must name {n} nodes or none")
    if gang.ranks != sorted(set(gang.ranks)) or gang.minimum > n:
        raise ValueError(f"gang {gang.name}: ranks must rise, minimum is at most {n}")
    for name in (gang.required, gang.preferred, gang.segment_topology):
        if name not in level:
            raise ValueError(f"gang {gang.name}: there is no level {name!r}")
    if bool(gang.segment_size) != bool(gang.segment_topology):
        raise ValueError(f"gang {gang.name}: segments need a size and a level")
    if max(gang.shapes) >= len(cluster.shapes):
        raise ValueError(f"gang {gang.name}: there is no shape {max(gang.shapes)}")
    read = marks_read(cluster.shapes[shape] for shape in set(gang.shapes))
    for mark in sorted(read.difference(cluster.marks))[:1]:
        raise ValueError(f"gang {gang.name}: pods of mark {mark} are not counted")
    if not all(NO_PIN <= pin < len(cluster.pins) for pin in gang.pins):
        raise ValueError(f"gang {gang.name}: pins must be {NO_PIN} to {len(cluster.pins) - 1}")


def _home(
    gang: GangEntry, level: Mapping[str, int], snapshot: Snapshot, row_of: Mapping[str, int]
) -> int:
    """Domain of the required, else the preferred level with most bound members."""
    at = level[gang.required] if gang.required else level[gang.preferred]
    if at == NO_LEVEL:
        return NO_DOMAIN
    tree = snapshot.topology
    members: dict[int, int] = {}
    for node, count in gang.bound.items():
        domain = tree.domain_of(row_of[node], at) if node in row_of else NO_DOMAIN
        if domain != NO_DOMAIN:
            members[domain] = members.get(domain, 0) + count
    if not members:
        return NO_DOMAIN
    return min(members, key=lambda d: (-members[d], int(tree.path_rank[d])))
