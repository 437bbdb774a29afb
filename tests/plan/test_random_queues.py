"""Whole queues of every kind against small clusters: what must hold for each plan."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler import kernel
from scheduler.model.constraints import Effect, Requirement, Taint, Term, Toleration
from scheduler.model.filters import Eligibility
from scheduler.model.pending import Pending
from scheduler.model.plan import Plan, Verdict
from scheduler.model.policy import Order, Policy, Scan
from scheduler.model.shape import Shape
from scheduler.model.snapshot import CORDONED, SETTLING, Capacity, Snapshot
from scheduler.plan import plan
from tests import builders
from tests.plan.invariants import check_plan

RESERVED = Taint("gpu", "reserved")
HARD = Taint("down", effect=Effect.NO_EXECUTE)
SOFT = Taint("old", effect=Effect.PREFER_NO_SCHEDULE)

SHAPES = (
    builders.shape(gpu=1, cpu=4),
    builders.shape(gpu=2, cpu=1, tolerations=(Toleration("gpu", "Exists"),)),
    builders.shape(cpu=3),
    builders.shape(gpu=1, selector=(("kind", "fast"),)),
    builders.shape(cpu=1, tokens=("port:TCP/80",)),
    builders.shape(cpu=2, tokens=("port:TCP/80@10.0.0.1", "disk:ebs/a")),
    builders.shape(
        gpu=1,
        affinity=(Term((Requirement("spine", "NotIn", ("s1",)),)),),
        tolerations=(Toleration(operator="Exists"),),
    ),
    builders.shape(),
)  # fmt: skip
WITH_TOKENS = [i for i, shape in enumerate(SHAPES) if shape.tokens]

PLACES = ("s1/l1", "s1/l2", "s2/l1", "s2/l2", "s2/l3", "s1", "-/l9", "")
HOMES = ("s1", "s2", "s1/l1", "s2/l2")


@dataclass(frozen=True)
class Queue:
    """A cluster as arguments of `builders.snapshot`, and gangs as dicts."""

    cluster: dict[str, Any]
    gangs: list[dict[str, Any]]
    policy: Policy

    def snapshot(self) -> Snapshot:
        """Built anew on each call."""
        return builders.snapshot(**self.cluster)


@st.composite
def queues(draw: st.DrawFn, scan: Scan | None = None) -> Queue:
    """Up to 10 nodes and 8 gangs, with everything that a snapshot or a gang can have."""
    names = [f"n{i}" for i in range(1, draw(st.integers(1, 10)) + 1)]
    place = {name: draw(st.sampled_from(PLACES)) for name in names}
    # Homes and claims need their domains: an anchor node of no room keeps each of them.
    anchors = {f"x{i}": path for i, path in enumerate(HOMES)}
    text = " | ".join(f"{path}: {name}" for name, path in {**place, **anchors}.items())
    node = st.sampled_from(names)
    gangs = draw(st.lists(specs(names), min_size=1, max_size=8, unique_by=lambda g: g["key"]))
    holds = [
        (where, _shape_of(gang, member), gang["key"], member, 10**9)
        for gang in gangs
        for member, where in gang["held"].items()
    ]
    owners = st.sampled_from([*(gang["key"] for gang in gangs), "stranger"])
    holds += draw(st.lists(st.builds(_foreign_hold, node, st.sampled_from(range(8))), max_size=2))
    claims = draw(
        st.lists(st.tuples(st.sampled_from([*HOMES, ""]), owners, st.integers(0, 2)), max_size=2)
    )
    amounts = st.tuples(st.integers(0, 16), st.just(0), st.integers(0, 6))
    cluster = {
        "text": text,
        "allocatable": {n: draw(amounts) for n in names} | dict.fromkeys(anchors, (0, 0, 0)),
        "used": draw(st.dictionaries(node, st.tuples(st.integers(0, 4), st.just(0), st.just(0)))),
        "slots": draw(st.dictionaries(node, st.integers(-1, 6))),
        "taints": draw(
            st.dictionaries(node, st.lists(st.sampled_from([RESERVED, HARD, SOFT]), max_size=2))
        ),
        "labels": draw(st.dictionaries(node, st.just({"kind": "fast"}))),
        "flags": draw(st.dictionaries(node, st.sampled_from([0, 0, CORDONED, SETTLING]))),
        "tokens": _tokens(holds, draw(st.dictionaries(st.just("port:TCP/80"), st.sets(node)))),
        "claims": claims,
        "holds": holds,
        "shapes": SHAPES,
    }
    return sane(Queue(cluster, gangs, draw(policies(scan))))


@st.composite
def specs(draw: st.DrawFn, names: list[str]) -> dict[str, Any]:
    """One gang: of one shape or several, with or without home, held room, pins and segments."""
    n = draw(st.integers(1, 12))
    mixed = draw(st.integers(0, 3)) == 0
    shape = st.sampled_from(range(len(SHAPES)))
    members = st.lists(shape, min_size=n, max_size=n)
    level = st.sampled_from([None, "spine", "leaf"])
    home = draw(st.sampled_from([None, None, None, *HOMES]))
    some = st.dictionaries(st.integers(0, n - 1), st.sampled_from(names), max_size=2)
    plain = draw(st.booleans())
    return {
        "key": draw(st.sampled_from([f"g{i}" for i in range(12)])),
        "n": n,
        "shape": draw(members) if mixed else draw(shape),
        "min": n if draw(st.booleans()) else draw(st.integers(1, n)),
        "required": draw(level),
        "preferred": draw(level),
        "segment": (draw(st.integers(1, 4)), draw(st.integers(0, 1))) if draw(st.booleans()) else 0,
        "home": home,
        "single": n == 1 and draw(st.booleans()),
        "repair": draw(st.booleans()),
        "priority": draw(st.integers(0, 2)),
        "ready": draw(st.integers(0, 2)),
        "expected": draw(st.integers(0, 2)),
        "pool": draw(st.integers(0, 1)),
        "held": {} if plain else draw(some),
        "pins": {i: [where] for i, where in draw(some).items()} if mixed and not plain else {},
    }


def policies(scan: Scan | None) -> st.SearchStrategy[Policy]:
    """All orders and scans; rejections are explained or not."""
    scans = st.just(scan) if scan is not None else st.sampled_from(Scan)
    return st.builds(Policy, order=st.sampled_from(Order), scan=scans, explain=st.booleans())


def _shape_of(gang: dict[str, Any], member: int) -> int:
    shape = gang["shape"]
    return shape if isinstance(shape, int) else int(shape[member])


def _foreign_hold(node: str, shape: int) -> tuple[str, int, str, int, int]:
    return (node, shape, "stranger", shape, 10**9)


def _tokens(
    holds: list[tuple[str, int, str, int, int]], taken: dict[str, set[str]]
) -> dict[str, set[str]]:
    """A hold takes the tokens of its shape, like a pod."""
    out = {token: set(nodes) for token, nodes in taken.items()}
    for node, shape, *_ in holds:
        for token in SHAPES[shape].tokens:
            out.setdefault(token, set()).add(node)
    return out


def sane(queue: Queue) -> Queue:
    """Drops held room that state/ would never report, because it cannot be used as it stands.

    Two holds of clashing tokens on one node, or a gang whose held members lie in two domains of
    its required level: the holds stay, the members are searched for like any others.
    """
    snap = queue.snapshot()
    tree, row_of = snap.topology, {name: i for i, name in enumerate(snap.names)}
    with_tokens: set[str] = set()
    for gang in queue.gangs:
        required = builders.level(tree, gang["required"])
        within = None if gang["home"] is None else builders.domain(tree, gang["home"])
        kept: dict[int, str] = {}
        for member, node in gang["held"].items():
            at = tree.domain_of(row_of[node], required) if required >= 0 else -1
            if required >= 0:
                if within is None:
                    within = at
                if at < 0 or row_of[node] not in tree.rows(within) or within != at:
                    continue
            if SHAPES[_shape_of(gang, member)].tokens:
                if node in with_tokens:
                    continue
                with_tokens.add(node)
            kept[member] = node
        gang["held"] = kept
    return queue


@settings(max_examples=400)
@given(queues())
def test_every_plan_keeps_the_invariants(queue: Queue) -> None:
    """No overcommit, all or the minimum, domains, segments, pins, holds, claims, order."""
    snap = queue.snapshot()
    pending = builders.gangs(snap, queue.gangs)
    check_plan(snap, pending, plan(snap, pending, queue.policy, 0), queue.policy)


@settings(max_examples=80)
@given(queues())
def test_the_same_input_gives_the_same_bytes(queue: Queue) -> None:
    """Runs over equal snapshots agree in every column, text and count, and write to none of them.

    Capacities that state/ keeps between cycles lead to the same plan as computing them does.
    """
    snap, twin = queue.snapshot(), queue.snapshot()
    kept = with_capacities(snap)
    before = list(arrays(kept))
    pending = builders.gangs(snap, queue.gangs)
    once = plan(snap, pending, queue.policy, 0)
    again = plan(twin, builders.gangs(twin, queue.gangs), queue.policy, 0)
    assert columns(once) == columns(again)
    assert once.stats == again.stats
    assert columns(plan(kept, pending, queue.policy, 0)) == columns(once)
    assert list(arrays(kept)) == before


@settings(max_examples=100)
@given(queues(scan=Scan.GREEDY))
def test_a_gang_that_does_not_fit_leaves_no_trace(queue: Queue) -> None:
    """Without the gangs that were turned away, the others are placed alike."""
    snap = queue.snapshot()
    pending = builders.gangs(snap, queue.gangs)
    whole = plan(snap, pending, queue.policy, 0)
    placed = [g for g, verdict in enumerate(whole.verdict) if verdict == Verdict.FITS]
    rest = builders.gangs(snap, [queue.gangs[g] for g in placed])
    alone = plan(snap, rest, queue.policy, 0)
    for at, g in enumerate(placed):
        assert rows_of(alone, rest, at) == rows_of(whole, pending, g), pending.key[g]


def rows_of(of: Plan, pending: Pending, g: int) -> list[int]:
    """Rows of one gang's members."""
    rows: list[int] = of.row[pending.offset[g] : pending.offset[g + 1]].tolist()
    return rows


def columns(of: Plan) -> list[object]:
    """Everything a plan says, but how much work it was."""
    values = [getattr(of, field.name) for field in fields(of) if field.name != "stats"]
    return [value.tobytes() if isinstance(value, np.ndarray) else value for value in values]


def arrays(snap: Snapshot) -> Iterator[bytes]:
    """Contents of all arrays that a snapshot refers to."""
    holders: list[Any] = [snap, snap.claims, snap.holds, *snap.capacities.values(), snap.topology]
    for holder in [*holders, *snap.labels.values()]:
        for field in fields(holder):
            value = getattr(holder, field.name)
            if isinstance(value, np.ndarray):
                yield value.tobytes()
    for rows in snap.tokens.values():
        yield rows.tobytes()


def with_capacities(snap: Snapshot) -> Snapshot:
    """The snapshot as state/ hands it over: every shape's capacities beside the columns."""
    tree = kernel.Tree(snap.topology)
    kept: dict[int, Capacity] = {}
    for number, shape in enumerate(snap.shapes):
        eligibility = Eligibility(shape)
        reason = eligibility.evaluate(snap)
        request = kernel.Request.of(shape.requests, exclusive=shape.exclusive)
        cap = kernel.capacity(snap.free, snap.slots, reason, request)
        sums = kernel.roll_up(tree, cap)
        for column in (reason, cap, sums):
            column.flags.writeable = False
        kept[number] = Capacity(tuple(eligibility.reasons), reason, cap, sums)
    return replace(snap, capacities=kept)


BROKEN = {
    "half placed": {"placed": [1]},
    "not where the plan says": {"domain": [0]},
    "two on room for one": {"row": [0, 0]},
    "spread over two spines": {"row": [0, 2]},
    "on a cordoned node": {"row": [0, 1]},
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_the_invariants_notice_a_broken_plan(broken: dict[str, list[int]]) -> None:
    """The checks above can fail: each of these plans breaks one rule."""
    snap = builders.snapshot(
        "s1: n1 n2 n4 | s2: n3", gpu=1, flags={"n2": CORDONED}, shapes=[Shape((0, 0, 1))]
    )
    pending = builders.gangs(snap, [{"key": "a", "n": 2, "required": "spine"}])
    good = plan(snap, pending, Policy(), 0)
    assert good.row.tolist() == [0, 3]
    check_plan(snap, pending, good, Policy())
    changes = {name: np.array(values, getattr(good, name).dtype) for name, values in broken.items()}
    with pytest.raises(AssertionError):
        check_plan(snap, pending, replace(good, **changes), Policy())  # type: ignore[arg-type]
