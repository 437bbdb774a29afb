"""The one loop: gather, freeze, plan, assume, commit, record. Both ends are injected.

    source ---events---> cache ---freeze---> plan(snapshot, pending) ---> cache.assume
                           ^                                                  |
                           +------- outcomes, as events ------- committer <---+

The live scheduler's source is the API server's watches and its committer binds pods; replay's
source is a trace and its committer a list of ends. Nothing else differs between them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from scheduler.clock import Clock
from scheduler.model.arrays import I32
from scheduler.model.pending import NO_ROW, Pending
from scheduler.model.plan import Plan, Verdict
from scheduler.model.policy import Policy
from scheduler.model.snapshot import Snapshot
from scheduler.plan import plan
from scheduler.plan.placement import Placement
from scheduler.state.cache import Cache


class Source(Protocol):
    """Where events come from."""

    def gather(self, cache: Cache, now_us: int) -> None:
        """Applies everything that has happened by `now_us` to the cache, and returns."""
        ...


class Committer(Protocol):
    """Where decisions go."""

    def commit(self, decision: Decision) -> None:
        """Takes one gang's decision; enqueues and returns. Outcomes come back as events."""
        ...


class Recorder(Protocol):
    """Who watches."""

    def record(self, cycle: Cycle) -> None:
        """One cycle is over."""
        ...


@dataclass(frozen=True, eq=False, slots=True)
class Decision:
    """Rows for members of one gang, already assumed in the cache."""

    key: str
    rows: I32
    """[m] row of each member that was placed."""
    ranks: I32
    """[m] their ranks, rising."""
    shapes: I32
    """[m] their plan shapes."""
    domain: int
    """Lowest common domain of rows."""
    snapshot: Snapshot


@dataclass(frozen=True, eq=False, slots=True)
class Cycle:
    """What one cycle saw and decided."""

    now_us: int
    snapshot: Snapshot
    pending: Pending
    plan: Plan
    profile: int = 0
    """Whose gangs they were."""


class Engine:
    """Runs cycles over one cache; one thread calls it."""

    def __init__(
        self,
        cache: Cache,
        policy: Policy,
        clock: Clock,
        source: Source,
        committer: Committer,
        recorder: Recorder | None = None,
        placement: Placement | None = None,
        phase: Callable[[str], None] = lambda _: None,
        others: Sequence[Policy] = (),
    ) -> None:
        """placement: a rule other than Muster's own. phase: told the name of each step.

        policy: of profile 0; others: of profiles 1, 2, ..
        """
        self.cache = cache
        self.policies = (policy, *others)
        self._clock = clock
        self._source = source
        self._committer = committer
        self._recorder = recorder
        self._placement = placement
        self._phase = phase

    def cycle(self, profile: int = 0) -> Cycle:
        """One pass over those of the queue whom the profile places; what it saw and decided."""
        now, policy = self._clock.now_us(), self.policies[profile]
        # 1. Everything that has happened goes into the cache.
        self._phase("gather")
        self._source.gather(self.cache, now)
        # 2. A frozen view: only dirty rows are touched; then the gangs worth trying.
        self._phase("freeze")
        snapshot = self.cache.freeze(now, profile=profile)
        pending = self.cache.pending(now, snapshot, policy, profile)
        # 3. Decide, purely.
        self._phase("plan")
        tree = self.cache.tree_of(profile)
        decided = plan(snapshot, pending, policy, now, placement=self._placement, tree=tree)
        cycle = Cycle(now, snapshot, pending, decided, profile)
        # 4. Believe it before it is true, so that the next cycle does not give the room twice.
        # 5. Send it on its way.
        self._phase("commit")
        for gang in decided.order[decided.verdict[decided.order] == Verdict.FITS].tolist():
            self._committer.commit(self._assume(cycle, gang))
        self.cache.note(pending, decided, now)
        # 6. Tell whoever watches.
        self._phase("record")
        if self._recorder is not None:
            self._recorder.record(cycle)
        return cycle

    def _assume(self, cycle: Cycle, gang: int) -> Decision:
        pending, decided = cycle.pending, cycle.plan
        members = slice(int(pending.offset[gang]), int(pending.offset[gang + 1]))
        rows = decided.row[members]
        placed = rows != NO_ROW
        decision = Decision(
            key=pending.key[gang],
            rows=rows[placed],
            ranks=pending.rank[members][placed],
            shapes=pending.shape[members][placed],
            domain=int(decided.domain[gang]),
            snapshot=cycle.snapshot,
        )
        # Plans know plan shapes; the members take room, and leave marks, as what they are.
        self.cache.assume(decision.key, decision.rows, None, decision.ranks)
        return decision
