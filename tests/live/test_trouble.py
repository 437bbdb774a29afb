"""What goes wrong between binds, watches and owners, seen from outside: nothing dies or spins."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest

from scheduler.clock import ManualClock
from scheduler.config import GatherConfig
from scheduler.kube.resources import PODS, STATEFUL_SETS
from scheduler.kube.transport import Done, Request, Response
from scheduler.settings_file import Duration
from scheduler.state.invariants import check_invariants
from tests.live.cluster import Cluster, Nothing, Scheduler
from tests.live.objects import add_nodes, member, members, node_of, single, stateful_set

REFUSED = Response(403, b'{"kind":"Status","message":"no"}')
DELETING = Response(409, b'{"kind":"Status","code":409,"message":"pod train-0 is being deleted"}')


class SlowCluster(Cluster):
    """Answers of binds are kept back where `keeps` says so; the work is not done."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock)
        self.keeps: Callable[[Request], bool] = lambda _: False
        self.kept: list[Done] = []

    def send(self, request: Request, done: Done) -> Nothing:
        """See Transport."""
        if "/binding" in request.path and self.keeps(request):
            self.kept.append(done)
            return Nothing()
        return super().send(request, done)


@pytest.fixture
def cluster() -> SlowCluster:
    """Four spines of four nodes with eight GPUs."""
    found = SlowCluster(ManualClock(10_000_000))
    add_nodes(found, 4, 4)
    return found


def started(cluster: Cluster) -> Scheduler:
    """A scheduler that is in step."""
    scheduler = Scheduler(cluster, gather=_gather(50_000, 1_000_000))
    scheduler.turns(20)
    assert scheduler.app.loop.synced
    return scheduler


def turns_in(scheduler: Scheduler, seconds: float) -> int:
    """How often the loop turns in so much time; twice a second if there is nothing to do."""
    clock, count = scheduler.cluster.clock, 0
    until = clock.now_us() + int(seconds * 1e6)
    while clock.now_us() < until:
        scheduler.app.loop.turn()
        count += 1
    return count


def test_a_late_refusal_of_a_former_member_leaves_its_successor_alone(
    cluster: SlowCluster,
) -> None:
    """Its rank is another pod's by now, whose bind is on its way and keeps its room."""
    scheduler = started(cluster)
    cluster.keeps = lambda request: "train-0" in request.path
    train = stateful_set(cluster, "train", 2)
    members(cluster, train, 2)
    scheduler.turns(20)
    assert len(cluster.kept) == 1
    cluster.delete(PODS, "team/train-0")
    member(cluster, train, 0)
    scheduler.turns(20)
    assert len(cluster.kept) == 2
    cluster.kept[0](REFUSED)
    scheduler.seconds(5)
    assert len(cluster.kept) == 2
    assert scheduler.app.cache.book.get(train["metadata"]["uid"]).assumed == 1
    check_invariants(scheduler.app.cache)


def test_a_pod_that_another_has_bound_and_that_ends_counts_until_it_is_gone(
    cluster: SlowCluster,
) -> None:
    """Our bind is told that it is being deleted; it still runs where the watch has shown it."""
    scheduler = started(cluster)
    cluster.keeps = lambda _: True
    pod = single(cluster, "train-0", gpus=8)
    scheduler.turns(20)
    pod["spec"]["nodeName"] = "n5"
    cluster.put(PODS, pod)
    scheduler.turns(5)
    pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    cluster.put(PODS, pod)
    scheduler.turns(5)
    cluster.kept[0](DELETING)
    scheduler.turns(5)
    assert len(scheduler.app.cache.pods_on("n5")) == 1
    cluster.delete(PODS, "team/train-0")
    scheduler.turns(5)
    assert len(scheduler.app.cache.pods_on("n5")) == 0
    check_invariants(scheduler.app.cache)


def test_one_round_of_refusals_costs_a_gang_one_back_off(cluster: SlowCluster) -> None:
    """Sixteen members are refused together: that is one failure, not sixteen."""
    scheduler = started(cluster)
    seen: set[str] = set()

    def faults(request: Request) -> Response | None:
        if "binding" not in request.path or request.path in seen:
            return None
        seen.add(request.path)
        return REFUSED

    cluster.faults, cluster.does = faults, False
    members(cluster, stateful_set(cluster, "train", 16), 16)
    scheduler.seconds(4)
    assert len(cluster.binds) == 16
    check_invariants(scheduler.app.cache)


def test_refusals_round_after_round_back_off_longer_and_longer(cluster: SlowCluster) -> None:
    """A gang that is always refused is tried after 1, 2, 4, .. seconds."""
    scheduler = started(cluster)
    tried: list[int] = []

    def faults(request: Request) -> Response | None:
        if "train-0/binding" in request.path:
            tried.append(cluster.clock.now_us())
        return REFUSED if "binding" in request.path else None

    cluster.faults, cluster.does = faults, False
    members(cluster, stateful_set(cluster, "train", 4), 4)
    scheduler.seconds(40)
    waits = [(later - earlier) // 1_000_000 for earlier, later in pairwise(tried)]
    assert waits == [1, 2, 4, 8, 16]


def test_an_owner_that_goes_while_more_members_are_awaited_does_not_spin(
    cluster: SlowCluster,
) -> None:
    """The end of `gather.max` passes without an owner: nobody waits for it any more."""
    scheduler = started(cluster)
    train = stateful_set(cluster, "train", 4, notes={"muster.dev/min-available": "2"})
    members(cluster, train, 3)
    scheduler.seconds(0.1)
    assert scheduler.app.roster.awaits_members
    cluster.delete(STATEFUL_SETS, "team/train")
    scheduler.seconds(5)
    assert cluster.binds == []
    assert turns_in(scheduler, 10) < 100
    assert not scheduler.app.roster.awaits_members


def test_events_that_are_forbidden_do_not_spin(cluster: SlowCluster) -> None:
    """Per-pod events wait for the role to be mended; the loop sleeps."""
    scheduler = started(cluster)
    forbidden = Response(403, b'{"kind":"Status","message":"forbidden"}')
    cluster.faults = lambda request: forbidden if "/events" in request.path else None
    cluster.does = False
    for number in range(20):
        single(cluster, f"alone-{number}")
    scheduler.seconds(5)
    assert node_of(cluster, "alone-19")
    assert turns_in(scheduler, 10) < 100


def test_gathering_does_not_spin(cluster: SlowCluster) -> None:
    """Room that appears while members arrive is no reason to turn before the window ends."""
    scheduler = Scheduler(cluster, gather=_gather(20_000_000, 30_000_000))
    scheduler.turns(20)
    single(cluster, "before")
    scheduler.turns(20)
    members(cluster, stateful_set(cluster, "slow", 50), 1)
    members(cluster, stateful_set(cluster, "fast", 2), 2)
    cluster.delete(PODS, "team/before")
    scheduler.turns(20)
    assert turns_in(scheduler, 10) < 100
    scheduler.seconds(12)
    assert node_of(cluster, "fast-1")


def test_lost_members_that_are_planned_in_turn_need_no_other_event(cluster: SlowCluster) -> None:
    """One goes back beside its mate first; the lost segment follows though nothing happens."""
    scheduler = started(cluster)
    train = stateful_set(cluster, "train", 4, notes={"muster.dev/segment-size": "2"})
    members(cluster, train, 4)
    scheduler.seconds(2)
    assert len(cluster.binds) == 4
    for rank in (1, 2, 3):
        cluster.delete(PODS, f"team/train-{rank}")
    members(cluster, train, 3, first=1)
    scheduler.seconds(5)
    assert len(cluster.binds) == 7
    check_invariants(scheduler.app.cache)


@pytest.mark.xfail(strict=True, reason="lost members beside mates are planned before all others")
def test_a_lost_segment_does_not_wait_for_a_member_that_finds_no_place(
    cluster: SlowCluster,
) -> None:
    """Rank 1 has lost its leaf to somebody else; ranks 2 and 3 have room, as a segment."""
    scheduler = started(cluster)
    train = stateful_set(cluster, "train", 4, notes={"muster.dev/segment-size": "2"})
    members(cluster, train, 4)
    scheduler.seconds(2)
    for rank in (1, 2, 3):
        cluster.delete(PODS, f"team/train-{rank}")
    single(cluster, "other", gpus=8, nodeName="n1")
    scheduler.seconds(1)
    members(cluster, train, 3, first=1)
    scheduler.seconds(10)
    assert node_of(cluster, "train-1") == ""
    assert node_of(cluster, "train-2")
    assert node_of(cluster, "train-3")


def _gather(quiet_us: int, max_us: int) -> GatherConfig:
    return GatherConfig(quiet_us=Duration(quiet_us), max_us=Duration(max_us))
