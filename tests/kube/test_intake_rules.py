"""What rules between pods read of the cluster, on its way from the API server into the cache."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from scheduler.kube.pod_memo import PodMemo
from scheduler.kube.resources import ALL, NAMESPACES, NODES
from scheduler.model.audience import MEMBER_LABELS, Audience, Scope, Who, mark_of
from scheduler.model.constraints import Requirement
from scheduler.model.objects import PodObject
from scheduler.model.resources import CPU, ResourceOrder
from scheduler.state.cache import Cache
from scheduler.state.entry import Entry
from tests.kube.test_intake import World

HOST = "kubernetes.io/hostname"
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


def apart_from_team(team: str) -> dict[str, Any]:
    """Affinity of a pod that keeps away from all pods in namespaces of a team."""
    term = {
        "topologyKey": HOST,
        "labelSelector": {},
        "namespaceSelector": {"matchLabels": {"team": team}},
    }
    return {"podAntiAffinity": {REQUIRED: [term]}}


def mark_of_team(team: str) -> str:
    asked = (Requirement("team", "In", (team,)),)
    return mark_of(Audience((Scope((), (), asked),)))


def wait(world: World, kind: int) -> None:
    world.cache.enqueue(Entry("g", "g", 1, kind, 1))


def rows(world: World, mark: str) -> list[str]:
    """Nodes with pods of a mark."""
    snap = world.cache.freeze(0)
    return [snap.names[row] for row in snap.marks[mark].rows.tolist()]


def test_labels_of_namespaces_reach_the_rules() -> None:
    """When they come, change and go."""
    world = World()
    world.node()
    world.pod("u", nodeName="n1")
    wait(world, world.pod("w", affinity=apart_from_team("t")).shape)
    mark = mark_of_team("t")
    assert rows(world, mark) == []
    world.put(NAMESPACES, name="ns", uid="1", labels={"team": "t"})
    assert rows(world, mark) == ["n1"]
    world.put(NAMESPACES, name="ns", uid="1", labels={})
    assert rows(world, mark) == []
    world.put(NAMESPACES, name="ns", uid="1", labels={"team": "t"})
    world.intake.gone(NAMESPACES, "1", None)
    assert rows(world, mark) == []
    assert not world.told


def test_a_namespace_that_was_made_anew_outlives_the_end_of_the_old_one() -> None:
    """The deletion that comes late names another UID."""
    world = World()
    world.node()
    world.pod("u", nodeName="n1")
    wait(world, world.pod("w", affinity=apart_from_team("t")).shape)
    world.put(NAMESPACES, name="ns", uid="1", labels={"team": "x"})
    world.put(NAMESPACES, name="ns", uid="2", labels={"team": "t"})
    world.intake.gone(NAMESPACES, "1", None)
    world.intake.gone(NAMESPACES, "nobody", None)
    assert rows(world, mark_of_team("t")) == ["n1"]


def test_namespaces_are_watched_before_pods() -> None:
    """So that the first list of pods is counted once, by the labels that hold."""
    kinds = [resource.kind for resource in ALL]
    assert kinds.index("Namespace") < kinds.index("Pod")
    assert NAMESPACES.path == "/api/v1/namespaces"


def test_labels_and_deletion_make_the_kind() -> None:
    """Namespace, labels and whether it is being deleted; not the order, nor the name."""
    world = World()
    seen = {
        name: world.pod(name, meta=meta, nodeName="n1").shape
        for name, meta in {
            "plain": {},
            "again": {},
            "labelled": {"labels": {"a": "1", "b": "2"}},
            "elsewhere": {"namespace": "x"},
            "leaving": {"deletionTimestamp": "2026-11-22T10:00:00Z"},
        }.items()
    }
    assert seen["plain"] == seen["again"]
    assert len(set(seen.values())) == 4
    who = world.cache.shapes.who
    assert who(seen["labelled"]) == Who("ns", (("a", "1"), ("b", "2")))
    assert who(seen["leaving"]) == Who("ns", (), leaving=True)
    plans = {world.cache.plan_shape(kind) for kind in seen.values()}
    assert len(plans) == 1


def member(i: int, **spec: Any) -> PodObject:
    """A pod of a StatefulSet."""
    labels = {
        "app": "a",
        "apps.kubernetes.io/pod-index": str(i),
        "statefulset.kubernetes.io/pod-name": f"a-{i}",
    }
    found = {"metadata": {"name": f"a-{i}", "namespace": "ns", "labels": labels}, "spec": spec}
    return msgspec.convert(found, PodObject)


@pytest.mark.parametrize("rules", [{}, {"affinity": apart_from_team("t")}])
def test_members_of_a_workload_are_of_one_kind(rules: dict[str, Any]) -> None:
    """Labels that number them are left out where the cache says so; else all labels count."""
    for hidden, kinds in ((MEMBER_LABELS, 1), (frozenset[str](), 50)):
        cache = Cache(ResourceOrder.of(()), hidden=hidden)
        memo = PodMemo(cache)
        seen = {memo.read(member(i, **rules))[0].shape for i in range(50)}
        assert len(seen) == kinds
    assert cache.shapes.who(min(seen)) is not None


def test_a_kind_is_remembered_however_little_is_remembered() -> None:
    """What was forgotten is worked out again, and is the same kind."""
    cache = Cache(ResourceOrder.of(()))
    memo = PodMemo(cache, kept=1)
    seen = [memo.read(member(i % 5))[0].shape for i in range(20)]
    assert seen == seen[:5] * 4
    assert len(memo) == 1


def test_a_sweep_spares_kinds_that_are_remembered() -> None:
    """What is said of a pod stays true, whether one of its kind is there or not."""
    cache = Cache(ResourceOrder.of(()))
    memo = PodMemo(cache)
    seen = memo.read(member(0))[0].shape
    before = cache.shapes[seen], cache.shapes.who(seen)
    cache.sweep_kinds()
    for i in range(1, 9):
        cache.shape(before[0], Who(f"other-{i}", ()))
    assert memo.read(member(0))[0].shape == seen
    assert (cache.shapes[seen], cache.shapes.who(seen)) == before


def test_features_that_a_node_declares_reach_the_snapshot() -> None:
    """Also when nothing else of it changes."""
    world = World()
    for features in ([], ["b", "a"]):
        status = {"allocatable": {CPU: "1", "pods": "9"}, "declaredFeatures": features}
        world.put(NODES, None, status, name="n1", uid="n1", namespace="")
        snap = world.cache.freeze(0)
        found = snap.features[int(snap.feature_set[0])] if snap.feature_set.size else ()
        assert found == tuple(sorted(features))


def test_room_promised_by_another_scheduler_is_taken() -> None:
    """A pod that waits for preemption to end keeps its node; ours are promised nothing."""
    world = World()
    nominated = {"nominatedNodeName": "n1"}
    assert world.pod("u", nominated).seat == "n1"
    assert world.pod("v", nominated, nodeName="n2").seat == "n2"
    assert world.pod("w", nominated, schedulerName="muster").seat == ""
    field = {"key": "metadata.name", "operator": "In", "values": ["n3"]}
    own = {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": [{"matchFields": [field]}]}}}
    assert world.pod("d", affinity=own).seat == "n3"


def test_nobody_relies_on_a_pod_that_another_scheduler_has_yet_to_place() -> None:
    """It takes room where it is promised, and is counted by no rule until it is there."""
    world = World()
    world.node()
    promised = world.pod("u", {"nominatedNodeName": "n1"})
    world.cache.upsert_pod("u", promised.seat, promised.shape)
    world.put(NAMESPACES, name="ns", uid="1", labels={"team": "t"})
    wait(world, world.pod("w", affinity=apart_from_team("t")).shape)
    mark = mark_of_team("t")
    assert rows(world, mark) == []
    there = world.pod("u", nodeName="n1")
    assert there.shape != promised.shape
    world.cache.upsert_pod("u", "n1", there.shape)
    assert rows(world, mark) == ["n1"]
