"""The numbers of a gang that does not fit: what is short, where, and who was left out."""

from __future__ import annotations

import numpy as np

from scheduler import kernel
from scheduler.model.arrays import I32, I64
from scheduler.model.filters.spread import short_key
from scheduler.model.names import plural
from scheduler.model.pending import NO_DOMAIN, NO_LEVEL, NO_PIN, NO_ROW
from scheduler.model.plan import Cause, Rejection, Verdict
from scheduler.model.reasons import CLUSTER_WIDE, unlabelled_text
from scheduler.model.resources import CPU, EPHEMERAL_STORAGE, MEMORY, PODS
from scheduler.model.topology import CLUSTER
from scheduler.plan.blocked import blocked_by
from scheduler.plan.course import Course, course_of
from scheduler.plan.gang import MIXED, Gang, Outcome
from scheduler.plan.identical import domains_in_turn, permitted_domains
from scheduler.plan.ledger import CLAIMED_BY, Ledger, View
from scheduler.plan.mixed_problem import views_of

NODES = "nodes"
PINNED = "the nodes that members are pinned to"
RULES = "room under its rules about other pods"


def explain(ledger: Ledger, gang: Gang, outcome: Outcome) -> tuple[Cause, Rejection]:
    """Why `gang` is not placed; gangs that ask for the same thing share one answer."""
    if gang.shape == MIXED or gang.has_held or _is_party(ledger, gang):
        return cause_of(ledger, gang), rejection_of(ledger, gang, outcome)
    view = ledger.view(gang.shape, gang)
    key = (
        gang.n, gang.minimum, gang.required, gang.segment_size, gang.segment_level, gang.home,
        outcome.verdict, outcome.fit, outcome.best_domain,
    )  # fmt: skip
    known = view.explained.get(key)
    if known is None or known[0] != view.version:
        answer = (cause_of(ledger, gang), rejection_of(ledger, gang, outcome))
        known = view.explained[key] = (view.version, *answer)
    return known[1], known[2]


def cause_of(ledger: Ledger, gang: Gang) -> Cause:
    """Why `gang` is not placed, judged by what is free in the whole cluster now.

    Too little in sum: capacity. Too little on whole nodes, or for a mix of shapes or pins that
    no domain restricts: fragmentation. Else topology: also where only the claims of others are
    in the way, since their room is there and a new node is not what is missing.
    """
    wanted = _wanted(gang)
    on_nodes = all(
        ledger.view(shape, gang, claims=False).sums[CLUSTER] >= want for shape, want in wanted
    )
    if (not on_nodes or len(wanted) > 1) and not _enough_in_sum(ledger, gang, wanted):
        return Cause.CAPACITY
    if not on_nodes:
        return Cause.FRAGMENTATION
    restricted = gang.required != NO_LEVEL or gang.segment_size or ledger.barred(gang)
    return Cause.TOPOLOGY if restricted else Cause.FRAGMENTATION


def rejection_of(ledger: Ledger, gang: Gang, outcome: Outcome) -> Rejection:
    """The sentence's numbers, for the shape that most members have."""
    shape = max(_wanted(gang), key=lambda pair: (pair[1], -pair[0]))[0]
    view = ledger.view(shape, gang)
    topology = ledger.tree.topology
    permitted = permitted_domains(ledger, gang, domains_in_turn(topology, gang, NO_DOMAIN)[-1])
    best = outcome.best_domain
    rows = topology.rows(best if best != NO_DOMAIN else CLUSTER)
    level = "" if best == NO_DOMAIN else CLUSTER_WIDE
    if best > CLUSTER:
        level = topology.levels[topology.level[best]]
    return Rejection(
        wanted=gang.n,
        minimum=gang.minimum,
        fit=outcome.fit,
        best_level=level,
        best_path=topology.path(best) if best != NO_DOMAIN else (),
        short_of=_short_of_pins(ledger, gang)
        or _short_of_rules(ledger, gang, best)
        or _short_of(ledger, view, rows),
        nodes=topology.nodes,
        excluded=_excluded(ledger, gang, view),
        blocked_by=blocked_by(ledger, gang, view, permitted),
        required="" if gang.required == NO_LEVEL else topology.levels[gang.required],
        proved=outcome.verdict is not Verdict.NOT_FOUND,
    )


def _is_party(ledger: Ledger, gang: Gang) -> bool:
    """Is some hold or claim the gang's own, so that it is not one of those that block it?"""
    return gang.key in ledger.snapshot.claims.owner or gang.key in ledger.held.owners


def _excluded(ledger: Ledger, gang: Gang, view: View) -> tuple[tuple[str, int], ...]:
    """(reason, nodes) of filters and missing labels, most nodes first. A claim is no filter."""
    counts = np.bincount(view.reason, minlength=len(view.reasons))
    excluded = [
        (text, int(counts[i]))
        for i, text in enumerate(view.reasons)
        if i and counts[i] and not text.startswith(CLAIMED_BY)
    ]
    if gang.required != NO_LEVEL:
        topology = ledger.tree.topology
        outside = topology.ancestor[gang.required, topology.node_parent] == NO_DOMAIN
        missing = int(np.count_nonzero(outside & (view.reason == 0)))
        if missing:
            excluded.append((unlabelled_text(topology.levels[gang.required]), missing))
    return tuple(sorted(excluded, key=lambda pair: (-pair[1], pair[0])))


def _wanted(gang: Gang) -> list[tuple[int, int]]:
    """(shape, members) of the `minimum` lowest ranks that have no held room."""
    searched = gang.shapes[: max(1, gang.minimum)][gang.held_row[: max(1, gang.minimum)] == NO_ROW]
    shapes = searched if searched.size else gang.shapes[:1]
    kinds, counts = np.unique(shapes, return_counts=True)
    return list(zip(kinds.tolist(), counts.tolist(), strict=True))


def _short_of_pins(ledger: Ledger, gang: Gang) -> str:
    """Whether some member has no place on the nodes that its volumes or its name allow."""
    needed = slice(0, max(1, gang.minimum))
    pairs = np.stack((gang.shapes[needed], gang.pin[needed]))[:, gang.pin[needed] != NO_PIN]
    for shape, pin in np.unique(pairs, axis=1).T.tolist():
        if not (ledger.view(shape, gang).cap[gang.pins[pin]] > 0).any():
            return PINNED
    return ""


def _short_of_rules(ledger: Ledger, gang: Gang, best: int) -> str:
    """What the members' rules about each other leave too little of, where resources would do."""
    if best == NO_DOMAIN or course_of(ledger, gang) not in (Course.FORM, Course.ONE_BY_ONE):
        return ""
    wanted = _wanted(gang)
    views = views_of(ledger, gang, [shape for shape, _ in wanted])
    if any(views[shape].sums[best] < members for shape, members in wanted):
        return ""
    if gang.shape == MIXED:
        return RULES
    way, rules = ledger.way(gang.shape), ledger.snapshot.shapes[gang.shape].rules
    found = [f"room to spread over {short_key(rules.spread[i].key)}" for i in way.spread]
    found += [f"{plural(short_key(key.name))} to keep apart in" for key in way.apart]
    if way.near and rules.near is not None:
        found.append(f"room in one {' and '.join(map(short_key, rules.near.keys))}")
    return found[0] if len(found) == 1 else RULES


def _short_of(ledger: Ledger, view: View, rows: I32) -> str:
    """What runs out first on eligible `rows`: the resource that takes the fewest members."""
    eligible = rows[view.reason[rows] == 0]
    names = ledger.snapshot.resources.names
    fits: list[tuple[int, str]] = []
    for r, amount in enumerate(view.request.vector.tolist()):
        if amount > 0:
            room = np.maximum(ledger.free[r, eligible], 0) // amount
            fits.append((int(np.minimum(room, kernel.CAP_LIMIT).sum()), names[r]))
    slots = np.minimum(np.maximum(ledger.slots[eligible], 0), kernel.CAP_LIMIT)
    fits.append((int(slots.sum()), PODS))
    if view.request.exclusive:
        fits.append((eligible.size, NODES))
    # Of those that run out together, the scarcest kind is named: devices, then the rest.
    common = {CPU, MEMORY, EPHEMERAL_STORAGE, PODS, NODES}
    return min(fits, key=lambda pair: (pair[0], pair[1] in common))[1]


def _enough_in_sum(ledger: Ledger, gang: Gang, wanted: list[tuple[int, int]]) -> bool:
    """Would the eligible nodes' free amounts, poured together, do for all of `wanted`?"""
    anyone = np.zeros(ledger.tree.nodes, np.bool_)
    need = [0] * len(ledger.snapshot.resources)
    for shape, members in wanted:
        view = ledger.view(shape, gang, claims=False)
        eligible = view.reason == 0
        if view.request.exclusive and int(np.count_nonzero(eligible)) < members:
            return False
        anyone |= eligible
        for r, amount in enumerate(view.request.vector.tolist()):
            need[r] += amount * members
    if _poured(ledger.slots[anyone]) < sum(members for _, members in wanted):
        return False
    return all(
        amount == 0 or _poured(ledger.free[r, anyone]) >= amount for r, amount in enumerate(need)
    )


def _poured(free: I64) -> int:
    """Sum of what is free; overcommitted nodes count for nothing."""
    free = np.maximum(free, 0)
    if free.size * int(free.max(initial=0)) < 2**63:
        return int(free.sum())
    return sum(free.tolist())  # absurd amounts must not wrap around
