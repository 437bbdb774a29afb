"""The simple rules: which nodes each of them takes, on clusters small enough to see."""

from __future__ import annotations

import pytest

from scheduler.model.plan import Verdict
from scheduler.model.policy import Policy
from scheduler.plan import plan
from scheduler.replay.placements import NAMES, placement
from tests.builders import gangs, shape, snapshot

CLUSTER = "s1/l1: n0..3 | s1/l2: n4..5 | s2/l3: n6..7"
BUSY = {"n0": (0, 0, 8), "n1": (0, 0, 4), "n4": (0, 0, 2)}

TABLE = {
    "first-fit whole nodes": ("first-fit", 8, 4, None, ["n2", "n3", "n5", "n6"]),
    "first-fit fills a node before the next": (
        "first-fit", 2, 5, None, ["n1", "n1", "n2", "n2", "n2"],
    ),
    "best-fit takes the fullest first": ("best-fit", 2, 4, None, ["n1", "n1", "n4", "n4"]),
    "best-fit single": ("best-fit", 3, 1, None, ["n1"]),
    "leaf-best-fit: the leaf with fewest free nodes that holds it": (
        "leaf-best-fit", 8, 1, None, ["n5"],
    ),
    "leaf-best-fit: one leaf if one holds it": ("leaf-best-fit", 8, 2, None, ["n2", "n3"]),
    "leaf-best-fit: the freest leaf, then the tightest that holds the rest": (
        "leaf-best-fit", 8, 3, None, ["n2", "n3", "n5"],
    ),
    "spread: one node per leaf in turn, most free leaves first": (
        "spread", 8, 4, None, ["n2", "n6", "n5", "n3"],
    ),
    "spread single: most free GPUs, then the leaf with most free nodes": (
        "spread", 1, 1, None, ["n2"],
    ),
    "required level: first fit takes the first domain that holds all": (
        "first-fit", 8, 2, "leaf", ["n2", "n3"],
    ),
    "required level: best fit takes the tightest": ("best-fit", 8, 1, "leaf", ["n5"]),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLE)
def test_where_a_rule_puts_a_gang(name: str) -> None:
    """Each row: rule, GPUs a member, members, required level, nodes by rank."""
    rule, gpu, n, required, want = TABLE[name]
    snap = snapshot(CLUSTER, used=BUSY, shapes=[shape(gpu=gpu)])
    wait = gangs(snap, [{"key": "g", "n": n, "required": required, "single": n == 1}])
    got = plan(snap, wait, Policy(), 0, placement=placement(rule, seed=1))
    assert got.verdict.tolist() == [Verdict.FITS]
    assert [snap.names[row] for row in got.row.tolist()] == want


@pytest.mark.parametrize("rule", NAMES)
def test_no_rule_overcommits_or_leaves_a_required_level(rule: str) -> None:
    """Gangs one after the other until the cluster is full: room is never given twice."""
    snap = snapshot(CLUSTER, used=BUSY, shapes=[shape(gpu=3), shape(gpu=8)])
    wait = gangs(
        snap,
        [
            {"key": f"g{i}", "n": 2, "shape": i % 2, "required": "spine", "ready": i}
            for i in range(8)
        ],
    )
    got = plan(snap, wait, Policy(), 0, placement=placement(rule, seed=7))
    free = snap.free[2].copy()
    for g in range(wait.gangs):
        rows = got.row[2 * g : 2 * g + 2]
        if got.verdict[g] != Verdict.FITS:
            assert (rows == -1).all()
            continue
        free[rows[0]] -= (3, 8)[g % 2]
        free[rows[1]] -= (3, 8)[g % 2]
        assert len({int(snap.topology.domain_of(int(row), 0)) for row in rows}) == 1
    assert (free >= 0).all()
    assert (got.verdict == Verdict.FITS).any()
    assert (got.verdict == Verdict.DOES_NOT_FIT).any()


def test_random_depends_on_seed_and_gang_only() -> None:
    """The same seed and gang draw the same nodes; another seed draws others somewhere."""
    snap = snapshot("s1/l1: n0..99", shapes=[shape(gpu=8)])
    wait = gangs(snap, [{"key": "g", "n": 10}])

    def rows(seed: int) -> list[int]:
        got = plan(snap, wait, Policy(), 0, placement=placement("random", seed))
        return [int(row) for row in got.row]

    assert rows(1) == rows(1)
    assert rows(1) != rows(2)


def test_several_shapes_share_what_is_free() -> None:
    """The second shape of a gang sees what the first has taken."""
    snap = snapshot("s1/l1: n0..1", shapes=[shape(gpu=8), shape(gpu=4)])
    wait = gangs(snap, [{"key": "g", "n": 3, "shape": [0, 1, 1]}])
    got = plan(snap, wait, Policy(), 0, placement=placement("first-fit", 1))
    assert [snap.names[row] for row in got.row.tolist()] == ["n0", "n1", "n1"]
