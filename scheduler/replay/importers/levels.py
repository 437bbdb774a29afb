"""Network levels that well-known node labels give away, so that nothing has to be configured.

Families, root first: NVIDIA topograph (v1 tiers count up from the node; before that named
switches), AWS (layers count down to the node), Google Cloud; zones if nothing else is there.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping

from scheduler.model.wishes import Level

_NVIDIA = "network.topology.nvidia.com/"
_AWS = "topology.k8s.aws/"
_GOOGLE = "cloud.google.com/gce-topology-"

_FAMILIES: tuple[tuple[tuple[str, str], ...], ...] = (
    tuple(
        (name, _NVIDIA + name)
        for name in ("datacenter", "core", "spine", "block", "leaf", "accelerator")
    ),
    tuple((name, _GOOGLE + name) for name in ("block", "subblock", "host")),
)
_ZONE = Level("zone", "topology.kubernetes.io/zone")
_TIER = re.compile(r"fabric\.topograph\.run/tier-([0-9]{1,3})")
_TOPOGRAPH_BELOW = (
    ("accelerator", "accelerator.topograph.run/domain"),
    ("sub-domain", "accelerator.topograph.run/sub-domain"),
)
_LAYER = re.compile(re.escape(_AWS) + r"network-node-layer-([0-9]{1,3})")
_AWS_BELOW = (
    ("ultraserver", _AWS + "ultraserver-id"),
    ("capacity-block", _AWS + "capacity-block-id"),
)


def detect_levels(labels: Iterable[Mapping[str, str]]) -> tuple[Level, ...]:
    """Levels of the family that labels most nodes, root first; empty if there is none.

    A level of the family that no node carries is left out.
    """
    nodes = Counter(key for of_node in labels for key, value in of_node.items() if value)
    best: tuple[Level, ...] = ()
    most = 0
    for family in (_topograph(nodes), *_FAMILIES[:1], _aws(nodes), *_FAMILIES[1:]):
        levels = tuple(Level(name, label) for name, label in family if nodes[label])
        reached = max((nodes[level.label] for level in levels), default=0)
        if reached > most:
            best, most = levels, reached
    if not best and nodes[_ZONE.label]:
        return (_ZONE,)
    return best


def _topograph(nodes: Mapping[str, int]) -> tuple[tuple[str, str], ...]:
    tiers = sorted((int(m[1]) for m in map(_TIER.fullmatch, nodes) if m), reverse=True)
    fabric = tuple((f"tier-{tier}", f"fabric.topograph.run/tier-{tier}") for tier in tiers)
    return (*fabric, *_TOPOGRAPH_BELOW)


def _aws(nodes: Mapping[str, int]) -> tuple[tuple[str, str], ...]:
    layers = sorted(int(m[1]) for m in map(_LAYER.fullmatch, nodes) if m)
    fabric = tuple((f"layer-{at}", f"{_AWS}network-node-layer-{at}") for at in layers)
    # A capacity block is as wide as its UltraServer: one of the two is enough.
    below = _AWS_BELOW[:1] if _AWS_BELOW[0][1] in nodes else _AWS_BELOW[1:]
    return (*fabric, *below)
