"""`muster plan`: one cycle over a snapshot, or over a trace with all its gangs waiting."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from scheduler.errors import NotFoundError
from scheduler.model.availability import lines_of
from scheduler.model.names import plural
from scheduler.model.pending import NO_DOMAIN, NO_ROW, Pending
from scheduler.model.plan import Plan, Verdict
from scheduler.model.policy import Policy
from scheduler.model.reasons import beside, sentence
from scheduler.model.snapshot import Snapshot
from scheduler.plan import plan
from scheduler.replay.cluster_file import GangEntry
from scheduler.replay.snapshot_dir import CLUSTER_FILE, load_snapshot, policy_of, read_cluster
from scheduler.replay.trace_io import read_trace
from scheduler.replay.workload import trace_cluster

Row = dict[str, Any]

ANSWERS = {
    Verdict.NOT_TRIED: "not tried",
    Verdict.FITS: "fits",
    Verdict.DOES_NOT_FIT: "does not fit",
    Verdict.NOT_FOUND: "not found",
}


def plan_once(directory: Path, gang: str | None) -> list[Row]:
    """One row per waiting gang, in the order of decision; with `gang`, one row per member of it.

    `why` is our sentence about a gang that does not fit, `available` what kube-scheduler would say.

    Gangs that are not tried (members missing, left out by the scheduler) come last.
    A gang is named as it is printed (NS/KIND/NAME on a cluster). All gangs are planned in one
    cycle, whichever are shown. Raises BadInputError, and NotFoundError if nobody has that name.
    """
    incomplete: list[GangEntry] = []
    unsupported: dict[str, list[str]] = {}
    policy = Policy()
    if (directory / CLUSTER_FILE).exists():
        snapshot, pending = load_snapshot(directory)
        cluster = read_cluster(directory)
        policy, waiting = policy_of(cluster), cluster.gangs
        incomplete = [entry for entry in waiting if entry.waits_for or entry.left_out]
        unsupported = {entry.key: entry.unsupported for entry in waiting if entry.unsupported}
    else:
        snapshot, pending = _all_at_once(directory)
    decided = plan(snapshot, pending, policy, 0)
    if gang is not None:
        return _members(snapshot, pending, decided, gang, incomplete, unsupported)
    lines = lines_of(snapshot, pending, decided)
    rows = [
        _gang_row(snapshot, pending, decided, g, unsupported.get(pending.key[g], []), lines[g])
        for g in decided.order.tolist()
    ]
    return rows + [_incomplete_row(entry, snapshot) for entry in incomplete]


def _all_at_once(directory: Path) -> tuple[Snapshot, Pending]:
    """The empty cluster of a trace, and every gang of it waiting since its submission."""
    trace = read_trace(directory)
    cache, workload = trace_cluster(trace)
    for gang in range(len(trace.gangs)):
        cache.enqueue(workload.entry(gang, int(trace.gangs.submit_us[gang]), sjf=False))
    snapshot = cache.freeze(0)
    return snapshot, cache.pending(0, snapshot, Policy())


def _gang_row(
    snapshot: Snapshot, pending: Pending, decided: Plan, g: int, unsupported: list[str], line: str
) -> Row:
    members = slice(int(pending.offset[g]), int(pending.offset[g + 1]))
    rows = decided.row[members]
    rejection = decided.rejection[g]
    text = "" if rejection is None else sentence(rejection)
    if unsupported:
        text = "; ".join([f"not checked: {', '.join(unsupported)}", *([text] if text else [])])
    topology = snapshot.topology
    row: Row = {
        "gang": pending.name[g],
        "members": rows.size,
        "placed": int(decided.placed[g]),
        "verdict": ANSWERS[Verdict(int(decided.verdict[g]))],
        "domain": "",
    }
    if decided.domain[g] != NO_DOMAIN:
        row["domain"] = "/".join(topology.path(int(decided.domain[g]))) or "cluster"
    used = rows[rows != NO_ROW]
    for number, level in enumerate(topology.levels):
        domains = topology.domains_at(used, number)
        row[plural(level)] = int(np.unique(domains[domains != NO_DOMAIN]).size)
    return row | {"why": text, "available": line}


def in_words(rows: Sequence[Row]) -> list[Row]:
    """The rows with kube-scheduler's line behind the sentence, in one column."""
    return [
        {
            **{key: value for key, value in row.items() if key not in ("why", "available")},
            **({"why": beside(row["why"], row["available"])} if "why" in row else {}),
        }
        for row in rows
    ]


def _incomplete_row(entry: GangEntry, snapshot: Snapshot) -> Row:
    have = len(entry.pods) + sum(entry.bound.values())
    why = f"{have} of {have + entry.waits_for} members exist: too few to start"
    return {
        "gang": entry.name,
        "members": len(entry.ranks),
        "placed": 0,
        "verdict": "left out" if entry.left_out else "waits for members",
        "domain": "",
        **{plural(level): 0 for level in snapshot.topology.levels},
        "why": entry.left_out or why,
        "available": "",
    }


def _members(
    snapshot: Snapshot,
    pending: Pending,
    decided: Plan,
    name: str,
    incomplete: list[GangEntry],
    unsupported: dict[str, list[str]],
) -> list[Row]:
    if name in {entry.name for entry in incomplete}:
        return [_incomplete_row(entry, snapshot) for entry in incomplete if entry.name == name]
    if name not in pending.name:
        known = ", ".join(pending.name[:5])
        raise NotFoundError(f"no waiting gang is called {name}", f"there are {known or 'none'}")
    g = pending.name.index(name)
    if decided.verdict[g] != Verdict.FITS:
        line = lines_of(snapshot, pending, decided)[g]
        return [_gang_row(snapshot, pending, decided, g, unsupported.get(pending.key[g], []), line)]
    topology = snapshot.topology
    out: list[Row] = []
    for member in range(int(pending.offset[g]), int(pending.offset[g + 1])):
        at = int(decided.row[member])
        row: Row = {
            "rank": int(pending.rank[member]),
            "node": "" if at == NO_ROW else snapshot.names[at],
        }
        for number, level in enumerate(topology.levels):
            domain = NO_DOMAIN if at == NO_ROW else topology.domain_of(at, number)
            row[level] = "" if domain == NO_DOMAIN else topology.names[domain]
        out.append(row)
    return out
