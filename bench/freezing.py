"""freeze() touches what changed and nothing else."""

from __future__ import annotations

import itertools

import numpy as np
import scenario
from measure import Contender, Result, compared, take_turns

from scheduler.state.cache import Cache
from scheduler.state.nodes import Level, NodeSpec

NODES, FEWER_NODES = 100_000, 10_000
DIRTY = 1_000
GOAL_MS = 10.0

REBUILD_BOUND = 1 / 20
"""Of laying out all columns anew, which is what freeze() must not do."""
GROWTH_BOUND = 4.0
"""Ten times the nodes, as many dirty rows: the time must not grow with the nodes."""

LABEL = "example.com/spine"


class Frozen:
    """A cache of `count` nodes that keeps the capacities of three shapes."""

    def __init__(self, count: int) -> None:
        self._node = scenario.nodes(count)
        self._rng = np.random.default_rng(scenario.SEED)
        self._uid = itertools.count()
        self._moved = 0
        self.cache = Cache(scenario.resources(), [Level("spine", LABEL)])
        self.shapes = [self.cache.shape(shape) for shape in scenario.shapes()]
        for row in range(count):
            self._upsert(row, self._node.spine[row])
        self.freeze()

    def _upsert(self, row: int, spine: str) -> None:
        amounts = (scenario.CPU_MILLI, scenario.MEMORY_BYTES, scenario.GPUS)
        name = self._node.names[row]
        self.cache.upsert_node(NodeSpec(name, amounts, scenario.PODS, {LABEL: spine}))

    def bind_pods(self) -> None:
        """DIRTY nodes get one pod more each."""
        names = self._node.names
        for row in self._rng.choice(len(names), DIRTY, replace=False).tolist():
            self.cache.upsert_pod(f"pod-{next(self._uid)}", names[row], self.shapes[0])

    def move_node(self) -> None:
        """A node changes its spine: the tree, and every column, is laid out anew."""
        self._moved += 1
        spines = self._node.spine
        self._upsert(0, spines[0] if self._moved % 2 == 0 else spines[-1])

    def freeze(self) -> None:
        """What is timed."""
        self.cache.freeze(0, self.shapes)


def bounded(runs: int) -> list[Result]:
    """freeze() after DIRTY rows: against a rebuild, and against a tenth of the nodes."""
    large, small = Frozen(NODES), Frozen(FEWER_NODES)
    rebuilds = max(3, runs // 5)
    dirty = Contender(large.freeze, large.bind_pods)
    few, all_rows = take_turns((dirty, Contender(large.freeze, large.move_node)), rebuilds)
    many, fewer = take_turns((dirty, Contender(small.freeze, small.bind_pods)), runs)
    params: dict[str, int | float | str] = {
        "nodes": NODES,
        "dirty_rows": DIRTY,
        "shapes": len(large.shapes),
    }
    return [
        compared("freeze", params, few, all_rows, REBUILD_BOUND, "a rebuild", GOAL_MS),
        compared(
            "freeze, 10x nodes", params, many, fewer, GROWTH_BOUND, f"{FEWER_NODES:,} nodes",
            GOAL_MS,
        ),
    ]  # fmt: skip
