"""What was last decided of each gang, and since when: the recorder behind explain and conditions.

Columns, one row per gang: a cycle that rejects thousands of gangs again costs a few array
operations, and sentences are written when somebody asks for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from scheduler.model.arrays import I8, I32, I64
from scheduler.model.names import plural
from scheduler.model.pending import NO_DOMAIN, NO_ROW, Pending
from scheduler.model.plan import Cause, Plan, Rejection, Verdict
from scheduler.model.reasons import PodReason, placed_text, pod_reason, sentence, short
from scheduler.model.snapshot import Snapshot
from scheduler.model.topology import CLUSTER, Topology
from scheduler.state.growth import FIRST_SIZE, grown

_REASONS = tuple(PodReason)
_NEW = -2
_PLACED = -1
"""Answers that are no index into _REASONS: nothing decided yet; placed."""


class Decided(Protocol):
    """What of a cycle (`engine.Cycle`) is recorded."""

    @property
    def now_us(self) -> int:
        """When the cycle began."""
        ...

    @property
    def snapshot(self) -> Snapshot:
        """What it saw."""
        ...

    @property
    def pending(self) -> Pending:
        """Gangs that it was asked for."""
        ...

    @property
    def plan(self) -> Plan:
        """What it decided."""
        ...


@dataclass(frozen=True, slots=True)
class Told:
    """What was last decided of one gang."""

    reason: PodReason | None
    """None: its members were placed."""
    sentence: str
    """With numbers, without a full stop."""
    short: str
    """Without numbers that move; empty if it was placed."""
    domain: str
    """Where it was placed: `spine-3/leaf-1`, or `3 spines`; empty if it was not."""
    placed: int
    """Members that were placed there; late ones are decided, and counted, by themselves."""
    since_us: int
    """Since when the answer is the same, whatever its numbers."""
    cycle_us: int
    """The cycle that gave it last."""
    rejection: Rejection | None
    """The numbers, if it was rejected."""


class Verdicts:
    """Answers by gang key. One thread records and reads."""

    def __init__(self, *, autoscaler_domains: bool = False) -> None:
        """autoscaler_domains: see `reasons.pod_reason`."""
        self.cycles = 0
        """Cycles recorded so far."""
        self._code = _codes(autoscaler_domains=autoscaler_domains)
        self._index: dict[str, int] = {}
        self._unused: list[int] = []
        self._answer: I8 = np.full(FIRST_SIZE, _NEW, np.int8)
        self._since_us: I64 = np.zeros(FIRST_SIZE, np.int64)
        self._cycle_us: I64 = np.zeros(FIRST_SIZE, np.int64)
        self._size: I32 = np.zeros((2, FIRST_SIZE), np.int32)
        """[2, row] placed and asked for, of the last answer."""
        self._rejection: npt.NDArray[np.object_] = np.full(FIRST_SIZE, None, np.object_)
        self._domain: list[str] = [""] * FIRST_SIZE
        self._changed: dict[str, None] = {}

    def __len__(self) -> int:
        return len(self._index)

    def __contains__(self, key: str) -> bool:
        return key in self._index

    def record(self, cycle: Decided) -> None:
        """Takes down what a cycle decided; gangs that were not tried keep what was said before."""
        self.cycles += 1
        plan = cycle.plan
        tried = np.flatnonzero(plan.verdict != Verdict.NOT_TRIED)
        if not tried.size:
            return
        all_keys = cycle.pending.key
        keys = [all_keys[g] for g in tried.tolist()]
        at = self._rows(keys)
        repair = (cycle.pending.repair[tried] > 0).astype(np.intp)
        answer = self._code[repair, plan.cause[tried]]
        answer[plan.verdict[tried] == Verdict.FITS] = _PLACED
        differs = answer != self._answer[at]
        self._answer[at] = answer
        self._since_us[at[differs]] = cycle.now_us
        self._cycle_us[at] = cycle.now_us
        self._size[0, at] = plan.placed[tried]
        self._size[1, at] = np.diff(cycle.pending.offset)[tried]
        rejections = plan.rejection
        self._rejection[at] = np.fromiter(
            (rejections[g] for g in tried.tolist()), np.object_, len(keys)
        )
        self._where(cycle, tried[answer == _PLACED], at[answer == _PLACED])
        # Placed again (late members) is news, too: another part of the gang has its nodes.
        for i in np.flatnonzero(differs | (answer == _PLACED)).tolist():
            self._changed[keys[i]] = None

    def of(self, key: str) -> Told | None:
        """What was last decided of a gang, or None if it was never tried."""
        at = self._index.get(key)
        if at is None:
            return None
        rejection: Rejection | None = self._rejection[at]
        reason = self._reason(at)
        placed, asked = self._size[:, at].tolist()
        if reason is None:
            text, brief = placed_text(placed, asked, self._domain[at]), ""
        else:
            text = sentence(rejection) if rejection is not None else ""
            brief = short(reason, rejection)
        return Told(
            reason, text, brief, self._domain[at], placed,
            int(self._since_us[at]), int(self._cycle_us[at]), rejection,
        )  # fmt: skip

    def rejected(self, key: str) -> bool:
        """Was its last answer no?"""
        at = self._index.get(key)
        return at is not None and self._reason(at) is not None

    def changed(self) -> list[str]:
        """Gangs whose answer changed since the last call, in the order in which it did."""
        keys = list(self._changed)
        self._changed.clear()
        return keys

    def forget(self, key: str) -> None:
        """The gang is no more. Nothing happens if it was never tried."""
        self._changed.pop(key, None)
        at = self._index.pop(key, None)
        if at is not None:
            self._answer[at] = _NEW
            self._rejection[at] = None
            self._domain[at] = ""
            self._unused.append(at)

    def _reason(self, at: int) -> PodReason | None:
        answer = int(self._answer[at])
        return _REASONS[answer] if answer >= 0 else None

    def _rows(self, keys: Sequence[str]) -> npt.NDArray[np.intp]:
        """Rows of gangs; those never seen get one."""
        index = self._index
        found = [index.get(key, -1) for key in keys]
        if min(found) < 0:
            found = [self._row(key) for key in keys]
        return np.array(found, np.intp)

    def _row(self, key: str) -> int:
        at = self._index.get(key)
        if at is None:
            if not self._unused:
                self._grow()
            at = self._index[key] = self._unused.pop()
        return at

    def _grow(self) -> None:
        """Called when every row is in use, and for the first one."""
        used, need = len(self._index), len(self._index) + 1
        self._answer = grown(self._answer, need, _NEW)
        self._since_us = grown(self._since_us, need)
        self._cycle_us = grown(self._cycle_us, need)
        self._size = grown(self._size, need)
        self._rejection = grown(self._rejection, need)
        more = len(self._answer) - len(self._domain)
        self._domain.extend([""] * more)
        self._unused.extend(range(len(self._answer) - 1, used - 1, -1))

    def _where(self, cycle: Decided, gangs: npt.NDArray[np.intp], at: npt.NDArray[np.intp]) -> None:
        topology = cycle.snapshot.topology
        known: dict[int, str] = {}
        for g, row in zip(gangs.tolist(), at.tolist(), strict=True):
            domain = int(cycle.plan.domain[g])
            if domain not in known and domain > CLUSTER:
                known[domain] = "/".join(topology.path(domain))
            text = known.get(domain)
            if text is None:
                first, last = cycle.pending.offset[g : g + 2].tolist()
                text = _spread(topology, cycle.plan.row[first:last])
            self._domain[row] = text


def _codes(*, autoscaler_domains: bool) -> I8:
    """[repair, Cause] -> answer. A rejection without a cause in the room free says nothing new."""
    codes = np.full((2, len(Cause)), _NEW, np.int8)
    for cause in Cause:
        for repair in (False, True):
            reason = pod_reason(cause, autoscaler_domains=autoscaler_domains, degraded=repair)
            if reason is not None:
                codes[int(repair), cause] = _REASONS.index(reason)
    return codes


def _spread(topology: Topology, rows: I32) -> str:
    """Several domains of the topmost level, counted; the cluster where there is no level."""
    rows = rows[rows != NO_ROW]
    if topology.levels and rows.size:
        domains = topology.domains_at(rows, 0)
        if (domains != NO_DOMAIN).all():
            count = np.unique(domains).size
            return f"{count} {plural(topology.levels[0]) if count > 1 else topology.levels[0]}"
    return "the cluster"
