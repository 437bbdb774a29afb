"""What the roster tells others of a gang: values, taken at one moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scheduler.model.wishes import Wishes
from scheduler.state.lifecycle import GangState


@dataclass(frozen=True, slots=True)
class OwnerRef:
    """The object that a gang's events are about; for a pod or a gang label, a pod."""

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class GangView:
    """One gang as it stands."""

    key: str
    name: str
    """NAMESPACE/KIND/NAME."""
    namespace: str
    owner: OwnerRef
    state: GangState | None
    """None while it is nothing to the cache: members missing and none on nodes."""
    wanted: int
    minimum: int
    waiting: int
    """Members without a node that exist (assumed ones are among them)."""
    bound: int
    single: bool
    priority: int
    wishes: Wishes
    unsupported: tuple[str, ...]
    """Rules, and requirements nobody understands: while there are any, it is not placed."""
    problems: tuple[str, ...]
    """What was ignored or contradictory, a sentence each."""
    since_us: int
    """When it became complete, or its first member was created."""
    was_whole: bool
    running: int = 0
    """Members on nodes whose phase is Running."""
    profile: int = 0
    """Number of the profile that places it."""


@dataclass(frozen=True, slots=True)
class Members:
    """Pods of one gang by rank; m of them."""

    namespace: str
    names: Sequence[str]
    uids: Sequence[str]
