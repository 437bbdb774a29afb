"""What was last decided of each gang: told on demand, since when, and only while it exists."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from scheduler.engine import Cycle
from scheduler.model.plan import Verdict
from scheduler.model.policy import Policy
from scheduler.model.reasons import PodReason
from scheduler.model.wishes import Wishes
from scheduler.plan import plan
from scheduler.state.gang_view import GangView, OwnerRef
from scheduler.state.lifecycle import GangState
from scheduler.state.standing import standing
from scheduler.state.verdicts import Told, Verdicts
from tests import builders

SECOND = 1_000_000
CLUSTER = "s1/l1: n1 n2 | s1/l2: n3 | s2/l3: n4 n5"


def cycle(now_us: int, *specs: Mapping[str, Any], gpu: int = 2) -> Cycle:
    """What the planner says to gangs of one-GPU members on five nodes of `gpu` GPUs."""
    snap = builders.snapshot(CLUSTER, gpu=gpu)
    pending = builders.gangs(snap, specs)
    return Cycle(now_us, snap, pending, plan(snap, pending, Policy(), now_us))


def told(verdicts: Verdicts, key: str) -> Told:
    """What was told of a gang that was tried."""
    answer = verdicts.of(key)
    assert answer is not None
    return answer


def test_a_rejection_is_told_with_and_without_numbers() -> None:
    """The sentence has the numbers of the plan, the short text has none."""
    verdicts = Verdicts()
    verdicts.record(cycle(7, {"key": "a", "n": 11}))
    answer = told(verdicts, "a")
    assert answer.reason is PodReason.UNSCHEDULABLE
    assert answer.sentence == "10 of 11 fit in the whole cluster, 1 short of nvidia.com/gpu"
    assert answer.short == (
        "the nodes that may be used have too little room: short of nvidia.com/gpu"
    )
    assert (answer.since_us, answer.cycle_us) == (7, 7)
    assert answer.rejection is not None
    assert answer.rejection.fit == 10
    assert verdicts.rejected("a")


def test_room_that_no_domain_has_is_another_reason() -> None:
    """TopologyUnsatisfied names the level; an autoscaler that knows domains hears Unschedulable."""
    spec = {"key": "a", "n": 7, "required": "spine"}
    verdicts, domains = Verdicts(), Verdicts(autoscaler_domains=True)
    verdicts.record(cycle(1, spec))
    domains.record(cycle(1, spec))
    assert told(verdicts, "a").reason is PodReason.TOPOLOGY_UNSATISFIED
    assert told(verdicts, "a").short == "there is room, but no spine that holds the gang"
    assert told(domains, "a").reason is PodReason.UNSCHEDULABLE


def test_a_member_without_a_place_beside_the_others_makes_the_gang_degraded() -> None:
    """For late members of a gang on nodes, a full home is no matter of topology alone."""
    verdicts = Verdicts()
    late = {"key": "a", "n": 7, "min": 7, "required": "spine", "repair": True}
    verdicts.record(cycle(1, late))
    assert told(verdicts, "a").reason is PodReason.GANG_DEGRADED
    verdicts.record(cycle(2, {**late, "n": 11, "min": 11}))
    assert told(verdicts, "a").reason is PodReason.UNSCHEDULABLE


def test_since_moves_with_the_reason_and_not_with_the_numbers() -> None:
    """Another cycle with other numbers is the same answer, told later."""
    verdicts = Verdicts()
    verdicts.record(cycle(1, {"key": "a", "n": 12}))
    verdicts.record(cycle(2, {"key": "a", "n": 12}, gpu=1))
    answer = told(verdicts, "a")
    assert (answer.since_us, answer.cycle_us) == (1, 2)
    assert answer.sentence.startswith("5 of 12 fit")
    verdicts.record(cycle(3, {"key": "a", "n": 7, "required": "spine"}))
    assert told(verdicts, "a").since_us == 3


@pytest.mark.parametrize(
    ("members", "where"), [(2, "s1/l2"), (4, "s2/l3"), (6, "s1"), (10, "2 spines")]
)
def test_where_a_gang_was_placed(members: int, where: str) -> None:
    """The lowest common domain by its path, or how many of the topmost level."""
    verdicts = Verdicts()
    verdicts.record(cycle(1, {"key": "a", "n": members}))
    answer = told(verdicts, "a")
    assert answer.domain == where
    assert answer.reason is None
    assert answer.placed == members
    assert answer.sentence == f"{members} of {members} on {where}"
    assert not verdicts.rejected("a")


def test_only_changed_answers_are_news() -> None:
    """Rejected again is no news; another reason and every placing is."""
    verdicts = Verdicts()
    verdicts.record(cycle(1, {"key": "a", "n": 12}, {"key": "b", "n": 7, "required": "spine"}))
    assert verdicts.changed() == ["a", "b"]
    assert verdicts.changed() == []
    verdicts.record(cycle(2, {"key": "a", "n": 12}, {"key": "b", "n": 7, "required": "spine"}))
    assert verdicts.changed() == []
    verdicts.record(cycle(3, {"key": "a", "n": 1}))
    verdicts.record(cycle(4, {"key": "a", "n": 1, "repair": True}))
    assert verdicts.changed() == ["a"]
    verdicts.record(cycle(5, {"key": "a", "n": 1, "repair": True}))
    assert verdicts.changed() == ["a"]


def test_a_gang_that_was_not_tried_keeps_its_answer() -> None:
    """The budget was used up: nothing new is known."""
    verdicts = Verdicts()
    verdicts.record(cycle(1, {"key": "a", "n": 12}))
    again = cycle(2, {"key": "a", "n": 1}, {"key": "b", "n": 1})
    nobody = np.full(2, Verdict.NOT_TRIED, np.int8)
    verdicts.record(replace(again, plan=replace(again.plan, verdict=nobody)))
    assert told(verdicts, "a").cycle_us == 1
    assert verdicts.of("b") is None
    assert not verdicts.rejected("b")


def test_a_forgotten_gang_leaves_nothing() -> None:
    """Its row is used again, by a gang that inherits nothing; the news of it is gone too."""
    verdicts = Verdicts()
    verdicts.record(cycle(1, {"key": "a", "n": 12}))
    verdicts.forget("a")
    verdicts.forget("never seen")
    assert verdicts.of("a") is None
    assert verdicts.changed() == []
    assert len(verdicts) == 0
    verdicts.record(cycle(9, {"key": "b", "n": 12}))
    assert told(verdicts, "b").since_us == 9


def test_many_gangs_outgrow_the_first_columns() -> None:
    """Every gang has its own answer, however many there are and whoever left in between."""
    verdicts = Verdicts()
    for batch in range(3):
        specs = [{"key": f"g{i}", "n": 11 + i} for i in range(batch * 40, batch * 40 + 60)]
        verdicts.record(cycle(batch, *specs))
        for i in range(batch * 40, batch * 40 + 10):
            verdicts.forget(f"g{i}")
    assert len(verdicts) == 140 - 30
    for i in range(90, 140):
        assert told(verdicts, f"g{i}").sentence.startswith(f"10 of {11 + i} fit")
    assert "g0" not in verdicts
    assert "g10" in verdicts


def test_an_empty_cycle_is_counted() -> None:
    """Nobody was worth trying: the cycle happened all the same."""
    verdicts = Verdicts()
    verdicts.record(cycle(1))
    assert verdicts.cycles == 1
    assert verdicts.changed() == []


def view(**changes: Any) -> GangView:
    """A pending StatefulSet of 4, none of it on nodes."""
    values: dict[str, Any] = {
        "key": "u",
        "name": "ml/StatefulSet/train",
        "namespace": "ml",
        "owner": OwnerRef("apps/v1", "StatefulSet", "ml", "train", "u"),
        "state": GangState.PENDING,
        "wanted": 4,
        "minimum": 4,
        "waiting": 4,
        "bound": 0,
        "single": False,
        "priority": 0,
        "wishes": Wishes(),
        "unsupported": (),
        "problems": (),
        "since_us": 0,
        "was_whole": False,
    }
    return GangView(**(values | changes))


REJECTED = Told(PodReason.UNSCHEDULABLE, "3 of 4 fit", "too little", "", 0, 1, 1, None)
PLACED = Told(None, "4 of 4 on s1", "", "s1", 4, 1, 1, None)

STANDING: dict[str, tuple[dict[str, Any], Told | None, tuple[str, str] | None]] = {
    "rejected": ({}, REJECTED, ("Unschedulable", "3 of 4 fit")),
    "not tried yet": ({}, None, None),
    "placed": ({"state": GangState.BINDING}, PLACED, None),
    "nobody waits": ({"waiting": 0, "bound": 4, "state": GangState.DEGRADED}, REJECTED, None),
    "members missing": (
        {"state": GangState.WAITING, "waiting": 3},
        REJECTED,
        ("WaitingForMembers", "3 of 4 members exist"),
    ),
    "members missing, unknown to the cache": (
        {"state": None, "waiting": 1},
        None,
        ("WaitingForMembers", "1 of 4 members exist"),
    ),
    "its owner is gone": (
        {"state": None, "waiting": 4, "problems": ("its owner StatefulSet train is gone",)},
        None,
        ("WaitingForMembers", "its owner StatefulSet train is gone"),
    ),
    "all there, not looked at yet": (
        {"state": GangState.WAITING},
        None,
        ("WaitingForMembers", "waiting for the other members of the gang"),
    ),
    "a rule that is not honoured": (
        {"state": None, "unsupported": ("podAffinity", "volumes")},
        None,
        ("Unsupported", "not placed because of what is not supported: podAffinity, volumes"),
    ),
    "a pod that is no gang waits for nobody": ({"single": True, "state": None}, None, None),
}


@pytest.mark.parametrize("row", STANDING.values(), ids=STANDING)
def test_standing(row: tuple[dict[str, Any], Told | None, tuple[str, str] | None]) -> None:
    """Why members wait: what is missing first, then what was decided."""
    changes, answer, expected = row
    got = standing(view(**changes), answer)
    assert (None if got is None else (got.reason, got.sentence)) == expected
