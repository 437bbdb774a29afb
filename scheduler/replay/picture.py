"""A small picture of one placed gang: spines, leaves, a cell per node, ranks in colour."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from scheduler.errors import NotFoundError
from scheduler.replay.report import environment
from scheduler.replay.result import RunResult, Status

CELL, GAP = 18, 4
"""Side of a node's cell and the space between two, in pixels."""

_PAD = 10
_LABEL = 18
_PAGE = 960
"""Width at which topmost domains go on in a new line."""
_COLUMNS = 4
"""Leaves of more nodes than this fold into rows."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One node. ranks: empty if it holds none of the gang; busy: another gang holds it."""

    x: int
    y: int
    ranks: str
    shade: float
    busy: bool
    node: str


@dataclass(frozen=True, slots=True)
class Box:
    """One domain: `depth` 0 for the topmost level."""

    x: int
    y: int
    width: int
    height: int
    depth: int
    name: str


def placed_gang_picture(result: RunResult, gang: int, path: Path) -> None:
    """Write an SVG of gang number `gang` at the instant it started.

    Every node of the cluster is a cell inside its domains; the gang's nodes carry their ranks,
    from light to deep; nodes with other gangs are grey. Raises NotFoundError if it never ran.
    """
    if not 0 <= gang < result.gangs or result.status[gang] != Status.PLACED:
        raise NotFoundError(f"gang number {gang} was not placed in this run")
    name = result.trace.gangs.keys[gang]
    layout = _Layout(result, gang)
    layout.domain(0, _PAD, _PAD, -1)
    members = int(result.offset[gang + 1] - result.offset[gang])
    text = (
        environment()
        .get_template("gang.svg")
        .render(
            cells=layout.cells,
            boxes=layout.boxes,
            size=CELL,
            label=_LABEL,
            width=max(box.x + box.width for box in layout.boxes) + _PAD,
            height=max(box.y + box.height for box in layout.boxes) + _PAD,
            title=f"{name}: {members} members on "
            f"{len({cell.node for cell in layout.cells if cell.ranks})} nodes",
        )
    )
    path.write_text(text, encoding="utf-8")


class _Layout:
    """Cells and boxes, laid out from the top left: domains side by side, nodes in a grid."""

    def __init__(self, result: RunResult, gang: int) -> None:
        self.topology = result.topology
        self.names = result.trace.nodes.names
        self.cells: list[Cell] = []
        self.boxes: list[Box] = []
        rows = result.row[result.offset[gang] : result.offset[gang + 1]].tolist()
        self.ranks: dict[int, list[int]] = {}
        for rank, row in enumerate(rows):
            if row >= 0:
                self.ranks.setdefault(row, []).append(rank)
        self.members = len(rows)
        start = result.start_us[gang]
        there = (result.start_us <= start) & (result.end_us > start) & (result.start_us >= 0)
        held = result.row[np.repeat(there, result.members)]
        self.busy = set(held[held >= 0].tolist())

    def domain(self, domain: int, x: int, y: int, depth: int) -> tuple[int, int]:
        """Lay out one domain at (x, y); gives its width and height."""
        tree = self.topology
        box_at = len(self.boxes)
        inset = _PAD if depth >= 0 else 0
        at_x, at_y = x + inset, y + (_LABEL + GAP if depth >= 0 else 0)
        height = CELL if depth >= 0 else 0
        if depth < 0:
            at_x, at_y, height = self._topmost(domain, at_x, at_y)
        else:
            for child in range(int(tree.first_child[domain]), int(tree.first_child[domain + 1])):
                width, child_height = self.domain(child, at_x, at_y, depth + 1)
                at_x += width + _PAD
                height = max(height, child_height)
        own = tree.order[tree.own_start[domain] : tree.end[domain]].tolist()
        if own:
            width, own_height = self._nodes(own, at_x, at_y)
            at_x += width + _PAD
            height = max(height, own_height)
        width = at_x - _PAD - x + inset
        total = at_y - y + height + inset
        if depth >= 0:
            box = Box(x, y, width, total, depth, tree.names[domain])
            self.boxes.insert(box_at, box)  # parents first: they are drawn below
        elif not self.boxes:
            self.boxes.append(Box(x, y, width, total, 0, "cluster"))
        return width, total

    def _topmost(self, domain: int, x: int, y: int) -> tuple[int, int, int]:
        """Lay out the topmost domains in lines as wide as a page; where the last line ends."""
        tree = self.topology
        at_x, at_y, height = x, y, 0
        for child in range(int(tree.first_child[domain]), int(tree.first_child[domain + 1])):
            if at_x - x > _PAGE * 2 // 3:
                at_x, at_y, height = x, at_y + height + _PAD, 0
            width, child_height = self.domain(child, at_x, at_y, 0)
            at_x += width + _PAD
            height = max(height, child_height)
        return at_x, at_y, height

    def _nodes(self, rows: list[int], x: int, y: int) -> tuple[int, int]:
        columns = min(_COLUMNS, len(rows))
        for at, row in enumerate(rows):
            ranks = self.ranks.get(row, [])
            text = "" if not ranks else str(ranks[0]) + ("+" if len(ranks) > 1 else "")
            shade = 0.35 + 0.65 * ranks[0] / max(self.members - 1, 1) if ranks else 0.0
            self.cells.append(
                Cell(
                    x + at % columns * (CELL + GAP),
                    y + at // columns * (CELL + GAP),
                    text,
                    round(shade, 3),
                    row in self.busy,
                    self.names[row],
                )
            )
        lines = -(-len(rows) // columns)
        return columns * (CELL + GAP) - GAP, lines * (CELL + GAP) - GAP
