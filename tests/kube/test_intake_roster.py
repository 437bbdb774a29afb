"""Intake, roster and cache together: what a cluster shows, in any order, is what is counted."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.clock import ManualClock
from scheduler.kube.intake import Intake
from scheduler.kube.resources import NODES, PODS, STATEFUL_SETS, X_POD_GROUPS, Resource
from scheduler.model.decode import Pod, decode_pod
from scheduler.model.objects import PodObject
from scheduler.model.resources import CPU, GPU, MEMORY, ResourceOrder
from scheduler.model.resources import PODS as SLOTS
from scheduler.model.wishes import Level as Wished
from scheduler.state.cache import Cache
from scheduler.state.invariants import check_invariants
from scheduler.state.nodes import Level
from scheduler.state.roster import Roster
from scheduler.state.roster_check import check_roster
from tests.model.as_json import box

Seen = tuple[str, str, dict[str, Any]]
SPINE = "net/spine"
ABSURD = ("9E", "10E", "-1", "1e40")


class World:
    """A cluster told object by object."""

    def __init__(self) -> None:
        self.cache = Cache(ResourceOrder.of(()), [Level("spine", SPINE)])
        self.roster = Roster(self.cache, (Wished("spine", SPINE),), gather_max_us=10**7)
        self.clock = ManualClock(10**9)
        self.told: list[str] = []
        self.intake = Intake(
            self.cache, self.roster, ("muster",), self.clock,
            lambda kind, name, _, what: self.told.append(f"{kind} {name}: {what}"),
        )  # fmt: skip
        self.pods: dict[str, dict[str, Any]] = {}

    def put(self, resource: Resource, found: dict[str, Any]) -> None:
        """An object appeared or changed."""
        self.intake.put(resource, msgspec.json.decode(json.dumps(found), type=resource.type))
        if resource is PODS:
            self.pods[found["metadata"]["uid"]] = found

    def gone(self, resource: Resource, uid: str) -> None:
        """An object is gone."""
        self.intake.gone(resource, uid, None)
        if resource is PODS:
            self.pods.pop(uid, None)

    def settle(self) -> None:
        """The end of a turn."""
        self.clock.advance(1000)
        self.roster.settle(self.clock.now_us())
        check_roster(self.roster, settled=True)
        check_invariants(self.cache, self.cache.freeze(self.clock.now_us()))

    def used(self) -> dict[str, dict[str, int]]:
        """Node -> resource or pod slots -> what pods take, as the columns say."""
        nodes, names = self.cache.nodes, self.cache.shapes.resources.names
        rows = zip(
            nodes.names, nodes.used[:, : len(nodes)].T.tolist(), nodes.pods_used, strict=False
        )
        return {
            node: {n: a for n, a in [*zip(names, row, strict=True), (SLOTS, int(count))] if a}
            for node, row, count in rows
            if count
        }

    def expected(self) -> dict[str, dict[str, int]]:
        """The same, added up from the objects that are there."""
        found: dict[str, Counter[str]] = {}
        for text in self.pods.values():
            pod = decode_pod(msgspec.json.decode(json.dumps(text), type=PodObject))
            node = _counts_on(pod)
            if node and not pod.finished:
                found.setdefault(node, Counter()).update({**pod.request, SLOTS: 1})
        return {node: {n: a for n, a in sums.items() if a} for node, sums in found.items()}


def _counts_on(pod: Pod) -> str:
    """Its node; of another scheduler's that waits, the only one that it may use."""
    alone = pod.pins is not None and len(pod.pins) == 1
    if pod.node or pod.scheduler == "muster" or pod.deleting or not alone:
        return pod.node
    assert pod.pins is not None
    return pod.pins[0]


def pod_named(uid: str, **spec: Any) -> dict[str, Any]:
    """A pod of ours whose rank is in its name."""
    meta = {"name": f"web-{uid}", "namespace": "ns", "uid": uid, **spec.pop("meta", {})}
    status = spec.pop("status", {})
    fields = {"schedulerName": "muster", "containers": [box(**{CPU: "1", GPU: "1"})], **spec}
    return {"metadata": meta, "spec": fields, "status": status}


def named(name: str) -> dict[str, Any]:
    """metadata of a StatefulSet whose UID is its name."""
    return {"name": name, "namespace": "ns", "uid": name}


def owned(by: str) -> dict[str, Any]:
    """metadata of a pod of a StatefulSet."""
    return {"ownerReferences": [{"kind": "StatefulSet", "name": by, "uid": by, "controller": True}]}


def node_named(name: str, **offer: str) -> dict[str, Any]:
    """A node on spine s."""
    allocatable = {CPU: "8", MEMORY: "1Gi", SLOTS: "10", **offer}
    meta = {"name": name, "uid": f"uid-{name}", "labels": {SPINE: "s"}}
    return {"metadata": meta, "status": {"allocatable": allocatable}}


PIN = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n2"]}]}
PINNED = {
    "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [PIN]}}
}


@st.composite
def sightings(draw: st.DrawFn, amounts: tuple[str, ...]) -> Seen:
    """An event: what, which one, its content."""
    kind = draw(st.sampled_from(("pod", "pod", "pod", "gone", "node", "node-gone", "set", "group")))
    uid = str(draw(st.integers(0, 3)))
    if kind == "pod":
        name = draw(st.sampled_from((CPU, GPU, "example.com/nic")))
        spec: dict[str, Any] = {
            "containers": [box(**{name: draw(st.sampled_from(amounts))})],
            "schedulerName": "other" if uid == "3" else "muster",
            "meta": draw(st.sampled_from(({}, owned("a"), owned("b")))),
            "status": draw(st.sampled_from(({}, {"phase": "Running"}, {"phase": "Failed"}))),
        }
        if draw(st.booleans()):
            spec["nodeName"] = draw(st.sampled_from(("n1", "n2")))
        if draw(st.integers(0, 3)) == 0:
            spec["affinity"] = PINNED
        return kind, uid, pod_named(uid, **spec)
    if kind == "node":
        name = draw(st.sampled_from(("n1", "n2")))
        return kind, name, node_named(name, **{GPU: draw(st.sampled_from(amounts))})
    if kind == "set":
        name = draw(st.sampled_from("ab"))
        replicas = draw(st.sampled_from((2, 3, -1)))
        template = {"spec": {"containers": [box(cpu=draw(st.sampled_from(amounts)))]}}
        spec = {"replicas": replicas, "podManagementPolicy": "Parallel", "template": template}
        return (
            kind,
            name,
            {"metadata": {"name": name, "namespace": "ns", "uid": name}, "spec": spec},
        )
    return kind, uid, {"metadata": {"name": uid, "namespace": "ns", "uid": f"group-{uid}"}}


def happen(world: World, event: Seen) -> None:
    """Tells one event."""
    kind, which, found = event
    resource = {"pod": PODS, "node": NODES, "set": STATEFUL_SETS, "group": X_POD_GROUPS}.get(kind)
    if resource is not None:
        world.put(resource, found)
    elif kind == "gone":
        world.gone(PODS, which)
    else:
        world.gone(NODES, f"uid-n{1 + int(which) % 2}")


@given(turns=st.lists(st.lists(sightings(("1", "2", "0")), max_size=6), min_size=1, max_size=6))
@settings(max_examples=150, deadline=None)
def test_columns_are_what_the_objects_add_up_to(turns: list[list[Seen]]) -> None:
    """Whatever came in whichever order: every pod counts once, where it is, by its own request."""
    world = World()
    for events in turns:
        for event in events:
            happen(world, event)
        world.settle()
        assert world.used() == world.expected()


@given(turns=st.lists(st.lists(sightings((*ABSURD, "1")), max_size=6), min_size=1, max_size=5))
@settings(max_examples=100, deadline=None)
def test_absurd_objects_stop_nobody(turns: list[list[Seen]]) -> None:
    """No history of unreadable objects raises or leaves the state at odds with itself."""
    world = World()
    for events in turns:
        for event in events:
            happen(world, event)
        world.settle()
    world.put(NODES, node_named("good", **{GPU: "2"}))
    world.put(PODS, pod_named("9"))
    world.settle()
    assert "9" in world.cache.queue
    assert len(world.told) == len(set(world.told))


def test_a_set_waits_for_its_owner_and_is_one_gang() -> None:
    """Pods that come before their StatefulSet are no gangs of one; then they are one of three."""
    world = World()
    world.put(NODES, node_named("n1", **{GPU: "8"}))
    for uid in "012":
        world.put(PODS, pod_named(uid, meta=owned("a")))
    world.settle()
    assert len(world.cache.queue) == 0
    spec = {"replicas": 3, "podManagementPolicy": "Parallel"}
    world.put(
        STATEFUL_SETS, {"metadata": {"name": "a", "namespace": "ns", "uid": "a"}, "spec": spec}
    )
    world.settle()
    entry = world.cache.queue.get("a")
    assert entry is not None
    assert entry.count == 3
    assert world.told == []


def test_a_pod_with_an_unreadable_request_is_never_in_the_queue() -> None:
    """It waits with the rule's name; its neighbour is tried."""
    world = World()
    world.put(PODS, pod_named("1", containers=[box(cpu="9E")]))
    world.put(PODS, pod_named("2"))
    world.settle()
    assert [entry.key for entry in world.cache.queue] == ["2"]
    view = world.roster.view("1")
    assert view is not None
    assert view.unsupported == ("unreadable requests",)
