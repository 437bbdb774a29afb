"""Random cases that aim at the edges of every default filter; same seed, same bytes.

A case is `{id, nodes, pods, objects, pod}`: a small cluster, what else its API server holds,
and the pod that asks. Most cases aim at one filter or two while the others pass; a few at all.

    python -m tests.verdicts.generate --cases 10 --seed 1 [--filter NAME]
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator

import click

from tests.verdicts import claims, node_rules, pod_rules, sizes, volumes
from tests.verdicts.world import Json, World, new_world, settle_ports

Aim = Callable[[World], None]

AIMS: dict[str, tuple[Aim, int]] = {
    "NodeUnschedulable": (node_rules.cordons, 4),
    "NodeName": (node_rules.node_names, 2),
    "TaintToleration": (node_rules.taints, 10),
    "NodeAffinity": (node_rules.affinity, 12),
    "NodePorts": (sizes.ports, 8),
    "NodeResourcesFit": (sizes.resources, 16),
    "VolumeRestrictions": (volumes.restrictions, 7),
    "NodeVolumeLimits": (volumes.limits, 7),
    "VolumeBinding": (volumes.claims, 12),
    "VolumeZone": (volumes.zones, 5),
    "PodTopologySpread": (pod_rules.spread, 18),
    "InterPodAffinity": (pod_rules.pod_affinity, 18),
    "DynamicResources": (claims.devices, 2),
    "NodeDeclaredFeatures": (node_rules.features, 4),
    "SchedulingGates": (node_rules.gates, 1),
    "NominatedPods": (sizes.nominated, 5),
}
"""What cases aim at -> (how, weight)."""

FIRST = ("NodeResourcesFit", "PodTopologySpread", "InterPodAffinity")
"""These write containers, allocatable or namespaces anew, so they go first."""
RARE = ("SchedulingGates", "NodeName", "DynamicResources")
"""Aims that would hide all others in a case of everything."""

ALL = "Everything"


def cases(count: int, seed: int, only: str = "") -> Iterator[Json]:
    """`count` cases of `seed`; `only` = those that aim at one filter.

    Case i depends on (seed, i, only) alone: any one can be made again without the others.
    """
    for i in range(count):
        yield case(seed, i, only)


def case(seed: int, number: int, only: str = "") -> Json:
    """Case `number` of `seed`."""
    rng = random.Random(f"{seed}/{number}")
    world = new_world(rng)
    chosen = _aims(rng, only)
    for name in sorted(chosen, key=lambda name: name not in FIRST):
        AIMS[name][0](world)
    for pod in world.each_pod():
        settle_ports(pod)
    return {
        "id": f"{seed}-{number}-{'+'.join(chosen)}",
        "nodes": world.nodes,
        "pods": world.pods,
        "objects": _unique(world.objects),
        "pod": world.pod,
    }


def _aims(rng: random.Random, only: str) -> list[str]:
    """Names of one aim, of two, or of many."""
    names = list(AIMS)
    draw = rng.random()
    if not only and draw > 0.93:
        return [name for name in names if rng.random() < (0.03 if name in RARE else 0.3)]
    weights = [weight for _, weight in AIMS.values()]
    first = only or rng.choices(names, weights)[0]
    if only and only not in AIMS:
        raise KeyError(only)
    if draw < 0.7:
        return [first]
    second = rng.choices(names, weights)[0]
    return [first] if second == first else [first, second]


def _unique(objects: list[Json]) -> list[Json]:
    """The first of each kind, namespace and name: an API server holds no two."""
    found: dict[tuple[str, str, str], Json] = {}
    for each in objects:
        metadata = each["metadata"]
        found.setdefault((each["kind"], metadata.get("namespace", ""), metadata["name"]), each)
    return list(found.values())


def line(found: Json) -> str:
    """A case as one line of JSON, without spaces; the same bytes for the same case."""
    return json.dumps(found, ensure_ascii=False, separators=(",", ":"))


@click.command()
@click.option("--cases", "count", default=1000, show_default=True, help="How many.")
@click.option("--seed", default=1, show_default=True, help="What they are drawn from.")
@click.option("--filter", "only", type=click.Choice(list(AIMS)), help="Aim at one filter.")
def main(count: int, seed: int, only: str | None) -> None:
    """Print cases, one JSON object a line."""
    for each in cases(count, seed, only or ""):
        click.echo(line(each))


if __name__ == "__main__":
    main()
