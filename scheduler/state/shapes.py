"""Shapes and the numbers they keep for the life of the process."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from scheduler.model.arrays import I64
from scheduler.model.resources import ResourceOrder
from scheduler.model.shape import Shape
from scheduler.state.growth import grown, moved


class ShapeRegistry:
    """Shape <-> number. Numbers are never reused: queue, pods and snapshots all rely on them."""

    __slots__ = ("_numbers", "_published", "_shapes", "requests", "resources", "with_tokens")

    def __init__(self, resources: ResourceOrder) -> None:
        self.resources = resources
        self.requests: I64 = np.zeros((len(resources), 0), np.int64)
        """[R, S or more] requests of shape s are requests[:, s]."""
        self.with_tokens: set[int] = set()
        """Numbers of shapes that take tokens of a node; most clusters have few."""
        self._numbers: dict[Shape, int] = {}
        self._shapes: list[Shape] = []
        self._published: tuple[Shape, ...] = ()

    def __len__(self) -> int:
        return len(self._shapes)

    def __getitem__(self, number: int) -> Shape:
        return self._shapes[number]

    def number(self, shape: Shape) -> int:
        """The number of `shape`, given now if it is new.

        Raises ValueError if its requests are not a vector of the process's resources, or negative.
        """
        known = self._numbers.get(shape)
        if known is not None:
            return known
        if len(shape.requests) != len(self.resources) or min(shape.requests, default=0) < 0:
            raise ValueError(f"{shape.requests} is no request over {self.resources.names}")
        number = len(self._shapes)
        self.requests = grown(self.requests, number + 1)
        self.requests[:, number] = shape.requests
        if shape.tokens:
            self.with_tokens.add(number)
        self._numbers[shape] = number
        self._shapes.append(shape)
        return number

    def covers(self, held: int, asked: int) -> bool:
        """Is room held for shape `held` enough for a member of shape `asked`?"""
        if held == asked:
            return True
        more = bool((self.requests[:, asked] > self.requests[:, held]).any())
        return not more and set(self[asked].tokens) <= set(self[held].tokens)

    def widen(self, order: ResourceOrder, place: I64) -> None:
        """The process counts more resources: row r is row place[r] now. Numbers stay."""
        self.requests = moved(self.requests, place, len(order))
        self._shapes = [
            replace(shape, requests=tuple(self.requests[:, number].tolist()))
            for number, shape in enumerate(self._shapes)
        ]
        self._numbers = {shape: number for number, shape in enumerate(self._shapes)}
        self._published = ()
        self.resources = order

    def all(self) -> tuple[Shape, ...]:
        """Shapes by number; the same tuple until a shape is new."""
        if len(self._published) != len(self._shapes):
            self._published = tuple(self._shapes)
        return self._published
