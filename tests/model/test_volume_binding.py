"""VolumeBinding finds and makes volumes for claims that wait as kube-scheduler 1.36 does."""

from __future__ import annotations

from typing import Any

from tests.model.volume_world import claim, near, pod, told, value, volume, waiting_class

NODES = {"a": {"zone": "z1"}, "b": {"zone": "z2"}}
UU = "UnschedulableAndUnresolvable"
NO_MATCH = "node(s) didn't find available persistent volumes to bind"
OUT_OF_REACH = "node(s) didn't match PersistentVolume's node affinity"
NO_SPACE = "node(s) did not have enough free storage"
DELETED = {"deletionTimestamp": "2026-01-01T00:00:00Z"}


def test_a_waiting_claim_takes_the_smallest_volume_that_will_do() -> None:
    """Class, size, mode, attributes, access modes, selector, phase and claimRef are looked at."""
    wait: dict[str, Any] = {"storageClassName": "wait"}
    asked = claim("x", size="2Gi", accessModes=["ReadWriteOnce"],
                  selector={"matchLabels": {"kind": "fast"}}, **wait)  # fmt: skip
    good: dict[str, Any] = {
        "size": "2Gi", "accessModes": ["ReadWriteOnce"], "meta": {"labels": {"kind": "fast"}},
        **wait,
    }  # fmt: skip
    reach = {"nodeAffinity": near("zone", "z1")}
    line = [("VolumeBinding", UU, (NO_MATCH,))]
    assert told(pod("x"), [waiting_class(), asked, volume("pv", **good, **reach)], NODES) == {
        "b": line
    }
    worse: dict[str, Any]
    for worse in (
        {"size": "1Gi"}, {"accessModes": []}, {"storageClassName": "other"}, {"meta": {}},
        {"volumeMode": "Block"}, {"volumeAttributesClassName": "gold"}, {"phase": "Bound"},
        {"claimRef": {"namespace": "ns", "name": "y"}}, {"meta": {**good["meta"], **DELETED}},
    ):  # fmt: skip
        values = [waiting_class(), asked, volume("pv", **{**good, **worse})]
        assert told(pod("x"), values, NODES) == {"a": line, "b": line}, worse


def test_a_volume_promised_to_the_claim_is_the_only_one() -> None:
    """It wins whatever its size, phase and labels; out of reach, nothing else will do."""
    wait: dict[str, Any] = {"storageClassName": "wait"}
    promised = volume("big", size="9Gi", phase="Released", nodeAffinity=near("zone", "z1"),
                      claimRef={"namespace": "ns", "name": "x"}, **wait)  # fmt: skip
    values = [waiting_class(), claim("x", **wait), promised, volume("small", **wait)]
    assert told(pod("x"), values, NODES) == {"b": [("VolumeBinding", UU, (NO_MATCH,))]}


def test_claims_choose_in_order_of_size_and_a_volume_is_given_once() -> None:
    """Two claims, one volume: one of them goes without, though each alone would have it."""
    wait: dict[str, Any] = {"storageClassName": "wait"}
    values = [waiting_class(), claim("x", size="2Gi", **wait), claim("y", **wait)]
    line = [("VolumeBinding", UU, (NO_MATCH,))]
    one = [*values, volume("pv", size="5Gi", **wait)]
    assert told(pod("x", "y"), one, NODES) == {"a": line, "b": line}
    assert told(pod("x"), one, NODES) == told(pod("y"), one, NODES) == {}
    two = [*one, volume("small", **wait)]
    assert told(pod("x", "y"), two, NODES) == {}


def test_a_claim_that_is_being_made_stays_with_its_node() -> None:
    """The annotation names the node; there the volume is made, found volumes do not matter."""
    notes = {"annotations": {"volume.kubernetes.io/selected-node": "b"}}
    values = [waiting_class(provisioner="d"), claim("x", storageClassName="wait", meta=notes)]
    assert told(pod("x"), values, NODES) == {"a": [("VolumeBinding", UU, (NO_MATCH,))]}


def test_a_new_volume_needs_a_place_and_room() -> None:
    """allowedTopologies, then a CSIStorageCapacity that is large enough for this claim alone."""
    terms = [{"matchLabelExpressions": [{"key": "zone", "values": ["z1"]}]}]
    asked = claim("x", size="4Gi", storageClassName="wait")
    makes = waiting_class(provisioner="d", allowedTopologies=terms)
    line = ("VolumeBinding", UU, (NO_MATCH,))
    assert told(pod("x"), [makes, asked], NODES) == {"b": [line]}
    values = [
        waiting_class(provisioner="d"), asked,
        value("CSIDriver", "d", spec={"storageCapacity": True}),
    ]  # fmt: skip
    full = ("VolumeBinding", UU, (NO_SPACE,))
    assert told(pod("x"), values, NODES) == {"a": [full], "b": [full]}
    room = value("CSIStorageCapacity", "c", "kube-system", storageClassName="wait",
                 nodeTopology={"matchLabels": {"zone": "z2"}}, capacity="4Gi")  # fmt: skip
    assert told(pod("x"), [*values, room], NODES) == {"a": [full]}
    small = value("CSIStorageCapacity", "c", "kube-system", storageClassName="wait",
                  nodeTopology={}, capacity="4Gi", maximumVolumeSize="3Gi")  # fmt: skip
    assert told(pod("x"), [*values, small], NODES) == {"a": [full], "b": [full]}


def test_several_reasons_come_together() -> None:
    """A bound claim out of reach and a waiting one without a volume are both told."""
    wait: dict[str, Any] = {"storageClassName": "wait"}
    values = [
        waiting_class(), claim("x", "pv"), volume("pv", nodeAffinity=near("zone", "z2")),
        claim("y", **wait),
    ]  # fmt: skip
    assert told(pod("x", "y"), values, NODES) == {
        "a": [("VolumeBinding", UU, (OUT_OF_REACH, NO_MATCH))],
        "b": [("VolumeBinding", UU, (NO_MATCH,))],
    }
