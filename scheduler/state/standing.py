"""Why members of a gang wait, from how the gang stands and what was last decided of it."""

from __future__ import annotations

from dataclasses import dataclass

from scheduler.model.reasons import (
    REFUSED,
    WAITING_SHORT,
    PodReason,
    refused_text,
    unsupported_text,
    waiting_text,
)
from scheduler.state.gang_view import GangView
from scheduler.state.lifecycle import GangState
from scheduler.state.verdicts import Told


@dataclass(frozen=True, slots=True)
class Standing:
    """What its waiting members are told."""

    reason: PodReason
    sentence: str
    """With numbers: for the lowest rank, the owner's event and explain."""
    short: str
    """Without numbers that move: for everybody."""
    tried: bool = False
    """A cycle looked for a place: kube-scheduler's line about the nodes stands beside this."""


def standing(view: GangView, told: Told | None) -> Standing | None:
    """The words for members that wait; None: nobody waits, or nothing is known yet."""
    if not view.waiting:
        return None
    if view.unsupported:
        if all(rule.startswith(REFUSED) for rule in view.unsupported):
            text = refused_text(view.unsupported)
            return Standing(PodReason.UNSCHEDULABLE, text, text)
        text = unsupported_text(view.unsupported)
        return Standing(PodReason.UNSUPPORTED, text, text)
    if view.state in {None, GangState.WAITING} and not view.single:
        return _incomplete(view)
    if told is None or told.reason is None:
        return None
    return Standing(told.reason, told.sentence, told.short, tried=True)


def _incomplete(view: GangView) -> Standing:
    """Members are missing, or the object that says how many there are."""
    there = view.waiting + view.bound
    parts = [waiting_text(there, view.wanted)] if there < view.wanted else []
    text = "; ".join([*parts, *view.problems]) or WAITING_SHORT
    return Standing(PodReason.WAITING_FOR_MEMBERS, text, WAITING_SHORT)
