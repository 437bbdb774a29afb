"""Muster's rule with step 4 changed: the way down looks at all chosen domains' children at once.

Muster fills the k - 1 largest children of a domain, with all their own children, small remainders
too, and begins the last one. Here the children of all chosen domains stand in one row, as in
Kueue: the widest first, the tightest that holds the rest last. So a gang over several spines
leaves the half-used leaves of each spine alone. An experiment about the objective; the common
domain is Muster's.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from scheduler.model.arrays import I32
from scheduler.model.pending import NO_DOMAIN
from scheduler.model.plan import Verdict
from scheduler.plan.gang import MIXED, Gang, Outcome
from scheduler.plan.ledger import Ledger
from scheduler.plan.muster import MusterPlacement
from scheduler.replay.placements.kueue_tas import down_together


@dataclass(frozen=True, slots=True)
class Pooled:
    """Muster's lowest and tightest common domain, then fewest leaves of all its spines."""

    muster: MusterPlacement = field(default_factory=MusterPlacement)

    @property
    def name(self) -> str:
        """`muster-pooled`."""
        return "muster-pooled"

    def place(self, ledger: Ledger, gang: Gang) -> Outcome:
        """As Muster, unless the gang is plain: one shape, no segments, home or held room."""
        outcome = self.muster.place(ledger, gang)
        plain = gang.shape != MIXED and not gang.has_held and gang.home == NO_DOMAIN
        if outcome.verdict is not Verdict.FITS or not plain or gang.segment_size:
            return outcome
        t, cap = ledger.tree.topology, ledger.view(gang.shape, gang).cap
        under = t.rows(outcome.domain)
        labelled = t.ancestor[: len(t.levels), t.node_parent[under]].min(initial=0) >= 0
        if not labelled or (outcome.rows == outcome.rows[0]).all():
            return outcome
        top: I32 = np.array([outcome.domain], np.int32)
        rows = down_together(t, cap, int(t.level[outcome.domain]), top, outcome.rows.size)
        in_order: I32 = rows[np.argsort(t.position[rows], kind="stable")]
        return replace(outcome, rows=in_order)
