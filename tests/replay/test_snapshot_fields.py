"""What rules read survives cluster.json: the file, the snapshot made of it, and back again."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.model.constraints import Requirement, Taint, Term, Toleration
from scheduler.model.pod_rules import Apart, Near, PodRules, Spread
from scheduler.model.shape import Shape
from scheduler.model.wishes import Level
from scheduler.replay.cluster_file import SCHEMA_VERSION, ClusterFile, GangEntry, NodeEntry
from scheduler.replay.cluster_text import cluster_text
from scheduler.replay.node_entries import NodeEntries, marks_read
from scheduler.replay.snapshot_dir import pending_of, snapshot_of

TEXTS = st.text(st.sampled_from('ab"\\\n\u2028:'), min_size=1, max_size=4)
MARKS = st.sampled_from(["seen:a", "seen:b", 'kept:{"key":"a\\"b"}', "seen:\u00e9"])
REQUIREMENTS = st.builds(
    Requirement,
    TEXTS,
    st.sampled_from(["In", "NotIn", "Exists", "Gt"]),
    st.lists(TEXTS, max_size=2).map(tuple),
)
TERMS = st.builds(
    Term,
    st.lists(REQUIREMENTS, max_size=2).map(tuple),
    st.lists(REQUIREMENTS, max_size=1).map(tuple),
)
APART = st.lists(st.builds(Apart, TEXTS, MARKS), max_size=2).map(tuple)
SPREAD = st.builds(
    Spread,
    key=TEXTS,
    max_skew=st.integers(1, 9),
    min_domains=st.integers(1, 9),
    mark=st.one_of(st.just(""), MARKS),
    own=st.booleans(),
    honor_affinity=st.booleans(),
    honor_taints=st.booleans(),
)
RULES = st.builds(
    PodRules,
    spread=st.lists(SPREAD, max_size=2).map(tuple),
    near=st.none() | st.builds(Near, st.lists(TEXTS, max_size=2).map(tuple), MARKS, st.booleans()),
    apart=APART,
    repelled=APART,
    leaves=st.lists(MARKS, max_size=2).map(tuple),
)
SHAPES = st.builds(
    Shape,
    requests=st.tuples(st.integers(0, 9), st.integers(0, 9)),
    selector=st.lists(st.tuples(TEXTS, TEXTS), max_size=2).map(tuple),
    affinity=st.none() | st.lists(TERMS, max_size=2).map(tuple),
    tolerations=st.lists(st.builds(Toleration, TEXTS, TEXTS, TEXTS, TEXTS), max_size=2).map(tuple),
    tokens=st.lists(TEXTS, max_size=2).map(tuple),
    features=st.lists(TEXTS, max_size=2).map(tuple),
    preferred=st.lists(st.tuples(st.integers(1, 100), TERMS), max_size=2).map(tuple),
    rules=RULES,
)


@st.composite
def files(draw: st.DrawFn) -> ClusterFile:
    """A few nodes with marks, features and everything else; a gang of each shape."""
    shapes = draw(st.lists(SHAPES, max_size=3))
    marks = sorted(marks_read(shapes))
    counts = st.dictionaries(st.sampled_from([str(at) for at in range(len(marks))] or ["-"]),
                             st.integers(1, 2**31 - 1))  # fmt: skip
    features = st.lists(st.sampled_from("xyz"), unique=True, max_size=2).map(sorted)
    nodes = [
        NodeEntry(
            name=f"n{at}",
            labels=draw(st.dictionaries(TEXTS, TEXTS, max_size=2)),
            taints=draw(st.lists(st.builds(Taint, TEXTS, TEXTS, TEXTS), max_size=1)),
            cordoned=draw(st.booleans()),
            settling=draw(st.booleans()),
            allocatable={"cpu": 8, "memory": 9},
            slots=draw(st.integers(3, 5)),
            used=draw(st.dictionaries(st.sampled_from(["cpu", "memory"]), st.integers(1, 9))),
            pods=draw(st.integers(0, 3)),
            tokens=sorted(draw(st.sets(TEXTS, max_size=2))),
            marks=draw(counts) if marks else {},
            features=draw(features),
        )
        for at in range(draw(st.integers(0, 4)))
    ]
    gangs = [
        GangEntry(key=str(at), name=str(at), minimum=1, pods=["p"], ranks=[0], shapes=[at],
                  pins=[-1], unsupported=draw(st.lists(TEXTS, max_size=2)))
        for at in range(len(shapes))
    ]  # fmt: skip
    return ClusterFile(
        schema_version=SCHEMA_VERSION, levels=[Level("spine", "net/spine")],
        resources=["cpu", "memory"], shapes=shapes, nodes=nodes, gangs=gangs, marks=marks,
    )  # fmt: skip


@given(files())
def test_everything_comes_back(file: ClusterFile) -> None:
    """From the file's bytes, and from the columns that they become."""
    read = msgspec.json.decode(b"".join(cluster_text(file)), type=ClusterFile)
    assert read == file
    snapshot = snapshot_of(read)
    assert pending_of(read, snapshot).gangs == len(file.gangs)
    assert list(snapshot.shapes) == file.shapes
    assert sorted(snapshot.marks) == file.marks
    slots = np.array([node.slots for node in file.nodes], np.int64)
    entries = NodeEntries(snapshot, slots, file.marks)
    assert list(entries) == entries[:] == file.nodes
    assert [snapshot.features[at] for at in snapshot.feature_set] == [
        tuple(node.features) for node in file.nodes
    ]
    for number, mark in enumerate(file.marks):
        column = snapshot.marks[mark]
        assert (np.diff(column.rows) > 0).all()
        there = {row: node.marks.get(str(number), 0) for row, node in enumerate(file.nodes)}
        found = dict(zip(column.rows.tolist(), column.counts.tolist(), strict=True))
        assert found == {row: count for row, count in there.items() if count}


def test_a_file_without_these_fields_is_read() -> None:
    """One that an earlier version wrote: no marks, no features, shapes without rules."""
    text = (
        b'{"schema_version": 1, "levels": [], "resources": ["cpu"], "shapes": [{"requests": [1],'
        b' "selector": [], "affinity": null, "tolerations": [], "tokens": ["port:TCP/80"]}],'
        b' "nodes": [{"name": "n1", "allocatable": {"cpu": 2}, "slots": 1, "tokens": []}],'
        b' "gangs": [{"key": "a", "name": "a", "minimum": 1, "pods": ["p"], "ranks": [0],'
        b' "shapes": [0], "pins": [-1]}]}'
    )
    file = msgspec.json.decode(text, type=ClusterFile)
    snapshot = snapshot_of(file)
    assert snapshot.shapes == (Shape((1,), tokens=("port:TCP/80",)),)
    assert snapshot.features == ((),)
    assert not snapshot.marks
    assert pending_of(file, snapshot).gangs == 1


def test_nodes_and_rules_must_agree_about_marks() -> None:
    """A number that no mark has, a mark listed twice, a mark that nobody counted."""
    node = NodeEntry(name="n1", slots=1)
    rules = PodRules(apart=(Apart("zone", "seen:a"),))
    gang = GangEntry(key="a", name="a", minimum=1, pods=["p"], ranks=[0], shapes=[0], pins=[-1])
    file = ClusterFile(
        schema_version=1, levels=[], resources=[], shapes=[Shape((), rules=rules)],
        nodes=[node], gangs=[gang], marks=["seen:a"],
    )  # fmt: skip
    pending_of(file, snapshot_of(file))
    file.marks = []
    with pytest.raises(ValueError, match="gang a: pods of mark seen:a are not counted"):
        pending_of(file, snapshot_of(file))
    file.marks = ["seen:a", "seen:a"]
    with pytest.raises(ValueError, match="listed twice"):
        snapshot_of(file)
    file.marks = ["seen:a"]
    node.marks = {"1": 2}
    with pytest.raises(ValueError, match="node n1: there is no mark 1"):
        snapshot_of(file)
