"""The schema of cluster.json: a cluster at one moment, as a dump or the running scheduler shows it.

Fields are only ever added, each with a default that means what its absence meant.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec

from scheduler.model.constraints import Taint
from scheduler.model.policy import Policy
from scheduler.model.resources import INT64_MAX
from scheduler.model.shape import Shape
from scheduler.model.wishes import Level

SCHEMA_VERSION = 1

Amount = Annotated[int, msgspec.Meta(ge=0, le=INT64_MAX)]
Number32 = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]
Rank = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
Moment = Annotated[int, msgspec.Meta(ge=-INT64_MAX, le=INT64_MAX)]
Count = Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]

_USUAL = Policy()


class NodeEntry(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One node. `used` and `pods` sum up everything bound, pinned or held there."""

    name: str
    labels: dict[str, str] = {}
    taints: list[Taint] = []
    cordoned: bool = False
    settling: bool = False
    """Younger than `nodeSettle`."""
    allocatable: dict[str, Amount] = {}
    slots: Amount = 0
    """Allocatable pods."""
    used: dict[str, Amount] = {}
    pods: Amount = 0
    tokens: list[str] = []
    marks: dict[str, Count] = {}
    """Place of a mark in the file's list -> pods there that it means."""
    features: list[str] = []
    """What its kubelet declares."""


class GangEntry(msgspec.Struct, kw_only=True):
    """One gang that waits: its members without a node, by rising rank, as columns."""

    key: str
    name: str
    minimum: Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]
    """Least number of these members worth placing."""
    required: str = ""
    preferred: str = ""
    segment_size: Rank = 0
    segment_topology: str = ""
    priority: Number32 = 0
    ready_us: Moment = 0
    """When its last member was created, since 1970."""
    single: bool = False
    waits_for: Rank = 0
    """Members that are still missing before it may be planned; 0 = it is complete."""
    bound: dict[str, Rank] = {}
    """Node -> its members there already."""
    pods: list[str] = []
    """Names; empty for a member that its controller has not created yet."""
    ranks: list[Rank] = []
    shapes: list[Rank] = []
    pins: list[Number32] = []
    """Index into the file's pins per member, or -1."""
    unsupported: list[str] = []
    """Rules of kube-scheduler that it asks for and this plan does not check."""
    left_out: str = ""
    """Why the scheduler does not try it now; empty if it does."""
    repair: bool | None = None
    """Whether it goes first, as part of a gang that was placed; None = if some are bound."""
    starved: bool = False
    """The last cycle's budget left it out."""
    held: list[str] = []
    """Node per member where its room is held, empty where none is; empty if none is at all."""


class HoldEntry(msgspec.Struct, kw_only=True):
    """Room kept for a member that does not exist now; the node's `used` has it already."""

    owner: str
    """Gang key."""
    rank: Rank
    node: str
    shape: Rank
    until_us: Moment


class ClaimEntry(msgspec.Struct, kw_only=True):
    """A domain reserved for a gang."""

    owner: str
    path: list[tuple[str, str]]
    """(level, name) from the topmost labelled level down; empty for the whole cluster."""
    priority: Number32
    until_us: Moment


class ProfileEntry(msgspec.Struct, kw_only=True, frozen=True):
    """How the scheduler was configured to decide."""

    scheduler_name: str = ""
    pack: Literal["leaf", "spine"] = "leaf"
    search_per_gang: Rank = _USUAL.budget
    search_per_cycle: Rank = _USUAL.cycle_budget


class ClusterFile(msgspec.Struct, kw_only=True):
    """cluster.json."""

    schema_version: int
    levels: list[Level]
    resources: list[str]
    shapes: list[Shape]
    nodes: Sequence[NodeEntry]
    gangs: list[GangEntry]
    pins: list[list[str]] = []
    """Node names that a pinned member may use."""
    marks: list[str] = []
    """Sets of pods that the shapes' rules count, sorted; audience.py says what the texts mean."""
    notes: list[str] = []
    """What was ignored or could not be checked when the snapshot was taken."""
    holds: list[HoldEntry] = []
    """By node, owner and rank."""
    claims: list[ClaimEntry] = []
    """By owner and path."""
    profile: ProfileEntry = ProfileEntry()
    taken_us: Moment = 0
    """When the running scheduler was asked, since 1970; 0 = not known."""
