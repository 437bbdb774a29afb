"""Kubernetes objects become nodes, pods, shapes and gangs by kube-scheduler's rules."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.model.audience import Audience, matches, meaning_of
from scheduler.model.constraints import Requirement, Taint, Term, Toleration
from scheduler.model.decode import Node, ObjectError, Pod, decode_item
from scheduler.model.resources import ResourceOrder
from tests.model.as_json import READ, box, pod, read


def test_a_node() -> None:
    """Amounts round up to their unit, names that do not count are dropped, pods are slots."""
    node = read(
        "Node",
        {
            "unschedulable": True,
            "taints": [{"key": "gpu", "effect": "NoSchedule"}],
        },
        {
            "allocatable": {
                "cpu": "1999500u",
                "memory": "1.5Ki",
                "pods": "110",
                "nvidia.com/gpu": "8",
                "hugepages-2Mi": "0",
                "strange": "5",
                "requests.cpu/x": "1",
            }
        },
        labels={"a": "b"},
        creationTimestamp="1970-01-01T00:00:02Z",
    )
    assert isinstance(node, Node)
    assert node.allocatable == {
        "cpu": 2000, "memory": 1536, "nvidia.com/gpu": 8, "hugepages-2Mi": 0,
    }  # fmt: skip
    assert (node.slots, node.unschedulable, node.created_us) == (110, True, 2_000_000)
    assert node.taints == (Taint("gpu", "", "NoSchedule"),)
    order = ResourceOrder.of(["nvidia.com/gpu", "example.com/nic"])
    assert node.vector(order) == (2000, 1536, 0, 8)


def test_a_node_without_pods_takes_none() -> None:
    """A missing `pods` is 0, as in kube-scheduler."""
    assert read("Node", status={"allocatable": {"cpu": "1"}}).slots == 0


def test_shape_of_a_pod() -> None:
    """Selector, affinity, tolerations and ports are sorted, so that equal pods share a shape."""
    expressions = [
        {"key": "b", "operator": "Exists"},
        {"key": "a", "operator": "In", "values": ["y", "x"]},
    ]
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
        "nodeSelectorTerms": [{"matchExpressions": expressions}]}}}  # fmt: skip
    one = {"hostPort": 443, "protocol": "UDP", "hostIP": "10.0.0.1"}
    ports = [{"hostPort": 80}, one, {"hostPort": 0}]
    spec = {
        "nodeSelector": {"z": "1", "y": "2"},
        "affinity": affinity,
        "tolerations": [{"operator": "Exists"}, {"key": "k", "value": "v"}],
        "containers": [{**box(cpu="1"), "ports": ports}],
        "initContainers": [{**box(), "ports": [{"hostPort": 81}]}],
    }
    shape = pod(spec).shape_in(ResourceOrder.of([]))
    assert shape.requests == (1000, 0)
    assert shape.selector == (("y", "2"), ("z", "1"))
    assert shape.affinity == (
        Term((Requirement("a", "In", ("x", "y")), Requirement("b", "Exists"))),
    )
    assert shape.tolerations == (Toleration("", "Exists"), Toleration("k", "Equal", "v"))
    assert shape.tokens == ("port:TCP/80", "port:UDP/443@10.0.0.1")
    expressions.reverse()
    assert pod(spec).shape_in(ResourceOrder.of([])) == shape
    with pytest.raises(KeyError):
        pod({"containers": [box(**{"example.com/nic": "1"})]}).shape_in(ResourceOrder.of([]))


def pinned(*terms: dict[str, Any]) -> Pod:
    """A pod with these required node affinity terms."""
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    return pod({"affinity": {"nodeAffinity": required}})


def test_node_names_are_pins_and_leave_the_shape() -> None:
    """Pods of a DaemonSet differ in the node only: one shape, one pin each."""

    def on(*names: str, **rest: Any) -> dict[str, Any]:
        return {
            "matchFields": [{"key": "metadata.name", "operator": "In", "values": list(names)}],
            **rest,
        }

    a, b = pinned(on("n1")), pinned(on("n2"))
    assert (a.pins, b.pins, a.shape.affinity) == (("n1",), ("n2",), None)
    assert a.shape == b.shape
    zone = [{"key": "zone", "operator": "Exists"}]
    both = pinned(on("n2", matchExpressions=zone), on("n1", matchExpressions=zone))
    assert both.pins == ("n1", "n2")
    assert both.shape.affinity == (Term((Requirement("zone", "Exists"),)),)
    for kept in (pinned(on("n1"), {"matchExpressions": zone}), pinned(on("n1", "n2"))):
        assert kept.pins is None
        assert kept.shape.affinity


def anti(selector: Any, **term: Any) -> Pod:
    """A pod labelled app=a that keeps away from pods of `selector`."""
    found = {"topologyKey": "kubernetes.io/hostname", "labelSelector": selector, **term}
    required = {"requiredDuringSchedulingIgnoredDuringExecution": [found]}
    return pod({"affinity": {"podAntiAffinity": required}}, labels={"app": "a"})


def test_anti_affinity_to_itself_on_nodes_is_a_rule_and_not_named() -> None:
    """Required anti-affinity on nodes that selects the pod's own labels: one per node."""
    own = anti({"matchLabels": {"app": "a"}})
    (rule,) = own.shape.rules.apart
    assert (rule.key, own.shape.tokens) == ("kubernetes.io/hostname", ())
    assert own.unsupported == ()
    meaning = meaning_of(rule.mark)
    assert isinstance(meaning, Audience)
    assert matches(meaning, own.who, {})
    for other in (
        anti({"matchExpressions": [{"key": "app", "operator": "In", "values": ["a"]}]}),
        anti({"matchLabels": {"app": "a"}}, namespaces=["ns"]),
    ):
        assert other.shape == own.shape
    assert anti({}, namespaceSelector={}).unsupported == ()


@pytest.mark.parametrize(
    "found",
    [
        anti({"matchLabels": {"app": "b"}}),
        anti({"matchLabels": {"app": "a"}}, topologyKey="zone"),
        anti({"matchLabels": {"app": "a"}}, namespaces=["other"]),
        anti({"matchLabels": {"app": "a"}}, namespaceSelector={"matchLabels": {"t": "x"}}),
        anti(None),
    ],
)
def test_other_anti_affinity_is_a_rule_too(found: Pod) -> None:
    """Whatever it says: other pods, other labels of nodes, other namespaces, nobody."""
    assert len(found.shape.rules.apart) == 1
    assert found.unsupported == ()


def test_rules_that_are_not_checked_are_named() -> None:
    """What is decoded and checked is not: affinity, spread and features of nodes."""
    term = {"topologyKey": "zone", "labelSelector": {}}
    found = pod(
        {
            "affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}},
            "topologySpreadConstraints": [{"whenUnsatisfiable": "DoNotSchedule"}],
            "resourceClaims": [{"name": "c"}],
            "volumes": [
                {"name": "a", "ephemeral": {}},
                {"name": "b", "rbd": {"image": 1}},
                {"name": "c", "persistentVolumeClaim": {"claimName": "data"}},
            ],
            "hostNetwork": True,
            "hostUsers": False,
        }
    )
    assert found.unsupported == ("ephemeralVolumes", "resourceClaims", "unreadable inline disks")
    assert len(found.shape.rules.spread) == 1
    assert found.shape.rules.near is not None
    assert found.shape.features == ("UserNamespacesHostNetworkSupport",)
    assert found.claims == ("data",)
    soft = pod({"topologySpreadConstraints": [{"whenUnsatisfiable": "ScheduleAnyway"}]})
    assert soft.unsupported == ()


def test_state_of_a_pod() -> None:
    """Gated, terminating and finished pods are no members; only the controller owns."""
    refs = [
        {"kind": "Foo", "name": "f", "uid": "1"},
        {"kind": "Job", "name": "j", "uid": "2", "controller": True},
    ]
    found = pod({"priority": 7, "schedulerName": "muster"}, ownerReferences=refs, labels=None)
    assert (found.key, found.priority, found.scheduler) == ("ns/x", 7, "muster")
    assert found.owner is not None
    assert (found.owner.kind, found.owner.uid) == ("Job", "2")
    assert found.member
    assert not pod({"schedulingGates": [{"name": "g"}]}).member
    assert not pod(status={"phase": "Failed"}).member
    assert not pod(deletionTimestamp="2026-01-01T00:00:00Z").member


@pytest.mark.parametrize(
    ("spec", "succeeded", "wanted", "indexed"),
    [
        ({"completions": 8, "parallelism": 8, "completionMode": "Indexed"}, 3, 5, True),
        ({"completions": 8, "parallelism": 4, "completionMode": "Indexed"}, 0, 4, False),
        ({"completions": 8, "parallelism": 8}, 0, 8, False),
        ({"completions": 1, "parallelism": 1, "completionMode": "Indexed"}, 0, 1, False),
        ({"parallelism": 4}, 0, 4, False),
        ({"completions": 8, "parallelism": 8, "suspend": True}, 0, 0, False),
        ({}, 0, 1, False),
    ],
)
def test_jobs(spec: Any, succeeded: int, wanted: int, *, indexed: bool) -> None:
    """wanted = min(parallelism, completions - succeeded); a gang only if all run at once."""
    job = read("Job", spec, {"succeeded": succeeded})
    assert (job.wanted, job.indexed) == (wanted, indexed)


def test_controllers() -> None:
    """Size, first ordinal and order of a StatefulSet; annotations are the template's."""
    meta = {"annotations": {"a": "b"}, "labels": {"l": "m"}, "creationTimestamp": None}
    template = {"metadata": meta}
    spec = {"replicas": 4, "ordinals": {"start": 5}, "template": template}
    found = read("StatefulSet", spec, annotations={"not": "this"})
    assert (found.wanted, found.first, found.ordered) == (4, 5, True)
    assert (found.annotations, found.labels) == ({"a": "b"}, {"l": "m"})
    assert not read("StatefulSet", {**spec, "podManagementPolicy": "Parallel"}).ordered
    assert read("ReplicaSet", {"replicas": 0}).wanted == 0


def test_volumes() -> None:
    """A claim is bound only when the binding is complete; before, its chosen node counts."""
    chosen = {"volume.kubernetes.io/selected-node": "n1"}
    half = read("PersistentVolumeClaim", {"volumeName": "v"}, annotations=chosen)
    assert (half.key, half.volume, half.selected_node) == ("ns/x", "", "n1")
    done = {**chosen, "pv.kubernetes.io/bind-completed": "yes"}
    whole = read("PersistentVolumeClaim", {"volumeName": "v"}, annotations=done)
    assert (whole.volume, whole.selected_node) == ("v", "")
    terms = [{"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]}]
    disk = read("PersistentVolume", {"nodeAffinity": {"required": {"nodeSelectorTerms": terms}}})
    assert disk.affinity == (Term((Requirement("zone", "In", ("a",)),)),)
    assert read("PersistentVolume").affinity is None


@pytest.mark.parametrize(
    ("kind", "spec", "told"),
    [
        ("Pod", {"containers": [box(cpu="1Q")]}, "containers[0].resources.requests.cpu: quantity"),
        ("Pod", {"containers": [box(memory="99E")]}, "memory"),
        ("Pod", {"containers": [box(cpu="-1")]}, "is negative"),
        ("Pod", {"containers": [box(cpu="9E"), box(cpu="9E")]}, "out of range"),
        ("Pod", {"priority": "high"}, "$.spec.priority"),
        ("Pod", {"containers": {}}, "$.spec.containers"),
        ("Node", {"taints": [{"key": "a"}]}, "effect"),
        ("StatefulSet", {"replicas": 2_000_000_000}, "wants 2000000000 pods"),
        ("Job", {"parallelism": -1}, "wants -1 pods"),
    ],
)
def test_a_malformed_object_is_one_error_that_names_it(kind: str, spec: Any, told: str) -> None:
    """The error carries the object's kind and name, and the field."""
    with pytest.raises(ObjectError) as caught:
        read(kind, spec)
    assert caught.value.key == ("Node x" if kind == "Node" else f"{kind} ns/x")
    assert told in caught.value.what


def test_other_kinds_are_skipped() -> None:
    """An object that nobody reads is no error, whatever it holds."""
    assert decode_item(b'{"kind": "ConfigMap", "metadata": {"name": "x"}, "spec": 5}') == (
        "ConfigMap",
        None,
    )


keys = st.sampled_from(["containers", "resources", "name", "cpu", "affinity"])
nested = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner),
    max_leaves=8,
)


@given(st.sampled_from(sorted(READ)), nested, nested)
def test_any_object_is_read_or_named(kind: str, spec: Any, status: Any) -> None:
    """Whatever stands in spec and status, the outcome is a value or an ObjectError."""
    found = {"kind": kind, "metadata": {"name": "x"}, "spec": spec, "status": status}
    named = kind
    try:
        _, decoded = decode_item(json.dumps(found).encode())
        READ[kind](decoded)
    except ObjectError as error:
        named = error.key
    assert named.startswith(kind)
