"""Gangs that wait, as columns: what the queue hands to plan().

G gangs, M members; members of gang g are offset[g] .. offset[g + 1] - 1, lowest rank first.
"""

from __future__ import annotations

from dataclasses import dataclass

from scheduler.model.arrays import I8, I32, I64, U8

NO_LEVEL = -1
NO_DOMAIN = -1
NO_ROW = -1
NO_PIN = -1


@dataclass(frozen=True, eq=False, slots=True)
class Pending:
    """Every waiting gang that is worth trying, in any order: plan() sorts them."""

    key: tuple[str, ...]
    """[G] unique gang keys, for claims, holds and logs."""
    name: tuple[str, ...]
    """[G] names, the last tie-break of the queue (numeric-aware)."""
    offset: I64
    """[G + 1]"""
    minimum: I32
    """[G] the least number of these members worth placing, 1 .. n."""
    required: I8
    """[G] required level, or -1."""
    preferred: I8
    """[G] preferred level, or -1 if the tree has no levels."""
    segment_size: I32
    """[G] members per segment, or 0."""
    segment_level: I8
    """[G] level that a segment must share, or -1."""
    home: I32
    """[G] domain that holds the gang's bound members, or -1."""
    single: U8
    """[G] 1 for a pod that is no gang: unlabelled nodes are its first choice."""
    repair: U8
    """[G] 1 for members of a gang that was placed before; these go first."""
    priority: I32
    """[G] higher goes first."""
    ready_us: I64
    """[G] when the gang became complete, microseconds."""
    expected_us: I64
    """[G] run time where it is known (replay: shortest job first), else 0."""
    pool: I32
    """[G] queue it stands in, for strict scans; 0 in production."""
    rank: I32
    """[M] rank of each member, rising inside a gang."""
    shape: I32
    """[M] shape number in Snapshot.shapes."""
    held_row: I32
    """[M] row where this member's room is held (already taken from free), or -1."""
    pin: I32
    """[M] index into pins, or -1."""
    starved: U8 | None = None
    """[G] 1 for a gang that the last cycle did not try because its searches had used up the
    budget; None = nobody."""
    pins: tuple[I32, ...] = ()
    """Rows that a pinned member may use, rising (its disks, a node name)."""

    @property
    def gangs(self) -> int:
        """G."""
        return len(self.key)

    @property
    def members(self) -> int:
        """M."""
        return int(self.offset[-1])
