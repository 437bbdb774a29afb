"""Every kernel computes exactly what its readable twin says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler import kernel
from scheduler import kernel_reference as reference
from scheduler.model.topology import CLUSTER, Topology
from scheduler.model.topology_build import build_topology
from tests.kernel.strategies import LARGE, Case, cases, int64, trees

AMOUNT = st.one_of(
    st.integers(-(2**63) + 1, 2**63 - 1),
    st.integers(-3, 12),
    st.sampled_from([2**32 - 1, 2**32, 2**32 + 1, 2**40, 2**62]),
)
REQUEST = st.one_of(st.integers(0, 4), st.sampled_from([2**32 - 1, 2**32, 2**63 - 1]))


@st.composite
def nodes(draw: st.DrawFn, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[int]]:
    """(free, slots, reason, request) of `count` nodes and 0 to 4 resources."""
    resources = draw(st.integers(0, 4))
    column = st.lists(AMOUNT, min_size=count, max_size=count)
    free = np.array([draw(column) for _ in range(resources)], np.int64).reshape(resources, count)
    slots = int64(draw(column))
    reason = np.array(
        draw(st.lists(st.sampled_from([0, 0, 0, 1, 2]), min_size=count, max_size=count)), np.int16
    )
    request = draw(st.lists(REQUEST, min_size=resources, max_size=resources))
    return free, slots, reason, request


@given(st.data(), trees(), st.booleans())
def test_capacity_and_its_refresh(data: st.DataObject, tree: Topology, exclusive: bool) -> None:
    """Capacity per node is exact, and refreshed rows equal a computation from scratch."""
    free, slots, reason, amounts = data.draw(nodes(tree.nodes))
    request = kernel.Request.of(amounts, exclusive=exclusive)
    cap = kernel.capacity(free, slots, reason, request)
    assert cap.tolist() == reference.capacity(free, slots, reason, request.vector, exclusive)
    checked = kernel.Tree(tree)
    sums = kernel.roll_up(checked, cap)
    assert sums.tolist() == reference.roll_up(tree, cap.tolist())
    if not tree.nodes:
        return
    rows = data.draw(st.lists(st.integers(0, tree.nodes - 1)))
    for row in rows:
        slots[row] = data.draw(AMOUNT)
        reason[row] = data.draw(st.integers(0, 1))
    kernel.refresh_rows(checked, np.array(rows, np.int32), free, slots, reason, request, cap, sums)
    assert cap.tolist() == reference.capacity(free, slots, reason, request.vector, exclusive)
    assert sums.tolist() == reference.roll_up(tree, cap.tolist())


@given(st.data(), st.integers(1, 6), st.integers(0, 3))
def test_take(data: st.DataObject, count: int, resources: int) -> None:
    """Taking room subtracts a member per row, and names every row touched."""
    small = st.lists(st.integers(-5, 50), min_size=count, max_size=count)
    free = np.array([data.draw(small) for _ in range(resources)], np.int64)
    free = free.reshape(resources, count)
    slots = int64(data.draw(small))
    amounts = data.draw(st.lists(st.integers(0, 9), min_size=resources, max_size=resources))
    rows = np.array(data.draw(st.lists(st.integers(0, count - 1))), np.int32)
    want = reference.take(rows, amounts, free, slots)
    touched = kernel.take(rows, kernel.Request.of(amounts), free, slots)
    assert (free.tolist(), slots.tolist()) == want
    assert set(touched.tolist()) == set(rows.tolist())


@given(cases())
def test_segment_sums(case: Case) -> None:
    """Whole segments are counted on segment domains and added up above them."""
    if not case.size:
        return
    sums = reference.roll_up(case.tree, case.cap)
    got = kernel.segment_sums(kernel.Tree(case.tree), int64(sums), case.size, case.segment_level)
    assert got.tolist() == reference.segment_sums(case.tree, sums, case.size, case.segment_level)


@given(cases(), st.integers(1, 5))
def test_tight_nodes(case: Case, members: int) -> None:
    """The tightest own node of each domain is the one of least capacity, then of first name."""
    tree = kernel.Tree(case.tree)
    best = np.full(tree.domains, -1, np.int32)
    kernel.tight_nodes(tree, int64(case.cap), members, tree.every_domain, best)
    assert best.tolist() == [
        reference.tight_nodes(case.tree, case.cap, members, d) for d in range(tree.domains)
    ]


@settings(max_examples=1500)
@given(cases())
def test_placement_of_identical_members(case: Case) -> None:
    """How many, where, and every member's row: kernel and definition agree on each step."""
    _same_placement(case)


@settings(max_examples=300)
@given(cases(caps=LARGE))
def test_placement_on_nodes_that_hold_many(case: Case) -> None:
    """The same where capacities are too large to be counted and are sorted instead."""
    _same_placement(case)


def _same_placement(case: Case) -> None:
    tree = kernel.Tree(case.tree)
    twin = reference.Reference(case.tree, case.cap, case.size, case.segment_level)
    cap, sums, whole = int64(case.cap), int64(twin.sums), int64(twin.whole)
    permitted = _permitted(case)
    m, best = kernel.most(tree, permitted, sums, whole, case.n, case.size, case.segment_level)
    assert (m, best) == twin.most(permitted.tolist(), case.n)
    if m == 0 or m < case.minimum:
        return
    tight = np.full(tree.domains, -1, np.int32)
    kernel.tight_nodes(tree, cap, m, tree.every_domain, tight)
    domain, row = kernel.choose(
        tree, cap, sums, whole, tight, m, case.size, case.segment_level,
        case.required, case.within, case.preferred, single=case.single,
    )  # fmt: skip
    assert (domain, row) == twin.choose(m, case.required, case.within, case.preferred, case.single)
    if domain < 0:
        assert case.within >= 0  # the only permitted domain lies outside the required level
        return
    if row >= 0:
        return
    scratch = kernel.Scratch(tree)
    rows, _ = kernel.descend(
        tree, scratch, cap, sums, whole, domain, m, case.size, case.segment_level
    )
    assert rows.tolist() == twin.descend(domain, m)
    assert not scratch.share.any()


def test_the_way_down_refuses_what_would_be_written_past_the_ends() -> None:
    """Two leaves of 3 hold two whole segments of 3 and no short one; scratch has one tree."""
    names = ["n1", "n2"]
    tree, other = (kernel.Tree(build_topology(["leaf"], names, x)) for x in ("ab", "aa"))
    cap = np.array([3, 3])
    sums = kernel.roll_up(tree, cap)
    whole = kernel.segment_sums(tree, sums, 3, 0)
    for scratch, members in ((kernel.Scratch(tree), 7), (kernel.Scratch(other), 6)):
        with pytest.raises(kernel.KernelArgumentError):
            kernel.descend(tree, scratch, cap, sums, whole, CLUSTER, members, 3, 0)
    rows, _ = kernel.descend(tree, kernel.Scratch(tree), cap, sums, whole, CLUSTER, 6, 3, 0)
    assert rows.tolist() == [0, 0, 0, 1, 1, 1]


def _permitted(case: Case) -> np.ndarray:
    if case.within >= 0:
        return np.array([case.within], np.int32)
    if case.required >= 0:
        return case.tree.by_level[case.required]
    return np.array([CLUSTER], np.int32)
