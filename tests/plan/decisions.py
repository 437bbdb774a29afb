"""A row of the decision tables, and the tables about the way down (step 4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from scheduler.model.policy import Policy

PRODUCTION = Policy()


@dataclass(frozen=True)
class Decision:
    """One row of the tables: `more` are further arguments of `builders.snapshot`."""

    cluster: str
    gangs: list[dict[str, Any]]
    want: dict[str, str]
    more: Mapping[str, Any] = field(default_factory=dict)
    policy: Policy = PRODUCTION


def one(cluster: str, want: str, more: Mapping[str, Any] | None = None, **gang: Any) -> Decision:
    """A single gang `a`; n is what `want` adds up to unless it is given."""
    gang.setdefault("n", sum(int(run.partition("*")[2] or 1) for run in want.split()))
    return Decision(cluster, [{"key": "a", **gang}], {"a": want}, more or {})


FEWEST = {
    "the largest filled, the smallest that holds the rest": one(
        "s/l: n1=5 n2=4 n3=3 n4=2", "n1*5 n3*3"
    ),
    "leaves, then nodes": one(
        "s/l1: n1=3 n2=3 | s/l2: n3=2 n4=2 | s/l3: n5=1 n6=1", "n1*3 n2*3 n5 n6"
    ),
    "equal children: the first names": one("s/l: n1=2 n2=2 n3=2 n4=2", "n1*2 n2*2 n3"),
    "the rest on the first of equal children": one("s/l: n1=1 n2=2 n3=2 n4=5", "n2*2 n4*5"),
    "leaves of all chosen spines in one row: not the leaf of one in the widest spine": one(
        "s1/l1: n1=4 | s1/l2: n2=3 | s1/l3: n3=1 | s2/l1: n4=4 | s2/l2: n5=1",
        "n1*4 n2*3 n4*4",
    ),
    "the fewest leaves of all, though the widest spine is then not filled": one(
        "s1/l1: n1=4 | s1/l2: n2=1 | s1/l3: n3=1 | s2/l1: n4=3 | s2/l2: n5=2", "n1*4 n4*3"
    ),
    "nodes of all chosen leaves in one row": one(
        "s/l1: n1=3 n2=1 | s/l2: n3=2 n4=1", "n1*3 n2 n3*2"
    ),
    "a node of a filled leaf before its equal in the leaf that is begun": one(
        "s/l1: n1=2 n2=2 | s/l2: n3=2 n4=2 n5=2", "n1*2 n3*2 n4*2 n5*2"
    ),
    "a leaf of a filled spine before its equal in the spine that is begun": one(
        "s1/l1: n1=2 | s1/l2: n2=2 | s2/l1: n3=2 | s2/l2: n4=2 | s2/l3: n5=2",
        "n1 n3*2 n4*2 n5*2",
    ),
    "ranks in the order of the tree, not of size": one("s/l: n1=1 n2=3 n3=5", "n1 n2*3 n3*5"),
}

SEGMENTS = {
    "each in one leaf": one("s/l1: n1=6 | s/l2: n2=6", "n1*4 n2*4", segment=4),
    "two in one leaf that holds both": one(
        "s/l1: n1=5 n2=4 | s/l2: n3=4", "n1*5 n2*3", segment=4
    ),
    "the spine with the fewest whole segments that do": one(
        "s1/l1: n1=4 | s1/l2: n2=4 | s1/l3: n3=4 | s2/l1: n4=7 | s2/l2: n5=7", "n4*4 n5*4",
        segment=4,
    ),
    "members that no segment can use do not count": one(
        "s1/l1: n1=7 | s1/l2: n2=3 | s2/l1: n3=4 | s2/l2: n4=4", "n3*4 n4*4", segment=4,
        required="spine",
    ),
    "whole ones to the fewest leaves of all chosen spines": one(
        "s1/l1: n1=4 | s1/l2: n2=4 | s1/l3: n3=2 | s2/l1: n4=4 | s2/l2: n5=2",
        "n1*4 n2*4 n4*4", segment=2,
    ),
    "whole ones below no leaf's spine come last": one(
        "s1/l1: n1=4 | -/l9: n2=8 | s2/l1: n3=2", "n1*4 n3*2 n2*4", segment=2
    ),
    "the short one in a used leaf, its leaf last": one(
        "s/l1: n1=6 | s/l2: n2=6 | s/l3: n3=6", "n2*4 n1*6", segment=4
    ),
    "the short one where the least room is left": one("s/l1: n1=7 | s/l2: n2=6", "n1*4 n2*6",
        segment=4),
    "the short one in a leaf of its own": one(
        "s/l1: n1=4 | s/l2: n2=4 | s/l3: n3=3", "n1*4 n2*4 n3*2", segment=4
    ),
    "the short one stays in a used spine": one(
        "s1/l1: n1=4 | s1/l2: n2=3 | s2/l1: n3=4 | s2/l2: n4=1 | s3/l1: n5=2",
        "n3*4 n1*4 n2*2", segment=4,
    ),
    "a spine with the short one comes last": one(
        "s1/l1: n1=4 | s1/l2: n2=2 | s2/l1: n3=4", "n3*4 n1*4 n2*2", segment=4
    ),
    "no room for the short one": one("s/l1: n1=4 | s/l2: n2=4", "-*9", segment=4),
    "a partial gang is whole segments": one(
        "s/l1: n1=5 | s/l2: n2=5", "n1*4 n2*4 -*3", segment=4, min=5
    ),
    "a segment level above the lowest": one(
        "s1/l1: n1=3 | s1/l2: n2=3 | s2/l1: n3=3 | s2/l2: n4=3", "n1*3 n2 n3*3 n4",
        segment=(4, "spine"),
    ),
    "not on nodes without the level's label": one(": n1=8 | s/l: n2=3", "-*4", segment=2),
}  # fmt: skip
