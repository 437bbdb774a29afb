"""Everything that is known about one gang, as a document: pure, like the other views."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scheduler.model.arrays import I32
from scheduler.model.names import natural_key
from scheduler.model.pending import NO_DOMAIN
from scheduler.model.topology import Topology
from scheduler.model.wishes import Wishes
from scheduler.serve.protocol import Document
from scheduler.serve.views import Placed, Scene, available, state_of, told, where
from scheduler.state.cache import Cache
from scheduler.state.freeze import NO_ROW
from scheduler.state.gang_view import GangView, OwnerRef
from scheduler.state.pods import PodState
from scheduler.state.queue import NEVER

MOST_RANKS = 200
"""Members that are listed one by one."""
MOST_DOMAINS = 50
"""Domains of a level that are listed one by one."""


def explain(scene: Scene, view: GangView, *, most_ranks: int = MOST_RANKS) -> Document:
    """One gang: the sentence, where its members are, what it asked for, what stands in its way."""
    line = available(scene, view, must=True)
    placed = Placed.of(scene.cache, view.key)
    reason, sentence = told(scene, view, placed)
    last = scene.verdicts.of(view.key)
    topology = scene.topology(view.profile)
    waiting = scene.roster.waiting_ranks(view.key)
    rejection = last.rejection if last is not None else None
    return {
        "gang": view.name,
        "state": state_of(view),
        "reason": reason,
        "sentence": sentence,
        "available": line,
        "since_us": view.since_us,
        "answer_since_us": last.since_us if last is not None else None,
        "tried_us": last.cycle_us if last is not None else None,
        "now_us": scene.now_us,
        "members": _members(scene, view, placed, waiting),
        "scheduler": scene.scheduler(view.profile),
        "domain": where(scene, placed, view.profile),
        "placed": _by_level(topology, placed.row),
        "wishes": _wishes(view.wishes, [level.name for level in scene.cache.levels[view.profile]]),
        "priority": view.priority,
        "single": view.single,
        "was_whole": view.was_whole,
        "unsupported": list(view.unsupported),
        "problems": list(view.problems),
        "blocked_by": list(rejection.blocked_by) if rejection is not None else [],
        "queue": _queue(scene.cache, view.key, scene.now_us),
        "holds": _holds(scene.cache, view.key),
        "claims": _claims(scene.cache, view.key, topology),
        "owner": _owner(view.owner),
        "key": view.key,
        "ranks": _ranks(scene, view, placed, waiting, most_ranks),
        "ranks_in_all": int(waiting.size) + len(placed.rank),
    }


def _members(scene: Scene, view: GangView, placed: Placed, waiting: I32) -> Document:
    bound = int(np.count_nonzero(placed.state == PodState.BOUND))
    return {
        "wanted": view.wanted,
        "minimum": view.minimum,
        "without_node": int(waiting.size),
        "binding": len(placed.rank) - bound,
        "bound": bound,
        "unsettled": scene.unsettled(view.key),
    }


def _owner(owner: OwnerRef) -> Document:
    return {
        "kind": owner.kind,
        "namespace": owner.namespace,
        "name": owner.name,
        "uid": owner.uid,
    }


def _by_level(topology: Topology | None, rows: I32) -> list[Document]:
    """Per level, root first: how many domains, and the members in each, most first."""
    rows = rows[rows != NO_ROW]
    if topology is None or not rows.size:
        return []
    out: list[Document] = []
    for number, level in enumerate(topology.levels):
        found, many = np.unique(topology.domains_at(rows, number), return_counts=True)
        pairs = sorted(
            zip(found.tolist(), many.tolist(), strict=True),
            key=lambda pair: (-pair[1], _path_key(topology, pair[0])),
        )
        out.append(
            {
                "level": level,
                "domains": len([d for d, _ in pairs if d != NO_DOMAIN]),
                "members": [
                    {"domain": _path(topology, d), "members": n} for d, n in pairs[:MOST_DOMAINS]
                ],
            }
        )
    return out


def _path(topology: Topology, domain: int) -> str:
    return "" if domain == NO_DOMAIN else "/".join(topology.path(domain))


def _path_key(topology: Topology, domain: int) -> int:
    return -1 if domain == NO_DOMAIN else int(topology.path_rank[domain])


def _wishes(wishes: Wishes, levels: Sequence[str]) -> Document:
    """As understood; a level that is not asked for is an empty text."""

    def name(level: int) -> str:
        return levels[level] if 0 <= level < len(levels) else ""

    return {
        "required": name(wishes.required),
        "preferred": name(wishes.preferred),
        "segment_size": wishes.segment_size,
        "segment_topology": name(wishes.segment_level),
        "min_available": wishes.min_available,
        "ordered": "hold" if wishes.hold else "grow",
        "on_loss": "move" if wishes.move else "wait",
    }


def _queue(cache: Cache, key: str, now_us: int) -> Document | None:
    """Where it stands in its profile's queue: {place, of, not_before_us, retry_us}, or None."""
    entry = cache.queue.get(key)
    if entry is None:
        return None
    entries, table = list(cache.queue), cache.queue.table
    index = next(i for i, other in enumerate(entries) if other is entry)
    # As plan/order.py decides: repairs, priority, who was left out, age; names only among equals.
    columns = [
        1 - table["repair"].astype(np.int64), -table["priority"].astype(np.int64),
        1 - table["starved"].astype(np.int64), table["ready_us"],
    ]  # fmt: skip
    mine = table["profile"] == entry.profile
    before, equal = np.zeros(len(table), np.bool_), mine.copy()
    for column in columns:
        before |= equal & (column < column[index])
        equal &= column == column[index]
    name = natural_key(entry.name), key
    ties = [entries[i] for i in np.flatnonzero(equal).tolist()]
    first = sum((natural_key(other.name), other.key) < name for other in ties)
    until, retry = int(table["not_before_us"][index]), int(table["retry_us"][index])
    return {
        "place": int(np.count_nonzero(before)) + first + 1,
        "of": int(np.count_nonzero(mine)),
        "not_before_us": until if until > now_us else None,
        "retry_us": retry if now_us < retry < NEVER else None,
    }


def _holds(cache: Cache, key: str) -> list[Document]:
    return [
        {"rank": rank, "node": cache.nodes.names[hold.nid], "until_us": hold.until_us}
        for rank, hold in sorted(cache.holds.of(key).items())
    ][:MOST_RANKS]


def _claims(cache: Cache, key: str, topology: Topology | None) -> list[Document]:
    levels = topology.levels if topology is not None else ()
    return [
        {
            "level": levels[claim.path[-1][0]] if claim.path and levels else "cluster",
            "domain": "/".join(name for _, name in claim.path),
            "until_us": claim.deadline_us,
        }
        for claim in cache.claims.all()
        if claim.owner == key
    ]


def _ranks(scene: Scene, view: GangView, placed: Placed, waiting: I32, most: int) -> list[Document]:
    """The lowest ranks: pod, state, node, and the domain of every level."""
    names, topology = scene.cache.nodes.names, scene.topology(view.profile)
    rank = np.concatenate((placed.rank, waiting))
    out: list[Document] = []
    for at in np.argsort(rank, kind="stable")[:most].tolist():
        member = int(rank[at])
        pod, _ = scene.roster.rank_uid(view.key, member)
        row: Document = {"rank": member, "pod": pod, "state": "waiting", "node": ""}
        node = NO_ROW
        if at < len(placed.rank):
            row["state"] = "bound" if placed.state[at] == PodState.BOUND else "binding"
            row["node"] = names[int(placed.nid[at])]
            node = int(placed.row[at])
        for number, level in enumerate(topology.levels if topology is not None else ()):
            domain = (
                NO_DOMAIN
                if node == NO_ROW or topology is None
                else (topology.domain_of(node, number))
            )
            row[level] = "" if domain == NO_DOMAIN or topology is None else topology.names[domain]
        out.append(row)
    return out
