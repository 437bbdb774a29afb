"""Where a gang of identical members may go, by plain enumeration of small cases.

Shares no code with the planner, its kernels or their twins. A case has at most 6 nodes and 8
members, so every way to put members on nodes is a row of one matrix (`Enumeration.ways`), and
every question of the placement rules (docs/placement.md) is asked of those rows:

    nodes   a b c       ways   0 0 0 | 0 0 1 | 0 1 0 | ... | 2 1 3     (caps 2 1 3: 24 ways)
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from itertools import combinations, product

import numpy as np
import numpy.typing as npt

from scheduler.model.names import natural_key

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Path = tuple[tuple[int, str], ...]
"""(level, name) from the topmost labelled level down; empty for the cluster."""

CLUSTER: Path = ()
LEVELS = ("spine", "leaf")
NODE_LEVEL = len(LEVELS)


@dataclass(frozen=True)
class Case:
    """A cluster and one gang of identical members on it. Its repr is all one needs to redo it."""

    nodes: tuple[tuple[str, str | None, str | None, int], ...]
    """(name, spine, leaf, members that fit), in name order."""
    n: int
    minimum: int
    size: int = 0
    """Members of a segment, 0 = no segments."""
    segment_level: int = -1
    required: int = -1
    preferred: int = -1
    single: bool = False
    pack: str = "leaf"


def path_of(spine: str | None, leaf: str | None) -> Path:
    """The domains a node is in, from its labels."""
    return tuple((level, name) for level, name in enumerate((spine, leaf)) if name)


def level_of(path: Path) -> int:
    """The level of a domain, -1 for the cluster."""
    return path[-1][0] if path else -1


class Enumeration:
    """Every way to put members of `case` on its nodes."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.paths = [path_of(spine, leaf) for _, spine, leaf, _ in case.nodes]
        self.cap = [cap for *_, cap in case.nodes]
        self.ways = every_way(tuple(self.cap))
        self.total: Ints = self.ways.sum(axis=1)
        self.domains = sorted({path[:k] for path in self.paths for k in range(len(path) + 1)})
        self.segments = [d for d in self.domains if d and level_of(d) == case.segment_level]
        self._under = {d: self._sum_under(d) for d in self.domains}

    def _sum_under(self, domain: Path) -> Ints:
        rows = [i for i, path in enumerate(self.paths) if path[: len(domain)] == domain]
        return np.asarray(self.ways[:, rows].sum(axis=1))

    def inside(self, domain: Path) -> Bools:
        """[ways] all members lie under `domain`."""
        return np.asarray(self._under[domain] == self.total)

    @cached_property
    def per_segment(self) -> Ints:
        """[ways, segment domains] members in each segment domain."""
        columns = [self._under[d] for d in self.segments]
        return np.array(columns, np.int64).reshape(len(columns), len(self.ways)).T

    @cached_property
    def permitted(self) -> Bools:
        """[ways] all members lie in one domain of the required level, if there is one."""
        if self.case.required < 0:
            return np.ones(len(self.ways), np.bool_)
        domains = [d for d in self.domains if d and level_of(d) == self.case.required]
        none = np.zeros(len(self.ways), np.bool_)
        return np.asarray(np.any([none, *map(self.inside, domains)], axis=0))

    def places(self, m: int) -> Bools:
        """[ways] a permitted place for exactly m members, in segments where there are any."""
        good: Bools = np.asarray(self.permitted & (self.total == m))
        if not self.case.size:
            return good
        rows = np.flatnonzero(good)
        codes = self.per_segment[rows] @ (9 ** np.arange(len(self.segments)))
        taken = np.isin(codes, segment_codes(len(self.segments), m, self.case.size))
        good[rows[~taken]] = False
        return good

    @cached_property
    def members(self) -> int:
        """Step 1: how many can be placed; a partial gang is whole segments."""
        step, n = self.case.size or 1, self.case.n
        fewer = range((n - 1) // step * step, 0, -step)
        return next((m for m in (n, *fewer) if self.places(m).any()), 0)

    @cached_property
    def common(self) -> tuple[int, list[Path | int]]:
        """Step 2: (lowest common level, domains there that hold the members; nodes as ints).

        Under `pack: spine`, what no node holds is looked for in the tightest spine only.
        """
        good = self.places(self.members)
        level, domains = self._lowest(good)
        if self.case.pack == "spine" and level != NODE_LEVEL:
            spines = [d for d in self.domains if level_of(d) == 0 and (good & self.inside(d)).any()]
            if spines:
                tightest = min(spines, key=lambda d: (self.measure(d), name_path(d)))
                return self._lowest(good & self.inside(tightest))
        return level, domains

    def _lowest(self, good: Bools) -> tuple[int, list[Path | int]]:
        at = self.ways[good]
        nodes = [i for i in range(len(self.cap)) if (at[:, i] == self.members).any()]
        if nodes:
            return NODE_LEVEL, list(nodes)
        for level in range(NODE_LEVEL - 1, -2, -1):
            here = [d for d in self.domains if level_of(d) == level]
            holding = [d for d in here if (good & self.inside(d)).any()]
            if holding:
                return level, list(holding)
        raise AssertionError("members > 0 without a place")

    def measure(self, domain: Path | int) -> int:
        """cap(d), not cut off at n: members up to the segment level, whole segments above it."""
        if isinstance(domain, int):
            return int(self.ways[:, domain].max())
        rows = self.inside(domain)
        if self.case.size and level_of(domain) < self.case.segment_level:
            return int((self.per_segment[rows] // self.case.size).sum(axis=1).max())
        return int(self.total[rows].max())

    @cached_property
    def chosen(self) -> Path | int:
        """Step 3: the tightest common domain (a node as int)."""
        return min(self.common[1], key=lambda d: (self._off(d), self._caps_up(d), self._names(d)))

    def _off(self, domain: Path | int) -> bool:
        """Without the preferred level's label: last, but first for single pods."""
        path = self.paths[domain] if isinstance(domain, int) else domain
        below = isinstance(domain, int) or level_of(path) > self.case.preferred
        missing = self.case.preferred not in [level for level, _ in path]
        off = self.case.preferred >= 0 and below and missing
        return off != self.case.single

    def _caps_up(self, domain: Path | int) -> list[int]:
        path = self.paths[domain] if isinstance(domain, int) else domain
        own = [self.measure(domain)] if isinstance(domain, int) else []
        return own + [self.measure(path[:k]) for k in range(len(path), -1, -1)]

    def _names(self, domain: Path | int) -> tuple[object, ...]:
        if isinstance(domain, int):
            # Nodes of a domain come after its child domains, so a node is past the last level.
            return (*name_path(self.paths[domain]), (NODE_LEVEL, domain))
        return name_path(domain)

    def children(self, domain: Path) -> list[list[Path | int]]:
        """Children in name order, in the groups in which they are used: labelled siblings first."""
        below = [d for d in self.domains if d and d[:-1] == domain]
        groups: list[list[Path | int]] = [
            [*sorted((d for d in below if level_of(d) == level), key=name_path)]
            for level in range(NODE_LEVEL)
        ]
        own: list[Path | int] = [i for i, path in enumerate(self.paths) if path == domain]
        return [group for group in (*groups, own) if group]


def name_path(path: Path) -> tuple[tuple[int, object], ...]:
    """Names from the root, digit runs compared as numbers."""
    return tuple((level, natural_key(name)) for level, name in path)


@lru_cache(maxsize=512)
def every_way(caps: tuple[int, ...]) -> Ints:
    """[ways, nodes] all count vectors with 0 <= count <= cap."""
    grids = np.indices([cap + 1 for cap in caps]).reshape(len(caps), -1)
    return np.ascontiguousarray(grids.T.astype(np.int64))


@cache
def segment_codes(domains: int, m: int, size: int) -> Ints:
    """Every assignment of m members as segments to domains, a base-9 number of members each."""
    whole, short = divmod(m, size)
    codes = set()
    for counts in product(range(whole + 1), repeat=domains):
        if sum(counts) != whole:
            continue
        for last in range(domains) if short else (-1,):
            each = [q * size + (short if j == last else 0) for j, q in enumerate(counts)]
            codes.add(sum(members * 9**j for j, members in enumerate(each)))
    return np.array(sorted(codes), np.int64)


def least_children(caps: list[int], wanted: int) -> int:
    """The least number of children that together hold `wanted`, over all sets of children."""
    return next(
        k
        for k in range(len(caps) + 1)
        if any(sum(chosen) >= wanted for chosen in combinations(caps, k))
    )


def fair_shares(caps: list[int], wanted: int) -> list[int]:
    """Step 4: of least_children, the k - 1 largest filled, the smallest that holds the rest."""
    shares = [0] * len(caps)
    if not wanted:
        return shares
    k = least_children(caps, wanted)
    largest = sorted(range(len(caps)), key=lambda i: -caps[i])[: k - 1]
    for i in largest:
        shares[i] = caps[i]
    rest = wanted - sum(shares)
    holding = [i for i in range(len(caps)) if i not in largest and caps[i] >= rest]
    shares[min(holding, key=caps.__getitem__)] = rest
    return shares
