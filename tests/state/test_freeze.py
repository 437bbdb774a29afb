"""freeze() brings dirty rows up to date in buffers that all snapshots share."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from scheduler import kernel
from scheduler.model.snapshot import SETTLING, StaleSnapshotError
from tests.state.helpers import cache_of, free_gpus, gang, i32, run, spec

TREE = "s1/l1: n1 n2 | s1/l2: n3 n4 | s2/l1: n5 n10"


def test_columns_and_topology_are_shared_until_nodes_change() -> None:
    """No column is copied, no tree is built for pods that come and go."""
    cache = cache_of(TREE)
    first = cache.freeze(0)
    cache.upsert_pod("u", "n3", 0)
    second = cache.freeze(1)
    assert np.shares_memory(first.free, second.free)
    assert second.topology is first.topology
    assert second.labels is first.labels
    assert second.free[2].tolist() == [4, 4, 3, 4, 4, 4]
    cache.upsert_node(spec("n6", ("s2", "l1")))
    third = cache.freeze(2)
    assert third.names == ("n1", "n2", "n3", "n4", "n5", "n6", "n10")
    assert third.topology is not first.topology
    assert third.free[2].tolist() == [4, 4, 3, 4, 4, 4, 4]


def test_older_snapshot_is_stale() -> None:
    """It would show the columns of a later time; pending() refuses it too."""
    cache = cache_of(TREE)
    old = cache.freeze(0)
    cache.freeze(0)
    with pytest.raises(StaleSnapshotError, match="snapshot 1"):
        old.check_fresh()


def test_moved_label_of_a_level_rebuilds_the_tree_and_another_label_does_not() -> None:
    """Only labels of configured levels are the network."""
    cache = cache_of(TREE)
    tree = cache.freeze(0).topology
    cache.upsert_node(spec("n1", ("s1", "l1"), labels={"zone": "a"}))
    snap = cache.freeze(1)
    assert snap.topology is tree
    assert snap.labels["zone"].code.tolist() == [0, -1, -1, -1, -1, -1]
    cache.upsert_node(spec("n1", ("s2", "l9")))
    snap = cache.freeze(2)
    assert snap.topology.path(int(snap.topology.node_parent[0])) == ("s2", "l9")


def test_pods_count_on_a_node_that_comes_later_and_comes_back() -> None:
    """A pod may be seen before its node; it stays while the node object is away."""
    cache = cache_of(TREE)
    cache.upsert_pod("u", "n7", 0)
    assert "n7" not in free_gpus(cache)
    cache.upsert_node(spec("n7", ("s2", "l1")))
    assert free_gpus(cache)["n7"] == 3
    assert cache.remove_node("n7")
    assert not cache.remove_node("n7")
    assert "n7" not in free_gpus(cache)
    cache.upsert_node(spec("n7", ("s2", "l1"), gpu=8))
    assert free_gpus(cache)["n7"] == 7


class _Spy:
    """The kernels, without the one that scans all rows, and a note of the rows scanned."""

    def __init__(self) -> None:
        self.scanned: list[list[int]] = []

    def __getattr__(self, name: str) -> Any:
        assert name != "capacity", "a scan of all rows"
        return getattr(kernel, name)

    def refresh_rows(self, tree: kernel.Tree, rows: Any, *rest: Any) -> None:
        self.scanned.append(sorted(set(rows.tolist())))
        kernel.refresh_rows(tree, rows, *rest)


def test_kept_capacity_scans_dirty_rows_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shape that was away catches up with what it missed, and nothing else."""
    cache = cache_of(TREE)
    cache.freeze(0, [0])
    spy = _Spy()
    monkeypatch.setattr("scheduler.state.capacity.kernel", spy)
    cache.upsert_pod("u", "n2", 0)
    cache.freeze(1)
    cache.upsert_pod("v", "n10", 0)
    cache.freeze(2)
    assert spy.scanned == []
    snap = cache.freeze(3, [0])
    assert spy.scanned == [[1, 5]]
    assert snap.capacities[0].cap.tolist() == [4, 3, 4, 4, 4, 3]
    assert snap.capacities[0].sums[0] == 22


def test_shape_that_is_wanted_always_comes_with_every_snapshot() -> None:
    """want_capacity() outlives the queue."""
    cache = cache_of(TREE)
    assert 0 not in cache.freeze(0).capacities
    cache.want_capacity(0)
    assert cache.freeze(0).capacities[0].sums[0] == 24


def test_young_node_settles_without_an_event() -> None:
    """The flag goes when the time has come, and rejected gangs hear of it."""
    cache = cache_of("s1/l1: n1", settle_us=10)
    cache.upsert_node(spec("n2", ("s1", "l1"), created_us=5))
    assert cache.freeze(9).flags.tolist() == [SETTLING, SETTLING]
    assert cache.freeze(10).flags.tolist() == [0, SETTLING]
    room = cache.frozen.room
    assert cache.freeze(15).flags.tolist() == [0, 0]
    assert cache.frozen.room == room + 1


def test_token_is_taken_while_somebody_has_it() -> None:
    """Two users of one token on a node, as a race can bring: it is free after both are gone."""
    cache = cache_of("s1/l1: n1 n2")
    port = cache.shape(type(cache.shapes[0])((0, 0, 0), tokens=("port:TCP/80",)))
    for uid in ("u", "v"):
        cache.upsert_pod(uid, "n2", port)
    assert {t: r.tolist() for t, r in cache.freeze(0).tokens.items()} == {"port:TCP/80": [1]}
    cache.remove_pod("u")
    assert "port:TCP/80" in cache.freeze(0).tokens
    cache.remove_pod("v")
    assert cache.freeze(0).tokens == {}


def test_release_of_part_of_a_gang_gives_back_its_room() -> None:
    """Completed members end one by one; with the last one the gang is over."""
    cache = cache_of(TREE)
    cache.enqueue(gang("a", 3))
    cache.freeze(0)
    run(cache, "a", i32(0, 1, 1))
    cache.release("a", i32(1))
    assert free_gpus(cache)["n2"] == 3
    cache.release("a", i32(0, 2))
    assert cache.state("a") is None
    assert set(free_gpus(cache).values()) == {4}
