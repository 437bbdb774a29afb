"""Pods and their controllers become gangs with ranks, sizes and wishes."""

from __future__ import annotations

from typing import Any

import pytest

from scheduler.model.decode import Controller, Owner, Pod
from scheduler.model.gang_rules import rank_of
from scheduler.model.gangs import Found, find_gangs
from scheduler.model.shape import Shape
from scheduler.model.wishes import Level, Wishes, read_wishes

LEVELS = (Level("spine", "net/spine"), Level("leaf", "net/leaf"))


def pod(name: str, owner: str = "", kind: str = "StatefulSet", **rest: Any) -> Pod:
    """A pod `name` of controller `owner` (its UID)."""
    values: dict[str, Any] = {
        "namespace": "ns", "name": name, "uid": f"uid-{name}", "labels": {}, "annotations": {},
        "owner": Owner(kind, owner, owner) if owner else None, "node": "", "scheduler": "muster",
        "finished": False, "deleting": False, "gates": (), "priority": 0, "created_us": 0,
        "request": {}, "shape": Shape(()), "pins": None, "claims": (), "unsupported": (),
    }  # fmt: skip
    return Pod(**{**values, **rest})


def controller(uid: str, kind: str = "StatefulSet", wanted: int = 3, **rest: Any) -> Controller:
    """A controller; ordered only if it is asked for."""
    values: dict[str, Any] = {
        "namespace": "ns", "name": uid, "generation": 1, "owner": None, "first": 0,
        "ordered": False, "indexed": False, "annotations": {}, "labels": {}, "template": pod(""),
    }  # fmt: skip
    return Controller(kind=kind, uid=uid, wanted=wanted, **{**values, **rest})


def gangs(pods: list[Pod], *controllers: Controller) -> Found:
    """The gangs among these."""
    return find_gangs(pods, controllers, LEVELS)


def test_a_stateful_set_is_a_gang_in_order_of_ordinals() -> None:
    """Ranks are numbers: pod 10 comes after pod 2, wherever they stand in the list."""
    pods = [pod(f"a-{i}", "a") for i in (10, 2, 1)]
    (gang,) = gangs(pods, controller("a", wanted=11)).gangs
    assert (gang.key, gang.name) == ("a", "ns/StatefulSet/a")
    assert (gang.members, gang.ranks) == ((2, 1, 0), (1, 2, 10))
    assert (gang.wanted, gang.minimum, gang.single, gang.complete) == (11, 11, False, False)


def test_rank_comes_from_labels_before_the_name() -> None:
    """pod-index, completion index (also as annotation), worker index, then the name's suffix."""
    assert rank_of(pod("a-7", labels={"apps.kubernetes.io/pod-index": "3"})) == 3
    job = {"batch.kubernetes.io/job-completion-index": "4"}
    assert rank_of(pod("j-4-xyz", annotations=job)) == 4
    assert rank_of(pod("a-7")) == 7
    assert rank_of(pod("a-7"), suffix=False) is None
    assert rank_of(pod("a-x")) is None
    assert rank_of(pod("a-" + "9" * 5000)) is None


def test_members_that_are_gated_gone_or_finished_do_not_count() -> None:
    """They are in no gang, so the gang waits for their successors."""
    pods = [
        pod("a-0", "a"),
        pod("a-1", "a", gates=("g",)),
        pod("a-2", "a", deleting=True),
        pod("a-3", "a", finished=True),
    ]
    (gang,) = gangs(pods, controller("a", wanted=4)).gangs
    assert (gang.members, gang.complete) == ((0,), False)


def test_an_ordered_set_withholds_what_it_has_not_shown() -> None:
    """OrderedReady: the gang is complete at its first pod; `grow` promises no gang."""
    one = [pod("a-5", "a")]
    (held,) = gangs(one, controller("a", first=5, ordered=True)).gangs
    assert (held.withheld, held.complete) == ((6, 7), True)
    grow = controller("a", first=5, ordered=True, annotations={"muster.dev/ordered": "grow"})
    (grown,) = gangs(one, grow).gangs
    assert (grown.withheld, grown.complete, grown.wishes.hold) == ((), False, False)


@pytest.mark.parametrize(
    ("kind", "rest", "together"),
    [
        ("Job", {"indexed": True}, True),
        ("Job", {}, False),
        ("Job", {"annotations": {"muster.dev/gang-workload": "true"}}, True),
        ("ReplicaSet", {}, False),
        ("ReplicaSet", {"annotations": {"muster.dev/gang-workload": "true"}}, True),
        ("StatefulSet", {}, True),
    ],
)
def test_which_controllers_make_gangs(kind: str, rest: Any, *, together: bool) -> None:
    """Others' pods are singles, each with its own key."""
    pods = [pod(f"{n}", "c", kind) for n in ("x", "y", "z")]
    found = gangs(pods, controller("c", kind, **rest)).gangs
    assert len(found) == (1 if together else 3)
    assert [gang.single for gang in found] == [not together] * len(found)
    assert len({gang.key for gang in found}) == len(found)


def test_a_replica_set_has_ranks_by_name() -> None:
    """Random suffixes of digits only are no ranks."""
    annotated = controller("r", "ReplicaSet", annotations={"muster.dev/gang-workload": "true"})
    pods = [pod(f"r-{end}", "r", "ReplicaSet") for end in ("zzz", "99999", "abc")]
    (gang,) = gangs(pods, annotated).gangs
    assert (gang.members, gang.ranks) == ((1, 2, 0), (0, 1, 2))


def test_a_gang_label_joins_pods_of_any_controller() -> None:
    """Key and size come from the labels; ranks that come twice give way to 0, 1, 2."""
    labels = {"muster.dev/gang": "g", "muster.dev/gang-size": "4"}
    pods = [pod(name, name[0], labels=labels) for name in ("b-0", "a-0", "a-1")]
    (gang,) = gangs(pods, controller("a"), controller("b")).gangs
    assert (gang.key, gang.name, gang.wanted) == ("label:ns/g", "ns/Gang/g", 4)
    assert (gang.members, gang.ranks) == ((1, 0, 2), (0, 1, 2))
    assert not gang.problems


@pytest.mark.parametrize("size", ["0", "x", "", "9" * 5000, "2"])
def test_a_bad_gang_size_is_told(size: str) -> None:
    """The members that exist are the gang then."""
    labels = {"muster.dev/gang": "g", "muster.dev/gang-size": size}
    (gang,) = gangs([pod(f"p-{i}", labels=labels) for i in range(3)]).gangs
    assert gang.wanted == 3
    assert any("gang-size" in problem for problem in gang.problems)


def test_a_pod_without_its_controller_waits() -> None:
    """A known kind that is not there is no guess; an unknown kind is a single."""
    found = gangs([pod("a-0", "gone"), pod("b", "x", "Custom"), pod("c")])
    assert found.orphans == (0,)
    assert [(gang.key, gang.single) for gang in found.gangs] == [("uid-b", True), ("uid-c", True)]


def test_a_recreated_set_inherits_nothing() -> None:
    """Another UID is another gang, though the name is the same."""
    pods = [pod("a-0", "old"), pod("a-0", "new")]
    found = gangs(pods, controller("old"), controller("new")).gangs
    assert [gang.key for gang in found] == ["old", "new"]


def test_the_lowest_priority_counts_and_a_mix_is_told() -> None:
    """A gang is as urgent as its least urgent member."""
    pods = [pod("a-0", "a", priority=9), pod("a-1", "a", priority=-2), pod("a-2", "a", priority=9)]
    (gang,) = gangs(pods, controller("a")).gangs
    assert gang.priority == -2
    assert gang.problems == ("members have priorities [-2, 9]: the lowest counts",)


def test_min_available() -> None:
    """It lowers the minimum; more than wanted is told and ignored."""
    pods = [pod("a-0", "a")]
    for text, minimum, told in (("2", 2, 0), ("3", 3, 0), ("4", 3, 1), ("none", 3, 1)):
        asks = controller("a", annotations={"muster.dev/min-available": text})
        (gang,) = gangs(pods, asks).gangs
        assert (gang.minimum, len(gang.problems)) == (minimum, told)


def test_wishes() -> None:
    """Levels by name or label key, segments on the lowest level unless another is named."""
    assert read_wishes({}, LEVELS) == (Wishes(preferred=0), [])
    assert read_wishes({}, ()) == (Wishes(), [])
    asks = {
        "muster.dev/required-topology": "net/spine",
        "muster.dev/preferred-topology": "leaf",
        "muster.dev/segment-size": "16",
        "muster.dev/on-loss": "move",
    }
    wanted = Wishes(required=0, preferred=1, segment_size=16, segment_level=1, move=True)
    assert read_wishes(asks, LEVELS) == (wanted, [])
    above, _ = read_wishes({**asks, "muster.dev/segment-topology": "spine"}, LEVELS)
    assert above.segment_level == 0


def test_kueue_annotations_are_read_and_ours_win() -> None:
    """A workload moved from Kueue keeps its topology."""
    kueue = {
        "kueue.x-k8s.io/podset-required-topology": "net/leaf",
        "kueue.x-k8s.io/podset-slice-size": "4",
        "kueue.x-k8s.io/podset-slice-required-topology": "net/spine",
    }
    wanted = Wishes(required=1, preferred=0, segment_size=4, segment_level=0)
    assert read_wishes(kueue, LEVELS) == (wanted, [])
    ours, _ = read_wishes({**kueue, "muster.dev/required-topology": "spine"}, LEVELS)
    assert ours.required == 0


@pytest.mark.parametrize(
    "key",
    ["muster.dev/required-topology", "muster.dev/preferred-topology", "muster.dev/segment-size"],
)
def test_a_value_without_end_is_not_repeated_to_every_member(key: str) -> None:
    """What is told of 10,000 characters quotes the first ones and says how many there are."""
    wishes, problems = read_wishes({key: "9" * 10_000}, LEVELS)
    (told,) = [*problems, *wishes.unmet]
    assert f"annotation {key}='{'9' * 64}'... (10,000 characters) is not " in told
    assert len(told) < 250


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("muster.dev/segment-size", "0"),
        ("muster.dev/segment-size", "٤"),
        ("muster.dev/segment-size", "9" * 64),
        ("muster.dev/min-available", "-1"),
        ("muster.dev/ordered", "yes"),
        ("muster.dev/on-loss", ""),
    ],
)
def test_bad_wishes_are_told_and_ignored(key: str, value: str) -> None:
    """The sentence names the annotation, its value and what it should have been."""
    wishes, problems = read_wishes({key: value}, LEVELS)
    assert wishes == Wishes(preferred=0)
    assert len(problems) == 1
    assert problems[0].startswith(f"annotation {key}={value!r} is not ")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("muster.dev/required-topology", "rack"),
        ("kueue.x-k8s.io/podset-required-topology", "kubernetes.io/hostname"),
    ],
)
def test_a_required_level_that_nobody_knows_is_not_dropped(key: str, value: str) -> None:
    """A rule that must hold makes the gang wait; it is not ignored for being misspelt."""
    wishes, problems = read_wishes({key: value}, LEVELS)
    assert problems == []
    assert wishes.required == -1
    assert wishes.unmet == (f"annotation {key}={value!r} is not a level (spine, leaf)",)
