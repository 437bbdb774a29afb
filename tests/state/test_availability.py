"""kube-scheduler's line is counted when it is asked for, once for gangs alike, and rarely."""

from __future__ import annotations

import pytest

from scheduler.model.audience import Audience, Scope, Who, mark_of
from scheduler.model.availability import available
from scheduler.model.constraints import Requirement
from scheduler.model.pod_rules import Near, PodRules
from scheduler.model.shape import Shape
from scheduler.model.snapshot import Snapshot
from scheduler.state import availability
from scheduler.state.availability import LINES, Availability
from tests.state.helpers import ONE_GPU, cache_of, gang, i32, spec

SECOND = 1_000_000
FULL = "0/2 nodes are available: 2 Insufficient nvidia.com/gpu."


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[Shape]:
    """Shapes that a line was counted for."""
    shapes: list[Shape] = []

    def count(shape: Shape, nodes: Snapshot) -> str:
        shapes.append(shape)
        return available(shape, nodes)

    monkeypatch.setattr(availability, "available", count)
    return shapes


def test_gangs_alike_share_a_line(counted: list[Shape]) -> None:
    """A thousand of them cost one count; a gang that is not in the queue has none."""
    cache = cache_of("s1/l1: n1 n2", gpu=0)
    for at in range(1000):
        cache.enqueue(gang(str(at), 2))
    lines = Availability(cache)
    assert {lines.of(str(at), 5) for at in range(1000)} == {FULL}
    assert counted == [ONE_GPU]
    assert lines.of("nobody", 5) == ""


def test_what_most_members_ask_for_is_told() -> None:
    """Of a gang of several shapes."""
    cache = cache_of("s1/l1: n1 n2", gpu=4)
    big = cache.shape(Shape((0, 0, 5)))
    cache.enqueue(gang("a", 3, shape=i32(0, big, big)))
    assert Availability(cache).of("a", 5) == FULL


def test_the_nodes_are_those_of_now(counted: list[Shape]) -> None:
    """After a cycle at once; within a second of the last look, without one, as they stood."""
    cache = cache_of("s1/l1: n1 n2", gpu=4)
    cache.enqueue(gang("a", 9))
    lines = Availability(cache)
    assert lines.of("a", 5) == "2/2 nodes are available to a single member."
    cache.upsert_pod("other", "n1", Shape((0, 0, 4)))
    assert lines.of("a", 6).startswith("2/2")
    cache.freeze(7)
    now = "1/2 nodes are available to a single member: 1 Insufficient nvidia.com/gpu."
    assert lines.of("a", 8) == now
    cache.upsert_pod("another", "n2", Shape((0, 0, 4)))
    assert lines.of("a", 8 + SECOND) == FULL
    assert len(counted) == 3


def test_who_comes_after_the_last_look_is_looked_at_anew() -> None:
    """His shape, and the marks that his rules read, are not in the snapshot yet."""
    cache = cache_of("s1/l1: n1 n2", gpu=4)
    cache.enqueue(gang("a", 9))
    lines = Availability(cache)
    lines.of("a", 5)
    seen = mark_of(Audience((Scope((Requirement("app", "In", ("db",)),), ("ns",)),)))
    near = PodRules(near=Near(("kubernetes.io/hostname",), seen, own=False))
    db = cache.shape(ONE_GPU, Who("ns", (("app", "db"),)))
    cache.upsert_node(spec("n1", ("s1", "l1"), labels={"kubernetes.io/hostname": "n1"}))
    cache.upsert_pod("db", "n1", db)
    kind = cache.shape(Shape((0, 0, 1), rules=near), Who("ns", ()))
    cache.enqueue(gang("b", 1, shape=kind))
    assert lines.of("b", 6) == (
        "1/2 nodes are available to a single member: 1 node(s) didn't match pod affinity rules."
    )


def test_no_more_than_a_few_are_counted_per_second(counted: list[Shape]) -> None:
    """Who must know is told; others read an older line, or none."""
    cache = cache_of("s1/l1: n1 n2", gpu=0)
    for at in range(LINES + 5):
        cache.enqueue(gang(str(at), 1, shape=cache.shape(Shape((at, 0, 1)))))
    lines = Availability(cache)
    told = [lines.of(str(at), 5) for at in range(LINES + 5)]
    assert [bool(line) for line in told] == [True] * LINES + [False] * 5
    assert lines.of(str(LINES), 6, must=True) == FULL
    assert len(counted) == LINES + 1
    later = [lines.of(str(at), 5 + SECOND) for at in range(LINES + 5)]
    assert all(later[: LINES + 1])
    assert len(counted) == 2 * LINES + 1
    assert not any(lines.of(str(at), 6 + SECOND) for at in range(LINES + 1, LINES + 5))
