"""What is said of one gang: how it stands, compared with what was said before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from scheduler.kube.batch import Settled
from scheduler.kube.conditions import Placed
from scheduler.kube.desk import Desk
from scheduler.kube.events import Event, Type
from scheduler.kube.group_status import is_group
from scheduler.model.arrays import I32
from scheduler.model.reasons import PodReason, beside, degraded_text, placed_text
from scheduler.state.gang_view import GangView, Members, OwnerRef
from scheduler.state.lifecycle import GangState
from scheduler.state.standing import Standing, standing
from scheduler.state.verdicts import Verdicts

SECOND_US = 1_000_000
GATHER_QUIET_US = 2 * SECOND_US
"""Members are said to be missing this long after the last change of the gang."""
DEGRADED_US = 5 * SECOND_US
"""A gang is said to be degraded this long after it was seen so: most members come back."""
NUMBERS_US = 60 * SECOND_US
"""Numbers of one gang are told at most this often."""
REPEAT_US = 30 * 60 * SECOND_US
"""An event that is still true is repeated before the server forgets it (an hour)."""
PROBLEMS = 20
"""Distinct problems told per gang."""

Shown = Callable[[str, I32], Sequence[str]]
Available = Callable[[str], str]


class Gangs(Protocol):
    """What is asked of the roster."""

    def changed(self) -> set[str]:
        """Gangs whose view changed, or that are no more, since the last call."""
        ...

    def at_rest(self, key: str) -> bool:
        """Is it a pod alone that has its node, and of which there is nothing to say?"""
        ...

    def view(self, key: str) -> GangView | None:
        """One gang, or None if it is no more."""
        ...

    def members(self, key: str, ranks: I32) -> Members:
        """Members with these ranks."""
        ...

    def waiting_ranks(self, key: str) -> I32:
        """Rising ranks of members that exist, have no node and are not assumed on one."""
        ...

    def lowest(self, key: str) -> int:
        """The lowest rank of the members that exist, or -1."""
        ...

    def rank_uid(self, key: str, rank: int) -> tuple[str, str]:
        """(name, uid) of a member; empty if nobody has the rank."""
        ...


@dataclass(slots=True)
class _Said:
    """What was said about one gang; conditions keep their own books."""

    sentence: str = ""
    """Ours, about the gang."""
    told: str = ""
    """With kube-scheduler's line of that moment; if that alone moves, nothing new is told."""
    numbers_us: int = 0
    """When numbers were told last."""
    event_us: int = 0
    bound: int = 0
    """Members that the last GangPlaced event counted."""
    degraded_us: int = 0
    """Since when it is seen degraded, 0 = it is not."""
    degraded_told: bool = False
    refused_us: int = 0
    problems: set[str] = field(default_factory=set)


class GangReports:
    """Works out what to say and puts it on the desk; sends nothing."""

    def __init__(
        self,
        gangs: Gangs,
        verdicts: Verdicts,
        desk: Desk,
        shown: Shown | None = None,
        available: Available = lambda _: "",
    ) -> None:
        """shown, available: see Reporter."""
        self._gangs = gangs
        self._verdicts = verdicts
        self._desk = desk
        self._shown = shown
        self._available = available
        self._said: dict[str, _Said] = {}
        self._last_bind: dict[str, int] = {}
        """Of gangs that this process binds, until it is said that they are placed."""

    def look(self, key: str, last_change_us: int, now_us: int) -> int | None:
        """Says of a gang what has not been said; returns when to look again, if that is known."""
        if self._gangs.at_rest(key):
            self._desk.waiting.forget(key)
            self._last_bind.pop(key, None)
            return None
        view = self._gangs.view(key)
        if view is None:
            self._forget(key, now_us)
            return None
        found = key not in self._said and key not in self._last_bind
        self._problems(view, now_us)
        again = self._members(view, last_change_us, now_us)
        if view.single:
            self._last_bind.pop(key, None)
        else:
            again = again or self._nodes(view, now_us, found=found)
        if is_group(view.owner):
            later = self._desk.groups.say(key, view, now_us)
            again = min(again or later, later) if later is not None else again
        return again

    def bound(self, bind: Settled, now_us: int) -> None:
        """A member got its node."""
        self._last_bind[bind.key] = now_us

        def make() -> Event | None:
            where = f"to {bind.node}" if bind.node else "to its node"
            note = f"Successfully assigned {{pod}} {where}"
            return self._about(bind, "Normal", "Scheduled", note, now_us)

        self._desk.events.say_quietly(make)

    def refused(self, bind: Settled, now_us: int) -> None:
        """The API server will not have a bind; the owner hears of one a minute."""
        view = self._gangs.view(bind.key)
        note = f"the API server refused to bind {{pod}}: {bind.text}"
        event = self._about(bind, "Warning", "FailedScheduling", note, now_us)
        if view is None or event is None:
            return
        said = self._record(bind.key)
        if said.refused_us and now_us < said.refused_us + NUMBERS_US:
            return
        said.refused_us = now_us
        self._desk.events.say(event)
        if not view.single:
            self._event(view.owner, "Warning", "GangPending", event.note, now_us)

    def numbers_due(self, now_us: int) -> list[tuple[int, str]]:
        """(when its numbers were told last, key) of gangs that wait and may hear new ones."""
        said = self._said
        return [
            (said[key].numbers_us, key)
            for key in self._desk.waiting.keys()  # noqa: SIM118
            if said[key].numbers_us + NUMBERS_US <= now_us
        ]

    def renumber(self, key: str, now_us: int) -> bool:
        """Tells numbers that moved, and repeats an event; False if the reason is another one."""
        view = self._gangs.view(key)
        state = None if view is None else standing(view, self._verdicts.of(key))
        if view is None or state is None or state.reason != self._desk.waiting.reason(key):
            return False
        said = self._said[key]
        said.numbers_us = now_us
        ranks = self._gangs.waiting_ranks(key)
        if state.sentence != said.sentence and ranks.size:
            said.sentence, said.told = state.sentence, self._in_full(key, state)
            name, uid = self._gangs.rank_uid(key, int(ranks[0]))
            self._desk.waiting.renumber(key, said.told, view.namespace, name, uid)
            self._pending(view, said, now_us)
        elif said.event_us + REPEAT_US <= now_us:
            self._pending(view, said, now_us)
        return True

    def _in_full(self, key: str, state: Standing) -> str:
        """The sentence, and behind it what kube-scheduler would say of the nodes."""
        return beside(state.sentence, self._available(key) if state.tried else "")

    # ---- members that wait

    def _members(self, view: GangView, last_change_us: int, now_us: int) -> int | None:
        waiting = self._desk.waiting
        state = standing(view, self._verdicts.of(view.key))
        ranks = self._gangs.waiting_ranks(view.key) if state is not None else None
        if state is None or ranks is None or not ranks.size:
            waiting.forget(view.key)
            return None
        quiet_us = last_change_us + GATHER_QUIET_US
        missing = state.reason is PodReason.WAITING_FOR_MEMBERS
        if missing and not waiting.reason(view.key) and now_us < quiet_us:
            return quiet_us
        self._wait(view, state, ranks, now_us)
        return None

    def _wait(self, view: GangView, state: Standing, ranks: I32, now_us: int) -> None:
        """Its members wait: each is told once, the owner gets an event."""
        key, waiting = view.key, self._desk.waiting
        transition = waiting.reason(key) != state.reason
        members = self._gangs.members(key, ranks)
        shown = self._shown(key, ranks) if self._shown is not None else ()
        text = self._in_full(key, state) if transition else state.sentence
        new = waiting.tell(key, state.reason, state.short, text, members, shown, now_us)
        waiting.resume(key)
        if transition:
            said = self._record(key)
            said.sentence, said.told, said.numbers_us = state.sentence, text, now_us
            self._pending(view, said, now_us)
        if not view.single and state.reason is not PodReason.WAITING_FOR_MEMBERS:
            for i in new:
                self._failed(key, members, i, state, now_us)

    def _failed(self, key: str, members: Members, at: int, state: Standing, now_us: int) -> None:
        """An event about one member that waits, if it still does when there is time for it."""
        name, uid = members.names[at], members.uids[at]

        def make() -> Event | None:
            if self._desk.waiting.reason(key) != state.reason:
                return None
            pod = OwnerRef("v1", "Pod", members.namespace, name, uid)
            return _event(pod, "Warning", "FailedScheduling", state.short, now_us)

        self._desk.events.say_quietly(make)

    def _pending(self, view: GangView, said: _Said, now_us: int) -> None:
        said.event_us = now_us
        reason = "FailedScheduling" if view.single else "GangPending"
        self._event(view.owner, "Warning", reason, said.told, now_us)

    # ---- members on nodes

    def _nodes(self, view: GangView, now_us: int, *, found: bool) -> int | None:
        whole = view.state is GangState.PLACED and view.bound >= view.wanted
        if whole and view.was_whole and found:
            # Found whole when the process started: a former one has said so.
            self._record(view.key).bound = view.bound
            condition = self._condition(view, "", whole=True)
            if condition is not None:
                self._desk.placed.found(view.key, condition)
        elif view.state is GangState.PLACED and view.bound:
            self._placed(view, now_us, whole=whole)
        elif view.state is GangState.DEGRADED:
            return self._degraded(view, now_us)
        return None

    def _placed(self, view: GangView, now_us: int, *, whole: bool) -> None:
        said = self._record(view.key)
        said.degraded_us, said.degraded_told = 0, False
        told = self._verdicts.of(view.key)
        where = told.domain if told is not None and told.placed == view.bound else ""
        bound_us = self._last_bind.pop(view.key, None)
        if view.bound > said.bound:
            # Of a gang that grew, the time since it was complete says nothing.
            took = None if bound_us is None or said.bound else max(bound_us - view.since_us, 0)
            text = placed_text(view.bound, view.wanted, where, took)
            self._event(view.owner, "Normal", "GangPlaced", text, now_us)
        said.bound = view.bound
        if whole:
            text = placed_text(view.bound, view.wanted, where)
            self._say_placed(view, text, whole=True)

    def _degraded(self, view: GangView, now_us: int) -> int | None:
        said = self._record(view.key)
        said.degraded_us = said.degraded_us or now_us
        said.bound = min(said.bound, view.bound)
        until = said.degraded_us + DEGRADED_US
        if now_us < until:
            return until
        text = degraded_text(view.bound, view.wanted)
        if not said.degraded_told:
            said.degraded_told = True
            self._event(view.owner, "Warning", "GangDegraded", text, now_us)
        if self._desk.placed.said(view.key) is not None or view.was_whole:
            self._say_placed(view, text, whole=False)
        return None

    def _say_placed(self, view: GangView, text: str, *, whole: bool) -> None:
        condition = self._condition(view, text, whole=whole)
        if condition is not None:
            self._desk.placed.say(view.key, condition)

    def _condition(self, view: GangView, text: str, *, whole: bool) -> Placed | None:
        name, uid = self._gangs.rank_uid(view.key, self._gangs.lowest(view.key))
        reason = "GangPlaced" if whole else str(PodReason.GANG_DEGRADED)
        return Placed(view.namespace, name, uid, whole, reason, text) if uid else None

    # ---- the rest

    def _problems(self, view: GangView, now_us: int) -> None:
        if not view.problems:
            return
        told = self._record(view.key).problems
        for problem in view.problems:
            if problem not in told and len(told) < PROBLEMS:
                told.add(problem)
                self._event(view.owner, "Warning", "GangProblem", problem, now_us)

    def _forget(self, key: str, now_us: int) -> None:
        self._desk.forget(key, now_us)
        self._verdicts.forget(key)
        self._said.pop(key, None)
        self._last_bind.pop(key, None)

    def _record(self, key: str) -> _Said:
        said = self._said.get(key)
        if said is None:
            said = self._said[key] = _Said()
        return said

    def _about(
        self, bind: Settled, kind: Type, reason: str, note: str, now_us: int
    ) -> Event | None:  # fmt: skip
        """An event about the pod of a bind, None if it is gone; `{pod}` stands for its name."""
        member = self._gangs.members(bind.key, np.array([bind.rank], np.int32))
        name, uid, space = member.names[0], member.uids[0], member.namespace
        if uid != bind.uid:
            return None
        pod = OwnerRef("v1", "Pod", space, name, uid)
        return _event(pod, kind, reason, note.replace("{pod}", f"{space}/{name}"), now_us)

    def _event(self, about: OwnerRef, kind: Type, reason: str, note: str, now_us: int) -> None:
        self._desk.events.say(_event(about, kind, reason, note, now_us))


def _event(about: OwnerRef, kind: Type, reason: str, note: str, now_us: int) -> Event:
    action = "Binding" if reason in {"GangPlaced", "Scheduled"} else "Scheduling"
    return Event(about, kind, reason, action, note, now_us)
