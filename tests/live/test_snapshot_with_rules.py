"""A snapshot of a scheduler whose gangs have rules about other pods is planned as it would plan."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from scheduler.clock import ManualClock
from scheduler.engine import Cycle
from scheduler.kube.resources import NAMESPACES
from scheduler.model import pod_constraints
from scheduler.model.availability import lines_of
from scheduler.replay.plan_once import _gang_row, _members, plan_once
from scheduler.replay.snapshot_dir import read_cluster
from tests.live.cluster import Cluster, Object, Scheduler
from tests.live.objects import add_nodes, member, single, stateful_set

T = TypeVar("T")
Rows = list[dict[str, Any]]

HOST = "kubernetes.io/hostname"
SPINE = "net/spine"


class Directly:
    """The loop of a test: the question is answered at once."""

    def ask(self, question: Callable[[], T], /) -> T:
        """What it returns."""
        return question()


class Watched:
    """Before each cycle a snapshot is taken; both plans are kept, row by row."""

    def __init__(self, cluster: Cluster, out: Path) -> None:
        self.scheduler = Scheduler(cluster)
        self.out = out
        self.cycles: list[tuple[Rows, Rows]] = []
        """(rows of the cycle, rows of its snapshot), of cycles that tried somebody."""
        engine = self.scheduler.app.loop.parts.engine
        self._cycle = engine.cycle
        engine.cycle = self.cycle  # type: ignore[method-assign]

    def cycle(self, profile: int = 0) -> Cycle:
        """One of the engine's, compared with what `muster plan` makes of a snapshot before it."""
        app, now = self.scheduler.app, self.scheduler.app.clock.now_us()
        app.roster.settle(now)
        directory = self.out / str(len(self.cycles))
        directory.mkdir(parents=True, exist_ok=True)
        for name, data in app._snapshot(Directly(), ""):
            (directory / name).write_bytes(data)
        cycle = self._cycle(profile)
        live = rows_of(cycle)
        if live:
            self.cycles.append((live, planned(directory, [row["gang"] for row in live])))
        return cycle


def rows_of(cycle: Cycle) -> Rows:
    """What the cycle decided, in `muster plan`'s own rows, and where members go."""
    snapshot, pending, plan = cycle.snapshot, cycle.pending, cycle.plan
    lines = lines_of(snapshot, pending, plan)
    rows = []
    for g in plan.order.tolist():
        row = _gang_row(snapshot, pending, plan, g, [], lines[g])
        where = _members(snapshot, pending, plan, pending.name[g], [], {})
        rows.append({**row, "where": where if plan.placed[g] else []})
    return rows


def planned(directory: Path, gangs: list[str]) -> Rows:
    """The same of a snapshot: those gangs that the cycle tried."""
    rows = [row for row in plan_once(directory, None) if row["gang"] in gangs]
    return [
        {**row, "where": plan_once(directory, row["gang"]) if row["placed"] else []} for row in rows
    ]


def affinity(kind: str, key: str, app: str, **term: Any) -> Object:
    """Required affinity or anti-affinity to pods with this label."""
    selector = {"labelSelector": {"matchLabels": {"app": app}}, "topologyKey": key, **term}
    return {"affinity": {kind: {"requiredDuringSchedulingIgnoredDuringExecution": [selector]}}}


def spread(key: str, app: str) -> Object:
    """At most one more of these pods in one value of the key than in another."""
    rule = {
        "maxSkew": 1, "topologyKey": key, "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": app}},
    }  # fmt: skip
    return {"topologySpreadConstraints": [rule]}


def gang(cluster: Cluster, name: str, size: int, **spec: Any) -> None:
    """A set whose pods are labelled with its name."""
    owner = stateful_set(cluster, name, size)
    containers = [{"name": "main", "resources": {"requests": {"cpu": "1", "nvidia.com/gpu": "2"}}}]
    for rank in range(size):
        made = member(cluster, owner, rank, **{"containers": containers, **spec})
        made["metadata"]["labels"]["app"] = name


@pytest.fixture
def cluster() -> Cluster:
    """Four spines of four nodes; pods run there that rules of others mean, and that mean others."""
    found = Cluster(ManualClock(10_000_000))
    add_nodes(found, 4, 4)
    labelled = {"name": "team", "labels": {"tier": "prod"}}
    found.put(NAMESPACES, {"metadata": labelled})
    node = found.objects["nodes"]["/n3"]
    node["status"]["declaredFeatures"] = [pod_constraints.RESTART_ALL]
    for at, name in enumerate(("base", "base", "lonely")):
        pod = single(found, f"{name}{at}", nodeName=f"n{5 * at}", schedulerName="other")
        pod["metadata"]["labels"] = {"app": name}
    lonely = found.objects["pods"]["team/lonely2"]
    lonely["spec"] |= affinity("podAntiAffinity", SPINE, "apart")
    return found


def test_live_cycles_are_planned_alike_offline(cluster: Cluster, tmp_path: Path) -> None:
    """Anti-affinity, affinity and spread, of its own and of others: the same rows, twice over."""
    watched = Watched(cluster, tmp_path)
    gang(cluster, "apart", 4, **affinity("podAntiAffinity", HOST, "apart"))
    prod = {"namespaceSelector": {"matchLabels": {"tier": "prod"}}}
    gang(cluster, "near", 3, **affinity("podAffinity", SPINE, "base", **prod))
    gang(cluster, "even", 6, **spread(SPINE, "even"))
    gang(cluster, "widely", 5, **affinity("podAntiAffinity", SPINE, "widely"))
    gang(cluster, "nowhere", 2, **affinity("podAffinity", HOST, "nobody"))
    restart = {"name": "main", "restartPolicyRules": [{"action": "RestartAllContainers"}]}
    gang(cluster, "declared", 2, containers=[restart])
    watched.scheduler.turns(40)
    gang(cluster, "later", 4, **affinity("podAffinity", SPINE, "even"))
    gang(cluster, "odd", 2, **affinity("podAntiAffinity", SPINE, "apart"))
    watched.scheduler.turns(40)
    assert len(watched.cycles) >= 2
    for live, offline in watched.cycles:
        assert live == offline
    decided = {row["gang"].split("/")[2]: row for live, _ in watched.cycles for row in live}
    assert {name for name, row in decided.items() if row["verdict"] != "fits"} == {
        "widely", "nowhere",
    }  # fmt: skip
    assert {row["node"] for row in decided["declared"]["where"]} == {"n3"}
    spines = {name: {each["spine"] for each in row["where"]} for name, row in decided.items()}
    assert len(spines["even"]) == 4
    assert "s2" not in spines["apart"]
    assert spines["near"] <= {"s0", "s1"}
    assert spines["odd"].isdisjoint(spines["apart"])
    assert decided["nowhere"]["available"] == (
        "0/16 nodes are available: 12 node(s) didn't match pod affinity rules,"
        " 4 Insufficient nvidia.com/gpu."
    )


def test_marks_and_features_stand_in_the_file(cluster: Cluster, tmp_path: Path) -> None:
    """Only marks that somebody reads, each with its pods per node."""
    watched = Watched(cluster, tmp_path)
    gang(cluster, "wide", 17, **affinity("podAntiAffinity", HOST, "base"))
    watched.scheduler.turns(40)
    file = read_cluster(tmp_path / "0")
    (mark,) = file.marks
    assert '"base"' in mark
    assert {node.name: node.marks for node in file.nodes if node.marks} == {
        "n0": {"0": 1},
        "n5": {"0": 1},
    }
    assert {node.name: node.features for node in file.nodes if node.features} == {
        "n3": [pod_constraints.RESTART_ALL]
    }
