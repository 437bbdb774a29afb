"""A snapshot of the running scheduler: the files that `muster trace import kubectl` writes.

    loop thread                          the thread that asks
    copied(cache, now): columns   --->   live_files(...): texts, CSV and JSON, one file at a time

`muster plan` on them decides as the scheduler would decide in a cycle over its whole queue: what
goes into the file is what plan() is given. Only the copy needs the loop (a few milliseconds for
100,000 nodes); names of pods are asked for in slices.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol, TypeVar

import numpy as np

from scheduler.model.arrays import I32, I64, frozen
from scheduler.model.pending import NO_ROW, Pending
from scheduler.model.snapshot import LabelColumn, Snapshot
from scheduler.model.topology import Topology
from scheduler.model.wishes import Level
from scheduler.replay.cluster_file import (
    SCHEMA_VERSION,
    ClaimEntry,
    ClusterFile,
    GangEntry,
    HoldEntry,
    ProfileEntry,
)
from scheduler.replay.cluster_trace import trace_of
from scheduler.replay.node_entries import NodeEntries, marks_read
from scheduler.replay.snapshot_dir import snapshot_files
from scheduler.replay.trace_rows import clipped
from scheduler.state.cache import Cache
from scheduler.state.claims import Claim
from scheduler.state.gang_view import GangView, Members
from scheduler.state.gather import Gatherer
from scheduler.state.standing import standing

T = TypeVar("T")

SLICE = 500
"""Gangs whose names are asked for in one question."""
SOURCE = "GET /snapshot of a running scheduler"


class Ask(Protocol):
    """Has a question answered on the loop thread."""

    def __call__(self, question: Callable[[], T], /) -> T:
        """What `question` returns; raises what it raises."""
        ...


class Roster(Protocol):
    """What is asked of the roster."""

    def keys(self) -> Sequence[str]:
        """Keys of everybody known; a copy."""
        ...

    def view(self, key: str) -> GangView | None:
        """A gang as it stands."""
        ...

    def waiting_ranks(self, key: str) -> I32:
        """Rising ranks of members that exist and have no node, assumed ones left out."""
        ...

    def members(self, key: str, ranks: I32) -> Members:
        """Pods by rank."""
        ...


@dataclass(frozen=True, eq=False, slots=True)
class Copied:
    """What the loop gives at once; nothing of it changes afterwards."""

    taken_us: int
    snapshot: Snapshot
    """With columns of its own and without capacities."""
    slots: I64
    """[N] allocatable pods."""
    level_labels: tuple[str, ...]
    pending: Pending
    """Everybody of the profile in the queue, whether worth trying now or not."""
    not_before_us: I64
    """[G] end of the back-off, 0 = none."""
    on_nodes: tuple[dict[str, int], ...]
    """[G] node -> members there, bound or assumed."""
    claims: tuple[Claim, ...]


def copied(cache: Cache, now_us: int, profile: int = 0) -> Copied:
    """A copy of all that a cycle of a profile would see. Call it on the loop thread, between two

    cycles: like every freeze() it makes earlier snapshots stale.
    """
    # Nobody's capacities: the planner that reads the file computes what it needs.
    snapshot = cache.freeze(now_us, shapes=(), profile=profile)
    mine = np.flatnonzero(cache.queue.table["profile"] == profile)
    gather = Gatherer(cache.queue, cache.book, cache.holds, cache.shapes, cache.frozen)
    pending, _ = gather.pending(mine, snapshot)
    return Copied(
        taken_us=now_us,
        snapshot=replace(
            snapshot,
            allocatable=frozen(snapshot.allocatable.copy()),
            free=frozen(snapshot.free.copy()),
            slots=frozen(snapshot.slots.copy()),
            flags=frozen(snapshot.flags.copy()),
            taint_set=frozen(snapshot.taint_set.copy()),
            labels={
                key: LabelColumn(key, label.values, frozen(label.code.copy()))
                for key, label in snapshot.labels.items()
            },
            tokens=dict(snapshot.tokens),
            capacities={},
            lease=None,
        ),
        slots=frozen(cache.nodes.slots_allocatable[cache.frozen.nid_of_row]),
        level_labels=tuple(level.label for level in cache.levels[profile]),
        pending=pending,
        not_before_us=frozen(cache.queue.table["not_before_us"][mine]),
        on_nodes=tuple(_on_nodes(cache, key) for key in pending.key),
        claims=tuple(claim for claim in cache.claims.all() if claim.profile == profile),
    )


def _on_nodes(cache: Cache, key: str) -> dict[str, int]:
    record = cache.book.find(key)
    if record is None or not record.count:
        return {}
    nids, members = np.unique(cache.book.pods.nid[record.slots], return_counts=True)
    names = cache.nodes.names
    return {names[nid]: n for nid, n in zip(nids.tolist(), members.tolist(), strict=True)}


def live_files(
    ask: Ask, cache: Cache, roster: Roster, now_us: Callable[[], int], profile: ProfileEntry,
    number: int = 0,
) -> Iterator[tuple[str, bytes]]:  # fmt: skip
    """(file name, content) of a snapshot directory, the manifest last.

    ask: has a question answered on the thread that owns cache and roster. number: of the profile,
    whose gangs and levels go into the files; of others, only what they have on nodes.
    """
    taken = ask(lambda: copied(cache, now_us(), number))
    names = _names(ask, roster, taken.pending)
    others, foreign = _others(ask, roster, set(taken.pending.key), number)
    file = cluster_file(taken, profile, names, others)
    dropped = Counter(
        "pod of an incomplete gang" for gang in file.gangs if gang.waits_for for _ in gang.pods
    )
    if foreign:
        dropped["waiting pod of another scheduler"] = foreign
        pods = "1 waiting pod" if foreign == 1 else f"{foreign:,} waiting pods"
        file.notes.append(f"{pods} of other schedulers of the process left out")
    # A cluster may claim what no machine has; cluster.json has it as it is.
    yield from snapshot_files(clipped(trace_of(file, SOURCE, dropped)), file)


def _names(ask: Ask, roster: Roster, pending: Pending) -> list[Sequence[str]]:
    """[G] pod names of the members; empty texts for a gang that has gone meanwhile."""
    out: list[Sequence[str]] = []
    bounds = pending.offset.tolist()
    for start in range(0, pending.gangs, SLICE):

        def look(some: range = range(start, min(start + SLICE, pending.gangs))) -> None:
            for g in some:
                ranks = pending.rank[bounds[g] : bounds[g + 1]]
                known = roster.view(pending.key[g]) is not None
                found = roster.members(pending.key[g], ranks).names if known else ()
                out.append(list(found) if len(found) == len(ranks) else [""] * len(ranks))

        ask(look)
    return out


def _others(
    ask: Ask, roster: Roster, queued: set[str], profile: int
) -> tuple[list[GangEntry], int]:
    """Gangs with waiting members that are not in the queue, and why they are not.

    And how many members of gangs of other profiles wait.
    """
    keys = [key for key in ask(roster.keys) if key not in queued]
    out: list[GangEntry] = []
    foreign: list[int] = []
    for start in range(0, len(keys), SLICE):

        def look(some: Sequence[str] = keys[start : start + SLICE]) -> None:
            for key in some:
                view, ranks = roster.view(key), roster.waiting_ranks(key)
                if view is not None and view.profile != profile:
                    foreign.append(len(ranks))
                elif view is not None and ranks.size:
                    out.append(_other(view, ranks, roster.members(key, ranks).names))

        ask(look)
    return out, sum(foreign)


def _other(view: GangView, ranks: I32, pods: Sequence[str]) -> GangEntry:
    missing = max(view.wanted - view.waiting - view.bound, 0)
    why = standing(view, None)
    text = "not in the queue yet" if why is None else why.sentence
    return GangEntry(
        key=view.key,
        name=view.name,
        minimum=max(1, view.minimum),
        priority=view.priority,
        ready_us=view.since_us,
        single=view.single,
        waits_for=missing,
        left_out="" if missing and not view.unsupported else text,
        pods=list(pods),
        ranks=ranks.tolist(),
        unsupported=list(view.unsupported),
    )


# ---- what the asking thread makes of it


def cluster_file(
    taken: Copied,
    profile: ProfileEntry,
    names: Sequence[Sequence[str]],
    others: Sequence[GangEntry] = (),
) -> ClusterFile:
    """cluster.json of a copy. names: [G] pod names of each gang's members. Pure."""
    snapshot, pending = taken.snapshot, taken.pending
    used = np.unique(np.concatenate((pending.shape, snapshot.holds.shape))).tolist()
    number = {shape: at for at, shape in enumerate(used)}  # rising: who compares, compares alike
    topology = snapshot.topology
    shapes = [snapshot.shapes[shape] for shape in used]
    marks = sorted(marks_read(shapes).intersection(snapshot.marks))
    return ClusterFile(
        schema_version=SCHEMA_VERSION,
        levels=[
            Level(name, label)
            for name, label in zip(topology.levels, taken.level_labels, strict=True)
        ],
        resources=list(snapshot.resources.names),
        shapes=shapes,
        nodes=NodeEntries(snapshot, taken.slots, marks),
        gangs=[*(_gang(taken, g, number, names[g]) for g in range(pending.gangs)), *others],
        pins=[[snapshot.names[row] for row in rows.tolist()] for rows in pending.pins],
        marks=marks,
        holds=[
            HoldEntry(owner=owner, rank=rank, node=snapshot.names[row], shape=number[shape],
                      until_us=until)
            for row, shape, owner, rank, until in zip(
                snapshot.holds.row.tolist(), snapshot.holds.shape.tolist(), snapshot.holds.owner,
                snapshot.holds.rank.tolist(), snapshot.holds.until_us.tolist(), strict=True,
            )
        ],
        claims=[_claim(claim, topology) for claim in taken.claims],
        profile=profile,
        taken_us=taken.taken_us,
    )  # fmt: skip


def _claim(claim: Claim, topology: Topology) -> ClaimEntry:
    return ClaimEntry(
        owner=claim.owner,
        path=[(topology.levels[level], name) for level, name in claim.path],
        priority=claim.priority,
        until_us=claim.deadline_us,
    )


def _gang(taken: Copied, g: int, number: dict[int, int], names: Sequence[str]) -> GangEntry:
    snapshot, pending = taken.snapshot, taken.pending
    members = slice(int(pending.offset[g]), int(pending.offset[g + 1]))
    levels = ("", *snapshot.topology.levels)
    held = pending.held_row[members]
    until = int(taken.not_before_us[g])
    starved = pending.starved is not None and bool(pending.starved[g])
    return GangEntry(
        key=pending.key[g],
        name=pending.name[g],
        minimum=int(pending.minimum[g]),
        required=levels[int(pending.required[g]) + 1],
        preferred=levels[int(pending.preferred[g]) + 1],
        segment_size=int(pending.segment_size[g]),
        segment_topology=levels[int(pending.segment_level[g]) + 1],
        priority=int(pending.priority[g]),
        ready_us=int(pending.ready_us[g]),
        single=bool(pending.single[g]),
        bound=taken.on_nodes[g],
        pods=list(names),
        ranks=pending.rank[members].tolist(),
        shapes=[number[shape] for shape in pending.shape[members].tolist()],
        pins=pending.pin[members].tolist(),
        left_out=f"backs off until {_moment(until)}" if until > taken.taken_us else "",
        repair=bool(pending.repair[g]),
        starved=starved,
        held=[snapshot.names[row] if row != NO_ROW else "" for row in held.tolist()]
        if (held != NO_ROW).any()
        else [],
    )


def _moment(us: int) -> str:
    return datetime.fromtimestamp(us // 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
