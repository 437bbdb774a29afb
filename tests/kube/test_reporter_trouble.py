"""Restarts, an API server that is away, busy or refuses, and pods that are gone: what is lost."""

from __future__ import annotations

from structlog.testing import capture_logs

from scheduler.kube.transport import NO_ANSWER, Request, Response
from scheduler.state.lifecycle import GangState
from tests.kube.status_server import refusal
from tests.kube.told_world import SECOND, START, ToldWorld, rejected

MINUTE = 60 * SECOND


def test_after_a_restart_nothing_is_written_that_the_watch_has_shown() -> None:
    """Members that carry the reason already are left alone, whoever wrote it."""
    world = ToldWorld(shown=["Unschedulable"] * 499 + [""], pod_events_per_s=0)
    rejected(world)
    assert world.server.count == {"pods": 1, "events": 1}
    assert list(world.told()) == ["ml/train-499"]


def test_after_a_restart_another_reason_keeps_the_time_of_transition() -> None:
    """The pods wait since before: only the reason is new."""
    world = ToldWorld(shown=["TopologyUnsatisfied"] * 20, pod_events_per_s=0)
    rejected(world, members=20)
    assert world.server.count["pods"] == 20
    assert "lastTransitionTime" not in world.server.condition("ml/train-0")


def test_a_gang_found_whole_is_not_said_to_be_placed_again() -> None:
    """A former process has said it: a restart over thousands of gangs writes nothing."""
    world = ToldWorld()
    key = world.gang("train", 4)
    world.roster.gangs[key].waiting.clear()
    world.change(key, state=GangState.PLACED, bound=4, waiting=0, was_whole=True)
    world.run(10 * SECOND)
    assert world.server.count == {}
    world.change(key, state=GangState.DEGRADED, bound=3)
    world.run(10 * SECOND)
    condition = world.server.condition("ml/train-0", "muster.dev/GangPlaced")
    assert condition["status"] == "False"


def test_a_gang_that_is_gone_is_forgotten() -> None:
    """Nothing more is written about it, and a gang of that name starts from nothing."""
    world = ToldWorld(pod_events_per_s=0)
    key = world.gang("train", 20)
    world.decide({"key": key, "n": 20})
    world.pump(world.clock.now_us())
    world.roster.drop(key)
    world.run(3 * SECOND)
    assert world.server.count == {}
    assert world.verdicts.of(key) is None
    rejected(world, members=20)
    assert world.server.count == {"pods": 20, "events": 1}


def test_an_api_server_that_is_away_costs_nothing_that_matters() -> None:
    """Conditions come from how gangs stand when it is back, not from a queue of old words."""
    world = ToldWorld(pod_events_per_s=0)
    world.server.trouble = lambda _: Response(NO_ANSWER, error="connection refused")
    key = world.gang("train", 50)
    world.decide({"key": key, "n": 50})
    world.run(10 * MINUTE)
    tries = len(world.server.requests)
    assert tries < 40
    world.decide({"key": key, "n": 7, "required": "spine"})
    world.run(3 * SECOND)
    world.server.trouble = lambda _: None
    world.run(3 * MINUTE)
    assert len(world.told()) == 50
    assert {reason for reason, _ in world.told().values()} == {"TopologyUnsatisfied"}
    assert world.server.count["pods"] == 50


def test_a_slow_down_is_obeyed_and_nothing_is_lost() -> None:
    """429: not one request before the time that the server asked for; then all of them."""
    world = ToldWorld(pod_events_per_s=0)
    busy_until = START + 30 * SECOND

    def trouble(_: Request) -> Response | None:
        if world.clock.now_us() < busy_until:
            return Response(429, retry_after_us=20 * SECOND)
        return None

    world.server.trouble = trouble
    key = world.gang("train", 50)
    world.decide({"key": key, "n": 50})
    world.run(15 * SECOND)
    assert len(world.server.requests) == 8
    world.run(60 * SECOND)
    assert len(world.told()) == 50
    assert world.server.count == {"pods": 50, "events": 1}


def test_what_is_forbidden_is_said_once_and_stopped() -> None:
    """A role without patch on pods/status: events go on; ten minutes later one is tried again."""
    world = ToldWorld(pod_events_per_s=0)

    def trouble(request: Request) -> Response | None:
        return refusal(403, "Forbidden") if "/pods/" in request.path else None

    world.server.trouble = trouble
    with capture_logs() as logs:
        rejected(world)
        world.run(5 * MINUTE)
    assert world.server.count == {"events": 1}
    assert len(world.server.requests) == 8
    (line,) = logs
    assert line["event"].startswith("not allowed by the API server")
    assert (line["what"], line["method"]) == ("pod conditions", "PATCH")
    world.server.trouble = lambda _: None
    world.run(11 * MINUTE)
    assert len(world.told()) == 500


def test_a_namespace_that_ends_stops_nothing_else() -> None:
    """Its 403 is no missing role: other gangs are told."""
    world = ToldWorld(pod_events_per_s=0)

    def trouble(request: Request) -> Response | None:
        if "train-" in request.path:
            return refusal(403, "Forbidden", "namespace ml is being terminated")
        return None

    world.server.trouble = trouble
    rejected(world, members=20)
    rejected(world, "other", members=20)
    assert len(world.told()) == 20
    assert len(world.server.requests) == 42


def test_pods_that_are_gone_are_not_tried_again() -> None:
    """404, or another pod of that name: one request each."""
    world = ToldWorld(pod_events_per_s=0)
    key = world.gang("train", 20)
    del world.server.pods["ml/train-3"]
    world.server.pod("ml", "train-4", "another")
    world.decide({"key": key, "n": 20})
    world.run(10 * SECOND)
    assert len(world.told()) == 18
    assert world.server.count == {"pods": 20, "events": 1}


def test_writes_that_fail_together_make_one_short_pause() -> None:
    """Eight in flight are one failure, not eight; and what works makes the next pause short."""
    world = ToldWorld(pod_events_per_s=0)
    away = lambda _: Response(NO_ANSWER, error="reset")  # noqa: E731
    world.server.trouble = away
    key = world.gang("train", 50)
    world.decide({"key": key, "n": 50})
    world.run(SECOND + SECOND // 2)
    assert len(world.server.requests) == 8
    world.server.trouble = lambda _: None
    world.run(3 * SECOND)
    assert len(world.told()) == 50
    world.server.trouble = away
    other = world.gang("other", 50)
    world.decide({"key": other, "n": 50})
    world.run(SECOND + SECOND // 2)
    world.server.trouble = lambda _: None
    world.run(2 * SECOND)
    assert len(world.told()) == 100
