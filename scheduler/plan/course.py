"""Which of the four ways a gang is placed: by sums, by a form, as a mixed gang, one by one."""

from __future__ import annotations

from enum import Enum

import numpy as np

from scheduler.model.arrays import I32
from scheduler.model.shape import Shape
from scheduler.plan.gang import MIXED, Gang
from scheduler.plan.ledger import Ledger
from scheduler.plan.rule_ways import cliques


class Course(Enum):
    """How a place is looked for."""

    SUMS = "identical members that do not restrict each other, beyond one per node"
    FORM = "identical members under rules with a closed form"
    MIXED = "members that differ, with no rules between them beyond one per node"
    ONE_BY_ONE = "everything else"


def course_of(ledger: Ledger, gang: Gang, members: I32 | None = None) -> Course:
    """For the members named by index (None = all). Rules between a member and pods that are
    there already need no course: they are a filter, like taints.
    """
    n = gang.n if members is None else int(members.size)
    known = ledger.snapshot.shapes
    if gang.shape != MIXED:
        if n <= 1 or known[gang.shape].rules.free or not ledger.way(gang.shape).bites:
            return Course.SUMS
        closed = ledger.way(gang.shape).closed and not gang.segment_size
        return Course.FORM if closed else Course.ONE_BY_ONE
    shapes = gang.shapes if members is None else gang.shapes[members]
    number: dict[int, Shape] = {s: known[s] for s in np.unique(shapes).tolist()}
    if n <= 1 or all(shape.rules.free for shape in number.values()):
        return Course.MIXED
    return Course.ONE_BY_ONE if cliques(ledger.marks, number) is None else Course.MIXED
