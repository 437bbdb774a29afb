"""In which order and how often things are told while a gang goes to and fro."""

from __future__ import annotations

from scheduler.state.lifecycle import GangState
from tests.kube.told_world import SECOND, ToldWorld, rejected


def test_a_gang_planned_in_vain_is_told_on() -> None:
    """Its binds came to nothing and it is rejected again: those not told yet are told now."""
    world = ToldWorld(pod_events_per_s=0)
    key = world.gang("train", 20)
    world.decide({"key": key, "n": 20})
    world.clock.advance(SECOND)
    world.pump(world.clock.now_us())
    world.pump(world.clock.now_us() + SECOND)
    world.server.poll(0)
    assert 0 < len(world.told()) < 20
    world.decide({"key": key, "n": 4})
    world.pump(world.clock.now_us())
    world.decide({"key": key, "n": 20})
    world.run(5 * SECOND)
    assert len(world.told()) == 20
    assert world.server.count == {"pods": 20, "events": 1}


def test_every_time_that_a_gang_degrades_is_told() -> None:
    """And the time from its completion to its placing is told of the first one only."""
    world = ToldWorld(pod_events_per_s=0)
    key = world.gang("train", 4)
    world.decide({"key": key, "n": 4})
    world.bind(key)
    world.run(3 * SECOND)
    for _ in range(2):
        world.change(key, state=GangState.DEGRADED, bound=3, waiting=1)
        world.run(10 * SECOND)
        world.roster.gangs[key].waiting = {3}
        world.decide({"key": key, "n": 1, "repair": True})
        world.bind(key)
        world.run(3 * SECOND)
    by_reason = {event["reason"]: event for event in world.server.events.values()}
    assert by_reason["GangDegraded"]["series"]["count"] == 2
    notes = ["4 of 4 on s2/l3 in 0.0 s", "4 of 4 on nodes"]
    assert world.server.notes("GangPlaced") == notes
    assert by_reason["GangPlaced"]["series"]["count"] == 2


def test_events_about_pods_come_after_everything_else() -> None:
    """500 members to tell: the first event about one follows the last patch."""
    world = ToldWorld()
    rejected(world)
    kinds = [request.method for request in world.server.requests]
    assert kinds[0] == "POST"
    assert kinds[1:501] == ["PATCH"] * 500
    assert set(kinds[501:]) == {"POST"}


def test_single_pods_wait_for_their_words_until_binds_are_done() -> None:
    """Thousands of them are no owners: nothing is sent about them meanwhile."""
    world = ToldWorld()
    world.idle = False
    key = world.single("web")
    world.decide({"key": key, "n": 1, "single": True}, gpu=0)
    world.run(10 * SECOND)
    assert world.server.requests == []
    world.idle = True
    world.run(3 * SECOND)
    assert world.server.count == {"pods": 1, "events": 1}
