"""`muster replay --what-if FILE`: the file's schema, and what it changes before the run begins.

    nodes, levels, arrival_scale       another trace: applied here, before the first instant
    failures, drains, scheduler_down,  timed: `disturb.py` lays them out, the simulator
    relax_required                     carries them out

docs/what-if.md has every key, and the order of events at one instant.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np

from scheduler.model.names import natural_key
from scheduler.replay.trace import NodeColumns, Trace, lay_levels, sort_nodes, take_nodes
from scheduler.settings_file import Where, nearest, read_settings

Seconds = str | int
"""Seconds as written; `settings_file.seconds` makes them whole microseconds."""

Ratio = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,9}([./][0-9]{1,9})?$")]
Positive = Annotated[int, msgspec.Meta(ge=1)]

MOST_SCALE = 10**6
"""`arrival_scale` is from 1 / MOST_SCALE to MOST_SCALE."""


class Selection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Nodes by name, and all nodes of domains by level (`leaf-2`, or `spine-1/leaf-2`)."""

    nodes: tuple[str, ...] = ()
    domains: dict[str, tuple[str, ...]] = {}


class NewNodes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`count` nodes NAME-1, NAME-2, ..., each like one that is there."""

    like: str
    name: str
    count: Positive = 1
    labels: dict[str, str] = {}
    """Level -> domain, where it is not that of `like`."""


class NodeChanges(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Another cluster from the beginning: first `remove`, then `add`."""

    remove: Selection = Selection()
    add: tuple[NewNodes, ...] = ()


class LevelChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Domains of one level anew: of `size` nodes each, or of `sizes` one after the other."""

    level: str
    size: Positive | None = None
    sizes: tuple[Positive, ...] = ()


class Relax(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A required level becomes a preferred one after a gang has waited `after_s`."""

    after_s: Seconds
    levels: tuple[str, ...] = ()
    """Only where one of these is required; none named = any."""


class Outage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Nodes that take no gang in [at_s, until_s), or until the end of the run."""

    at_s: Seconds
    until_s: Seconds | None = None
    nodes: tuple[str, ...] = ()
    domains: dict[str, tuple[str, ...]] = {}


class Down(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No cycle in [from_s, to_s)."""

    from_s: Seconds
    to_s: Seconds


class Changes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that a what-if file may say."""

    name: str = ""
    nodes: NodeChanges = NodeChanges()
    levels: tuple[LevelChange, ...] = ()
    arrival_scale: Ratio | int = 1
    relax_required: Relax | None = None
    failures: tuple[Outage, ...] = ()
    drains: tuple[Outage, ...] = ()
    scheduler_down: tuple[Down, ...] = ()


class WhatIf(msgspec.Struct, frozen=True):
    """A what-if file that was read."""

    changes: Changes
    where: Where

    @property
    def name(self) -> str:
        """As the report names it: the file's `name`, else the file without its ending."""
        return self.changes.name or Path(self.where.file).stem

    @property
    def timed(self) -> bool:
        """Whether anything happens at a time, or times are moved."""
        one = self.changes
        moved = one.failures or one.drains or one.scheduler_down or one.relax_required
        return bool(moved) or arrival_scale(self) != 1


def read_what_if(path: Path) -> WhatIf:
    """The file at `path`. Raises BadInputError naming file and line."""
    changes, where = read_settings(path, Changes)
    found = WhatIf(changes, where)
    arrival_scale(found)  # refused now, not after the trace was read
    return found


def arrival_scale(what_if: WhatIf) -> Fraction:
    """What submit times are multiplied by. Raises BadInputError if it is out of range."""
    text = str(what_if.changes.arrival_scale)
    path = "$.arrival_scale"
    try:
        scale = Fraction(text)
    except ZeroDivisionError:
        raise what_if.where.error(path, f"arrival_scale {text} divides by 0") from None
    if not Fraction(1, MOST_SCALE) <= scale <= MOST_SCALE:
        what = f"arrival_scale {text} is not from 1/{MOST_SCALE} to {MOST_SCALE}"
        raise what_if.where.error(path, what)
    return scale


def change_nodes(trace: Trace, what_if: WhatIf) -> Trace:
    """The trace with nodes removed, then added. Raises BadInputError for names it lacks."""
    nodes = what_if.changes.nodes
    gone = set(selected(trace, what_if.where, "$.nodes.remove", nodes.remove))
    if gone:
        kept = [row for row in range(len(trace.nodes)) if row not in gone]
        trace = replace(trace, nodes=take_nodes(trace.nodes, np.array(kept, np.int64)))
    for at, new in enumerate(nodes.add):
        trace = _with_nodes(trace, what_if.where, f"$.nodes.add[{at}]", new)
    return trace


def _with_nodes(trace: Trace, where: Where, path: str, new: NewNodes) -> Trace:
    nodes = trace.nodes
    row = _row_of(trace, where, f"{path}.like", new.like)
    for level in new.labels:
        if level not in trace.levels:
            what = f"the trace has no level {level}"
            raise where.error(f"{path}.labels.{level}", what, nearest(level, [*trace.levels]))
    names = tuple(f"{new.name}-{at}" for at in range(1, new.count + 1))
    taken = sorted(set(names) & set(nodes.names), key=natural_key)
    if taken:
        what = f"the trace has a node {taken[0]} already"
        raise where.error(f"{path}.name", what, "give another name")
    like = np.concatenate((np.arange(len(nodes)), np.full(new.count, row))).astype(np.int64)
    more = take_nodes(nodes, like)
    old = len(nodes)
    labels = tuple(
        (*values[:old], *[new.labels.get(level, values[row])] * new.count)
        for level, values in zip(trace.levels, more.labels, strict=True)
    )
    grown = replace(more, names=(*nodes.names, *names), labels=labels)
    return replace(trace, nodes=sort_nodes(grown))


def change_levels(trace: Trace, what_if: WhatIf) -> Trace:
    """The trace with the named levels laid anew below the others, in the order of the file.

    Raises BadInputError if a level that stays would lie below one that changes.
    """
    levels = what_if.changes.levels
    where, named = what_if.where, [one.level for one in levels]
    for at, level in enumerate(named):
        if level in named[:at]:
            raise where.error(f"$.levels[{at}]", f"names {level} twice", "leave one out")
    stay = [level for level in trace.levels if level not in named]
    if tuple(stay) != trace.levels[: len(stay)]:
        below = next(l for l, s in zip(trace.levels, stay, strict=False) if l != s)
        what = f"changes {below}, but not the levels below it"
        raise where.error("$.levels", what, "name them too, from the top down")
    labels = trace.nodes.labels[: len(stay)]
    trace = replace(trace, levels=tuple(stay), nodes=replace(trace.nodes, labels=labels))
    for at, one in enumerate(levels):
        path = f"$.levels[{at}]"
        if (one.size is None) == (not one.sizes):
            raise where.error(path, f"level {one.level} needs either size or sizes")
        trace = lay_levels(trace, one.level, one.sizes) if one.sizes else _even(trace, one)
    return trace


def _even(trace: Trace, change: LevelChange) -> Trace:
    """Domains of `size` consecutive nodes within each pool and parent; the last may be smaller."""
    size = change.size or 1
    nodes = trace.nodes
    seen: dict[tuple[str, ...], int] = {}
    number: dict[tuple[tuple[str, ...], int], int] = {}
    values = []
    for row in range(len(nodes)):
        parent = (nodes.pool[row], *(labels[row] for labels in nodes.labels))
        place = seen.get(parent, 0)
        seen[parent] = place + 1
        domain = number.setdefault((parent, place // size), len(number) + 1)
        values.append(f"{change.level}-{domain}")
    laid = replace(nodes, labels=(*nodes.labels, tuple(values)))
    return replace(trace, levels=(*trace.levels, change.level), nodes=laid)


def scale_arrivals(trace: Trace, what_if: WhatIf) -> Trace:
    """Submit times multiplied by the scale, exactly, and rounded down to microseconds.

    Raises BadInputError if a time leaves int64.
    """
    scale = arrival_scale(what_if)
    if scale == 1:
        return trace
    times = [us * scale.numerator // scale.denominator for us in trace.gangs.submit_us.tolist()]
    if max(times, default=0) > np.iinfo(np.int64).max // 2:
        raise what_if.where.error("$.arrival_scale", "puts arrivals beyond the end of time")
    column = np.array(times, np.int64)
    column.setflags(write=False)
    return replace(trace, gangs=replace(trace.gangs, submit_us=column))


def selected(trace: Trace, where: Where, path: str, wanted: Selection | Outage) -> list[int]:
    """Rows of the nodes that a selection names, rising. Raises BadInputError for unknown names."""
    rows = {
        _row_of(trace, where, f"{path}.nodes[{at}]", name) for at, name in enumerate(wanted.nodes)
    }
    for level, domains in wanted.domains.items():
        here = f"{path}.domains.{level}"
        if level not in trace.levels:
            what = f"the trace has no level {level}"
            raise where.error(here, what, nearest(level, [*trace.levels]))
        depth = trace.levels.index(level) + 1
        # A domain is known by its path: leaf-1 may stand under every spine.
        labels = list(zip(*trace.nodes.labels[:depth], strict=True))
        paths = ["/".join(path) if path[-1] else "" for path in labels]
        for domain in domains:
            rows |= _rows_of_domain(paths, domain, where, here)
    return sorted(rows)


def _rows_of_domain(paths: Sequence[str], domain: str, where: Where, at: str) -> set[int]:
    """Rows below the one domain whose path is, or ends in, `domain`."""
    rows = {row for row, path in enumerate(paths) if f"/{path}".endswith(f"/{domain}")}
    found = sorted({paths[row] for row in rows}, key=natural_key)
    if not found or not domain:
        known = sorted({*paths} - {""}, key=natural_key)
        raise where.error(at, f"the trace has no domain {domain}", nearest(domain, known))
    if len(found) > 1:
        what = f"{domain} may be {found[0]} or {found[1]}"
        raise where.error(at, what, "name it with what stands above it")
    return rows


def _row_of(trace: Trace, where: Where, path: str, name: str) -> int:
    nodes: NodeColumns = trace.nodes
    try:
        return nodes.names.index(name)
    except ValueError:
        hint = nearest(name, list(nodes.names))
        raise where.error(path, f"the trace has no node {name}", hint) from None
