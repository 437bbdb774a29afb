"""What goes wrong during a replay, and when: nodes out, the scheduler down, demands relaxed.

At one instant: completions, then repairs, failures and drains, then arrivals, then demands that
relax, then one pass over the queue, unless the scheduler is down. A node is out while any of its
failures or drains lasts. Only a failure's beginning restarts the gangs on the node.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from scheduler.replay.trace import Trace
from scheduler.replay.what_if import Outage, WhatIf, selected
from scheduler.settings_file import seconds


class Kind(IntEnum):
    """What happens to a node, in the order in which it happens at one instant."""

    REPAIR = 0
    FAIL = 1
    DRAIN = 2


@dataclass(frozen=True, slots=True)
class Disturbances:
    """Everything timed of a what-if, over the nodes of one trace. Times are microseconds."""

    steps: tuple[tuple[int, Kind, int], ...] = ()
    """(time, kind, trace row of the node), sorted."""
    down: tuple[tuple[int, int], ...] = ()
    """Spans [from, to) without a cycle: sorted, apart."""
    relax_us: int | None = None
    """A gang that has waited so long no longer requires its level."""
    relax_levels: frozenset[str] = frozenset()
    """Only where one of these is required; empty = any."""

    @classmethod
    def of(cls, what_if: WhatIf, trace: Trace) -> Disturbances:
        """Raises BadInputError for names that the trace lacks and times that cannot be."""
        where, changes = what_if.where, what_if.changes
        steps: list[tuple[int, Kind, int]] = []
        for name, kind, outages in (
            ("failures", Kind.FAIL, changes.failures), ("drains", Kind.DRAIN, changes.drains),
        ):  # fmt: skip
            for at, outage in enumerate(outages):
                steps += _steps(what_if, trace, f"$.{name}[{at}]", kind, outage)
        spans = []
        for at, down in enumerate(changes.scheduler_down):
            path = f"$.scheduler_down[{at}]"
            begin = seconds(where, f"{path}.from_s", down.from_s)
            end = seconds(where, f"{path}.to_s", down.to_s)
            if end <= begin:
                raise where.error(path, "to_s is not after from_s")
            spans.append((begin, end))
        relax = changes.relax_required
        for at, level in enumerate(relax.levels if relax else ()):
            if level not in trace.levels:
                raise where.error(f"$.relax_required.levels[{at}]", f"no level {level}")
        return cls(
            steps=tuple(sorted(steps)),
            down=_apart(spans),
            relax_us=seconds(where, "$.relax_required.after_s", relax.after_s) if relax else None,
            relax_levels=frozenset(relax.levels if relax else ()),
        )


def _steps(
    what_if: WhatIf, trace: Trace, path: str, kind: Kind, outage: Outage
) -> list[tuple[int, Kind, int]]:
    where = what_if.where
    begin = seconds(where, f"{path}.at_s", outage.at_s)
    rows = selected(trace, where, path, outage)
    if not rows:
        raise where.error(path, "names no node", "give nodes or domains")
    steps = [(begin, kind, row) for row in rows]
    if outage.until_s is not None:
        end = seconds(where, f"{path}.until_s", outage.until_s)
        if end <= begin:
            raise where.error(path, "until_s is not after at_s")
        steps += [(end, Kind.REPAIR, row) for row in rows]
    return steps


def _apart(spans: list[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """The same instants as spans that do not touch."""
    merged: list[tuple[int, int]] = []
    for begin, end in sorted(spans):
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((begin, end))
    return tuple(merged)


@dataclass(slots=True)
class Course:
    """How far a run has come in its disturbances."""

    plan: Disturbances
    out: Counter[int] = field(default_factory=Counter)
    """Trace row -> failures and drains that last; a row that is not out is not there."""
    _next: int = 0
    _waits: deque[tuple[int, int, int]] = field(default_factory=deque)

    def due(self, now_us: int, change: Callable[[int, bool], None]) -> list[int]:
        """Carries out the steps up to now; gives the rows that failed, in order.

        change(row, out): a node goes out, or comes back.
        """
        failed: list[int] = []
        while self._next < len(self.plan.steps) and self.plan.steps[self._next][0] <= now_us:
            _, kind, row = self.plan.steps[self._next]
            self._next += 1
            if kind is Kind.REPAIR:
                self.out[row] -= 1
                if not self.out[row]:
                    del self.out[row]
                    change(row, False)
                continue
            if kind is Kind.FAIL:
                failed.append(row)
            self.out[row] += 1
            if self.out[row] == 1:
                change(row, True)
        return failed

    def waits(self, gang: int, since_us: int, level: str) -> None:
        """A gang begins to wait with this required level ("" = none)."""
        relax_us, only = self.plan.relax_us, self.plan.relax_levels
        if relax_us is not None and level and (not only or level in only):
            self._waits.append((since_us + relax_us, since_us, gang))

    def relaxed(self, now_us: int, since: Mapping[int, int]) -> list[int]:
        """Gangs whose time has come; since: gang -> since when, of those that wait."""
        found = []
        while self._waits and self._waits[0][0] <= now_us:
            _, began, gang = self._waits.popleft()
            if since.get(gang) == began:
                found.append(gang)
        return found

    def is_down(self, now_us: int) -> bool:
        """Whether no cycle may run now."""
        return any(begin <= now_us < end for begin, end in self.plan.down)

    def next_us(self, now_us: int, since: Mapping[int, int], *, waiting: bool) -> list[int]:
        """Instants to come at which something changes, given who waits (`since` as above)."""
        times = []
        if waiting:
            times = [end for begin, end in self.plan.down if begin <= now_us < end]
        if self._next < len(self.plan.steps):
            times.append(self.plan.steps[self._next][0])
        while self._waits and since.get(self._waits[0][2]) != self._waits[0][1]:
            self._waits.popleft()  # it runs
        if self._waits:
            times.append(self._waits[0][0])
        return times
