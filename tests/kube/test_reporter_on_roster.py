"""The reporter on the real roster, cache and planner: from pods to what they are told."""

from __future__ import annotations

from random import Random

from scheduler.clock import ManualClock
from scheduler.engine import Cycle
from scheduler.kube.batch import Outcome, Settled
from scheduler.kube.reporter import Reporter
from scheduler.model.policy import Policy
from scheduler.plan import plan
from scheduler.state.verdicts import Verdicts
from tests.kube.status_server import StatusServer, World
from tests.state.roster_helpers import Desk

SECOND = 1_000_000


class Live(World):
    """Everything but watches and binder."""

    def __init__(self) -> None:
        self.desk = Desk("s1/l1: n1 n2 | s1/l2: n3 | s2/l3: n4")
        self.verdicts = Verdicts()
        clock, server = ManualClock(self.desk.now), StatusServer()
        roster = self.desk.roster
        self.reporter = Reporter(
            server, clock, roster, self.verdicts, lambda: True, rng=Random(1),
            pod_events_per_s=0, shown=roster.told,
        )  # fmt: skip
        super().__init__(clock, server, self.reporter.pump, self.reporter.next_time_us)

    def put(self, owner: str, *ranks: int, **rest: object) -> None:
        """Pods of a StatefulSet appear, here and on the server."""
        for rank in ranks:
            name = f"{owner}-{rank}"
            if f"ns/{name}" not in self.server.pods:
                self.server.pod("ns", name, f"uid-{name}")
            self.desk.put(name, owner=owner, **rest)

    def cycle(self) -> dict[str, list[int]]:
        """Settle, plan, assume, record, and three seconds of telling."""
        self.desk.now = self.clock.now_us()
        self.desk.settle()
        cache, now = self.desk.cache, self.desk.now
        snapshot = cache.freeze(now)
        pending = cache.pending(now, snapshot, Policy())
        decided = plan(snapshot, pending, Policy(), now, tree=cache.tree)
        placed = self.desk.cycle()
        self.verdicts.record(Cycle(now, snapshot, pending, decided))
        self.run(3 * SECOND)
        return placed

    def reasons(self) -> list[str]:
        """Reasons of PodScheduled=False, by pod."""
        return [self.server.condition(pod).get("reason", "") for pod in sorted(self.server.pods)]


def test_a_set_from_its_first_pod_to_its_last_bind() -> None:
    """WaitingForMembers, then its verdict, then GangPlaced; a member lost: GangDegraded."""
    live = Live()
    live.desk.own("a", 3)
    live.put("a", 0, 1)
    live.cycle()
    assert live.reasons() == ["WaitingForMembers"] * 2
    assert live.server.condition("ns/a-0")["message"] == "2 of 3 members exist"
    live.put("a", 2)
    assert live.cycle() == {"a": [0, 1, 2]}
    live.desk.cache.send("a")
    for rank in range(3):
        node = live.desk.node(f"a-{rank}")
        live.reporter.settled(Settled("a", rank, f"uid-a-{rank}", Outcome.BOUND, node=node))
        live.put("a", rank, node=node)
    live.cycle()
    assert live.server.condition("ns/a-0", "muster.dev/GangPlaced")["status"] == "True"
    assert len(live.server.notes("GangPlaced")) == 1
    live.desk.drop("a-0")
    live.cycle()
    live.run(10 * SECOND)
    condition = live.server.condition("ns/a-1", "muster.dev/GangPlaced")
    assert (condition["status"], condition["reason"]) == ("False", "GangDegraded")
    assert live.server.notes("GangDegraded") == ["2 of 3 members are on nodes"]


def test_a_set_that_does_not_fit_and_is_deleted() -> None:
    """Every pod hears the reason once; the gang leaves nothing behind."""
    live = Live()
    live.desk.own("a", 40)
    live.put("a", *range(40))
    live.cycle()
    live.cycle()
    assert set(live.reasons()) == {"Unschedulable"}
    assert live.server.count == {"pods": 40, "events": 1}
    live.desk.drop(*(f"a-{rank}" for rank in range(40)))
    live.cycle()
    assert live.verdicts.of("a") is None
    assert live.server.count == {"pods": 40, "events": 1}


def test_a_pod_on_its_own() -> None:
    """Found too big, then gone."""
    live = Live()
    live.server.pod("ns", "solo", "uid-solo")
    live.desk.put("solo", unsupported=("volumes",))
    live.cycle()
    assert live.reasons() == ["Unsupported"]
    (event,) = live.server.events.values()
    assert (event["reason"], event["regarding"]["name"]) == ("FailedScheduling", "solo")
