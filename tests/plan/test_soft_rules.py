"""Soft rules order nodes that are equal otherwise, and change nothing else."""

from __future__ import annotations

from dataclasses import replace

from scheduler.model.constraints import Requirement, Taint, Term
from scheduler.model.plan import Verdict
from scheduler.model.policy import Policy
from scheduler.model.shape import Shape
from scheduler.model.snapshot import Snapshot
from scheduler.plan import plan
from tests.builders import gangs, shape, snapshot

DISK = "disk"
FAST = ((10, Term((Requirement(DISK, "In", ("fast",)),))),)
CLUSTER = "spine-1/leaf-1: n1..4 | spine-1/leaf-2: n5..8"


def _wishing(wish: tuple[tuple[int, Term], ...] = FAST) -> Shape:
    return replace(shape(gpu=8), preferred=wish)


def _nodes(snap: Snapshot, *sizes: int, single: bool = False) -> list[list[str]]:
    """Nodes of each gang's members, by rank."""
    pending = gangs(snap, [{"key": f"g{i}", "n": n, "single": single}
                           for i, n in enumerate(sizes)])  # fmt: skip
    decided = plan(snap, pending, Policy(), 0)
    assert (decided.verdict == Verdict.FITS).all()
    return [
        [snap.names[row] for row in decided.row[a:b].tolist()]
        for a, b in zip(pending.offset[:-1].tolist(), pending.offset[1:].tolist(), strict=True)
    ]


def test_single_pods_take_preferred_nodes_first() -> None:
    """In whatever leaf, where rooms are equal; then the others by name."""
    fast = {name: {DISK: "fast"} for name in ("n8", "n7")}
    snap = snapshot(CLUSTER, labels=fast, shapes=[_wishing()])
    assert _nodes(snap, 1, 1, 1, single=True) == [["n7"], ["n8"], ["n5"]]
    plain = snapshot(CLUSTER, labels=fast, shapes=[shape(gpu=8)])
    assert _nodes(plain, 1, single=True) == [["n1"]]


def test_a_gang_takes_the_preferred_nodes_of_its_leaf_in_name_order() -> None:
    """Ranks keep to names; the leaf is chosen by room, not by preference."""
    fast = {name: {DISK: "fast"} for name in ("n4", "n3", "n5", "n6", "n7")}
    tight = snapshot(
        CLUSTER, labels=fast, shapes=[_wishing()], used={"n1": (0, 0, 8)},
        resources=("cpu", "memory", "nvidia.com/gpu"),
    )  # fmt: skip
    assert _nodes(tight, 2) == [["n3", "n4"]]


def test_soft_taints_are_avoided_while_others_do() -> None:
    """A pod that tolerates nothing goes there last, but it does go there."""
    slow = Taint("slow", "", "PreferNoSchedule")
    snap = snapshot(
        "spine-1/leaf-1: n1 n2 n3", taints={"n1": [slow]}, shapes=[shape(gpu=8)]
    )  # fmt: skip
    assert _nodes(snap, 1, 1, 1, single=True) == [["n2"], ["n3"], ["n1"]]
    assert _nodes(snap, 2) == [["n2", "n3"]]
    assert _nodes(snap, 3) == [["n1", "n2", "n3"]]
