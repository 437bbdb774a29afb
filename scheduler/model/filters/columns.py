"""What filters read and what they answer: node columns in, one reason code per row out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from scheduler.model.arrays import I16, I32, I64, U8
from scheduler.model.constraints import Taint
from scheduler.model.resources import ResourceOrder
from scheduler.model.shape import Shape
from scheduler.model.snapshot import LabelColumn

OTHER = "other reasons"
_MOST_REASONS = 10_000
"""More texts than this (a taint value of its own on every node) are counted as OTHER."""


class NodeColumns(Protocol):
    """The columns of `Snapshot` that filters read. N rows."""

    @property
    def names(self) -> tuple[str, ...]:
        """[N] node names."""

    @property
    def flags(self) -> U8:
        """[N] CORDONED | SETTLING."""

    @property
    def taint_sets(self) -> tuple[tuple[Taint, ...], ...]:
        """Distinct sets of taints."""

    @property
    def taint_set(self) -> I32:
        """[N] index into taint_sets."""

    @property
    def labels(self) -> Mapping[str, LabelColumn]:
        """Label key -> column."""

    @property
    def tokens(self) -> Mapping[str, I32]:
        """Token -> rows where it is taken."""

    @property
    def features(self) -> tuple[tuple[str, ...], ...]:
        """Distinct sets of declared features."""

    @property
    def feature_set(self) -> I32:
        """[N] index into features; empty = 0 everywhere."""


class ClusterColumns(NodeColumns, Protocol):
    """What is left on the nodes, besides. R resources, N rows."""

    @property
    def resources(self) -> ResourceOrder:
        """Names of the R resources."""

    @property
    def allocatable(self) -> I64:
        """[R, N]"""

    @property
    def free(self) -> I64:
        """[R, N]; negative where a node is overcommitted."""

    @property
    def slots(self) -> I64:
        """[N] free pod slots; negative where overcommitted."""


class Reasons:
    """The texts of one shape's refusals, numbered as they come; 0 is "eligible"."""

    __slots__ = ("_codes", "texts")

    def __init__(self) -> None:
        self.texts: list[str] = [""]
        self._codes: dict[str, int] = {"": 0}

    def code(self, text: str) -> int:
        """The number of `text`, given now if it is new."""
        known = self._codes.get(text)
        if known is not None:
            return known
        if len(self.texts) >= _MOST_REASONS and text != OTHER:
            return self.code(OTHER)
        self._codes[text] = len(self.texts)
        self.texts.append(text)
        return self._codes[text]


class Filter(Protocol):
    """One static filter of kube-scheduler, over many nodes at once."""

    def verdict(
        self, shape: Shape, nodes: NodeColumns, rows: I32 | None, reasons: Reasons
    ) -> I16 | None:
        """int16 reason code per row of `rows` (None = all N); 0 passes, None = all pass."""


def taken(column: I32 | U8, rows: I32 | None) -> I32 | U8:
    """`column` at `rows`, or all of it."""
    return column if rows is None else column[rows]


def row_count(nodes: NodeColumns, rows: I32 | None) -> int:
    """How many rows are asked about."""
    return len(nodes.names) if rows is None else len(rows)


def at_rows(where: I32, code: int, nodes: NodeColumns, rows: I32 | None) -> I16:
    """`code` at those asked rows that are in `where`, else 0."""
    codes: I16 = np.zeros(len(nodes.names), np.int16)
    codes[where] = code
    return codes if rows is None else codes[rows]
