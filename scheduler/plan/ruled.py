"""Identical members whose rules bite: closed forms instead of a search.

    apart   each value of a key takes one member      near   all members in one value of each key
    spread  counts c over the domains of a key that count, k members fit in each, at most `skew`
            more than in the emptiest. An end x of a gang can be reached in some order (always
            into the emptiest that still gets one) if and only if for all domains with x > 0
                c + x <= skew + lowest, lowest = least (c + x) of all domains
            Let `floor` be the lowest of (c + k): no end has a higher `lowest`, and with it most
            fit: sum min(k, max(0, skew + floor - c)). Fewer fit always: leave out the last ones.

So each domain of the tree holds a number of members that is not the sum of what is below it;
steps 1 to 3 ask nothing else. On the way down each value of the spread's key gets its share, by
the least `lowest` that will do (the fewest domains, as step 4 wants), then goes down by itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scheduler import kernel
from scheduler.model.arrays import I32, I64
from scheduler.model.filters.spread import Mask
from scheduler.model.policy import Pack
from scheduler.plan.gang import Gang, Outcome
from scheduler.plan.identical import place_in_view
from scheduler.plan.ledger import Ledger, View
from scheduler.plan.marks import Key, least
from scheduler.plan.rule_codes import NEAR
from scheduler.plan.rule_ways import Way

FAR = np.iinfo(np.int64).max // 4
"""More than any count."""


def place_ruled(ledger: Ledger, gang: Gang, want: tuple[int, int, int], pack: Pack) -> Outcome:
    """Places members of gang.shape; want: (n, minimum, near) as in `place_identical`.

    The way of the shape must be `closed`. The gang has no segments.
    """
    way = ledger.way(gang.shape)
    form = _form(ledger, gang, way, way)
    view = View(
        gang.shape, form.view.request, (), form.view.reasons, form.view.reason,
        form.node_holds(), form.domain_holds(), cursor=0,
    )  # fmt: skip
    view.cursor = form.view.cursor
    return place_in_view(ledger, view, gang, want, pack, form.descend)


@dataclass(frozen=True, eq=False, slots=True)
class _Spread:
    """One spread rule; E domains that count, by rising number of pods."""

    key: Key
    skew: int
    place: I32
    """[V] place of each value among the E, -1 = it does not count."""
    counts: I64
    """[E] rising."""
    fixed: bool
    """Fewer domains than minDomains: all are measured by 0."""

    def most(self, floor: I64 | int, counts: I64, k: I64) -> I64:
        """Members that domains with `counts` and room for k take if none has less than floor."""
        taken: I64 = np.minimum(k, np.maximum(0, self.skew + floor - counts))
        return taken


def most_by_each_rule(ledger: Ledger, gang: Gang) -> I64 | None:
    """[D] no domain holds more members of gang.shape: the least that one rule alone allows.

    For shapes without a closed form; None if no rule says anything by itself.
    """
    whole = ledger.way(gang.shape)
    spread = ledger.snapshot.shapes[gang.shape].rules.spread
    ways = [Way((i,), whole.near) for i in whole.spread if spread[i].own]
    ways += [Way((), whole.near, (key,)) for key in whole.apart]
    if not ways and whole.near:
        ways = [Way((), near=True)]
    if not ways:
        return None
    held = [_form(ledger, gang, way, whole).domain_holds() for way in ways]
    least_of: I64 = np.minimum.reduce(held)
    return least_of


def _form(ledger: Ledger, gang: Gang, way: Way, whole: Way) -> _Form:
    """The form for the rules of `way`, some of those of the shape's `whole` one."""
    shape = ledger.snapshot.shapes[gang.shape]
    marks, near = ledger.marks, shape.rules.near
    waived = set(whole.spread)
    first = False
    if way.near and near is not None and near.own:
        first = not any(marks.near(key, near.mark).there.any() for key in near.keys)
        waived |= {NEAR} if first else set()
    view = ledger.view(gang.shape, gang, waived=frozenset(waived))
    spread = None
    if way.spread:
        rule = shape.rules.spread[way.spread[0]]
        tally = marks.spread(shape, rule)
        there = np.flatnonzero(tally.counting)
        order = there[np.argsort(tally.counts[there], kind="stable")]
        place: I32 = np.full(tally.key.values, -1, np.int32)
        place[order] = np.arange(order.size)
        fixed = order.size < max(1, rule.min_domains)
        assert not fixed or least(tally, rule) == 0
        spread = _Spread(tally.key, rule.max_skew, place, tally.counts[order], fixed)
    together: I64 | None = None
    if first and near is not None:
        together = _joint([marks.key(key).code for key in near.keys])
    apart = _apart(way, view.cap.size) if way.apart else None
    return _Form(ledger, view, spread, together, apart)


def _apart(way: Way, nodes: int) -> I64:
    """[N] rows with the same number (>= 0) take one member together: by the coarsest key."""
    code: I64 = np.full(nodes, -1, np.int64)
    before = 0
    for key in way.apart:
        code = np.where(key.code >= 0, key.code.astype(np.int64) + before, code)
        before += key.values
    return code


def _joint(codes: list[I32]) -> I64:
    """One number per combination of codes, all >= 0 (else any)."""
    joint = codes[0].astype(np.int64)
    for code in codes[1:]:
        joint = np.unique(joint * (int(code.max(initial=0)) + 2) + code, return_inverse=True)[1]
    return joint


@dataclass(frozen=True, eq=False, slots=True)
class _Cells:
    """What fits in parts of the cluster. Columns of equal length; a part is a domain's nodes
    of one combination of near values, one spread value, one value of the apart keys.
    """

    domain: I64
    together: I64
    """0 where affinity does not matter."""
    place: I64
    """Place of the spread's value, 0 without a spread."""
    apart: I64
    """-1 = as many as fit."""
    k: I64


@dataclass(frozen=True, eq=False, slots=True)
class _Form:
    ledger: Ledger
    view: View
    spread: _Spread | None
    together: I64 | None
    """[N] combination of near values, if all members must share one."""
    apart: I64 | None
    """[N] rows with the same number (>= 0) take one member together."""

    def node_holds(self) -> I64:
        """[N] members that each node holds."""
        cap = self.view.cap
        if self.apart is not None:
            cap = np.where(self.apart >= 0, np.minimum(cap, 1), cap)
        spread = self.spread
        if spread is None:
            return np.ascontiguousarray(cap)
        rows = np.flatnonzero(cap)
        place = spread.place[spread.key.code[rows]]
        k, counts = cap[rows], spread.counts[place]
        others = np.append(spread.counts, FAR)[(place == 0).astype(np.int64)]
        floor = np.minimum(others, counts + k) if not spread.fixed else np.zeros_like(k)
        out: I64 = np.zeros_like(cap)
        out[rows] = spread.most(floor, counts, k)
        return out

    def domain_holds(self) -> I64:
        """[D] members that each domain holds."""
        topology = self.ledger.tree.topology
        out: I64 = np.zeros(topology.domains, np.int64)
        cells = _summed(self._cells(topology.order))
        for level in range(len(topology.levels) - 1, -1, -1):
            above = topology.ancestor[level, cells.domain]
            inside = above >= 0
            self._most(_moved(cells, above, inside), out)
        self._most(_moved(cells, np.zeros_like(cells.domain), np.ones_like(cells.k, bool)), out)
        return out

    def _cells(self, rows: I32) -> _Cells:
        rows = rows[self.view.cap[rows] > 0]
        k, none = self.view.cap[rows], np.zeros(rows.size, np.int64)
        apart = none - 1 if self.apart is None else self.apart[rows]
        place = none
        if self.spread is not None:
            place = self.spread.place[self.spread.key.code[rows]].astype(np.int64)
        return _Cells(
            self.ledger.tree.topology.node_parent[rows].astype(np.int64),
            none if self.together is None else self.together[rows],
            place, apart, np.where(apart >= 0, 1, k),
        )  # fmt: skip

    def _most(self, cells: _Cells, out: I64) -> None:
        """Raises out[domain] to what the best combination of near values holds there."""
        cells = _summed(cells)
        if cells.k.size == 0:
            return
        if self.apart is not None:
            none = np.full_like(cells.apart, -1)
            cells = _summed(_Cells(cells.domain, cells.together, cells.place, none, cells.k))
        code = cells.domain * (int(cells.together.max()) + 1) + cells.together
        starts = np.flatnonzero(np.diff(code, prepend=-1))
        if self.spread is None:
            held = np.add.reduceat(cells.k, starts)
        else:
            floor = self._floor(cells, starts)
            size = np.diff(np.append(starts, code.size))
            counts = self.spread.counts[cells.place]
            taken = self.spread.most(np.repeat(floor, size), counts, cells.k)
            held = np.add.reduceat(taken, starts)
        np.maximum.at(out, cells.domain[starts], held)

    def _floor(self, cells: _Cells, starts: I64) -> I64:
        """[groups] the lowest (c + k) of all domains that count, also those not in the group.

        cells: summed; the places of a group rise. The first place that is missing is the
        emptiest of the domains outside the group.
        """
        spread = self.spread
        assert spread is not None
        if spread.fixed:
            return np.zeros(starts.size, np.int64)
        size = np.diff(np.append(starts, cells.k.size))
        turn = np.arange(cells.k.size) - np.repeat(starts, size)
        gap = np.where(cells.place != turn, turn, size.max())
        missing = np.minimum(np.minimum.reduceat(gap, starts), size)
        outside = np.append(spread.counts, FAR)[missing]
        inside = np.minimum.reduceat(spread.counts[cells.place] + cells.k, starts)
        floor: I64 = np.minimum(outside, inside)
        return floor

    def descend(self, domain: int, m: int) -> I32:
        """Steps 4 and 5: the row of each of m members, which the domain holds."""
        topology = self.ledger.tree.topology
        rows = topology.rows(domain)
        rows = self._one_apart(self._together(rows[self.view.cap[rows] > 0], m))
        cap: I64 = np.zeros_like(self.view.cap)
        cap[rows] = self.view.cap[rows]
        if self.apart is not None:
            cap[rows[self.apart[rows] >= 0]] = 1
        sums = kernel.roll_up(self.ledger.tree, cap)
        if self.spread is None:
            return self._down(cap, sums, domain, m)
        values, share = self._shares(rows, cap, m)
        key = self.spread.key
        level, below = key.level
        if level >= 0:
            deeper = level > topology.level[domain]
            given = [
                self._down(cap, sums, int(below[v]) if deeper else domain, x)
                for v, x in zip(values.tolist(), share.tolist(), strict=True)
            ]
        else:
            given = [_fewest_nodes(rows, cap[rows], key.code[rows], values, share)]
        places = np.sort(topology.position[np.concatenate(given)])
        return topology.order[places]

    def _together(self, rows: I32, m: int) -> I32:
        """Those of `rows` whose combination of near values holds m with least room."""
        if self.together is None:
            return rows
        found, first, group = np.unique(self.together[rows], return_index=True, return_inverse=True)
        held: I64 = np.zeros(found.size, np.int64)
        cells = self._cells(rows)
        self._most(_Cells(group, group * 0, cells.place, cells.apart, cells.k), held)
        able = np.flatnonzero(held >= m)
        best = able[np.lexsort((first[able], held[able]))[0]]
        chosen: I32 = rows[group == best]
        return chosen

    def _one_apart(self, rows: I32) -> I32:
        """One row of each value of the apart keys: the tightest, then the first."""
        if self.apart is None:
            return rows
        alone = rows[self.apart[rows] >= 0]
        turn = alone[np.lexsort((np.arange(alone.size), self.view.cap[alone], self.apart[alone]))]
        keep = np.ones(self.view.cap.size, bool)
        keep[turn[1:][self.apart[turn[1:]] == self.apart[turn[:-1]]]] = False
        return rows[keep[rows]]

    def _shares(self, rows: I32, cap: I64, m: int) -> tuple[I64, I64]:
        """(values of the spread's key in use, members of each): step 4 between its bounds."""
        spread = self.spread
        assert spread is not None
        code = spread.key.code[rows]
        room: I64 = np.zeros(spread.key.values, np.int64)
        np.add.at(room, code, cap[rows])
        values = np.flatnonzero(room)
        turn: I64 = np.zeros(spread.key.values, np.int64)
        turn[code[::-1]] = np.arange(rows.size)[::-1]  # the first row of each value
        k, first, place = room[values], turn[values], spread.place[values]
        counts = spread.counts[place]
        low = high = 0
        if not spread.fixed:
            inside = np.zeros(spread.counts.size, bool)
            inside[place] = True
            outside = spread.counts[~inside][:1].tolist() or [FAR]
            low, high = int(spread.counts[0]), min(outside[0], int((counts + k).min()))
        while low < high:
            floor = (low + high) // 2
            if int(spread.most(floor, counts, k).sum()) >= m:
                high = floor
            else:
                low = floor + 1
        share = np.zeros_like(k) if spread.fixed else np.maximum(0, high - counts)
        more = spread.most(high, counts, k) - share
        share += _fewest(more, m - int(share.sum()), first)
        used = np.flatnonzero(share)
        return values[used].astype(np.int64), share[used]

    def _down(self, cap: I64, sums: I64, domain: int, m: int) -> I32:
        rows, visited = kernel.descend(
            self.ledger.tree, self.ledger.scratch, cap, sums, sums, domain, m, 0, -1
        )
        self.ledger.stats.nodes_scanned += visited
        return rows


def _moved(cells: _Cells, domain: I64 | I32, keep: Mask) -> _Cells:
    """The cells in `keep` as parts of other domains."""
    columns = (domain, cells.together, cells.place, cells.apart, cells.k)
    return _Cells(*(column[keep].astype(np.int64) for column in columns))


def _summed(cells: _Cells) -> _Cells:
    """Equal parts made one, in rising order; an apart value counts once in each."""
    if cells.k.size == 0:
        return cells
    code = cells.domain
    for column in (cells.together, cells.place, cells.apart + 1):
        wide = int(column.max()) + 1
        if int(code.max()) >= FAR // wide:
            code = np.unique(code, return_inverse=True)[1]
        code = code * wide + column
    columns = [cells.domain, cells.together, cells.place, cells.apart, cells.k]
    if not bool((code[1:] >= code[:-1]).all()):
        order = np.argsort(code, kind="stable")
        code, columns = code[order], [column[order] for column in columns]
    starts = np.flatnonzero(np.diff(code, prepend=-1))
    k = np.add.reduceat(columns[4], starts)
    domain, together, place, apart = (column[starts] for column in columns[:4])
    return _Cells(domain, together, place, apart, np.where(apart >= 0, 1, k))


def _fewest(room: I64, wanted: int, turn: I64) -> I64:
    """Step 4 for one row: the largest filled, the smallest that holds the rest; ties by `turn`."""
    share: I64 = np.zeros_like(room)
    if wanted <= 0:
        return share
    order = np.lexsort((turn, -room))
    filled = int(np.searchsorted(np.cumsum(room[order]), wanted))
    share[order[:filled]] = room[order[:filled]]
    rest = wanted - int(share.sum())
    left = order[filled:]
    able = left[room[left] >= rest]
    share[able[np.lexsort((turn[able], room[able]))[0]]] = rest
    return share


def _fewest_nodes(rows: I32, cap: I64, code: I32, values: I64, share: I64) -> I32:
    """Each value's members on its largest nodes."""
    want: I64 = np.zeros(int(code.max()) + 1, np.int64)
    want[values] = share
    order = np.lexsort((np.arange(rows.size), -cap, code))
    rows, cap, code = rows[order], cap[order], code[order]
    before = np.cumsum(cap) - cap
    first = np.searchsorted(code, code)
    before -= before[first]
    return np.repeat(rows, np.clip(want[code] - before, 0, cap))
