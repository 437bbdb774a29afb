"""Verdicts of kube-scheduler that are known from its source, asked of the oracle.

A wrong one here means that the oracle is built or filled wrongly, whatever it then says of others.
`make oracle` builds the program and runs these.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from e2e.binaries import find_oracle
from e2e.oracle import run_oracle

ORACLE = find_oracle()
pytestmark = pytest.mark.skipif(
    ORACLE is None, reason="no oracle of these sources in the cache; `make oracle` builds it"
)

Json = dict[str, Any]
U = "Unschedulable"
UU = "UnschedulableAndUnresolvable"
ZONE = "topology.kubernetes.io/zone"


def node(name: str, *, spec: Json | None = None, status: Json | None = None, **labels: str) -> Json:
    """A node with 8 cpu and 10 pods; `zone=` is its zone, other labels are as they are called."""
    zone = {ZONE: labels.pop("zone")} if "zone" in labels else {}
    return {
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, **zone, **labels}},
        "spec": spec or {},
        "status": {"allocatable": {"cpu": "8", "pods": "10"}, **(status or {})},
    }


def pod(
    name: str,
    *,
    labels: Json | None = None,
    status: Json | None = None,
    cpu: str | None = None,
    deleted: bool = False,
    **spec: Any,
) -> Json:
    """A pod of the namespace default with one container."""
    metadata: Json = {"name": name, "namespace": "default", "uid": name, "labels": labels or {}}
    if deleted:
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    return {
        "metadata": metadata,
        "spec": {"containers": [container(cpu)], **spec},
        "status": status or {},
    }


def container(cpu: str | None = None, **rest: Any) -> Json:
    """A container that asks for cpu, or for nothing."""
    return {"name": "c", "resources": {"requests": {"cpu": cpu} if cpu else {}}, **rest}


def case(nodes: list[Json], asking: Json, pods: list[Json] | None = None, *objects: Json) -> Json:
    """One line for the oracle."""
    return {"id": 1, "nodes": nodes, "pods": pods or [], "objects": objects, "pod": asking}


def no(plugin: str, code: str, *reasons: str) -> Json:
    """A verdict."""
    return {"plugin": plugin, "code": code, "reasons": list(reasons)}


def ask(*cases: Json) -> list[Json]:
    """The oracle's lines, decoded."""
    return [json.loads(line) for line in run_oracle(json.dumps(c).encode() for c in cases)]


def verdicts(asked: Json) -> Json:
    """The verdicts on one case, which must not be an error."""
    (answer,) = ask(asked)
    assert set(answer) == {"id", "verdicts"}, answer
    result: Json = answer["verdicts"]
    return result


def claim(name: str, *, annotations: Json | None = None, **spec: Any) -> Json:
    """A PersistentVolumeClaim of the namespace default."""
    metadata = {"name": name, "namespace": "default", "uid": name, "annotations": annotations or {}}
    request = {"resources": {"requests": {"storage": "10Gi"}}, "accessModes": ["ReadWriteOnce"]}
    return {"kind": "PersistentVolumeClaim", "metadata": metadata, "spec": {**request, **spec}}


def with_claims(name: str, *claims: str, **spec: Any) -> Json:
    """A pod that mounts claims."""
    volumes = [{"name": c, "persistentVolumeClaim": {"claimName": c}} for c in claims]
    return pod(name, volumes=volumes, **spec)


def anti_affinity(key: str, **labels: str) -> Json:
    """`affinity` that keeps away from pods with the labels."""
    term = {"topologyKey": key, "labelSelector": {"matchLabels": labels}}
    return {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}


def affinity(*terms: Json) -> Json:
    """`affinity` that requires every term on the zone."""
    required = [{"topologyKey": ZONE, **term} for term in terms]
    return {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}


def on_names(*names: str) -> Json:
    """`affinity` to nodes by matchFields, ANDed."""
    fields = [{"key": "metadata.name", "operator": "In", "values": [name]} for name in names]
    terms = {"nodeSelectorTerms": [{"matchFields": fields}]}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}


def test_the_first_plugin_speaks_alone() -> None:
    """A cordoned node with a taint is only cordoned; the taint's key is not in the text."""
    taint = {"key": "gpu", "value": "reserved", "effect": "NoSchedule"}
    nodes = [
        node("cordoned", spec={"unschedulable": True, "taints": [taint]}),
        node("tainted", spec={"taints": [taint]}),
        node("free"),
    ]
    assert verdicts(case(nodes, pod("p"))) == {
        "cordoned": no("NodeUnschedulable", UU, "node(s) were unschedulable"),
        "tainted": no("TaintToleration", UU, "node(s) had untolerated taint(s)"),
    }


def test_requests_count_sidecars_and_all_reasons() -> None:
    """init 5, sidecar 2, init 4, main 1 asks for 6; too much for the node itself is UU."""
    steps = [container("5"), container("2", restartPolicy="Always"), container("4")]
    nodes = [node("six"), node("five"), node("used")]
    for name, cpu in (("six", "6"), ("five", "5")):
        next(n for n in nodes if n["metadata"]["name"] == name)["status"]["allocatable"]["cpu"] = (
            cpu
        )
    nodes[2]["status"]["allocatable"]["pods"] = "1"
    used = pod("old", cpu="3", nodeName="used")
    assert verdicts(case(nodes, pod("p", cpu="1", initContainers=steps), [used])) == {
        "five": no("NodeResourcesFit", UU, "Insufficient cpu"),
        "used": no("NodeResourcesFit", U, "Insufficient cpu", "Too many pods"),
    }


def test_pods_that_do_not_count() -> None:
    """Ended pods, and those on a node that is not there, take nothing; terminating ones do."""
    pods = [
        pod("ended", cpu="8", nodeName="a", status={"phase": "Succeeded"}),
        pod("lost", cpu="8", nodeName="gone"),
        pod("leaving", cpu="8", nodeName="b", deleted=True),
        pod("waiting", cpu="8"),
    ]
    assert verdicts(case([node("a"), node("b")], pod("p", cpu="1"), pods)) == {
        "b": no("NodeResourcesFit", U, "Insufficient cpu")
    }


def test_nodes_that_prefilter_cuts_off() -> None:
    """matchFields narrow the search; a contradiction ends it."""
    nodes = [node("a"), node("b")]
    assert verdicts(case(nodes, pod("p", affinity=on_names("a")))) == {
        "b": no("NodeAffinity", UU, "node(s) didn't satisfy plugin(s) [NodeAffinity]")
    }
    assert verdicts(case(nodes, pod("p", affinity=on_names("a", "b")))) == {
        "*": no("NodeAffinity", UU, "pod affinity terms conflict")
    }


def test_no_wildcard_in_ipv6() -> None:
    """`::` equals only itself, and clashes with 0.0.0.0."""
    old = [
        pod(name, nodeName=name, containers=[container(ports=[{"hostPort": 80, "hostIP": ip}])])
        for name, ip in (("a", "0.0.0.0"), ("b", "10.0.0.1"), ("c", "::"))
    ]
    asking = pod("p", containers=[container(ports=[{"hostPort": 80, "hostIP": "::"}])])
    taken = no("NodePorts", U, "node(s) didn't have free ports for the requested pod ports")
    found = verdicts(case([node("a"), node("b"), node("c")], asking, old))
    assert found == {"a": taken, "c": taken}


def test_before_any_node() -> None:
    """Gates, a missing claim and an empty cluster, each under `*`; nothing stays for the next."""
    gated = pod("p", schedulingGates=[{"name": "b"}, {"name": "a"}])
    immediate = no("VolumeBinding", UU, "pod has unbound immediate PersistentVolumeClaims")
    missing = no("VolumeRestrictions", UU, 'persistentvolumeclaim "x" not found')
    cases = {
        json.dumps(case([node("a")], gated)): no(
            "SchedulingGates", UU, "waiting for scheduling gates: [b a]"
        ),
        json.dumps(case([], pod("p"))): no("", U, "no nodes available to schedule pods"),
        json.dumps(case([node("a")], with_claims("p", "x"), [], claim("x"))): immediate,
        json.dumps(case([node("a")], with_claims("p", "x"))): missing,
    }
    answers = ask(*map(json.loads, cases))
    assert [answer["verdicts"] for answer in answers] == [{"*": want} for want in cases.values()]


def test_an_error_ends_the_attempt() -> None:
    """A class without a binding mode is an error of kube-scheduler, for no node in particular."""
    broken = {"kind": "StorageClass", "metadata": {"name": "s"}, "provisioner": "x"}
    late = claim("x", storageClassName="s")
    found = verdicts(case([node("a")], with_claims("p", "x"), [], late, broken))
    assert set(found) == {"*"}
    assert (found["*"]["plugin"], found["*"]["code"]) == ("VolumeBinding", "Error")
    assert 'VolumeBindingMode not set for StorageClass "s"' in found["*"]["reasons"][0]


def test_volumes_node_by_node() -> None:
    """ReadWriteOncePod in use refuses every node; a leftover attachment counts twice."""
    bound = {"pv.kubernetes.io/bind-completed": "yes"}
    objects = [
        claim("x", annotations=bound, volumeName="pv", accessModes=["ReadWriteOncePod"]),
        claim("y", annotations=bound, volumeName="pv"),
        {
            "kind": "PersistentVolume",
            "metadata": {"name": "pv"},
            "spec": {"csi": {"driver": "d", "volumeHandle": "h"}},
        },
        {
            "kind": "CSINode",
            "metadata": {"name": "a"},
            "spec": {"drivers": [{"name": "d", "allocatable": {"count": 1}}]},
        },
        {
            "kind": "VolumeAttachment",
            "metadata": {"name": "left"},
            "spec": {"attacher": "d", "nodeName": "a", "source": {"persistentVolumeName": "pv"}},
        },
    ]
    nodes = [node("a"), node("b")]
    full = no("NodeVolumeLimits", U, "node(s) exceed max volume count")
    assert verdicts(case(nodes, with_claims("p", "y"), [], *objects)) == {"a": full}
    in_use = no(
        "VolumeRestrictions",
        U,
        "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode"
        " already in-use by another pod",
    )
    user = with_claims("user", "x", nodeName="b")
    found = verdicts(case(nodes, with_claims("p", "x"), [user], *objects))
    assert found == {"a": in_use, "b": in_use}


def test_storage_that_is_still_to_be_made() -> None:
    """A driver that publishes capacity needs a segment with enough of it."""
    objects = [
        claim("x", storageClassName="s"),
        {
            "kind": "StorageClass",
            "metadata": {"name": "s"},
            "provisioner": "d",
            "volumeBindingMode": "WaitForFirstConsumer",
        },
        {"kind": "CSIDriver", "metadata": {"name": "d"}, "spec": {"storageCapacity": True}},
        *(
            {
                "kind": "CSIStorageCapacity",
                "metadata": {"name": zone, "namespace": "storage"},
                "storageClassName": "s",
                "nodeTopology": {"matchLabels": {ZONE: zone}},
                "capacity": capacity,
            }
            for zone, capacity in (("a", "9Gi"), ("b", "10Gi"))
        ),
    ]
    nodes = [node("n1", zone="a"), node("n2", zone="b")]
    assert verdicts(case(nodes, with_claims("p", "x"), [], *objects)) == {
        "n1": no("VolumeBinding", UU, "node(s) did not have enough free storage")
    }


def test_spread_leaves_out_the_terminating() -> None:
    """One pod in each zone, but that of b is leaving; a node without the key is UU."""
    rule = {
        "maxSkew": 1,
        "topologyKey": ZONE,
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "w"}},
    }
    web = {"app": "w"}
    leaving = pod("2", labels=web, nodeName="n2", deleted=True)
    old = [pod("1", labels=web, nodeName="n1"), leaving]
    asking = pod("p", labels=web, topologySpreadConstraints=[rule])
    nodes = [node("n1", zone="a"), node("n2", zone="b"), node("bare")]
    text = "node(s) didn't match pod topology spread constraints"
    assert verdicts(case(nodes, asking, old)) == {
        "n1": no("PodTopologySpread", U, text),
        "bare": no("PodTopologySpread", UU, f"{text} (missing required label)"),
    }


def test_affinity_needs_one_pod_for_all_terms() -> None:
    """Two pods that match a term each do not help; anti-affinity of others holds while they go."""
    both = affinity(
        {"labelSelector": {"matchLabels": {"x": "1"}}},
        {"labelSelector": {"matchLabels": {"y": "1"}}},
    )
    old = [
        pod("x", labels={"x": "1"}, nodeName="n1"),
        pod("y", labels={"y": "1"}, nodeName="n1"),
        pod("xy", labels={"x": "1", "y": "1"}, nodeName="n2"),
        pod("shy", nodeName="n3", deleted=True, affinity=anti_affinity(ZONE, app="w")),
    ]
    nodes = [node("n1", zone="a"), node("n2", zone="b"), node("n3", zone="c")]
    lonely = no("InterPodAffinity", UU, "node(s) didn't match pod affinity rules")
    found = verdicts(case(nodes, pod("p", affinity=both), old))
    assert found == {"n1": lonely, "n3": lonely}
    assert verdicts(case(nodes, pod("p", labels={"app": "w"}), old)) == {
        "n3": no("InterPodAffinity", U, "node(s) didn't satisfy existing pods anti-affinity rules")
    }


def test_a_negative_namespace_selector_reaches_every_namespace() -> None:
    """Namespace `other` is labelled out of the term, and its pod is matched all the same."""
    term = {
        "labelSelector": {},
        "namespaceSelector": {"matchExpressions": [{"key": "team", "operator": "DoesNotExist"}]},
    }
    spaces = [
        {"kind": "Namespace", "metadata": {"name": name, "labels": labels}}
        for name, labels in (("default", {}), ("other", {"team": "a"}))
    ]
    old = pod("old", nodeName="n2")
    old["metadata"]["namespace"] = "other"
    nodes = [node("n1", zone="a"), node("n2", zone="b")]
    assert verdicts(case(nodes, pod("p", affinity=affinity(term)), [old], *spaces)) == {
        "n1": no("InterPodAffinity", UU, "node(s) didn't match pod affinity rules")
    }


def test_nominated_pods_of_no_lower_priority_hold_their_place() -> None:
    """Equal or higher priority holds; lower, gated or the pod itself does not."""
    priorities = {"high": 7, "equal": 5, "low": 4, "gated": 9, "self": 5}
    nodes = [node(name) for name in priorities]
    nominated = [
        pod(name, cpu="8", priority=priority, status={"nominatedNodeName": name})
        for name, priority in priorities.items()
    ]
    nominated[3]["spec"]["schedulingGates"] = [{"name": "g"}]
    taken = no("NodeResourcesFit", U, "Insufficient cpu")
    found = verdicts(case(nodes, pod("self", cpu="1", priority=5), nominated))
    assert found == {"high": taken, "equal": taken}


def test_resources_that_device_classes_give() -> None:
    """A mapped resource that a node lacks is not its to refuse, but that of DynamicResources."""
    device = {
        "kind": "DeviceClass",
        "metadata": {"name": "gpu"},
        "spec": {"extendedResourceName": "example.com/gpu"},
    }
    asking = pod("p")
    asking["spec"]["containers"][0]["resources"]["requests"] = {"example.com/gpu": "1"}
    lacking = no("NodeResourcesFit", UU, "Insufficient example.com/gpu")
    assert verdicts(case([node("a")], asking)) == {"a": lacking}
    refused = no("DynamicResources", UU, "cannot allocate all claims")
    assert verdicts(case([node("a")], asking, [], device)) == {"a": refused}
    assert verdicts(case([node("a")], asking)) == {"a": lacking}


def test_features_that_a_node_declares() -> None:
    """A user namespace on the host's network needs a node that says it can."""
    able = node("able", status={"declaredFeatures": ["UserNamespacesHostNetworkSupport"]})
    assert verdicts(case([able, node("old")], pod("p", hostNetwork=True, hostUsers=False))) == {
        "old": no("NodeDeclaredFeatures", UU, "node(s) didn't match Pod's required features")
    }


def test_what_cannot_be_judged_says_why() -> None:
    """A bad case is an error of its own, by its id, and the next is judged."""
    good = case([node("a")], pod("p"))
    cases = [
        {**good, "nodes": [node("a"), node("a")]},
        {**good, "objects": [{"kind": "Secret", "metadata": {"name": "s"}}]},
        {**good, "objects": [claim("x"), claim("x")]},
        {"id": "few", "nodes": []},
        {**good, "id": "bad", "pod": {"spec": {"containers": [container("much")]}}},
    ]
    answers = ask(*cases, good)
    texts = [answer.get("error", "") for answer in answers]
    for text, part in zip(
        texts, ("two nodes", "Secret", "comes twice", "no pod", "quantities"), strict=False
    ):
        assert part in text
    assert [answer["id"] for answer in answers] == [1, 1, 1, "few", "bad", 1]
    assert answers[-1] == {"id": 1, "verdicts": {}}


def test_a_line_that_is_no_json() -> None:
    """It gets its answer, so that lines and answers can be counted off."""
    answers = [json.loads(line) for line in run_oracle([b"{", b'{"id": 2}', b"nothing"])]
    assert [answer["id"] for answer in answers] == [None, 2, None]
    assert all(answer["error"] for answer in answers)
