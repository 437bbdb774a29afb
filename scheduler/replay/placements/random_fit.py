"""Random: what placement without any thought gives."""

from __future__ import annotations

import zlib

import numpy as np

from scheduler.model.arrays import I32, I64
from scheduler.model.topology import Topology
from scheduler.plan.gang import Gang
from scheduler.replay.placements.base import Room, SimpleRule, usable


class RandomFit(SimpleRule):
    """Each member on a random free place. Pure: the draw depends on the seed and the gang."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    @property
    def name(self) -> str:
        """`random`."""
        return "random"

    def fill(self, room: Room, n: int, gang: Gang) -> I32:
        """n places drawn without replacement, a node having as many as members fit."""
        rows = usable(room)
        places = np.repeat(rows, np.minimum(room.cap[rows], n))
        drawn: I32 = self._random(gang).choice(places, size=n, replace=False)
        return drawn.astype(np.int32)

    def confine(self, topology: Topology, held: I64, holding: I32, gang: Gang) -> int:
        """A random one."""
        del topology, held
        return int(self._random(gang).choice(holding))

    def _random(self, gang: Gang) -> np.random.Generator:
        return np.random.Generator(np.random.PCG64([self._seed, zlib.crc32(gang.key.encode())]))
