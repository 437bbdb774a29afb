"""What users are told about a gang that waits: one sentence with numbers, and a reason.

94 of 128 fit; best spine is spine-3 with 94, 34 short of nvidia.com/gpu; 412 nodes excluded:
400 taint gpu=reserved, 12 cordoned; blocked by hold of team-a/train-b until 14:05
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import TypeVar

from scheduler.model.plan import Cause, Rejection

CLUSTER_WIDE = "cluster"
"""`Rejection.best_level` where no level is required."""
MOST_LISTED = 3
"""Reasons of excluded nodes, and blockers, that a sentence names; the others are counted."""

T = TypeVar("T")


class PodReason(StrEnum):
    """Reasons of the pod condition PodScheduled=False."""

    UNSCHEDULABLE = "Unschedulable"
    """The eligible nodes have too little room. Autoscalers act on this one and on no other."""
    TOPOLOGY_UNSATISFIED = "TopologyUnsatisfied"
    """They have enough, but no permitted domain (or no run of whole segments) does."""
    WAITING_FOR_MEMBERS = "WaitingForMembers"
    GANG_DEGRADED = "GangDegraded"
    UNSUPPORTED = "Unsupported"


def pod_reason(cause: Cause, *, autoscaler_domains: bool = False) -> PodReason | None:
    """The reason for members of a gang that was tried and not placed; None = say nothing new.

    Room that is there in sum but in pieces too small for a member is of no use to it, so
    FRAGMENTATION is Unschedulable like CAPACITY: a new node would help. Where members fit on
    nodes but no domain holds them, a new node anywhere would not. A gang that was not tried
    (ORDER) keeps what was said before.

    autoscaler_domains: `autoscaler.domains` of the configuration: the autoscaler knows domains,
    so that it is told of every gang that does not fit.
    """
    if cause in (Cause.CAPACITY, Cause.FRAGMENTATION):
        return PodReason.UNSCHEDULABLE
    if cause is Cause.TOPOLOGY:
        return PodReason.UNSCHEDULABLE if autoscaler_domains else PodReason.TOPOLOGY_UNSATISFIED
    return None


def sentence(rejection: Rejection) -> str:
    """Why a gang does not fit, in one line without a full stop."""
    parts = [_fit(rejection), _best(rejection), _excluded(rejection), _blocked(rejection)]
    return "; ".join(part for part in parts if part)


def hold_text(owner: str, until_us: int) -> str:
    """A hold as `Rejection.blocked_by` names it; the time is UTC, to the minute."""
    hour, minute = divmod(until_us // 60_000_000 % (24 * 60), 60)
    return f"hold of {owner} until {hour:02}:{minute:02}"


def claim_text(owner: str) -> str:
    """A claim as `Rejection.blocked_by` names it."""
    return f"claim of {owner}"


def unlabelled_text(level: str) -> str:
    """How nodes outside every domain of the required level are counted."""
    return f"no {level} label"


def _fit(rejection: Rejection) -> str:
    text = f"{rejection.fit} of {rejection.wanted} fit"
    if rejection.best_level == CLUSTER_WIDE:
        text += " in the whole cluster"
    if rejection.minimum < rejection.wanted:
        text += f", at least {rejection.minimum} must"
    if rejection.best_level == CLUSTER_WIDE:
        text += _short(rejection)
    if rejection.proved:
        return text
    return f"no place found within the search budget, but there may be one; {text}"


def _best(rejection: Rejection) -> str:
    if rejection.best_level == CLUSTER_WIDE:
        return ""
    if not rejection.best_level:
        level = rejection.required
        return f"no domain is permitted: no node has a {level} label" if level else ""
    path = "/".join(rejection.best_path)
    return f"best {rejection.best_level} is {path} with {rejection.fit}{_short(rejection)}"


def _short(rejection: Rejection) -> str:
    missing = rejection.minimum - rejection.fit
    if missing <= 0 or not rejection.short_of:
        return ""
    return f", {missing} short of {rejection.short_of}"


def _excluded(rejection: Rejection) -> str:
    if not rejection.excluded:
        return ""
    total = sum(nodes for _, nodes in rejection.excluded)
    first, others = _listed(rejection.excluded)
    texts = [f"{nodes} {reason}" for reason, nodes in first]
    if others:
        texts.append(f"{sum(nodes for _, nodes in others)} for {len(others)} other reasons")
    return f"{total} {'node' if total == 1 else 'nodes'} excluded: {', '.join(texts)}"


def _blocked(rejection: Rejection) -> str:
    if not rejection.blocked_by:
        return ""
    first, others = _listed(rejection.blocked_by)
    more = [f"{len(others)} more"] if others else []
    return f"blocked by {', '.join([*first, *more])}"


def _listed(items: Sequence[T]) -> tuple[Sequence[T], Sequence[T]]:
    """(items to name, items to count): one item left over is named, too."""
    cut = MOST_LISTED if len(items) > MOST_LISTED + 1 else len(items)
    return items[:cut], items[cut:]
