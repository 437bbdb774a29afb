"""A cluster's dump becomes a snapshot directory that the planner can read back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.errors import BadInputError
from scheduler.model.pending import Pending
from scheduler.model.resources import INT64_MAX
from scheduler.model.snapshot import CORDONED, Snapshot
from scheduler.model.wishes import Level
from scheduler.replay.importers.kubectl import import_kubectl
from scheduler.replay.importers.levels import detect_levels
from scheduler.replay.snapshot_dir import CLUSTER_FILE, load_snapshot, read_cluster, write_snapshot
from scheduler.replay.trace_io import read_trace

NVIDIA = "network.topology.nvidia.com/"
GPU = "nvidia.com/gpu"


def thing(kind: str, name: str, spec: Any = None, status: Any = None, **meta: Any) -> Any:
    """An object as kubectl prints it."""
    space = {} if kind in {"Node", "PersistentVolume"} else {"namespace": "ns"}
    metadata = {"name": name, "uid": f"{kind}-{name}", **space, **meta}
    return {"kind": kind, "metadata": metadata, "spec": spec or {}, "status": status or {}}


def node(name: str, spine: str, leaf: str, spec: Any = None, **labels: str) -> Any:
    """A node of 8 GPUs below `spine` and `leaf`."""
    amounts = {"cpu": "64", "memory": "512Gi", GPU: "8", "pods": "110"}
    own = {NVIDIA + "spine": spine, NVIDIA + "leaf": leaf, "kubernetes.io/hostname": name}
    return thing("Node", name, spec, {"allocatable": amounts}, labels={**own, **labels})


def containers(**requests: str) -> Any:
    """One container that requests this; GPUs as `gpu`."""
    named = {GPU if name == "gpu" else name: amount for name, amount in requests.items()}
    return {"containers": [{"name": "c", "resources": {"requests": named}}]}


def pod(name: str, owner: str, spec: Any, **meta: Any) -> Any:
    """A pod of controller `owner` = Kind/name."""
    kind, _, of = owner.partition("/")
    ref = {"kind": kind, "name": of, "uid": f"{kind}-{of}", "controller": True}
    found = thing("Pod", name, spec, {"phase": "Pending"}, **meta)
    found["metadata"]["ownerReferences"] = [ref] if owner else []
    return found


def stateful_set(name: str, replicas: int, requests: Any, policy: str = "Parallel") -> Any:
    """A StatefulSet whose gang must share a spine."""
    notes = {"muster.dev/required-topology": "spine"}
    template = {"metadata": {"annotations": notes}, "spec": requests}
    spec = {"replicas": replicas, "podManagementPolicy": policy, "template": template}
    return thing("StatefulSet", name, spec)


NODES = [
    node("n10", "s2", "l1"),
    node("n2", "s1", "l1", {"unschedulable": True}),
    node("n1", "s1", "l1", {"taints": [{"key": "gpu", "value": "x", "effect": "NoSchedule"}]}),
]


def save(path: Path, *items: Any) -> Path:
    """The dump as a file."""
    file = path / "dump.json"
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": list(items)}))
    return file


def load(path: Path, *items: Any, **options: Any) -> tuple[Snapshot, Pending]:
    """The dump imported, written and read back."""
    found = import_kubectl(save(path, *items), **options)
    write_snapshot(found.trace, found.cluster, path / "out")
    assert read_cluster(path / "out") == found.cluster
    return load_snapshot(path / "out")


def test_nodes_become_rows(tmp_path: Path) -> None:
    """Rows in natural order, levels found by their labels, taints, cordons, labels, amounts."""
    snap, waiting = load(tmp_path, *NODES)
    assert snap.names == ("n1", "n2", "n10")
    assert snap.topology.levels == ("spine", "leaf")
    assert [snap.topology.path(d) for d in snap.topology.by_level[1]] == [
        ("s1", "l1"),
        ("s2", "l1"),
    ]
    assert snap.resources.names == ("cpu", "memory", GPU)
    assert snap.allocatable[:, 0].tolist() == [64_000, 512 * 2**30, 8]
    assert snap.free.tolist() == snap.allocatable.tolist()
    assert snap.flags.tolist() == [0, CORDONED, 0]
    assert [len(snap.taint_sets[at]) for at in snap.taint_set] == [1, 0, 0]
    column = snap.labels["kubernetes.io/hostname"]
    assert [column.values[code] for code in column.code] == ["n1", "n2", "n10"]
    assert waiting.gangs == 0


def test_bound_pods_of_every_scheduler_are_counted(tmp_path: Path) -> None:
    """Also terminating ones and a waiting pod pinned by name; finished ones are not."""
    pin = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]}
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [pin]}}
    done = pod("done", "", {**containers(gpu="4"), "nodeName": "n1"})
    done["status"]["phase"] = "Succeeded"
    port = {**containers(cpu="1"), "nodeName": "n1", "schedulerName": "other"}
    port["containers"][0]["ports"] = [{"hostPort": 80}]
    snap, waiting = load(
        tmp_path,
        *NODES,
        done,
        pod("a", "", port),
        pod("b", "", {**containers(cpu="1", gpu="3"), "nodeName": "n1"},
            deletionTimestamp="2026-01-01T00:00:00Z"),
        pod("c", "DaemonSet/d", {**containers(cpu="500m"), "affinity": {"nodeAffinity": required}}),
        pod("e", "", {**containers(cpu="1"), "nodeName": "vanished"}),
    )  # fmt: skip
    assert snap.free[:, 0].tolist() == [61_500, 512 * 2**30, 5]
    assert snap.slots.tolist() == [107, 110, 110]
    assert {token: rows.tolist() for token, rows in snap.tokens.items()} == {"port:TCP/80": [0]}
    assert waiting.gangs == 0
    assert read_trace(tmp_path / "out").dropped_rows == {"pod on an unknown node": 1}


def test_a_gang_that_waits(tmp_path: Path) -> None:
    """Ranks, shapes, levels, home and the minimum of what is left of it."""
    asks = containers(cpu="2", gpu="1")
    pods = [pod(f"t-{i}", "StatefulSet/t", asks) for i in (2, 1)]
    pods.append(pod("t-0", "StatefulSet/t", {**asks, "nodeName": "n10"}))
    pods.append(pod("t-3", "StatefulSet/t", {**containers(gpu="2"), "priority": 5}))
    snap, waiting = load(tmp_path, *NODES, *pods, stateful_set("t", 4, asks))
    assert waiting.key == ("StatefulSet-t",)
    assert waiting.name == ("ns/StatefulSet/t",)
    assert waiting.rank.tolist() == [1, 2, 3]
    shapes = [snap.shapes[at].requests for at in waiting.shape]
    assert shapes == [(2000, 0, 1), (2000, 0, 1), (0, 0, 2)]
    assert (waiting.minimum.tolist(), waiting.repair.tolist()) == ([3], [1])
    assert (waiting.required.tolist(), waiting.preferred.tolist()) == ([0], [0])
    assert snap.topology.path(int(waiting.home[0])) == ("s2",)
    trace = read_trace(tmp_path / "out")
    assert trace.gangs.keys == waiting.name
    assert trace.rows.count.tolist() == [2, 1]
    assert trace.rows.gpu.tolist() == [1, 2]
    assert trace.gangs.required == ("spine",)


def test_members_that_are_bound_count_towards_the_minimum_and_the_home(tmp_path: Path) -> None:
    """With 3 of min 5 bound two more are enough; home is the spine with most of them."""
    asks = containers(gpu="1")
    nodes = ["n1", "n10", "n10", None, None, None]
    pods = [
        pod(f"t-{i}", "StatefulSet/t", {**asks, "nodeName": at} if at else asks)
        for i, at in enumerate(nodes)
    ]
    found = stateful_set("t", 6, asks)
    found["spec"]["template"]["metadata"]["annotations"]["muster.dev/min-available"] = "5"
    snap, waiting = load(tmp_path, *NODES, *pods, found)
    assert (waiting.members, waiting.minimum.tolist()) == (3, [2])
    assert snap.topology.path(int(waiting.home[0])) == ("s2",)


def test_an_ordered_set_is_planned_whole_at_its_first_pod(tmp_path: Path) -> None:
    """Members that its controller withholds take their shape from the template."""
    asks = containers(gpu="1")
    found = stateful_set("t", 3, asks, policy="OrderedReady")
    snap, waiting = load(tmp_path, *NODES, pod("t-0", "StatefulSet/t", asks), found)
    assert waiting.rank.tolist() == [0, 1, 2]
    assert len(set(waiting.shape.tolist())) == 1
    assert read_cluster(tmp_path / "out").gangs[0].pods == ["t-0", "", ""]
    assert waiting.minimum.tolist() == [3]
    assert snap.shapes[0].requests == (0, 0, 1)


def test_an_incomplete_gang_is_told_and_not_planned(tmp_path: Path) -> None:
    """A parallel set with members missing waits; so does a pod without its controller."""
    one = pod("t-0", "StatefulSet/t", containers(gpu="1"))
    lost = pod("x-0", "StatefulSet/x", containers(gpu="1"))
    _, waiting = load(tmp_path, *NODES, one, lost, stateful_set("t", 3, containers(gpu="1")))
    assert waiting.gangs == 0
    assert read_cluster(tmp_path / "out").gangs[0].waits_for == 2
    assert read_trace(tmp_path / "out").dropped_rows == {
        "pod of an incomplete gang": 1,
        "pod without its controller": 1,
    }


def test_a_level_that_no_node_has_is_told(tmp_path: Path) -> None:
    """A slip in --level must not pass for a cluster without topology."""
    levels = [Level("spine", NVIDIA + "spine"), Level("rack", "example.com/rak")]
    load(tmp_path, *NODES, levels=levels)
    notes = read_cluster(tmp_path / "out").notes
    assert notes == ["level rack: no node has the label example.com/rak"]


def test_volumes_pin_their_pods(tmp_path: Path) -> None:
    """The chosen node of an unbound claim, the reach of a bound volume; unknown is told."""
    chosen = {"volume.kubernetes.io/selected-node": "n2"}
    bound = {"pv.kubernetes.io/bind-completed": "yes"}
    expression = {"key": NVIDIA + "spine", "operator": "In", "values": ["s1"]}
    reach = {"required": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}}
    pods = []
    for name, *names in (("made",), ("there",), ("far",), ("two", "made", "there")):
        volumes = [{"name": n, "persistentVolumeClaim": {"claimName": n}} for n in names or [name]]
        pods.append(pod(name, "", {**containers(cpu="1"), "volumes": volumes}))
    snap, waiting = load(
        tmp_path,
        *NODES,
        *pods,
        thing("PersistentVolumeClaim", "made", annotations=chosen),
        thing("PersistentVolumeClaim", "there", {"volumeName": "v1"}, annotations=bound),
        thing("PersistentVolumeClaim", "far", {"volumeName": "v2"}, annotations=bound),
        thing("PersistentVolume", "v1", {"nodeAffinity": reach}),
    )
    usable = [
        None if pin < 0 else [snap.names[row] for row in waiting.pins[pin]] for pin in waiting.pin
    ]
    named = dict(zip(waiting.name, usable, strict=True))
    assert named == {
        "ns/Pod/made": ["n2"],
        "ns/Pod/there": ["n1", "n2"],
        "ns/Pod/far": None,
        "ns/Pod/two": ["n2"],
    }
    assert any("v2" in text for text in read_cluster(tmp_path / "out").notes)


def test_a_malformed_object_stops_or_is_counted(tmp_path: Path) -> None:
    """One clear error that names it, or --skip-bad and a count."""
    bad = pod("bad", "", containers(gpu="lots"))
    absurd = pod("absurd", "", containers(memory="900P"))
    with pytest.raises(BadInputError, match=r"dump\.json: Pod ns/bad: .*nvidia\.com/gpu"):
        import_kubectl(save(tmp_path, *NODES, bad))
    with pytest.raises(BadInputError, match=r"Pod ns/absurd: memory is \d+, more than any"):
        import_kubectl(save(tmp_path, *NODES, absurd))
    good = pod("good", "", containers(gpu="1"))
    _, waiting = load(tmp_path, *NODES, bad, good, absurd, skip_bad=True)
    assert waiting.name == ("ns/Pod/good",)
    assert read_trace(tmp_path / "out").dropped_rows == {"malformed Pod": 2}


@pytest.mark.parametrize("text", ["", "{}", '{"kind": "Pod", "items": []}', '{"kind": "List"}'])
def test_a_file_that_is_no_dump(tmp_path: Path, text: str) -> None:
    """The error says which command makes one."""
    file = tmp_path / "dump.json"
    file.write_text(text)
    with pytest.raises(BadInputError, match="kubectl get nodes,pods"):
        import_kubectl(file)
    with pytest.raises(BadInputError, match="cannot be read"):
        import_kubectl(tmp_path / "missing.json")


def test_a_dump_without_nodes(tmp_path: Path) -> None:
    """There is nothing to plan on."""
    with pytest.raises(BadInputError, match="has no Node"):
        import_kubectl(save(tmp_path, pod("a", "", containers(gpu="1"))))


def test_levels_can_be_given(tmp_path: Path) -> None:
    """Any label is a level if one says so."""
    levels = [Level("block", NVIDIA + "leaf")]
    snap, _ = load(tmp_path, *NODES, levels=levels)
    assert snap.topology.levels == ("block",)
    assert snap.topology.domains == 2  # the leaf l1 of both spines is one block


@pytest.mark.parametrize(
    ("labels", "levels"),
    [
        ([{"fabric.topograph.run/tier-0": "a", "fabric.topograph.run/tier-10": "b"}],
         ["tier-10", "tier-0"]),
        ([{"accelerator.topograph.run/domain": "d", "fabric.topograph.run/tier-1": "b"}],
         ["tier-1", "accelerator"]),
        ([{NVIDIA + "leaf": "a"}, {NVIDIA + "core": "c", NVIDIA + "spine": "b"}],
         ["core", "spine", "leaf"]),
        ([{f"topology.k8s.aws/network-node-layer-{i}": "x" for i in (3, 1, 2)}],
         ["layer-1", "layer-2", "layer-3"]),
        ([{"cloud.google.com/gce-topology-host": "h", "cloud.google.com/gce-topology-block": "b"}],
         ["block", "host"]),
        ([{"topology.kubernetes.io/zone": "z"}], ["zone"]),
        ([{NVIDIA + "leaf": "a", "topology.kubernetes.io/zone": "z"},
          {"topology.kubernetes.io/zone": "z"}], ["leaf"]),
        ([{NVIDIA + "leaf": ""}], []),
        ([], []),
    ],
)  # fmt: skip
def test_well_known_labels(labels: list[dict[str, str]], levels: list[str]) -> None:
    """Root first, whatever the provider numbers them by; zones only if nothing else is there."""
    assert [level.name for level in detect_levels(labels)] == levels


def test_the_same_dump_gives_the_same_bytes(tmp_path: Path) -> None:
    """Import is canonical."""
    asks = containers(cpu="2", gpu="1")
    items = [*NODES, pod("t-0", "StatefulSet/t", asks), stateful_set("t", 1, asks)]
    for name in ("a", "b"):
        found = import_kubectl(save(tmp_path, *items))
        write_snapshot(found.trace, found.cluster, tmp_path / name)
    for file in sorted(path.name for path in (tmp_path / "a").iterdir()):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def spoil(directory: Path, change: Any) -> Path:
    """The snapshot with cluster.json changed, its hash corrected."""
    import hashlib

    file = directory / CLUSTER_FILE
    found = json.loads(file.read_bytes())
    change(found)
    file.write_text(json.dumps(found))
    manifest = json.loads((directory / "manifest.json").read_bytes())
    manifest["files"][CLUSTER_FILE] = hashlib.sha256(file.read_bytes()).hexdigest()
    (directory / "manifest.json").write_text(json.dumps(manifest))
    return directory


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda c: c["gangs"][0].update(minimum=3), "minimum is at most 2"),
        (lambda c: c["gangs"][0].update(ranks=[1, 1]), "ranks must rise"),
        (lambda c: c["gangs"][0].update(ranks=[]), "must be 0 each"),
        (lambda c: c["gangs"][0].update(shapes=[0, 9]), "no shape 9"),
        (lambda c: c["gangs"][0].update(pins=[0, -2]), "pins must be"),
        (lambda c: c["gangs"][0].update(required="rack"), "no level 'rack'"),
        (lambda c: c["gangs"][0].update(segment_size=2), "size and a level"),
        (lambda c: c["gangs"][0].update(priority=2**40), "<="),
        (lambda c: c["gangs"].append(c["gangs"][0]), "same key"),
        (lambda c: c["nodes"].append(c["nodes"][0]), "same name"),
        (lambda c: c["nodes"][0].update(used={"cpu": INT64_MAX + 1}), "<="),
        (lambda c: c["nodes"][0]["allocatable"].update(strange=1), "strange"),
        (lambda c: c["shapes"][0].update(requests=[1]), "no request over"),
        (lambda c: c.update(schema_version=99), "schema_version is 99"),
    ],
)
def test_a_spoilt_snapshot_is_one_error(tmp_path: Path, change: Any, told: str) -> None:
    """cluster.json written by hand is checked, and the file is named."""
    asks = containers(gpu="1")
    pods = [pod(f"t-{i}", "StatefulSet/t", asks) for i in (0, 1)]
    load(tmp_path, *NODES, *pods, stateful_set("t", 2, asks))
    with pytest.raises(BadInputError, match=told) as caught:
        load_snapshot(spoil(tmp_path / "out", change))
    assert caught.value.file.endswith(CLUSTER_FILE)


def test_a_changed_file_is_refused(tmp_path: Path) -> None:
    """The manifest names its sha256."""
    load(tmp_path, *NODES)
    (tmp_path / "out" / CLUSTER_FILE).write_text("{}")
    with pytest.raises(BadInputError, match="sha256"):
        load_snapshot(tmp_path / "out")


bound = st.tuples(st.sampled_from(["n1", "n2", "n10"]), st.integers(0, 9), st.integers(0, 12))


@given(st.lists(bound, max_size=12))
def test_free_is_allocatable_less_everything_bound(pods: list[tuple[str, int, int]]) -> None:
    """Whatever is bound, also more than there is, the columns add up."""
    from scheduler.replay.importers.kubectl import fold, read_dump
    from scheduler.replay.snapshot_dir import snapshot_of

    items = [
        pod(f"p-{i}", "", {**containers(cpu=f"{cpu}00m", gpu=str(gpu)), "nodeName": at})
        for i, (at, cpu, gpu) in enumerate(pods)
    ]
    data = msgspec.json.encode({"kind": "List", "items": [*NODES, *items]})
    cluster, _ = fold(read_dump(data), None)
    snap = snapshot_of(cluster)
    for row, name in enumerate(snap.names):
        here = [(cpu, gpu) for at, cpu, gpu in pods if at == name]
        used = np.array([sum(c * 100 for c, _ in here), 0, sum(g for _, g in here)])
        assert (snap.free[:, row] + used).tolist() == snap.allocatable[:, row].tolist()
        assert snap.slots[row] == 110 - len(here)
