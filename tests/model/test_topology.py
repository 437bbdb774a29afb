"""The tree built from labels equals a plain construction, and its arrays hold together."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.model.names import natural_key
from scheduler.model.topology import CLUSTER, Topology
from scheduler.model.topology_build import build_topology
from scheduler.model.topology_check import check_topology, to_networkx

LEVELS = ("core", "spine", "leaf")
Path = tuple[tuple[int, str], ...]
NAMES = st.sampled_from(["s1", "s2", "s10", "s01", "x", "", None])
labels = st.lists(st.tuples(NAMES, NAMES, NAMES), min_size=0, max_size=14)


def build(found: list[tuple[str | None, ...]]) -> tuple[list[str], Topology]:
    """Nodes n0, n1, .. in natural order of names with these labels."""
    names = [f"n{i}" for i in range(len(found))]
    return names, build_topology(LEVELS, names, found)


def plain_path(values: tuple[str | None, ...]) -> tuple[tuple[int, str], ...]:
    """(level, name) of each label that is there."""
    return tuple((at, value) for at, value in enumerate(values) if value)


def tree_of(found: list[tuple[str | None, ...]]) -> nx.DiGraph[Path]:
    """The same tree, built edge by edge with paths as names."""
    graph: nx.DiGraph[Path] = nx.DiGraph()
    graph.add_node(())
    for values in found:
        path = plain_path(values)
        nx.add_path(graph, [path[:depth] for depth in range(len(path) + 1)])
    return graph


def path_of(tree: Topology, d: int) -> tuple[tuple[int, str], ...]:
    """(level, name) parts of a domain, by walking up."""
    parts = []
    while d != CLUSTER:
        parts.append((int(tree.level[d]), tree.names[d]))
        d = int(tree.parent[d])
    return tuple(reversed(parts))


@given(labels)
def test_domains_and_parents_equal_a_plain_tree(found: list[tuple[str | None, ...]]) -> None:
    """Every prefix of a node's path is one domain, below the prefix that is one shorter."""
    _, tree = build(found)
    paths = [path_of(tree, d) for d in range(tree.domains)]
    graph = nx.relabel_nodes(to_networkx(tree), dict(enumerate(paths)))
    plain = tree_of(found)
    assert len(set(paths)) == len(paths)
    assert set(graph.nodes) == set(plain.nodes)
    assert set(graph.edges) == set(plain.edges)
    assert [paths[d] for d in tree.node_parent] == [plain_path(values) for values in found]


@given(labels)
def test_children_are_consecutive_and_in_order(found: list[tuple[str | None, ...]]) -> None:
    """Children of d are first_child[d] .. first_child[d + 1] - 1, by level, then natural name."""
    _, tree = build(found)
    assert tree.first_child[-1] == tree.domains
    for d in range(tree.domains):
        children = range(int(tree.first_child[d]), int(tree.first_child[d + 1]))
        assert [c for c in range(1, tree.domains) if tree.parent[c] == d] == list(children)
        keys = [(int(tree.level[c]), natural_key(tree.names[c])) for c in children]
        assert keys == sorted(keys)
        assert all(c > d for c in children)


@given(labels)
def test_positions_are_consecutive_in_every_domain(found: list[tuple[str | None, ...]]) -> None:
    """Nodes under d fill start[d] .. end[d]; child domains first, then its own nodes by name."""
    names, tree = build(found)
    assert sorted(tree.order.tolist()) == list(range(len(found)))
    assert tree.order[tree.position].tolist() == list(range(len(found)))
    for d in range(tree.domains):
        path = path_of(tree, d)
        under = {i for i, v in enumerate(found) if plain_path(v)[: len(path)] == path}
        assert set(tree.rows(d).tolist()) == under
        assert tree.end[d] - tree.start[d] == len(under)
        own = tree.order[tree.own_start[d] : tree.end[d]].tolist()
        assert [names[i] for i in own] == sorted(
            (names[i] for i in under if plain_path(found[i]) == path), key=natural_key
        )
        at = int(tree.start[d])
        for child in range(int(tree.first_child[d]), int(tree.first_child[d + 1])):
            assert tree.start[child] == at
            at = int(tree.end[child])
        assert tree.own_start[d] == at


@given(labels)
def test_ancestors_and_levels(found: list[tuple[str | None, ...]]) -> None:
    """ancestor[l, d] is the domain of level l on d's path; by_level lists them in path order."""
    _, tree = build(found)
    for d in range(tree.domains):
        on_path = {level: depth for depth, (level, _) in enumerate(path_of(tree, d), 1)}
        for level in range(len(LEVELS)):
            found_at = int(tree.ancestor[level, d])
            if level not in on_path:
                assert found_at == -1
            else:
                assert path_of(tree, found_at) == path_of(tree, d)[: on_path[level]]
    rows = np.arange(tree.nodes)
    for level in range(len(LEVELS)):
        at = tree.domains_at(rows, level)
        assert at.tolist() == [tree.domain_of(int(row), level) for row in rows]
        assert [bool(found[row][level]) for row in rows] == [d >= 0 for d in at]
        assert sorted(tree.by_level[level].tolist()) == [
            d for d in range(tree.domains) if tree.level[d] == level
        ]
        ranks = tree.path_rank[tree.by_level[level]].tolist()
        assert ranks == sorted(ranks)
    order = sorted(
        range(tree.domains),
        key=lambda d: [(level, natural_key(name)) for level, name in path_of(tree, d)],
    )
    assert tree.path_rank[order].tolist() == list(range(tree.domains))


@given(labels)
def test_notes_count_what_is_missing_and_what_comes_twice(
    found: list[tuple[str | None, ...]],
) -> None:
    """Missing labels are counted per level, and names that stand under several parents."""
    _, tree = build(found)
    notes = check_topology(tree)
    missing = {lv: sum(not v[at] for v in found) for at, lv in enumerate(LEVELS)}
    assert {n.level: n.nodes for n in notes if n.nodes} == {k: v for k, v in missing.items() if v}
    paths = set(tree_of(found))
    for at, level in enumerate(LEVELS):
        here = [path[-1][1] for path in paths if path and path[-1][0] == at]
        twice = len({name for name in here if here.count(name) > 1})
        told = [n.text for n in notes if n.level == level and not n.nodes]
        assert [int(text.split()[0]) for text in told] == ([twice] if twice else [])


def test_the_same_leaf_name_under_two_spines_is_two_domains() -> None:
    """A level's name needs to be unique under its parent only."""
    tree = build_topology(("spine", "leaf"), ["a", "b"], [("s1", "l1"), ("s2", "l1")])
    assert [tree.path(d) for d in tree.by_level[1]] == [("s1", "l1"), ("s2", "l1")]
    assert tree.domain_of(0, 1) != tree.domain_of(1, 1)


def test_names_are_ordered_as_numbers_and_skipped_levels_keep_their_place() -> None:
    """s2 stands before s10; a leaf right below the cluster stands after the spines."""
    found = [("s10", "l1"), ("s2", "l10"), ("s2", "l9"), (None, "l1"), ("s2", None), (None, None)]
    tree = build_topology(("spine", "leaf"), list("abcdef"), found)
    assert [tree.names[d] for d in range(1, tree.domains)] == [
        *("s2", "s10", "l1"),  # below the cluster: spines, then the leaf without a spine
        *("l9", "l10", "l1"),
    ]
    assert ["abcdef"[row] for row in tree.order] == list("cbeadf")


def test_bad_levels_are_refused() -> None:
    """A level named twice or a row of another length is the caller's mistake."""
    with pytest.raises(ValueError, match="distinct"):
        build_topology(("leaf", "leaf"), ["a"], [("x", "y")])
    with pytest.raises(ValueError, match="node a: 1 label values for 2 levels"):
        build_topology(("spine", "leaf"), ["a"], [("x",)])


def test_columns_are_read_only() -> None:
    """A topology is shared between snapshots: nobody writes to it."""
    tree = build_topology(("leaf",), ["a"], [("l1",)])
    with pytest.raises(ValueError, match="read-only"):
        tree.order[0] = 1
