"""What is packed first: the tightest leaf anywhere, or the tightest spine."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings

from scheduler import kernel_reference as reference
from scheduler.model.constraints import Toleration
from scheduler.model.pending import NO_DOMAIN
from scheduler.model.plan import Plan, Verdict
from scheduler.model.policy import Pack, Policy
from scheduler.model.snapshot import Snapshot
from scheduler.model.topology import CLUSTER, Topology
from scheduler.plan import plan
from tests.builders import gangs, shape, snapshot
from tests.kernel.strategies import Case, cases

CLUSTER_TEXT = "s1/l1: n0..1 | s1/l2: n2 | s2/l3: n3..4 | s2/l4: n5..6 | -/l9: n7..9"
"""Free: s1 3 nodes in leaves of 2 and 1, s2 4 in two leaves of 2, and 3 nodes below no spine."""

TABLE: dict[str, tuple[dict[str, int], int, str | None, str, str]] = {
    "the tightest leaf is in the tightest spine": ({}, 2, None, "n0 n1", "n0 n1"),
    "the tightest leaf that holds it is in the larger spine": (
        {"n1": 8}, 2, None, "n3 n4", "n0 n2",
    ),
    "no spine holds it: the whole cluster, as ever": (
        {}, 5, None, "n2 n3 n4 n5 n6", "n2 n3 n4 n5 n6",
    ),
    "a required leaf: the tightest spine that has one": ({"n1": 8}, 2, "leaf", "n3 n4", "n3 n4"),
    "a required leaf, two spines with one": (
        {"n2": 8, "n5": 8}, 2, "leaf", "n0 n1", "n0 n1",
    ),
    "one node holds a single member: the tightest node": ({"n5": 4}, 1, None, "n2", "n2"),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLE)
def test_leaf_and_spine_side_by_side(name: str) -> None:
    """Each row: GPUs in use, members of a node each, required level, rows of leaf and of spine."""
    busy, n, required, leaf, spine = TABLE[name]
    snap = snapshot(
        CLUSTER_TEXT, used={node: (0, 0, g) for node, g in busy.items()}, shapes=[shape(gpu=8)]
    )
    wait = gangs(snap, [{"key": "g", "n": n, "required": required, "preferred": "spine"}])
    for pack, want in ((Pack.LEAF, leaf), (Pack.SPINE, spine)):
        got = plan(snap, wait, Policy(pack=pack), 0)
        assert sorted(snap.names[row] for row in got.row.tolist()) == want.split(), pack


def _drawn(case: Case, shapes: int) -> Snapshot:
    """The case's tree and capacities as a cluster; its shapes ask for the same."""
    t: Topology = case.tree

    def label(level: int, row: int) -> str:
        at = int(t.ancestor[level, t.node_parent[row]])
        return t.path(at)[-1] if at != NO_DOMAIN else "-"

    paths = ["/".join(label(k, row) for k in range(len(t.levels))) for row in range(t.nodes)]
    return snapshot(
        " | ".join(f"{path}: n{row}" for row, path in enumerate(paths)),
        levels=t.levels,
        allocatable={f"n{row}": (64_000, 1 << 40, cap) for row, cap in enumerate(case.cap)},
        shapes=[shape(gpu=1, tolerations=(Toleration(key=f"t{i}"),)) for i in range(shapes)],
    )


def _planned(snap: Snapshot, case: Case, pack: Pack, shapes: list[int]) -> Plan:
    spec = {
        "key": "g", "n": case.n, "min": case.minimum, "required": case.required,
        "preferred": case.preferred, "single": case.single, "shape": shapes,
        "segment": (case.size, case.segment_level) if case.size else 0,
    }  # fmt: skip
    return plan(snap, gangs(snap, [spec]), Policy(pack=pack), 0)


@settings(max_examples=400)
@given(cases())
def test_the_planner_packs_spines_as_its_twin_does(case: Case) -> None:
    """Members, domain and every row of a gang of identical members."""
    if not case.tree.nodes or not case.tree.levels:
        return
    twin = reference.Reference(case.tree, case.cap, case.size, case.segment_level)
    t = case.tree
    permitted = t.by_level[case.required].tolist() if case.required >= 0 else [CLUSTER]
    m, _ = twin.most(permitted, case.n)
    got = _planned(_drawn(case, 1), case, Pack.SPINE, [0] * case.n)
    if m < case.minimum or m == 0:
        assert got.verdict[0] == Verdict.DOES_NOT_FIT
        return
    domain, row = twin.choose_spine_first(m, case.required, -1, case.preferred, case.single)
    rows = [row] * m if row >= 0 else twin.descend(domain, m)
    assert got.row.tolist() == rows + [-1] * (case.n - m)


@settings(max_examples=200)
@given(cases())
def test_members_of_two_shapes_go_where_those_of_one_would(case: Case) -> None:
    """Two shapes that ask for the same take the member-by-member search to the same domain."""
    if not case.tree.nodes or not case.tree.levels or case.n < 2:
        return
    whole = replace(case, minimum=case.n)
    snap = _drawn(whole, 2)
    for pack in Pack:
        alike = _planned(snap, whole, pack, [0] * case.n)
        mixed = _planned(snap, whole, pack, [i % 2 for i in range(case.n)])
        if mixed.verdict[0] == Verdict.NOT_FOUND:
            continue
        assert mixed.verdict[0] == alike.verdict[0]
        assert mixed.domain[0] == alike.domain[0], pack
