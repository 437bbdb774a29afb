"""Edges of PodTopologySpread and InterPodAffinity, as the API server stores their rules."""

from __future__ import annotations

from tests.verdicts import node_rules
from tests.verdicts.world import (
    APPS,
    HOSTNAME,
    NAMESPACES,
    RACK,
    REGION,
    TIER,
    ZONE,
    Json,
    World,
    bound_pod,
    label_expression,
    selector,
)

KEYS = (*3 * (HOSTNAME, ZONE, ZONE, RACK), REGION, "absent")
MERGED_KEYS = ("rev", "stage", "absent")


def spread(world: World) -> None:
    """PodTopologySpread: skews, minDomains, both policies, missing keys, labels that changed."""
    for i in range(world.one((0, 0, 2, 5, 8))):
        world.pods.append(bound_pod(world, f"more-{i}"))
    gather_labels(world, 0.75)
    constraints = [_constraint(world) for _ in range(world.one((1, 1, 1, 2, 2, 3)))]
    seen: set[tuple[str, str]] = set()
    kept = []
    for each in constraints:  # the API server refuses the same pair twice
        pair = (each["topologyKey"], each["whenUnsatisfiable"])
        if pair not in seen:
            kept.append(each)
        seen.add(pair)
    world.pod["spec"]["topologySpreadConstraints"] = kept
    if world.chance(0.06):
        _relabel(world)
    if any("nodeTaintsPolicy" in each for each in kept) and world.chance(0.7):
        node_rules.taints(world)
    if world.chance(0.35):
        _choose_nodes(world)
    if world.chance(0.15):
        node_rules.cordons(world)


def gather_labels(world: World, share: float = 0.5) -> None:
    """Most pods are of one namespace and app, so that rules find them."""
    for pod in world.each_pod():
        metadata = pod["metadata"]
        if world.chance(share):
            metadata["namespace"] = "default"
        if world.chance(share):
            metadata.setdefault("labels", {})["app"] = "web"
        if world.chance(0.4):
            metadata.setdefault("labels", {})["rev"] = world.one(("1", "2"))


def _constraint(world: World) -> Json:
    found: Json = {
        "maxSkew": world.one((1, 1, 1, 2, 3, 5)),
        "topologyKey": world.one(KEYS),
        "whenUnsatisfiable": "DoNotSchedule" if world.chance(0.88) else "ScheduleAnyway",
    }
    wanted = selector(world) if world.chance(0.5) else {"matchLabels": {"app": "web"}}
    if wanted is not None:
        found["labelSelector"] = wanted
        if world.chance(0.25):
            found["matchLabelKeys"] = world.some(MERGED_KEYS, 2)
            merge(found, found["matchLabelKeys"], world.pod, "In")
    if found["whenUnsatisfiable"] == "DoNotSchedule" and world.chance(0.3):
        found["minDomains"] = world.one((1, 2, 2, 3, 4, 9))
    if world.chance(0.35):
        found["nodeAffinityPolicy"] = world.one(("Honor", "Ignore"))
    if world.chance(0.35):
        found["nodeTaintsPolicy"] = world.one(("Honor", "Honor", "Ignore"))
    return found


def merge(term: Json, keys: list[str], pod: Json, operator: str) -> None:
    """Write matchLabelKeys (`In`) or mismatchLabelKeys (`NotIn`) into the selector, as the
    API server does when it stores the pod; a key that the pod lacks says nothing.
    """
    labels = pod["metadata"].get("labels", {})
    for key in keys:
        if key in labels:
            expression = {"key": key, "operator": operator, "values": [labels[key]]}
            term["labelSelector"] = {
                **term["labelSelector"],
                "matchExpressions": [
                    *term["labelSelector"].get("matchExpressions", ()),
                    expression,
                ],
            }


def _relabel(world: World) -> None:
    """A label that matchLabelKeys has read was changed afterwards."""
    labels = world.pod["metadata"].setdefault("labels", {})
    labels[world.one(("rev", "stage"))] = world.one(("1", "2", "x"))


def _choose_nodes(world: World) -> None:
    """A selector or an affinity, for nodeAffinityPolicy to honour."""
    for node in world.nodes:
        if world.chance(0.6):
            node["metadata"].setdefault("labels", {})[TIER] = world.one(("gold", "silver"))
    if world.chance(0.6):
        world.pod["spec"]["nodeSelector"] = {TIER: world.one(("gold", "silver"))}
    else:
        node_rules.affinity(world)


def pod_affinity(world: World) -> None:
    """InterPodAffinity: the pod's own terms, those of existing pods, both ways, all scopes."""
    gather_labels(world)
    for pod in world.pods:
        if world.chance(0.35):
            _give_terms(world, pod, "podAntiAffinity")
        if world.chance(0.08):
            _give_terms(world, pod, "podAffinity")  # asks nothing of others any more
    if world.chance(0.6):
        _give_terms(world, world.pod, "podAffinity")
    if world.chance(0.5):
        _give_terms(world, world.pod, "podAntiAffinity")


def _give_terms(world: World, pod: Json, kind: str) -> None:
    terms = [_term(world, pod) for _ in range(world.one((1, 1, 1, 2, 2, 3)))]
    rules: Json = {"requiredDuringSchedulingIgnoredDuringExecution": terms}
    if world.chance(0.1):
        rules["preferredDuringSchedulingIgnoredDuringExecution"] = [
            {"weight": 10, "podAffinityTerm": _term(world, pod)}
        ]
    if world.chance(0.05):
        del rules["requiredDuringSchedulingIgnoredDuringExecution"]
    pod["spec"].setdefault("affinity", {})[kind] = rules


def _term(world: World, pod: Json) -> Json:
    term: Json = {"topologyKey": world.one(KEYS) if world.chance(0.95) else TIER}
    wanted = selector(world) if world.chance(0.5) else {"matchLabels": {"app": world.one(APPS)}}
    if wanted is not None:
        term["labelSelector"] = wanted
        if world.chance(0.15):
            _label_keys(world, term, pod)
    if world.chance(0.25):
        term["namespaces"] = world.some(NAMESPACES, 2)
    if world.chance(0.3):
        term["namespaceSelector"] = _namespaces(world)
    return term


def _label_keys(world: World, term: Json, pod: Json) -> None:
    if world.chance(0.6):
        term["matchLabelKeys"] = world.some(("rev", "absent"))
        merge(term, term["matchLabelKeys"], pod, "In")
    else:
        term["mismatchLabelKeys"] = ["rev"]
        merge(term, term["mismatchLabelKeys"], pod, "NotIn")


def _namespaces(world: World) -> Json:
    if world.chance(0.2):
        return {}
    if world.chance(0.45):
        key = world.one(("team", "team", "kubernetes.io/metadata.name"))
        values = ("red", "blue", "") if key == "team" else NAMESPACES
        return {"matchLabels": {key: world.one(values)}}
    if world.chance(0.1):
        return {"matchExpressions": [label_expression(world)]}
    operator = world.one(("In", "NotIn", "NotIn", "Exists", "DoesNotExist"))
    expression: Json = {"key": world.one(("team", "team", "absent")), "operator": operator}
    if operator in ("In", "NotIn"):
        expression["values"] = world.some(("red", "blue", ""), 2) or ["red"]
    return {"matchExpressions": [expression]}
