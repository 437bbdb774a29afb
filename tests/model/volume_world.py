"""Clusters with volumes written as the API writes them, for tests of the volume rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from scheduler.model.objects import PodObject
from scheduler.model.snapshot import Snapshot
from scheduler.model.volume_objects import VOLUME_KINDS
from scheduler.model.volumes.decode import pod_volumes, stored
from scheduler.model.volumes.storage import Storage
from scheduler.model.volumes.users import Users
from scheduler.model.volumes.values import PodVolumes, Stored
from scheduler.model.volumes.verdicts import VolumeFilters
from tests.builders import snapshot

BOUND = {"pv.kubernetes.io/bind-completed": "yes"}
Json = dict[str, Any]


def value(
    kind: str, name: str, namespace: str = "", meta: Json | None = None, **rest: Any
) -> Stored:
    """One object of `kind`; `rest` are its fields beside metadata."""
    obj = {"metadata": {"name": name, "namespace": namespace, **(meta or {})}, **rest}
    return stored(msgspec.convert(obj, VOLUME_KINDS[kind]))


def claim(name: str, volume: str = "", *, bound: bool | None = None, **spec: Any) -> Stored:
    """A PersistentVolumeClaim in `ns`, bound if it has a volume; `meta`, `status` as they are."""
    meta, status = spec.pop("meta", {}), spec.pop("status", {})
    notes = {**(BOUND if bound or (bound is None and volume) else {})}
    notes |= meta.pop("annotations", {})
    size = spec.pop("size", "1Gi")
    spec = {"volumeName": volume, "resources": {"requests": {"storage": size}}, **spec}
    return value(
        "PersistentVolumeClaim", name, "ns", {"annotations": notes, **meta},
        spec=spec, status=status,
    )  # fmt: skip


def volume(name: str, **spec: Any) -> Stored:
    """A PersistentVolume of 1Gi with a CSI source that nobody limits, unless `spec` says more."""
    meta, phase = spec.pop("meta", {}), spec.pop("phase", "Available")
    spec = {"capacity": {"storage": spec.pop("size", "1Gi")}, **spec}
    return value("PersistentVolume", name, "", meta, spec=spec, status={"phase": phase})


def waiting_class(name: str = "wait", **rest: Any) -> Stored:
    """A StorageClass that waits for the first consumer and makes nothing."""
    fields = {
        "provisioner": "kubernetes.io/no-provisioner",
        "volumeBindingMode": "WaitForFirstConsumer",
        **rest,
    }
    return value("StorageClass", name, **fields)


def csi_node(name: str, limits: Mapping[str, int | None], migrated: str = "") -> Stored:
    """A CSINode with drivers and how many volumes each may attach (None = no limit)."""
    drivers = [
        {"name": driver, "allocatable": None if count is None else {"count": count}}
        for driver, count in limits.items()
    ]
    notes = {"storage.alpha.kubernetes.io/migrated-plugins": migrated} if migrated else {}
    return value("CSINode", name, "", {"annotations": notes}, spec={"drivers": drivers})


def near(key: str, *values: str) -> Json:
    """spec.nodeAffinity of a volume."""
    term = {"matchExpressions": [{"key": key, "operator": "In", "values": list(values)}]}
    return {"required": {"nodeSelectorTerms": [term]}}


def pod(*volumes: Json | str, name: str = "p", uid: str = "u-p") -> PodVolumes:
    """A pod in `ns`; a plain text is the name of a claim."""
    listed = [
        {
            "name": f"v{i}",
            **({"persistentVolumeClaim": {"claimName": v}} if isinstance(v, str) else v),
        }
        for i, v in enumerate(volumes)
    ]
    found = pod_volumes(
        msgspec.convert(
            {
                "metadata": {"name": name, "namespace": "ns", "uid": uid},
                "spec": {"volumes": listed},
            },
            PodObject,
        )
    )
    assert found is not None
    return found


def storage_of(values: Sequence[Stored]) -> Storage:
    """All of them."""
    storage = Storage()
    for each in values:
        storage.put(each)
    return storage


def cluster(nodes: Mapping[str, Mapping[str, str]]) -> Snapshot:
    """Nodes by name, with labels."""
    return snapshot(": " + " ".join(nodes), labels=nodes)


def told(
    asked: PodVolumes,
    values: Sequence[Stored],
    nodes: Mapping[str, Mapping[str, str]],
    users: Mapping[str, Sequence[PodVolumes]] | None = None,
    added: Mapping[str, Sequence[PodVolumes]] | None = None,
) -> dict[str, list[tuple[str, str, tuple[str, ...]]]]:
    """Node -> (plugin, code, reasons) of each plugin that refuses; `*` = a PreFilter."""
    storage, snap = storage_of(values), cluster(nodes)
    row = {name: i for i, name in enumerate(snap.names)}
    on = [(row[node], each) for node, there in (users or {}).items() for each in there]
    more = [(row[node], each) for node, there in (added or {}).items() for each in there]
    answer = VolumeFilters(storage, Users(snap.names, on, storage, added=more), snap).verdicts(
        asked
    )
    if answer.refused is not None:
        refused = answer.refused
        return {"*": [(refused.plugin, refused.code.value, (refused.reason,))]}
    found: dict[str, list[tuple[str, str, tuple[str, ...]]]] = {}
    for name, at in row.items():
        for verdict in answer.verdicts:
            outcome = verdict.outcomes[verdict.codes[at]]
            if outcome is not None:
                line = (verdict.plugin, outcome.code.value, outcome.reasons)
                found.setdefault(name, []).append(line)
    return found
