# ruff: noqa: D102  (the double's methods are the roster's)
"""What the watch shows ends in the cache and with the roster; what it cannot say stops nobody."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from scheduler.clock import ManualClock
from scheduler.kube.intake import TWO_CONTROLLERS, Intake
from scheduler.kube.pod_memo import MOST, UNREADABLE
from scheduler.kube.resources import (
    JOBS,
    NODES,
    PODS,
    PRIORITY_CLASSES,
    REPLICA_SETS,
    STATEFUL_SETS,
    X_POD_GROUPS,
    Resource,
)
from scheduler.model.decode import Controller, Owner
from scheduler.model.groups import Group
from scheduler.model.resources import CPU, GPU, MEMORY, ResourceOrder
from scheduler.model.snapshot import CORDONED
from scheduler.state.cache import Cache
from scheduler.state.invariants import check_invariants
from scheduler.state.nodes import Level
from scheduler.state.sighting import Sighting

SPINE = "net/spine"
CREATED = "2026-11-22T10:00:00Z"
CREATED_US = 1_795_341_600_000_000
NOW_US = CREATED_US + 7


@dataclass
class Roll:
    """A roster that writes down what it is told; bound pods go on to the cache as they are."""

    cache: Cache
    pods: dict[str, Sighting] = field(default_factory=dict)
    owners: dict[str, Controller | Group] = field(default_factory=dict)
    times: set[int] = field(default_factory=set)

    def put_pod(self, pod: Sighting, now_us: int) -> None:
        self.times.add(now_us)
        self.pods[pod.uid] = pod
        if pod.node:
            self.cache.upsert_pod(pod.uid, pod.node, pod.shape)

    def drop_pod(self, uid: str, now_us: int) -> None:
        self.times.add(now_us)
        self.pods.pop(uid, None)
        self.cache.remove_pod(uid)

    def put_controller(self, controller: Controller, now_us: int) -> None:
        self.times.add(now_us)
        self.owners[controller.uid] = controller

    def drop_controller(self, uid: str, now_us: int) -> None:
        self.times.add(now_us)
        self.owners.pop(uid)

    def put_group(self, group: Group, now_us: int) -> None:
        self.times.add(now_us)
        self.owners[group.uid] = group

    def drop_group(self, uid: str, now_us: int) -> None:
        self.times.add(now_us)
        self.owners.pop(uid)


class World:
    """An intake between JSON and an empty cache."""

    def __init__(self) -> None:
        self.cache = Cache(ResourceOrder.of(()), [Level("spine", SPINE)])
        self.roll = Roll(self.cache)
        self.told: list[tuple[str, str, str]] = []
        self.intake = Intake(
            self.cache, self.roll, ("muster", "muster-b"), ManualClock(NOW_US),
            lambda kind, name, _, what: self.told.append((kind, name, what)),
        )  # fmt: skip

    def put(self, resource: Resource, spec: Any = None, status: Any = None, **meta: Any) -> None:
        """An object of this kind, as the watch shows it."""
        metadata = {
            "name": "x", "uid": "u", "creationTimestamp": CREATED,
            "namespace": "ns" if resource.namespaced else "", **meta,
        }  # fmt: skip
        found = {"metadata": metadata, "spec": spec or {}, "status": status or {}}
        self.intake.put(resource, msgspec.json.decode(json.dumps(found), type=resource.type))

    def node(self, name: str = "n1", spec: Any = None, **rest: Any) -> None:
        """A node with 4 CPUs, 1 KiB and 8 GPUs."""
        offer = {CPU: "4", MEMORY: "1Ki", GPU: "8", "hugepages-2Mi": "0", "pods": "10"}
        offer |= rest.pop("offer", {})
        meta = {"name": name, "uid": f"uid-{name}", "labels": {SPINE: "s1"}, **rest}
        self.put(NODES, spec, {"allocatable": offer}, **meta)

    def pod(self, uid: str = "u", status: Any = None, **spec: Any) -> Sighting:
        """A pod that asks for one CPU; what the roster was told of it."""
        wanted = {"resources": {"requests": spec.pop("asks", {CPU: "1"})}}
        meta = spec.pop("meta", {})
        self.put(PODS, {"containers": [wanted], **spec}, status, name=uid, uid=uid, **meta)
        return self.roll.pods[uid]

    def free(self) -> dict[str, dict[str, int]]:
        """Node -> resource -> what is free."""
        snap = self.cache.freeze(0)
        check_invariants(self.cache, snap)
        names = snap.resources.names
        return {
            node: dict(zip(names, snap.free[:, row].tolist(), strict=True))
            for row, node in enumerate(snap.names)
        }


def test_everything_of_a_pod_that_matters_is_sighted() -> None:
    """A waiting pod of ours, with its times, gates and claims."""
    world = World()
    owners = [
        {"kind": "Node", "name": "n", "uid": "n"},
        {
            "kind": "StatefulSet",
            "name": "web",
            "uid": "w",
            "controller": True,
            "apiVersion": "apps/v1",
        },
    ]
    meta = {"ownerReferences": owners, "labels": {"a": "b"}, "annotations": {"c": "d"}}
    seen = world.pod(
        schedulerName="muster-b", priority=7, schedulingGates=[{"name": "wait"}], meta=meta,
        volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "data-0"}}],
        status={"conditions": [
            {"type": "PodScheduled", "status": "False", "reason": "WaitingForMembers"}
        ]},
    )  # fmt: skip
    assert seen == Sighting(
        uid="u", namespace="ns", name="u", owner=Owner("StatefulSet", "web", "w", "apps/v1"),
        labels={"a": "b"}, annotations={"c": "d"}, node="", ours=True, finished=False,
        deleting=False, gated=True, ready=False, priority=7, created_us=CREATED_US,
        shape=seen.shape, pins=None, claims=("data-0",), unsupported=(),
        told="WaitingForMembers", profile=1,
    )  # fmt: skip
    assert world.cache.shapes[seen.shape].requests == (1000, 0)
    assert world.roll.times == {NOW_US}


def test_a_running_pod_is_sighted_with_its_conditions() -> None:
    """Ready, running, whole once, being deleted; of another scheduler."""
    conditions = [
        {"type": "Ready", "status": "True"},
        {"type": "PodScheduled", "status": "True"},
        {"type": "muster.dev/GangPlaced", "status": "False"},
    ]
    seen = World().pod(
        nodeName="n1", status={"phase": "Running", "conditions": conditions},
        meta={"deletionTimestamp": CREATED},
    )  # fmt: skip
    assert (seen.ready, seen.running, seen.was_whole, seen.deleting) == (True,) * 4
    assert (seen.ours, seen.told, seen.node, seen.member) == (False, "", "n1", False)


@pytest.mark.parametrize(("phase", "finished"), [("Succeeded", True), ("Pending", False)])
def test_a_pod_has_finished_by_its_phase(phase: str, finished: bool) -> None:
    """Succeeded and Failed take no room."""
    assert World().pod(status={"phase": phase}).finished is finished


def test_pods_and_nodes_come_and_go() -> None:
    """Resources are learnt from whoever names them; what nobody has is not counted."""
    world = World()
    world.pod("a", nodeName="n1", asks={CPU: "1", "example.com/nic": "2"})
    world.node("n1")
    world.node("n2", offer={"example.com/nic": "4"})
    assert world.free() == {
        "n1": {CPU: 3000, MEMORY: 1024, "example.com/nic": -2, GPU: 8},
        "n2": {CPU: 4000, MEMORY: 1024, "example.com/nic": 4, GPU: 8},
    }
    world.intake.gone(PODS, "a", None)
    world.intake.gone(NODES, "uid-n2", None)
    assert world.free() == {"n1": {CPU: 4000, MEMORY: 1024, "example.com/nic": 0, GPU: 8}}


def test_a_node_that_says_nothing_new_is_not_written_again() -> None:
    """Heartbeats touch no column; anything that counts does."""
    world = World()
    world.node()
    world.cache.freeze(0)
    world.node(resourceVersion="2", annotations={"beat": "2"})
    assert not world.cache.nodes.dirty.any()
    changes: list[dict[str, Any]] = [
        {"offer": {CPU: "5"}},
        {"spec": {"unschedulable": True}},
        {"spec": {"taints": [{"key": "gpu", "effect": "NoSchedule"}]}},
        {"labels": {SPINE: "s1", "zone": "a"}},
        {"creationTimestamp": "2026-11-22T11:00:00Z"},
    ]
    for change in changes:
        world.node(**change)
        assert world.cache.nodes.dirty.any()
        world.node()
        world.cache.freeze(0)


def test_a_node_made_again_under_its_name_outlives_the_old_one() -> None:
    """A relist may show the new node before it finds the old one missing."""
    world = World()
    world.node(uid="old")
    world.node(uid="new")
    world.intake.gone(NODES, "old", None)
    assert list(world.free()) == ["n1"]
    world.intake.gone(NODES, "new", None)
    assert world.free() == {}
    world.node(uid="third")
    assert list(world.free()) == ["n1"]


def test_owners_reach_the_roster() -> None:
    """Controllers and PodGroups, until they are gone; PriorityClasses have done their work."""
    world = World()
    world.put(STATEFUL_SETS, {"replicas": 3}, uid="s")
    world.put(JOBS, {"parallelism": 2}, uid="j")
    world.put(REPLICA_SETS, {"replicas": 1}, uid="r")
    world.put(X_POD_GROUPS, {"minMember": 4}, uid="g")
    world.put(PRIORITY_CLASSES, uid="p")
    kinds = {uid: getattr(o, "kind", "PodGroup") for uid, o in world.roll.owners.items()}
    assert kinds == {"s": "StatefulSet", "j": "Job", "r": "ReplicaSet", "g": "PodGroup"}
    group = world.roll.owners["g"]
    assert isinstance(group, Group)
    assert group.min_member == 4
    for resource, uid in ((STATEFUL_SETS, "s"), (JOBS, "j"), (REPLICA_SETS, "r")):
        world.intake.gone(resource, uid, None)
    world.intake.gone(X_POD_GROUPS, "g", None)
    world.intake.gone(PRIORITY_CLASSES, "p", None)
    assert world.roll.owners == {}


def test_a_bound_pod_that_cannot_be_read_fills_its_node_with_what_it_names() -> None:
    """Nobody else is given what it may have taken; told once, and over when it is gone."""
    world = World()
    world.node()
    for _ in range(2):
        seen = world.pod(nodeName="n1", asks={GPU: "10E"})
    assert seen.unsupported == (UNREADABLE,)
    assert world.free()["n1"] == {CPU: 4000, MEMORY: 1024, GPU: 8 - MOST}
    assert [(kind, name) for kind, name, _ in world.told] == [("Pod", "ns/u")]
    world.intake.gone(PODS, "u", None)
    assert world.free()["n1"][GPU] == 8


def test_a_node_that_cannot_be_read_offers_nothing_until_it_can() -> None:
    """It keeps its place in the network and its pods; it is cordoned and empty."""
    world = World()
    world.node()
    world.pod(nodeName="n1")
    for beat in range(2):
        world.node(offer={GPU: "-1"}, annotations={"beat": str(beat)})
    snap = world.cache.freeze(0)
    assert (snap.flags.tolist(), snap.slots.tolist()) == ([CORDONED], [-1])
    assert world.free()["n1"] == {CPU: -1000, MEMORY: 0, GPU: 0}
    assert snap.topology.domains == 2
    assert [(kind, name) for kind, name, _ in world.told] == [("Node", "n1")]
    assert "nvidia.com/gpu: -1 is negative" in world.told[0][2]
    world.node()
    assert world.free()["n1"] == {CPU: 3000, MEMORY: 1024, GPU: 8}
    assert world.cache.freeze(0).flags.tolist() == [0]


def test_absurd_amounts_of_a_node_are_less_than_absurd_amounts_of_a_pod() -> None:
    """A pod that asks for more than any node has fits on none."""
    world = World()
    world.node(offer={CPU: "9P", "pods": "9E"})
    wants = world.cache.shapes[world.pod(asks={CPU: "8P"}).shape].requests[0]
    snap = world.cache.freeze(0)
    assert snap.free[0].tolist() == [MOST - 1]
    assert wants == MOST
    assert snap.slots.tolist() == [10**6]
    assert world.told == []


def test_a_controller_that_cannot_be_read_changes_nothing() -> None:
    """What was known of it stays; it is told once for each thing that is wrong."""
    world = World()
    world.put(STATEFUL_SETS, {"replicas": 3}, uid="s")
    for replicas in (-1, -1, 10**9):
        world.put(STATEFUL_SETS, {"replicas": replicas}, uid="s")
    known = world.roll.owners["s"]
    assert isinstance(known, Controller)
    assert known.wanted == 3
    assert [name for _, name, _ in world.told] == ["ns/x", "ns/x"]


def test_two_controllers_are_a_rule_that_nobody_honours() -> None:
    """Such a pod waits, whichever of them is meant."""
    world = World()
    owners = [{"kind": "StatefulSet", "name": n, "uid": n, "controller": True} for n in ("a", "b")]
    seen = world.pod(meta={"ownerReferences": owners})
    assert seen.unsupported == (TWO_CONTROLLERS,)
    assert seen.owner == Owner("StatefulSet", "a", "a")
    assert world.told == [("Pod", "ns/u", "two ownerReferences have controller: true")]


def test_objects_without_name_or_uid_are_told_and_left_out() -> None:
    """They come from no API server, and nothing can be said of them."""
    world = World()
    world.put(PODS, uid="")
    world.put(NODES, uid="")
    world.put(NODES, name="")
    world.put(STATEFUL_SETS, name="")
    assert world.roll.pods == {}
    assert world.roll.owners == {}
    assert world.free() == {}
    assert [kind for kind, _, _ in world.told] == ["Pod", "Node", "Node", "StatefulSet"]


def test_what_could_not_be_decoded_is_told_once_per_text() -> None:
    """The reflector skips it; the list goes on."""
    world = World()
    for what in ("not JSON", "not JSON", "no metadata"):
        world.intake.bad(PODS, what)
    world.intake.synced(PODS)
    assert world.told == [("Pod", "", "not JSON"), ("Pod", "", "no metadata")]


def test_numbers_beyond_64_bits_are_told_and_stop_nobody() -> None:
    """Amounts as JSON numbers, which no API server writes."""
    world = World()
    world.put(PODS, {"containers": [{"resources": {"requests": {CPU: 2**70}}}]})
    world.node("n2", offer={CPU: 2**70})
    assert [(kind, name) for kind, name, _ in world.told] == [("Pod", "ns/x"), ("Node", "n2")]
    assert not world.roll.pods
    world.node()
    assert world.free()["n1"][CPU] == 4000


def test_a_priority_that_no_column_holds_is_cut_off() -> None:
    """Priorities are int32; the API server admits no others."""
    assert World().pod(priority=2**40).priority == 2**31 - 1
    assert World().pod(priority=-(2**40)).priority == 1 - 2**31
