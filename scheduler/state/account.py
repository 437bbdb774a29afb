"""Charges pods and holds to their nodes: the one place where `used` changes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scheduler.model.arrays import I32, I64
from scheduler.state.growth import grown
from scheduler.state.marks import MarkTable
from scheduler.state.nodes import NodeTable
from scheduler.state.pods import PodTable
from scheduler.state.shapes import ShapeRegistry
from scheduler.state.tokens import TokenTable

TAKE = 1
GIVE = -1


class Account:
    """Takes or gives back the room of members: resources, pod slots and tokens alike.

    Pods leave marks where they are, too. Holds do not: rules count pods that exist, and one that
    is only expected neither opens a domain to others nor levels a spread.
    """

    __slots__ = (
        "_by_kind",
        "_counted",
        "leaves",
        "marks",
        "nodes",
        "population",
        "shapes",
        "tokens",
    )

    def __init__(self, nodes: NodeTable, shapes: ShapeRegistry) -> None:
        self.nodes = nodes
        self.shapes = shapes
        self.tokens = TokenTable()
        self.marks = MarkTable()
        self.leaves: dict[int, tuple[str, ...]] = {}
        """Kind -> marks that a pod of it leaves, sorted; kinds without marks are left out."""
        self.population: I64 = np.zeros(0, np.int64)
        """[kinds or more] pods of each kind."""
        self._counted = False
        """Whether `count` looked at the pods as they are now."""
        self._by_kind: tuple[I32, I32] | None = None
        """(kinds rising, node ids) of all pods as they are now, if it looked twice."""

    def charge(self, nids: I32, kinds: I32, sign: int, *, pods: bool = True) -> None:
        """Members of kind kinds[i] on node nids[i]: TAKE or GIVE. Equal lengths.

        pods: False for holds.
        """
        if not nids.size:
            return
        if nids.size == 1:
            self.charge_one(int(nids[0]), int(kinds[0]), sign, pods=pods)
            return
        nodes, first = self.nodes, int(kinds[0])
        alike = bool((kinds == first).all())
        for r, requests in enumerate(self.shapes.requests):
            amount = requests[first] if alike else requests[kinds]
            if not alike or amount:
                np.add.at(nodes.used[r], nids, sign * amount)
        np.add.at(nodes.pods_used, nids, sign)
        present = [first] if alike else np.unique(kinds).tolist()
        for kind in present:
            self._charge_names(kind, nids if alike else nids[kinds == kind], sign, pods=pods)
        nodes.dirty[nids] = True
        if sign == GIVE:
            nodes.gained[nids] = True

    def charge_one(self, nid: int, kind: int, sign: int, *, pods: bool = True) -> None:
        """One member on one node; the same effect without the cost of arrays."""
        nodes = self.nodes
        nodes.used[:, nid] += sign * self.shapes.requests[:, kind]
        nodes.pods_used[nid] += sign
        if kind in self.shapes.with_tokens:
            for token in self.shapes[kind].tokens:
                self.tokens.add(token, np.array([nid], np.int32), sign)
        if pods:
            self._populate(kind, sign)
            if self.leaves:
                for mark in self.leaves.get(kind, ()):
                    self.marks.add(mark, np.array([nid], np.int32), sign)
        nodes.dirty[nid] = True
        if sign == GIVE:
            nodes.gained[nid] = True

    def count(self, mark: str, kinds: Sequence[int], sign: int, pods: PodTable) -> None:
        """Pods of `kinds` leave `mark` from now on (TAKE), or no more (GIVE).

        One pass over the pods; for more marks without a pod in between, one sort for all.
        """
        living = [k for k in kinds if k < len(self.population) and self.population[k]]
        if not living:
            return
        if self._counted and self._by_kind is None:
            used = pods.in_use()
            kinds_of = pods.shape[used]
            order = np.argsort(kinds_of, kind="stable")
            self._by_kind = kinds_of[order], pods.nid[used[order]]
        if self._by_kind is None:
            meant = np.zeros(len(self.population), np.bool_)
            meant[living] = True
            used = pods.in_use()
            where = pods.nid[used[meant[pods.shape[used]]]]
        else:
            column, nids = self._by_kind
            begin, end = (np.searchsorted(column, living, side) for side in ("left", "right"))
            where = np.concatenate([nids[b:e] for b, e in zip(begin, end, strict=True)])
        self._counted = True
        self.marks.add(mark, where, sign)

    def _populate(self, kind: int, count: int) -> None:
        self._counted, self._by_kind = False, None
        if kind >= len(self.population):
            self.population = grown(self.population, kind + 1)
        self.population[kind] += count

    def _charge_names(self, kind: int, nids: I32, sign: int, *, pods: bool) -> None:
        """Tokens and marks of members of one kind."""
        for token in self.shapes[kind].tokens:
            self.tokens.add(token, nids, sign)
        if pods:
            self._populate(kind, sign * len(nids))
            for mark in self.leaves.get(kind, ()):
                self.marks.add(mark, nids, sign)
