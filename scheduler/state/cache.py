"""The cache: one writer tells it what happened, freeze() shows the planner where things stand.

    events (nodes, pods)   enqueue   assume / confirm / forget / release   hold, claim
            |                 |                    |                           |
        NodeTable           Queue           GangBook, PodTable        HoldTable, ClaimBook
            |   Account.charge: used, pods_used, tokens, marks                 |
            +------------------------+-------------------+---------------------+
                                     | freeze(now): dirty rows only
                              FrozenColumns -> Snapshot   pending(now, snapshot, policy) -> Pending

Rows that callers pass (of a plan) are rows of the last snapshot; they stay valid until the next
freeze(). An illegal step raises IllegalTransitionError and changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import numpy as np

from scheduler import kernel
from scheduler.model.arrays import frozen
from scheduler.model.audience import Labels
from scheduler.model.pending import Pending
from scheduler.model.plan import Plan
from scheduler.model.pod_rules import MarkColumn
from scheduler.model.policy import Order, Policy
from scheduler.model.resources import ResourceOrder
from scheduler.model.snapshot import Capacity, Snapshot
from scheduler.state.capacity import CapacityCache
from scheduler.state.claims import Claim, DomainPath
from scheduler.state.gather import Gatherer
from scheduler.state.holds import HoldLimits
from scheduler.state.lifecycle import GangState, Step
from scheduler.state.nodes import Level, NodeSpec
from scheduler.state.widen import widen
from scheduler.state.workloads import Workloads


class Cache(Workloads):
    """The mutable model behind the planner. Not to be shared between threads."""

    def __init__(
        self,
        resources: ResourceOrder,
        levels: Sequence[Level] = (),
        *,
        order: Order = Order.PRIORITY,
        settle_us: int = 0,
        limits: HoldLimits | None = None,
        hidden: Collection[str] = frozenset(),
        others: Sequence[Sequence[Level]] = (),
    ) -> None:
        """See Workloads."""
        super().__init__(
            resources, levels, order=order, settle_us=settle_us, limits=limits, hidden=hidden,
            others=others,
        )  # fmt: skip
        self.kept = tuple(CapacityCache() for _ in self.levels)
        """Capacities by profile."""
        self._wanted: set[int] = set()
        self._gatherer = Gatherer(self.queue, self.book, self.holds, self.shapes, self.frozen)

    # ---- nodes and claims

    def upsert_node(self, spec: NodeSpec) -> None:
        """A node appeared or changed. Raises ValueError on a vector of another length."""
        self.nodes.upsert(spec)

    def remove_node(self, name: str) -> bool:
        """A node is gone; its pods stay counted and count again when it comes back."""
        return self.nodes.remove(name)

    def plan_shape(self, kind: int) -> int:
        """The number under which plan() knows a kind that waits or is held, after freeze()."""
        return self.kinds.plan(kind)

    def put_namespace(self, name: str, labels: Labels) -> None:
        """A namespace appeared or changed; of one that is not known no labels are known."""
        self.kinds.put_namespace(name, labels)

    def drop_namespace(self, name: str) -> None:
        """A namespace is gone."""
        self.kinds.drop_namespace(name)

    def widen(self, names: Iterable[str]) -> ResourceOrder:
        """From now on resources called `names` are counted too; returns the order that holds.

        What follows is what it would be had they been known from the start (see widen.py).
        """
        return widen(self, names)

    def claim(
        self, path: DomainPath, owner: str, priority: int, deadline_us: int, profile: int = 0
    ) -> None:
        """Reserves a domain of a profile's tree for a gang until a deadline."""
        self.claims.make(Claim(path, owner, priority, deadline_us, profile))

    def drop_claim(self, owner: str) -> bool:
        """Gives up the claims of a gang; False if it has none."""
        return self.claims.drop(owner)

    # ---- the cycle

    def pending(self, now_us: int, snapshot: Snapshot, policy: Policy, profile: int = 0) -> Pending:
        """Gangs worth trying on `snapshot`: those never tried, and those whose gate is open.

        Only gangs of `profile`, for which the snapshot was made.

        Leaving the others out never changes what a scan of the whole queue would place, as far as
        rejections are proved (a search that gave up is repeated when room appears or its back-off
        ends). Raises StaleSnapshotError if the snapshot is not the last one.
        """
        snapshot.check_fresh()
        self._end_back_offs(now_us)
        kept = {number: self.kept[profile].get(number) for number in snapshot.capacities}
        indices = self.queue.worth_trying(
            policy, now_us, kept, self.frozen.room, self.claims.epoch, profile
        )
        pending, entries = self._gatherer.pending(indices, snapshot)
        self.queue.hand_out(pending, entries)
        return pending

    def _end_back_offs(self, now_us: int) -> None:
        for key in self.queue.end_back_offs(now_us):
            record = self.book.get(key)
            if record.state is GangState.BACKING_OFF:
                record.step(Step.RETRY)

    def note(self, pending: Pending, plan: Plan, now_us: int) -> None:
        """Remembers who was rejected. Call it after plan(), before the next pending().

        Every gang that the plan places must be assumed; if one is not, call retry_all().
        """
        self.queue.note(pending, plan, now_us)

    def retry_all(self) -> None:
        """A plan was not carried out as decided: those it rejected are tried again."""
        self.queue.retry_all()

    def want_capacity(self, shape: int) -> None:
        """From now on every snapshot carries the capacities of this shape number."""
        self._wanted.add(shape)

    def freeze(
        self, now_us: int, shapes: Iterable[int] | None = None, profile: int = 0
    ) -> Snapshot:
        """What is known at `now_us` as a Snapshot; only rows that changed are touched.

        shapes: numbers whose capacities come with it, besides those wanted always (see
            want_capacity); None = of everybody of the profile who waits.
        profile: whose levels the snapshot's topology has.
        Earlier snapshots turn stale: using one raises StaleSnapshotError.
        """
        self.holds.expire(now_us)
        self.claims.expire(now_us)
        if self.kinds.is_due():
            self.sweep_kinds()
        self._settle_kinds()
        columns = self.frozen
        renumbered = columns.refresh(now_us)
        asked = self.queue.shapes(profile) if shapes is None else shapes
        wanted = sorted(self._wanted.union(asked))
        capacities: dict[int, Capacity] = {}
        tree = columns.trees[profile]
        snapshot = Snapshot(
            generation=columns.lease.current,
            resources=self.shapes.resources,
            names=columns.names,
            topology=tree.topology,
            allocatable=frozen(columns.allocatable),
            free=frozen(columns.free),
            slots=frozen(columns.slots),
            flags=frozen(columns.flags),
            taint_sets=columns.taint_sets,
            taint_set=frozen(columns.taint_set),
            labels=columns.labels,
            tokens=self.account.tokens.rows(columns.row_of_nid, renumbered=renumbered),
            marks=self._marks(renumbered=renumbered),
            features=columns.features,
            feature_set=columns.feature_set,
            shapes=self.shapes.all(),
            capacities=capacities,
            claims=self.claims.published(tree.topology, profile),
            holds=self.holds.published(columns.row_of_nid, renumbered=renumbered),
            lease=columns.lease,
        )
        capacities |= self.kept[profile].refresh(wanted, snapshot, tree, columns.journal)
        return snapshot

    def sweep_kinds(self) -> None:
        """Forgets kinds of pods that nobody is, waits as or holds room for. freeze() sees to it."""
        pods = self.book.pods
        live = set(np.unique(pods.shape[pods.in_use()]).tolist()).union(self._wanted)
        entries = [*self.queue, *(e for record in self.book for e in record.all_entries())]
        live.update(kind for entry in entries for kind in entry.shape_numbers())
        live.update(hold.shape for hold in self.holds.all())
        dead = self.kinds.sweep(live)
        for kept in self.kept:
            kept.forget(dead)

    def _settle_kinds(self) -> None:
        """Plan shapes are what the rules between pods make of them now."""
        changed = self.kinds.settle()
        if changed:
            self.queue.renumber(changed, lambda key: bool(self.holds.of(key)))
            self.holds.renumber()

    def _marks(self, *, renumbered: bool) -> dict[str, MarkColumn]:
        """Pods per row of the marks that somebody who waits reads."""
        waiting = self._wanted.union(self.queue.shapes())
        read = {mark for plan in waiting for mark in self.kinds.reads(plan)}
        return self.account.marks.published(read, self.frozen.row_of_nid, renumbered=renumbered)

    @property
    def next_settle_us(self) -> int | None:
        """When the next young node takes gangs too, or None."""
        return self.nodes.next_settle_us

    @property
    def room(self) -> tuple[int, int, bool]:
        """What differs from an earlier value if a node may have gained room since, or if pods that
        rules of others read came or went: one pod more may open an affinity.
        """
        gained = bool(self.nodes.gained.any()) or self.nodes.tree_stale or self.kinds.is_stale
        return self.frozen.room, self.account.marks.stirred, gained

    @property
    def tree(self) -> kernel.Tree:
        """The checked form of the topology of profile 0, as last frozen."""
        return self.tree_of(0)

    def tree_of(self, profile: int) -> kernel.Tree:
        """The checked form of a profile's topology, as last frozen."""
        return self.frozen.trees[profile]

    @property
    def capacities(self) -> CapacityCache:
        """Of profile 0."""
        return self.kept[0]
