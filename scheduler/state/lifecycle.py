"""Life of a gang and of its members, as tables; an illegal step raises and changes nothing.

    WAITING --complete--> PENDING --plan--> PLANNED --send--> BINDING --finish--> PLACED
       ^                   ^   ^  |            |                 |                   |
       +----incomplete-----+   |  +-back_off-> BACKING_OFF <---back_off              |
       (from any state)        +----retry-------+     ^                              |
                               +----forget------ PLANNED, BINDING                    |
                                                      |                              |
                               DEGRADED --release-----+      DEGRADED <-----lose-----+
                               (also from PLANNED, BINDING by lose; back by plan or finish)

`end` leads out of every state: the gang is finished or deleted and its record is dropped.
"""

from __future__ import annotations

from enum import StrEnum


class IllegalTransitionError(RuntimeError):
    """A step that the tables do not have, or members that are not in the state it needs."""


class GangState(StrEnum):
    """Where a gang stands; `muster_gangs{state}` counts by these names."""

    WAITING = "waiting"
    """Members are missing."""
    PENDING = "pending"
    """Complete, in the queue."""
    PLANNED = "planned"
    """Members are assumed on nodes, none sent."""
    BINDING = "binding"
    """Binds are on their way."""
    PLACED = "placed"
    """Every member that it was planned with is bound."""
    DEGRADED = "degraded"
    """Some members are bound, others were lost or given up."""
    BACKING_OFF = "backing_off"
    """Given up for now; a time has to pass first."""
    GONE = "gone"
    """Not a state of a record: what `end` leads to."""


class Step(StrEnum):
    """What happens to a gang."""

    COMPLETE = "complete"
    INCOMPLETE = "incomplete"
    ADOPT = "adopt"
    """Bound members were found of a gang that nobody here placed (restart)."""
    PLAN = "plan"
    SEND = "send"
    FINISH = "finish"
    FORGET = "forget"
    """Every assume was given up and no member is bound."""
    LOSE = "lose"
    """A member was lost or given up while others stay."""
    RELEASE = "release"
    """Its bound members are given up, so that it can be planned elsewhere."""
    BACK_OFF = "back_off"
    RETRY = "retry"
    END = "end"


_S, _T = GangState, Step

TRANSITIONS: dict[tuple[GangState, Step], GangState] = {
    (_S.WAITING, _T.COMPLETE): _S.PENDING,
    (_S.WAITING, _T.ADOPT): _S.DEGRADED,
    (_S.PENDING, _T.ADOPT): _S.DEGRADED,
    (_S.PENDING, _T.PLAN): _S.PLANNED,
    (_S.PENDING, _T.BACK_OFF): _S.BACKING_OFF,
    (_S.PLANNED, _T.PLAN): _S.PLANNED,  # late members, before the first ones are sent
    (_S.PLANNED, _T.SEND): _S.BINDING,
    (_S.PLANNED, _T.FORGET): _S.PENDING,
    (_S.PLANNED, _T.LOSE): _S.DEGRADED,
    (_S.BINDING, _T.PLAN): _S.BINDING,  # late members join the binds on their way
    (_S.BINDING, _T.SEND): _S.BINDING,
    (_S.BINDING, _T.FINISH): _S.PLACED,
    (_S.BINDING, _T.FORGET): _S.PENDING,
    (_S.BINDING, _T.LOSE): _S.DEGRADED,
    (_S.BINDING, _T.BACK_OFF): _S.BACKING_OFF,
    (_S.PLACED, _T.PLAN): _S.PLANNED,  # late members
    (_S.PLACED, _T.LOSE): _S.DEGRADED,
    (_S.PLACED, _T.FINISH): _S.PLACED,
    (_S.DEGRADED, _T.PLAN): _S.PLANNED,  # repair
    (_S.DEGRADED, _T.LOSE): _S.DEGRADED,
    (_S.DEGRADED, _T.FORGET): _S.PENDING,
    (_S.DEGRADED, _T.FINISH): _S.PLACED,
    (_S.DEGRADED, _T.RELEASE): _S.BACKING_OFF,
    (_S.BACKING_OFF, _T.RETRY): _S.PENDING,
    (_S.BACKING_OFF, _T.ADOPT): _S.DEGRADED,
    **{(s, _T.INCOMPLETE): _S.WAITING for s in _S if s is not _S.GONE},
    **{(s, _T.END): _S.GONE for s in _S if s is not _S.GONE},
}


def after(state: GangState, step: Step, who: str = "") -> GangState:
    """The state that `step` leads to. Raises IllegalTransitionError if there is no such step."""
    try:
        return TRANSITIONS[state, step]
    except KeyError:
        raise IllegalTransitionError(
            f"gang {who}: no step {step!r} from {state!r}" if who else f"no {step!r} from {state!r}"
        ) from None
