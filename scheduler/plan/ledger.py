"""The scratch of one cycle: what is free after the gangs decided so far.

The snapshot stays as it is. `free` and `slots` are copied at the first take; a view of one
shape's capacities shares the snapshot's columns until a row of it changes. Rows touched go to a
journal, and a view catches up with the journal when it is next used, so that a gang costs what
it touches: nodes of untouched domains are never scanned again.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from scheduler import kernel
from scheduler.model.arrays import I16, I32, I64
from scheduler.model.filters import Eligibility
from scheduler.model.plan import Cause, PlanStats, Rejection
from scheduler.model.shape import Shape
from scheduler.model.snapshot import SETTLING, Capacity, Snapshot
from scheduler.model.tokens import clash, token_reason
from scheduler.plan.gang import Gang
from scheduler.plan.held import HeldRoom
from scheduler.plan.journal import Journal
from scheduler.plan.marks import NO_ROWS, Marks
from scheduler.plan.rule_codes import RuleCodes
from scheduler.plan.rule_ways import Way, exclusive, way_of
from scheduler.plan.turns import soft_taints, turn_of

SETTLING_REASON = "younger than nodeSettle"
KEPT_VIEWS = 256
"""Views kept of shapes with rules (up to 2 MB each on 100,000 nodes); the oldest are dropped."""

_Wanted = tuple[int, tuple[int, ...], bool, frozenset[int]]
"""Shape, claims that bar it, whether settling nodes are left out, rules that do not count."""

CLAIMED_BY = "claimed by "
"""Begins the reason of a node in a domain that another gang has claimed."""


@dataclass(eq=False, slots=True)
class View:
    """One shape's capacities on the ledger, less what others have claimed.

    `version` changes whenever cap or sums do, so that answers can be kept beside it.
    """

    shape: int
    request: kernel.Request
    tokens: tuple[str, ...]
    reasons: tuple[str, ...]
    reason: I16
    cap: I64
    sums: I64
    cursor: int
    """Journal entries that cap and sums already know."""
    version: int = 0
    owned: bool = False
    """False while cap and sums are the snapshot's own (read-only)."""
    peak: int = -1
    """No node holds more members than this; -1 = not computed."""
    news: Journal = field(default_factory=Journal)
    """Rows of which cap was brought up to date, time after time."""
    tight: dict[int, tuple[I32, int]] = field(default_factory=dict)
    """members -> (tightest own node of each domain that holds them, news that it knows)."""
    whole: dict[tuple[int, int], tuple[int, I64]] = field(default_factory=dict)
    """(segment size, level) -> (version, whole segments per domain)."""
    refused: dict[tuple[int, ...], tuple[int, int, int]] = field(default_factory=dict)
    """(required, within, members if in segments, segment size, its level) -> (version, most held,
    domain)."""
    explained: dict[tuple[int, ...], tuple[int, Cause, Rejection]] = field(default_factory=dict)
    """What a gang asked for -> (version, why it does not fit): gangs alike share one."""
    static: I16 | None = None
    """reason before the rules between pods were asked; None = the shape has none."""
    rules: RuleCodes | None = None
    numbers: I16 | None = None
    """reason of each of the rules' codes."""
    turn: kernel.Turn | None = None
    """Which of equal nodes comes first, None = by name."""

    def refuse(self, rows: I32, text: str) -> I32:
        """Makes those of `rows` that are eligible not so; returns them. The caller journals them.

        The others stay counted under the filter that refused them first; what only a rule
        refuses may become eligible again, so that it is refused for good now.
        """
        before = self.reason if self.static is None else self.static
        rows = rows[before[rows] == 0]
        code = self._number(text)
        self.reason = self.reason.copy()
        self.reason[rows] = code
        if self.static is not None:
            self.static[rows] = code
        return rows

    def follow_rules(self, rows: I32 | None) -> None:
        """Brings reason up to date with the rules' codes at `rows` (None = everywhere)."""
        assert self.rules is not None
        assert self.static is not None
        number = self.numbers
        if number is None:
            number = np.array([0, *map(self._number, self.rules.texts)], np.int16)
            self.numbers = number
        if rows is None:
            self.reason = np.where(self.static != 0, self.static, number[self.rules.code])
            return
        before = self.static[rows]
        self.reason[rows] = np.where(before != 0, before, number[self.rules.code[rows]])

    def _number(self, text: str) -> int:
        if text not in self.reasons:
            self.reasons = (*self.reasons, text)
        return self.reasons.index(text)


class Ledger:
    """Free room while a cycle decides, and each shape's capacities on it."""

    def __init__(self, snapshot: Snapshot, tree: kernel.Tree | None = None) -> None:
        """`tree` is the checked form of the snapshot's topology, if the caller keeps one."""
        snapshot.check_fresh()
        self.snapshot = snapshot
        self.tree = tree if tree is not None else kernel.Tree(snapshot.topology)
        self.scratch = kernel.Scratch(self.tree)
        self.free: I64 = snapshot.free
        self.slots: I64 = snapshot.slots
        self.stats = PlanStats()
        self._journal = Journal()
        self._views: dict[_Wanted, View] = {}
        self._requests: dict[int, kernel.Request] = {}
        self._tokens: dict[str, list[I32]] = {}
        self._nowhere: I32 = np.full(self.tree.domains, -1, np.int32)
        self._held: HeldRoom | None = None
        self._settling: I32 = np.flatnonzero(snapshot.flags & SETTLING).astype(np.int32)
        self._soft = soft_taints(snapshot)
        self._marks: Marks | None = None
        self._ways: dict[int, Way] = {}
        self._with_rules: deque[_Wanted] = deque()

    @property
    def held(self) -> HeldRoom:
        """What the snapshot's holds keep."""
        if self._held is None:
            self._held = HeldRoom(self.snapshot)
        return self._held

    @property
    def marks(self) -> Marks:
        """What rules between pods count."""
        if self._marks is None:
            self._marks = Marks(self.snapshot)
        return self._marks

    def way(self, shape: int) -> Way:
        """What the rules of `shape` mean for a gang of its pods alone."""
        way = self._ways.get(shape)
        if way is None:
            way = self._ways[shape] = way_of(self.marks, self.snapshot.shapes[shape])
        return way

    def view(
        self, shape: int, gang: Gang, *, claims: bool = True, waived: frozenset[int] = frozenset()
    ) -> View:
        """Capacities of `shape` for `gang` now: others' claims and settling nodes left out.

        claims=False: as if nobody had claimed anything (to say why a gang waits).
        waived: rules between pods that do not count (see RuleCodes).
        """
        settling = not gang.single and self._settling.size > 0
        key = (shape, self.barred(gang) if claims else (), settling, waived)
        view = self._views.get(key)
        if view is None:
            view = self._views[key] = self._open(*key)
            if view.rules is not None:
                self._with_rules.append(key)
                if len(self._with_rules) > KEPT_VIEWS:
                    del self._views[self._with_rules.popleft()]
        self._sync(view)
        return view

    def take(self, shape: int, rows: I32) -> None:
        """Takes room for one member of `shape` on each of `rows`."""
        if rows.size == 0:
            return
        if self.free is self.snapshot.free:
            self.free = self.snapshot.free.copy()
            self.slots = self.snapshot.slots.copy()
        touched = kernel.take(rows, self._request(shape), self.free, self.slots)
        self._journal.append(touched)
        taken = self.snapshot.shapes[shape]
        if taken.rules.leaves:
            self.marks.leave(taken.rules.leaves, rows)
        for token in taken.tokens:
            self._tokens.setdefault(token, []).append(touched)
            for view in self._views.values():
                for wanted in view.tokens:
                    if clash(wanted, token):
                        view.refuse(touched, token_reason(wanted))

    def whole(self, view: View, size: int, level: int) -> I64:
        """Whole segments under each domain, kept until the view changes."""
        kept = view.whole.get((size, level))
        if kept is None or kept[0] != view.version:
            sums = kernel.segment_sums(self.tree, view.sums, size, level)
            kept = view.whole[(size, level)] = (view.version, sums)
        return kept[1]

    def tight(self, view: View, members: int) -> I32:
        """[D] the tightest own node of each domain that holds `members`, or -1."""
        if view.peak < 0:
            view.peak = int(view.cap.max()) if view.cap.size else 0
        if members > view.peak:
            return self._nowhere
        kept = view.tight.get(members)
        if kept is None:
            best: I32 = np.full(self.tree.domains, -1, np.int32)
            self.stats.nodes_scanned += kernel.tight_nodes(
                self.tree, view.cap, members, self.tree.every_domain, best, view.turn
            )
            kept = (best, view.news.end)
        best, known = kept
        if known < view.news.end:
            rows = view.news.since(known)
            touched = np.zeros(self.tree.domains, np.bool_)
            touched[self.tree.topology.node_parent[rows]] = True
            domains = np.flatnonzero(touched).astype(np.int32)
            self.stats.nodes_scanned += kernel.tight_nodes(
                self.tree, view.cap, members, domains, best, view.turn
            )
        view.tight[members] = (best, view.news.end)
        return best

    def _sync(self, view: View) -> None:
        again = NO_ROWS if view.rules is None else view.rules.refresh()
        if again.size:
            view.follow_rules(again)
        elif view.cursor == self._journal.end:
            return
        if not view.owned:
            view.cap, view.sums, view.owned = view.cap.copy(), view.sums.copy(), True
        rows = self._journal.since(view.cursor)
        if again.size:
            rows = np.concatenate((rows, again))
        kernel.refresh_rows(
            self.tree, rows, self.free, self.slots, view.reason, view.request, view.cap, view.sums
        )
        self.stats.nodes_scanned += rows.size
        if again.size and view.peak >= 0:  # what was refused may hold more than any other
            view.peak = max(view.peak, int(view.cap[again].max()))
        view.news.append(rows)
        view.cursor = self._journal.end
        view.version += 1

    def _open(
        self, number: int, barred: tuple[int, ...], settling: bool, waived: frozenset[int]
    ) -> View:
        """A view from the snapshot's kept capacities, or computed here."""
        shape = self.snapshot.shapes[number]
        request = self._request(number)
        kept = self.snapshot.capacities.get(number)
        if kept is None:
            kept = self._compute(number, request)
        view = View(
            number, request, shape.tokens, kept.reasons, kept.reason,
            kept.cap, kept.sums, cursor=0,
        )  # fmt: skip
        topology = self.tree.topology
        changed: list[I32] = []
        for i in barred:
            claims = self.snapshot.claims
            rows = topology.rows(int(claims.domain[i]))
            changed.append(view.refuse(rows, CLAIMED_BY + claims.owner[i]))
        if settling:
            changed.append(view.refuse(self._settling, SETTLING_REASON))
        for token, taken in self._tokens.items():
            for wanted in view.tokens:
                if clash(wanted, token):
                    view.refuse(np.concatenate(taken), token_reason(wanted))
        if changed:
            view.cap, view.sums, view.owned = view.cap.copy(), view.sums.copy(), True
            kernel.refresh_rows(
                self.tree, np.concatenate(changed), self.snapshot.free, self.snapshot.slots,
                view.reason, request, view.cap, view.sums,
            )  # fmt: skip
        if not shape.rules.free:
            self._follow(view, shape, waived)
        if shape.preferred or self._soft:
            view.turn = turn_of(self.snapshot, self.tree, shape, view.cap)
        return view

    def _follow(self, view: View, shape: Shape, waived: frozenset[int]) -> None:
        """Lets the rules of its shape refuse rows of a new view."""
        view.static = view.reason.copy()
        view.rules = RuleCodes(self.marks, shape, waived)
        view.follow_rules(None)
        view.cap = kernel.capacity(self.free, self.slots, view.reason, view.request)
        view.sums, view.owned = kernel.roll_up(self.tree, view.cap), True
        view.cursor = self._journal.end
        self.stats.nodes_scanned += view.cap.size

    def _request(self, number: int) -> kernel.Request:
        request = self._requests.get(number)
        if request is None:
            shape = self.snapshot.shapes[number]
            alone = shape.exclusive if shape.rules.free else exclusive(self.marks, shape)
            request = self._requests[number] = kernel.Request.of(shape.requests, exclusive=alone)
        return request

    def _compute(self, number: int, request: kernel.Request) -> Capacity:
        snapshot = self.snapshot
        eligibility = Eligibility(snapshot.shapes[number])
        reason = eligibility.evaluate(snapshot)
        cap = kernel.capacity(snapshot.free, snapshot.slots, reason, request)
        self.stats.nodes_scanned += cap.size
        return Capacity(tuple(eligibility.reasons), reason, cap, kernel.roll_up(self.tree, cap))

    def barred(self, gang: Gang) -> tuple[int, ...]:
        """Claims that `gang` may not enter: of others, unless its priority is higher."""
        claims = self.snapshot.claims
        if not claims.owner:
            return ()
        return tuple(
            i
            for i, owner in enumerate(claims.owner)
            if owner != gang.key and gang.priority <= claims.priority[i]
        )
