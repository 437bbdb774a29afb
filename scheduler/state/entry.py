"""What waits in the queue: a gang (or what is left of one) as one value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from scheduler.model.arrays import I32
from scheduler.model.pending import NO_LEVEL
from scheduler.model.volumes.pins import Pins

MIXED = -1
"""Shape of an entry whose members are not all alike."""


@dataclass(frozen=True, eq=False, slots=True)
class Entry:
    """Members of one gang that wait for nodes.

    key: unique gang key. name: the last tie-break of the queue.
    count: members that wait. minimum: the least number of them worth placing, 1 .. count.
    shape: shape number of all members, or int32[count] by rising rank.
    ranks: first of consecutive ranks, or int32[count], rising.
    required, preferred, segment_level: level numbers, -1 = none (`preferred` is ignored in a tree
        without levels). segment_size: members per segment, 0 = none.
    pins: rank -> the nodes that this member may use.
    profile: number of the profile that places it; its levels are meant.
    """

    key: str
    name: str
    count: int
    shape: int | I32
    minimum: int
    ranks: int | I32 = 0
    required: int = NO_LEVEL
    preferred: int = 0
    segment_size: int = 0
    segment_level: int = NO_LEVEL
    pool: int = 0
    priority: int = 0
    ready_us: int = 0
    expected_us: int = 0
    repair: bool = False
    single: bool = False
    pins: Mapping[int, Pins] = field(default_factory=dict)
    profile: int = 0

    def __post_init__(self) -> None:
        """Raises ValueError on a number of members that the columns do not bear out."""
        if not 1 <= self.minimum <= self.count:
            raise ValueError(f"gang {self.key}: minimum {self.minimum} of {self.count}")
        for column in (self.shape, self.ranks):
            if not isinstance(column, int) and len(column) != self.count:
                raise ValueError(f"gang {self.key}: {len(column)} values for {self.count} members")
        if not isinstance(self.ranks, int) and (np.diff(self.ranks) <= 0).any():
            raise ValueError(f"gang {self.key}: ranks do not rise")

    @property
    def uniform(self) -> int:
        """The shape of all members, or MIXED."""
        if isinstance(self.shape, int):
            return self.shape
        first = int(self.shape[0])
        return first if bool((self.shape == first).all()) else MIXED

    def rank_column(self) -> I32:
        """int32[count], rising."""
        if isinstance(self.ranks, int):
            return np.arange(self.ranks, self.ranks + self.count, dtype=np.int32)
        return self.ranks

    def shape_column(self) -> I32:
        """int32[count] by rising rank."""
        if isinstance(self.shape, int):
            return np.full(self.count, self.shape, np.int32)
        return self.shape

    def shape_numbers(self) -> list[int]:
        """Distinct shape numbers, rising."""
        return [self.shape] if isinstance(self.shape, int) else np.unique(self.shape).tolist()

    def where(self, kept: npt.NDArray[np.bool_]) -> Entry | None:
        """Late members of this gang: those that `kept` bool[count] names, or None if it is empty.

        They are worth placing one by one and go first: the gang itself has its place already.
        """
        count = int(np.count_nonzero(kept))
        if not count:
            return None
        shape = self.shape if isinstance(self.shape, int) else self.shape[kept]
        ranks = self.rank_column()[kept]
        return replace(self, count=count, minimum=1, shape=shape, ranks=ranks, repair=True)

    def joined(self, other: Entry) -> Entry:
        """Late members of the same gang from both entries. Ranks must be distinct."""
        ranks = np.concatenate((self.rank_column(), other.rank_column()))
        order = np.argsort(ranks, kind="stable")
        shapes = np.concatenate((self.shape_column(), other.shape_column()))
        return replace(
            self,
            count=self.count + other.count,
            minimum=1,
            shape=shapes[order],
            ranks=ranks[order],
            repair=True,
            pins={**self.pins, **other.pins},
        )

    def like(self, origin: Entry) -> Entry:
        """These members as the gang `origin` again: nothing of it is on nodes any more."""
        if np.array_equal(self.rank_column(), origin.rank_column()):
            return origin
        minimum = min(origin.minimum, self.count)
        return replace(self, minimum=minimum, repair=origin.repair)
