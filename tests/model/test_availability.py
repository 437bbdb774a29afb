"""kube-scheduler's line about the nodes stands beside each rejection, as nodes stood then."""

from __future__ import annotations

import re
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from scheduler.model.availability import available, lines_of, main_shape
from scheduler.model.constraints import Requirement, Taint, Term
from scheduler.model.pod_rules import Apart, MarkColumn, PodRules
from scheduler.model.policy import Policy
from scheduler.model.snapshot import CORDONED
from scheduler.plan import plan
from tests import builders
from tests.state.helpers import i32

HOST = "kubernetes.io/hostname"
CLUSTER = "s1/l1: n1 n2 | s1/l2: n3 | s2/l3: n4 n5"
ALONE = PodRules(apart=(Apart(HOST, "seen:a"),), leaves=("seen:a",))
SHAPES = (
    builders.shape(gpu=1),
    builders.shape(gpu=2, tokens=("port:TCP/80",)),
    builders.shape(gpu=3, rules=ALONE),
    builders.shape(gpu=1, rules=PodRules(leaves=("seen:a",))),
)


def test_reasons_are_counted_in_kube_scheduler_s_words_and_order() -> None:
    """Each node under the first plugin that refuses it; parts sorted as texts."""
    snap = builders.snapshot(
        CLUSTER, gpu=2, used={"n3": [0, 0, 2], "n5": [0, 0, 1]},
        flags={"n1": CORDONED}, taints={"n1": [Taint("gpu")], "n2": [Taint("gpu")]},
    )  # fmt: skip
    assert available(builders.shape(gpu=2), snap) == (
        "1/5 nodes are available to a single member: 1 node(s) had untolerated taint(s),"
        " 1 node(s) were unschedulable, 2 Insufficient nvidia.com/gpu."
    )
    assert available(builders.shape(gpu=3), snap) == (
        "0/5 nodes are available: 1 node(s) had untolerated taint(s),"
        " 1 node(s) were unschedulable, 3 Insufficient nvidia.com/gpu."
    )
    assert available(builders.shape(), builders.snapshot("s1/l1: n1")) == (
        "1/1 nodes are available to a single member."
    )


def test_a_pod_that_no_node_is_asked_about_is_told_why() -> None:
    """Terms that name no node at all."""
    name = "metadata.name"
    terms = tuple(Requirement(name, "In", (node,)) for node in ("n1", "n2"))
    shape = builders.shape(gpu=1, affinity=(Term((), terms),))
    text = available(shape, builders.snapshot(CLUSTER))
    assert text == "0/5 nodes are available: pod affinity terms conflict."


def test_the_line_is_about_the_shape_of_most_members() -> None:
    """The lowest number of several."""
    assert main_shape(i32(4, 2, 4, 2, 1)) == 2
    assert main_shape(i32(3)) == 3


def test_gangs_that_went_first_have_taken_their_places() -> None:
    """Room, ports and marks of those placed before; of those placed later, none."""
    snap = builders.snapshot("s1/l1: n1 n2 n3", gpu=4, shapes=SHAPES)
    pending = builders.gangs(snap, [
        {"key": "a", "n": 4, "shape": 1, "priority": 9},
        {"key": "b", "n": 2, "shape": 1, "priority": 8},
        {"key": "c", "n": 4, "shape": 2, "priority": 7},
        {"key": "d", "n": 1, "shape": 2, "priority": 6},
        {"key": "e", "n": 3, "shape": 2, "priority": 5},
    ])  # fmt: skip
    decided = plan(snap, pending, Policy(), 0)
    assert decided.placed.tolist() == [0, 2, 0, 1, 0]
    assert lines_of(snap, pending, decided) == [
        "3/3 nodes are available to a single member.",
        "",
        "1/3 nodes are available to a single member: 2 Insufficient nvidia.com/gpu.",
        "",
        "0/3 nodes are available: 3 Insufficient nvidia.com/gpu.",
    ]


def test_who_returns_to_his_held_room_takes_none_but_leaves_marks() -> None:
    """Room of a hold is not free already; a hold is no pod until its member is there."""
    snap = builders.snapshot("s1/l1: n1 n2", gpu=8, shapes=SHAPES,
                             holds=[("n1", 3, "a", 0, 10)])  # fmt: skip
    snap = replace(snap, marks={"seen:a": MarkColumn(i32(1), i32(1).astype("int64"))})
    pending = builders.gangs(snap, [
        {"key": "a", "n": 1, "shape": 3, "held": {0: "n1"}, "repair": True},
        {"key": "b", "n": 1, "shape": 2},
    ])  # fmt: skip
    decided = plan(snap, pending, Policy(), 0)
    assert decided.placed.tolist() == [1, 0]
    assert lines_of(snap, pending, decided)[1] == (
        "0/2 nodes are available: 2 node(s) didn't match pod anti-affinity rules."
    )


@given(st.lists(st.integers(0, 3), min_size=1, max_size=16), st.integers(0, 4))
def test_a_single_pod_is_rejected_where_no_node_is_available(shapes: list[int], gpu: int) -> None:
    """The line and the plan agree, however many went before: 0 nodes, and each has a reason."""
    snap = builders.snapshot("s1/l1: n1 n2 n3", gpu=gpu, shapes=SHAPES)
    pending = builders.gangs(
        snap, [{"key": f"p{i}", "shape": s, "single": True} for i, s in enumerate(shapes)]
    )
    decided = plan(snap, pending, Policy(), 0)
    for placed, line in zip(decided.placed.tolist(), lines_of(snap, pending, decided), strict=True):
        assert bool(placed) == (not line)
        if line:
            assert line.startswith("0/3 nodes are available: ")
            assert sum(map(int, re.findall(r"[ ](\d+) [a-zI]", line))) >= 3
