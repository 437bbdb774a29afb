"""Gangs of identical members go where exhaustive search says that they should."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pytest

from scheduler.model.plan import Plan, Verdict
from scheduler.model.policy import Pack, Policy
from scheduler.model.snapshot import Snapshot
from scheduler.plan import plan
from tests import builders
from tests.plan.exhaustive_identical import (
    CLUSTER,
    LEVELS,
    NODE_LEVEL,
    Case,
    Enumeration,
    Path,
    every_way,
    fair_shares,
    least_children,
    level_of,
    name_path,
    path_of,
)

BATCHES, CASES = 20, 1_000


@pytest.mark.parametrize("batch", range(BATCHES))
def test_placement_equals_enumeration(batch: int) -> None:
    """Members placed, level, tightest domain, children at each level and order of ranks."""
    rng = np.random.default_rng([2024, batch])
    placed = 0
    for _ in range(CASES):
        case = random_case(rng)
        placed += check(case)
    assert CASES // 4 < placed < CASES  # both verdicts are met often enough to mean something


def random_case(rng: np.random.Generator) -> Case:
    """At most 6 nodes and 8 members; labels are missing in nearly half of the cases.

    Half are small nodes in many leaves, so that gangs have to spread; others are few domains
    much alike, so that they have to choose; the rest is anything.
    """
    kind = rng.choice(("any", "wide", "rivals"), p=(0.2, 0.5, 0.3))
    count = int(rng.integers(1, 7) if kind == "any" else rng.integers(4, 7))
    # Without a label is one name more, so that unlabelled nodes meet in domains of their own.
    spines = labels(rng, ("s1", "s2", "s10"), 1)
    leaves = labels(rng, ("l1", "l2", "l10"), 2 if kind == "wide" else 1)
    places = [
        (spines[rng.integers(len(spines))], leaves[rng.integers(len(leaves))])
        for _ in range(int(rng.integers(2, 4)) if kind == "rivals" else count)
    ]
    most = int(rng.integers(1, {"any": 5 if count > 4 else 8, "wide": 4, "rivals": 5}[kind]))
    least = max(0, most - 1) if kind == "rivals" else 0
    nodes = tuple(
        # n8 .. n13: as text, n10 would come before n8.
        (f"n{i + 8}", *places[i % len(places)], int(rng.integers(least, most + 1)))
        for i in range(count)
    )
    low = {"any": 1, "wide": 3, "rivals": most + 1}[kind]
    n = int(rng.integers(low, min(8, max(low, 2 * most) if kind == "rivals" else 8) + 1))
    return random_gang(rng, nodes, n, wide=kind == "wide")


def random_gang(
    rng: np.random.Generator,
    nodes: tuple[tuple[str, str | None, str | None, int], ...],
    n: int,
    *,
    wide: bool,
) -> Case:
    """What n members may ask for."""
    size = int(rng.integers(1, 4 if wide else 6)) if rng.random() < 0.5 else 0
    return Case(
        nodes=nodes,
        n=n,
        minimum=n if rng.random() < 0.4 else int(rng.integers(1, n + 1)),
        size=size,
        segment_level=int(rng.random() < 0.7) if size else -1,
        required=-1 if wide and rng.random() < 0.5 else int(rng.integers(-1, 2)),
        preferred=int(rng.integers(-1, 2)),
        single=n == 1 and bool(rng.random() < 0.5),
        pack="spine" if rng.random() < 0.5 else "leaf",
    )


def labels(rng: np.random.Generator, names: tuple[str, ...], least: int) -> tuple[str | None, ...]:
    """Some of `names`; in a quarter of the cases nodes may have none of them."""
    some = names[: rng.integers(least, len(names) + 1)]
    return (*some, None) if rng.random() < 0.25 else some


def check(case: Case) -> bool:
    """Plans the case and compares every stage; True if the gang was placed."""
    truth = Enumeration(case)
    snapshot, got = planned(case)
    fits = case.minimum <= truth.members > 0
    assert got.verdict[0] == (Verdict.FITS if fits else Verdict.DOES_NOT_FIT), case
    if not fits:
        assert int(got.best_cap[0]) == truth.members, case
        assert (got.row == -1).all(), case
        return False
    rows = got.row.tolist()
    m = truth.members
    assert int(got.placed[0]) == m, (case, rows)
    assert min(rows[:m]) >= 0, (case, rows)
    assert rows[m:] == [-1] * (case.n - m), (case, rows)
    counts = [rows.count(i) for i in range(len(case.nodes))]
    assert all(a <= b for a, b in zip(counts, truth.cap, strict=True)), (case, rows)
    top = common_domain(truth, counts)
    level = NODE_LEVEL if isinstance(top, int) else level_of(top)
    assert level == truth.common[0], (case, rows)
    assert truth.measure(top) == truth.measure(truth.chosen), (case, rows)
    assert top == truth.chosen, (case, rows)
    named = truth.paths[top] if isinstance(top, int) else top
    assert snapshot.topology.path(int(got.domain[0])) == tuple(name for _, name in named), case
    check_shares(truth, rows[:m], counts, top)
    return True


def planned(case: Case) -> tuple[Snapshot, Plan]:
    """The case through the public door: a snapshot whose free GPUs make the caps."""
    text = " | ".join(
        f"{spine or '-'}/{leaf or '-'}: {name}" for name, spine, leaf, _ in case.nodes
    )
    # Two GPUs a member and an odd one left over: capacity is a division, not a copy.
    snapshot = builders.snapshot(
        text,
        levels=LEVELS,
        allocatable={name: (64_000, 1 << 40, 2 * cap + 1) for name, _, _, cap in case.nodes},
        shapes=[builders.shape(gpu=2, cpu=1)],
    )
    spec = {
        "key": "gang",
        "n": case.n,
        "min": case.minimum,
        "required": case.required,
        "preferred": case.preferred,
        "segment": (case.size, case.segment_level) if case.size else 0,
        "single": case.single,
    }
    policy = Policy(pack=Pack(case.pack))
    return snapshot, plan(snapshot, builders.gangs(snapshot, [spec]), policy, 0)


def common_domain(truth: Enumeration, counts: list[int]) -> Path | int:
    """The lowest domain (or node) above the members, from labels alone."""
    used = [i for i, count in enumerate(counts) if count]
    if len(used) == 1:
        return used[0]
    paths = [truth.paths[i] for i in used]
    depth = 0
    while all(len(path) > depth and path[depth] == paths[0][depth] for path in paths):
        depth += 1
    return paths[0][:depth]


def check_shares(truth: Enumeration, rows: list[int], counts: list[int], top: Path | int) -> None:
    """Steps 4 and 5 for the members on `rows` under their common domain."""
    case = truth.case
    if isinstance(top, int):
        return
    if not case.size or level_of(top) >= case.segment_level:
        check_members(truth, counts, top)
        assert rows == sorted(rows, key=lambda i: tree_order(truth, i)), (case, rows)
        return
    starts = range(0, len(rows), case.size)
    domains = [segment_of(truth, rows[at : at + case.size]) for at in starts]
    short = len(rows) % case.size
    last = domains.pop() if short else None
    whole = {d: sum(path[: len(d)] == d for path in domains) for d in truth.domains}
    check_segments(truth, whole, top)
    if last is not None:
        check_short(truth, whole, top, last, short)
    for d in truth.segments:
        check_members(truth, counts, d)
    assert rows == sorted(rows, key=lambda i: tree_order(truth, i, last)), (case, rows)


def segment_of(truth: Enumeration, rows: list[int]) -> Path:
    """The one segment domain of a segment's members."""
    paths = {tuple(p for p in truth.paths[i] if p[0] <= truth.case.segment_level) for i in rows}
    assert len(paths) == 1, (truth.case, rows)
    (path,) = paths
    assert path in truth.segments, (truth.case, rows)
    return path


def check_segments(truth: Enumeration, whole: dict[Path, int], top: Path) -> None:
    """Whole segments go to the fewest domains, level by level down to the segment level."""
    under = [d for d in truth.segments if d[: len(top)] == top]
    items = Items(
        place=[d[:-1] for d in under],
        cap=[truth.measure(d) // truth.case.size for d in under],
        got=[whole[d] for d in under],
        name=list(under),
    )
    check_down(truth, items, top, range(level_of(top) + 1, truth.case.segment_level))


def check_short(
    truth: Enumeration, whole: dict[Path, int], top: Path, last: Path, short: int
) -> None:
    """The short segment goes down through used domains where it can, then to the least room."""
    room = {d: truth.measure(d) - whole[d] * truth.case.size for d in truth.segments}
    able = [d for d in truth.segments if d[: len(top)] == top and room[d] >= short]
    for level in range(level_of(top) + 1, truth.case.segment_level + 1):

        def used(d: Path, level: int = level) -> bool:
            """Is the domain through which d's path passes this level in use?

            A path that skips the level is in use there if the domain below the gap is.
            """
            through = next(d[: k + 1] for k, part in enumerate(d) if part[0] >= level)
            return bool(whole[through])

        able = [d for d in able if used(d)] or able
    assert last == min(able, key=lambda d: (room[d], name_path(d))), (truth.case, whole, last)


def check_members(truth: Enumeration, counts: list[int], top: Path) -> None:
    """Members of `top` go to the fewest domains, level by level, and to the fewest nodes."""
    under = [i for i, path in enumerate(truth.paths) if path[: len(top)] == top]
    items = Items(
        place=[truth.paths[i] for i in under],
        cap=[truth.cap[i] for i in under],
        got=[counts[i] for i in under],
        name=[(*truth.paths[i], (NODE_LEVEL, f"{i:02}")) for i in under],
    )
    check_down(truth, items, top, range(level_of(top) + 1, NODE_LEVEL))


@dataclass(frozen=True)
class Items:
    """What step 4 goes down to, below one domain: nodes, or domains of the segment level."""

    place: list[Path]
    """The deepest domain above each."""
    cap: list[int]
    got: list[int]
    name: list[Path]

    def rows(self, top: Path, level: int) -> dict[Path, list[int]]:
        """Domains of `level` below `top` in name order: what of the items is under each."""
        paths = sorted({p[: k + 1] for p in self.place for k, x in enumerate(p) if x[0] == level},
                       key=name_path)  # fmt: skip
        return {
            d: [i for i, p in enumerate(self.place) if p[: len(d)] == d]
            for d in paths
            if len(d) > len(top)
        }


def check_down(truth: Enumeration, items: Items, top: Path, levels: Iterable[int]) -> None:
    """Step 4 twice over: as a choice out of rows, and as least numbers over all ways there are.

    Ways are all distributions over the items. At each level in turn only those are kept that
    use the domains chosen so far, and of those the ones with most in domains of the level (what
    has no label there comes last); none may use fewer domains than what was chosen.
    """
    wanted = sum(items.got)
    where = (truth.case, items, top)
    ways = every_way(tuple(items.cap))
    ways = ways[ways.sum(axis=1) == wanted]
    chosen, left = [top], wanted
    for level in levels:
        domains = items.rows(top, level)
        held = np.array([ways[:, at].sum(axis=1) for at in domains.values()]).reshape(-1, len(ways))
        got = [sum(items.got[i] for i in at) for at in domains.values()]
        ways = ways[held.sum(axis=0) == held.sum(axis=0).max(initial=0)]
        assert sum(got) == (held.sum(axis=0).max(initial=0) if len(held) else 0), where
        used = np.array([ways[:, at].any(axis=1) for at in domains.values()]).reshape(-1, len(ways))
        mine = np.array([g > 0 for g in got], np.bool_)
        assert mine.sum() == used.sum(axis=0).min(), where
        ways = ways[(used == mine[:, None]).all(axis=0)]
        row = [d for parent in chosen for d in domains if d[:-1] == parent]
        caps = [sum(items.cap[i] for i in domains[d]) for d in row]
        if sum(caps) < left:
            left -= sum(caps)
            continue
        share = dict(zip(row, zip(fair_shares(caps, left), caps, strict=True), strict=True))
        # In the next row what is below the one that is not filled comes last.
        chosen = sorted((d for d in row if share[d][0]), key=lambda d: share[d][0] < share[d][1])
        assert set(chosen) <= {d for d, g in zip(domains, got, strict=True) if g}, where
    assert sum(g > 0 for g in items.got) == (ways > 0).sum(axis=1).min(), where
    last = [
        i
        for parent in chosen
        for i in sorted(range(len(items.cap)), key=lambda i: name_path(items.name[i]))
        if items.place[i] == parent
    ]
    want = fair_shares([items.cap[i] for i in last], left)
    assert [items.got[i] for i in last] == want, where


def tree_order(truth: Enumeration, row: int, last: Path | None = None) -> tuple[object, ...]:
    """Sort key of a node in the tree; what lies on the path `last` is last at each level."""
    path = truth.paths[row]
    names = name_path(path)
    key: list[object] = [
        (last is not None and path[: k + 1] == last[: k + 1], part) for k, part in enumerate(names)
    ]
    return (*key, (False, (NODE_LEVEL, row)))


def test_the_enumeration_knows_a_case_worked_by_hand() -> None:
    """Six members: leaf l1 holds just six, l2 only five, so both nodes of l1 are filled."""
    case = Case(
        nodes=(("n1", "s1", "l1", 3), ("n2", "s1", "l1", 3), ("n3", "s1", "l2", 5)),
        n=6,
        minimum=6,
    )
    truth = Enumeration(case)
    assert truth.members == 6
    assert truth.common == (1, [path_of("s1", "l1")])
    assert truth.measure(CLUSTER) == 11
    assert least_children([3, 3, 5], 6) == 2
    assert fair_shares([3, 3, 5], 6) == [1, 0, 5]
