"""Entries of the cache's queue, built from columns."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from scheduler.model.arrays import I32
from scheduler.model.volumes.pins import Pins
from scheduler.state.entry import Entry
from scheduler.state.members import MemberTable
from scheduler.state.roll_call import WishBook
from scheduler.state.roster_gang import Roll, RosterGang


def gang_entry(table: MemberTable, gang: RosterGang, roll: Roll, *, late: bool) -> Entry:
    """The members of `gang` without a place: the gang itself, or late ones of it."""
    waiting = ~roll.placed
    slots, ranks = roll.slots[waiting], roll.ranks[waiting]
    wishes, count = roll.wishes, len(slots)
    return Entry(
        key=gang.key,
        name=gang.name,
        count=count,
        shape=_alike(table.shape[slots]),
        minimum=1 if late else min(roll.minimum, count),
        ranks=_consecutive(ranks),
        required=wishes.required,
        preferred=wishes.preferred,
        segment_size=wishes.segment_size,
        segment_level=wishes.segment_level,
        priority=roll.priority,
        ready_us=roll.since_us if gang.complete_us is None else gang.complete_us,
        repair=late,
        pins=_pins(table, slots, ranks),
        profile=roll.profile,
    )


def lone_entry(table: MemberTable, slot: int, book: WishBook) -> Entry | None:
    """A pod that is placed alone; None if it asks for something that nobody understands."""
    profile = int(table.profile[slot])
    wishes, _ = book.read(table.all_terms[int(table.terms[slot])][0], profile)
    if wishes.unmet:
        return None
    pins = table.pins.get(slot)
    return Entry(
        key=table.uids[slot],
        name=f"{table.spaces[slot]}/Pod/{table.names[slot]}",
        count=1,
        shape=int(table.shape[slot]),
        minimum=1,
        required=wishes.required,
        preferred=wishes.preferred,
        segment_size=wishes.segment_size,
        segment_level=wishes.segment_level,
        priority=int(table.priority[slot]),
        ready_us=int(table.since_us[slot]),
        single=True,
        pins={} if pins is None else {0: pins},
        profile=profile,
    )


def same_entry(one: Entry, other: Entry) -> bool:
    """Whether both let the same members wait in the same way."""
    return (
        (one.count, one.minimum, one.priority, one.ready_us, one.repair, one.single)
        == (other.count, other.minimum, other.priority, other.ready_us, other.repair, other.single)
        and (one.required, one.preferred, one.segment_size, one.segment_level)
        == (other.required, other.preferred, other.segment_size, other.segment_level)
        and _same(one.shape, other.shape, one.shape_column, other.shape_column)
        and _same(one.ranks, other.ranks, one.rank_column, other.rank_column)
        and one.pins == other.pins
        and one.profile == other.profile
    )


def _same(
    one: int | I32, other: int | I32, column: Callable[[], I32], column2: Callable[[], I32]
) -> bool:
    if isinstance(one, int) and isinstance(other, int):
        return one == other
    return bool(np.array_equal(column(), column2()))


def _alike(shapes: I32) -> int | I32:
    first = int(shapes[0])
    return first if bool((shapes == first).all()) else shapes


def _consecutive(ranks: I32) -> int | I32:
    first = int(ranks[0])
    return first if int(ranks[-1]) - first == len(ranks) - 1 else ranks


def _pins(table: MemberTable, slots: I32, ranks: I32) -> dict[int, Pins]:
    """Rank -> nodes of members that may not use all nodes; few pods are pinned."""
    if not table.pins:
        return {}
    pinned = np.isin(slots, np.fromiter(table.pins, np.int32, len(table.pins)))
    pairs = zip(ranks[pinned].tolist(), slots[pinned].tolist(), strict=True)
    return {rank: table.pins[slot] for rank, slot in pairs}
