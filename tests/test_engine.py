"""The loop with both ends in hand: what it does in which order, and what it believes meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from scheduler.clock import ManualClock
from scheduler.engine import Cycle, Decision, Engine
from scheduler.model.policy import Policy
from scheduler.model.resources import CPU, GPU, MEMORY, ResourceOrder
from scheduler.model.shape import Shape
from scheduler.state.cache import Cache
from scheduler.state.entry import Entry
from scheduler.state.invariants import check_invariants
from scheduler.state.nodes import Level, NodeSpec


class Ends:
    """Source, committer and recorder of a test: events are calls, decisions are kept."""

    def __init__(self) -> None:
        self.events: list[Callable[[Cache], None]] = []
        self.decisions: list[Decision] = []
        self.cycles: list[Cycle] = []

    def gather(self, cache: Cache, now_us: int) -> None:
        """Applies the events and forgets them."""
        del now_us
        for event in self.events:
            event(cache)
        self.events.clear()

    def commit(self, decision: Decision) -> None:
        """Keeps the decision; nothing is confirmed."""
        self.decisions.append(decision)

    def record(self, cycle: Cycle) -> None:
        """Keeps the cycle."""
        self.cycles.append(cycle)


class World:
    """Two spines of two nodes with 8 GPUs, an engine, and its ends."""

    def __init__(self) -> None:
        self.cache = Cache(ResourceOrder.of((CPU, MEMORY, GPU)), [Level("spine", "net/spine")])
        for i in range(4):
            self.cache.upsert_node(
                NodeSpec(f"n{i}", (64_000, 2**40, 8), labels={"net/spine": f"s{i // 2}"})
            )
        self.shape = self.cache.shape(Shape((0, 0, 8)))
        self.ends = Ends()
        self.steps: list[str] = []
        self.clock = ManualClock()
        self.engine = Engine(
            self.cache, Policy(), self.clock, self.ends, self.ends, self.ends,
            phase=self.steps.append,
        )  # fmt: skip

    def arrives(self, key: str, count: int, ready_us: int = 0, priority: int = 0) -> None:
        """A gang of `count` whole nodes will be in the queue at the next cycle."""
        entry = Entry(
            key=key, name=key, count=count, shape=self.shape, minimum=count,
            ready_us=ready_us, priority=priority,
        )  # fmt: skip
        self.ends.events.append(lambda cache: cache.enqueue(entry))

    def cycle(self) -> list[str]:
        """One cycle later: keys of the gangs it decided to place, in order."""
        before = len(self.ends.decisions)
        self.engine.cycle()
        check_invariants(self.cache)
        return [decision.key for decision in self.ends.decisions[before:]]


def test_the_steps_of_a_cycle() -> None:
    """Gather, freeze, plan, commit, record; the recorder sees what was decided."""
    world = World()
    world.arrives("a", 2)
    assert world.cycle() == ["a"]
    assert world.steps == ["gather", "freeze", "plan", "commit", "record"]
    assert world.ends.cycles[0].plan.placed.tolist() == [2]
    assert [world.ends.cycles[0].snapshot.names[r] for r in world.ends.decisions[0].rows] == [
        "n0", "n1",
    ]  # fmt: skip


def test_what_was_decided_is_believed_before_it_is_confirmed() -> None:
    """Room on its way to a gang is not given to another one, and nobody is placed twice."""
    world = World()
    world.arrives("a", 3)
    assert world.cycle() == ["a"]
    world.arrives("b", 2)
    assert world.cycle() == []
    assert world.cycle() == []
    world.ends.events.append(lambda cache: cache.confirm("a"))
    assert world.cycle() == []
    world.ends.events.append(lambda cache: cache.release("a"))
    assert world.cycle() == ["b"]


def test_a_refused_gang_waits_again_and_gives_its_room_back() -> None:
    """Forgetting an assumed gang puts it back into the queue as it was."""
    world = World()
    world.arrives("a", 4)
    assert world.cycle() == ["a"]
    world.ends.events.append(lambda cache: cache.forget("a"))
    assert world.cycle() == ["a"]
    assert len(world.ends.decisions) == 2


def test_gangs_are_committed_in_the_order_of_the_queue() -> None:
    """Priority first, then age, then name."""
    world = World()
    world.arrives("late", 1, ready_us=5)
    world.arrives("g10", 1, ready_us=1)
    world.arrives("g2", 1, ready_us=1)
    world.arrives("high", 1, ready_us=9, priority=7)
    assert world.cycle() == ["high", "g2", "g10", "late"]


def test_a_gang_that_does_not_fit_is_tried_again_when_a_node_comes() -> None:
    """It costs nothing while nothing changes, and starts by itself."""
    world = World()
    world.arrives("a", 5)
    assert world.cycle() == []
    assert world.cycle() == []
    assert world.ends.cycles[1].pending.gangs == 0
    node = NodeSpec("n4", (64_000, 2**40, 8))
    world.ends.events.append(lambda cache: cache.upsert_node(node))
    assert world.cycle() == ["a"]


def test_members_of_a_partial_gang_come_later() -> None:
    """It starts with its minimum; late members follow when there is room."""
    world = World()
    entry = Entry(key="a", name="a", count=6, shape=world.shape, minimum=3)
    world.ends.events.append(lambda cache: cache.enqueue(entry))
    assert world.cycle() == ["a"]
    assert world.ends.decisions[0].ranks.tolist() == [0, 1, 2, 3]
    for node in (NodeSpec(f"n{i}", (64_000, 2**40, 8)) for i in (4, 5)):
        world.ends.events.append(partial(Cache.upsert_node, spec=node))
    assert world.cycle() == ["a"]
    assert world.ends.decisions[1].ranks.tolist() == [4, 5]
