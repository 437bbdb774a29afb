"""Where a gang of several kinds of members may go, by plain enumeration of small cases.

Shares no code with the planner, its kernels or their twins. A count per kind is one integer with
five bits a kind, so that the vectors that a set of nodes can take are a Python set:

    kinds a, b      2 a and 1 b = 0b00001_00010      {n1} takes {0, a, 2a, b}, {n1, n2} the sums
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations, product

FIELD = 5
ZONE = "zone"
RESOURCES = ("cpu", "memory", "nvidia.com/gpu")
LEVELS = ("spine", "leaf")

Domain = tuple[str | None, ...]
"""Values of the levels from the root; () = the cluster; None where a label is missing."""


@dataclass(frozen=True)
class Node:
    """`free` may be negative; `slots` are free pod slots."""

    name: str
    spine: str | None
    leaf: str | None
    free: tuple[int, int, int]
    slots: int
    zone: str
    taken: tuple[str, ...] = ()
    """Tokens already given away."""

    @property
    def path(self) -> Domain:
        """Deepest domain: (level, value) pairs flattened, missing levels left out."""
        return tuple(
            f"{level}={value}"
            for level, value in zip(LEVELS, (self.spine, self.leaf), strict=True)
            if value is not None
        )


@dataclass(frozen=True)
class Kind:
    """What members have in common. `zone`: selector; `pin`: names of nodes it may use."""

    request: tuple[int, int, int]
    zone: str | None = None
    tokens: tuple[str, ...] = ()
    pin: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Case:
    """A cluster and one gang. Its repr is all that one needs to run it again."""

    nodes: tuple[Node, ...]
    kinds: tuple[Kind, ...]
    member: tuple[int, ...]
    """Kind of each member, by rank."""
    minimum: int
    required: int
    preferred: int
    home: Domain | None
    size: int
    segment_level: int
    single: bool


class Truth:
    """What enumeration says about a case."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.all = self.code(len(case.member))
        self.guard = sum(1 << (FIELD * k + FIELD - 1) for k in range(len(case.kinds)))
        self.node_sets = {n.name: frozenset(self._node_set(n)) for n in case.nodes}
        self._sums: dict[frozenset[str], frozenset[int]] = {frozenset(): frozenset({0})}

    def code(self, m: int) -> int:
        """The first m members by kind."""
        return self.code_of(range(m))

    def code_of(self, members: Iterable[int]) -> int:
        """Members by kind, as one integer."""
        return sum(1 << (FIELD * self.case.member[j]) for j in members)

    def _node_set(self, node: Node) -> Iterator[int]:
        """Every vector of members (no more than there are) that the node takes."""
        kinds = self.case.kinds
        counts = [self.case.member.count(k) for k in range(len(kinds))]
        may = [
            (k.zone in (None, node.zone)) and (k.pin is None or node.name in k.pin)
            and not set(k.tokens) & set(node.taken)
            for k in kinds
        ]  # fmt: skip
        for vector in product(
            *(range(c + 1 if ok else 1) for c, ok in zip(counts, may, strict=True))
        ):
            if self._takes(node, vector):
                yield sum(c << (FIELD * k) for k, c in enumerate(vector))

    def _takes(self, node: Node, vector: Sequence[int]) -> bool:
        kinds = self.case.kinds
        if sum(vector) > max(0, node.slots):
            return False
        for r, free in enumerate(node.free):
            asked = sum(c * k.request[r] for c, k in zip(vector, kinds, strict=True))
            if asked > 0 and asked > free:
                return False
        given = [t for c, k in zip(vector, kinds, strict=True) for t in k.tokens * c]
        return len(given) == len(set(given))

    def sums(self, names: frozenset[str]) -> frozenset[int]:
        """Every vector that these nodes take together."""
        if names not in self._sums:
            last = max(names)
            one, others = self.node_sets[last], self.sums(names - {last})
            limit, guard = self.all | self.guard, self.guard
            self._sums[names] = frozenset(
                a + b for a in others for b in one if (limit - a - b) & guard == guard
            )
        return self._sums[names]

    # --- domains -----------------------------------------------------------------------------

    def names(self, domain: Domain) -> frozenset[str]:
        """Nodes under a domain."""
        return frozenset(n.name for n in self.case.nodes if n.path[: len(domain)] == domain)

    @cached_property
    def domains(self) -> list[Domain]:
        """All of them, in path order."""
        paths = {n.path[:i] for n in self.case.nodes for i in range(3)}
        return sorted(paths, key=lambda p: [(level_of((x,)), natural(x)) for x in p if x])

    def segment_domain(self, domain: Domain) -> Domain | None:
        """The domain of the segment level that `domain` is in."""
        for i, value in enumerate(domain):
            if value and level_of((value,)) == self.case.segment_level:
                return domain[: i + 1]
        return None

    def holds(self, domain: Domain, m: int, only: frozenset[str] | None = None) -> bool:
        """Do the nodes of `domain` (those in `only`) hold the first m members?"""
        names = self.names(domain)
        names = names if only is None else names & only
        if not self.case.size or level_of(domain) >= self.case.segment_level:
            inside = not self.case.size or self.segment_domain(domain) is not None
            return inside and self.code(m) in self.sums(names)
        takes = [
            self.sums(self.names(x) & names)
            for x in self.domains
            if level_of(x) == self.case.segment_level and x[: len(domain)] == domain
        ]
        size = self.case.size
        segments = [self.code_of(range(j, min(j + size, m))) for j in range(0, m, size)]

        def divide(i: int, given: list[int]) -> bool:
            if i == len(segments):
                return True
            for x, taken in enumerate(given):
                if taken + segments[i] in takes[x]:
                    given[x] += segments[i]
                    if divide(i + 1, given):
                        return True
                    given[x] -= segments[i]
            return False

        return divide(0, [0] * len(takes))

    def node_holds(self, node: Node, m: int) -> bool:
        """Does one node hold the first m members?"""
        if self.case.size and self.segment_domain(node.path) is None:
            return False
        return self.code(m) in self.node_sets[node.name]

    # --- the decisions -----------------------------------------------------------------------

    def turns(self) -> list[list[Domain]]:
        """Permitted domains, to be tried one list after the other."""
        required, home = self.case.required, self.case.home
        if home is not None and required >= 0:
            return [[home]]
        if home is not None:
            return [[home[:i]] for i in range(len(home), -1, -1)]
        if required >= 0:
            return [[d for d in self.domains if level_of(d) == required]]
        return [[()]]

    def most(self) -> tuple[int, list[Domain]]:
        """Step 1: (members that the best permitted domain holds, the permitted domains)."""
        n, step = len(self.case.member), self.case.size or 1
        permitted: list[Domain] = []
        for permitted in self.turns():
            if any(self.holds(d, n) for d in permitted):
                return n, permitted
        sizes = [m for m in range(0, n, step) if any(self.holds(d, m) for d in permitted)]
        return max(sizes, default=0), permitted

    def choose(self, m: int, permitted: list[Domain]) -> tuple[Domain, str | None]:
        """Steps 2 and 3: (domain, node); node is None unless one holds all m."""
        inside = [d for d in self.domains if any(d[: len(p)] == p for p in permitted)]
        nodes = [n for n in self.case.nodes if n.path in inside and self.node_holds(n, m)]
        if nodes:
            node = min(nodes, key=self._node_key)
            return node.path, node.name
        able = [d for d in inside if self.holds(d, m)]
        lowest = max(map(level_of, able))
        return min((d for d in able if level_of(d) == lowest), key=self._key), None

    def tightness(self, nodes: Iterable[Node]) -> int:
        """cap(d): members of each shape alone, summed over nodes and shapes; pins apart."""
        shapes = {(k.request, k.zone, k.tokens) for k in self._kinds_in_use()}
        return sum(self._alone(n, *shape) for n in nodes for shape in shapes)

    def _kinds_in_use(self) -> list[Kind]:
        return [k for i, k in enumerate(self.case.kinds) if i in self.case.member]

    def _alone(
        self, node: Node, request: Sequence[int], zone: str | None, tokens: tuple[str, ...]
    ) -> int:
        if zone not in (None, node.zone) or set(tokens) & set(node.taken):
            return 0
        fits = [node.slots, *(f // q for f, q in zip(node.free, request, strict=True) if q)]
        return max(0, min([*fits, 1] if tokens else fits))

    def _chain(self, domain: Domain) -> list[int]:
        under = [
            [n for n in self.case.nodes if n.path[:i] == domain[:i]]
            for i in range(len(domain), -1, -1)
        ]
        return [self.tightness(nodes) for nodes in under]

    def _off(self, domain: Domain, *, node: bool) -> bool:
        preferred = self.case.preferred
        below = node or level_of(domain) > preferred
        lacks = all(level_of((x,)) != preferred for x in domain)
        return (preferred >= 0 and below and lacks) != self.case.single

    def _key(self, domain: Domain) -> tuple[bool, list[int], int]:
        return self._off(domain, node=False), self._chain(domain), self.domains.index(domain)

    def _node_key(self, node: Node) -> tuple[bool, int, list[int], int, tuple[int, str]]:
        return (
            self._off(node.path, node=True), self.tightness([node]), self._chain(node.path),
            self._place(node), natural(node.name),
        )  # fmt: skip

    def _place(self, node: Node) -> int:
        """Own nodes of a domain come after its child domains."""
        ends = [(*d, "~") for d in self.domains if d == node.path]
        keyed = sorted(
            [*self.domains, *ends],
            key=lambda p: [
                (9, (0, "")) if x == "~" else (level_of((x,)), natural(x)) for x in p if x
            ],
        )
        return keyed.index((*node.path, "~"))

    def least_leaves(self, domain: Domain, m: int) -> int:
        """The fewest deepest domains under `domain` that hold the first m members."""
        deepest = sorted({n.path for n in self.case.nodes if n.path[: len(domain)] == domain})
        for k in range(1, len(deepest) + 1):
            for chosen in combinations(deepest, k):
                only = frozenset(n.name for n in self.case.nodes if n.path in chosen)
                if self.holds(domain, m, only):
                    return k
        raise AssertionError("the domain does not hold them")

    def faults(self, names: Sequence[str], m: int, permitted: list[Domain]) -> list[str]:
        """What is wrong with a placement of the first m members."""
        case, found = self.case, []
        path = {n.name: n.path for n in case.nodes}
        if len(names) != m or any(name not in path for name in names):
            return [f"{len(names)} rows for {m} members"]
        for name in set(names):
            here = self.code_of(j for j, x in enumerate(names) if x == name)
            if here not in self.node_sets[name]:
                found.append(f"{name} cannot take what it got")
        if not any(all(path[x][: len(d)] == d for x in names) for d in permitted):
            found.append("outside the permitted domains")
        for j in range(0, m, case.size or m):
            where = {self.segment_domain(path[x]) for x in names[j : j + case.size]}
            if case.size and (len(where) != 1 or None in where):
                found.append(f"the segment at {j} is in {where}")
        return found


def level_of(domain: Domain) -> int:
    """Level of a domain by its last part; -1 for the cluster."""
    return LEVELS.index(str(domain[-1]).partition("=")[0]) if domain else -1


def natural(part: str | None) -> tuple[int, str]:
    """Names here are letters and one number: s2 before s10."""
    digits = "".join(c for c in str(part) if c.isdigit())
    return int(digits or 0), str(part)


# --- cases ---------------------------------------------------------------------------------------


def random_case(rng: random.Random) -> Case:
    """At most 6 nodes in two levels, 8 members, 3 shapes over 3 resources."""
    nodes = tuple(_nodes(rng))
    kinds = tuple(_kinds(rng, nodes))
    n = rng.choice((1, 2, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8))
    member = tuple(rng.randrange(len(kinds)) for _ in range(n))
    if rng.random() < 0.4:
        nodes = tuple(_tight(rng, nodes, [kinds[k] for k in member]))
    size = rng.choice((0, 0, 0, 0, 1, 2, 2, 3, 4))
    required = rng.choice((-1, -1, -1, -1, 0, 0, 1))
    home = None
    if rng.random() < 0.15:
        path = rng.choice(nodes).path
        homes = [path[:i] for i in range(1, len(path) + 1)]
        homes = [h for h in homes if required in (-1, level_of(h))]
        home = rng.choice(homes) if homes else None
    return Case(
        nodes=nodes,
        kinds=kinds,
        member=member,
        minimum=rng.choice((n, n, rng.randint(1, n))),
        required=required,
        preferred=rng.choice((-1, 0, 0, 1)),
        home=home,
        size=size,
        segment_level=rng.choice((0, 1, 1)) if size else -1,
        single=n == 1 and rng.random() < 0.5,
    )


def _nodes(rng: random.Random) -> Iterator[Node]:
    count = rng.choice((2, 3, 4, 5, 6, 6, 6, 6))
    gaps = 0.2 if rng.random() < 0.3 else 0.0
    alike = rng.random() < 0.4
    big = rng.choice((6, 9, 12, 16))
    shared = [rng.randint(big // 3, big) for _ in RESOURCES]
    for i in range(count):
        free = (
            shared
            if alike and rng.random() < 0.8
            else [rng.choice((-1, 0, *range(1, big), *range(big // 2, big))) for _ in RESOURCES]
        )
        yield Node(
            name=f"n{i + 8}",  # n8 .. n13: as text, n10 would come before n8
            spine=None if rng.random() < gaps else rng.choice(("s1", "s2")),
            leaf=None if rng.random() < gaps else rng.choice(("l1", "l2", "l10")),
            free=(free[0], free[1], free[2]),
            slots=rng.choice((8, 8, 3, 2, 1, 0)) if rng.random() < 0.4 else 8,
            zone=rng.choice("ab"),
            taken=tuple(t for t in "xy" if rng.random() < 0.06),
        )


def _tight(rng: random.Random, nodes: Sequence[Node], members: Sequence[Kind]) -> Iterator[Node]:
    """The nodes with little more room than some assignment of the members needs."""
    at = [rng.randrange(len(nodes)) for _ in members]
    for i, node in enumerate(nodes):
        asked = [
            sum(kind.request[r] for j, kind in zip(at, members, strict=True) if j == i)
            + rng.choice((0, 0, 0, 0, 1, 2))
            for r in range(len(RESOURCES))
        ]
        yield replace(node, free=(asked[0], asked[1], asked[2]))


def _kinds(rng: random.Random, nodes: Sequence[Node]) -> Iterator[Kind]:
    """Up to 3 shapes, some of them with and without pins."""
    tokens = rng.random() < 0.2
    pinned = rng.random() < 0.3
    for _ in range(rng.choice((2, 2, 3, 3, 3))):
        request = tuple(rng.choice((0, 0, 1, 1, 2, 3, 4, 5)) for _ in RESOURCES)
        shape = Kind(
            request=(request[0], request[1], request[2]),
            zone=rng.choice("ab") if rng.random() < 0.1 else None,
            tokens=tuple(t for t in "xy" if tokens and rng.random() < 0.4),
        )
        yield shape
        if pinned and rng.random() < 0.6:
            least = 0 if rng.random() < 0.05 else 1
            some = rng.sample(nodes, max(least, len(nodes) - rng.randint(0, len(nodes))))
            yield Kind(shape.request, shape.zone, shape.tokens, tuple(n.name for n in some))


def labels(case: Case) -> Mapping[str, Mapping[str, str]]:
    """Zone labels of the nodes."""
    return {n.name: {ZONE: n.zone} for n in case.nodes}
