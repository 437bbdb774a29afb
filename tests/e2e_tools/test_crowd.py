"""Pods that stories draw at random, and objects that they make of one."""

from __future__ import annotations

from typing import Any

from e2e.by_hand import numbered
from e2e.crowd import Crowd, quarrels


def test_the_same_seed_draws_the_same_pods() -> None:
    """A failure can be run again: all depends on the seed, and seeds differ."""
    first, again, other = (list(Crowd(seed, lambda each: each).pods(200)) for seed in (1, 1, 2))
    assert first == again != other
    assert len(first) == 200
    assert len({body["metadata"]["name"] for body in first}) == 200


def test_gangs_are_whole_and_leave_whole() -> None:
    """Each gang has as many members as its label says, also after some pods have left."""
    crowd = Crowd(3, lambda each: each)
    pods = list(crowd.pods(300))
    going = crowd.leaving(pods, 100)
    left = [body for body in pods if body not in going]
    assert 90 <= len(left) <= 100
    for bodies in (pods, left):
        assert any("muster.dev/gang" in body["metadata"]["labels"] for body in bodies)
        for body in bodies:
            labels = body["metadata"]["labels"]
            if "muster.dev/gang" in labels:
                mates = [each for each in bodies if _gang(each) == labels["muster.dev/gang"]]
                assert len(mates) == int(labels["muster.dev/gang-size"])


def _gang(body: dict[str, Any]) -> str:
    return str(body["metadata"]["labels"].get("muster.dev/gang", ""))


def test_pods_that_must_not_be_together_are_found() -> None:
    """By the value of the rule's label; nobody is in his own way, and who waits is nowhere."""
    labels = {"n1": {"zone": "a"}, "n2": {"zone": "a"}, "n3": {"zone": "b"}, "n4": {}}
    shy = _pod("shy", "red", "n1", "red")
    assert quarrels([shy, _pod("red", "red", "n3"), _pod("blue", "blue", "n2")], labels) == []
    assert quarrels([shy, _pod("red", "red", "n4"), _pod("waits", "red", "")], labels) == []
    assert quarrels([_pod("red", "red", "n2"), shy], labels) == ["shy is with red in zone a"]


def _pod(name: str, color: str, node: str, apart: str = "") -> dict[str, Any]:
    """A pod on a node that keeps away from a color by zone."""
    term = {"topologyKey": "zone", "labelSelector": {"matchLabels": {"color": apart}}}
    rules = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    return {
        "metadata": {"name": name, "labels": {"color": color}},
        "spec": {"nodeName": node, "affinity": rules if apart else {}},
    }


def test_every_name_that_ends_in_0_is_numbered() -> None:
    """Also those of claims; numbers that end in 0, and whatever goes on after it, stay."""
    body = {
        "metadata": {"name": "disk-0"},
        "spec": {"claim": "data-train-0", "node": "node-00020", "other": "a-0b", "many": 10},
    }
    assert numbered(body, 2, first=3) == [
        {
            "metadata": {"name": f"disk-{n}"},
            "spec": {"claim": f"data-train-{n}", "node": "node-00020", "other": "a-0b", "many": 10},
        }
        for n in (3, 4)
    ]
