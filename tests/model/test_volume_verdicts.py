"""Each volume rule says what kube-scheduler 1.36 says, text by text."""

from __future__ import annotations

from typing import Any

import pytest

from scheduler.model.volumes.values import PodVolumes, Stored
from tests.model.volume_world import claim, csi_node, near, pod, told, value, volume, waiting_class

NODES = {"a": {"zone": "z1"}, "b": {"zone": "z2"}}
UU, U, E = "UnschedulableAndUnresolvable", "Unschedulable", "Error"
ONE_POD = (
    "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already "
    "in-use by another pod"
)
OUT_OF_REACH = "node(s) didn't match PersistentVolume's node affinity"
NO_DISK = "node(s) had no available disk"
TOO_MANY = "node(s) exceed max volume count"
NO_ZONE = "node(s) had no available volume zone"

OWNED = {"ownerReferences": [{"kind": "Pod", "name": "p", "uid": "u-p", "controller": True}]}
SCRATCH: dict[str, Any] = {"ephemeral": {}}
DELETED = {"deletionTimestamp": "2026-01-01T00:00:00Z"}


@pytest.mark.parametrize(
    ("asked", "values", "plugin", "text"),
    [
        (pod("x"), [], "VolumeRestrictions", 'persistentvolumeclaim "x" not found'),
        (
            pod(SCRATCH),
            [],
            "VolumeBinding",
            'waiting for ephemeral volume controller to create the persistentvolumeclaim "p-v0"',
        ),
        (
            pod("x"),
            [claim("x", "gone", status={"phase": "Lost"})],
            "VolumeBinding",
            'persistentvolumeclaim "x" bound to non-existent persistentvolume "gone"',
        ),
        (
            pod("x"),
            [claim("x", "pv", meta=DELETED), volume("pv")],
            "VolumeBinding",
            'persistentvolumeclaim "x" is being deleted',
        ),
        (
            pod(SCRATCH),
            [claim("p-v0", "pv"), volume("pv")],
            "VolumeBinding",
            "PVC ns/p-v0 was not created for pod ns/p (pod is not owner)",
        ),
        (
            pod("x"),
            [claim("x")],
            "VolumeBinding",
            "pod has unbound immediate PersistentVolumeClaims",
        ),
        (
            pod("x"),
            [claim("x", "pv", bound=False, storageClassName="wait"), waiting_class()],
            "VolumeBinding",
            "pod has unbound immediate PersistentVolumeClaims",
        ),
        (
            pod("x"),
            [claim("x", storageClassName="gone")],
            "VolumeBinding",
            "pod has unbound immediate PersistentVolumeClaims",
        ),
        (
            pod("x"),
            [claim("x", "gone")],
            "VolumeZone",
            'persistentvolume "gone" not found',
        ),
    ],
)
def test_prefilter_refuses_the_pod(
    asked: PodVolumes, values: list[Stored], plugin: str, text: str
) -> None:
    """What is wrong with a claim is said once, and no node is asked."""
    assert told(asked, values, NODES) == {"*": [(plugin, UU, (text,))]}


def test_a_class_without_binding_mode_ends_the_cycle() -> None:
    """It is an error of the plugin, worded by the framework."""
    values = [claim("x", storageClassName="odd"), value("StorageClass", "odd", provisioner="p")]
    text = (
        'running PreFilter plugin "VolumeBinding": VolumeBindingMode not set for StorageClass "odd"'
    )
    assert told(pod("x"), values, NODES) == {"*": [("VolumeBinding", E, (text,))]}


DISKS: dict[str, tuple[dict[str, Any], dict[str, Any], bool]] = {
    "gce": (
        {"gcePersistentDisk": {"pdName": "d"}},
        {"gcePersistentDisk": {"pdName": "d", "readOnly": True}},
        True,
    ),
    "gce, both read": (
        {"gcePersistentDisk": {"pdName": "d", "readOnly": True}},
        {"gcePersistentDisk": {"pdName": "d", "readOnly": True}},
        False,
    ),
    "gce, another": (
        {"gcePersistentDisk": {"pdName": "d"}},
        {"gcePersistentDisk": {"pdName": "e"}},
        False,
    ),
    "ebs, both read": (
        {"awsElasticBlockStore": {"volumeID": "v", "readOnly": True}},
        {"awsElasticBlockStore": {"volumeID": "v", "readOnly": True}},
        True,
    ),
    "iscsi": (
        {"iscsi": {"iqn": "i:1", "lun": 0, "readOnly": True}},
        {"iscsi": {"iqn": "i:1", "lun": 5}},
        True,
    ),
    "rbd, one monitor shared": (
        {"rbd": {"monitors": ["m1", "m2"], "pool": "p", "image": "i"}},
        {"rbd": {"monitors": ["m2", "m3"], "pool": "p", "image": "i", "readOnly": True}},
        True,
    ),
    "rbd, no monitor shared": (
        {"rbd": {"monitors": ["m1"], "pool": "p", "image": "i"}},
        {"rbd": {"monitors": ["m2"], "pool": "p", "image": "i"}},
        False,
    ),
    "rbd, another pool": (
        {"rbd": {"monitors": ["m1"], "pool": "p", "image": "i"}},
        {"rbd": {"monitors": ["m1"], "pool": "q", "image": "i"}},
        False,
    ),
    "rbd, a slash moved": (
        {"rbd": {"monitors": ["m1"], "pool": "p/i", "image": "x"}},
        {"rbd": {"monitors": ["m1"], "pool": "p", "image": "i/x"}},
        False,
    ),
}


@pytest.mark.parametrize("name", DISKS)
def test_an_inline_disk_is_given_once(name: str) -> None:
    """A disk clashes with itself on one node unless both pods only read it; EBS always."""
    mine, held, clashes = DISKS[name]
    for asked, there in ((mine, held), (held, mine)):
        answer = told(pod(asked), [], NODES, {"b": [pod(there, name="q", uid="u-q")]})
        assert answer == ({"b": [("VolumeRestrictions", U, (NO_DISK,))]} if clashes else {})


def test_a_claim_for_one_pod_in_use_refuses_every_node() -> None:
    """Wherever its user is; a claim of the same name in another namespace is another claim."""
    values = [claim("x", "pv", accessModes=["ReadWriteOncePod"]), volume("pv")]
    other = pod("x", name="q", uid="u-q")
    line = ("VolumeRestrictions", U, (ONE_POD,))
    assert told(pod("x"), values, NODES, {"b": [other]}) == {"a": [line], "b": [line]}
    stranger = PodVolumes("elsewhere", "q", "u-q", other.mounts)
    assert told(pod("x"), values, NODES, {"b": [stranger]}) == {}


def test_a_nominated_user_of_a_claim_for_one_pod_is_seen_only_by_a_plugin_that_runs() -> None:
    """VolumeRestrictions skips a pod without disks whose claim nobody uses, nominated or not."""
    values = [claim("x", "pv", accessModes=["ReadWriteOncePod"]), volume("pv")]
    other = pod("x", name="q", uid="u-q")
    assert told(pod("x"), values, NODES, added={"b": [other]}) == {}
    disk = {"gcePersistentDisk": {"pdName": "d"}}
    answer = told(pod("x", disk), values, NODES, added={"b": [other]})
    assert answer == {"b": [("VolumeRestrictions", U, (ONE_POD,))]}


def csi(name: str, handle: str, driver: str = "d") -> Stored:
    """A volume of a CSI driver."""
    return volume(name, csi={"driver": driver, "volumeHandle": handle})


def test_a_node_attaches_no_more_volumes_than_its_limit() -> None:
    """New ones count, shared ones do not; other drivers, and nodes without limit, are free."""
    values = [
        claim("x", "pv-x"), csi("pv-x", "h-x"), claim("y", "pv-y"), csi("pv-y", "h-y"),
        claim("z", "pv-z"), csi("pv-z", "h-z", "other"),
        csi_node("a", {"d": 1}), csi_node("b", {"d": None, "other": 0}),
    ]  # fmt: skip
    full = {"a": [pod("y", name="q", uid="u-q")]}
    line = ("NodeVolumeLimits", U, (TOO_MANY,))
    assert told(pod("x"), values, NODES, full) == {"a": [line]}
    assert told(pod("y"), values, NODES, full) == {}
    assert told(pod("x", "y"), values, NODES) == {"a": [line]}
    assert told(pod("x", "x"), values, NODES) == {}
    assert told(pod("z"), values, NODES) == {"b": [line]}


def test_an_attachment_that_no_pod_uses_counts_twice() -> None:
    """The pod's own volume, still attached, is used and new at once: kube-scheduler's trap."""
    values = [
        claim("x", "pv-x"), csi("pv-x", "h-x"), csi_node("a", {"d": 1}),
        value(
            "VolumeAttachment", "va",
            spec={"attacher": "d", "nodeName": "a", "source": {"persistentVolumeName": "pv-x"}},
        ),
    ]  # fmt: skip
    assert told(pod("x"), values, NODES) == {"a": [("NodeVolumeLimits", U, (TOO_MANY,))]}
    user = pod("x", name="q", uid="u-q")
    assert told(pod("x"), values, NODES, {"a": [user]}) == {}


@pytest.mark.parametrize(
    ("source", "driver"),
    [
        ({"awsElasticBlockStore": {"volumeID": "aws://z/vol-1"}}, "ebs.csi.aws.com"),
        ({"gcePersistentDisk": {"pdName": "d"}}, "pd.csi.storage.gke.io"),
        ({"azureDisk": {"diskURI": "/u", "kind": "Managed"}}, "disk.csi.azure.com"),
        ({"cinder": {"volumeID": "c"}}, "cinder.csi.openstack.org"),
        ({"portworxVolume": {"volumeID": "w"}}, "pxd.portworx.com"),
    ],
)
def test_in_tree_volumes_count_as_their_csi_driver(source: dict[str, Any], driver: str) -> None:
    """Inline, by a claim, or by the class of a claim that waits: the driver's limit holds."""
    line = {"a": [("NodeVolumeLimits", U, (TOO_MANY,))]}
    node = csi_node("a", {driver: 0})
    assert told(pod(source), [node], NODES) == line
    assert told(pod("x"), [node, claim("x", "pv"), volume("pv", **source)], NODES) == line


def test_a_claim_without_volume_counts_with_its_class() -> None:
    """One private volume of the provisioner; Azure File and vSphere are never counted."""
    for provisioner, driver, counted in (
        ("d", "d", True),
        ("kubernetes.io/aws-ebs", "ebs.csi.aws.com", True),
        ("kubernetes.io/azure-file", "kubernetes.io/azure-file", False),
    ):
        values = [
            claim("x", storageClassName="wait"),
            waiting_class(provisioner=provisioner),
            csi_node("a", {driver: 0}),
        ]
        answer = told(pod("x"), values, NODES)
        assert answer == ({"a": [("NodeVolumeLimits", U, (TOO_MANY,))]} if counted else {})


def test_what_cannot_be_counted_is_an_error() -> None:
    """An inline disk that CSI does not take, and a stranger's claim under a pod's own name."""
    blob = {"azureDisk": {"diskURI": "u", "kind": "Dedicated"}}
    text = (
        'running "NodeVolumeLimits" filter plugin: converting volume(v0) from inline to csi: '
        "kind(Dedicated) is not supported in csi migration"
    )
    values = [claim("x", "pv"), csi("pv", "h"), csi_node("b", {"d": 5}), claim("q-v0", "pv")]
    line = {"b": [("NodeVolumeLimits", E, (text,))]}
    assert told(pod(blob), values, NODES) == line
    assert told(pod("x"), values, NODES, {"b": [pod(blob, name="q", uid="u-q")]}) == line
    strange = {"b": [pod(SCRATCH, name="q", uid="u-q")]}
    text = (
        'running "NodeVolumeLimits" filter plugin: PVC ns/q-v0 was not created for pod ns/q '
        "(pod is not owner)"
    )
    assert told(pod("x"), values, NODES, strange) == {"b": [("NodeVolumeLimits", E, (text,))]}


def test_a_bound_volume_must_reach_the_node() -> None:
    """Node affinity of the volume, by labels alone; an ephemeral claim's volume must exist."""
    values = [claim("x", "pv"), volume("pv", nodeAffinity=near("zone", "z2"))]
    assert told(pod("x"), values, NODES) == {"a": [("VolumeBinding", UU, (OUT_OF_REACH,))]}
    lost = "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)"
    values = [claim("p-v0", "gone", meta=OWNED)]
    line = [("VolumeBinding", UU, (lost,))]
    assert told(pod(SCRATCH), values, NODES) == {"a": line, "b": line}


@pytest.mark.parametrize(
    ("terms", "refused"),
    [
        ([], ["a", "b"]),
        ([{}], ["a", "b"]),
        ([{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["b"]}]}], []),
        ([{"matchFields": [{"key": "metadata.name", "operator": "Exists"}]}], ["a", "b"]),
    ],
)
def test_a_volumes_affinity_knows_no_name(terms: list[Any], refused: list[str]) -> None:
    """It is matched against a node without a name: fields that parse are not looked at."""
    affinity = {"required": {"nodeSelectorTerms": terms}}
    answer = told(pod("x"), [claim("x", "pv"), volume("pv", nodeAffinity=affinity)], NODES)
    assert list(answer) == refused


def test_an_in_tree_volume_is_translated_where_its_plugin_has_moved() -> None:
    """The zone label of the volume becomes the driver's topology; what cannot be is an error."""
    zone = {"labels": {"topology.kubernetes.io/zone": "z1"}}
    nodes = {
        "a": {"topology.ebs.csi.aws.com/zone": "z1"},
        "b": {"topology.ebs.csi.aws.com/zone": "z2"},
    }
    moved = [csi_node(name, {}, "kubernetes.io/aws-ebs") for name in nodes]
    values = [claim("x", "pv"), volume("pv", meta=zone, awsElasticBlockStore={"volumeID": "vol-1"})]
    assert told(pod("x"), values, nodes) == {}
    line = ("VolumeBinding", UU, (OUT_OF_REACH,))
    assert told(pod("x"), [*values, *moved], nodes) == {"b": [line]}
    values = [claim("x", "pv"), volume("pv", awsElasticBlockStore={"volumeID": "aws://z/disk"})]
    text = (
        'running "VolumeBinding" filter plugin: could not translate pv: failed to translate '
        "Kubernetes ID to EBS Volume ID Invalid format for AWS volume (aws://z/disk)"
    )
    assert told(pod("x"), [*values, moved[1]], nodes) == {"b": [("VolumeBinding", E, (text,))]}


def test_zone_labels_of_a_volume_bind_nodes_that_have_any() -> None:
    """Several zones in one label; a beta label may be met by the stable one, not the reverse."""
    zone, beta = "topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone"
    nodes = {
        "a": {zone: "z1"}, "b": {zone: "z3"}, "c": {}, "d": {beta: "z1"},
        "e": {"topology.kubernetes.io/region": "r"},
    }  # fmt: skip
    line = [("VolumeZone", UU, (NO_ZONE,))]

    def asked(labels: dict[str, str]) -> list[str]:
        values = [claim("x", "pv"), volume("pv", meta={"labels": labels})]
        answer = told(pod("x"), values, nodes)
        assert all(each == line for each in answer.values())
        return sorted(answer)

    assert asked({zone: "z1__z2"}) == ["b", "d", "e"]
    assert asked({beta: "z1__z2"}) == ["b", "e"]
    assert asked({zone: "z1__"}) == []
    assert asked({zone: ""}) == []
