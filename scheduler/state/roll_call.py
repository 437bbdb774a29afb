"""Calling the roll of a gang: members in columns -> ranks, how many are wanted, what they ask for.

The same rules as `find_gangs`, over columns: no object per member, so that a gang of 100,000 is
called in a few milliseconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from scheduler.model.arrays import I32, U8
from scheduler.model.gang_rules import (
    lowest_priority,
    minimum_of,
    rank_problems,
    wanted_by_label,
)
from scheduler.model.ranks import number_members
from scheduler.model.wishes import Level, Wishes, read_wishes
from scheduler.state.members import BOUND, NONE, MemberTable, Said
from scheduler.state.roster_gang import Roll, RosterGang

KEPT_WISHES = 4096
"""Distinct sets of annotations whose reading is kept."""


class WishBook:
    """Annotations read as wishes by the levels of a profile, each distinct set of them once.

    schedulers: what `spec.schedulerName` calls each profile.
    """

    def __init__(self, levels: Sequence[tuple[Level, ...]], schedulers: Sequence[str] = ()) -> None:
        self._levels = levels
        self.schedulers = tuple(schedulers)
        self.read = lru_cache(KEPT_WISHES)(self._read)

    def _read(self, said: Said, profile: int = 0) -> tuple[Wishes, tuple[str, ...]]:
        wishes, problems = read_wishes(dict(said), self._levels[profile])
        return wishes, tuple(problems)

    def profile_of(self, profiles: U8) -> tuple[int, list[str]]:
        """(profile, problems) of a gang whose members name these, lowest rank first."""
        mine, distinct = int(profiles[0]), _distinct(profiles)
        if len(distinct) == 1:
            return mine, []
        names = ", ".join(self.schedulers[profile] for profile in distinct)
        counts = f"{self.schedulers[mine]}, that of the lowest rank, counts"
        return mine, [f"members name schedulers {names}: {counts}"]


def least_wanted(gang: RosterGang, wishes: WishBook) -> int:
    """With fewer members than this there is nothing to decide; 1 where only they can say."""
    if gang.is_group:
        return gang.least
    if gang.facts is None:
        return 1
    wanted = gang.facts.wanted
    return max(1, min(wishes.read(gang.facts.said)[0].min_available or wanted, wanted))


def ghosts(table: MemberTable, slots: I32) -> list[int]:
    """Of members that share a name all but the last: a pod that is there is the only one."""
    last: dict[str, int] = {}
    for slot in sorted(slots.tolist(), key=lambda s: int(table.order[s])):
        last[table.names[slot]] = slot
    return [slot for slot in slots.tolist() if last[table.names[slot]] != slot]


def amiss(table: MemberTable, slots: I32) -> bool:
    """Whether a member has no rank of its own, or two have the same."""
    stated = table.stated[slots]
    if not stated.size or (stated[0] >= 0 and bool((np.diff(stated) > 0).all())):
        return False
    stated = np.sort(stated)
    return bool(stated[0] < 0 or (np.diff(stated) == 0).any())


def call_roll(
    table: MemberTable, gang: RosterGang, slots: I32, taken: I32, wishes: WishBook
) -> Roll:
    """The roll of `gang`; members are in `slots`, at least one; `taken`: ranks with a place."""
    mine = table.rank[slots]
    placed = (mine >= 0) & np.isin(mine, taken) if taken.size else np.zeros(len(slots), np.bool_)
    kept = np.where(placed, mine, np.int32(NONE))
    names = table.names
    ranks, strays = number_members(table.stated[slots], kept, lambda i: names[slots[i]])
    if (np.diff(ranks) <= 0).any():
        order = np.argsort(ranks, kind="stable")
        slots, ranks, placed = slots[order], ranks[order], placed[order]
        strays = None if strays is None else strays[order]
    wanted, problems = _wanted(table, gang, slots)
    terms = table.all_terms[int(table.terms[slots[0]])]
    profile, several = wishes.profile_of(table.profile[slots])
    said = gang.facts.said if gang.facts is not None else terms[0]
    asked, ignored = wishes.read(said, profile)
    minimum, told = minimum_of(asked, wanted)
    if gang.is_group:
        minimum, told = gang.least, []
    priority, mixed = lowest_priority(_distinct(table.priority[slots]))
    if strays is not None and gang.facts is not None and gang.facts.ranked:
        mixed += rank_problems([names[slot] for slot in slots[strays].tolist()])
    waiting = slots[~placed & (table.flags[slots] & BOUND == 0)]
    return Roll(
        slots=slots,
        ranks=ranks,
        placed=placed,
        wanted=wanted,
        minimum=minimum,
        wishes=asked,
        priority=priority,
        since_us=int(table.since_us[slots].max()),
        problems=(*gang.gone_problem(), *problems, *told, *mixed, *several, *ignored),
        unsupported=(*gang.rules, *asked.unmet, *rules_of(table, waiting)),
        profile=profile,
    )


def rules_of(table: MemberTable, slots: I32) -> list[str]:
    """Rules that these pods ask for and nobody checks, by name."""
    numbers = _distinct(table.rules[slots])
    return sorted({rule for number in numbers for rule in table.all_rules[number]})


def _wanted(table: MemberTable, gang: RosterGang, slots: I32) -> tuple[int, list[str]]:
    there = len(slots)
    if gang.is_label:
        numbers = _distinct(table.terms[slots])
        return wanted_by_label((table.all_terms[number][1] for number in numbers), there)
    wanted = gang.facts.wanted if gang.facts is not None else gang.least
    # While a set is scaled down, members beyond its size still run.
    return max(wanted, there), []


def _distinct(column: I32 | U8) -> list[int]:
    if not column.size:
        return []
    low, high = int(column.min()), int(column.max())
    return [low] if low == high else np.unique(column).tolist()
