"""Kinds with rules between pods, and short ways to ask what became of them."""

from __future__ import annotations

from scheduler.model.audience import Audience, Carried, Scope, Who, mark_of
from scheduler.model.constraints import Requirement
from scheduler.model.pod_rules import Apart, Near, PodRules
from scheduler.model.resources import GPU, ResourceOrder
from scheduler.model.shape import Shape
from scheduler.model.snapshot import Snapshot
from scheduler.state.cache import Cache
from scheduler.state.entry import Entry
from scheduler.state.invariants import check_invariants
from scheduler.state.nodes import NodeSpec
from tests.state.helpers import i32

A, B = Who("ns", (("app", "a"),)), Who("ns", (("app", "b"),))
HOST = "kubernetes.io/hostname"


def scope(app: str, *namespaces: str) -> Scope:
    return Scope((Requirement("app", "In", (app,)),), namespaces or ("ns",))


def seen(app: str, *, leaving: bool = True) -> str:
    return mark_of(Audience((scope(app),), leaving=leaving))


def kept(app: str) -> str:
    return mark_of(Carried(HOST, scope(app)))


def apart(app: str) -> PodRules:
    return PodRules(apart=(Apart(HOST, seen(app)),))


def near(app: str) -> PodRules:
    return PodRules(near=Near((HOST,), seen(app), own=False))


def cache_with(*nodes: str, gpu: int = 4, hidden: frozenset[str] = frozenset()) -> Cache:
    cache = Cache(ResourceOrder(("cpu", "memory", GPU)), hidden=hidden)
    for name in nodes:
        cache.upsert_node(NodeSpec(name, (64, 64, gpu), labels={HOST: name}))
    return cache


def kind(cache: Cache, rules: PodRules | None = None, who: Who | None = A, gpu: int = 1) -> int:
    requests = cache.shapes.resources.vector({GPU: gpu})
    return cache.shape(Shape(requests, rules=rules or PodRules()), who)


def wait(cache: Cache, key: str, *kinds: int) -> None:
    cache.enqueue(Entry(key, key, len(kinds), i32(*kinds), len(kinds)))


def counts(snap: Snapshot, mark: str) -> dict[str, int]:
    """Node -> pods of the mark."""
    column = snap.marks[mark]
    names = [snap.names[row] for row in column.rows.tolist()]
    return dict(zip(names, column.counts.tolist(), strict=True))


def plan_rules(cache: Cache, number: int) -> PodRules:
    return cache.shapes[cache.kinds.plan(number)].rules


def checked(cache: Cache, now: int = 0) -> Snapshot:
    snap = cache.freeze(now)
    check_invariants(cache, snap)
    return snap


def selecting(team: str) -> Scope:
    return Scope((), (), (Requirement("team", "In", (team,)),))
