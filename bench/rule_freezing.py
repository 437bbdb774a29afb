"""Columns and marks after one node and one pod in a hundred have changed.

100,000 nodes with 60 label keys and 200 sets of taints, 300,000 bound pods of 200 workloads; who
waits asks for a selector and a required affinity, keeps apart from itself on nodes, or spreads
over spines, so that their capacities and marks are part of every freeze().
"""

from __future__ import annotations

import itertools

import numpy as np
import scenario
from measure import Contender, Result, compared, take_turns
from rule_scenario import (
    BOUND_PODS,
    HOSTNAME,
    LABEL_KEYS,
    NODES,
    SPINE,
    SPINE_NODES,
    TAINT_SETS,
)

from scheduler.model.audience import Who
from scheduler.model.constraints import Requirement, Taint, Term, Toleration
from scheduler.model.pod_constraints import constraints
from scheduler.model.pod_objects import (
    Affinity,
    LabelSelector,
    PodAffinity,
    PodAffinityTerm,
    PodSpec,
    SpreadConstraint,
)
from scheduler.model.shape import Shape
from scheduler.state.cache import Cache
from scheduler.state.entry import Entry
from scheduler.state.nodes import Level, NodeSpec

WORKLOADS = 200
GOAL_MS = 20.0
BOUND = 1 / 20
"""Of laying out all columns anew."""
BASIS = "a rebuild"


class Ruled:
    """A cache with rules, and the changes that are made to it."""

    def __init__(self) -> None:
        self._rng = np.random.default_rng(scenario.SEED)
        self._values = self._rng.integers(0, 8, (NODES, LABEL_KEYS - 2))
        self._names = scenario.nodes(NODES).names
        self._moved = 0
        self.cache = Cache(scenario.resources(), [Level("spine", SPINE)])
        for row in range(NODES):
            self._upsert(row)
        one = scenario.shapes()[0]
        self._kinds = [
            self.cache.shape(one, Who("team", (("app", f"web-{i}"),))) for i in range(WORKLOADS)
        ]
        where = self._rng.integers(0, NODES, BOUND_PODS)
        for pod, row in enumerate(where.tolist()):
            self.cache.upsert_pod(f"pod-{pod}", self._names[row], self._kinds[pod % WORKLOADS])
        self._pods = itertools.count(BOUND_PODS)
        for key, kind in self._waiting().items():
            self.cache.enqueue(Entry(key, key, 100, kind, 100))
        self.freeze()

    def _upsert(self, row: int, spine: int = -1) -> None:
        labels = {f"example.com/k{k}": f"v{v}" for k, v in enumerate(self._values[row].tolist())}
        labels[HOSTNAME] = self._names[row]
        labels[SPINE] = f"spine-{row // SPINE_NODES if spine < 0 else spine}"
        number = int(self._values[row, :3] @ (1, 8, 64)) % TAINT_SETS
        taints = [Taint(f"example.com/t{number}", "x")] if number else []
        amounts = (scenario.CPU_MILLI, scenario.MEMORY_BYTES, scenario.GPUS)
        self.cache.upsert_node(NodeSpec(self._names[row], amounts, scenario.PODS, labels, taints))

    def _waiting(self) -> dict[str, int]:
        """Kinds of gangs that wait, by key."""
        one = scenario.shapes()[0].requests
        mine = LabelSelector(match_labels={"app": "web-1"})
        apart = PodAffinityTerm(topology_key=HOSTNAME, label_selector=mine)
        required = PodAffinity([apart])
        asked = {
            "apart": PodSpec(affinity=Affinity(pod_anti_affinity=required)),
            "spread": PodSpec(
                topology_spread_constraints=[
                    SpreadConstraint(max_skew=1, topology_key=SPINE,
                                     when_unsatisfiable="DoNotSchedule", label_selector=mine)
                ]
            ),
        }  # fmt: skip
        labels = {"app": "web-1"}
        who = Who("team", tuple(labels.items()))
        kinds: dict[str, int] = {}
        for key, spec in asked.items():
            base, _ = constraints(spec, "team", labels)
            shape = Shape(one, tolerations=(Toleration(operator="Exists"),), rules=base.rules)
            kinds[key] = self.cache.shape(shape, who)
        term = Term((Requirement("example.com/k1", "In", ("v1", "v2")),))
        chosen = Shape(one, (("example.com/k0", "v1"),), (term,))
        kinds["chosen"] = self.cache.shape(chosen, Who("team", (("app", "db"),)))
        return kinds

    def change(self) -> None:
        """One node in a hundred gets other labels and taints, one pod in a hundred is replaced."""
        for row in self._rng.choice(NODES, NODES // 100, replace=False).tolist():
            self._values[row] = self._rng.integers(0, 8, LABEL_KEYS - 2)
            self._upsert(row)
        first = next(self._pods) - BOUND_PODS
        for _ in range(BOUND_PODS // 100):
            pod = next(self._pods)
            self.cache.remove_pod(f"pod-{first}")
            first += 1
            row = int(self._rng.integers(0, NODES))
            self.cache.upsert_pod(f"pod-{pod}", self._names[row], self._kinds[pod % WORKLOADS])

    def move_node(self) -> None:
        """A node changes its spine: everything is laid out anew."""
        self._moved += 1
        self._upsert(0, self._moved % 2)

    def freeze(self) -> None:
        """What is timed."""
        self.cache.freeze(0)


def bounded(runs: int) -> list[Result]:
    """freeze() after 1 % of nodes and pods changed, against a rebuild."""
    ruled = Ruled()
    few = Contender(ruled.freeze, ruled.change)
    times, anew = take_turns((few, Contender(ruled.freeze, ruled.move_node)), max(3, runs // 5))
    params: dict[str, int | float | str] = {
        "nodes": NODES, "label_keys": LABEL_KEYS, "taint_sets": TAINT_SETS,
        "bound_pods": BOUND_PODS, "changed": "1 %",
    }  # fmt: skip
    return [compared("rules: columns up to date", params, times, anew, BOUND, BASIS, GOAL_MS)]
