"""A turn of nodes decides where everything else is equal, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler import kernel
from scheduler import kernel_reference as reference
from scheduler.model.topology import CLUSTER
from scheduler.model.topology_build import build_topology
from tests.kernel.strategies import Case, cases, int64


@settings(max_examples=600)
@given(cases(), st.randoms(use_true_random=False))
def test_placement_in_another_turn(case: Case, random: object) -> None:
    """The twins say the same when names are read in that turn; rows come out in name order."""
    tree, nodes = kernel.Tree(case.tree), case.tree.nodes
    rank = np.array(random.sample(range(nodes), nodes), np.int32)  # type: ignore[attr-defined]
    turn = kernel.Turn(tree, rank)
    place = np.empty(nodes, np.int32)
    place[turn.order] = np.arange(nodes, dtype=np.int32)
    by_rank = reference.Reference(
        replace(case.tree, position=rank), case.cap, case.size, case.segment_level
    )
    inside = reference.Reference(
        replace(case.tree, order=turn.order, position=place), case.cap, case.size,
        case.segment_level,
    )  # fmt: skip
    cap, sums, whole = int64(case.cap), int64(inside.sums), int64(inside.whole)
    tight = np.full(tree.domains, -1, np.int32)
    kernel.tight_nodes(tree, cap, case.n, tree.every_domain, tight, turn)
    domain, row = kernel.choose(
        tree, cap, sums, whole, tight, case.n, case.size, case.segment_level,
        case.required, case.within, case.preferred, single=case.single, turn=turn,
    )  # fmt: skip
    asked = (case.n, case.required, case.within, case.preferred, case.single)
    assert (domain, row) == by_rank.choose(*asked)
    if domain < 0 or row >= 0:
        return
    rows, _ = kernel.descend(
        tree, kernel.Scratch(tree), cap, sums, whole, domain, case.n, case.size,
        case.segment_level, turn,
    )  # fmt: skip
    expected = inside.descend(domain, case.n)
    assert sorted(rows.tolist()) == sorted(expected)
    parent = case.tree.node_parent
    assert parent[rows].tolist() == parent[np.array(expected, np.int32)].tolist()
    runs = np.split(rows, np.flatnonzero(np.diff(parent[rows])) + 1)
    assert all((np.diff(case.tree.position[run]) >= 0).all() for run in runs)


def test_a_turn_names_every_row_once() -> None:
    """Two rows in one place, or a place too far, are refused."""
    tree = kernel.Tree(build_topology(["leaf"], ["n1", "n2"], ["a", "a"]))
    for wrong in ([0, 0], [0, 2]):
        with pytest.raises(kernel.KernelArgumentError):
            kernel.Turn(tree, np.array(wrong, np.int32))
    assert kernel.Turn(tree, np.array([1, 0], np.int32)).order.tolist() == [1, 0]
    assert tree.topology.order[CLUSTER] == 0
