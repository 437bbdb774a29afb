"""Clusters drawn in text and gangs written as dicts, for tests of every area.

    snap = snapshot("s1/l1: n1 n2 | s1/l2: n3..6 | s2: n7 | -/l9: n8 | : n9", gpu=8)
    wait = gangs(snap, [dict(key="a", n=4, required="spine"), dict(key="b", n=2, shape=1)])

One group per `|`: the path of a domain from the root, a colon, the nodes that hang there.
A path may stop early (`s2: n7` has no leaf), skip a level (`-/l9`) or be empty (no label at
all). `n3..6` stands for n3 n4 n5 n6. The picture is the data: names and labels come from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from scheduler.model.arrays import I32, I64, frozen
from scheduler.model.constraints import Taint
from scheduler.model.names import natural_key
from scheduler.model.pending import NO_DOMAIN, NO_LEVEL, NO_PIN, NO_ROW, Pending
from scheduler.model.resources import GPU, ResourceOrder
from scheduler.model.shape import Shape
from scheduler.model.snapshot import Claims, Holds, LabelColumn, Snapshot
from scheduler.model.topology import CLUSTER, Topology
from scheduler.model.topology_build import build_topology

GIB = 1 << 30
HOSTNAME = "kubernetes.io/hostname"
RESOURCES = ("cpu", "memory", GPU)
LEVELS = ("spine", "leaf")
Vector = Sequence[int]


def parse_cluster(text: str, levels: Sequence[str] = LEVELS) -> dict[str, tuple[str | None, ...]]:
    """Node name -> its value per level (None = no label), in the order of the text."""
    nodes: dict[str, tuple[str | None, ...]] = {}
    for group in text.split("|"):
        path, colon, members = group.partition(":")
        if not colon:
            raise ValueError(f"{group.strip()!r}: a group is `path: nodes`")
        parts = [None if p.strip() in ("-", "") else p.strip() for p in path.split("/")]
        if len(parts) > len(levels):
            raise ValueError(f"path {path.strip()!r} is deeper than the levels {tuple(levels)}")
        values = (*parts, *[None] * (len(levels) - len(parts)))
        for word in members.split():
            for name in _expand(word):
                if name in nodes:
                    raise ValueError(f"node {name} is drawn twice")
                nodes[name] = values
    return nodes


def _expand(word: str) -> list[str]:
    """`n3..6` -> n3 n4 n5 n6; any other word is itself."""
    first, dots, last = word.partition("..")
    if not dots:
        return [word]
    stem = first.rstrip("0123456789")
    return [f"{stem}{i}" for i in range(int(first[len(stem) :]), int(last) + 1)]


def shape(
    gpu: int = 0,
    cpu: int = 0,
    memory: int = 0,
    *,
    resources: Sequence[str] = RESOURCES,
    **rest: Any,
) -> Shape:
    """A Shape over `resources` (cpu in milli, memory in bytes); `rest` are Shape's fields."""
    amounts = {"cpu": cpu, "memory": memory, GPU: gpu}
    return Shape(tuple(amounts.get(name, 0) for name in resources), **rest)


def domain(topology: Topology, path: str | int) -> int:
    """Number of the domain at `path` (`s1/l2`, empty = cluster). Raises KeyError."""
    if isinstance(path, int):
        return path
    parts = tuple(part for part in path.split("/") if part and part != "-")
    for d in range(topology.domains):
        if topology.path(d) == parts:
            return d
    raise KeyError(path)


def snapshot(
    text: str,
    *,
    resources: Sequence[str] = RESOURCES,
    levels: Sequence[str] = LEVELS,
    gpu: int = 8,
    cpu: int = 64_000,
    memory: int = 512 * GIB,
    allocatable: Vector | Mapping[str, Vector] | None = None,
    used: Mapping[str, Vector] | None = None,
    slots: int | Mapping[str, int] = 110,
    taints: Mapping[str, Iterable[Taint]] | None = None,
    labels: Mapping[str, Mapping[str, str]] | None = None,
    flags: Mapping[str, int] | None = None,
    tokens: Mapping[str, Iterable[str]] | None = None,
    claims: Iterable[tuple[str | int, str, int]] = (),
    holds: Iterable[tuple[str, int, str, int, int]] = (),
    shapes: Sequence[Shape | Vector] = (),
    generation: int = 1,
) -> Snapshot:
    """The cluster drawn in `text` as a Snapshot without kept capacities.

    allocatable: one vector in the order of `resources` for all nodes, or node -> vector for
        some of them (the others have `cpu`, `memory` and `gpu`). used: node -> vector taken
        by pods of others. slots: *free* pod slots. labels: node -> extra labels (level names
        and kubernetes.io/hostname are labels already). tokens: token -> nodes where taken.
    claims: (domain path, owner key, priority). holds: (node, shape, owner, rank, until_us),
        whose room is subtracted from free here. shapes: Shapes or request vectors; the default
        is one shape of one GPU.
    """
    values = parse_cluster(text, levels)
    names = sorted(values, key=natural_key)
    order = ResourceOrder(tuple(resources))
    topology = build_topology(levels, names, [values[name] for name in names])
    known = tuple(s if isinstance(s, Shape) else Shape(tuple(s)) for s in shapes) or (
        shape(gpu=1, resources=resources),
    )
    default = shape(gpu, cpu, memory, resources=resources).requests
    row = {name: i for i, name in enumerate(names)}
    alloc = _columns(names, default, allocatable)
    free = alloc - _columns(names, [0] * len(order), used or {})
    room = np.array(
        [slots if isinstance(slots, int) else slots.get(n, 110) for n in names], np.int64
    )
    held = sorted((row[node], s, owner, rank, until) for node, s, owner, rank, until in holds)
    for r, s, *_ in held:
        free[:, r] -= known[s].requests
        room[r] -= 1
    sets, set_of = _taint_sets(names, taints or {})
    return Snapshot(
        generation=generation,
        resources=order,
        names=tuple(names),
        topology=topology,
        allocatable=frozen(alloc),
        free=frozen(free),
        slots=frozen(room),
        flags=frozen(np.array([(flags or {}).get(n, 0) for n in names], np.uint8)),
        taint_sets=sets,
        taint_set=frozen(set_of),
        labels=_label_columns(names, levels, values, labels or {}),
        tokens={
            t: frozen(np.array(sorted(row[n] for n in where), np.int32))
            for t, where in (tokens or {}).items()
        },
        shapes=known,
        claims=_claims(topology, list(claims)),
        holds=_holds(held),
    )


def _columns(
    names: Sequence[str], default: Vector, given: Vector | Mapping[str, Vector] | None
) -> I64:
    """[R, N] vectors of nodes as columns."""
    if given is not None and not isinstance(given, Mapping):
        default, given = given, {}
    by_node = given or {}
    stray = set(by_node) - set(names)
    if stray:
        raise KeyError(f"no such nodes: {sorted(stray)}")
    rows = [tuple(by_node.get(name, default)) for name in names]
    return np.ascontiguousarray(np.array(rows, np.int64).reshape(len(names), len(default)).T)


def _taint_sets(
    names: Sequence[str], taints: Mapping[str, Iterable[Taint]]
) -> tuple[tuple[tuple[Taint, ...], ...], I32]:
    number: dict[tuple[Taint, ...], int] = {(): 0}
    of = [number.setdefault(tuple(sorted(taints.get(n, ()))), len(number)) for n in names]
    return tuple(number), np.array(of, np.int32)


def _label_columns(
    names: Sequence[str],
    levels: Sequence[str],
    values: Mapping[str, tuple[str | None, ...]],
    extra: Mapping[str, Mapping[str, str]],
) -> dict[str, LabelColumn]:
    by_node: list[dict[str, str]] = []
    for name in names:
        own = {lv: v for lv, v in zip(levels, values[name], strict=True) if v is not None}
        by_node.append({HOSTNAME: name, **own, **extra.get(name, {})})
    columns: dict[str, LabelColumn] = {}
    for key in sorted({key for labels in by_node for key in labels}):
        texts = sorted({labels[key] for labels in by_node if key in labels}, key=natural_key)
        code = {text: i for i, text in enumerate(texts)}
        codes = [code[labels[key]] if key in labels else -1 for labels in by_node]
        columns[key] = LabelColumn(key, tuple(texts), frozen(np.array(codes, np.int32)))
    return columns


def _claims(topology: Topology, claims: list[tuple[str | int, str, int]]) -> Claims:
    return Claims(
        frozen(np.array([domain(topology, path) for path, _, _ in claims], np.int32)),
        tuple(owner for _, owner, _ in claims),
        frozen(np.array([priority for _, _, priority in claims], np.int32)),
    )


def _holds(held: list[tuple[int, int, str, int, int]]) -> Holds:
    return Holds(
        row=frozen(np.array([h[0] for h in held], np.int32)),
        shape=frozen(np.array([h[1] for h in held], np.int32)),
        owner=tuple(h[2] for h in held),
        rank=frozen(np.array([h[3] for h in held], np.int32)),
        until_us=frozen(np.array([h[4] for h in held], np.int64)),
    )


def level(topology: Topology, name: str | int | None) -> int:
    """Number of a level given by name or number; None = no level."""
    if name is None:
        return NO_LEVEL
    return name if isinstance(name, int) else topology.level_number(name)


def gangs(snap: Snapshot, specs: Iterable[Mapping[str, Any]]) -> Pending:
    """Dicts as columns. All keys but `key` may be left out:

    key, name (= key), n (= length of `shape` or `ranks`, else 1), shape (number, or one per
    member; 0), min (n), required / preferred (level name or number; no level / topmost),
    segment (size, or (size, level); level: lowest), home (domain path or number), single,
    repair, priority, ready (us), expected (us), pool (number), ranks (0 .. n - 1),
    held (member index -> node), pins (member index -> node names).
    """
    rows = [_gang(snap, spec) for spec in specs]
    if len({r["key"] for r in rows}) < len(rows):
        raise ValueError("gang keys must be distinct")
    row_of = {name: i for i, name in enumerate(snap.names)}
    rank: list[int] = []
    shapes: list[int] = []
    held: list[int] = []
    pin: list[int] = []
    pins: list[I32] = []
    for r in rows:
        rank += r["ranks"]
        shapes += r["shapes"]
        for i in range(r["n"]):
            held.append(row_of[r["held"][i]] if i in r["held"] else NO_ROW)
            pin.append(len(pins) if i in r["pins"] else NO_PIN)
            if i in r["pins"]:
                pins.append(frozen(np.array(sorted(row_of[n] for n in r["pins"][i]), np.int32)))
    sizes = [r["n"] for r in rows]

    def column(field: str, dtype: Any) -> Any:
        return frozen(np.array([r[field] for r in rows], dtype))

    return Pending(
        key=tuple(r["key"] for r in rows),
        name=tuple(r["name"] for r in rows),
        offset=frozen(np.concatenate(([0], np.cumsum(sizes))).astype(np.int64)),
        minimum=column("min", np.int32),
        required=column("required", np.int8),
        preferred=column("preferred", np.int8),
        segment_size=column("segment_size", np.int32),
        segment_level=column("segment_level", np.int8),
        home=column("home", np.int32),
        single=column("single", np.uint8),
        repair=column("repair", np.uint8),
        priority=column("priority", np.int32),
        ready_us=column("ready", np.int64),
        expected_us=column("expected", np.int64),
        pool=column("pool", np.int32),
        rank=frozen(np.array(rank, np.int32)),
        shape=frozen(np.array(shapes, np.int32)),
        held_row=frozen(np.array(held, np.int32)),
        pin=frozen(np.array(pin, np.int32)),
        pins=tuple(pins),
    )


_FLAGS = ("single", "repair", "priority", "ready", "expected", "pool")
_GANG_KEYS = {"key", "name", "n", "shape", "min", "required", "preferred", "segment", "home"}
_GANG_KEYS |= {*_FLAGS, "ranks", "held", "pins"}


def _gang(snap: Snapshot, spec: Mapping[str, Any]) -> dict[str, Any]:
    """One dict with every default filled in and every name turned into a number."""
    stray = set(spec) - _GANG_KEYS
    if stray:
        raise KeyError(f"unknown keys of a gang: {sorted(stray)}")
    tree = snap.topology
    given = spec.get("shape", 0)
    one = isinstance(given, int)
    sized = spec.get("ranks", () if one else given)
    n = spec.get("n", len(sized) or 1)
    shapes = [given] * n if one else list(given)
    ranks = list(spec.get("ranks", range(n)))
    if len(shapes) != n or len(ranks) != n or ranks != sorted(set(ranks)):
        raise ValueError(f"gang {spec['key']}: {n} members need {n} shapes and {n} rising ranks")
    segment = spec.get("segment", 0)
    size, at = segment if isinstance(segment, tuple) else (segment, len(tree.levels) - 1)
    home = spec.get("home")
    return {
        "key": spec["key"],
        "name": spec.get("name", spec["key"]),
        "n": n,
        "shapes": shapes,
        "ranks": ranks,
        "min": spec.get("min", n),
        "required": level(tree, spec.get("required")),
        "preferred": level(tree, spec.get("preferred", 0 if tree.levels else None)),
        "segment_size": size,
        "segment_level": level(tree, at) if size else NO_LEVEL,
        "home": NO_DOMAIN if home is None else domain(tree, home),
        "single": int(spec.get("single", False)),
        "repair": int(spec.get("repair", False)),
        "priority": spec.get("priority", 0),
        "ready": spec.get("ready", 0),
        "expected": spec.get("expected", 0),
        "pool": spec.get("pool", 0),
        "held": dict(spec.get("held", {})),
        "pins": dict(spec.get("pins", {})),
    }


def names_of(snap: Snapshot, rows: Iterable[int]) -> list[str]:
    """Node names of `rows`; `-` for a member without a node."""
    return ["-" if row < 0 else snap.names[int(row)] for row in rows]


def path_of(snap: Snapshot, number: int) -> str:
    """`s1/l2` for a domain number, empty for the cluster, `-` for none."""
    return "-" if number < CLUSTER else "/".join(snap.topology.path(number))
