"""Soft rules: who is preferred among nodes that could all take the pod."""

from __future__ import annotations

import numpy as np

from scheduler.model.constraints import Requirement, Taint, Term, Toleration
from scheduler.model.filters import soft
from scheduler.model.shape import Shape
from tests.builders import snapshot

DISK = "disk"
NODES = "spine-1/leaf-1: n1 n2 n3 n4"


def _term(*values: str) -> Term:
    return Term((Requirement(DISK, "In", values),))


def test_weights_of_matching_terms_add_up() -> None:
    """Scaled to 100 by the best node that can take the pod, twice; rounded down."""
    snap = snapshot(NODES, labels={"n1": {DISK: "a"}, "n2": {DISK: "b"}, "n3": {DISK: "c"}})
    shape = Shape((), preferred=((3, _term("a", "b")), (5, _term("b")), (50, _term("c"))))
    able = np.array([True, True, False, True])
    found = soft.scores(shape, snap, able)
    assert found is not None
    assert found[able].tolist() == [2 * (100 * 3 // 8), 200, 0]


def test_untolerated_soft_taints_count_against_a_node() -> None:
    """Three times as much as affinity; tolerations of any effect or of this one help."""
    soft_taint = Taint("slow", "", "PreferNoSchedule")
    other = Taint("noisy", "", "PreferNoSchedule")
    hard = Taint("gpu", "", "NoSchedule")
    snap = snapshot(NODES, taints={"n1": [soft_taint], "n2": [soft_taint, other], "n3": [hard]})
    able = np.ones(4, np.bool_)
    found = soft.scores(Shape(()), snap, able)
    assert found is not None
    assert found.tolist() == [150, 0, 300, 300]
    tolerant = Shape((), tolerations=(Toleration("noisy", "Exists", "", "PreferNoSchedule"),))
    found = soft.scores(tolerant, snap, able)
    assert found is not None
    assert found.tolist() == [0, 0, 300, 300]
    useless = Shape((), tolerations=(Toleration("noisy", "Exists", "", "NoSchedule"),))
    found = soft.scores(useless, snap, able)
    assert found is not None
    assert found.tolist() == [150, 0, 300, 300]


def test_nothing_to_choose_by_is_none() -> None:
    """Without rules, or where all that can take the pod are alike, names decide as ever."""
    assert soft.scores(Shape(()), snapshot(NODES), np.ones(4, np.bool_)) is None
    snap = snapshot(NODES, labels={"n1": {DISK: "a"}})
    wish = Shape((), preferred=((1, _term("a")),))
    assert soft.scores(wish, snap, np.array([False, True, True, True])) is None
    assert soft.scores(wish, snap, np.zeros(4, np.bool_)) is None
