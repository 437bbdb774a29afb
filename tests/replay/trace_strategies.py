"""Hypothesis strategies of traces, and a small trace to break in tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import strategies as st

from scheduler.replay.trace import (
    GangColumns,
    NodeColumns,
    ShapeRows,
    Trace,
    column,
    sort_nodes,
)

NODES_CSV = """\
name,pool,model,cpu_milli,memory_bytes,gpu,pods,spine,leaf
n10,a,G2,64000,1000,8,110,s1,l1
n2,a,G2,64000,1000,8,110,s1,l1
n1,b,,32000,500,0,10,s2,
"""
GANGS_CSV = """\
gang,pool,shape,count,submit_us,duration_us,priority,cpu_milli,memory_bytes,gpu,gpu_milli,model,min,required,preferred,segment_size
g1,a,worker,2,0,1000000,5,1000,10,8,1000,G2|G3,,leaf,,
g2,a,leader,1,7,2000000,,1000,10,0,0,,2,,spine,2
g2,a,worker,3,7,2000000,,2000,20,1,500,,2,,spine,2
"""

# What a CSV cell may hold; a cell with a line break is refused (see the tests).
_cells = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1, max_size=8)
_optional = st.just("") | _cells


def amounts(count: int, most: int = 2**40, least: int = 0) -> st.SearchStrategy[np.ndarray]:
    """A column of `count` int64 values."""
    numbers = st.lists(st.integers(least, most), min_size=count, max_size=count)
    return numbers.map(column)


def cells(count: int) -> st.SearchStrategy[tuple[str, ...]]:
    """`count` cells, some empty."""
    return st.lists(_optional, min_size=count, max_size=count).map(tuple)


@st.composite
def traces(draw: st.DrawFn) -> Trace:
    """Any trace that can be written: odd names, several shapes, partial minimums."""
    levels = tuple(draw(st.lists(st.sampled_from(["spine", "leaf", "rack"]), unique=True)))
    names = draw(st.lists(_cells, unique=True, max_size=6))
    n = len(names)
    nodes = NodeColumns(
        names=tuple(names),
        pool=draw(cells(n)),
        model=draw(cells(n)),
        cpu_milli=draw(amounts(n)),
        memory_bytes=draw(amounts(n)),
        gpu=draw(amounts(n, 16)),
        pods=draw(amounts(n, 256)),
        labels=tuple(draw(cells(n)) for _ in levels),
    )
    keys = draw(st.lists(_cells, unique=True, max_size=5))
    shapes = draw(st.lists(st.integers(1, 3), min_size=len(keys), max_size=len(keys)))
    rows = draw(shape_rows(shapes))
    return Trace(
        name=draw(_cells),
        source=draw(_optional),
        licence=draw(_optional),
        levels=levels,
        nodes=sort_nodes(nodes),
        gangs=draw(gangs(keys, shapes, rows)),
        rows=rows,
        dropped_rows=draw(st.dictionaries(_cells, st.integers(0, 99), max_size=2)),
    )


@st.composite
def shape_rows(draw: st.DrawFn, shapes: list[int]) -> ShapeRows:
    """Rows for gangs with `shapes[g]` shapes each."""
    r = sum(shapes)
    gpu = draw(amounts(r, 8))
    whole = np.where(gpu > 0, 1000, 0)
    return ShapeRows(
        gang=column(np.repeat(np.arange(len(shapes)), shapes)),
        shape=draw(cells(r)),
        count=draw(amounts(r, 1000, 1)),
        cpu_milli=draw(amounts(r)),
        memory_bytes=draw(amounts(r)),
        gpu=gpu,
        gpu_milli=column(np.where(gpu == 1, draw(amounts(r, 1000, 1)), whole)),
        model=draw(cells(r)),
    )


@st.composite
def gangs(draw: st.DrawFn, keys: list[str], shapes: list[int], rows: ShapeRows) -> GangColumns:
    """Gangs called `keys` over `rows`."""
    g = len(keys)
    offset = np.concatenate(([0], np.cumsum(shapes))).astype(np.int64)
    sizes = [int(rows.count[offset[at] : offset[at + 1]].sum()) for at in range(g)]
    return GangColumns(
        keys=tuple(keys),
        pool=draw(cells(g)),
        submit_us=draw(amounts(g)),
        duration_us=draw(amounts(g)),
        priority=draw(amounts(g, 1000, -1000)),
        minimum=column([draw(st.integers(1, size)) for size in sizes]),
        segment_size=draw(amounts(g, 64)),
        required=draw(cells(g)),
        preferred=draw(cells(g)),
        offset=column(offset),
    )


def directory(
    path: Path, nodes: str = NODES_CSV, gangs_csv: str = GANGS_CSV, manifest: str = ""
) -> Path:
    """A trace directory with these files, and by default hashes that do not match them."""
    path.mkdir(parents=True, exist_ok=True)
    (path / "nodes.csv").write_text(nodes, encoding="utf-8")
    (path / "gangs.csv").write_text(gangs_csv, encoding="utf-8")
    default = (
        '{"schema_version": 1, "name": "t", "source": "made up", "licence": "CC0-1.0",'
        ' "units": {}, "files": {}, "dropped_rows": {"no_gpu": 3}}'
    )
    (path / "manifest.json").write_text(manifest or default, encoding="utf-8")
    return path
