"""What a cycle decided, as columns: a verdict with its numbers per gang, a row per member."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from scheduler.model.arrays import I8, I32, I64


class Verdict(IntEnum):
    """The three answers to "does it fit?", and the gangs nobody asked about."""

    NOT_TRIED = 0
    """Behind a blocked head of a strict queue, or the cycle's budget was used up."""
    FITS = 1
    DOES_NOT_FIT = 2
    """Proved: by sums, or because every assignment was tried."""
    NOT_FOUND = 3
    """Not found within the budget of node visits; it may exist."""


class Cause(IntEnum):
    """Why a gang was not placed, from what was free in the whole cluster."""

    NONE = 0
    ORDER = 1
    """It stands behind a blocked head (strict), or the budget was used up."""
    CAPACITY = 2
    """The eligible nodes together have too little of some resource for `minimum` members."""
    FRAGMENTATION = 3
    """There is enough in sum, but not on whole nodes."""
    TOPOLOGY = 4
    """Enough members fit on nodes, but not in one permitted domain (or as whole segments)."""


@dataclass(slots=True)
class PlanStats:
    """How much work a plan() call was; counts only, no clock."""

    gangs_tried: int = 0
    gangs_placed: int = 0
    members_placed: int = 0
    nodes_scanned: int = 0
    """Rows whose capacity was computed or compared (the planner's unit of work)."""
    searches: int = 0
    """Gangs that took the member-by-member path."""
    search_visits: int = 0
    """Node visits of those searches; what the budgets count."""


@dataclass(frozen=True, eq=False, slots=True)
class Plan:
    """G gangs and M members in the order of the `Pending` that was planned."""

    generation: int
    order: I32
    """[G] gangs in the order in which they were decided."""
    verdict: I8
    """[G] a Verdict."""
    cause: I8
    """[G] a Cause; NONE for gangs that fit."""
    placed: I32
    """[G] members placed (the lowest ranks); 0 unless verdict is FITS."""
    domain: I32
    """[G] lowest common domain of the placed members, or -1. If they share one node, that
    node's deepest domain."""
    best_domain: I32
    """[G] rejected: the permitted domain that holds most members, or -1 if there is none."""
    best_cap: I64
    """[G] rejected: members that best_domain holds."""
    row: I32
    """[M] row of each member, or -1."""
    offset: I64
    """[G + 1], as in Pending."""
    rejection: tuple[Rejection | None, ...]
    """[G] the numbers behind a rejection; gangs alike share one object."""
    stats: PlanStats


@dataclass(frozen=True, slots=True)
class Rejection:
    """The numbers of one rejected gang, enough for the sentence of `reasons.sentence`."""

    wanted: int
    minimum: int
    fit: int
    """Members that fit in the best permitted domain (whole segments if there are any)."""
    best_level: str
    """Level of the best domain: a configured level, `cluster`, or empty if none is permitted."""
    best_path: tuple[str, ...]
    """Names of the best domain from the root."""
    short_of: str
    """The resource (or `pods`, or `nodes` for one-per-node shapes) that runs out there first."""
    nodes: int
    excluded: tuple[tuple[str, int], ...]
    """(reason, nodes) that no filter let through, most nodes first."""
    blocked_by: tuple[str, ...] = ()
    """Holds and claims of others on eligible nodes, as text, that keep it out."""
    required: str = ""
    """Name of the required level, empty if none is."""
    proved: bool = True
    """False: not found within the budget; a place may exist."""
