"""How to decide: everything about a cycle that is neither cluster nor workload."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Order(StrEnum):
    """Which gang is decided first (repairs of placed gangs always stand before)."""

    FIFO = "fifo"
    """By the time at which the gang became complete, then name. Priority is ignored."""
    SJF = "sjf"
    """By expected run time, then FIFO. Priority is ignored."""
    PRIORITY = "priority"
    """Highest priority first, then FIFO: what production uses."""


class Scan(StrEnum):
    """What happens behind a gang that does not fit."""

    GREEDY = "greedy"
    """What fits goes."""
    STRICT = "strict"
    """Nobody behind it in its pool is tried (replay of published experiments)."""


class Pack(StrEnum):
    """What a gang is packed into first, where one node cannot hold it."""

    LEAF = "leaf"
    """The lowest common domain, and the tightest of those, wherever it lies."""
    SPINE = "spine"
    """The tightest domain of the topmost level that holds it; inside that, as for LEAF."""


SEARCH_BUDGET = 2_000_000
"""Default node visits of one member-by-member search: about 20 ms of one core."""


@dataclass(frozen=True, slots=True)
class Policy:
    """One profile's decisions. `placement` names a rule known to the caller of plan()."""

    order: Order = Order.PRIORITY
    scan: Scan = Scan.GREEDY
    placement: str = "muster"
    pack: Pack = Pack.LEAF
    """Asked by Muster's own placement only."""
    budget: int = SEARCH_BUDGET
    """Node visits that one gang's search may cost."""
    cycle_budget: int = 10 * SEARCH_BUDGET
    """Node visits that all member-by-member searches of a cycle may cost."""
    explain: bool = True
    """Whether rejections carry their numbers; replay counts causes another way."""
