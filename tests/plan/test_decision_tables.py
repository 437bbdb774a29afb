"""Where a gang goes, rule by rule: a cluster drawn in text, gangs, and the rows they must get.

`n1=3` is a node with 3 free GPUs (8 without a number); a member takes one. Wanted rows are runs:
`n1*3 n2` = ranks 0 to 2 on n1, rank 3 on n2; `-` = no place.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import groupby
from typing import Any

import pytest

from scheduler.model.policy import Order, Policy, Scan
from scheduler.model.snapshot import CORDONED, SETTLING
from scheduler.plan import plan
from tests import builders
from tests.plan.decisions import FEWEST, SEGMENTS, Decision, one

HOLD_END = 10**9


TIGHTEST = {
    "one node before a leaf: the least that holds all": one("s/l: n1=8 n2=5 n3=4", "n3*4"),
    "the least cap, not cut off at n": one("s/l1: n1=8 | s/l2: n2=3", "n2*2"),
    "the tightest leaf": one("s/l1: n1=4 n2=4 | s/l2: n3=3 n4=3", "n3*3 n4*2"),
    "the tightest spine": one("s1: n1=3 n2=3 n3=1 | s2: n4=3 n5=3", "n4*3 n5*2"),
    "nodes alike: the tighter leaf": one("s/l1: n1=4 n2=1 | s/l2: n3=4", "n3*4"),
    "nodes and leaves alike: the tighter spine": one(
        "s1/l1: n1=4 | s1/l2: n2=1 | s2/l1: n3=4", "n3*4"
    ),
    "leaves alike: the tighter spine": one(
        "s1/l1: n1=2 n2=2 | s1/l2: n3=1 | s2/l1: n4=2 n5=2", "n4*2 n5*2"
    ),
    "all alike: names as numbers": one("s/l10: n1=4 | s/l2: n2=4", "n2*4"),
    "all alike: names from the root": one("s10/l1: n1=2 n2=2 | s2/l9: n3=2 n4=2", "n3*2 n4*2"),
    "nodes of one leaf alike: names as numbers": one("s/l: n10=4 n9=4", "n9*4"),
    "the same leaf name under two spines is two leaves": one(
        "s1/l: n1=2 | s2/l: n2=2", "n1*2 n2*2"
    ),
}

UNLABELLED = {
    "last: a larger labelled node comes first": one(": n1=4 | s/l: n2=8", "n2*4"),
    "last, but not refused": one(": n1=4 | s/l: n2=3", "n1*4"),
    "last in the preferred level only": one("s: n1=4 | s/l: n2=8", "n1*4"),
    "last below its spine where leaves are preferred": one(
        "s: n1=4 | s/l: n2=8", "n2*4", preferred="leaf"
    ),
    "first for a single pod": one("s/l: n1=1 | : n2=8", "n2", single=True),
    "not first for a gang of one": one("s/l: n1=8 | : n2=1", "n1"),
    "excluded where the level is required": one(": n1=4 | s/l: n2=8", "n2*4", required="spine"),
    "excluded even if nothing else is left": one(": n1=8 | s/l: n2=1", "-*2", required="spine"),
    "a node without a leaf counts in its spine": one(
        "s1: n1=3 | s1/l: n2=3 | s2/l: n3=5", "n2*3 n1*3", required="spine"
    ),
    "going down, labelled siblings are used up first": one(
        "s1/l: n1=2 | : n2=8 | s2/l: n3=2", "n1*2 n3*2 n2*5"
    ),
    "nodes without a leaf in the chosen spines after all their leaves": one(
        "s1/l: n1=2 | s1: n2=4 | s2/l: n3=3 | s2: n4=3", "n1*2 n2*4 n3*3 n4"
    ),
    "a leaf without a spine comes after spines": one(
        "-/l: n1=4 | s1/l: n2=3 | s2/l: n3=3", "n2*3 n3*3 n1"
    ),
}

PARTIAL = {
    "the most that one domain holds": one(
        "s1: n1=3 | s2: n2=4", "n2*4 -", required="spine", min=3
    ),
    "nothing below the minimum": one("s1: n1=3 | s2: n2=4", "-*6", required="spine", min=5),
    "all of it if some domain holds it": one("s1: n1=5 | s2: n2=4", "n1*5", required="spine",
        min=1),
    "the whole cluster where no level is required": one(
        "s1: n1=3 | s2: n2=4", "n1*3 n2*4 -*2", min=7
    ),
}  # fmt: skip

HOME = {
    "required: as many as fit at home": one(
        "s1: n1=2 | s2: n2=8", "n1*2 -*2", home="s1", required="spine", min=1
    ),
    "required: nothing elsewhere": one("s1: n1=2 | s2: n2=8", "-*4", home="s1", required="spine"),
    "preferred: home before a tighter place": one("s1/l: n1=8 | s2/l: n2=2", "n1*2", home="s1"),
    "preferred: the nearest that holds all": one(
        "s1/l1: n1=1 | s1/l2: n2=4 | s2/l1: n3=2", "n2*2", home="s1/l1", preferred="leaf"
    ),
    "preferred: the cluster at last": one(
        "s1/l1: n1=1 | s1/l2: n2=1 | s2/l1: n3=3", "n3*3", home="s1/l1", preferred="leaf"
    ),
    "a home above the required level is none": one(
        "s1/l1: n1=2 | s1/l2: n2=2 | s2/l1: n3=3", "n3*3", home="s1", required="leaf"
    ),
}


def held(node: str, rank: int = 0) -> dict[str, Any]:
    """A hold of gang `a` for one member."""
    return {"holds": [(node, 0, "a", rank, HOLD_END)]}


REPLACEMENT = {
    "its held node": one(
        "s/l: n1=8 n2=1 n3=8", "n3", held("n3"), held={0: "n3"}, home="s"
    ),
    "its held node, though it is full": one(
        "s/l: n1=8 n2=1", "n2", held("n2"), held={0: "n2"}, home="s"
    ),
    "its held node in the claimed domain of another": one(
        "s1: n1=8 | s2: n2=8", "n1", held("n1") | {"claims": [("s1", "b", 5)]}, held={0: "n1"}
    ),
    "else the leaf of that node": one(
        "s/l1: n1=8 n2=8 | s/l2: n3=1", "n2", held("n1") | {"flags": {"n1": CORDONED}},
        held={0: "n1"}, home="s", required="spine",
    ),
    "else the home": one(
        "s1/l1: n1=8 n2=0 | s1/l2: n3=4 | s2/l1: n4=1", "n3",
        held("n1") | {"flags": {"n1": CORDONED}}, held={0: "n1"}, home="s1", required="spine",
    ),
    "else nowhere, if the home is required": one(
        "s1/l1: n1=8 n2=0 | s2/l1: n4=1", "-",
        held("n1") | {"flags": {"n1": CORDONED}}, held={0: "n1"}, home="s1", required="spine",
    ),
    "a lost node outside the home: the home": one(
        "s1/l1: n1=4 | s2/l1: n2=1 | s2/l2: n3=8", "n1",
        held("n3") | {"flags": {"n3": CORDONED}}, held={0: "n3"}, home="s1", required="spine",
    ),
    "a lost node without the required label: any domain": one(
        ": n1=8 | s1: n2=4", "n2", held("n1") | {"flags": {"n1": CORDONED}},
        held={0: "n1"}, required="spine",
    ),
    "its pin, where its disks have moved off the held node": one(
        "s/l: n1=8 n2=8", "n2", held("n1"), held={0: "n1"}, pins={0: ["n2"]}, home="s"
    ),
    "its home, where the held node lost its label": one(
        "s: n1=8 | : n2=8", "n1", held("n2"), held={0: "n2"}, home="s", required="spine"
    ),
    "a permitted domain, where the only held node lost its label": one(
        "s: n1=8 | : n2=8", "n1", held("n2"), held={0: "n2"}, required="spine"
    ),
    "nobody is bound: where the other held members go": one(
        "s1: n1=1 n2=8 | s2: n3=2 n4=1", "n1 n2",
        {"holds": [("n1", 0, "a", 0, 9), ("n3", 0, "a", 1, 9)], "flags": {"n3": CORDONED}},
        held={0: "n1", 1: "n3"}, required="spine",
    ),
    "not on a node that others have overcommitted": one(
        "s/l: n1=2 n2=8", "n2", held("n1") | {"used": {"n1": (0, 0, 2)}}, held={0: "n1"},
        home="s",
    ),
    "host ports of the hold are its own": one(
        "s/l: n1=8 n2=8", "n2",
        held("n2") | {
            "shapes": [builders.shape(gpu=1, tokens=("port:TCP/80",))],
            "tokens": {"port:TCP/80": ["n2"]},
        },
        held={0: "n2"}, home="s",
    ),
    "members without held room are searched for": one(
        "s/l: n1=2 n2=1 n3=4", "n1*2 n3", held("n3", 2), held={2: "n3"}, home="s"
    ),
}  # fmt: skip

CLAIMED = "s1: n1=4 | s2: n2=8"
CLAIMS = {
    "nobody else enters": one(CLAIMED, "n2*4", {"claims": [("s1", "b", 0)]}),
    "not if nothing else is left": one(CLAIMED, "-*9", {"claims": [("s1", "b", 0)]}),
    "a lower priority stays out": one(CLAIMED, "n2*4", {"claims": [("s1", "b", 3)]}, priority=2),
    "a higher priority enters": one(CLAIMED, "n1*4", {"claims": [("s1", "b", 3)]}, priority=4),
    "its owner enters": one(CLAIMED, "n1*4", {"claims": [("s1", "a", 3)]}),
    "a single pod stays out, too": one(CLAIMED, "n2", {"claims": [("s1", "b", 0)]}, single=True),
}

PORTS = [builders.shape(tokens=(token,)) for token in (
    "port:TCP/80", "port:TCP/80@10.0.0.1", "port:TCP/80@10.0.0.2",
)]  # fmt: skip
NODES = {
    "a gang leaves a young node alone": one("s: n1=4 n2=8", "n2*4", {"flags": {"n1": SETTLING}}),
    "a single pod does not": one("s: n1=4 n2=8", "n1", {"flags": {"n1": SETTLING}}, single=True),
    "a cordoned node takes nobody": one("s: n1=4 n2=8", "n2*4", {"flags": {"n1": CORDONED}}),
    "pod slots are room, too": one("s: n1=8 n2=8", "n1*4 n2*3", {"slots": {"n1": 4, "n2": 3}}),
    "a host port once per node": one(
        "s: n1 n2 n3", "n1 n2", {"shapes": PORTS, "tokens": {"port:TCP/80": ["n3"]}}
    ),
    "a host port once per node, over the cycle": Decision(
        "s: n1 n2 n3", [{"key": "a", "n": 2}, {"key": "b"}, {"key": "c"}],
        {"a": "n1 n2", "b": "n3", "c": "-"}, {"shapes": PORTS},
    ),
    "a port on every address clashes with one of them": Decision(
        "s: n1 n2",
        [{"key": "a", "shape": 1}, {"key": "b", "shape": 0}, {"key": "c", "shape": 0}],
        {"a": "n1", "b": "n2", "c": "-"}, {"shapes": PORTS},
    ),
    "a port taken on one address is taken from those who saw it free": Decision(
        "s: n1 n2",
        [{"key": "a", "shape": 0}, {"key": "b", "shape": 1}, {"key": "c", "shape": 0}],
        {"a": "n1", "b": "n2", "c": "-"},
        {"shapes": PORTS},
    ),
    "a port on every address and on one of them in one gang": Decision(
        "s: n1 n2 n3",
        [{"key": "a", "shape": [0, 1, 1]}, {"key": "b", "shape": [1, 2, 0]}],
        {"a": "n1 n2 n3", "b": "-*3"},
        {"shapes": PORTS},
    ),
    "a port on two addresses does not clash": Decision(
        "s: n1", [{"key": "a", "shape": 1}, {"key": "b", "shape": 2}], {"a": "n1", "b": "n1"},
        {"shapes": PORTS},
    ),
}  # fmt: skip


def rivals(order: Order = Order.PRIORITY, **first: Any) -> Decision:
    """Room for one pod: `b` is better off only by `first`, so it must win over `a`."""
    gangs = [{"key": "a", "ready": 5, "expected": 5}, {"key": "b", "ready": 5, "expected": 5}]
    gangs[1].update(first)
    return Decision("s: n1=1", gangs, {"a": "-", "b": "n1"}, policy=Policy(order=order))


QUEUE = {
    "repairs before priority": Decision(
        "s: n1=1", [{"key": "a", "priority": 9}, {"key": "b", "repair": True}],
        {"a": "-", "b": "n1"},
    ),
    "priority before age": rivals(priority=1, ready=9),
    "the older of equals": rivals(ready=4),
    "the first name of equals, digits as numbers": Decision(
        "s: n1=1", [{"key": "a", "name": "x10"}, {"key": "b", "name": "x9"}],
        {"a": "-", "b": "n1"},
    ),
    "first in, first out ignores priority": rivals(Order.FIFO, ready=4, priority=-1),
    "shortest first ignores age": rivals(Order.SJF, expected=4, ready=9),
    "shortest first: equals by age": rivals(Order.SJF, ready=4),
    "greedy: what fits goes": Decision(
        "s: n1=2", [{"key": "a", "n": 3, "ready": 0}, {"key": "b", "n": 2, "ready": 1}],
        {"a": "-*3", "b": "n1*2"},
    ),
    "strict: nobody passes a blocked head of the pool": Decision(
        "s: n1=2",
        [
            {"key": "a", "n": 3, "ready": 0},
            {"key": "b", "n": 1, "ready": 1},
            {"key": "c", "n": 1, "ready": 2, "pool": 1},
        ],
        {"a": "-*3", "b": "-", "c": "n1"},
        policy=Policy(scan=Scan.STRICT),
    ),
    "a gang turned away at one segment level is tried at another": Decision(
        "s/l1: n1=2 | s/l2: n2=2",
        [
            {"key": "a", "n": 4, "segment": (4, "leaf")},
            {"key": "b", "n": 4, "segment": (4, "spine")},
        ],
        {"a": "-*4", "b": "n1*2 n2*2"},
    ),
    "a gang turned away for its short segment says nothing about others": Decision(
        "s/l1: n1=6 | s/l2: n2=6",
        [{"key": "a", "n": 11, "segment": 4}, {"key": "b", "n": 10, "segment": 4}],
        {"a": "-*11", "b": "n2*4 n1*6"},
    ),
    "whole segments are counted anew after each gang": Decision(
        "s1/l1: n1=2 n2=2 | s1/l2: n3=2 n4=2 | s2/l1: n5=2 n6=3 | s2/l2: n7=2 n8=3",
        [{"key": "a", "n": 8, "segment": 4}, {"key": "b", "n": 8, "segment": 4}],
        {"a": "n1*2 n2*2 n3*2 n4*2", "b": "n5 n6*3 n7 n8*3"},
    ),
    "returning to held room takes none": Decision(
        "s: n1=2",
        [{"key": "a", "held": {0: "n1"}}, {"key": "b"}, {"key": "c"}],
        {"a": "n1", "b": "n1", "c": "-"},
        {"holds": [("n1", 0, "a", 0, HOLD_END)]},
    ),
    "gangs alike: each on a tightest node that is still free": Decision(
        "s: n1=4 n2=4 n3=5",
        [{"key": key, "n": 4} for key in "abcd"],
        {"a": "n1*4", "b": "n2*4", "c": "n3*4", "d": "-*4"},
    ),
    "a gang sees what those before it took": Decision(
        "s/l1: n1=4 | s/l2: n2=8", [{"key": "a", "n": 3}, {"key": "b", "n": 2}, {"key": "c"}],
        {"a": "n1*3", "b": "n2*2", "c": "n1"},
    ),
}  # fmt: skip

TABLES = {
    "tightest": TIGHTEST,
    "unlabelled": UNLABELLED,
    "fewest": FEWEST,
    "segments": SEGMENTS,
    "partial": PARTIAL,
    "home": HOME,
    "replacement": REPLACEMENT,
    "claims": CLAIMS,
    "nodes": NODES,
    "queue": QUEUE,
}
ROWS = {f"{table}: {name}": row for table, rows in TABLES.items() for name, row in rows.items()}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_decision(row: Decision) -> None:
    """The gangs of the row get just the nodes that its rule gives them."""
    gpus = dict(re.findall(r"(\w+)=(\d+)", row.cluster))
    snap = builders.snapshot(
        re.sub(r"=\d+", "", row.cluster),
        **{
            "allocatable": {node: (64_000, 1 << 40, int(free)) for node, free in gpus.items()},
            **row.more,
        },
    )
    pending = builders.gangs(snap, row.gangs)
    got = plan(snap, pending, row.policy, 0)
    rows = {
        key: runs(builders.names_of(snap, got.row[first:last]))
        for key, first, last in zip(
            pending.key, pending.offset[:-1], pending.offset[1:], strict=True
        )
    }
    assert rows == row.want


def runs(names: Iterable[str]) -> str:
    """`n1 n1 n2` -> `n1*2 n2`."""
    counted = [(name, len(list(group))) for name, group in groupby(names)]
    return " ".join(f"{name}*{count}" if count > 1 else name for name, count in counted)
