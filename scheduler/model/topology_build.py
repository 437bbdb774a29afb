"""Builds the tree from node labels; `topology_check.py` looks at what was built.

A label value is read as the name of a domain under its parent, so that a level's name needs
to be unique only there (Alibaba's Lingjun fabric: 42 leaf names under more than one spine).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scheduler.model.arrays import I32, frozen
from scheduler.model.names import NaturalKey, natural_key
from scheduler.model.topology import CLUSTER_LEVEL, Topology

Path = tuple[tuple[int, str], ...]
"""(level number, label value) from the topmost labelled level down."""


def paths_of(labels: Sequence[Sequence[str | None]]) -> list[Path]:
    """[N] path of each node from its values per level (root first); None or '' = no label."""
    return [tuple((lv, v) for lv, v in enumerate(values) if v) for values in labels]


def build_topology(
    levels: Sequence[str], names: Sequence[str], labels: Sequence[Sequence[str | None]]
) -> Topology:
    """The tree over nodes `names` (row order) with `labels[row][level]`.

    Raises ValueError if a level is named twice or a row has another number of values.
    """
    if len(set(levels)) != len(levels) or "" in levels:
        raise ValueError(f"levels must have distinct, non-empty names, not {list(levels)}")
    for name, values in zip(names, labels, strict=True):
        if len(values) != len(levels):
            raise ValueError(f"node {name}: {len(values)} label values for {len(levels)} levels")
    paths = paths_of(labels)
    return _number(tuple(levels), names, paths)


def _number(levels: tuple[str, ...], names: Sequence[str], paths: list[Path]) -> Topology:
    prefixes: set[Path] = {()}
    for path in set(paths):
        prefixes.update(path[:depth] for depth in range(1, len(path) + 1))
    part_key = {part: (part[0], natural_key(part[1])) for p in prefixes for part in p}

    def path_key(path: Path) -> tuple[tuple[int, NaturalKey], ...]:
        return tuple(part_key[part] for part in path)

    # Breadth first, children of one parent side by side, in (level, name) order.
    domains = sorted(prefixes, key=lambda p: (len(p), path_key(p)))
    number = {path: d for d, path in enumerate(domains)}
    count = len(domains)
    parent = np.full(count, -1, np.int32)
    level = np.full(count, CLUSTER_LEVEL, np.int8)
    ancestor = np.full((len(levels) + 1, count), -1, np.int32)
    for path, d in number.items():
        if path:
            parent[d] = number[path[:-1]]
            level[d] = path[-1][0]
        for depth in range(1, len(path) + 1):
            ancestor[path[depth - 1][0], d] = number[path[:depth]]
    first_child = np.searchsorted(parent[1:], np.arange(count + 1), side="left") + 1

    path_rank = np.empty(count, np.int32)
    path_rank[[number[p] for p in sorted(prefixes, key=path_key)]] = np.arange(count)
    node_parent = np.fromiter((number[p] for p in paths), np.int32, len(paths))
    return _with_positions(
        levels, domains, level, parent, first_child, path_rank, node_parent, ancestor, names
    )


def _with_positions(  # one value per column of the Topology
    levels: tuple[str, ...],
    domains: list[Path],
    level: np.ndarray,
    parent: np.ndarray,
    first_child: np.ndarray,
    path_rank: np.ndarray,
    node_parent: np.ndarray,
    ancestor: np.ndarray,
    names: Sequence[str],
) -> Topology:
    count, nodes = len(domains), len(names)
    own = np.bincount(node_parent, minlength=count).astype(np.int64)
    under = own.copy()
    for d in range(count - 1, 0, -1):
        under[parent[d]] += under[d]
    start = np.zeros(count, np.int32)
    own_start = np.zeros(count, np.int32)
    for d in range(count):
        at = start[d]
        for child in range(first_child[d], first_child[d + 1]):
            start[child] = at
            at += under[child]
        own_start[d] = at
    end = (start + under).astype(np.int32)
    # Rows come in name order, so a stable sort by parent keeps names ordered inside it.
    key = {name: natural_key(name) for name in names}
    by_name = sorted(range(nodes), key=lambda row: key[names[row]])
    order = np.empty(nodes, np.int32)
    fill = own_start.astype(np.int64).copy()
    for row in by_name:
        d = node_parent[row]
        order[fill[d]] = row
        fill[d] += 1
    position = np.empty(nodes, np.int32)
    position[order] = np.arange(nodes, dtype=np.int32)
    in_path_order = np.argsort(path_rank, kind="stable")
    by_level: list[I32] = [
        frozen(in_path_order[level[in_path_order] == lv].astype(np.int32))
        for lv in range(len(levels))
    ]
    return Topology(
        levels=levels,
        names=tuple(p[-1][1] if p else "" for p in domains),
        level=frozen(level),
        parent=frozen(parent),
        first_child=frozen(first_child.astype(np.int32)),
        start=frozen(start),
        end=frozen(end),
        own_start=frozen(own_start),
        path_rank=frozen(path_rank),
        node_parent=frozen(node_parent),
        order=frozen(order),
        position=frozen(position),
        ancestor=frozen(ancestor),
        by_level=tuple(by_level),
    )
