"""The cluster of scenario.py with labels, taints and bound pods, and pods whose rules read them.

60 label keys, 200 sets of taints, three bound pods a node of 200 groups. Of every five shapes of
single pods one keeps away, node by node, from all pods of its group; the four others belong to
that group, so that each leaves what the first counts and is kept off the nodes where it is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import scenario

from scheduler.model.arrays import I32, frozen
from scheduler.model.constraints import Requirement, Taint, Term, Toleration
from scheduler.model.pending import Pending
from scheduler.model.pod_rules import Apart, MarkColumn, PodRules, Spread
from scheduler.model.shape import Shape
from scheduler.model.snapshot import LabelColumn, Snapshot
from scheduler.model.topology_build import build_topology

NODES = 100_000
SPINE_NODES = scenario.SPINE_NODES
LABEL_KEYS = 60
TAINT_SETS = 200
BOUND_PER_NODE = 3
BOUND_PODS = BOUND_PER_NODE * NODES
GROUPS = 200
"""Bound pod p is of group p % GROUPS."""
SINGLES, SHAPES, GROUP_SHAPES = 10_000, 50, 5
FILTERS, ONE_PER_NODE, SPREAD, FIRST_SINGLE = 0, 1, 2, 3
"""Numbers of the shapes; those of single pods come last."""

HOSTNAME = "kubernetes.io/hostname"
SPINE = "example.com/spine"
GANG, KEPT = "seen:gang", "kept:gang"
GANG_GROUP = SHAPES // GROUP_SHAPES


@dataclass(frozen=True, slots=True)
class Cluster:
    """What Muster plans on, and where the pods are that its marks count."""

    snapshot: Snapshot
    bound: I32
    """[P] row of each bound pod."""


def cluster(nodes: int) -> Cluster:
    """`nodes` nodes and BOUND_PER_NODE times as many bound pods, the same on every run."""
    plain = scenario.snapshot(nodes)
    rng = np.random.default_rng(scenario.SEED)
    row = np.arange(nodes, dtype=np.int32)
    spine = row // SPINE_NODES
    spines = tuple(f"spine-{i}" for i in range(int(spine[-1]) + 1))
    labels = {
        HOSTNAME: LabelColumn(HOSTNAME, plain.names, frozen(row)),
        SPINE: LabelColumn(SPINE, spines, frozen(spine)),
    }
    values = tuple(f"v{i}" for i in range(8))
    for number in range(LABEL_KEYS - len(labels)):
        code = rng.integers(-1, len(values), nodes).astype(np.int32)
        key = f"example.com/k{number}"
        labels[key] = LabelColumn(key, values, frozen(code))
    sets = ((), *((Taint(f"example.com/t{i}", "x"),) for i in range(TAINT_SETS - 1)))
    bound = rng.integers(0, nodes, BOUND_PER_NODE * nodes).astype(np.int32)
    marks = {seen(g): _mark(bound[g::GROUPS]) for g in range(GANG_GROUP)}
    marks[GANG] = _mark(bound[GANG_GROUP::GROUPS])
    snapshot = replace(
        plain,
        topology=build_topology(["spine"], plain.names, [(spines[s],) for s in spine.tolist()]),
        taint_sets=sets,
        taint_set=frozen(rng.integers(0, TAINT_SETS, nodes).astype(np.int32)),
        labels=labels,
        marks=marks,
        shapes=_shapes(),
    )
    return Cluster(snapshot, frozen(bound))


def seen(group: int) -> str:
    """The mark of the pods of a group."""
    return f"seen:group-{group}"


def kept(group: int) -> str:
    """The mark of those that keep away from them."""
    return f"kept:group-{group}"


def keeps_away(single: int) -> bool:
    """Does this shape of single pods carry the anti-affinity of its group?"""
    return single % GROUP_SHAPES == 0


def _mark(rows: I32) -> MarkColumn:
    there, counts = np.unique(rows, return_counts=True)
    return MarkColumn(frozen(there), frozen(counts.astype(np.int64)))


def _shapes() -> tuple[Shape, ...]:
    """Filters; one per node; spread over spines; then 50 shapes of single pods."""
    one = scenario.shapes()[0].requests
    # 10,000 members need room: all taints but one in four are tolerated.
    tolerations = tuple(
        Toleration(f"example.com/t{i}", "Exists") for i in range(TAINT_SETS) if i % 4
    )
    some = ("v0", "v1", "v2", "v3", "v4", "v5")
    terms = (
        Term((Requirement("example.com/k1", "In", some), Requirement("example.com/k2", "Exists"))),
        Term((Requirement("example.com/k3", "NotIn", ("v7",)),)),
    )
    everything = (Toleration(operator="Exists"),)
    filters = Shape(one, (("example.com/k0", "v1"),), terms, tolerations)
    apart = Shape(
        one, tolerations=everything,
        rules=PodRules(apart=(Apart(HOSTNAME, GANG),), repelled=(Apart(HOSTNAME, KEPT),),
                       leaves=(KEPT, GANG)),
    )  # fmt: skip
    spread = Shape(
        one, tolerations=everything,
        rules=PodRules(spread=(Spread(SPINE, 1, 1, GANG, own=True),), leaves=(GANG,)),
    )  # fmt: skip
    singles = [
        Shape(
            tuple(amount * (1 + i % 2) for amount in one),
            ((f"example.com/k{i}", f"v{i % 8}"),),
            tolerations=tolerations,
            rules=_group_rules(i),
        )
        for i in range(SHAPES)
    ]
    return filters, apart, spread, *singles


def _group_rules(single: int) -> PodRules:
    """What the group's one anti-affinity means for the shape that has it, and for the others."""
    group = single // GROUP_SHAPES
    repelled = (Apart(HOSTNAME, kept(group)),)
    if not keeps_away(single):
        return PodRules(repelled=repelled, leaves=(seen(group),))
    return PodRules(
        apart=(Apart(HOSTNAME, seen(group)),), repelled=repelled, leaves=(kept(group), seen(group))
    )


def gang(members: int, shape: int) -> Pending:
    """One gang of `members` pods of this shape."""
    pending = scenario.one_gang(members)
    return replace(pending, shape=frozen(np.full(members, shape, np.int32)))


def singles() -> Pending:
    """10,000 pods alone, of the 50 shapes in turn."""
    sizes = np.ones(SINGLES, np.int64)
    pods = scenario.pending_of(sizes, FIRST_SINGLE + np.arange(SINGLES) % SHAPES)
    return replace(pods, single=frozen(np.ones(SINGLES, np.uint8)))
