"""Builds floor.c with the kernels' flags and calls it on a snapshot's own columns."""

from __future__ import annotations

import ctypes
import os
import shlex
import subprocess
from pathlib import Path

import numpy as np

from scheduler.model.arrays import I32, I64
from scheduler.model.pending import Pending
from scheduler.model.snapshot import CORDONED, Snapshot
from scheduler.model.topology import CLUSTER

SOURCE = Path(__file__).with_name("floor.c")
FLAGS = ("-O3", "-fwrapv", "-fPIC", "-shared")
"""What setup.py and Python give the kernels: no -march, no -ffast-math."""

_MOST = 255
_AMOUNT_LIMIT = 1 << 55


class FloorError(RuntimeError):
    """floor.c cannot be built or does not take this scenario."""


class _Cluster(ctypes.Structure):
    _fields_ = (
        ("nodes", ctypes.c_int64),
        ("resources", ctypes.c_int64),
        ("spines", ctypes.c_int64),
        ("free", ctypes.c_void_p),
        ("slots", ctypes.c_void_p),
        ("flags", ctypes.c_void_p),
        ("taint_set", ctypes.c_void_p),
        ("tolerated", ctypes.c_void_p),
        ("first", ctypes.c_void_p),
    )


def build(out: Path) -> ctypes.CDLL:
    """Compiles floor.c to a library in `out` and loads it. Raises FloorError."""
    library = out / "libfloor.so"
    compiler = shlex.split(os.environ.get("CC", "cc"))
    try:
        subprocess.run([*compiler, *FLAGS, "-o", str(library), str(SOURCE)], check=True, timeout=60)
    except (OSError, subprocess.SubprocessError) as error:
        raise FloorError(f"cannot compile {SOURCE.name}: {error}") from error
    floor = ctypes.CDLL(str(library))
    for name in ("filter_capacity", "gang", "queue"):
        getattr(floor, name).restype = ctypes.c_int64
    return floor


class Floor:
    """floor.c over one snapshot. Room is taken from copies that `reset` renews."""

    def __init__(self, library: ctypes.CDLL, snapshot: Snapshot) -> None:
        """Raises FloorError if the snapshot has more than floor.c knows about."""
        topology = snapshot.topology
        tainted = any(snapshot.taint_sets) or bool(snapshot.flags.any() & CORDONED)
        limits = int(snapshot.free.max()) < _AMOUNT_LIMIT and int(snapshot.slots.max()) <= _MOST
        rows_in_order = (topology.order == np.arange(topology.nodes)).all()
        if tainted or not limits or len(topology.levels) != 1 or not rows_in_order:
            raise FloorError("the floor takes clean nodes, one level, rows in order of spines")
        self.library = library
        self.snapshot = snapshot
        self.spines = topology.domains - 1
        self.free: I64 = snapshot.free.copy()
        self.slots: I64 = snapshot.slots.copy()
        self.tolerated = np.ones(len(snapshot.taint_sets), np.uint8)
        self.first: I32 = np.append(topology.start[CLUSTER + 1 :], topology.nodes).astype(np.int32)
        self.requests: I64 = np.array([shape.requests for shape in snapshot.shapes], np.int64)
        shapes = len(snapshot.shapes)
        self.cap: I64 = np.zeros((shapes, topology.nodes), np.int64)
        self.sums: I64 = np.zeros((shapes, self.spines), np.int64)
        self.share: I64 = np.zeros(self.spines, np.int64)
        self.dirty = np.zeros(self.spines, np.uint8)
        self._cluster = _Cluster(
            topology.nodes,
            len(snapshot.resources),
            self.spines,
            *(
                column.ctypes.data
                for column in (
                    self.free, self.slots, snapshot.flags, snapshot.taint_set, self.tolerated,
                    self.first,
                )
            ),
        )  # fmt: skip
        self._at = ctypes.byref(self._cluster)

    def reset(self) -> None:
        """Gives back all that was taken; not part of what is timed."""
        self.free[:] = self.snapshot.free
        self.slots[:] = self.snapshot.slots

    def filter_capacity(self, shape: int) -> int:
        """Fills cap[shape] and sums[shape]; returns the total."""
        return int(
            self.library.filter_capacity(
                self._at, _pointer(self.requests[shape]), _pointer(self.cap[shape]),
                _pointer(self.sums[shape]),
            )
        )  # fmt: skip

    def gang(self, members: int, rows: I32) -> int:
        """Places one gang of shape 0 into rows[:members]; returns members placed."""
        return int(
            self.library.gang(
                self._at, _pointer(self.requests), ctypes.c_int64(members), _pointer(self.cap),
                _pointer(self.sums), _pointer(self.share), _pointer(self.dirty), _pointer(rows),
            )
        )  # fmt: skip

    def queue(self, pending: Pending, shape: I32, rows: I32) -> int:
        """Places all gangs in order; shape int32[G] is the shape of each."""
        return int(
            self.library.queue(
                self._at, _pointer(self.requests), ctypes.c_int64(len(self.requests)),
                ctypes.c_int64(pending.gangs), _pointer(pending.offset), _pointer(shape),
                _pointer(self.cap), _pointer(self.sums), _pointer(self.share),
                _pointer(self.dirty), _pointer(rows),
            )
        )  # fmt: skip


def _pointer(array: np.ndarray) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)
