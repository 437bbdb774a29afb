"""What an operator should know of a tree, and the tree as a graph.

networkx is imported here alone: it takes 0.2 s, and a scheduler that starts has no use for it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import networkx as nx
import numpy as np

from scheduler.model.topology import CLUSTER, Topology


@dataclass(frozen=True, slots=True)
class TopologyNote:
    """Something an operator should know about the tree; nothing is refused for it."""

    level: str
    nodes: int
    text: str


def to_networkx(topology: Topology) -> nx.DiGraph[int]:
    """The tree as a graph of domain numbers (attributes: name, level), for checks and pictures."""
    graph: nx.DiGraph[int] = nx.DiGraph()
    for d in range(topology.domains):
        graph.add_node(d, name=topology.names[d], level=int(topology.level[d]))
    graph.add_edges_from((int(p), d) for d, p in enumerate(topology.parent) if d != CLUSTER)
    return graph


def check_topology(topology: Topology) -> list[TopologyNote]:
    """What an operator should know: nodes without a label, levels skipped, names seen twice.

    Raises ValueError if the arrays are not a tree (a bug, never an input).
    """
    graph = to_networkx(topology)
    if not nx.is_arborescence(graph):
        raise ValueError("the topology is not a tree")
    notes: list[TopologyNote] = []
    for lv, level in enumerate(topology.levels):
        missing = int(np.count_nonzero(topology.domains_at(np.arange(topology.nodes), lv) < 0))
        if missing:
            text = f"{missing} nodes have no {level} label: they hang below their nearest ancestor"
            notes.append(TopologyNote(level, missing, text))
        names = [topology.names[d] for d in topology.by_level[lv]]
        twice = sum(domains > 1 for domains in Counter(names).values())
        if twice:
            text = f"{twice} {level} names stand under more than one parent: each is its own domain"
            notes.append(TopologyNote(level, 0, text))
    return notes
