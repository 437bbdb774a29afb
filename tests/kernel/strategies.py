"""Random trees and capacities, small enough for the twins and odd enough to matter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from scheduler.model.topology import Topology
from scheduler.model.topology_build import build_topology

SMALL = st.integers(0, 5)
LARGE = st.one_of(SMALL, st.integers(250, 260), st.sampled_from([97, 128, 1000]))


@dataclass(frozen=True)
class Case:
    """A tree, a capacity per row, and a gang to place on it."""

    tree: Topology
    cap: list[int]
    n: int
    minimum: int
    size: int
    segment_level: int
    required: int
    within: int
    preferred: int
    single: bool


@st.composite
def trees(draw: st.DrawFn, max_nodes: int = 14) -> Topology:
    """Up to three levels; labels may be missing anywhere, names repeat under other parents."""
    depth = draw(st.integers(0, 3))
    value = st.sampled_from(["a", "b", "a10", "a2", None])
    labels = draw(st.lists(st.lists(value, min_size=depth, max_size=depth), max_size=max_nodes))
    names = [f"n{i}" for i in range(len(labels))]
    return build_topology([f"level{i}" for i in range(depth)], names, labels)


@st.composite
def cases(draw: st.DrawFn, caps: st.SearchStrategy[int] = SMALL) -> Case:
    """A gang of identical members over a random tree; capacities of nodes are from `caps`."""
    tree = draw(trees())
    depth = len(tree.levels)
    cap = draw(st.lists(caps, min_size=tree.nodes, max_size=tree.nodes))
    n = draw(st.integers(1, max(1, sum(cap) + 2)))
    segmented = depth > 0 and draw(st.booleans())
    level = st.integers(-1, depth - 1)
    return Case(
        tree=tree,
        cap=cap,
        n=n,
        minimum=draw(st.integers(1, n)),
        size=draw(st.integers(1, 6)) if segmented else 0,
        segment_level=draw(st.integers(0, depth - 1)) if segmented else -1,
        required=draw(level),
        within=draw(st.one_of(st.just(-1), st.integers(0, tree.domains - 1))),
        preferred=draw(level),
        single=draw(st.booleans()),
    )


def int64(values: list[int]) -> np.ndarray:
    """A contiguous int64 column."""
    return np.array(values, dtype=np.int64)
