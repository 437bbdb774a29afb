"""The kernels' slow twins: the readable definition of what each kernel computes.

Every function here has a fast namesake in ext/, and one property test runs both. Where a
placement rule is meant (docs/placement.md), the step's number stands in the docstring:

1. place at least the minimum, or nothing    4. going down: fewest children at each level
2. the lowest common domain                  5. ranks in tree order, the short segment last
3. the tightest of those
"""

from __future__ import annotations

from collections.abc import Sequence

from scheduler.model.arrays import I16, I32, I64
from scheduler.model.topology import CLUSTER, Topology

CAP_LIMIT = 1 << 40
"""A node counts for at most this many members, so that sums stay inside int64."""


def node_capacity(free: Sequence[int], slots: int, request: Sequence[int], exclusive: bool) -> int:
    """Members that fit on one node: by resources asked for, pod slots, and one if exclusive."""
    fits = [CAP_LIMIT, slots, *(f // q for f, q in zip(free, request, strict=True) if q > 0)]
    return max(0, min([*fits, 1] if exclusive else fits))


def capacity(free: I64, slots: I64, reason: I16, request: I64, exclusive: bool) -> list[int]:
    """[N] members that fit on each node; 0 where a filter refused it (reason != 0)."""
    return [
        node_capacity(free[:, row].tolist(), int(slots[row]), request.tolist(), exclusive)
        if reason[row] == 0
        else 0
        for row in range(len(slots))
    ]


def roll_up(tree: Topology, cap: Sequence[int]) -> list[int]:
    """[D] members that fit under each domain."""
    return [sum(int(cap[row]) for row in tree.rows(d)) for d in range(tree.domains)]


def segment_sums(tree: Topology, sums: Sequence[int], size: int, level: int) -> list[int]:
    """[D] whole segments under each domain at or above `level`; 0 below it."""
    whole = [0] * tree.domains
    for x in range(tree.domains):
        if tree.level[x] == level:
            for d in _self_and_ancestors(tree, x):
                whole[d] += int(sums[x]) // size
    return whole


class Reference:
    """One shape's capacities over a tree, and where a gang of its members goes.

    size / segment_level: members per segment and the level they share, or 0 / -1.
    """

    def __init__(
        self, tree: Topology, cap: Sequence[int], size: int = 0, segment_level: int = -1
    ) -> None:
        """Rolls the capacities up; raises nothing."""
        self.tree = tree
        self.cap = [int(c) for c in cap]
        self.sums = roll_up(tree, self.cap)
        self.size = size
        self.segment_level = segment_level if size else -1
        self.whole = segment_sums(tree, self.sums, size, segment_level) if size else list(self.sums)

    def measure(self, d: int) -> int:
        """cap(d): members up to the segment level, whole segments above it."""
        above = self.size and self.tree.level[d] < self.segment_level
        return self.whole[d] if above else self.sums[d]

    def holds(self, d: int, m: int) -> bool:
        """Does d hold m members (as whole segments and perhaps one short one, above the level)?"""
        tree, size = self.tree, self.size
        if not size or tree.level[d] >= self.segment_level:
            inside = not size or tree.ancestor[self.segment_level, d] >= 0
            return inside and self.sums[d] >= m
        q, r = divmod(m, size)
        if self.whole[d] != q or r == 0:
            return self.whole[d] >= q
        return any(self.sums[x] % size >= r for x in self._segment_domains(d))

    def holdable(self, d: int, n: int) -> int:
        """The most of n members that d holds; a partial gang is whole segments."""
        if self.holds(d, n):
            return n
        step = self.size or 1
        return max((m for m in range(0, n, step) if self.holds(d, m)), default=0)

    def most(self, permitted: Sequence[int], n: int) -> tuple[int, int]:
        """Step 1: (members, domain) of the permitted domain that holds most; ties to more room."""
        if not len(permitted):
            return 0, -1
        best = max(permitted, key=lambda d: (self.holdable(d, n), self.sums[d], -self._rank(d)))
        return self.holdable(best, n), int(best)

    def choose(
        self, m: int, required: int, within: int, preferred: int, single: bool
    ) -> tuple[int, int]:
        """Steps 2 and 3: (domain, row); row is -1 unless one node holds all m."""
        tree = self.tree
        nodes = [
            (self._off(d, preferred, node=True) != single, self.cap[row], *self._chain(d),
             int(tree.position[row]), d, row)
            for row in range(tree.nodes)
            for d in [int(tree.node_parent[row])]
            if self.cap[row] >= m and self._permitted(d, required, within)
            and (not self.size or tree.ancestor[self.segment_level, d] >= 0)
        ]  # fmt: skip
        if nodes:
            keyed = [((off, cap, up), position, d, row) for off, cap, up, position, d, row in nodes]
            _, _, d, row = min(keyed)
            return d, row
        domains = [
            d
            for d in range(tree.domains)
            if self._permitted(d, required, within) and self.holds(d, m)
        ]
        if not domains:
            return -1, -1
        lowest = max(int(tree.level[d]) for d in domains)
        best = min(
            (d for d in domains if tree.level[d] == lowest),
            key=lambda d: (
                self._off(d, preferred, node=False) != single, *self._chain(d), self._rank(d)
            ),
        )  # fmt: skip
        return best, -1

    def choose_spine_first(
        self, m: int, required: int, within: int, preferred: int, single: bool
    ) -> tuple[int, int]:
        """Steps 2 and 3 under `pack: spine`: (domain, row) as `choose` answers.

        What one node holds goes where `choose` says. Else, of the domains of the topmost level
        that hold the m members in a permitted place, the one of least cap (ties by name path) is
        taken first, and `choose` decides inside it. No such domain: `choose` decides alone.
        """
        chosen = self.choose(m, required, within, preferred, single)
        if chosen[1] >= 0:
            return chosen
        inside = {
            top: self.choose(m, required, top, preferred, single)
            for top in range(self.tree.domains)
            if self.tree.level[top] == 0 and within <= CLUSTER
        }
        holding = [top for top in inside if inside[top][0] >= 0]
        if not holding:
            return chosen
        return inside[min(holding, key=lambda top: (self.measure(top), self._rank(top)))]

    def descend(self, top: int, m: int) -> list[int]:
        """Steps 4 and 5: the row of each of m members, by rank."""
        if not self.size or self.tree.level[top] >= self.segment_level:
            return self._members(top, m)
        q, r = divmod(m, self.size)
        whole = self._whole_segments(top, q)
        last = self._short_domain(top, whole, r) if r else -1
        used = [d for d in self._segment_domains(top) if whole.get(d) or d == last]
        rows: list[int] = []
        for d in sorted(used, key=lambda d: (self._shared(top, d, last), self._rank(d))):
            rows += self._members(d, whole.get(d, 0) * self.size + (r if d == last else 0))
        return rows

    def _members(self, top: int, members: int) -> list[int]:
        """Rows of members below `top`, in tree order: down to the lowest level, then nodes."""
        tree = self.tree
        filled, chosen, _, left = self._down(top, members, self.sums, len(tree.levels) - 1)
        count = {int(row): self.cap[row] for d in filled for row in tree.rows(d)}
        own = [
            int(row) for d in chosen for row in tree.order[tree.own_start[d] : tree.end[d]]
        ]  # fmt: skip
        count.update(zip(own, fewest([self.cap[row] for row in own], left), strict=True))
        in_order = sorted(count, key=lambda row: int(tree.position[row]))
        return [row for row in in_order for _ in range(count[row])]

    def _whole_segments(self, top: int, segments: int) -> dict[int, int]:
        """Whole segments below `top` of each segment domain, and of the domains above those."""
        filled, chosen, share, _ = self._down(top, segments, self.whole, self.segment_level)
        give = dict(zip(chosen, share, strict=True))
        give |= {x: self.whole[x] for d in filled for x in self._segment_domains(d)}
        whole: dict[int, int] = {}
        for x, count in give.items():
            for d in _self_and_ancestors(self.tree, x):
                whole[d] = whole.get(d, 0) + count
        return whole

    def _down(
        self, top: int, wanted: int, amount: Sequence[int], last: int
    ) -> tuple[list[int], list[int], list[int], int]:
        """Step 4 from `top` to level `last`: (filled, chosen last, their shares, left for those).

        At each level the children of all chosen domains stand in one row: those of filled
        domains, in the order of their parents, then those of the one that is begun; siblings by
        name. Who of them is used is settled there, how much each gets only at the level below,
        unless this is the last. A row that does not hold what is wanted is filled; the rest goes
        on, to what hangs below the chosen domains without a label of that level.
        """
        tree = self.tree
        filled: list[int] = []
        chosen, share = [top], [wanted]
        for level in range(tree.level[top] + 1, last + 1):
            row = [
                c for d in chosen for c in range(tree.first_child[d], tree.first_child[d + 1])
                if tree.level[c] == level
            ]  # fmt: skip
            held = sum(amount[c] for c in row)
            if held < wanted:
                filled += row
                wanted -= held
            else:
                given = zip(row, fewest([amount[c] for c in row], wanted), strict=True)
                used = sorted(
                    ((c, s) for c, s in given if s), key=lambda item: item[1] < amount[item[0]]
                )
                chosen, share = [c for c, _ in used], [s for _, s in used]
        return filled, chosen, share, wanted

    def _short_domain(self, top: int, whole: dict[int, int], r: int) -> int:
        """Used domains first (from the top level down), then the least room that holds r."""

        def key(d: int) -> tuple[list[bool], int, int]:
            path = [x for x in reversed(_self_and_ancestors(self.tree, d)) if self._below(x, top)]
            unused = [False] * len(self.tree.levels)
            for x in path:  # a domain stands for the levels it skips, too
                for level in range(
                    self.tree.level[self.tree.parent[x]] + 1, self.tree.level[x] + 1
                ):
                    unused[level] = not whole.get(x)
            return unused, self.sums[d] - whole.get(d, 0) * self.size, self._rank(d)

        room = [
            d for d in self._segment_domains(top) if self.sums[d] - whole.get(d, 0) * self.size >= r
        ]
        return min(room, key=key)

    def _shared(self, top: int, d: int, last: int) -> int:
        """How many domains below `top` are on the paths of both d and the short one's domain."""
        if last < 0:
            return 0
        path = set(_self_and_ancestors(self.tree, last))
        return sum(x in path for x in _self_and_ancestors(self.tree, d) if self._below(x, top))

    def _permitted(self, d: int, required: int, within: int) -> bool:
        if within >= 0 and within not in _self_and_ancestors(self.tree, d):
            return False
        return required < 0 or bool(self.tree.ancestor[required, d] >= 0)

    def _off(self, d: int, preferred: int, *, node: bool) -> bool:
        """Is d (or a node directly below it) below the preferred level without a domain there?"""
        if preferred < 0 or (not node and self.tree.level[d] <= preferred):
            return False
        return bool(self.tree.ancestor[preferred, d] < 0)

    def _chain(self, d: int) -> tuple[tuple[int, ...]]:
        """Caps of d, its parent, and so on: step 3 compares them in this order."""
        return (tuple(self.measure(x) for x in _self_and_ancestors(self.tree, d)),)

    def _rank(self, d: int) -> int:
        return int(self.tree.path_rank[d])

    def _below(self, x: int, top: int) -> bool:
        return x != top and top in _self_and_ancestors(self.tree, x)

    def _segment_domains(self, d: int) -> list[int]:
        return [
            x
            for x in range(self.tree.domains)
            if self.tree.level[x] == self.segment_level and d in _self_and_ancestors(self.tree, x)
        ]


def fewest(caps: Sequence[int], wanted: int) -> list[int]:
    """Step 4 for one row: shares of domains (or nodes), given their caps in the row's order.

    The k - 1 largest are filled and the smallest that holds the rest takes it; ties go to the
    first in the row. `wanted` is at most the sum of caps.
    """
    share = [0] * len(caps)
    free = set(range(len(caps)))
    left = wanted
    while left > 0:
        fits = [i for i in free if caps[i] >= left]
        if fits:
            share[min(fits, key=lambda i: (caps[i], i))] = left
            break
        largest = min(free, key=lambda i: (-caps[i], i))
        share[largest] = caps[largest]
        left -= caps[largest]
        free.remove(largest)
    return share


def tight_nodes(tree: Topology, cap: Sequence[int], members: int, d: int) -> int:
    """The own node of d with least cap that holds `members` (ties by name), or -1."""
    own = [int(row) for row in tree.order[tree.own_start[d] : tree.end[d]]]
    return min(
        (row for row in own if cap[row] >= members),
        key=lambda row: (cap[row], int(tree.position[row])),
        default=-1,
    )


def take(
    rows: I32, request: Sequence[int], free: I64, slots: I64
) -> tuple[list[list[int]], list[int]]:
    """(free, slots) after one member more on each of `rows`."""
    after, left = free.tolist(), slots.tolist()
    for row in rows.tolist():
        left[row] -= 1
        for r, amount in enumerate(request):
            after[r][row] -= int(amount)
    return after, left


def _self_and_ancestors(tree: Topology, d: int) -> list[int]:
    """d, its parent, ... up to the cluster."""
    path = [int(d)]
    while path[-1] != CLUSTER:
        path.append(int(tree.parent[path[-1]]))
    return path
