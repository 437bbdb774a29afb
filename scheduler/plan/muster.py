"""Muster's own placement: held room first, then the domain search for the rest."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from scheduler.model.arrays import I32
from scheduler.model.pending import NO_DOMAIN, NO_LEVEL, NO_PIN, NO_ROW
from scheduler.model.plan import Verdict
from scheduler.model.policy import SEARCH_BUDGET, Pack
from scheduler.model.snapshot import SETTLING
from scheduler.model.tokens import token_reason
from scheduler.plan.course import Course, course_of
from scheduler.plan.gang import Gang, Outcome
from scheduler.plan.identical import domains_in_turn, place_identical
from scheduler.plan.ledger import CLAIMED_BY, Ledger
from scheduler.plan.mixed import place_mixed
from scheduler.plan.rule_ways import lets_in
from scheduler.plan.ruled import place_ruled
from scheduler.plan.ruled_search import place_one_by_one


@dataclass(frozen=True, slots=True)
class MusterPlacement:
    """The rule of this project: the lowest, tightest common domain (kernel_reference.py)."""

    budget: int = SEARCH_BUDGET
    """Node visits that one member-by-member search may cost."""
    pack: Pack = Pack.LEAF

    @property
    def name(self) -> str:
        """Name on the command line and in reports."""
        return "muster"

    def place(self, ledger: Ledger, gang: Gang) -> Outcome:
        """Rows for `gang`, or the numbers of a rejection."""
        if not gang.has_held:
            members: I32 = np.arange(gang.n, dtype=np.int32)
            return self._search(ledger, gang, members, gang.minimum, NO_DOMAIN)
        return self._with_held(ledger, gang)

    def _with_held(self, ledger: Ledger, gang: Gang) -> Outcome:
        """Members whose held node still takes them go there; the others are searched for.

        Held room was taken from free when the hold was made, so these rows cost nothing now.
        """
        row: I32 = np.full(gang.n, NO_ROW, np.int32)
        near = NO_DOMAIN
        for i in np.flatnonzero(gang.held_row != NO_ROW):
            held = int(gang.held_row[i])
            if _takes_back(ledger, gang, int(i), held):
                row[i] = held
            else:
                near = int(ledger.tree.topology.node_parent[held])
        if gang.required != NO_LEVEL:
            row = _at_home(ledger, gang, row)
        known = ledger.snapshot.shapes
        if all(known[s].rules.free for s in np.unique(gang.shapes).tolist()):
            return self._beside(ledger, gang, row, near)
        row, near = _let_back(ledger, gang, row, near)
        # For the time of the search those who return count like pods that are there.
        _leave_marks(ledger, gang, row, 1)
        outcome = self._beside(ledger, gang, row.copy(), near)
        _leave_marks(ledger, gang, row, -1)
        return outcome

    def _beside(self, ledger: Ledger, gang: Gang, row: I32, near: int) -> Outcome:
        """Searches for the members that have no row yet; `row` is filled in."""
        rest = np.flatnonzero(row == NO_ROW).astype(np.int32)
        kept = gang.n - rest.size
        if rest.size:
            if gang.home == NO_DOMAIN:
                gang = replace(gang, home=_home_of(ledger, gang, row))
            minimum = max(0, gang.minimum - kept)
            found = self._search(ledger, gang, rest, minimum, near)
            if found.verdict != Verdict.FITS and kept < gang.minimum:
                return replace(found, fit=found.fit + kept)
            row[rest[: found.rows.size]] = found.rows
        common = ledger.tree.topology.common_domain(row[row != NO_ROW])
        return Outcome(Verdict.FITS, row, common, kept, NO_DOMAIN)

    def _search(self, ledger: Ledger, gang: Gang, members: I32, minimum: int, near: int) -> Outcome:
        n = int(members.size)
        course = course_of(ledger, gang, members)
        if course is Course.SUMS:
            return place_identical(ledger, gang, n, minimum, near, self.pack)
        if course is Course.FORM:
            return place_ruled(ledger, gang, (n, minimum, near), self.pack)
        ledger.stats.searches += 1
        if course is Course.MIXED:
            return place_mixed(ledger, gang, members, minimum, near, self.budget, self.pack)
        return place_one_by_one(ledger, gang, members, (minimum, near), self.budget)


def _let_back(ledger: Ledger, gang: Gang, row: I32, near: int) -> tuple[I32, int]:
    """Those members whose held node the rules still let them on, beside those who went before.

    Holds are no pods: rules have not counted them so far. Returns (rows, domain of a lost node).
    """
    known, kept = ledger.snapshot.shapes, np.full_like(row, NO_ROW)
    waiting = np.flatnonzero(row != NO_ROW).tolist()
    while waiting:
        later: list[int] = []
        for i in waiting:
            shape = known[int(gang.shapes[i])]
            if lets_in(ledger.marks, shape, int(row[i])):
                kept[i] = row[i]
                ledger.marks.leave(shape.rules.leaves, row[i : i + 1])
            else:
                later.append(i)
        if len(later) == len(waiting):
            near = int(ledger.tree.topology.node_parent[row[later[-1]]])
            break
        waiting = later
    _leave_marks(ledger, gang, kept, -1)
    return kept, near


def _leave_marks(ledger: Ledger, gang: Gang, row: I32, pods: int) -> None:
    """Counts (or no longer counts) members at `row` for the rules of others."""
    for number in np.unique(gang.shapes[row != NO_ROW]).tolist():
        here = row[(row != NO_ROW) & (gang.shapes == number)]
        ledger.marks.leave(ledger.snapshot.shapes[number].rules.leaves, here, pods)


def _home_of(ledger: Ledger, gang: Gang, row: I32) -> int:
    """The home that held room makes where no member is bound, or -1."""
    level = gang.required if gang.required != NO_LEVEL else gang.preferred
    return ledger.tree.topology.home(row[row != NO_ROW], level)


def _at_home(ledger: Ledger, gang: Gang, row: I32) -> I32:
    """Held rows inside the one permitted domain: a node's labels may change while it is held."""
    topology = ledger.tree.topology
    home = domains_in_turn(topology, gang, NO_DOMAIN)[-1]
    if home == NO_DOMAIN:
        home = _home_of(ledger, gang, row)
    if home == NO_DOMAIN:
        return np.full_like(row, NO_ROW)
    place = topology.position[row]
    inside = (place >= topology.start[home]) & (place < topology.end[home])
    return np.where(inside, row, NO_ROW).astype(np.int32)


def _takes_back(ledger: Ledger, gang: Gang, member: int, row: int) -> bool:
    """Does the node where a member's room is held still take it?

    The tokens taken there are the hold's own, and a claim made later does not end a hold. But
    nobody returns to a node that a race has overcommitted, held room or not.
    """
    pin = int(gang.pin[member])
    if pin != NO_PIN and row not in gang.pins[pin]:
        return False  # what it is pinned to has moved meanwhile
    number = int(gang.shapes[member])
    view = ledger.view(number, gang)
    reason = view.reasons[(view.reason if view.static is None else view.static)[row]]
    own = {"", *map(token_reason, view.tokens)}
    if reason not in own and not reason.startswith(CLAIMED_BY):
        return False
    if ledger.snapshot.flags[row] & SETTLING and not gang.single:
        return False  # counted under the token, which is asked first
    asked = view.request.vector > 0
    return bool(ledger.slots[row] >= 0 and (ledger.free[asked, row] >= 0).all())
