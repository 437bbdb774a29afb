"""Charges pods and holds to their nodes: the one place where `used` changes."""

from __future__ import annotations

import numpy as np

from scheduler.model.arrays import I32
from scheduler.state.nodes import NodeTable
from scheduler.state.shapes import ShapeRegistry
from scheduler.state.tokens import TokenTable

TAKE = 1
GIVE = -1


class Account:
    """Takes or gives back the room of members: resources, pod slots and tokens alike."""

    __slots__ = ("nodes", "shapes", "tokens")

    def __init__(self, nodes: NodeTable, shapes: ShapeRegistry) -> None:
        self.nodes = nodes
        self.shapes = shapes
        self.tokens = TokenTable()

    def charge(self, nids: I32, shapes: I32, sign: int) -> None:
        """Members of shape shapes[i] on node nids[i]: TAKE or GIVE. Equal lengths."""
        if not nids.size:
            return
        if nids.size == 1:
            self.charge_one(int(nids[0]), int(shapes[0]), sign)
            return
        nodes, first = self.nodes, int(shapes[0])
        alike = bool((shapes == first).all())
        for r, requests in enumerate(self.shapes.requests):
            amount = requests[first] if alike else requests[shapes]
            if not alike or amount:
                np.add.at(nodes.used[r], nids, sign * amount)
        np.add.at(nodes.pods_used, nids, sign)
        self._charge_tokens(nids, shapes, sign)
        nodes.dirty[nids] = True
        if sign == GIVE:
            nodes.gained[nids] = True

    def charge_one(self, nid: int, shape: int, sign: int) -> None:
        """One member on one node; the same effect without the cost of arrays."""
        nodes = self.nodes
        nodes.used[:, nid] += sign * self.shapes.requests[:, shape]
        nodes.pods_used[nid] += sign
        if shape in self.shapes.with_tokens:
            for token in self.shapes[shape].tokens:
                self.tokens.add(token, np.array([nid], np.int32), sign)
        nodes.dirty[nid] = True
        if sign == GIVE:
            nodes.gained[nid] = True

    def _charge_tokens(self, nids: I32, shapes: I32, sign: int) -> None:
        if not self.shapes.with_tokens:
            return
        for shape in self.shapes.with_tokens.intersection(np.unique(shapes).tolist()):
            where = nids[shapes == shape]
            for token in self.shapes[shape].tokens:
                self.tokens.add(token, where, sign)
