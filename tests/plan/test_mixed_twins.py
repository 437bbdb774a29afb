"""The search kernels compute what their twins say, and refuse arguments they must not see."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.kernel import KernelArgumentError, Tree
from scheduler.kernel_search import Answer, Gift, Members, Nodes, fill, prefix_bounds, search
from scheduler.model.topology_build import build_topology
from scheduler.search_reference import Node, Search, fit, minus, prefix_bound
from scheduler.search_reference import fill as slow_fill

HUGE = 2**63 - 1


class World:
    """Nodes of both forms, kinds and a load: N nodes, K kinds, Q columns of room."""

    def __init__(self, room: list[list[int]], request: list[list[int]], load: list[int]) -> None:
        self.request = request
        self.load = load
        self.slow = []
        for amounts in room:
            caps = [min(fit(amounts, r), 1 << 40) for r in request]
            self.slow.append(Node(amounts, [(k, cap) for k, cap in enumerate(caps) if cap]))
        options = [option for node in self.slow for option in node.options]
        width = [len(node.options) for node in self.slow]
        self.first = np.concatenate(([0], np.cumsum(width))).astype(np.int32)
        self.nodes = Nodes(
            self.first,
            np.array([k for k, _ in options], np.int32),
            np.array([cap for _, cap in options], np.int64),
            np.array(room, np.int64),
            np.array(request, np.int64),
        )
        # One bound: pod slots, the last column.
        self.weight = [[1] for _ in request]
        self.supply = [[min(max(0, amounts[-1]), 100)] for amounts in room]

    def vectors(self, gift: Gift) -> list[tuple[int, int, int]]:
        """(node, place of the option, members) of each entry of a gift."""
        node = np.searchsorted(self.first, gift.option, side="right") - 1
        place = gift.option - self.first[node]
        return list(zip(node.tolist(), place.tolist(), gift.count.tolist(), strict=True))


@st.composite
def worlds(draw: st.DrawFn, nodes: int = 4, most: int = 5) -> World:
    """Up to 3 kinds over 2 resources and pod slots; some amounts negative, some huge."""
    amount = st.one_of(st.integers(-2, 9), st.sampled_from([HUGE, HUGE - 1, -HUGE]))
    asked = st.one_of(st.integers(0, 5), st.integers(0, 5), st.just(HUGE // 2))
    row = st.tuples(amount, amount, st.integers(-1, 6))
    room = draw(st.lists(row, min_size=1, max_size=nodes))
    if draw(st.booleans()):
        room = sorted(room)  # equal nodes side by side
    requests = draw(st.lists(st.tuples(asked, asked), min_size=1, max_size=3))
    load = draw(st.lists(st.integers(0, most), min_size=len(requests), max_size=len(requests)))
    return World([list(r) for r in room], [[*r, 1] for r in requests], load)


@given(worlds(), st.randoms(use_true_random=False))
def test_fill_equals_its_twin(world: World, rng: object) -> None:
    """First fit in any order of nodes and options: same members on same nodes, same visits."""
    order = list(range(len(world.slow)))
    rng.shuffle(order)  # type: ignore[attr-defined]
    turns = []
    for node in world.slow:
        places = list(range(len(node.options)))
        rng.shuffle(places)  # type: ignore[attr-defined]
        turns.append(places)
    turn = [int(world.first[i]) + place for i, places in enumerate(turns) for place in places]
    used, left, visited = slow_fill(
        [world.slow[i] for i in order], [turns[i] for i in order], world.request, world.load
    )
    gift, rest, scanned = fill(
        world.nodes, np.array(order, np.int32), np.array(world.load, np.int64),
        np.array(turn, np.int32),
    )  # fmt: skip
    assert world.vectors(gift) == [(order[i], place, count) for i, place, count in used]
    assert rest.tolist() == left
    assert scanned == visited


@given(worlds(), st.sampled_from([0, 1, 2, 5, 30, 100_000]))
def test_search_equals_its_twin(world: World, budget: int) -> None:
    """Same answer after the same number of vectors, and the same assignment."""
    count = len(world.slow)
    same = [i > 0 and world.slow[i] == world.slow[i - 1] for i in range(count)]
    slow = Search(world.slow, same, world.request, world.weight, world.supply, budget)
    expected = slow.run(world.load)
    answer, gift, visits = _search(world, same, budget)
    assert (answer, visits) == (expected, slow.visits)
    if answer is Answer.YES:
        assert world.vectors(gift) == [
            (i, place, copies)
            for i, vector in enumerate(slow.given)
            for place, copies in enumerate(vector)
            if copies
        ]


def _search(world: World, same: list[bool], budget: int) -> tuple[Answer, Gift, int]:
    return search(
        world.nodes,
        np.arange(len(world.slow), dtype=np.int32),
        np.array(same, np.uint8),
        np.array(world.weight, np.int64),
        np.array(world.supply, np.int64),
        np.array(world.load, np.int64),
        budget,
    )


@given(worlds(nodes=3, most=3))
def test_search_answers_as_enumeration_does(world: World) -> None:
    """Cutting off full nodes, falling orders and bounds never loses the last assignment."""
    same = [i > 0 and world.slow[i] == world.slow[i - 1] for i in range(len(world.slow))]
    reached = {(0,) * len(world.load)}
    for node in world.slow:
        takes = [v for v in product(*(range(m + 1) for m in world.load)) if _takes(node, v, world)]
        reached = {tuple(a + b for a, b in zip(x, v, strict=True)) for x in reached for v in takes}
    answer, _, _ = _search(world, same, 10**6)
    assert answer is (Answer.YES if tuple(world.load) in reached else Answer.NO)


def _takes(node: Node, vector: tuple[int, ...], world: World) -> bool:
    rest: list[int] = list(node.room)
    asked = [False] * len(rest)
    for copies, request in zip(vector, world.request, strict=True):
        rest = minus(rest, copies, request)
        asked = [a or (copies > 0 and q > 0) for a, q in zip(asked, request, strict=True)]
    return all(r >= 0 for r, a in zip(rest, asked, strict=True) if a)


@given(worlds(), st.data())
def test_prefix_bounds_equal_their_twin(world: World, data: st.DataObject) -> None:
    """The longest prefix that the sums of each domain allow."""
    count = len(world.slow)
    leaf = data.draw(st.lists(st.sampled_from("ab"), min_size=count, max_size=count))
    tree = Tree(build_topology(("leaf",), [f"n{i}" for i in range(count)], [[x] for x in leaf]))
    kinds = data.draw(st.lists(st.integers(0, len(world.load) - 1), min_size=1, max_size=9))
    # Nodes are numbered by tree position; here they take the place of the rows in that order.
    members = Members.of(np.array(kinds, np.int32), np.array(world.weight, np.int64))
    most, visited = prefix_bounds(
        tree, world.nodes, tree.every_domain, np.array(world.supply, np.int64), members
    )
    t = tree.topology
    for d in range(tree.domains):
        part = slice(int(t.start[d]), int(t.end[d]))
        assert most[d] == prefix_bound(world.slow[part], world.supply[part], kinds, world.weight)
    assert visited == int((t.end - t.start).sum())


def small() -> World:
    """Two nodes with room for two kinds each."""
    return World([[4, 4, 2], [4, 4, 2]], [[1, 0, 1], [2, 1, 1]], [1, 1])


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"first": np.array([0, 2, 3], np.int32)}, "first"),
        ({"first": np.array([0, 2, 4], np.int64)}, "first"),
        ({"kind": np.array([1, 0, 0, 1], np.int32)}, "rising"),
        ({"kind": np.array([0, 1, 0, 2], np.int32)}, "kind"),
        ({"cap": np.array([0, 1, 1, 1], np.int64)}, "cap"),
        ({"request": np.array([[0, 0, 0], [2, 1, 1]], np.int64)}, "nothing"),
        ({"request": np.array([[-1, 0, 1], [2, 1, 1]], np.int64)}, "request"),
        ({"room": np.ones((2, 3), np.int32)}, "room"),
        ({"room": np.ones((3, 2), np.int64).T}, "room"),
    ],
)
def test_nodes_are_checked(change: dict[str, np.ndarray], text: str) -> None:
    """A wrong dtype, shape, range or order is one clear error, before any kernel runs."""
    nodes = small().nodes
    columns: dict[str, Any] = {
        "first": nodes.first, "kind": nodes.kind, "cap": nodes.cap, "room": nodes.room,
        "request": nodes.request,
    }  # fmt: skip
    with pytest.raises(KernelArgumentError, match=text):
        Nodes(**{**columns, **change})


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"positions": np.array([0, 2], np.int32)}, "positions"),
        ({"positions": np.array([0, 1], np.int64)}, "positions"),
        ({"same": np.array([1, 0], np.uint8)}, "same"),
        ({"same": np.array([0], np.uint8)}, "same"),
        ({"weight": np.array([[1 << 41], [1]], np.int64)}, "weight"),
        ({"weight": np.array([[-1], [1]], np.int64)}, "weight"),
        ({"supply": np.array([[1], [1 << 41]], np.int64)}, "supply"),
        ({"supply": np.array([[1, 1]], np.int64)}, "supply"),
        ({"load": np.array([1, -1], np.int64)}, "load"),
        ({"load": np.array([1], np.int64)}, "load"),
    ],
)
def test_search_arguments_are_checked(change: dict[str, np.ndarray], text: str) -> None:
    """As above, for what each call adds."""
    arguments: dict[str, np.ndarray] = {
        "positions": np.array([0, 1], np.int32),
        "same": np.array([0, 1], np.uint8),
        "weight": np.array([[1], [1]], np.int64),
        "supply": np.array([[2], [2]], np.int64),
        "load": np.array([1, 1], np.int64),
    }
    with pytest.raises(KernelArgumentError, match=text):
        search(small().nodes, budget=10, **{**arguments, **change})


def test_equal_nodes_must_have_equal_options() -> None:
    """`same` over nodes that differ in their options would read past them."""
    world = World([[4, 4, 2], [1, 4, 2]], [[1, 0, 1], [2, 1, 1]], [1, 1])
    with pytest.raises(KernelArgumentError, match="same"):
        _search(world, [False, True], 10)


def test_turn_stays_inside_each_node() -> None:
    """An order of options may not move an option to another node."""
    nodes = small().nodes
    nodes.check_turn(np.array([1, 0, 2, 3], np.int32))
    for wrong in ([0, 2, 1, 3], [0, 0, 2, 3]):
        with pytest.raises(KernelArgumentError, match="turn"):
            nodes.check_turn(np.array(wrong, np.int32))
