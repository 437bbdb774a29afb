"""The tree of the network: domains of any number of levels above the nodes.

    levels (root first)      domains, numbered breadth first       tree positions of nodes
    spine                            0 (cluster)                     0 1 2 3 4 5 6
    leaf                       1 s-1         2 s-2                   a b | c | d | e f | g
                             3 l-1  4 l-2   5 l-1  6 l-9            l-1  l-2 | ^ own node of s-1

Children of a domain are consecutive numbers, ordered by (level, name); nodes that hang
directly below it come after all its child domains. A node without a level's label is in no
domain there: it hangs below its nearest labelled ancestor. The same name under two parents is
two domains. Built once per generation of nodes and labels (`topology_build.py`), then shared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from scheduler.model.arrays import I8, I32

CLUSTER = 0
"""Domain number of the whole cluster, the root of every tree."""

CLUSTER_LEVEL = -1
"""Level number of the cluster; the configured levels are 0 (topmost) to L-1."""


@dataclass(frozen=True, eq=False)
class Topology:
    """Parent arrays of one tree over D domains and N nodes (rows). All arrays are read-only."""

    levels: tuple[str, ...]
    """Names of the levels, root first; a node is below the last (level number L)."""
    names: tuple[str, ...]
    """[D] label value of each domain; the cluster's is empty."""
    level: I8
    """[D] level number; -1 for the cluster."""
    parent: I32
    """[D] parent domain, always a smaller number; -1 for the cluster."""
    first_child: I32
    """[D + 1] children of d are first_child[d] .. first_child[d + 1] - 1."""
    start: I32
    """[D] first tree position under d."""
    end: I32
    """[D] one past the last tree position under d."""
    own_start: I32
    """[D] nodes hanging directly below d are positions own_start[d] .. end[d] - 1."""
    path_rank: I32
    """[D] place of d in depth-first order: the order of name paths from the root."""
    node_parent: I32
    """[N] the deepest domain of each row."""
    order: I32
    """[N] tree position -> row."""
    position: I32
    """[N] row -> tree position."""
    ancestor: I32
    """[L + 1, D] ancestor[l, d] = the domain of level l on the path of d (itself too), or -1."""
    by_level: tuple[I32, ...] = field(repr=False)
    """[L] domain numbers of each level, in path order."""

    @property
    def domains(self) -> int:
        """D, the cluster included."""
        return len(self.names)

    @property
    def nodes(self) -> int:
        """N."""
        return len(self.order)

    def level_number(self, name: str) -> int:
        """Number of the level called `name`. Raises KeyError if none is."""
        try:
            return self.levels.index(name)
        except ValueError:
            raise KeyError(name) from None

    def path(self, domain: int) -> tuple[str, ...]:
        """Names from the topmost level down to `domain`; empty for the cluster."""
        names: list[str] = []
        while domain > CLUSTER:
            names.append(self.names[domain])
            domain = int(self.parent[domain])
        return tuple(reversed(names))

    def rows(self, domain: int) -> I32:
        """Rows under `domain`, in tree order."""
        return self.order[self.start[domain] : self.end[domain]]

    def common_domain(self, rows: I32) -> int:
        """The lowest domain above all of `rows`, which must not be empty."""
        positions = self.position[rows]
        first, last = int(positions.min()), int(positions.max())
        domain = int(self.node_parent[self.order[first]])
        while self.start[domain] > first or self.end[domain] <= last:
            domain = int(self.parent[domain])
        return domain

    def home(self, rows: I32, level: int) -> int:
        """The domain of `level` with most of `rows` (a row per member), ties by name path.

        -1 if `level` is negative or none of the rows has a domain there.
        """
        domains = self.domains_at(rows, level) if level >= 0 else rows[:0]
        found, members = np.unique(domains[domains >= 0], return_counts=True)
        if not found.size:
            return -1
        most = found[members == members.max()]
        return int(most[np.argmin(self.path_rank[most])])

    def domain_of(self, row: int, level: int) -> int:
        """The domain of `row` at `level`, or -1 if it has none there."""
        return int(self.ancestor[level, self.node_parent[row]])

    def domains_at(self, rows: npt.NDArray[np.integer] | Sequence[int], level: int) -> I32:
        """[len(rows)] the domain of each row at `level`, or -1."""
        domains: I32 = self.ancestor[level, self.node_parent[np.asarray(rows, dtype=np.int64)]]
        return domains
