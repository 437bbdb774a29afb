"""The peers' rules: which nodes each of them takes, and where they part from Muster's."""

from __future__ import annotations

import numpy as np
import pytest

from scheduler.model.plan import Verdict
from scheduler.model.policy import Policy
from scheduler.plan import plan
from scheduler.replay.placements import placement
from tests.builders import gangs, shape, snapshot

RULES = ("muster", "kueue-tas", "kai", "kube-tas", "slurm-tree")
PEERS = RULES[1:]

PACKED = "s1/l1: n0..2 | s2/l3: n4..5 | s2/l4: n6..9"
"""Leaf l3 holds two exactly, but spine s1 is the tighter one."""

# picture, GPUs in use, GPUs a member, members, required level, then the nodes of each of RULES.
# In row order, since only Muster's rule and nobody else's is about ranks.
TABLE = {
    "the tightest leaf, or the leaf of the tightest spine, or the tightest spine": (
        PACKED, {}, 8, 2, None,
        ("n4 n5", "n4 n5", "n0 n1", "n0 n1", "n4 n5"),
    ),
    "a leaf holds it, but the tighter spine does not in one leaf": (
        "s1/l1: n0..1 | s1/l2: n2 | s2/l3: n3..5 | s2/l4: n6..9", {}, 8, 3, None,
        ("n3 n4 n5", "n3 n4 n5", "n3 n4 n5", "n0 n1 n2", "n3 n4 n5"),
    ),
    "several leaves: the widest, then the tightest that holds the rest; or the freest": (
        "s1/l1: n0..2 | s1/l2: n3..4 | s1/l3: n5", {}, 8, 4, None,
        ("n0 n1 n2 n5", "n0 n1 n2 n5", "n0 n1 n2 n3", "n0 n1 n2 n3", "n0 n1 n2 n5"),
    ),
    "leaves in tenths of the score: kai takes the freest, kube looks at nodes only": (
        "s1/l1: n0..1 | s1/l2: n2..3 | s1/l3: n4..6", {}, 8, 4, None,
        ("n0 n4 n5 n6", "n0 n1 n4 n5", "n2 n4 n5 n6", "n0 n1 n2 n3", "n0 n4 n5 n6"),
    ),
    "two spines: the widest leaves of both together, or all of one spine first": (
        "s1/l1: n0..3 | s1/l2: n4..6 | s2/l3: n7..10 | s2/l4: n11..12 | s2/l5: n13",
        {}, 8, 10, None,
        (
            "n0 n1 n2 n3 n7 n8 n9 n10 n11 n12",
            "n0 n1 n2 n3 n7 n8 n9 n10 n11 n12",
            "n0 n1 n2 n3 n4 n5 n7 n8 n9 n10",
            "n0 n1 n2 n3 n4 n5 n6 n7 n8 n9",
            "n0 n1 n2 n3 n4 n5 n6 n7 n8 n9",
        ),
    ),
    "one node holds all: kai and kube fill the fullest nodes one by one": (
        "s1/l1: n0..2 | s2/l2: n3..4", {"n0": 2, "n1": 6, "n2": 4, "n3": 4}, 2, 3, None,
        ("n0 n0 n0", "n0 n0 n0", "n1 n2 n2", "n1 n2 n2", "n0 n0 n0"),
    ),
    "a single pod: slurm asks for the leaf with least room, the others for the fullest node": (
        "s1/l1: n0..2 | s2/l2: n3..4", {"n0": 6}, 2, 1, None,
        ("n0", "n0", "n0", "n0", "n3"),
    ),
    "a required leaf: kai's is in the most packed spine": (
        "s1/l1: n0..3 | s1/l2: n4..5 | s2/l3: n6..8 | s2/l4: n9", {"n9": 8}, 8, 2, "leaf",
        ("n4 n5", "n4 n5", "n6 n7", "n4 n5", "n4 n5"),
    ),
}  # fmt: skip


def _rows(rule: str, name: str) -> str:
    picture, busy, gpu, n, required, _ = TABLE[name]
    used = {node: (0, 0, gpus) for node, gpus in busy.items()}
    snap = snapshot(picture, used=used, shapes=[shape(gpu=gpu)])
    wait = gangs(snap, [{"key": "g", "n": n, "required": required, "single": n == 1}])
    got = plan(snap, wait, Policy(), 0, placement=placement(rule, seed=1))
    assert got.verdict.tolist() == [Verdict.FITS]
    return " ".join(snap.names[row] for row in sorted(got.row.tolist()))


@pytest.mark.parametrize("name", TABLE)
def test_where_the_rules_part(name: str) -> None:
    """One gang, one cluster, five rules side by side."""
    assert tuple(_rows(rule, name) for rule in RULES) == TABLE[name][-1]


@pytest.mark.parametrize("rule", PEERS)
def test_every_peer_parts_from_muster_somewhere(rule: str) -> None:
    """The table above says what makes a peer's rule another rule."""
    at = RULES.index(rule)
    assert any(row[-1][at] != row[-1][0] for row in TABLE.values())


@pytest.mark.parametrize("rule", PEERS)
@pytest.mark.parametrize("seed", range(15))
def test_what_fits_is_placed_and_nothing_twice(rule: str, seed: int) -> None:
    """On random clusters, labels missing too: a gang that the cluster holds gets its places."""
    rng = np.random.default_rng(seed)
    groups = [
        f"{rng.choice(['s1', 's2', '-'])}/{rng.choice(['l1', 'l2', '-'])}: n{i}" for i in range(12)
    ]
    used = {f"n{i}": (0, 0, int(rng.integers(0, 9))) for i in range(12)}
    snap = snapshot(" | ".join(groups), used=used, shapes=[shape(gpu=2), shape(gpu=1)])
    specs = [
        {"key": f"g{i}", "n": int(rng.integers(1, 7)), "shape": i % 2, "ready": i}
        for i in range(10)
    ]
    for spec in specs:
        spec["single"] = spec["n"] == 1
    wait = gangs(snap, specs)
    got = plan(snap, wait, Policy(), 0, placement=placement(rule, seed=1))
    free = snap.free[2].copy()
    for g in range(wait.gangs):
        rows = got.row[wait.offset[g] : wait.offset[g + 1]]
        gpus = 2 - g % 2
        fits = int((free // gpus).sum()) >= rows.size
        assert got.verdict[g] == (Verdict.FITS if fits else Verdict.DOES_NOT_FIT)
        if fits:
            np.subtract.at(free, rows, gpus)
            assert (free >= 0).all()
