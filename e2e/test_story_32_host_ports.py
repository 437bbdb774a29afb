"""Story 32: a gang whose pods want the same port of their node."""

from __future__ import annotations

import pytest

from e2e.api import Object
from e2e.by_hand import bind, someone
from e2e.cluster import Cluster
from e2e.conftest import StartMuster
from e2e.objects import IMAGE, Template
from e2e.page import Page
from e2e.story import (
    BESIDE,
    SETTLED,
    complaints,
    history,
    node_numbers,
    nothing_bound,
    wait_event,
)

PODS = 8
SENTENCE = (
    "7 of 8 fit in the whole cluster, 1 short of nodes;"
    " 1 node excluded: 1 host port TCP/4101 in use"
)
OTHERS: dict[str, Object] = {
    "web": {"hostPort": 80},
    "dns": {"hostPort": 4100, "protocol": "UDP"},
    "debug": {"hostPort": 4101, "hostIP": "127.0.0.1"},
}
"""Pods of others -> the port that they have on their node."""


@pytest.mark.story(32)
@pytest.mark.fake_nodes
def test_story_32_host_ports(cluster: Cluster, start_muster: StartMuster) -> None:
    """One member to a node because of its ports; clashes by port, protocol and address."""
    page = Page(cluster, "32-host-ports.md")
    nodes = cluster.create_nodes(PODS, spines=2, leaves=2)
    page.names = {f"node-{n:05}": name for n, name in enumerate(nodes)}
    for node, (name, port) in zip(nodes[1::2], OTHERS.items(), strict=False):
        bind(cluster, someone(cluster, name, _with_port(port)), node)
    cluster.wait_bound(len(OTHERS))
    muster = start_muster(SETTLED)

    page.apply("StatefulSet", "ring")
    cluster.wait_reason(PODS, "Unschedulable", app="ring")
    wait_event(cluster, "ring", "GangPending", f"^{SENTENCE}{BESIDE}")
    nothing_bound(cluster, "ring", seconds=1)
    explain, delete, placed = page.commands()
    page.run(explain, muster)

    page.run(delete)
    pods = cluster.wait_ready(PODS, app="ring")
    assert node_numbers(pods) == list(range(PODS))
    assert history(cluster, "ring").whole_before_first_bind
    page.run(placed)
    assert complaints(muster) == []


def _with_port(port: Object) -> Template:
    """A pod of little but a port of its node."""
    container = {"name": "main", "image": IMAGE, "ports": [{"containerPort": 1, **port}]}
    return Template(spec={"containers": [container]})
