"""Pods that rules between pods count, while a cycle decides: per row, and per value of a label.

Counts are made when they are first asked for: from the snapshot's marks and from what the gangs
decided so far have left. Later takes are a journal per mark, with which every count catches up.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from scheduler.model.arrays import I32, I64
from scheduler.model.filters.spread import Mask, eligible, key_codes
from scheduler.model.pod_rules import Spread
from scheduler.model.shape import Shape
from scheduler.model.snapshot import Snapshot

NO_ROWS: I32 = np.empty(0, np.int32)


class Key:
    """One label key over N rows, with V values."""

    def __init__(self, name: str, snapshot: Snapshot) -> None:
        code, self.values = key_codes(name, snapshot)
        self.name = name
        self.code: I32 = code
        """[N] value of each row; -1 = the node has no such label."""
        there = np.bincount(code + 1, minlength=self.values + 1)
        self.unique = not there[0] and int(there[1:].max(initial=0)) <= 1
        """Whether each node has the label, and a value of its own."""
        self._topology = snapshot.topology

    @cached_property
    def missing(self) -> Mask:
        """[V + 1] True in the last place alone: nodes without the label."""
        missing: Mask = np.zeros(self.values + 1, bool)
        missing[-1] = True
        return missing

    @cached_property
    def level(self) -> tuple[int, I32]:
        """The level whose domains are exactly the values, and [V] the domain of each; or -1."""
        there = self.code >= 0
        for level in range(len(self._topology.levels)):
            above = self._topology.ancestor[level, self._topology.node_parent]
            if not np.array_equal(there, above >= 0):
                continue
            domain: I32 = np.full(self.values, -1, np.int32)
            domain[self.code[there]] = above[there]
            once = np.bincount(domain[domain >= 0]).max(initial=0) <= 1
            if once and np.array_equal(domain[self.code[there]], above[there]):
                return level, domain
        return -1, NO_ROWS

    @cached_property
    def _by_value(self) -> tuple[I32, I64]:
        """(rows by value, where each value begins)."""
        order = np.argsort(self.code, kind="stable").astype(np.int32)
        return order, np.searchsorted(self.code[order], np.arange(self.values + 1))

    def rows(self, values: I64 | I32) -> I32:
        """Rows that have one of `values`."""
        if values.size == 0:
            return NO_ROWS
        rows, start = self._by_value
        return np.concatenate([rows[start[v] : start[v + 1]] for v in values.tolist()])


@dataclass(eq=False, slots=True)
class Tally:
    """Pods of one mark per value of one key, on the rows that count."""

    key: Key
    mark: str
    bucket: I32
    """[N] value of each row, V where it does not count."""
    counting: Mask
    """[V] whether some row of the value counts."""
    counts: I64
    """[V + 1]; the last is of no interest."""
    there: Mask
    """[V + 1] whether the value has a pod; False in the last place."""
    cursor: int = 0
    """Journal entries of the mark that counts already know; each changes the version."""
    flips: list[I32] = field(default_factory=list)
    """Values of which `there` has changed, catching up by catching up."""


@dataclass(eq=False, slots=True)
class Marks:
    """All counts of one ledger."""

    snapshot: Snapshot
    _keys: dict[str, Key] = field(default_factory=dict)
    _left: dict[str, list[tuple[I32, int]]] = field(default_factory=dict)
    _tallies: dict[tuple[object, ...], Tally] = field(default_factory=dict)

    def key(self, name: str) -> Key:
        """A label key over the rows."""
        known = self._keys.get(name)
        if known is None:
            known = self._keys[name] = Key(name, self.snapshot)
        return known

    def leave(self, marks: tuple[str, ...], rows: I32, pods: int = 1) -> None:
        """So many pods more (-1: one less) of each of `marks` on each of `rows`; a row may come
        several times.
        """
        for mark in marks:
            self._left.setdefault(mark, []).append((rows, pods))

    def near(self, key: str, mark: str) -> Tally:
        """Pods of `mark` per value of `key`: wherever the label is, they count."""
        name = (key, mark)
        known = self._tallies.get(name)
        if known is None:
            of = self.key(key)
            bucket = np.where(of.code >= 0, of.code, of.values).astype(np.int32)
            known = self._tallies[name] = self._open(of, mark, bucket)
        self.catch_up(known)
        return known

    def spread(self, shape: Shape, rule: Spread) -> Tally:
        """Pods that `rule`, one of the shape's, counts, on the nodes that count for it."""
        # All that decides which nodes count, so that shapes share what they can.
        name = (
            rule.key, rule.mark, frozenset(each.key for each in shape.rules.spread),
            (shape.selector, shape.affinity) if rule.honor_affinity else None,
            shape.tolerations if rule.honor_taints else None,
        )  # fmt: skip
        known = self._tallies.get(name)
        if known is None:
            of = self.key(rule.key)
            fine = eligible(shape, rule, self.snapshot)
            bucket = np.where(fine, of.code, of.values).astype(np.int32)
            known = self._tallies[name] = self._open(of, rule.mark, bucket)
        self.catch_up(known)
        return known

    def _open(self, key: Key, mark: str, bucket: I32) -> Tally:
        counting = np.bincount(bucket, minlength=key.values + 1)[: key.values] > 0
        counts: I64 = np.zeros(key.values + 1, np.int64)
        column = self.snapshot.marks.get(mark)
        if column is not None:
            np.add.at(counts, bucket[column.rows], column.counts)
        there = counts > 0
        there[-1] = False
        return Tally(key, mark, bucket, counting, counts, there)

    def catch_up(self, tally: Tally) -> None:
        """Brings one of these tallies up to date with what has been left."""
        left = self._left.get(tally.mark)
        if left is not None and tally.cursor < len(left):
            for rows, pods in left[tally.cursor :]:
                if rows.size == 1:  # pods that come alone: plain numbers are several times quicker
                    self._one_more(tally, int(tally.bucket[rows[0]]), pods)
                    continue
                touched = tally.bucket[rows]
                np.add.at(tally.counts, touched, pods)
                now = tally.counts[touched] > 0
                now[touched == tally.key.values] = False
                flipped = touched[tally.there[touched] != now]
                if flipped.size:
                    tally.there[flipped] = ~tally.there[flipped]
                    tally.flips.append(flipped)
            tally.cursor = len(left)

    def _one_more(self, tally: Tally, value: int, pods: int) -> None:
        here = int(tally.counts[value]) + pods
        tally.counts[value] = here
        if value < tally.key.values and bool(tally.there[value]) != (here > 0):
            tally.there[value] = here > 0
            tally.flips.append(np.array([value], np.int32))


def least(tally: Tally, rule: Spread) -> int:
    """The number that all domains of `rule` are measured by."""
    if np.count_nonzero(tally.counting) < max(1, rule.min_domains):
        return 0
    return int(tally.counts[:-1][tally.counting].min())
