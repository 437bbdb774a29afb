"""The cache once more, as plainly as it can be written: lists and dicts, everything from scratch.

Two snapshots are equal if `decoded` gives equal dicts; numbers of shapes, domains, taint sets and
labels are turned back into what they stand for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from scheduler.model.names import natural_key
from scheduler.model.shape import Shape
from scheduler.model.snapshot import CORDONED, SETTLING, Snapshot
from scheduler.model.topology_build import build_topology
from scheduler.state.claims import Claim
from scheduler.state.nodes import Level, NodeSpec


@dataclass
class Member:
    """One pod on a node."""

    gang: str
    rank: int
    node: str
    shape: int
    assumed: bool
    uid: str = ""


@dataclass
class NaiveHold:
    """Room kept for one member."""

    namespace: str
    node: str
    shape: int
    since_us: int
    until_us: int


@dataclass
class NaiveCluster:
    """What the cache should know."""

    levels: Sequence[Level]
    settle_us: int = 0
    shapes: list[Shape] = field(default_factory=list)
    nodes: dict[str, NodeSpec] = field(default_factory=dict)
    members: list[Member] = field(default_factory=list)
    holds: dict[tuple[str, int], NaiveHold] = field(default_factory=dict)
    claims: dict[tuple[str, tuple[tuple[int, str], ...]], Claim] = field(default_factory=dict)

    def of(self, gang: str) -> list[Member]:
        """Members of a gang, by rank."""
        return sorted((m for m in self.members if m.gang == gang), key=lambda m: m.rank)

    def expire(self, now_us: int) -> None:
        """Holds and claims whose time is over are gone."""
        self.expire_holds(now_us)
        self.claims = {k: c for k, c in self.claims.items() if c.deadline_us > now_us}

    def expire_holds(self, now_us: int) -> None:
        """Holds whose time is over are gone."""
        self.holds = {k: h for k, h in self.holds.items() if h.until_us > now_us}

    def view(self, now_us: int) -> dict[str, Any]:
        """What a snapshot taken now should decode to."""
        names = sorted(self.nodes, key=natural_key)
        takers = [(m.node, m.shape) for m in self.members]
        takers += [(h.node, h.shape) for h in self.holds.values()]
        free: dict[str, list[int]] = {n: list(self.nodes[n].allocatable) for n in names}
        slots = {n: self.nodes[n].slots for n in names}
        tokens: dict[str, set[str]] = {}
        for node, number in takers:
            if node in free:
                shape = self.shapes[number]
                free[node] = [f - q for f, q in zip(free[node], shape.requests, strict=True)]
                slots[node] -= 1
                for token in shape.tokens:
                    tokens.setdefault(token, set()).add(node)
        return {
            "names": names,
            "allocatable": [list(self.nodes[n].allocatable) for n in names],
            "free": [free[n] for n in names],
            "slots": [slots[n] for n in names],
            "flags": [self._flags(self.nodes[n], now_us) for n in names],
            "taints": [tuple(sorted(self.nodes[n].taints)) for n in names],
            "labels": [dict(self.nodes[n].labels) for n in names],
            "tokens": {t: sorted(on, key=natural_key) for t, on in tokens.items()},
            "holds": self._holds(names),
            **self._tree(names),
        }

    def _flags(self, node: NodeSpec, now_us: int) -> int:
        young = self.settle_us and node.created_us + self.settle_us > now_us
        return (CORDONED if node.cordoned else 0) | (SETTLING if young else 0)

    def _holds(self, names: list[str]) -> list[tuple[str, int, str, int, int]]:
        return sorted(
            (h.node, h.shape, owner, rank, h.until_us)
            for (owner, rank), h in self.holds.items()
            if h.node in names
        )

    def _tree(self, names: list[str]) -> dict[str, Any]:
        values = [tuple(self.nodes[n].labels.get(lv.label) for lv in self.levels) for n in names]
        tree = build_topology([lv.name for lv in self.levels], names, values)
        paths = {
            tuple((int(tree.level[x]), tree.names[x]) for x in _path(tree.parent, d))
            for d in range(tree.domains)
        }
        claims = [c for c in self.claims.values() if c.path in paths]
        return {
            "domains": [(*tree.path(d), int(tree.level[d])) for d in range(tree.domains)],
            "parents": tree.node_parent.tolist(),
            "order": tree.order.tolist(),
            "claims": sorted(([v for _, v in c.path], c.owner, c.priority) for c in claims),
        }


def _path(parent: Any, d: int) -> list[int]:
    path: list[int] = []
    while d > 0:
        path.append(d)
        d = int(parent[d])
    return path[::-1]


def decoded(snap: Snapshot) -> dict[str, Any]:
    """A snapshot without its private numbers."""
    names, tree = list(snap.names), snap.topology
    claims, holds = snap.claims, snap.holds
    return {
        "names": names,
        "allocatable": snap.allocatable.T.tolist(),
        "free": snap.free.T.tolist(),
        "slots": snap.slots.tolist(),
        "flags": snap.flags.tolist(),
        "taints": [snap.taint_sets[i] for i in snap.taint_set],
        "labels": [
            {k: c.values[c.code[row]] for k, c in snap.labels.items() if c.code[row] >= 0}
            for row in range(len(names))
        ],
        "tokens": {t: [names[row] for row in rows] for t, rows in snap.tokens.items()},
        "holds": sorted(
            (
                names[holds.row[i]],
                int(holds.shape[i]),
                o,
                int(holds.rank[i]),
                int(holds.until_us[i]),
            )
            for i, o in enumerate(holds.owner)
        ),
        "domains": [(*tree.path(d), int(tree.level[d])) for d in range(tree.domains)],
        "parents": tree.node_parent.tolist(),
        "order": tree.order.tolist(),
        "claims": sorted(
            (list(tree.path(int(d))), o, int(p))
            for d, o, p in zip(claims.domain, claims.owner, claims.priority, strict=True)
        ),
    }


def columns_of(snap: Snapshot) -> list[np.ndarray]:
    """Every array of a snapshot that must be read-only."""
    kept = [a for c in snap.capacities.values() for a in (c.reason, c.cap, c.sums)]
    labels = [column.code for column in snap.labels.values()]
    own: list[np.ndarray] = [snap.allocatable, snap.free, snap.slots, snap.flags, snap.taint_set]
    return [*own, *labels, *snap.tokens.values(), *kept]
