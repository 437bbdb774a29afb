"""What the loop does while nobody waits, so that the next gang does not wait for it."""

from __future__ import annotations

from scheduler.clock import ManualClock
from scheduler.kube.resources import NODES
from scheduler.loop import LAY_OUT_US
from tests.live.cluster import Cluster, Scheduler
from tests.live.objects import add_nodes


def started(nodes: int) -> tuple[Cluster, Scheduler]:
    """A scheduler that is in step, nobody waits."""
    cluster = Cluster(ManualClock(10_000_000))
    add_nodes(cluster, 1, nodes)
    scheduler = Scheduler(cluster)
    scheduler.turns(20)
    assert scheduler.app.loop.synced
    return cluster, scheduler


def test_the_first_nodes_are_laid_out_before_anybody_waits() -> None:
    """The first gang does not pay for the topology of the whole cluster."""
    _, scheduler = started(4)
    assert not scheduler.app.cache.nodes.tree_stale
    assert scheduler.app.loop.cycles == 0


def test_nodes_that_keep_coming_are_laid_out_now_and_then() -> None:
    """Not for each of them: a large cluster takes a second."""
    cluster, scheduler = started(4)
    before, since = scheduler.app.cache.frozen.rebuilds, cluster.clock.now_us()
    for number in range(100):
        add_nodes(cluster, 1, 1, first=4 + number)
        scheduler.turns(1)
    allowed = (cluster.clock.now_us() - since) // LAY_OUT_US + 1
    assert 1 <= scheduler.app.cache.frozen.rebuilds - before <= allowed < 100
    scheduler.seconds(2 * LAY_OUT_US / 1_000_000)
    assert not scheduler.app.cache.nodes.tree_stale
    assert len(scheduler.app.cache.frozen.names) == len(cluster.objects[NODES.plural]) == 104
