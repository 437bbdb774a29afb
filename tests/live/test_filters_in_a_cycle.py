"""A whole cycle places a pod only where every default filter lets it pass, and there if it can.

Random cases (tests/verdicts) are told to a scheduler as the API server would tell them: intake,
roster, one cycle of the engine. Where the pod goes is held against `muster verdicts`, which random
comparisons hold against kube-scheduler.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from scheduler.app import RosterSource
from scheduler.clock import ManualClock
from scheduler.engine import Decision, Engine
from scheduler.kube.intake import Intake
from scheduler.kube.resources import ALL
from scheduler.model.audience import MEMBER_LABELS
from scheduler.model.policy import Policy
from scheduler.model.resources import ResourceOrder
from scheduler.state.cache import Cache
from scheduler.state.roster import Roster
from scheduler.state.volume_room import VolumeRoom
from scheduler.verdicts import verdicts_of
from tests.verdicts.generate import AIMS, case

Json = dict[str, Any]

CASES = 40
SEED = 20
WATCHED = {resource.kind: resource for resource in ALL}
COMPLETE = {
    *("NodeUnschedulable", "NodeName", "TaintToleration", "NodeAffinity", "NodePorts"),
    *("NodeResourcesFit", "SchedulingGates"),
    *("PodTopologySpread", "InterPodAffinity", "NodeDeclaredFeatures"),
}
"""Aims whose pods never wait where one of the nodes would do."""


class Binds:
    """The committer: names of the nodes that were decided on."""

    def __init__(self) -> None:
        self.nodes: list[str] = []

    def commit(self, decision: Decision) -> None:
        """One gang is placed."""
        self.nodes += [decision.snapshot.names[row] for row in decision.rows.tolist()]


def told(number: int, aim: str) -> Json:
    """A case in which one pod waits for this scheduler.

    Pods that are deleted before they are bound never are: no room is kept for them here.
    """
    found = case(SEED, number, aim)
    found["pod"]["spec"]["schedulerName"] = "muster"
    found["pod"]["spec"].pop("nodeName", None)
    waiting = [each for each in found["pods"] if not each["spec"].get("nodeName")]
    for each in waiting:
        each["spec"]["schedulerName"] = "other"
        if "deletionTimestamp" in each["metadata"]:
            found["pods"].remove(each)
    return found


def placed(found: Json) -> list[str]:
    """Where a scheduler that is told of the case places its pod: one node, or none."""
    cache = Cache(ResourceOrder.of(()), hidden=MEMBER_LABELS)
    roster = Roster(cache, (), gather_max_us=0)
    clock = ManualClock(1_800_000_000_000_000)
    intake = Intake(cache, roster, ("muster",), clock, lambda *_: None)
    running = [p for p in found["pods"] if p["status"].get("phase") not in ("Succeeded", "Failed")]
    pods = [("Pod", each) for each in (*running, found["pod"])]
    nodes = [("Node", each) for each in found["nodes"]]
    for kind, each in [*((o["kind"], o) for o in found["objects"]), *nodes, *pods]:
        resource = WATCHED.get(kind)
        if resource is not None:
            obj = msgspec.json.decode(msgspec.json.encode(each), type=resource.type)
            intake.put(resource, obj)
    room = VolumeRoom(cache, intake.volumes.book)
    binds = Binds()
    Engine(cache, Policy(), clock, RosterSource(roster, room), binds).cycle()
    return binds.nodes


@pytest.mark.parametrize("aim", AIMS)
def test_a_pod_goes_where_the_filters_let_it(aim: str) -> None:
    """Never to a node that a filter refuses; and to one of the others, if Muster knows the rule."""
    for number in range(CASES):
        found = told(number, aim)
        verdicts = verdicts_of(found)["verdicts"]
        names = [each["metadata"]["name"] for each in found["nodes"]]
        passing = [n for n in names if n not in verdicts and "*" not in verdicts]
        where = placed(found)
        assert set(where) <= set(passing), (found["id"], where, verdicts)
        if set(found["id"].split("-", 2)[2].split("+")) <= COMPLETE:
            assert len(where) == min(len(passing), 1), (found["id"], passing)
