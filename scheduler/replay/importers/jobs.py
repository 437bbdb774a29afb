"""The gangs of an import while they come in, as columns that grow: no object per job.

Three million jobs of one shape each are about half a gigabyte: a key each, twelve columns of
int64, and one reference per name, as equal names are one object.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from scheduler.model.arrays import I64, frozen
from scheduler.replay.importers.rows import MalformedError
from scheduler.replay.trace import WHOLE_GPU, GangColumns, ShapeRows

WORKER = "worker"
REST = "rest"


class Member(NamedTuple):
    """`number` members of one shape; amounts are per member."""

    number: int
    gpu: int
    cpu_milli: int = 0
    gpu_milli: int = WHOLE_GPU
    """0 where gpu is 0."""
    shape: str = WORKER
    model: str = ""


class Jobs:
    """Collects jobs in file order; `columns` gives them away, once."""

    def __init__(self, key_name: str = "job_id") -> None:
        self._key_name = key_name
        self._seen: set[str] = set()
        self._names: dict[str, str] = {}
        self._keys: list[str] = []
        self._pool: list[str] = []
        self._shape: list[str] = []
        self._model: list[str] = []
        self._line = array("Q")
        self._gang_numbers = tuple(array("q") for _ in range(3))
        self._row_numbers = tuple(array("q") for _ in range(5))
        self._offset = array("q", [0])

    def __len__(self) -> int:
        return len(self._keys)

    def check_new(self, key: str) -> None:
        """Raises MalformedError if a job called `key` was added before."""
        if key in self._seen:
            line = self._line[self._keys.index(key)]
            what = f"{self._key_name} {key} stands on line {line} already"
            raise MalformedError("bad_duplicate", what, "remove one of the rows, or rename it")

    def add(
        self,
        line: int,
        key: str,
        pool: str,
        submit_us: int,
        duration_us: int,
        members: Sequence[Member],
        priority: int = 0,
    ) -> None:
        """Add a job that stands on `line`. Raises MalformedError if its key was added before."""
        self.check_new(key)
        self._seen.add(key)
        self._keys.append(key)
        self._line.append(line)
        self._pool.append(self._one(pool))
        for column, value in zip(
            self._gang_numbers, (submit_us, duration_us, priority), strict=True
        ):
            column.append(value)
        for member in members:
            self._shape.append(self._one(member.shape))
            self._model.append(self._one(member.model))
            for column, value in zip(self._row_numbers, member[:4], strict=False):
                column.append(value)
            self._row_numbers[4].append(len(self._keys) - 1)
        self._offset.append(len(self._shape))

    def _one(self, name: str) -> str:
        """The one object that stands for all names equal to this one."""
        return self._names.setdefault(name, name)

    def columns(self, *, from_first: bool = False) -> tuple[GangColumns, ShapeRows]:
        """The gangs and rows; the collection is empty afterwards.

        from_first: times are moved so that the earliest submission is 0 (calendar times).
        """
        self._seen.clear()
        submit, duration, priority = map(_taken, self._gang_numbers)
        count, gpu, cpu_milli, gpu_milli, gang = map(_taken, self._row_numbers)
        offset = _taken(self._offset)
        if from_first and len(submit):
            submit = frozen(submit - submit.min())
        gangs = GangColumns(
            keys=_tuple(self._keys),
            pool=_tuple(self._pool),
            submit_us=submit,
            duration_us=duration,
            priority=priority,
            minimum=frozen(np.add.reduceat(count, offset[:-1])) if len(submit) else submit,
            segment_size=frozen(np.zeros(len(submit), np.int64)),
            required=("",) * len(submit),
            preferred=("",) * len(submit),
            offset=offset,
        )
        return gangs, ShapeRows(
            gang=gang,
            shape=_tuple(self._shape),
            count=count,
            cpu_milli=cpu_milli,
            memory_bytes=frozen(np.zeros(len(count), np.int64)),
            gpu=gpu,
            gpu_milli=gpu_milli,
            model=_tuple(self._model),
        )


def _taken(numbers: array[int]) -> I64:
    """The numbers as a read-only column; the array is empty afterwards."""
    column: I64 = frozen(np.array(numbers, np.int64))
    del numbers[:]
    return column


def _tuple(names: list[str]) -> tuple[str, ...]:
    """The names as a tuple; the list is empty afterwards."""
    taken = tuple(names)
    names.clear()
    return taken


def split(devices: int, per_node: int, nodes: int = 0) -> tuple[Member, ...]:
    """The members of a job of `devices` (at least 1) on nodes of `per_node`.

    Equal parts on `nodes` if that divides evenly; else one member if a node holds them all;
    else whole nodes, and one member for the rest.
    """
    if nodes and devices % nodes == 0 and devices // nodes <= per_node:
        return (Member(nodes, devices // nodes),)
    if devices <= per_node:
        return (Member(1, devices),)
    full, rest = divmod(devices, per_node)
    if not rest:
        return (Member(full, per_node),)
    return Member(full, per_node), Member(1, rest, shape=REST)
