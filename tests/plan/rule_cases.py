"""Small clusters with one gang, and every rule between pods in play: what the cases are.

Pods are told apart by one letter, their `app`; a selector is a text of letters: `ab` = pods
whose app is a or b. The marks of a case (see model/pod_rules.py) are worked out here, from
letters, the way that state/ does it from labels:

    seen:ab    pods with app a or b         (affinity: those being deleted, too)
    even:ab    the same, for spread         (those being deleted do not count)
    kept:leaf/ab   pods that carry the anti-affinity term (leaf, ab)
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace

from scheduler.model.constraints import Taint, Toleration
from scheduler.model.pod_rules import Apart, Near, PodRules, Spread
from scheduler.model.shape import Shape
from tests.builders import HOSTNAME

RESOURCES = ("cpu", "memory")
PORTS = ("port:TCP/80", "port:TCP/80@10.0.0.1", "port:TCP/81")
KEYS = (HOSTNAME, "leaf", "spine", "zone")
APPS = "abc"
GPU_TAINT = Taint("gpu", "")
EMPTY_SELECTOR = "{}"

Term = tuple[str, str]
"""(topology key, selector)"""


class Brief:
    """A dataclass whose repr leaves out what is as always."""

    def __repr__(self) -> str:
        """What one needs to write it down again."""
        given = {f.name: (getattr(self, f.name), f.default) for f in fields(self)}  # type: ignore[arg-type]
        shown = [f"{name}={value!r}" for name, (value, usual) in given.items() if value != usual]
        return f"{type(self).__name__}({', '.join(shown)})"


@dataclass(frozen=True, repr=False)
class Node(Brief):
    """`free` may be negative; `slots` are free pod slots; None = no such label."""

    name: str
    spine: str | None
    leaf: str | None
    zone: str | None
    free: tuple[int, int]
    slots: int = 8
    host: str | None = None
    """The hostname label where it is not the node's name."""
    pool: str = "x"
    tainted: bool = False
    cordoned: bool = False
    taken: tuple[str, ...] = ()
    """Ports that are in use."""

    @property
    def labels(self) -> dict[str, str]:
        """All labels of the node."""
        each = {"spine": self.spine, "leaf": self.leaf, "zone": self.zone, "pool": self.pool}
        each[HOSTNAME] = self.host or self.name
        return {key: value for key, value in each.items() if value is not None}


@dataclass(frozen=True, repr=False)
class Even(Brief):
    """One spread constraint of a kind."""

    key: str
    selector: str
    """Empty = nobody; EMPTY_SELECTOR = `{}`, which counts nobody but the pod itself."""
    max_skew: int
    min_domains: int = 1
    honor_affinity: bool = True
    honor_taints: bool = False


@dataclass(frozen=True, repr=False)
class Kind(Brief):
    """What members have in common."""

    app: str
    request: tuple[int, int]
    ports: tuple[str, ...] = ()
    near: tuple[Term, ...] = ()
    apart: tuple[Term, ...] = ()
    even: tuple[Even, ...] = ()
    pool: str | None = None
    tolerates: bool = False


@dataclass(frozen=True, repr=False)
class Pod(Brief):
    """A pod that is there. What it takes is no longer in `free`."""

    node: str
    app: str
    apart: tuple[Term, ...] = ()
    leaving: bool = False


@dataclass(frozen=True, repr=False)
class Case(Brief):
    """A cluster and one gang. Its repr is all that one needs to run it again."""

    nodes: tuple[Node, ...]
    pods: tuple[Pod, ...]
    kinds: tuple[Kind, ...]
    member: tuple[int, ...]
    """Kind of each member, by rank."""
    minimum: int
    required: int = -1
    preferred: int = -1
    size: int = 0
    segment_level: int = -1
    single: bool = False
    held: tuple[tuple[int, str], ...] = ()
    """(member, node where its room is held): neither `free` nor marks know of it yet."""


# --- marks ---------------------------------------------------------------------------------------


def near_mark(terms: Sequence[Term]) -> tuple[str, str]:
    """(mark of pods that match all terms, their apps)."""
    apps = "".join(a for a in APPS if all(a in selector for _, selector in terms))
    return f"seen:{apps}", apps


def rules_of(case: Case) -> list[PodRules]:
    """The rules of each kind, with the marks that it leaves for the others."""
    carried = {term for kind in case.kinds for term in kind.apart}
    carried |= {term for pod in case.pods for term in pod.apart}
    plain = [_asked(kind, carried) for kind in case.kinds]
    read = sorted({mark for rules in plain for mark in marks_read(rules)})
    return [
        replace(rules, leaves=tuple(m for m in read if m in marks_left(kind.app, kind.apart)))
        for kind, rules in zip(case.kinds, plain, strict=True)
    ]


def _asked(kind: Kind, carried: set[Term]) -> PodRules:
    near = None
    if kind.near:
        mark, apps = near_mark(kind.near)
        near = Near(tuple(key for key, _ in kind.near), mark, kind.app in apps)
    return PodRules(
        tuple(
            Spread(
                e.key, e.max_skew, e.min_domains, _even_mark(e.selector),
                kind.app in e.selector or e.selector == EMPTY_SELECTOR,
                e.honor_affinity, e.honor_taints,
            )
            for e in kind.even
        ),
        near,
        tuple(Apart(key, f"seen:{selector}") for key, selector in kind.apart),
        tuple(sorted(Apart(k, f"kept:{k}/{s}") for k, s in carried if kind.app in s)),
    )  # fmt: skip


def _even_mark(selector: str) -> str:
    return "" if selector in ("", EMPTY_SELECTOR) else f"even:{selector}"


def marks_read(rules: PodRules) -> set[str]:
    """Marks that a filter would look up."""
    found = {each.mark for each in rules.spread if each.mark}
    found |= {each.mark for each in (*rules.apart, *rules.repelled)}
    return found | ({rules.near.mark} if rules.near else set())


def marks_left(app: str, apart: Sequence[Term], *, leaving: bool = False) -> frozenset[str]:
    """Every mark under which such a pod is counted."""
    selectors = [s for s in ("", *_subsets(APPS)) if app in s]
    kinds = ("seen",) if leaving else ("seen", "even")
    return frozenset(
        [f"{kind}:{s}" for kind in kinds for s in selectors] + [f"kept:{k}/{s}" for k, s in apart]
    )


def _subsets(letters: str) -> list[str]:
    found = [""]
    for letter in letters:
        found += [each + letter for each in found]
    return found[1:]


def shape_of(kind: Kind, rules: PodRules) -> Shape:
    """The kind as plan() sees it."""
    return Shape(
        kind.request,
        () if kind.pool is None else (("pool", kind.pool),),
        tolerations=(Toleration("gpu", "Exists"),) if kind.tolerates else (),
        tokens=kind.ports,
        rules=rules,
    )


# --- random cases --------------------------------------------------------------------------------


def random_case(rng: random.Random) -> Case:
    """At most 6 nodes, 3 domains a level, 4 pods there; 7 members of one kind, or 5 of two."""
    nodes = tuple(_nodes(rng))
    n = rng.choice((1, 2, 2, 3, 3, 3, 4, 4, 4, 5, 5, 5, 6, 7))
    kinds = tuple(_kind(rng) for _ in range(1 if n == 1 or n > 5 or rng.random() < 0.55 else 2))
    size = rng.choice((1, 2, 2, 3)) if rng.random() < 0.08 else 0
    return Case(
        nodes=nodes,
        pods=tuple(_pod(rng, nodes, kinds) for _ in range(rng.choice((0, 0, 0, 1, 1, 2, 3, 4)))),
        kinds=kinds,
        member=tuple(rng.randrange(len(kinds)) for _ in range(n)),
        minimum=rng.randint(1, n) if rng.random() < 0.2 else n,
        required=rng.choice((-1, -1, -1, -1, 0, 0, 1)),
        preferred=rng.choice((-1, 0, 0, 1)),
        size=size,
        segment_level=rng.choice((0, 1, 1)) if size else -1,
        single=n == 1 and rng.random() < 0.5,
    )


def _nodes(rng: random.Random) -> Iterator[Node]:
    gaps = rng.choice((0.0, 0.0, 0.0, 0.2))
    roomy = rng.random() < 0.5
    odd = rng.random() < 0.3
    twins = rng.random() < 0.04
    for i in range(rng.choice((2, 3, 4, 4, 5, 5, 6, 6, 6))):
        yield Node(
            name=f"n{i + 8}",  # n8 .. n13: as text, n10 would come before n8
            spine=None if rng.random() < gaps else rng.choice(("s1", "s1", "s2", "s2", "s3")),
            leaf=None if rng.random() < gaps else rng.choice(("l1", "l2", "l10")),
            zone=None if rng.random() < gaps else rng.choice("abc"),
            free=(8, 8) if roomy else (rng.randint(-1, 6), rng.randint(0, 6)),
            slots=rng.choice((0, 1, 2, 3)) if odd and rng.random() < 0.3 else 8,
            host=rng.choice(("h1", "h2", None)) if twins else None,
            pool="y" if odd and rng.random() < 0.3 else "x",
            tainted=odd and rng.random() < 0.25,
            cordoned=odd and rng.random() < 0.12,
            taken=tuple(p for p in PORTS if rng.random() < 0.06),
        )


def _selector(rng: random.Random, app: str, own: float) -> str:
    others = [a for a in APPS if a != app and rng.random() < 0.3]
    return "".join(sorted([*others, app] if rng.random() < own else others))


def _terms(rng: random.Random, app: str, chance: float, own: float) -> Iterator[Term]:
    if rng.random() < chance:
        for _ in range(rng.choice((1, 1, 1, 2))):
            yield rng.choice(KEYS), _selector(rng, app, own) or rng.choice(APPS)


def _kind(rng: random.Random) -> Kind:
    app = rng.choice("aab")
    keys = rng.sample(KEYS, rng.choice((0, 0, 0, 0, 1, 1, 1, 2)))
    return Kind(
        app=app,
        request=(rng.choice((1, 1, 1, 2, 3)), rng.choice((0, 0, 1, 2))),
        ports=(rng.choice(PORTS),) if rng.random() < 0.12 else (),
        near=tuple(_terms(rng, app, 0.3, 0.7)),
        apart=tuple(_terms(rng, app, 0.35, 0.7)),
        even=tuple(
            Even(
                key,
                EMPTY_SELECTOR if rng.random() < 0.05 else _selector(rng, app, 0.85),
                rng.choice((1, 1, 1, 2, 3)),
                rng.choice((1, 1, 1, 2, 3)),
                rng.random() < 0.8,
                rng.random() < 0.3,
            )
            for key in keys
        ),
        pool=rng.choice("xxy") if rng.random() < 0.15 else None,
        tolerates=rng.random() < 0.3,
    )


def _pod(rng: random.Random, nodes: Sequence[Node], kinds: Sequence[Kind]) -> Pod:
    app = rng.choice(APPS)
    shared = [term for kind in kinds for term in kind.apart]
    apart = tuple(_terms(rng, app, 0.35, 0.4))
    if shared and rng.random() < 0.3:
        apart = (*apart, rng.choice(shared))  # what a pod of the same kind carries
    return Pod(rng.choice(nodes).name, app, apart, leaving=rng.random() < 0.15)


def random_pair(rng: random.Random) -> tuple[Case, Case]:
    """Two gangs of one cluster, to be placed one after the other."""
    first, other = random_case(rng), random_case(rng)
    nodes, pods = first.nodes, first.pods
    return first, replace(other, nodes=nodes, pods=pods)


def after(case: Case, gone: Case, names: Sequence[str]) -> Case:
    """`case` once the members of `gone` are on the nodes with these names; empty = it got none."""
    there = [(gone.kinds[k], name) for k, name in zip(gone.member, names, strict=True) if name]
    return replace(
        case,
        nodes=tuple(
            _less(node, [k for k, name in there if name == node.name]) for node in case.nodes
        ),
        pods=(*case.pods, *(Pod(name, kind.app, kind.apart) for kind, name in there)),
    )


def _less(node: Node, here: Sequence[Kind]) -> Node:
    """The node with a member of each of these kinds on it."""
    cpu, memory = (f - sum(k.request[r] for k in here) for r, f in enumerate(node.free))
    ports = (port for kind in here for port in kind.ports)
    return replace(
        node, free=(cpu, memory), slots=node.slots - len(here), taken=(*node.taken, *ports)
    )
