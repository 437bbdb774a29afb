"""The whole live scheduler on an API server in memory: what it binds, when, and what it says."""

from __future__ import annotations

import pytest

from scheduler.clock import ManualClock
from scheduler.config import GatherConfig
from scheduler.kube.resources import NODES, PODS, STATEFUL_SETS, X_POD_GROUPS
from scheduler.kube.transport import Request, Response
from scheduler.settings_file import Duration
from scheduler.state.invariants import check_invariants
from tests.live.cluster import Cluster, Scheduler
from tests.live.objects import add_nodes, member, members, node_of, single, stateful_set


@pytest.fixture
def cluster() -> Cluster:
    """Four spines of four nodes with eight GPUs."""
    found = Cluster(ManualClock(10_000_000))
    add_nodes(found, 4, 4)
    return found


def started(cluster: Cluster) -> Scheduler:
    """A scheduler that is in step."""
    scheduler = Scheduler(cluster)
    scheduler.turns(20)
    assert scheduler.app.loop.synced
    return scheduler


def test_a_gang_goes_to_one_spine_in_the_order_of_its_ranks(cluster: Cluster) -> None:
    """Four members fill a spine, neighbours in rank are neighbours in name."""
    scheduler = started(cluster)
    members(cluster, stateful_set(cluster, "train", 4), 4)
    scheduler.turns(20)
    assert [node_of(cluster, f"train-{rank}") for rank in range(4)] == ["n0", "n1", "n2", "n3"]
    pod = cluster.objects["pods"]["team/train-1"]
    assert pod["metadata"]["annotations"] == {
        "muster.dev/placed-gang": "team/StatefulSet/train",
        "muster.dev/placed-rank": "1",
        "muster.dev/placed-domain": "s0",
    }
    check_invariants(scheduler.app.cache)


def test_nothing_is_bound_before_all_members_exist(cluster: Cluster) -> None:
    """Three of four wait, however long; the fourth starts all."""
    scheduler = started(cluster)
    train = stateful_set(cluster, "train", 4)
    members(cluster, train, 3)
    scheduler.seconds(60)
    assert cluster.binds == []
    member(cluster, train, 3)
    scheduler.turns(20)
    assert len(cluster.binds) == 4


def test_pods_wait_for_their_owner_and_are_no_singles(cluster: Cluster) -> None:
    """The pods come before the watch shows the set, which is then read with GET."""
    scheduler = started(cluster)
    train = stateful_set(cluster, "train", 2)
    pods = [member(cluster, train, rank) for rank in range(2)]
    cluster.lag("statefulsets")
    scheduler.turns(3)
    assert cluster.binds == []
    scheduler.seconds(5)
    assert len(cluster.binds) == len(pods)


def test_a_pod_whose_owner_is_gone_is_never_bound_and_stops_nobody(cluster: Cluster) -> None:
    """Its owner answers 404; a single pod beside it is bound."""
    scheduler = started(cluster)
    train = stateful_set(cluster, "train", 1)
    cluster.delete(STATEFUL_SETS, "team/train")
    member(cluster, train, 0)
    single(cluster, "alone")
    scheduler.seconds(30)
    assert node_of(cluster, "train-0") == ""
    assert node_of(cluster, "alone")


def test_a_pod_group_is_read_as_soon_as_pods_name_one(cluster: Cluster) -> None:
    """Its definition comes while the scheduler runs; the next look at discovery is not awaited."""
    scheduler = started(cluster)
    cluster.served.add(X_POD_GROUPS.plural)
    meta = {"name": "mesh", "namespace": "team"}
    cluster.put(X_POD_GROUPS, {"metadata": meta, "spec": {"minMember": 2}})
    for rank in range(2):
        pod = single(cluster, f"mesh-{rank}")
        pod["metadata"]["labels"] = {"scheduling.x-k8s.io/pod-group": "mesh"}
        cluster.put(PODS, pod)
    scheduler.seconds(8)
    assert len(cluster.binds) == 2


def test_what_does_not_fit_starts_by_itself_when_nodes_come(cluster: Cluster) -> None:
    """17 members on 16 nodes: none is bound; a 17th node starts all."""
    scheduler = started(cluster)
    members(cluster, stateful_set(cluster, "big", 17), 17)
    scheduler.seconds(5)
    assert cluster.binds == []
    told = cluster.objects["pods"]["team/big-0"]["status"]["conditions"][0]
    assert (told["type"], told["status"], told["reason"]) == (
        "PodScheduled", "False", "Unschedulable",
    )  # fmt: skip
    add_nodes(cluster, 1, 1, first=16)
    scheduler.seconds(1)
    assert len(cluster.binds) == 17


def test_of_two_gangs_with_room_for_one_exactly_one_goes_whole(cluster: Cluster) -> None:
    """The other follows when the first is deleted."""
    scheduler = started(cluster)
    first, second = stateful_set(cluster, "a", 9), stateful_set(cluster, "b", 9)
    members(cluster, first, 9)
    members(cluster, second, 9)
    scheduler.seconds(5)
    assert {bind.split()[0][:6] for bind in cluster.binds} == {"team/a"}
    assert len(cluster.binds) == 9
    cluster.delete(STATEFUL_SETS, "team/a")
    for rank in range(9):
        cluster.delete(PODS, f"team/a-{rank}")
    scheduler.seconds(1)
    assert len(cluster.binds) == 18


@pytest.mark.parametrize("does", [True, False])
def test_an_unknown_outcome_is_sent_again_until_it_is_settled(cluster: Cluster, does: bool) -> None:
    """Every first answer is lost, whether the bind landed or not: no pod is bound elsewhere."""
    scheduler = started(cluster)
    seen: set[str] = set()

    def faults(request: Request) -> Response | None:
        if request.method != "POST" or "binding" not in request.path or request.path in seen:
            return None
        seen.add(request.path)
        return Response(0, error="connection reset")

    cluster.faults, cluster.does = faults, does
    members(cluster, stateful_set(cluster, "train", 8), 8)
    scheduler.seconds(60)
    assert sorted(bind.split()[0] for bind in cluster.binds) == [
        f"team/train-{n}" for n in range(8)
    ]
    assert scheduler.app.binder.idle
    check_invariants(scheduler.app.cache)


def test_a_refused_bind_gives_the_room_back_and_is_tried_again_later(cluster: Cluster) -> None:
    """403 once: the pod is bound after a back-off, and nothing is counted twice."""
    scheduler = started(cluster)
    refused: list[str] = []

    def faults(request: Request) -> Response | None:
        if "binding" in request.path and not refused:
            refused.append(request.path)
            return Response(403, b'{"kind":"Status","message":"no"}')
        return None

    cluster.faults, cluster.does = faults, False
    single(cluster, "alone")
    while not refused:
        scheduler.turns(1)
    scheduler.turns(1)
    assert cluster.binds == []
    scheduler.seconds(5)
    assert len(cluster.binds) == 1
    check_invariants(scheduler.app.cache)


def test_watches_that_end_are_taken_up_again(cluster: Cluster) -> None:
    """The server closes every watch; what is created afterwards is bound."""
    scheduler = started(cluster)
    cluster.drop_watches()
    members(cluster, stateful_set(cluster, "train", 4), 4)
    scheduler.seconds(10)
    assert len(cluster.binds) == 4


def test_a_restart_binds_nothing_twice_and_finds_what_is_placed(cluster: Cluster) -> None:
    """A second scheduler over the same cluster sees the gang as placed, and places the next."""
    first = started(cluster)
    members(cluster, stateful_set(cluster, "a", 4), 4)
    first.turns(20)
    second = started(cluster)
    members(cluster, stateful_set(cluster, "b", 4), 4)
    second.turns(20)
    assert len(cluster.binds) == 8
    nodes = [bind.split()[1] for bind in cluster.binds]
    assert len(set(nodes)) == 8
    view = second.app.roster.view(cluster.objects["statefulsets"]["team/a"]["metadata"]["uid"])
    assert view is not None
    assert (view.bound, view.state) == (4, "placed")


def test_a_young_node_takes_a_gang_when_it_has_settled(cluster: Cluster) -> None:
    """Nodes younger than nodeSettle take none; nothing else must happen for the gang to go."""
    scheduler = Scheduler(cluster, node_settle_us=5_000_000)
    scheduler.turns(20)
    for name in list(cluster.objects["nodes"]):
        cluster.delete(NODES, name)
    scheduler.turns(5)
    add_nodes(cluster, 1, 2)
    members(cluster, stateful_set(cluster, "pair", 2), 2)
    scheduler.seconds(1)
    assert cluster.binds == []
    scheduler.seconds(6)
    assert len(cluster.binds) == 2


def test_a_gang_on_its_way_is_waited_for_but_not_for_long(cluster: Cluster) -> None:
    """While members of an incomplete gang arrive, a complete one waits for the quiet window."""
    scheduler = Scheduler(cluster, gather=_gather(quiet_us=500_000, max_us=2_000_000))
    scheduler.turns(20)
    slow, fast = stateful_set(cluster, "slow", 50), stateful_set(cluster, "fast", 2)
    members(cluster, slow, 1)
    members(cluster, fast, 2)
    begun = cluster.clock.now_us()
    for rank in range(1, 40):
        member(cluster, slow, rank)
        scheduler.turns(1)
        if cluster.clock.now_us() - begun > 400_000:
            break
    assert cluster.binds == []
    scheduler.seconds(1)
    assert len(cluster.binds) == 2


def test_a_gang_by_label_on_its_way_is_waited_for_too(cluster: Cluster) -> None:
    """Who is missing is known from the label alone; a complete gang waits for the quiet window."""
    scheduler = Scheduler(cluster, gather=_gather(quiet_us=2_000_000, max_us=5_000_000))
    scheduler.turns(20)
    first = single(cluster, "ring-0")
    first["metadata"]["labels"] = {"muster.dev/gang": "ring", "muster.dev/gang-size": "3"}
    cluster.put(PODS, first)
    members(cluster, stateful_set(cluster, "fast", 2), 2)
    scheduler.seconds(0.3)
    assert cluster.binds == []
    scheduler.seconds(3)
    assert len(cluster.binds) == 2


def test_stopping_sends_nothing_new(cluster: Cluster) -> None:
    """After stop() no bind is sent, whoever waits."""
    scheduler = started(cluster)
    members(cluster, stateful_set(cluster, "train", 4), 4)
    scheduler.app.loop.stop()
    scheduler.turns(20)
    assert cluster.binds == []


def _gather(quiet_us: int, max_us: int) -> GatherConfig:
    return GatherConfig(quiet_us=Duration(quiet_us), max_us=Duration(max_us))
