"""Numbering members: stated ranks, ranks that contradict each other, members that have a place."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.model.decode import ObjectError
from scheduler.model.gangs import find_gangs
from scheduler.model.groups import Group, decode_pod_group
from scheduler.model.objects import Metadata, PodGroupObject, PodGroupSpec
from scheduler.model.ranks import NO_RANK, number_members
from tests.model.test_decode_gangs import LEVELS, controller, pod


def numbered(stated: list[int], placed: list[int] | None = None) -> tuple[list[int], list[bool]]:
    """(ranks, in the way) of members named p0, p1, .."""
    column = np.array(stated, np.int32)
    kept = np.array(placed or [NO_RANK] * len(stated), np.int32)
    ranks, amiss = number_members(column, kept, lambda i: f"p{i}")
    return ranks.tolist(), [] if amiss is None else amiss.tolist()


@pytest.mark.parametrize(
    ("stated", "placed", "ranks", "amiss"),
    [
        ([5, 2, 9], None, [5, 2, 9], []),
        ([1, 1, 0], None, [1, 2, 0], [True, True, False]),
        ([-1, 3], None, [1, 0], [True, False]),
        ([0, 1, 0], [0, 1, -1], [0, 1, 2], [True, False, True]),
        ([0, 1, 2], [2, -1, -1], [2, 1, 0], []),
        ([], None, [], []),
    ],
)
def test_numbers(
    stated: list[int], placed: list[int] | None, ranks: list[int], amiss: list[bool]
) -> None:
    """Stated ranks; else by rank and name; who has a place keeps his number."""
    assert numbered(stated, placed) == (ranks, amiss)


@given(st.lists(st.tuples(st.integers(-1, 6), st.booleans()), max_size=8), st.randoms())
def test_numbers_are_distinct_and_placed_members_keep_theirs(
    members: list[tuple[int, bool]], random: Random
) -> None:
    """Whatever members say, and whatever numbers they were given before."""
    free = list(range(12))
    random.shuffle(free)
    placed = [free.pop() if has else NO_RANK for _, has in members]
    ranks, amiss = numbered([stated for stated, _ in members], placed)
    assert len(set(ranks)) == len(members)
    assert all(rank >= 0 for rank in ranks)
    assert all(rank == had for rank, had in zip(ranks, placed, strict=True) if had >= 0)
    stated = [rank for rank, _ in members]
    assert bool(amiss) == (NO_RANK in stated or len(set(stated)) < len(stated))


def test_contradictory_ranks_of_a_set_are_told() -> None:
    """A StatefulSet's pods have ordinals; pods of a label gang need not."""
    index = "apps.kubernetes.io/pod-index"
    pods = [pod(f"a-{i}", "a", labels={index: "0"}) for i in range(2)]
    (gang,) = find_gangs(pods, [controller("a", wanted=2)], LEVELS).gangs
    assert gang.ranks == (0, 1)
    text = "ranks of a-0, a-1 are missing or come twice: members are numbered 0, 1, 2, .."
    assert gang.problems == (text,)


def test_a_pod_group_is_found_before_labels_and_controllers() -> None:
    """Where PodGroups are read; without its object the pod waits."""
    labels = {"scheduling.x-k8s.io/pod-group": "pg", "muster.dev/gang": "g"}
    pods = [pod(f"a-{i}", "a", labels=labels) for i in range(3)]
    group = Group("ns", "pg", "uid-pg", 1, 2)
    (gang,) = find_gangs(pods, (), LEVELS, [group]).gangs
    assert (gang.key, gang.name, gang.wanted, gang.minimum, gang.single) == (
        "uid-pg", "ns/PodGroup/pg", 3, 2, False,
    )  # fmt: skip
    assert find_gangs(pods, (), LEVELS, []).orphans == (0, 1, 2)
    assert find_gangs(pods, (), LEVELS).gangs[0].key == "label:ns/g"


@pytest.mark.parametrize(("given", "least"), [(None, 1), (0, 1), (7, 7)])
def test_pod_groups_are_decoded(given: int | None, least: int) -> None:
    """minMember is at least one."""
    meta = Metadata(name="pg", namespace="ns", uid="u", generation=3)
    found = PodGroupObject(metadata=meta, spec=PodGroupSpec(min_member=given))
    assert decode_pod_group(found) == Group("ns", "pg", "u", 3, least)


@pytest.mark.parametrize(("name", "least"), [("", 1), ("pg", -1), ("pg", 10**7)])
def test_bad_pod_groups_are_named(name: str, least: int) -> None:
    """Without a name, or of an absurd size."""
    meta = Metadata(name=name, namespace="ns")
    with pytest.raises(ObjectError, match="PodGroup ns/"):
        decode_pod_group(PodGroupObject(metadata=meta, spec=PodGroupSpec(min_member=least)))
