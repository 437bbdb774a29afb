"""Which holds and claims of others keep a gang out."""

from __future__ import annotations

import numpy as np

from scheduler import kernel
from scheduler.model.arrays import I32, I64
from scheduler.model.reasons import claim_text, hold_text
from scheduler.plan.gang import Gang
from scheduler.plan.ledger import CLAIMED_BY, Ledger, View


def blocked_by(ledger: Ledger, gang: Gang, view: View, permitted: I32) -> tuple[str, ...]:
    """Texts of the holds, then of the claims, that keep `gang` out.

    A hold does if it lies on an eligible node under a domain of `permitted` that could take
    `gang.minimum` members, were all holds given up. Most held members first.
    """
    texts = _holds(ledger, gang, view, permitted) if ledger.snapshot.holds.row.size else []
    claims = ledger.snapshot.claims
    for i, owner in enumerate(claims.owner):
        rows = ledger.tree.topology.rows(int(claims.domain[i]))
        if any(view.reasons[code] == CLAIMED_BY + owner for code in np.unique(view.reason[rows])):
            texts.append(claim_text(owner))
    return tuple(dict.fromkeys(texts))


def _holds(ledger: Ledger, gang: Gang, view: View, permitted: I32) -> list[str]:
    held, topology = ledger.held, ledger.tree.topology
    row = ledger.snapshot.holds.row
    could = _without_holds(ledger, view)
    inside = np.zeros(topology.nodes, np.bool_)
    for d in permitted[could[permitted] >= gang.minimum].tolist():
        inside[topology.rows(d)] = True
    blocking = held.of[inside[row] & (view.reason[row] == 0)]
    members = np.bincount(blocking, minlength=len(held.owners))
    owners = [o for o in np.flatnonzero(members).tolist() if held.owners[o] != gang.key]
    owners.sort(key=lambda o: (-int(members[o]), held.owners[o]))
    return [hold_text(held.owners[o], int(held.until_us[o])) for o in owners]


def _without_holds(ledger: Ledger, view: View) -> I64:
    """[D] members that would fit under each domain if all holds were given up."""
    held = ledger.held
    free = np.ascontiguousarray(ledger.free[:, held.rows] + held.free)
    slots = ledger.slots[held.rows] + held.slots
    cap = view.cap.copy()
    cap[held.rows] = kernel.capacity(free, slots, view.reason[held.rows], view.request)
    return kernel.roll_up(ledger.tree, cap)
