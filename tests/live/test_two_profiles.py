"""Two schedulerNames in one process: levels and policies of their own, one set of nodes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.clock import ManualClock
from scheduler.config import LevelConfig, ProfileConfig
from scheduler.errors import NotFoundError, UsageError
from scheduler.kube.resources import NODES, PODS, STATEFUL_SETS
from scheduler.kube.transport import Request, Response
from scheduler.serve.explain import explain
from scheduler.serve.views import Scene
from scheduler.state.invariants import check_invariants
from scheduler.state.roster_check import check_roster
from tests.live.cluster import LEVELS, Cluster, Object, Scheduler
from tests.live.objects import add_nodes, member, node_of, single, stateful_set

T = TypeVar("T")

RACK = LevelConfig(name="rack", label="net/rack")
PROFILES = (
    ProfileConfig(scheduler_name="muster", levels=LEVELS),
    ProfileConfig(scheduler_name="racks", levels=(RACK,), pack="spine"),
)
NAMES = [profile.scheduler_name for profile in PROFILES]
GPUS = 8
SPINES, EACH, RACKS = 2, 4, 4


def racked() -> Cluster:
    """Two spines of four nodes; four racks, each of one node of either spine."""
    cluster = Cluster(ManualClock(10_000_000))
    add_nodes(cluster, SPINES, EACH, GPUS)
    for at, node in enumerate(cluster.objects[NODES.plural].values()):
        node["metadata"]["labels"]["net/rack"] = f"r{at % RACKS}"
    return cluster


def started(cluster: Cluster, seed: int = 1) -> Scheduler:
    """A scheduler that is in step."""
    scheduler = Scheduler(cluster, seed, profiles=PROFILES)
    scheduler.turns(20)
    assert scheduler.app.loop.synced
    return scheduler


def gang(
    cluster: Cluster, name: str, count: int, scheduler: str, level: str = "", gpus: int = GPUS
) -> Object:
    """A StatefulSet whose pods name a scheduler."""
    notes = {"muster.dev/required-topology": level} if level else {}
    owner = stateful_set(cluster, name, count, notes=notes)
    for rank in range(count):
        member(cluster, owner, rank, schedulerName=scheduler, **_asks(gpus))
    return owner


def _asks(gpus: int) -> dict[str, Any]:
    requests = {"cpu": "1", "nvidia.com/gpu": str(gpus)}
    return {"containers": [{"name": "main", "resources": {"requests": requests}}]}


def where(cluster: Cluster, name: str, count: int, label: str) -> set[str]:
    """Domains of the members' nodes; empty text for who has none."""
    nodes = [node_of(cluster, f"{name}-{rank}") for rank in range(count)]
    known = cluster.objects[NODES.plural]
    return {known[f"/{node}"]["metadata"]["labels"][label] if node else "" for node in nodes}


def told(cluster: Cluster, pod: str) -> tuple[str, str]:
    """(reason, message) of its condition PodScheduled."""
    conditions = cluster.objects["pods"][f"team/{pod}"]["status"]["conditions"]
    (found,) = [each for each in conditions if each["type"] == "PodScheduled"]
    return found["reason"], found["message"]


class Here:
    """A loop that answers at once."""

    def ask(self, question: Callable[[], T]) -> T:
        """See `protocol.Loop`."""
        return question()


def test_each_gang_is_placed_by_the_levels_of_its_profile() -> None:
    """A spine is four nodes in four racks; a rack is two nodes in two spines."""
    cluster = racked()
    scheduler = started(cluster)
    gang(cluster, "rack", 2, "racks", "rack")
    scheduler.seconds(1)
    gang(cluster, "train", 3, "muster", "spine")
    scheduler.seconds(1)
    assert len(where(cluster, "rack", 2, "net/rack")) == 1
    assert where(cluster, "rack", 2, "net/spine") == {"s0", "s1"}
    assert len(where(cluster, "train", 3, "net/spine")) == 1
    notes = [cluster.objects["pods"][f"team/{n}-0"]["metadata"]["annotations"]
             for n in ("rack", "train")]  # fmt: skip
    assert [note["muster.dev/placed-domain"] for note in notes] == ["r0", "s0"]
    check_invariants(scheduler.app.cache)


def test_one_profile_sees_what_the_other_took_in_the_same_turn() -> None:
    """Both want all nodes: the first of the file goes, the other when that has ended."""
    cluster = racked()
    scheduler = started(cluster)
    gang(cluster, "second", 8, "racks")
    gang(cluster, "first", 8, "muster")
    scheduler.seconds(3)
    assert {bind.split()[0].rpartition("-")[0] for bind in cluster.binds} == {"team/first"}
    reason, message = told(cluster, "second-0")
    assert (reason, message.split(";")[0].startswith("0 of 8")) == ("Unschedulable", True)
    cluster.delete(STATEFUL_SETS, "team/first")
    for rank in range(8):
        cluster.delete(PODS, f"team/first-{rank}")
    scheduler.seconds(1)
    assert len(cluster.binds) == 16
    check_invariants(scheduler.app.cache)


@pytest.mark.parametrize(("scheduler", "spine"), [("muster", "s1"), ("tight", "s0")])
def test_each_profile_packs_in_its_way(scheduler: str, spine: str) -> None:
    """Three fit in one leaf of an empty spine, or fill the spine that is almost full."""
    cluster = Cluster(ManualClock(10_000_000))
    add_nodes(cluster, 2, 8, GPUS)
    for at in (0, 1, 4, 5, 6):
        single(cluster, f"theirs-{at}", schedulerName="theirs", nodeName=f"n{at}", gpus=GPUS)
    tight = ProfileConfig(scheduler_name="tight", levels=LEVELS, pack="spine")
    turned = Scheduler(cluster, profiles=(PROFILES[0], tight))
    turned.turns(20)
    gang(cluster, "three", 3, scheduler)
    turned.seconds(1)
    assert where(cluster, "three", 3, "net/spine") == {spine}


def test_a_level_of_the_other_profile_is_no_level() -> None:
    """It waits, and says which levels there are."""
    cluster = racked()
    scheduler = started(cluster)
    gang(cluster, "lost", 2, "racks", "spine")
    scheduler.seconds(3)
    reason, message = told(cluster, "lost-0")
    assert reason == "Unsupported"
    assert message.endswith("='spine' is not a level (rack)")
    assert cluster.binds == []


def test_pods_of_a_third_name_are_nobodys() -> None:
    """They take room where they are bound, and nothing is done for them."""
    cluster = racked()
    scheduler = started(cluster)
    single(cluster, "theirs", schedulerName="default-scheduler")
    for name in NAMES:
        single(cluster, f"of-{name}", schedulerName=name)
    scheduler.seconds(2)
    assert [node_of(cluster, f"of-{name}") != "" for name in NAMES] == [True, True]
    assert node_of(cluster, "theirs") == ""


def test_what_is_shown_names_the_scheduler() -> None:
    """Rows, explanations and the numbers of each profile; places by its own levels."""
    cluster = racked()
    scheduler = started(cluster)
    owner = gang(cluster, "rack", 2, "racks", "rack")
    gang(cluster, "more", 9, "racks")
    gang(cluster, "train", 3, "muster", "spine")
    scheduler.seconds(2)
    answers = scheduler.app.answers()
    answers._loop = Here()
    assert {row["gang"]: row["scheduler"] for row in answers.gangs()} == {
        "team/StatefulSet/rack": "racks", "team/StatefulSet/more": "racks",
        "team/StatefulSet/train": "muster",
    }  # fmt: skip
    assert answers.status()["profiles"] == [
        {"scheduler": "muster", "domains": {"spine": 2, "leaf": 4}, "queued": 0},
        {"scheduler": "racks", "domains": {"rack": 4}, "queued": 1},
    ]
    app = scheduler.app
    view = app.roster.view(owner["metadata"]["uid"])
    assert view is not None
    scene = Scene(app.cache, app.roster, app.verdicts, 0, app.binder.unsettled, app.schedulers)
    doc = explain(scene, view)
    assert (doc["scheduler"], doc["wishes"]["required"]) == ("racks", "rack")
    assert [level["level"] for level in doc["placed"]] == ["rack"]


def test_a_snapshot_is_of_one_profile() -> None:
    """Its levels and gangs; waiting pods of the other are counted, not written."""
    cluster = racked()
    scheduler = started(cluster)
    gang(cluster, "rack", 2, "racks", "rack")
    scheduler.seconds(1)
    gang(cluster, "here", 9, "racks")
    gang(cluster, "there", 9, "muster")
    single(cluster, "bad", schedulerName="muster", gpus=9)
    scheduler.seconds(1)
    app = scheduler.app
    files = dict(app._snapshot(Here(), "racks"))
    doc = json.loads(files["cluster.json"])
    assert [level["name"] for level in doc["levels"]] == ["rack"]
    assert [entry["name"] for entry in doc["gangs"]] == ["team/StatefulSet/here"]
    assert doc["profile"]["scheduler_name"] == "racks"
    assert doc["profile"]["pack"] == "spine"
    assert doc["notes"] == ["10 waiting pods of other schedulers of the process left out"]
    manifest = json.loads(files["manifest.json"])
    assert manifest["dropped_rows"]["waiting pod of another scheduler"] == 10
    used = {node["name"]: node.get("used", {}).get("nvidia.com/gpu", 0) for node in doc["nodes"]}
    assert sum(used.values()) == 2 * GPUS
    assert "there" in {
        entry["name"].split("/")[2]
        for entry in json.loads(dict(app._snapshot(Here(), "muster"))["cluster.json"])["gangs"]
    }
    with pytest.raises(UsageError, match="name it with --scheduler: muster, racks"):
        app._snapshot(Here(), "")
    with pytest.raises(NotFoundError, match="no scheduler is called other here"):
        app._snapshot(Here(), "other")


Step = tuple[str, int, int, int]
STEPS = st.lists(
    st.tuples(
        st.sampled_from("ggggdnrw"), st.integers(1, 9), st.integers(0, 2), st.integers(0, 1)
    ),
    min_size=4,
    max_size=12,
)  # fmt: skip


class Story:
    """Random gangs of both profiles come and go; answers get lost; the scheduler restarts."""

    def __init__(self) -> None:
        self.cluster = racked()
        self.scheduler = started(self.cluster)
        self.there: dict[str, tuple[int, str, str]] = {}
        self.count = 0

    def step(self, kind: str, size: int, level: int, profile: int) -> None:
        """g: a gang comes; d: one goes; n: a node comes; r: a restart; w: watches end."""
        if kind == "g":
            names = [["", "spine", "leaf"], ["", "rack", "rack"]][profile]
            name = f"g{self.count}"
            self.count += 1
            gang(self.cluster, name, size, NAMES[profile], names[level], gpus=3 * level + 2)
            self.there[name] = (size, names[level], NAMES[profile])
        elif kind == "d" and self.there:
            name = sorted(self.there)[size % len(self.there)]
            count, _, _ = self.there.pop(name)
            self.cluster.delete(STATEFUL_SETS, f"team/{name}")
            for rank in range(count):
                self.cluster.delete(PODS, f"team/{name}-{rank}")
        elif kind == "n":
            self.count += 1
            add_nodes(self.cluster, 1, 1, GPUS, first=100 + self.count)
        elif kind == "r":
            self.scheduler = started(self.cluster, seed=size)
        elif kind == "w":
            self.cluster.drop_watches()
        self.scheduler.seconds(0.2 * level)
        self.check()

    def check(self) -> None:
        """No node has more than it can bear, and model and roster are sound."""
        taken: Counter[str] = Counter()
        for pod in self.cluster.objects["pods"].values():
            requests = pod["spec"]["containers"][0]["resources"]["requests"]
            taken[pod["spec"].get("nodeName", "")] += int(requests.get("nvidia.com/gpu", 0))
        del taken[""]
        assert max(taken.values(), default=0) <= GPUS
        check_invariants(self.scheduler.app.cache)
        check_roster(self.scheduler.app.roster)

    def end(self) -> None:
        """Whoever has nodes has them all, in one domain of the level that was required."""
        self.cluster.faults = lambda _: None
        self.scheduler.seconds(120)
        self.check()
        labels = {"spine": "net/spine", "leaf": "net/leaf", "rack": "net/rack"}
        for name, (count, level, _) in self.there.items():
            nodes = [node_of(self.cluster, f"{name}-{rank}") for rank in range(count)]
            assert all(nodes) or not any(nodes)
            if level and all(nodes):
                assert len(where(self.cluster, name, count, labels[level])) == 1


@given(steps=STEPS, lost=st.sets(st.integers(0, 40), max_size=8))
@settings(max_examples=40)
def test_room_is_shared_exactly_whatever_happens(steps: list[Step], lost: set[int]) -> None:
    """Two profiles, answers of binds that get lost, watches that end, restarts."""
    story = Story()
    asked = 0

    def faults(request: Request) -> Response | None:
        nonlocal asked
        if "binding" not in request.path:
            return None
        asked += 1
        return Response(0, error="connection reset") if asked in lost else None

    story.cluster.faults = faults
    for step in steps:
        story.step(*step)
    story.end()
