"""What goes into the binder and what comes out of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from scheduler.model.arrays import I32


@dataclass(frozen=True, eq=False, slots=True)
class Batch:
    """Members of one gang that go to nodes; m of them, in the order of their ranks."""

    key: str
    """Gang key."""
    namespace: str
    names: Sequence[str]
    """[m] pod names."""
    uids: Sequence[str]
    """[m]"""
    nodes: Sequence[str]
    """[m] node names."""
    ranks: I32
    """[m]"""
    gang: str
    """What `muster.dev/placed-gang` says: NAMESPACE/KIND/NAME."""
    domain: str
    """What `muster.dev/placed-domain` says: names from the root, joined by slashes."""
    priority: int = 0


class Outcome(StrEnum):
    """How a bind ended; `muster_binds_total{outcome}` counts by these names."""

    BOUND = "bound"
    """201, or 409 because it is on our node already."""
    GONE = "gone"
    """404, another UID, or it is being deleted: the member does not exist any more."""
    ELSEWHERE = "elsewhere"
    """Somebody else has bound it to another node; `node` names it if it is known."""
    REFUSED = "refused"
    """400, 403, 422, or a malformed request: it will not get better by itself. Or its node has
    vanished. It is certainly not bound, and `text` says why."""
    GATED = "gated"
    """409 because it has scheduling gates (again)."""
    DROPPED = "dropped"
    """Its gang was dropped before it was sent, or before it was known to be bound: it is not."""


@dataclass(frozen=True, slots=True)
class Settled:
    """One bind is settled; the binder knows nothing of it any more."""

    key: str
    rank: int
    uid: str
    outcome: Outcome
    text: str = ""
    """The server's own words, or the binder's; empty for BOUND."""
    node: str = ""
    """Where it is: for BOUND, and for ELSEWHERE if it is known."""
