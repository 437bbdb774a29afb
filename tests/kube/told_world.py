"""A scheduler of which the reporter and the verdicts are real, and the roster is a double."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

import numpy as np

from scheduler.clock import ManualClock
from scheduler.engine import Cycle
from scheduler.kube.batch import Outcome, Settled
from scheduler.kube.reporter import Reporter
from scheduler.model.arrays import I32
from scheduler.model.policy import Policy
from scheduler.model.wishes import Wishes
from scheduler.plan import plan
from scheduler.state.gang_view import GangView, Members, OwnerRef
from scheduler.state.lifecycle import GangState
from scheduler.state.verdicts import Verdicts
from tests import builders
from tests.kube.status_server import StatusServer, World

SECOND = 1_000_000
START = 1_800_000_000 * SECOND
CLUSTER = "s1/l1: n1 n2 | s1/l2: n3 | s2/l3: n4 n5"


@dataclass
class Gang:
    """One gang of the double; ranks are positions in `names`."""

    view: GangView
    names: list[str]
    uids: list[str]
    waiting: set[int] = field(default_factory=set)
    gone: set[int] = field(default_factory=set)


class FakeRoster:
    """Answers as the roster does, from what a test has put there."""

    def __init__(self) -> None:
        self.gangs: dict[str, Gang] = {}
        self._changed: set[str] = set()

    def put(self, gang: Gang) -> None:
        """A gang is new or has changed."""
        self.gangs[gang.view.key] = gang
        self._changed.add(gang.view.key)

    def drop(self, key: str) -> None:
        """A gang is no more."""
        del self.gangs[key]
        self._changed.add(key)

    def changed(self) -> set[str]:
        """Keys put and dropped since."""
        changed, self._changed = self._changed, set()
        return changed

    def view(self, key: str) -> GangView | None:
        """As the test has it."""
        gang = self.gangs.get(key)
        return None if gang is None else gang.view

    def at_rest(self, key: str) -> bool:
        """A single pod that the test shows on its node."""
        view = self.view(key)
        return view is not None and view.single and bool(view.bound) and not view.problems

    def members(self, key: str, ranks: I32) -> Members:
        """Names and UIDs by rank."""
        gang = self.gangs[key]
        return Members(
            gang.view.namespace,
            [gang.names[r] for r in ranks.tolist()],
            [gang.uids[r] for r in ranks.tolist()],
        )

    def waiting_ranks(self, key: str) -> I32:
        """Those that the test lets wait."""
        return np.array(sorted(self.gangs[key].waiting), np.int32)

    def lowest(self, key: str) -> int:
        """The lowest rank that is not gone."""
        gang = self.gangs[key]
        return min((r for r in range(len(gang.names)) if r not in gang.gone), default=-1)

    def rank_uid(self, key: str, rank: int) -> tuple[str, str]:
        """(name, uid)."""
        gang = self.gangs.get(key)
        if gang is None or rank < 0 or rank in gang.gone:
            return "", ""
        return gang.names[rank], gang.uids[rank]


class ToldWorld(World):
    """Gangs in namespace `ml`, and the reporter over a played server."""

    def __init__(
        self, *, shown: Sequence[str] | None = None, pod_events_per_s: int = 50, line: str = ""
    ) -> None:
        """line: kube-scheduler's about the nodes; `line` may be changed any time."""
        self.line = line
        self.roster = FakeRoster()
        self.verdicts = Verdicts()
        self.idle = True
        self.dropped = 0
        clock, server = ManualClock(START), StatusServer()
        self.reporter = Reporter(
            server,
            clock,
            self.roster,
            self.verdicts,
            lambda: self.idle,
            rng=Random(1),
            controller="muster",
            instance="muster-host",
            pod_events_per_s=pod_events_per_s,
            dropped=self._drop,
            shown=None if shown is None else lambda _, ranks: [shown[r] for r in ranks.tolist()],
            available=lambda _: self.line,
        )
        super().__init__(clock, server, self.reporter.pump, self.reporter.next_time_us)

    def _drop(self, count: int) -> None:
        self.dropped += count

    def gang(self, name: str, members: int, **changes: Any) -> str:
        """A StatefulSet whose pods all exist and wait; returns its key."""
        key = f"uid-of-{name}"
        values: dict[str, Any] = {
            "key": key,
            "name": f"ml/StatefulSet/{name}",
            "namespace": "ml",
            "owner": OwnerRef("apps/v1", "StatefulSet", "ml", name, key),
            "state": GangState.PENDING,
            "wanted": members,
            "minimum": members,
            "waiting": members,
            "bound": 0,
            "single": False,
            "priority": 0,
            "wishes": Wishes(),
            "unsupported": (),
            "problems": (),
            "since_us": self.clock.now_us(),
            "was_whole": False,
        }
        there = min(members, changes.get("waiting", members))
        names = [f"{name}-{rank}" for rank in range(there)]
        uids = [f"u-{pod}" for pod in names]
        for pod, uid in zip(names, uids, strict=True):
            self.server.pod("ml", pod, uid)
        self.roster.put(Gang(GangView(**(values | changes)), names, uids, set(range(there))))
        return key

    def single(self, name: str, **changes: Any) -> str:
        """A pod on its own."""
        key = f"u-{name}-0"
        gang = self.gang(name, 1, **changes)
        alone = self.roster.gangs[gang]
        self.roster.drop(gang)
        owner = OwnerRef("v1", "Pod", "ml", f"{name}-0", key)
        alone.view = replace(alone.view, key=key, owner=owner, single=True)
        self.roster.put(alone)
        return key

    def change(self, key: str, **changes: Any) -> None:
        """The roster shows a gang differently."""
        gang = self.roster.gangs[key]
        gang.view = replace(gang.view, **changes)
        self.roster.put(gang)

    def decide(self, *specs: dict[str, Any], gpu: int = 2) -> None:
        """A cycle over five nodes of `gpu` GPUs each; members ask for one GPU."""
        snap = builders.snapshot(CLUSTER, gpu=gpu)
        pending = builders.gangs(snap, specs)
        now = self.clock.now_us()
        self.verdicts.record(Cycle(now, snap, pending, plan(snap, pending, Policy(), now)))

    def bind(self, key: str) -> None:
        """Every member that waits gets a node; the server and the roster show it."""
        gang = self.roster.gangs[key]
        for rank in sorted(gang.waiting):
            pod = self.server.pods[f"ml/{gang.names[rank]}"]
            pod["spec"]["nodeName"] = "n1"
            node = pod["spec"]["nodeName"]
            self.reporter.settled(Settled(key, rank, gang.uids[rank], Outcome.BOUND, node=node))
        bound = gang.view.bound + len(gang.waiting)
        gang.waiting.clear()
        self.change(key, state=GangState.PLACED, waiting=0, bound=bound,
                    was_whole=bound >= gang.view.wanted)  # fmt: skip

    def told(self) -> dict[str, tuple[str, str]]:
        """Pod -> (reason, message) of PodScheduled=False."""
        conditions = {pod: self.server.condition(pod) for pod in self.server.pods}
        return {
            pod: (one["reason"], one["message"])
            for pod, one in conditions.items()
            if one.get("status") == "False"
        }


def rejected(world: ToldWorld, name: str = "train", members: int = 500) -> str:
    """A gang that was told that it does not fit."""
    key = world.gang(name, members)
    world.decide({"key": key, "n": members})
    world.run(3 * SECOND)
    return key
