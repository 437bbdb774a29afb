"""A roster over a small cache, and short ways to say what the watches show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from scheduler.model.arrays import I32
from scheduler.model.decode import Controller, Owner
from scheduler.model.groups import Group
from scheduler.model.policy import Policy
from scheduler.model.wishes import Level
from scheduler.plan import plan
from scheduler.state.cache import Cache
from scheduler.state.invariants import check_invariants
from scheduler.state.members import NONE
from scheduler.state.nodes import Level as NodeLevel
from scheduler.state.roster import Roster
from scheduler.state.roster_check import check_roster
from scheduler.state.sighting import Sighting
from tests.model.test_decode_gangs import pod as decoded_pod
from tests.state.helpers import cache_of

LEVELS = (Level("spine", "net/spine"), Level("leaf", "net/leaf"))
CLUSTER = "s1/l1: n1 n2 | s1/l2: n3 | s2/l3: n4"
SECOND = 1_000_000


def controller(uid: str, wanted: int = 3, kind: str = "StatefulSet", **rest: Any) -> Controller:
    """A controller called like its UID; ordered only if it is asked for."""
    values: dict[str, Any] = {
        "namespace": "ns", "name": uid, "generation": 1, "owner": None, "first": 0,
        "ordered": False, "indexed": False, "annotations": {}, "labels": {},
        "template": decoded_pod(""),
    }  # fmt: skip
    return Controller(kind=kind, uid=uid, wanted=wanted, **{**values, **rest})


def sighting(name: str, owner: str = "", kind: str = "StatefulSet", **rest: Any) -> Sighting:
    """A waiting pod of ours that asks for one GPU; its UID is `uid-NAME`."""
    values: dict[str, Any] = {
        "uid": f"uid-{name}", "namespace": "ns", "labels": {}, "annotations": {}, "node": "",
        "owner": Owner(kind, owner, owner) if owner else None, "ours": True, "finished": False,
        "deleting": False, "gated": False, "ready": False, "priority": 0, "created_us": 1,
        "shape": 0, "pins": None, "claims": (), "unsupported": (),
    }  # fmt: skip
    return Sighting(name=name, **{**values, **rest})


class Desk:
    """A roster, its cache, and what the binder was told of lost members."""

    def __init__(
        self, text: str = CLUSTER, gather_max_us: int = 10 * SECOND, *,
        others: Sequence[tuple[Level, ...]] = (), schedulers: Sequence[str] = (),
    ) -> None:  # fmt: skip
        trees = [[NodeLevel(each.name, each.label) for each in levels] for levels in others]
        self.cache: Cache = cache_of(text, others=trees)
        self.roster = Roster(
            self.cache, LEVELS, gather_max_us=gather_max_us, others=others, schedulers=schedulers
        )
        self.lost: list[tuple[str, int]] = []
        self.roster.on_lost = lambda key, ranks: self.lost.extend(
            (key, rank) for rank in ranks.tolist()
        )
        self.now = SECOND

    def put(self, *names: str, owner: str = "", **rest: Any) -> None:
        """Pods of ours appear or change."""
        for name in names:
            self.roster.put_pod(sighting(name, owner, **rest), self.now)
            self.check()

    def own(self, *args: Any, **rest: Any) -> None:
        """A controller appears or changes."""
        self.roster.put_controller(controller(*args, **rest), self.now)
        self.check()

    def group(self, name: str, least: int, uid: str = "") -> None:
        """A PodGroup appears or changes."""
        self.roster.put_group(Group("ns", name, uid or f"uid-{name}", 1, least), self.now)
        self.check()

    def drop(self, *names: str) -> None:
        """Pods are gone."""
        for name in names:
            self.roster.drop_pod(f"uid-{name}", self.now)
            self.check()

    def settle(self, after_us: int = 0) -> dict[str, list[int]]:
        """Gang -> ranks that wait in the cache afterwards."""
        self.now += after_us
        self.roster.settle(self.now)
        self.check(settled=True)
        return {entry.key: entry.rank_column().tolist() for entry in self.cache.queue}

    def place(self, key: str, *ranks: int, node: str = "n1") -> None:
        """Waiting members of a gang are assumed, all on one node."""
        names = self.cache.freeze(self.now).names
        rows = np.full(len(ranks), names.index(node), np.int32)
        self.cache.assume(key, rows, 0, np.array(ranks, np.int32))
        self.check()

    def cycle(self) -> dict[str, list[int]]:
        """What the planner places is assumed: gang -> ranks."""
        snapshot = self.cache.freeze(self.now)
        pending = self.cache.pending(self.now, snapshot, Policy())
        decided = plan(snapshot, pending, Policy(), self.now, tree=self.cache.tree)
        placed: dict[str, list[int]] = {}
        for g, key in enumerate(pending.key):
            members = slice(int(pending.offset[g]), int(pending.offset[g + 1]))
            rows = decided.row[members]
            if (rows < 0).all():
                continue
            there: I32 = pending.rank[members][rows >= 0]
            self.cache.assume(key, rows[rows >= 0], pending.shape[members][rows >= 0], there)
            placed[key] = there.tolist()
        self.cache.note(pending, decided, self.now)
        self.check()
        return placed

    def node(self, name: str) -> str:
        """Node on which the cache has the pod, assumed or seen, or ''."""
        slot = self.roster.table.slot(f"uid-{name}")
        if slot == NONE:
            return ""
        record = self.cache.book.find(self.roster._key(slot))
        place = self.cache.live.slot(f"uid-{name}")
        if place is None and record is not None:
            place = record.slot_of_rank(self.cache.book.pods, int(self.roster.table.rank[slot]))
        return "" if place is None else self.cache.nodes.names[self.cache.book.pods.nid[place]]

    def state(self, key: str) -> str:
        """The gang's state as others see it."""
        view = self.roster.view(key)
        return "" if view is None or view.state is None else view.state.value

    def check(self, *, settled: bool = False) -> None:
        """The cache and the roster agree with themselves and with each other."""
        check_invariants(self.cache)
        check_roster(self.roster, settled=settled)


def placed_gang(desk: Desk, count: int = 3) -> None:
    """A StatefulSet `a` of `count` members, bound as planned."""
    desk.own("a", count)
    pods = [f"a-{i}" for i in range(count)]
    desk.put(*pods, owner="a")
    desk.settle()
    desk.cycle()
    for name in pods:
        desk.put(name, owner="a", node=desk.node(name))
    assert desk.settle() == {}
    assert desk.state("a") == "placed"
