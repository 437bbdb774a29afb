"""What must always be true of a Roster and its cache, recomputed naively.

For tests after every event, and for operators on demand: it walks everything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from scheduler.state.invariants import InvariantError
from scheduler.state.members import PLAIN, UNTOLD
from scheduler.state.pods import PodState
from scheduler.state.roster import Roster
from scheduler.state.roster_gang import RosterGang


def check_roster(roster: Roster, *, settled: bool = False) -> None:
    """Raises InvariantError with every contradiction found.

    settled: nothing happened since the last settle, so that the queue must agree as well.
    """
    found = [*_slots(roster), *_bound(roster), *_records(roster)]
    for gang in roster.gangs:
        found += _gang(roster, gang)
    if settled:
        found += _queue(roster)
    if found:
        raise InvariantError("; ".join(found))


def _slots(roster: Roster) -> Iterator[str]:
    """UIDs and slots name each other; gangs count their pods."""
    table = roster.table
    slots = list(table)
    if sorted(slots) != [s for s in range(table.top) if table.uids[s]]:
        yield "slots in use are not those with a UID"
    if any(table.slot(table.uids[s]) != s for s in slots):
        yield "a UID leads to another slot"
    count = Counter(int(table.gang[s]) for s in slots)
    for gang in roster.gangs:
        if gang.pods != count[gang.number]:
            yield f"{gang.name} counts {gang.pods} pods of {count[gang.number]}"


def _bound(roster: Roster) -> Iterator[str]:
    """The cache knows exactly our bound pods, each as what it was told to be."""
    table, cache = roster.table, roster.cache
    for slot in table:
        uid, told = table.uids[slot], int(table.told[slot])
        place = cache.live.slot(uid)
        if table.bound(slot) != (told != UNTOLD) or (told != UNTOLD) != (place is not None):
            yield f"{uid}: told {told}, flags {table.flags[slot]}, place {place}"
        if place is None:
            continue
        pods, owner = cache.book.pods, cache.live.owner(place)
        if told >= 0 and (owner is None or owner.key != roster.gangs[told].key):
            yield f"{uid}: the cache takes it for another gang's"
        if told >= 0 and (told != table.gang[slot] or not table.member(slot)):
            yield f"{uid}: told to be of gang {told}, which it is not"
        if told >= 0 and int(pods.rank[place]) != int(table.rank[slot]):
            yield f"{uid}: the cache has another rank"
        if told == PLAIN and owner is not None:
            yield f"{uid}: the cache has a gang for it"
        if int(pods.shape[place]) != int(table.shape[slot]):
            yield f"{uid}: the cache has another shape"


def _gang(roster: Roster, gang: RosterGang) -> Iterator[str]:
    """Every rank with a place in the cache is exactly one member's."""
    record = roster.cache.book.find(gang.key)
    if record is None or not gang.together or roster.gangs.keyed(gang.key) is not gang:
        return
    table, pods = roster.table, roster.cache.book.pods
    members = [s for s in table.of(gang.number).tolist() if table.member(s)]
    by_rank = Counter(int(table.rank[s]) for s in members)
    for place in record.slots.tolist():
        rank = int(pods.rank[place])
        if by_rank[rank] != 1:
            yield f"{gang.name}: {by_rank[rank]} members have the placed rank {rank}"
            continue
        (slot,) = (s for s in members if int(table.rank[s]) == rank)
        seen = int(table.told[slot]) == gang.number
        if seen != bool(pods.state[place] == PodState.BOUND):
            yield f"{gang.name}: rank {rank} is seen bound here or there only"


def _records(roster: Roster) -> Iterator[str]:
    """Every gang of the cache is one of ours, or a pod alone."""
    for record in roster.cache.book:
        gang = roster.gangs.keyed(record.key)
        slot = roster.table.slot(record.key)
        if (gang is None or not gang.together) and slot < 0:
            yield f"{record.key} is nobody's"
        if slot >= 0 and roster.table.bound(slot) and record.count:
            yield f"{record.key} is on its node and alone still"


def _queue(roster: Roster) -> Iterator[str]:
    """Waiting members, and nobody else, wait in the cache."""
    table = roster.table
    for entry in roster.cache.queue:
        gang = roster.gangs.keyed(entry.key)
        ranks = entry.rank_column().tolist()
        if gang is None or not gang.together:
            slot = table.slot(entry.key)
            if ranks != [0] or not entry.single or table.bound(slot) or not table.member(slot):
                yield f"{entry.key} waits alone and should not"
            continue
        if roster.waiting_ranks(entry.key).tolist() != ranks or not gang.seen:
            yield f"{gang.name}: {ranks} wait"
