"""Rules between pods in a cluster's dump: the plan of it is the running scheduler's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from scheduler.model.policy import Policy
from scheduler.plan import plan
from scheduler.replay.importers.kubectl import fold, read_dump
from scheduler.replay.importers.kubectl_rules import NO_NAMESPACES
from scheduler.replay.plan_once import plan_once
from scheduler.replay.snapshot_dir import pending_of, read_cluster, snapshot_of
from tests.live.test_filters_in_a_cycle import placed, told
from tests.replay.test_import_kubectl import containers, load, node, pod, thing

NODES = [node(f"n{at}", f"s{at // 2}", f"l{at}") for at in range(4)]
SPINE = "network.topology.nvidia.com/spine"
HOST = "kubernetes.io/hostname"


def affinity(kind: str, key: str, app: str, **term: Any) -> Any:
    """Required affinity or anti-affinity to pods with this label."""
    selector = {"labelSelector": {"matchLabels": {"app": app}}, "topologyKey": key, **term}
    return {"affinity": {kind: {"requiredDuringSchedulingIgnoredDuringExecution": [selector]}}}


def there(name: str, at: str, space: str = "ns", spec: Any = None) -> Any:
    """A pod on a node, labelled with its name."""
    spec = {**containers(cpu="1"), "nodeName": at, **(spec or {})}
    return pod(name, "", spec, labels={"app": name}, namespace=space)


def asks(name: str, **spec: Any) -> Any:
    """A pod that waits, labelled with its name."""
    return pod(name, "", {**containers(cpu="1"), **spec}, labels={"app": name})


def nodes_of(path: Path, *items: Any) -> dict[str, str]:
    """Where each waiting pod goes; empty if nowhere."""
    load(path, *NODES, *items)
    out = path / "out"
    where = {}
    for row in plan_once(out, None):
        name = row["gang"].rpartition("/")[2]
        where[name] = plan_once(out, row["gang"])[0]["node"] if row["placed"] else ""
    return where


def test_pods_on_nodes_count_both_ways(tmp_path: Path) -> None:
    """Away from those it avoids and from those that avoid it, near those it wants to be near."""
    assert nodes_of(
        tmp_path,
        there("db", "n0"),
        there("hermit", "n2", spec=affinity("podAntiAffinity", SPINE, "guest")),
        asks("cache", **affinity("podAntiAffinity", SPINE, "db")),
        asks("guest"),
        asks("reader", **affinity("podAffinity", HOST, "db")),
        asks("lost", **affinity("podAffinity", HOST, "nobody")),
    ) == {"cache": "n2", "guest": "n0", "reader": "n0", "lost": ""}  # fmt: skip


def test_members_keep_apart_and_spread(tmp_path: Path) -> None:
    """A gang of pods like each other: one per spine is room for two, not for three."""
    owner = {"labels": {"muster.dev/gang": "g", "muster.dev/gang-size": "3", "app": "g"}}
    items = [
        pod(f"g-{at}", "", {**containers(cpu="1"), **affinity("podAntiAffinity", SPINE, "g")},
            **owner)
        for at in range(3)
    ]  # fmt: skip
    load(tmp_path, *NODES, *items)
    (row,) = plan_once(tmp_path / "out", None)
    assert (row["verdict"], row["why"].partition(";")[0]) == (
        "does not fit",
        "2 of 3 fit in the whole cluster, 1 short of spines to keep apart in",
    )


@pytest.mark.parametrize("known", [True, False])
def test_labels_of_namespaces_decide_who_is_meant(tmp_path: Path, *, known: bool) -> None:
    """From the Namespaces of the dump; without any they have no labels, and that is told."""
    spaces = [thing("Namespace", "far", labels={"tier": "prod"})] if known else []
    for space in spaces:
        space["metadata"].pop("namespace")
    term = {"namespaceSelector": {"matchLabels": {"tier": "prod"}}}
    where = nodes_of(
        tmp_path,
        *spaces,
        there("db", "n3", "far"),
        asks("reader", **affinity("podAffinity", HOST, "db", **term)),
    )
    assert where == {"reader": "n3" if known else ""}
    notes = read_cluster(tmp_path / "out").notes
    assert notes == ([] if known else [NO_NAMESPACES])


def test_only_marks_that_are_read_are_in_the_file(tmp_path: Path) -> None:
    """A dump without rules has none; with one, nodes count the pods that it means."""
    load(tmp_path, *NODES, there("db", "n0"), asks("other"))
    file = read_cluster(tmp_path / "out")
    assert (file.marks, [node.marks for node in file.nodes]) == ([], [{}] * 4)
    (tmp_path / "b").mkdir()
    pods = [there("db", "n1"), there("db", "n1"), there("hermit", "n2")]
    load(tmp_path / "b", *NODES, *pods, asks("cache", **affinity("podAntiAffinity", HOST, "db")))
    file = read_cluster(tmp_path / "b" / "out")
    assert len(file.marks) == 1
    assert {node.name: node.marks for node in file.nodes if node.marks} == {"n1": {"0": 2}}


def test_what_is_not_checked_of_volumes_is_told(tmp_path: Path) -> None:
    """Zones and limits, and claims that have no volume yet."""
    mount = {"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]}
    load(tmp_path, *NODES, asks("a", **mount), thing("PersistentVolumeClaim", "data"))
    (row,) = plan_once(tmp_path / "out", None)
    assert row["why"] == "not checked: claims without a volume, zones and limits of volumes"
    assert (row["verdict"], row["available"]) == ("fits", "")


@pytest.mark.parametrize("aim", ["InterPodAffinity", "PodTopologySpread", "NodeDeclaredFeatures"])
def test_a_dump_is_planned_as_the_running_scheduler_would(aim: str) -> None:
    """Random clusters aimed at a rule: the pod goes to the node to which a live cycle sends it."""
    compared = 0
    for number in range(60):
        found = told(number, aim)
        found["pods"] = [each for each in found["pods"] if each["spec"].get("nodeName")]
        items = [*found["objects"], *found["nodes"], *found["pods"], found["pod"]]
        kinds = {"nodes": "Node", "pods": "Pod"}
        for place, kind in kinds.items():
            for each in found[place]:
                each["kind"] = kind
        found["pod"]["kind"] = "Pod"
        dump = read_dump(msgspec.json.encode({"kind": "List", "items": items}))
        if dump.problems:
            continue
        file, _ = fold(dump, ())
        gangs = [gang for gang in file.gangs if gang.pods == [found["pod"]["metadata"]["name"]]]
        if not gangs or gangs[0].unsupported:
            continue
        snapshot = snapshot_of(file)
        pending = pending_of(file, snapshot)
        rows = plan(snapshot, pending, Policy(), 0).row
        names = [snapshot.names[row] for row in rows.tolist() if row >= 0]
        assert names == placed(found), found["id"]
        compared += 1
    assert compared > 30
