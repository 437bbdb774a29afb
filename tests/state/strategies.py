"""Hypothesis strategies: nodes, shapes and entries small enough that everything collides."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from scheduler.model.constraints import Taint, Toleration
from scheduler.model.shape import Shape
from scheduler.state.entry import Entry
from scheduler.state.holds import HoldLimits
from scheduler.state.nodes import Level, NodeSpec

LEVELS = (Level("spine", "net/spine"), Level("leaf", "net/leaf"))
SETTLE_US = 5
LIMITS = HoldLimits(term_us=20, longest_us=50, per_namespace=3, total=4)
SHAPES = (
    Shape((100, 0, 1)),
    Shape((0, 10, 2), tolerations=(Toleration(key="gpu", operator="Exists"),)),
    Shape((0, 0, 1), tokens=("disk:ebs/a",)),
    Shape((50, 0, 0), selector=(("zone", "a"),), tokens=("port:TCP/80",)),
    Shape((0, 0, 0)),
)
NODE_NAMES = ("n1", "n2", "n3", "n10", "m-2", "m-02")
GANGS = ("a", "b", "c", "d")
UIDS = ("u1", "u2", "u3", "u4", "u5")

names = st.sampled_from(NODE_NAMES)
gangs = st.sampled_from(GANGS)
shapes = st.integers(0, len(SHAPES) - 1)
subsets = st.lists(st.integers(0, 5), unique=True, max_size=6).map(sorted)


def i32(values: Any) -> np.ndarray:
    return np.array(list(values), np.int32)


@st.composite
def node_specs(draw: st.DrawFn) -> NodeSpec:
    labels = {
        key: draw(st.sampled_from(values))
        for key, values in (
            ("net/spine", ("s1", "s2", "s10")), ("net/leaf", ("l1", "l2")), ("zone", ("a", "b")),
        )
        if draw(st.integers(0, 5))
    }  # fmt: skip
    return NodeSpec(
        name=draw(names),
        allocatable=(draw(st.sampled_from((1000, 200, 0))), 30, draw(st.sampled_from((4, 3, 0)))),
        slots=draw(st.sampled_from((10, 2, 0))),
        labels=labels,
        taints=(Taint("gpu"),) if draw(st.integers(0, 7)) == 7 else (),
        cordoned=draw(st.integers(0, 7)) == 7,
        created_us=draw(st.integers(0, 30)),
    )


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    key = draw(gangs)
    ranks = draw(st.lists(st.integers(0, 5), unique=True, min_size=1, max_size=5).map(sorted))
    numbers = draw(st.lists(shapes, min_size=len(ranks), max_size=len(ranks)))
    alike, plain = draw(st.booleans()), draw(st.booleans())
    return Entry(
        key=key,
        name=f"team/{key}",
        count=len(ranks),
        shape=numbers[0] if alike else i32(numbers),
        minimum=draw(st.integers(1, len(ranks))),
        ranks=0 if plain else i32(ranks),
        required=draw(st.integers(-1, 1)),
        priority=draw(st.integers(0, 1)),
        ready_us=draw(st.integers(0, 3)),
        pool=draw(st.integers(0, 1)),
        repair=draw(st.integers(0, 3)) == 0,
    )
