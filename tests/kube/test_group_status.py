"""The status of x-k8s PodGroups, kept true from what the roster shows."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from scheduler.kube.group_status import GroupStatuses, ended_phase, phase
from scheduler.kube.transport import NO_ANSWER, Response
from scheduler.kube.writes import Ended
from scheduler.state.gang_view import OwnerRef
from scheduler.state.lifecycle import GangState
from tests.kube.told_world import SECOND, ToldWorld

OWNER = OwnerRef("scheduling.x-k8s.io/v1alpha1", "PodGroup", "ml", "pg", "uid-of-pg")

PHASES: dict[str, dict[str, Any]] = {
    "Pending": {"state": None, "bound": 0},
    "Pending ": {"state": GangState.PLANNED, "bound": 0},
    "Scheduling": {"state": GangState.BINDING, "bound": 2},
    "Scheduling ": {"state": GangState.PLACED, "bound": 4, "running": 3},
    "Unknown": {"state": GangState.DEGRADED, "bound": 2, "running": 2},
    "Running": {"state": GangState.PLACED, "bound": 4, "running": 4},
    "Running ": {"state": GangState.DEGRADED, "bound": 5, "running": 4},
}


@pytest.mark.parametrize("name", PHASES)
def test_phase(name: str) -> None:
    """The phases of the published API, by what their types say of them."""
    world = ToldWorld()
    key = world.gang("pg", 6, minimum=4)
    world.change(key, **PHASES[name])
    view = world.roster.view(key)
    assert view is not None
    assert phase(view) == name.strip()


def group(world: ToldWorld, **changes: Any) -> str:
    """A PodGroup of 4 in the roster and on the server."""
    world.server.groups["ml/pg"] = {"metadata": {"uid": OWNER.uid}, "spec": {"minMember": 4}}
    return world.gang("pg", 4, owner=OWNER, **changes)


def test_the_life_of_a_group() -> None:
    """Pending, Scheduling, Running: one write each, and none while nothing changes."""
    world = ToldWorld(pod_events_per_s=0)
    key = group(world)
    world.run(3 * SECOND)
    status = world.server.groups["ml/pg"]["status"]
    started = "2027-01-15T08:00:00Z"
    assert status == {
        "phase": "Pending", "scheduled": 0, "running": 0, "scheduleStartTime": started,
    }  # fmt: skip
    world.decide({"key": key, "n": 4})
    world.bind(key)
    world.run(3 * SECOND)
    assert (status["phase"], status["scheduled"]) == ("Scheduling", 4)
    for running in (1, 2, 3, 4):
        world.change(key, running=running)
        world.run(SECOND // 4)
    world.run(3 * SECOND)
    assert status == {
        "phase": "Running", "scheduled": 4, "running": 4, "scheduleStartTime": started,
    }  # fmt: skip
    assert world.server.count["podgroups"] == 3
    world.change(key, priority=1)
    world.run(60 * SECOND)
    assert world.server.count["podgroups"] == 3


def test_a_group_found_placed_keeps_the_time_at_which_it_started() -> None:
    """A process that starts later does not know it, and does not make one up."""
    world = ToldWorld(pod_events_per_s=0)
    key = group(world, state=GangState.PLACED, bound=4, waiting=0, was_whole=True)
    world.roster.gangs[key].waiting.clear()
    world.run(3 * SECOND)
    assert "scheduleStartTime" not in world.server.groups["ml/pg"]["status"]


def test_a_status_that_could_not_be_written_is_written_later_as_it_is_then() -> None:
    """Nothing stale, and no second request when the group is gone."""
    world = ToldWorld(pod_events_per_s=0)
    world.server.trouble = lambda _: Response(NO_ANSWER, error="reset")
    key = group(world)
    world.run(10 * SECOND)
    world.bind(key)
    world.change(key, running=4)
    world.server.trouble = lambda _: None
    world.run(120 * SECOND)
    assert world.server.groups["ml/pg"]["status"]["phase"] == "Running"
    assert world.server.count["podgroups"] == 1
    del world.server.groups["ml/pg"]
    world.change(key, running=3)
    world.run(60 * SECOND)
    assert world.server.count["podgroups"] == 2


def test_groups_of_another_api_are_left_alone() -> None:
    """scheduling.k8s.io keeps its own status."""
    world = ToldWorld(pod_events_per_s=0)
    world.gang("pg", 4, owner=OwnerRef("scheduling.k8s.io/v1beta1", "PodGroup", "ml", "pg", "u"))
    world.run(10 * SECOND)
    assert world.server.count["podgroups"] == 0


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ((3, 0, 3, 0), "Finished"),
        ((3, 1, 2, 0), ""),
        ((3, 1, 1, 1), "Failed"),
        ((3, 1, 0, 1), ""),
        ((3, 0, 4, 1), "Finished"),
        ((0, 0, 0, 0), ""),
    ],
)
def test_ended_phase(numbers: tuple[int, int, int, int], expected: str) -> None:
    """(minMember, running, succeeded, failed): enough succeeded, or too few are left."""
    assert ended_phase(*numbers) == expected


def running(world: ToldWorld) -> str:
    """A PodGroup of 4 that runs."""
    key = group(world)
    world.bind(key)
    world.change(key, running=4)
    world.run(3 * SECOND)
    assert world.server.groups["ml/pg"]["status"]["phase"] == "Running"
    return key


def finish(world: ToldWorld, *ranks: int, phase: str = "Succeeded") -> None:
    """Pods finish on the server."""
    for rank in ranks:
        world.server.pods[f"ml/pg-{rank}"]["status"]["phase"] = phase


def test_members_that_finish_are_counted_page_by_page() -> None:
    """They are not watched: a list tells how they ended, at most once in ten seconds."""
    world = ToldWorld(pod_events_per_s=0)
    key = running(world)
    finish(world, 0)
    world.change(key, bound=3, running=3, state=GangState.DEGRADED)
    world.run(3 * SECOND)
    status = world.server.groups["ml/pg"]["status"]
    assert (status["running"], status["succeeded"], status["failed"]) == (3, 1, 0)
    finish(world, 1)
    world.change(key, bound=2, running=2)
    world.run(3 * SECOND)
    assert world.server.count["lists"] == 1
    finish(world, 2, 3)
    world.roster.drop(key)
    world.run(3 * SECOND)
    assert world.server.count["lists"] == 3
    assert (status["phase"], status["running"], status["succeeded"]) == ("Finished", 0, 4)
    writes = world.server.count["podgroups"]
    world.run(60 * SECOND)
    assert world.server.count["podgroups"] == writes


def test_members_that_leave_one_by_one_are_counted_in_the_end() -> None:
    """What was too soon to be counted is counted later, without another change."""
    world = ToldWorld(pod_events_per_s=0)
    key = running(world)
    for left in (3, 2):
        finish(world, left, phase="Failed")
        world.change(key, bound=left, running=left, state=GangState.DEGRADED)
        world.run(3 * SECOND)
    assert world.server.count["lists"] == 1
    world.run(10 * SECOND)
    status = world.server.groups["ml/pg"]["status"]
    assert (status["phase"], status["failed"], status["running"]) == ("Failed", 2, 2)


def test_a_group_whose_pods_were_deleted_waits_again() -> None:
    """Nothing finished and nothing is left: Pending, and nobody runs."""
    world = ToldWorld(pod_events_per_s=0)
    key = running(world)
    world.roster.drop(key)
    world.run(3 * SECOND)
    status = world.server.groups["ml/pg"]["status"]
    assert (status["phase"], status["scheduled"], status["running"]) == ("Pending", 0, 0)
    assert (status["succeeded"], status["failed"]) == (0, 0)


def test_a_list_that_fails_is_read_again() -> None:
    """And nothing is written before that is known."""
    world = ToldWorld(pod_events_per_s=0)
    key = running(world)
    writes = world.server.count["podgroups"]
    world.server.trouble = lambda request: Response(500) if request.method == "GET" else None
    finish(world, 0, 1, 2, 3)
    world.roster.drop(key)
    world.run(5 * SECOND)
    assert world.server.count["podgroups"] == writes
    world.server.trouble = lambda _: None
    world.run(60 * SECOND)
    assert world.server.groups["ml/pg"]["status"]["phase"] == "Finished"


def test_a_group_that_is_used_again_begins_anew() -> None:
    """What ended before says nothing of the pods that wait now."""
    world = ToldWorld(pod_events_per_s=0)
    key = running(world)
    finish(world, 0, 1, 2, 3)
    world.change(key, bound=3, running=3, state=GangState.DEGRADED)
    world.run(3 * SECOND)
    status = world.server.groups["ml/pg"]["status"]
    assert status["phase"] == "Finished"
    world.change(key, bound=3, waiting=1)
    world.run(3 * SECOND)
    assert status["phase"] == "Unknown"


def test_a_write_that_ends_while_the_finished_are_counted_forgets_nothing() -> None:
    """The group is gone, its status is on its way, the list of its pods too: what it brings is
    written afterwards.
    """
    world = ToldWorld()
    key = group(world, state=GangState.PLACED, bound=4, running=4, waiting=0)
    view = world.roster.view(key)
    assert view is not None
    statuses = GroupStatuses()
    statuses.say(key, view, 0)
    write = statuses.next()
    statuses.gone(key, SECOND)
    count = statuses.next()
    assert write is not None
    assert count is not None
    write.done(Ended.DONE, b"")
    pods = [{"status": {"phase": "Succeeded"}}] * 4
    count.done(Ended.DONE, msgspec.json.encode({"items": pods}))
    last = statuses.next()
    assert last is not None
    assert b'"Finished"' in last.request.body
    last.done(Ended.DONE, b"")
    assert statuses.next() is None
