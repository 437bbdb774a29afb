"""Shapes and kinds of pods, and the numbers that they keep.

    kind         a Shape, and the Who of its pods if rules between pods may ask for it
    plan shape   what plan() reads of a kind: its Shape with what others' rules make of it

Both are numbers here. A kind without Who is its own plan shape; so replay, which knows no rules
between pods, uses one number throughout. Which plan shape a kind has: see kinds.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from scheduler.model.arrays import I32, I64
from scheduler.model.audience import Who
from scheduler.model.resources import ResourceOrder
from scheduler.model.shape import Shape
from scheduler.state.growth import grown, moved

_NOBODY = Shape(())
"""Stands where a number means nothing at the moment."""


class ShapeRegistry:
    """(Shape, Who or None) <-> number: queue, pods and snapshots all rely on these."""

    __slots__ = (
        "_base",
        "_free",
        "_kinds",
        "_numbers",
        "_published",
        "_shapes",
        "_who",
        "plan_of",
        "requests",
        "resources",
        "with_tokens",
    )

    def __init__(self, resources: ResourceOrder) -> None:
        self.resources = resources
        self.requests: I64 = np.zeros((len(resources), 0), np.int64)
        """[R, S or more] requests of kind s are requests[:, s]."""
        self.plan_of: I32 = np.zeros(0, np.int32)
        """[S or more] plan shape of each kind that waits or is held."""
        self.with_tokens: set[int] = set()
        """Numbers of shapes that take tokens of a node; most clusters have few."""
        self._numbers: dict[Shape, int] = {}
        self._kinds: dict[tuple[int, Who], int] = {}
        self._shapes: list[Shape] = []
        self._who: list[Who | None] = []
        self._base: list[int] = []
        self._free: list[int] = []
        self._published: tuple[Shape, ...] | None = ()

    def __len__(self) -> int:
        """One past the highest number."""
        return len(self._shapes)

    @property
    def in_use(self) -> int:
        """How many numbers mean something."""
        return len(self._shapes) - len(self._free)

    def __getitem__(self, number: int) -> Shape:
        return self._shapes[number]

    def who(self, number: int) -> Who | None:
        """What others' rules see of pods of this kind; None = they see none of them."""
        return self._who[number]

    def base(self, number: int) -> int:
        """The number of the kind's Shape without a Who."""
        return self._base[number]

    def find(self, shape: Shape, who: Who | None = None) -> int | None:
        """The number of a kind that is known, or None."""
        number = self._numbers.get(shape)
        return number if who is None or number is None else self._kinds.get((number, who))

    def number(self, shape: Shape, who: Who | None = None) -> int:
        """The number of a kind, given now if it is new.

        Raises ValueError if its requests are not a vector of the process's resources, or negative.
        """
        base = self._numbers.get(shape)
        if base is None:
            if len(shape.requests) != len(self.resources) or min(shape.requests, default=0) < 0:
                raise ValueError(f"{shape.requests} is no request over {self.resources.names}")
            base = self._numbers[shape] = self._append(shape, None, None)
        if who is None:
            return base
        kind = self._kinds.get((base, who))
        if kind is None:
            kind = self._kinds[base, who] = self._append(self._shapes[base], who, base)
        return kind

    def _append(self, shape: Shape, who: Who | None, base: int | None) -> int:
        if self._free:
            number = self._free.pop()
        else:
            number = len(self._shapes)
            self.requests = grown(self.requests, number + 1)
            self.plan_of = grown(self.plan_of, number + 1)
            self._shapes.append(shape)
            self._who.append(who)
            self._base.append(number)
        self.requests[:, number] = shape.requests
        self.plan_of[number] = self._base[number] = number if base is None else base
        self._shapes[number], self._who[number] = shape, who
        self._published = None
        if shape.tokens:
            self.with_tokens.add(number)
        return number

    def give_back(self, numbers: Iterable[int]) -> None:
        """Nobody uses these numbers any more: they will mean other kinds. Each is in use."""
        for number in sorted(numbers, reverse=True):
            shape, who = self._shapes[number], self._who[number]
            if who is None:
                del self._numbers[shape]
            else:
                del self._kinds[self._base[number], who]
            self.with_tokens.discard(number)
            self._shapes[number] = replace(_NOBODY, requests=(0,) * len(self.resources))
            self._who[number], self._base[number] = None, number
            self.plan_of[number] = number
            self._free.append(number)
        self._published = None

    def numbers(self) -> set[int]:
        """All numbers that mean something."""
        return set(range(len(self._shapes))).difference(self._free)

    def covers(self, held: int, asked: int) -> bool:
        """Is room held for shape `held` enough for a member of shape `asked`?"""
        if held == asked:
            return True
        more = bool((self.requests[:, asked] > self.requests[:, held]).any())
        return not more and set(self[asked].tokens) <= set(self[held].tokens)

    def widen(self, order: ResourceOrder, place: I64) -> None:
        """The process counts more resources: row r is row place[r] now. Numbers stay."""
        self.requests = moved(self.requests, place, len(order))
        for number in self._numbers.values():
            vector = tuple(self.requests[:, number].tolist())
            self._shapes[number] = replace(self._shapes[number], requests=vector)
        nothing = replace(_NOBODY, requests=(0,) * len(order))
        for number in self._free:
            self._shapes[number] = nothing
        self._shapes = [self._shapes[base] for base in self._base]
        self._numbers = {self._shapes[number]: number for number in self._numbers.values()}
        self._published = None
        self.resources = order

    def all(self) -> tuple[Shape, ...]:
        """Shapes by number; the same tuple until a kind is new."""
        if self._published is None:
            self._published = tuple(self._shapes)
        return self._published
