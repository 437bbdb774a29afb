# ruff: noqa: D102  (a rule is named after its event)
"""Random histories of pods with rules between them: what a snapshot says equals a recount."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from scheduler.model.arrays import I32
from scheduler.model.audience import Audience, Scope, Who, mark_of
from scheduler.model.constraints import Requirement
from scheduler.model.pod_rules import Apart, Near, PodRules, Spread
from scheduler.model.policy import Policy
from scheduler.model.resources import GPU, ResourceOrder
from scheduler.model.shape import Shape
from scheduler.model.snapshot import Snapshot
from scheduler.state.cache import Cache
from scheduler.state.entry import Entry
from scheduler.state.invariants import check_invariants
from scheduler.state.lifecycle import IllegalTransitionError
from scheduler.state.nodes import NodeSpec

SPACES = ("x", "y")
GANGS = ("a", "b", "c")
NODES = ("n1", "n2", "n10")
HIDDEN = frozenset({"index"})

requirements = st.builds(
    Requirement,
    st.sampled_from(("app", "app", "app", "tier", "index")),
    st.sampled_from(("In", "In", "In", "NotIn", "Exists", "DoesNotExist")),
    st.sampled_from((("a",), ("b",), ("a", "b"))),
)
labels = st.lists(requirements, max_size=2).map(tuple) | st.lists(requirements, max_size=1).map(
    tuple
)
space_selectors = st.sampled_from(
    (None, None, (), (Requirement("team", "In", ("t",)),), (Requirement("team", "DoesNotExist"),))
)
scopes = st.builds(
    Scope, labels, st.sampled_from(((), ("x",), ("y",), ("x", "y"))), space_selectors
)


@st.composite
def rules(draw: st.DrawFn) -> PodRules:
    def seen(*, leaving: bool = True, most: int = 1) -> str:
        found = draw(st.lists(scopes, min_size=1, max_size=most))
        return mark_of(Audience(tuple(found), leaving=leaving))

    kinds = draw(st.sets(st.sampled_from(("spread", "near", "apart")), max_size=2))
    return PodRules(
        spread=(Spread("zone", 1, 1, seen(leaving=False), own=False),) if "spread" in kinds else (),
        near=Near(("zone",), seen(most=2), own=False) if "near" in kinds else None,
        apart=(Apart("zone", seen()),) if "apart" in kinds else (),
    )


whos = st.builds(
    Who,
    st.sampled_from(SPACES),
    st.sampled_from(((), (("app", "a"),), (("app", "b"),), (("app", "a"), ("tier", "b")))),
    st.sampled_from((False, False, True)),
)
picks = st.integers(0, 30)


class RulesMachine(RuleBasedStateMachine):
    """Events that change who is where, who waits, and what their rules mean."""

    def __init__(self) -> None:
        super().__init__()
        self.cache = Cache(ResourceOrder(("cpu", "memory", GPU)), hidden=HIDDEN)
        self.kinds: list[tuple[PodRules, Who | None, int]] = []
        self.snapshot: Snapshot | None = None

    def kind(self, pick: int) -> int:
        found, who, gpu = self.kinds[pick % len(self.kinds)]
        requests = self.cache.shapes.resources.vector({GPU: gpu})
        return self.cache.shape(Shape(requests, rules=found), who)

    @initialize(
        nodes=st.sets(st.sampled_from(NODES), min_size=1),
        kinds=st.lists(st.tuples(rules(), whos), min_size=2, max_size=4),
    )
    def start(self, nodes: set[str], kinds: list[tuple[PodRules, Who]]) -> None:
        for name in sorted(nodes):
            self.node(name)
        self.kinds.append((PodRules(), None, 1))
        for i, (found, who) in enumerate(kinds):
            self.new_kind(found, who, 1)
            self.pod(i, i + 1, NODES[i % 3])
        self.enqueue("a", [1, 2])
        self.freeze()

    @rule(name=st.sampled_from(NODES))
    def node(self, name: str) -> None:
        amounts = len(self.cache.shapes.resources)
        self.cache.upsert_node(NodeSpec(name, (9,) * amounts, labels={"zone": name[-1]}))

    @rule(name=st.sampled_from(NODES))
    def lost_node(self, name: str) -> None:
        self.cache.remove_node(name)

    @rule(found=rules(), who=whos, gpu=st.integers(0, 1))
    def new_kind(self, found: PodRules, who: Who, gpu: int) -> None:
        self.kinds.append((found, who, gpu))
        self.kind(-1)

    @rule(name=st.sampled_from(SPACES), team=st.sampled_from((None, "t", "u")))
    def namespace(self, name: str, team: str | None) -> None:
        if team is None:
            self.cache.drop_namespace(name)
        else:
            self.cache.put_namespace(name, {"team": team})

    @rule(uid=st.integers(0, 5), pick=picks, node=st.sampled_from(NODES))
    def pod(self, uid: int, pick: int, node: str) -> None:
        self.cache.upsert_pod(f"u{uid}", node, self.kind(pick))

    @rule(uid=st.integers(0, 5))
    def gone_pod(self, uid: int) -> None:
        self.cache.remove_pod(f"u{uid}")

    @rule(key=st.sampled_from(GANGS), found=st.lists(picks, min_size=1, max_size=3))
    def enqueue(self, key: str, found: list[int]) -> None:
        column: I32 = np.array([self.kind(pick) for pick in found], np.int32)
        entry = Entry(key, key, len(column), column, 1)
        self.maybe(lambda: self.cache.enqueue(entry))

    @rule(key=st.sampled_from(GANGS), how=st.sampled_from(("dequeue", "forget", "confirm", "end")))
    def step(self, key: str, how: str) -> None:
        steps: dict[str, Any] = {
            "dequeue": self.cache.dequeue,
            "forget": self.cache.forget,
            "confirm": self.cache.confirm,
            "end": self.cache.release,
        }
        self.maybe(lambda: steps[how](key))

    def maybe(self, step: Any) -> None:
        try:
            step()
        except IllegalTransitionError:
            return

    @rule(key=st.sampled_from(GANGS), rank=st.integers(0, 2), pick=picks, drop=st.booleans())
    def hold(self, key: str, rank: int, pick: int, *, drop: bool) -> None:
        one: I32 = np.array([self.kind(pick)], np.int32)
        if drop:
            self.cache.drop_hold(key)
        else:
            self.cache.hold(key, "x", ["n1"], one, np.array([rank], np.int32), 0)

    @rule()
    def widen(self) -> None:
        self.cache.widen(["example.com/nic"])

    @rule()
    def sweep(self) -> None:
        """What nobody uses is forgotten, and its numbers soon mean something else."""
        self.cache.sweep_kinds()
        live = self.cache.shapes.numbers()
        shown = self.freeze()
        assert {int(shape) for shape in shown.holds.shape} <= live | self.cache.shapes.numbers()

    @precondition(lambda self: len(self.cache.queue) > 0)
    @rule(pick=picks)
    def assume(self, pick: int) -> None:
        """All members of one that waits, as the loop would: from the columns that plan() read."""
        snap = self.freeze()
        if not snap.names:
            return
        pending = self.cache.pending(0, snap, Policy())
        for g, key in enumerate(pending.key):
            members = slice(int(pending.offset[g]), int(pending.offset[g + 1]))
            entry = self.cache.queue.get(key)
            assert entry is not None
            plans = [self.cache.kinds.plan(kind) for kind in entry.shape_column().tolist()]
            assert pending.shape[members].tolist() == plans
        if pending.gangs:
            g = pick % pending.gangs
            ranks = pending.rank[pending.offset[g] : pending.offset[g + 1]]
            rows = (np.arange(len(ranks)) + pick) % len(snap.names)
            kinds = self.cache.queue.get(pending.key[g])
            assert kinds is not None
            self.cache.assume(pending.key[g], rows.astype(np.int32), None, ranks)
            slots = self.cache.book.get(pending.key[g]).slots[-len(ranks) :]
            assert self.cache.book.pods.shape[slots].tolist() == kinds.shape_column().tolist()

    @rule()
    def look(self) -> None:
        self.freeze()

    def freeze(self) -> Snapshot:
        """Marks and plan shapes are those of a recount."""
        snap = self.snapshot = self.cache.freeze(0)
        check_invariants(self.cache, snap)
        assert not any(c.rows.flags.writeable or c.counts.flags.writeable
                       for c in snap.marks.values())  # fmt: skip
        held = {int(shape) for shape in snap.holds.shape}
        assert held <= {int(number) for number in self.cache.shapes.plan_of}
        return snap

    @invariant()
    def agrees(self) -> None:
        check_invariants(self.cache)


RulesMachine.TestCase.settings = settings(max_examples=50, stateful_step_count=30, deadline=None)
test_random_histories = RulesMachine.TestCase
