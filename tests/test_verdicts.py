"""`muster verdicts`: one pod on each node of a small cluster, in kube-scheduler's words."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from scheduler import cli
from scheduler.errors import BadInputError
from scheduler.verdicts import EVERY_NODE, verdicts_of

Json = dict[str, Any]

HARD, SOFT = "UnschedulableAndUnresolvable", "Unschedulable"
WEB = {"matchLabels": {"app": "web"}}
APART = "node(s) didn't satisfy existing pods anti-affinity rules"


def node(name: str, labels: Json | None = None, status: Json | None = None, **spec: Any) -> Json:
    """A node with 4 CPUs, 4 GiB and 10 pods."""
    allocatable = {"cpu": "4", "memory": "4Gi", "pods": "10", **(status or {})}
    return {
        "metadata": {"name": name, "labels": {"zone": f"z-{name}", **(labels or {})}},
        "spec": spec,
        "status": {"allocatable": allocatable},
    }


def pod(name: str = "asks", cpu: str = "1", on: str = "", **more: Any) -> Json:
    """A pod; `more`: labels, priority, status, deleting, and fields of its spec."""
    meta: Json = {"name": name, "namespace": "default", "uid": name}
    meta["labels"] = more.pop("labels", {"app": "web"})
    if more.pop("deleting", False):
        meta["deletionTimestamp"] = "2026-02-02T00:00:00Z"
    status = more.pop("status", {})
    amounts = {"requests": {"cpu": cpu, **more.pop("requests", {})}}
    spec = {"containers": [{"name": "main", "resources": amounts}], **more}
    if on:
        spec["nodeName"] = on
    return {"metadata": meta, "spec": spec, "status": status}


def promised(name: str, on: str, cpu: str = "1", **more: Any) -> Json:
    """A pod that waits and was promised a node."""
    return pod(name, cpu, status={"nominatedNodeName": on}, **more)


def ask(
    asks: Json, nodes: Iterable[Json], pods: Iterable[Json] = (), objects: Iterable[Json] = ()
) -> Json:
    """The verdicts of one case."""
    case = {"id": 7, "nodes": [*nodes], "pods": [*pods], "objects": [*objects], "pod": asks}
    answer = verdicts_of(case)
    assert answer["id"] == 7
    assert verdicts_of(json.dumps(case)) == verdicts_of(json.dumps(case).encode()) == answer
    found: Json = answer["verdicts"]
    return found


def says(found: Json, name: str) -> list[str]:
    """Reasons of one node; [] = it takes the pod."""
    reasons: list[str] = found.get(name, {}).get("reasons", [])
    return reasons


def anti(key: str = "zone", selector: Json | None = None) -> Json:
    """Required anti-affinity to pods of `selector`."""
    terms = [{"topologyKey": key, "labelSelector": WEB if selector is None else selector}]
    return {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}


def spread(selector: Json) -> list[Json]:
    """At most one more per zone than in the emptiest."""
    return [
        {"topologyKey": "zone", "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule",
         "labelSelector": selector}
    ]  # fmt: skip


def test_nodes_that_take_the_pod_are_left_out() -> None:
    """One refusal per node, reasons sorted, codes as kube-scheduler's."""
    nodes = [node("n1"), node("n2", unschedulable=True), node("n3", status={"pods": "0"})]
    nodes.append(node("n10", status={"cpu": "900m", "memory": "1Mi", "pods": "0"}))
    found = ask(pod(requests={"memory": "1Gi"}), nodes, [pod("a", on="n3", deleting=True)])
    assert found == {
        "n2": {"plugin": "NodeUnschedulable", "code": HARD,
               "reasons": ["node(s) were unschedulable"]},
        "n3": {"plugin": "NodeResourcesFit", "code": SOFT, "reasons": ["Too many pods"]},
        "n10": {"plugin": "NodeResourcesFit", "code": HARD,
                "reasons": ["Insufficient cpu", "Insufficient memory", "Too many pods"]},
    }  # fmt: skip


def test_pods_that_count() -> None:
    """Bound ones of any scheduler and those that end; not finished ones, nor on other nodes."""
    there = [
        pod("a", "2", "n1", schedulerName="other"),
        pod("b", "2", "n1", deleting=True),
        pod("c", "4", "n2", status={"phase": "Succeeded"}),
        pod("d", "4", "gone"),
        pod("e", "4"),
    ]
    found = ask(pod(), [node("n1"), node("n2")], there)
    assert {name: each["reasons"] for name, each in found.items()} == {"n1": ["Insufficient cpu"]}


def test_a_refusal_that_no_node_can_change_stands_alone() -> None:
    """Gates, no nodes, names that exclude each other, a claim that is not there."""
    nodes = [node("n1")]
    gates = [{"name": "b"}, {"name": "a"}]
    text = ["waiting for scheduling gates: [b a]"]
    refused = {"plugin": "SchedulingGates", "code": HARD, "reasons": text}
    assert ask(pod(schedulingGates=gates), []) == {EVERY_NODE: refused}
    text = ["no nodes available to schedule pods"]
    assert ask(pod(), []) == {EVERY_NODE: {"plugin": "", "code": SOFT, "reasons": text}}
    fields = [{"key": "metadata.name", "operator": "In", "values": [name]} for name in "ab"]
    terms = {"nodeSelectorTerms": [{"matchFields": fields}]}
    required = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}
    found = ask(pod(affinity=required), nodes)
    assert found[EVERY_NODE]["reasons"] == ["pod affinity terms conflict"]
    mounts = [{"name": "v", "persistentVolumeClaim": {"claimName": "x"}}]
    found = ask(pod(volumes=mounts), nodes)
    assert found[EVERY_NODE]["plugin"] == "VolumeRestrictions"
    assert found[EVERY_NODE]["reasons"] == ['persistentvolumeclaim "x" not found']


def test_a_pod_that_names_its_node_is_asked_by_its_spec() -> None:
    """NodeName refuses the others; a resize that its status speaks of does not count."""
    status = {"containerStatuses": [{"name": "main", "resources": {"requests": {"cpu": "64"}}}]}
    found = ask(pod(on="n2", status=status), [node("n1"), node("n2")])
    assert list(found) == ["n1"]
    assert says(found, "n1") == ["node(s) didn't match the requested node name"]


def test_nodes_that_affinity_does_not_name() -> None:
    """They are cut off before any other filter is asked, also by pins of a DaemonSet."""
    field = {"key": "metadata.name", "operator": "In", "values": ["n1"]}
    terms = {"nodeSelectorTerms": [{"matchFields": [field]}]}
    required = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}
    nodes = [node("n1"), node("n2", unschedulable=True)]
    found = ask(pod(affinity=required), nodes)
    text = ["node(s) didn't satisfy plugin(s) [NodeAffinity]"]
    assert found == {"n2": {"plugin": "NodeAffinity", "code": HARD, "reasons": text}}


def test_amounts_are_exact_up_to_int64() -> None:
    """No amount that the API server admits is cut off."""
    nodes = [node("n1", status={"memory": "9Ei"}), node("n2", status={"memory": "8Ei"})]
    there = [pod("a", on="n1", requests={"memory": "4611686018427387904"})]
    free = 2**63 - 1 - 2**62
    assert ask(pod(requests={"memory": str(free)}), nodes[:1], there) == {}
    found = ask(pod(requests={"memory": str(free + 1)}), nodes[:1], there)
    assert found["n1"] == {
        "plugin": "NodeResourcesFit", "code": SOFT, "reasons": ["Insufficient memory"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("waiting", "refused"),
    [
        (promised("a", "n1", "4", priority=5), True),
        (promised("a", "n1", "4", priority=9, schedulerName="other"), True),
        (promised("a", "n1", "4", priority=4), False),
        (promised("a", "n1", "4"), False),
        (promised("a", "n2", "4", priority=9), False),
        (promised("asks", "n1", "4", priority=9), False),
        (promised("a", "n1", "4", priority=9, schedulingGates=[{"name": "g"}]), False),
        (pod("a", "4", "n2", priority=9, status={"nominatedNodeName": "n1"}), False),
    ],
)
def test_promised_room_is_kept_from_lower_priority(waiting: Json, *, refused: bool) -> None:
    """Pods nominated to the node, of this priority or more, that may be queued and wait."""
    found = ask(pod(priority=5), [node("n1")], [waiting])
    assert says(found, "n1") == (["Insufficient cpu"] if refused else [])


def test_a_node_must_take_the_pod_with_promised_ones_and_without() -> None:
    """What the pass with them says comes first; a pod that helps only by promise does not help."""
    near = {
        "podAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": [
                {"topologyKey": "zone", "labelSelector": {"matchLabels": {"app": "db"}}}
            ]
        }
    }
    db = promised("a", "n1", labels={"app": "db"})
    found = ask(pod(affinity=near), [node("n1"), node("n2")], [db])
    assert says(found, "n1") == ["node(s) didn't match pod affinity rules"]
    full = ask(pod(cpu="4", affinity=near), [node("n1"), node("n2")], [db])
    assert [says(full, name)[0] for name in ("n1", "n2")] == [
        "Insufficient cpu",
        "node(s) didn't match pod affinity rules",
    ]


def test_anti_affinity_of_promised_pods() -> None:
    """It counts only where InterPodAffinity has something to do without them."""
    nodes = [node("n1"), node("n2")]
    one = promised("a", "n1", affinity=anti())
    assert ask(pod(), nodes, [one]) == {}
    there = pod("b", on="n2", affinity=anti())
    found = ask(pod(), nodes, [one, there])
    assert {name: each["reasons"] for name, each in found.items()} == {"n1": [APART], "n2": [APART]}
    other = pod("b", on="n2", labels={}, affinity=anti("absent"))  # counts under no domain
    assert ask(pod(), nodes, [one, other]) == {}


def test_spread_counts_promised_pods() -> None:
    """Also those that are being deleted, and with selector {} all of them, unlike bound ones."""
    nodes = [node("n1"), node("n2")]
    one = promised("a", "n1", deleting=True)
    assert list(ask(pod(topologySpreadConstraints=spread(WEB)), nodes, [one])) == ["n1"]
    assert list(ask(pod(topologySpreadConstraints=spread({})), nodes, [one])) == ["n1"]
    bound = pod("a", on="n1")
    assert list(ask(pod(topologySpreadConstraints=spread({})), nodes, [bound])) == []
    leaving = pod("a", on="n1", deleting=True)
    assert list(ask(pod(topologySpreadConstraints=spread(WEB)), nodes, [leaving])) == []


def test_rules_of_others_read_labels_of_namespaces() -> None:
    """Namespace objects are taken in."""
    term = {"topologyKey": "zone", "labelSelector": {}, "namespaceSelector": WEB}
    rules = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    there = pod("b", on="n1", affinity=rules)
    space = {"kind": "Namespace", "metadata": {"name": "default", "labels": {"app": "web"}}}
    assert ask(pod(), [node("n1")], [there]) == {}
    assert says(ask(pod(), [node("n1")], [there], [space]), "n1") == [APART]


def test_rules_that_cannot_be_read_refuse() -> None:
    """The API server admits no such selector; if one comes, the pod goes nowhere."""
    bad = {"matchExpressions": [{"key": "app", "operator": "Near", "values": ["web"]}]}
    found = ask(pod(affinity=anti(selector=bad)), [node("n1")])
    assert found[EVERY_NODE]["code"] == HARD


def claim(name: str, **metadata: Any) -> Json:
    """A ResourceClaim."""
    return {"kind": "ResourceClaim", "metadata": {"name": name, "namespace": "default", **metadata}}


DELETED = {"deletionTimestamp": "2026-02-02T00:00:00Z"}
OWNED = {"ownerReferences": [{"kind": "Pod", "name": "asks", "uid": "asks", "controller": True}]}
MADE = {"resourceClaimStatuses": [{"name": "c", "resourceClaimName": "x"}]}
NAMED = {"name": "c", "resourceClaimName": "x"}
MADE_FOR = {"name": "c", "resourceClaimTemplateName": "t"}


@pytest.mark.parametrize(
    ("reference", "status", "objects", "text"),
    [
        (NAMED, {}, [], 'could not find ResourceClaim "default/x"'),
        (NAMED, {}, [claim("x", **DELETED)], 'resourceclaim "x" is being deleted'),
        (NAMED, {}, [claim("x")], "resource claims of pods are not allocated by this scheduler"),
        (MADE_FOR, {}, [], 'pod "default/asks": ResourceClaim not created yet'),
        (MADE_FOR, MADE, [claim("x")],
         "ResourceClaim default/x was not created for Pod default/asks (Pod is not owner)"),
        (MADE_FOR, MADE, [claim("x", **OWNED)],
         "resource claims of pods are not allocated by this scheduler"),
        (MADE_FOR, {"resourceClaimStatuses": [{"name": "c"}]}, [],
         "resource claims of pods are not allocated by this scheduler"),
    ],
)  # fmt: skip
def test_a_pod_with_resource_claims_goes_nowhere(
    reference: Json, status: Json, objects: list[Json], text: str
) -> None:
    """What it must wait for in kube-scheduler's words; otherwise that nobody allocates devices."""
    asks = pod(resourceClaims=[reference], status=status)
    found = ask(asks, [node("n1")], [], objects)
    assert found == {EVERY_NODE: {"plugin": "DynamicResources", "code": HARD, "reasons": [text]}}


def test_an_error_of_a_filter_ends_the_case() -> None:
    """kube-scheduler gives up on all nodes then: the error stands under `*`."""
    mounts = [{"name": "v", "persistentVolumeClaim": {"claimName": "x"}}]
    pvc = {
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "x", "namespace": "default"},
        "spec": {"storageClassName": "slow"},
    }
    storage = {"kind": "StorageClass", "metadata": {"name": "slow"}, "provisioner": "example.com/p"}
    found = ask(pod(volumes=mounts), [node("n1")], [], [pvc, storage])
    assert [found[EVERY_NODE]["plugin"], found[EVERY_NODE]["code"]] == ["VolumeBinding", "Error"]


def test_the_command_answers_line_by_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line for each case, blank lines skipped; a line that is no case ends it with its number."""
    case = {"id": "a", "nodes": [node("n1")], "pods": [], "objects": [], "pod": pod(cpu="5")}
    file = tmp_path / "cases.jsonl"
    file.write_text(f"{json.dumps(case)}\n\n{json.dumps({**case, 'id': 2})}\n")
    assert cli.main(["verdicts", str(file)]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["id"] for line in lines] == ["a", 2]
    assert lines[0]["verdicts"] == lines[1]["verdicts"] == {
        "n1": {"plugin": "NodeResourcesFit", "code": HARD, "reasons": ["Insufficient cpu"]}
    }  # fmt: skip
    file.write_text('{"id": 1, "pod": {"metadata": {"name": "x", "labels": 3}}}\n')
    assert cli.main(["verdicts", str(file)]) == BadInputError.exit_code
    assert f"{file}:1: " in capsys.readouterr().err
    file.write_text('{"id": 1}\n')
    assert cli.main(["verdicts", str(file)]) == BadInputError.exit_code
    assert "there is no pod" in capsys.readouterr().err
