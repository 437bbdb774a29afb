"""Storage objects and pods with volumes, as the API server shows them, reach the book."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from scheduler.kube.resources import (
    CSI_NODES,
    PODS,
    VOLUME_CLAIMS,
    VOLUME_RESOURCES,
    VOLUMES,
    Resource,
)
from scheduler.kube.volume_intake import UNREADABLE, Seat, VolumeIntake
from scheduler.model.objects import Metadata, PodObject
from scheduler.state.volume_reading import NOTHING, VolumeReading
from scheduler.state.volumes import VolumeBook

WAITS = Seat("", ours=True)
ELSEWHERE = Seat("", ours=False)


class World:
    """An intake of volumes between JSON and an empty book."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, str]] = []
        self.intake = VolumeIntake(VolumeBook(), self._report)

    def _report(self, kind: str, meta: Metadata, what: str) -> None:
        self.told.append((kind, meta.name, what))

    def put(self, resource: Resource, name: str, spec: Any = None, **meta: Any) -> None:
        """An object of this kind, as the watch shows it."""
        metadata = {"name": name, "uid": f"uid-{name}", **meta}
        if resource.namespaced:
            metadata["namespace"] = "ns"
        found = {"metadata": metadata, "spec": spec or {}}
        self.intake.put(resource, msgspec.json.decode(json.dumps(found), type=resource.type))

    def claim(self, name: str, volume: str, size: str = "1Gi") -> None:
        """A claim that is bound to `volume`."""
        spec = {"volumeName": volume, "resources": {"requests": {"storage": size}}}
        notes = {"pv.kubernetes.io/bind-completed": "yes"}
        self.put(VOLUME_CLAIMS, name, spec, annotations=notes)

    def volume(self, name: str) -> None:
        """A volume of the driver `d`."""
        spec = {"csi": {"driver": "d", "volumeHandle": name}, "capacity": {"storage": "1Gi"}}
        self.put(VOLUMES, name, spec)

    def limit(self, node: str, count: int) -> None:
        """A node attaches so many volumes of `d`."""
        drivers = [{"name": "d", "allocatable": {"count": count}}]
        self.put(CSI_NODES, node, {"drivers": drivers})


def pod(*volumes: Any, uid: str = "u") -> PodObject:
    """A pod with these volumes; a plain text is the name of a claim."""
    listed = [
        {
            "name": f"v{i}",
            **(v if isinstance(v, dict) else {"persistentVolumeClaim": {"claimName": v}}),
        }
        for i, v in enumerate(volumes)
    ]
    meta = {"name": uid, "namespace": "ns", "uid": uid}
    return msgspec.convert({"metadata": meta, "spec": {"volumes": listed}}, PodObject)


def test_each_kind_that_is_watched_is_taken() -> None:
    """And no other: pods have their own way in."""
    assert all(VolumeIntake.takes(resource) for resource in VOLUME_RESOURCES)
    assert not VolumeIntake.takes(PODS)


def test_a_pod_is_taken_in_again_when_its_claim_changes() -> None:
    """As it was last seen, once for each change, and only while it waits."""
    world = World()
    waiting = pod("x")
    blocked = world.intake.seen(waiting, WAITS)
    assert blocked.said.endswith('persistentvolumeclaim "x" not found')
    assert world.intake.again() == []
    world.volume("pv")
    world.claim("x", "pv")
    assert world.intake.again() == [waiting]
    assert world.intake.seen(waiting, WAITS) == NOTHING
    world.intake.gone(VOLUME_CLAIMS, "uid-x", None)
    assert world.intake.again() == [waiting]
    world.intake.left("u")
    world.claim("x", "pv")
    assert world.intake.again() == []


def test_what_a_pod_needs_stays_with_it_on_its_node() -> None:
    """So that its shape, and what the cache counts, do not change when it is bound."""
    world = World()
    world.volume("pv")
    world.claim("x", "pv")
    world.limit("n1", 3)
    waiting = pod("x")
    needs = world.intake.seen(waiting, WAITS).needs
    assert needs == (("volumes of d", 1),)
    assert world.intake.seen(waiting, Seat("n1", ours=False)) == VolumeReading(needs=needs)
    assert world.intake.book.rooms()["n1"] == {"volumes of d": 3}
    assert world.intake.seen(waiting, ELSEWHERE) == NOTHING
    assert "u" not in world.intake.book


def test_pods_without_volumes_that_matter_are_not_kept() -> None:
    """A projected token is no volume; neither is what pods of others name while they wait."""
    world = World()
    for seat in (WAITS, Seat("n1", ours=True)):
        assert world.intake.seen(pod({"projected": {}}), seat) == NOTHING
    assert world.intake.seen(pod("x"), ELSEWHERE) == NOTHING
    assert "u" not in world.intake.book


@pytest.mark.parametrize("seat", [WAITS, Seat("n1", ours=True)])
def test_volumes_that_cannot_be_read_keep_the_pod_waiting(seat: Seat) -> None:
    """It is said once for each time it is seen, and stops nobody else."""
    world = World()
    found = world.intake.seen(pod({"rbd": {"image": 1}}), seat)
    assert found == VolumeReading(unsupported=UNREADABLE)
    assert [(kind, name) for kind, name, _ in world.told] == [("Pod", "u")]


def test_an_object_that_cannot_be_read_leaves_what_was_known() -> None:
    """A size that is no quantity is reported with its claim."""
    world = World()
    world.volume("pv")
    world.claim("x", "pv")
    world.claim("x", "pv", size="much")
    assert [(kind, name) for kind, name, _ in world.told] == [("PersistentVolumeClaim", "x")]
    assert world.intake.seen(pod("x"), WAITS) == NOTHING
