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
    """The rest of the gang has its nodes; there is no place for this member beside them."""
    UNSUPPORTED = "Unsupported"


def pod_reason(
    cause: Cause, *, autoscaler_domains: bool = False, degraded: bool = False
) -> PodReason | None:
    """The reason for members of a gang that was tried and not placed; None = say nothing new.

    Room that is there in sum but in pieces too small for a member is of no use to it, so
    FRAGMENTATION is Unschedulable like CAPACITY: a new node would help. Where members fit on
    nodes but no domain holds them, a new node anywhere would not. A gang that was not tried
    (ORDER) keeps what was said before.

    autoscaler_domains: `autoscaler.domains` of the configuration: the autoscaler knows domains,
    so that it is told of every gang that does not fit. degraded: other members have their nodes,
    so that this one is bound to their domain.
    """
    if cause in (Cause.CAPACITY, Cause.FRAGMENTATION):
        return PodReason.UNSCHEDULABLE
    if cause is Cause.TOPOLOGY:
        if autoscaler_domains:
            return PodReason.UNSCHEDULABLE
        return PodReason.GANG_DEGRADED if degraded else PodReason.TOPOLOGY_UNSATISFIED
    return None


def short(reason: PodReason, rejection: Rejection | None) -> str:
    """Why, without numbers that move: what every member of a gang that was tried is told."""
    level = rejection.required if rejection is not None else ""
    lacks = rejection.short_of if rejection is not None else ""
    if reason is PodReason.TOPOLOGY_UNSATISFIED:
        return f"there is room, but no {level or 'domain'} that holds the gang"
    if reason is PodReason.GANG_DEGRADED:
        return "the gang's other members have their nodes; there is no place beside them"
    text = "the nodes that may be used have too little room"
    return f"{text}: short of {lacks}" if lacks else text


def waiting_text(there: int, wanted: int) -> str:
    """A gang whose members are not all there, with numbers."""
    return f"{there} of {wanted} members exist"


WAITING_SHORT = "waiting for the other members of the gang"


REFUSED = "refused by "
"""Before the name of a plugin of kube-scheduler that refuses a pod whatever the node, and its
text: such a pod waits as one does that asks for what is not supported."""


def refused_text(rules: Sequence[str]) -> str:
    """A gang with members that kube-scheduler would refuse on every node."""
    first, others = _listed(rules)
    more = [f"{len(others)} more"] if others else []
    return f"not placed: {', '.join([*first, *more])}"


def unsupported_text(rules: Sequence[str]) -> str:
    """A gang that asks for what is not honoured, so that it is not placed."""
    first, others = _listed(rules)
    more = [f"{len(others)} more"] if others else []
    return f"not placed because of what is not supported: {', '.join([*first, *more])}"


def placed_text(placed: int, wanted: int, where: str, took_us: int | None = None) -> str:
    """A gang that has its nodes: `500 of 500 on spine-3 in 0.4 s`."""
    text = f"{placed} of {wanted} on {where}" if where else f"{placed} of {wanted} on nodes"
    return text if took_us is None else f"{text} in {took_us / 1_000_000:.1f} s"


def degraded_text(bound: int, wanted: int) -> str:
    """A gang that is on nodes in part, with numbers."""
    return f"{bound} of {wanted} members are on nodes"


def sentence(rejection: Rejection) -> str:
    """Why a gang does not fit, in one line without a full stop."""
    parts = [_fit(rejection), _best(rejection), _excluded(rejection), _blocked(rejection)]
    return "; ".join(part for part in parts if part)


def beside(text: str, line: str) -> str:
    """Our sentence, and behind it kube-scheduler's line about the nodes, where there is one."""
    return f"{text}. {line}" if text and line else text or line


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
