"""What people are shown of the running scheduler: dicts of plain values, made on the loop thread.

Pure: a view reads the cache, the roster and the verdicts at one moment and changes nothing.
Where members are is said in terms of the topology that the last cycle saw.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from scheduler.model.arrays import I32, I64
from scheduler.model.names import plural
from scheduler.model.pending import NO_DOMAIN
from scheduler.model.reasons import degraded_text, placed_text
from scheduler.model.snapshot import CORDONED
from scheduler.model.topology import Topology
from scheduler.serve.protocol import Document
from scheduler.state.cache import Cache
from scheduler.state.freeze import NO_ROW
from scheduler.state.gang_view import GangView
from scheduler.state.lifecycle import GangState
from scheduler.state.pods import PodState
from scheduler.state.standing import standing
from scheduler.state.verdicts import Told

SECOND_US = 1_000_000
_QUEUED = (GangState.PENDING, GangState.BACKING_OFF)


class Gangs(Protocol):
    """What views ask of the roster."""

    def view(self, key: str) -> GangView | None:
        """A gang as it stands, or None if nobody knows it."""
        ...

    def waiting_ranks(self, key: str) -> I32:
        """Rising ranks of members that exist and have no node, assumed ones left out."""
        ...

    def rank_uid(self, key: str, rank: int) -> tuple[str, str]:
        """(pod name, uid) of a member; empty if nobody has the rank."""
        ...


class Decisions(Protocol):
    """What views ask of the verdicts."""

    def of(self, key: str) -> Told | None:
        """What was last decided of a gang, or None."""
        ...


class Line(Protocol):
    """kube-scheduler's line about the nodes for a gang; may freeze the cache anew."""

    def __call__(self, key: str, /, *, must: bool = False) -> str:
        """The line, or empty; without `must` also where it would take long."""
        ...


def _no_line(key: str, /, *, must: bool = False) -> str:
    del key, must
    return ""


@dataclass(frozen=True, slots=True)
class Scene:
    """The scheduler at one moment."""

    cache: Cache
    roster: Gangs
    verdicts: Decisions
    now_us: int
    unsettled: Callable[[str], int]
    """Binds of a gang that were handed to the binder and are not settled."""
    schedulers: tuple[str, ...] = ()
    """The schedulerName of each profile, in their order."""
    line: Line = _no_line

    def topology(self, profile: int) -> Topology | None:
        """The network by a profile's levels, as the last cycle saw it; None before the first."""
        frozen = self.cache.frozen
        return frozen.trees[profile].topology if frozen.rebuilds else None

    def scheduler(self, profile: int) -> str:
        """The name of a profile where there are several, else nothing: it need not be said."""
        return self.schedulers[profile] if len(self.schedulers) > 1 else ""


@dataclass(frozen=True, slots=True)
class Placed:
    """Members of one gang that have a node, assumed ones too: m of them, in no order."""

    rank: I32
    nid: I32
    state: npt.NDArray[np.integer]
    row: I32
    """Row in the topology that the last cycle saw, or -1."""

    @classmethod
    def of(cls, cache: Cache, key: str) -> Placed:
        """Nobody, if the gang is not known."""
        record, alone = cache.book.find(key), cache.live.slot(key)
        pods = cache.book.pods
        if record is not None:
            slots = record.slots
        else:  # the key of a single pod is its UID
            slots = np.array([] if alone is None else [alone], np.int32)
        nid, known = pods.nid[slots], cache.frozen.row_of_nid
        row = np.full(len(nid), NO_ROW, np.int32)
        seen = nid < len(known)
        row[seen] = known[nid[seen]]
        return cls(pods.rank[slots], nid, pods.state[slots], row)


def where(scene: Scene, placed: Placed, profile: int) -> str:
    """The path of the lowest domain above all of them, the node's too where they share one;

    else how many domains of the topmost level; empty if that is not known. By the levels of the
    profile.
    """
    topology, rows = scene.topology(profile), placed.row[placed.row != NO_ROW]
    if topology is None or not rows.size:
        return ""
    common = topology.common_domain(rows)
    path = list(topology.path(common))
    if len(rows) == len(placed.nid) and (placed.nid == placed.nid[0]).all():
        path.append(scene.cache.nodes.names[int(placed.nid[0])])
    if path or not topology.levels:
        return "/".join(path)
    domains = topology.domains_at(rows, 0)
    spread = np.unique(domains[domains != NO_DOMAIN]).size
    return f"{spread} {plural(topology.levels[0])}" if spread > 1 else ""


def gang_row(scene: Scene, view: GangView) -> Document:
    """One line about a gang."""
    line = available(scene, view)
    placed = Placed.of(scene.cache, view.key)
    reason, sentence = told(scene, view, placed)
    waits = max(scene.now_us - view.since_us, 0) // SECOND_US if view.waiting else None
    return {
        "gang": view.name,
        "state": state_of(view),
        "wanted": view.wanted,
        "waiting": view.waiting,
        "bound": view.bound,
        "domain": where(scene, placed, view.profile),
        "waits_s": waits,
        "reason": reason,
        "sentence": sentence,
        "available": line,
        "scheduler": scene.scheduler(view.profile),
    }


def available(scene: Scene, view: GangView, *, must: bool = False) -> str:
    """kube-scheduler's line about the nodes, of a gang that was rejected; else empty.

    To be asked for before anything that tells of rows: it may freeze the cache anew.
    """
    why = standing(view, scene.verdicts.of(view.key))
    return scene.line(view.key, must=must) if why is not None and why.tried else ""


def state_of(view: GangView) -> str:
    """The state as metrics and tables name it."""
    return str(view.state or GangState.WAITING)


def told(scene: Scene, view: GangView, placed: Placed) -> tuple[str, str]:
    """(reason, sentence) about a gang; the reason is empty where nothing is wrong."""
    last = scene.verdicts.of(view.key)
    why = standing(view, last)
    if why is not None:
        return str(why.reason), why.sentence
    place = where(scene, placed, view.profile)
    bound, under_way = view.bound, len(placed.rank) - view.bound
    if under_way > 0:
        goes = f"; it goes to {place}" if place else ""
        binds = "1 bind is" if under_way == 1 else f"{under_way} binds are"
        return "", f"{binds} under way, {bound} of {view.wanted} bound{goes}"
    if view.state is GangState.DEGRADED:
        return "", degraded_text(bound, view.wanted)
    if bound:
        return "", placed_text(bound, view.wanted, place)
    if view.waiting:
        return "", "its members are there; the next cycle looks for a place"
    return "", "none of its members waits"


def order_of(row: Mapping[str, object]) -> tuple[bool, float, str]:
    """Rows that need attention first: those who wait, longest first; then by name."""
    waits = row["waits_s"]
    return waits is None, -waits if isinstance(waits, int) else 0, str(row["gang"])


def states(cache: Cache, keys: Iterable[str]) -> list[str]:
    """The state of each key of the roster, as `state_of` its view, without making the view."""
    queue = cache.queue
    out = []
    for key in keys:
        state = cache.state(key)
        if state is None or (state in _QUEUED and key not in queue):
            state = GangState.WAITING
        out.append(str(state))
    return out


# ---- the cluster


def nodes(cache: Cache) -> Document:
    """Nodes, and what is free on them of each resource."""
    table = cache.nodes
    exists = table.exists
    open_ = exists & ((table.flags & CORDONED) == 0)
    resources = [
        {
            "resource": name,
            "allocatable": _sum(table.allocatable[r, exists]),
            "free": _sum(table.allocatable[r, open_] - table.used[r, open_]),
        }
        for r, name in enumerate(cache.shapes.resources.names)
    ]
    slots = table.slots_allocatable
    resources.append(
        {
            "resource": "pods",
            "allocatable": _sum(slots[exists]),
            "free": _sum(slots[open_] - table.pods_used[open_]),
        }
    )
    count = int(np.count_nonzero(exists))
    return {
        "nodes": count,
        "cordoned": count - int(np.count_nonzero(open_)),
        "resources": [row for row in resources if row["allocatable"]],
    }


def _sum(amounts: I64) -> int:
    """Sum of what is positive; absurd amounts must not wrap around."""
    amounts = np.maximum(amounts, 0)
    if amounts.size * int(amounts.max(initial=0)) < 2**63:
        return int(amounts.sum())
    return sum(amounts.tolist())


def domains(topology: Topology | None) -> dict[str, int]:
    """Domains of each level, root first."""
    if topology is None:
        return {}
    return {name: len(at) for name, at in zip(topology.levels, topology.by_level, strict=True)}


def profiles(scene: Scene) -> list[Document]:
    """{scheduler, domains, queued: gangs in the queue} of each profile."""
    waiting = scene.cache.queue.table["profile"]
    return [
        {
            "scheduler": name,
            "domains": domains(scene.topology(profile)),
            "queued": int(np.count_nonzero(waiting == profile)),
        }
        for profile, name in enumerate(scene.schedulers)
    ]


def members(cache: Cache) -> dict[str, int]:
    """Pods by what the cache knows of them: on nodes (of every scheduler), assumed, queued."""
    pods = cache.book.pods
    state = pods.state[: pods.top]
    return {
        "on_nodes": int(np.count_nonzero(state == PodState.BOUND)),
        "assumed": int(np.count_nonzero(state == PodState.ASSUMED)),
        "queued": int(cache.queue.table["count"].sum()),
    }
