"""Gangs of identical members: exact sums, one pass, always the same answer as the definition.

Steps 1 to 5 are defined by the twins in kernel_reference.py.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from scheduler import kernel
from scheduler.model.arrays import I32, I64
from scheduler.model.pending import NO_DOMAIN, NO_LEVEL
from scheduler.model.plan import Verdict
from scheduler.model.policy import Pack
from scheduler.model.topology import CLUSTER, Topology
from scheduler.plan.gang import Gang, Outcome, rejected
from scheduler.plan.ledger import Ledger, View


def place_identical(
    ledger: Ledger,
    gang: Gang,
    n: int,
    minimum: int,
    near: int = NO_DOMAIN,
    pack: Pack = Pack.LEAF,
) -> Outcome:
    """Places n members of gang.shape (those without held room), at least `minimum` of them.

    `near`: domain to try before the gang's home, where a replacement lost its node; or -1.
    """
    return place_in_view(ledger, ledger.view(gang.shape, gang), gang, (n, minimum, near), pack)


def place_in_view(
    ledger: Ledger,
    view: View,
    gang: Gang,
    want: tuple[int, int, int],
    pack: Pack,
    descend: Callable[[int, int], I32] | None = None,
) -> Outcome:
    """Steps 1 to 5 on the capacities of `view`; want: (n, minimum, near).

    descend: (domain, members) -> row of each by rank, where domains do not hold the sum of what
    their nodes hold; None = the kernel's steps 4 and 5.
    """
    minimum = want[1]
    size, level = gang.segment_size, gang.segment_level
    whole = ledger.whole(view, size, level) if size else view.sums
    m, within, best = _how_many(ledger, view, whole, gang, want)
    if m < minimum or m == 0:
        return rejected(m, best)
    domain, row = _choose(ledger, view, whole, gang, m, within)
    if pack is Pack.SPINE and row < 0:
        # Above the segment level cap counts whole segments.
        cap = whole if level > 0 else view.sums
        for top in topmost_in_turn(ledger.tree.topology, cap, within):
            if view.sums[top] < m:
                continue
            inside, _ = _choose(ledger, view, whole, gang, m, top)
            if inside >= 0:
                domain = inside
                break
    if row >= 0:
        rows: I32 = np.full(m, row, np.int32)
    elif descend is not None:
        rows = descend(domain, m)
    else:
        rows, visited = kernel.descend(
            ledger.tree, ledger.scratch, view.cap, view.sums, whole, domain, m, size, level,
            view.turn,
        )  # fmt: skip
        ledger.stats.nodes_scanned += visited
    return Outcome(Verdict.FITS, rows, domain, m, best)


def _choose(
    ledger: Ledger, view: View, whole: I64, gang: Gang, m: int, within: int
) -> tuple[int, int]:
    """Steps 2 and 3: (domain, row or -1) for m members, all of them inside `within`."""
    return kernel.choose(
        ledger.tree, view.cap, view.sums, whole, ledger.tight(view, m), m,
        gang.segment_size, gang.segment_level, gang.required, within, gang.preferred,
        single=gang.single, turn=view.turn,
    )  # fmt: skip


def topmost_in_turn(topology: Topology, cap: I64, within: int) -> list[int]:
    """Domains of the topmost level in the order in which `pack: spine` tries them.

    cap: int64[D], what step 3 compares. Empty where `within` leaves no choice between them.
    """
    if within > CLUSTER or not topology.levels:
        return []
    tops = topology.by_level[0]
    order = np.lexsort((topology.path_rank[tops], cap[tops]))
    return [int(top) for top in tops[order]]


def _how_many(
    ledger: Ledger, view: View, whole: I64, gang: Gang, want: tuple[int, int, int]
) -> tuple[int, int, int]:
    """Step 1: (members that will be placed, only permitted domain or -1, best domain)."""
    n, minimum, near = want
    size, level = gang.segment_size, gang.segment_level
    m, within, best = 0, NO_DOMAIN, NO_DOMAIN
    for within in domains_in_turn(ledger.tree.topology, gang, near):
        # Whether a short segment fits depends on n, so such answers are kept for that n only.
        key = (gang.required, within, n if size else 0, size, level)
        known = view.refused.get(key)
        if known is not None and known[0] == view.version and known[1] < minimum:
            # A gang alike was turned away and nothing has changed: no domain holds enough.
            m, best = known[1], known[2]
            continue
        m, best = kernel.most(
            ledger.tree, permitted_domains(ledger, gang, within), view.sums, whole, n, size, level
        )
        if m >= n:
            break
        if m < minimum:
            view.refused[key] = (view.version, m, best)
    return m, within, best


def domains_in_turn(topology: Topology, gang: Gang, near: int) -> list[int]:
    """The only permitted domains to try one after the other; [-1] if the gang has no home.

    From where it was (the lost node's domain, the home) up: to the home if a level is required,
    else to the whole cluster, so that the nearest domain that holds all of them is taken.
    """
    start = near if near != NO_DOMAIN else gang.home
    if start == NO_DOMAIN:
        return [NO_DOMAIN]
    last = CLUSTER
    if gang.required != NO_LEVEL:
        last = gang.home if gang.home != NO_DOMAIN else start
        above = int(topology.ancestor[gang.required, last])
        if above == NO_DOMAIN:  # it is in no domain of that level: no home to keep to
            return [NO_DOMAIN]
        last = above if gang.home == NO_DOMAIN else last
    path = [start]
    while path[-1] not in (last, CLUSTER):
        path.append(int(topology.parent[path[-1]]))
    # The lost node may lie outside the home (labels change): then only the home is left.
    return path if path[-1] == last else [last]


def permitted_domains(ledger: Ledger, gang: Gang, within: int) -> I32:
    """Step 1: `within` alone, if there is one, else all domains of the required level."""
    if within != NO_DOMAIN:
        return np.array([within], np.int32)
    if gang.required != NO_LEVEL:
        return ledger.tree.topology.by_level[gang.required]
    return ledger.tree.everywhere
