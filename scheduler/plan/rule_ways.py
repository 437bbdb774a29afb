"""What the rules of a gang mean for its own members: nothing, a capacity, a closed form, a search.

A rule bites inside a gang if a member leaves the mark that it reads. Members that refuse each
other node by node are a capacity of one per node, whatever else the gang asks for. Identical
members under one spread, any affinity and nested anti-affinity have a closed form (`ruled.py`).
Everything else is tried member by member (`ruled_search.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from scheduler.model.arrays import I64
from scheduler.model.pod_rules import Apart
from scheduler.model.shape import Shape
from scheduler.plan.marks import Key, Marks, Tally, least
from scheduler.plan.rule_codes import NEAR


@dataclass(frozen=True, eq=False, slots=True)
class Way:
    """How a gang of identical members is placed. All empty: as if it had no rules."""

    spread: tuple[int, ...] = ()
    """Spread rules (by place) that count the members themselves."""
    near: bool = False
    """Whether members satisfy the affinity of each other, nodes or not."""
    apart: tuple[Key, ...] = ()
    """Keys of which each value takes one member; the finest first."""
    closed: bool = True
    """Whether ruled.py can tell."""

    @property
    def bites(self) -> bool:
        """Do members restrict each other (beyond one per node)?"""
        return bool(self.spread or self.near or self.apart)


def exclusive(marks: Marks, shape: Shape) -> bool:
    """Does a node hold at most one member, by tokens or by rules?"""
    return shape.exclusive or any(
        rule.mark in shape.rules.leaves and marks.key(rule.key).unique for rule in refusals(shape)
    )


def refusals(shape: Shape) -> tuple[Apart, ...]:
    """Anti-affinity of both directions: what its pods are kept away from."""
    return (*shape.rules.apart, *shape.rules.repelled)


def way_of(marks: Marks, shape: Shape) -> Way:
    """The way of a gang of more than one member, all of `shape`."""
    rules, leaves = shape.rules, shape.rules.leaves
    spread = tuple(i for i, rule in enumerate(rules.spread) if rule.mark in leaves)
    near = rules.near is not None and rules.near.mark in leaves
    names = {r.key for r in refusals(shape) if r.mark in leaves}
    keys = [key for key in map(marks.key, sorted(names)) if key.values and not key.unique]
    keys.sort(key=lambda key: (-key.values, key.name))
    closed = len(spread) < 2 and all(rules.spread[i].own for i in spread)
    closed = closed and all(
        _refines(fine, coarse) for i, fine in enumerate(keys) for coarse in keys[i + 1 :]
    )
    for i in spread:
        closed = closed and all(_refines(key, marks.key(rules.spread[i].key)) for key in keys)
    return Way(spread, near, tuple(keys), closed)


def _refines(fine: Key, coarse: Key) -> bool:
    """Have all nodes of one value of `fine` the same label `coarse`, or all none?"""
    there = fine.code >= 0
    value: I64 = np.full(fine.values, -2, np.int64)
    value[fine.code[there]] = coarse.code[there]
    return bool(np.array_equal(value[fine.code[there]], coarse.code[there]))


def waived(shape: Shape, leaves: Iterable[str]) -> frozenset[int]:
    """Rules of `shape` that are not for ever while pods that leave `leaves` are placed."""
    rules, left = shape.rules, set(leaves)
    open_rules = {i for i, rule in enumerate(rules.spread) if rule.mark in left}
    if rules.near is not None and rules.near.mark in left:
        open_rules.add(NEAR)
    return frozenset(open_rules)


def cliques(marks: Marks, shapes: Mapping[int, Shape]) -> list[tuple[int, ...]] | None:
    """Sets of shapes of which a node holds one member, where that is all that their rules say
    of each other; None if they say more, so that the members have to be tried one by one.
    """
    leaves = {mark for shape in shapes.values() for mark in shape.rules.leaves}
    if any(waived(shape, leaves) for shape in shapes.values()):
        return None
    against: dict[int, set[int]] = {number: set() for number in shapes}
    for number, shape in shapes.items():
        for rule in refusals(shape):
            others = [n for n, s in shapes.items() if rule.mark in s.rules.leaves]
            key = marks.key(rule.key)
            if others and key.values and not key.unique:
                return None
            if key.values:
                against[number].update(others)
    found: set[tuple[int, ...]] = set()
    for number, refused in against.items():
        # A clique: whoever refuses one of its shapes refuses all, itself too, and is refused.
        if refused and (number not in refused or any(against[n] != refused for n in refused)):
            return None
        if refused:
            found.add(tuple(sorted(refused)))
    return sorted(found)


def lets_in(marks: Marks, shape: Shape, row: int) -> bool:
    """Do the rules let one pod more of `shape` on `row` now?"""
    rules = shape.rules
    for rule in rules.spread:
        tally = marks.spread(shape, rule)
        if tally.key.code[row] < 0:
            return False
        here = _pods(tally, row) if rule.mark else 0
        if here + int(rule.own) - least(tally, rule) > rule.max_skew:
            return False
    if any(_pods(marks.near(each.key, each.mark), row) for each in refusals(shape)):
        return False
    if rules.near is None:
        return True
    near = [marks.near(key, rules.near.mark) for key in rules.near.keys]
    if any(tally.key.code[row] < 0 for tally in near):
        return False
    first = rules.near.own and not any(tally.there.any() for tally in near)
    return first or all(_pods(tally, row) for tally in near)


def _pods(tally: Tally, row: int) -> int:
    """Pods that count in the domain of `row`."""
    value = int(tally.key.code[row])
    return int(tally.counts[value]) if value >= 0 else 0
