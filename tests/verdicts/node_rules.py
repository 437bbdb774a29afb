"""Edges of the filters that look at the pod and the node alone.

NodeUnschedulable, NodeName, TaintToleration, NodeAffinity, NodeDeclaredFeatures, SchedulingGates.
"""

from __future__ import annotations

from tests.verdicts.world import HOSTNAME, NODE_KEYS, NUMBER, RACK, TIER, ZONE, Json, World

CORDON_KEY = "node.kubernetes.io/unschedulable"
TAINT_KEYS = ("dedicated", "gpu", "example.com/busy", "node.kubernetes.io/not-ready")
TAINT_VALUES = ("", "a", "b", "5", "0005")
EFFECTS = ("NoSchedule", "NoSchedule", "NoExecute", "PreferNoSchedule")

NUMBERS = ("1", "5", "10", "007", "", "abc", "1.5", "9223372036854775807", "9223372036854775808")
"""Label values that Gt and Lt meet; the last is beyond int64."""
BOUNDS = ("0", "1", "5", "6", "007", "", "abc", "-3", "+5", "9223372036854775806", "1e3",
          "99999999999999999999")  # fmt: skip
"""Values of Gt and Lt. A sign makes it no label value, so that the term never matches."""
BAD_VALUES = ("not a label!", "-a", "a" * 64, "ä")
"""Refused in new pods' required affinity, kept in stored ones."""


def cordons(world: World) -> None:
    """NodeUnschedulable: cordoned nodes, with and without the taint, and what tolerates them."""
    for node in world.nodes:
        if world.chance(0.45):
            node["spec"]["unschedulable"] = True
            if world.chance(0.3):
                _taint(node, {"key": CORDON_KEY, "effect": "NoSchedule"})
    if world.chance(0.5):
        toleration: Json = {"key": CORDON_KEY}
        toleration["operator"] = world.one(("Exists", "Exists", "Equal"))
        if toleration["operator"] == "Equal" and world.chance(0.5):
            toleration["value"] = world.one(("", "true"))
        if world.chance(0.6):
            toleration["effect"] = world.one(("NoSchedule", "NoSchedule", "NoExecute"))
        if world.chance(0.15):
            toleration = {"operator": "Exists"}
        _tolerate(world.pod, toleration)


def node_names(world: World) -> None:
    """NodeName: the pod that asks names a node already."""
    if world.chance(0.85):
        world.pod["spec"]["nodeName"] = world.one([*world.node_names(), "node-gone"])


def taints(world: World) -> None:
    """TaintToleration: every effect, operator, and empty key, value and effect."""
    used: list[Json] = []
    for node in world.nodes:
        for key in world.some(TAINT_KEYS, 2):
            taint = {"key": key, "effect": world.one(EFFECTS)}
            value = world.one(TAINT_VALUES)
            if value or world.chance(0.3):
                taint["value"] = value
            if taint["effect"] == "NoExecute" and world.chance(0.3):
                taint["timeAdded"] = "2026-01-01T00:00:00Z"
            _taint(node, taint)
            used.append(taint)
            if world.chance(0.1) and taint["effect"] != "NoExecute":  # same key, other effect
                _taint(node, {**taint, "effect": "NoExecute"})
    for _ in range(world.rng.randint(0, 3)):
        _tolerate(world.pod, _toleration(world, used))


def _toleration(world: World, used: list[Json]) -> Json:
    if world.chance(0.08):
        return {"operator": "Exists", **({"effect": "NoSchedule"} if world.chance(0.5) else {})}
    taint = world.one(used) if used and world.chance(0.8) else {"key": world.one(TAINT_KEYS)}
    found: Json = {"key": taint["key"]}
    operator = world.one(("Exists", "Equal", "Equal", "", "Lt", "Gt"))
    if operator in ("Lt", "Gt"):  # kept by the API server with a gate that is off by default
        operator = operator if world.chance(0.4) else "Equal"
    if operator:
        found["operator"] = operator
    if operator != "Exists":
        value = taint.get("value", "") if world.chance(0.75) else world.one(TAINT_VALUES)
        if operator in ("Lt", "Gt"):
            value = world.one(("1", "5", "9"))
        if value or world.chance(0.5):
            found["value"] = value
    if world.chance(0.5):
        effect = taint.get("effect", "NoSchedule")
        found["effect"] = effect if world.chance(0.8) else world.one(EFFECTS)
    if found.get("effect") == "NoExecute" and world.chance(0.5):
        found["tolerationSeconds"] = world.one((0, 300, -1))
    return found


def affinity(world: World) -> None:
    """NodeAffinity: nodeSelector, required terms of every operator, fields, what never parses."""
    _number_nodes(world)
    if world.chance(0.35):
        world.pod["spec"]["nodeSelector"] = _node_selector(world)
    if world.chance(0.8):
        required = {"nodeSelectorTerms": _terms(world)}
        node_affinity: Json = {"requiredDuringSchedulingIgnoredDuringExecution": required}
        if world.chance(0.15):
            node_affinity["preferredDuringSchedulingIgnoredDuringExecution"] = [
                {"weight": 5, "preference": node_term(world)}
            ]
        world.pod["spec"].setdefault("affinity", {})["nodeAffinity"] = node_affinity
    elif world.chance(0.3):
        world.pod["spec"].setdefault("affinity", {})["nodeAffinity"] = {}


def _number_nodes(world: World) -> None:
    for node in world.nodes:
        labels = node["metadata"].setdefault("labels", {})
        if world.chance(0.75):
            labels[NUMBER] = world.one(NUMBERS)
        if world.chance(0.5):
            labels[TIER] = world.one(("", "gold", "silver"))
        if world.chance(0.03):
            del node["metadata"]["labels"]


def _node_selector(world: World) -> Json:
    pairs: Json = {}
    for _ in range(world.one((0, 1, 1, 1, 2))):
        key = world.one(NODE_KEYS)
        pairs[key] = _value(world, key) if world.chance(0.93) else "not a label!"
    return pairs


def _terms(world: World) -> list[Json]:
    if world.chance(0.03):
        return []  # refused when created
    if world.chance(0.2):  # every term names its nodes: PreFilter narrows the list
        return [_named_term(world) for _ in range(world.one((1, 1, 2, 3)))]
    return [node_term(world) for _ in range(world.one((1, 1, 1, 2, 3)))]


def _named_term(world: World) -> Json:
    term: Json = {"matchFields": [_name_field(world, "In")]}
    if world.chance(0.25):
        term["matchFields"].append(_name_field(world, world.one(("In", "In", "NotIn"))))
    if world.chance(0.3):
        term["matchExpressions"] = [_expression(world)]
    return term


def node_term(world: World) -> Json:
    """One node selector term; empty ones match nothing, some never parse."""
    if world.chance(0.05):
        return {}
    term: Json = {}
    if world.chance(0.9):
        term["matchExpressions"] = [_expression(world) for _ in range(world.one((1, 1, 1, 2)))]
    if not term or world.chance(0.12):
        term["matchFields"] = [_name_field(world, world.one(("In", "NotIn", "NotIn")))]
    return term


def _name_field(world: World, operator: str) -> Json:
    values = [world.one([*world.node_names(), "node-gone"])]
    if world.chance(0.03):  # only matchFields with one value are admitted
        values = world.some(world.node_names(), 2)
    return {"key": "metadata.name", "operator": operator, "values": values}


def _expression(world: World) -> Json:
    if world.chance(0.4):
        operator = world.one(("Gt", "Lt"))
        key = NUMBER if world.chance(0.9) else ZONE
        return {"key": key, "operator": operator, "values": [world.one(BOUNDS)]}
    key = world.one(NODE_KEYS)
    operator = world.one(("In", "In", "NotIn", "Exists", "DoesNotExist"))
    found: Json = {"key": key, "operator": operator}
    if operator in ("In", "NotIn"):
        found["values"] = [_value(world, key) for _ in range(world.one((1, 1, 2, 3)))]
        if world.chance(0.08):
            found["values"].append(world.one(BAD_VALUES))
    if world.chance(0.015):
        found["operator"] = world.one(("Exists", "In", "Gt"))
        found["values"] = world.one(([], ["1", "2"]))
    return found


def _value(world: World, key: str) -> str:
    """A value that some node may have under `key`."""
    if key == HOSTNAME:
        return world.one([*world.node_names(), "node-gone"])
    choices = {ZONE: ("a", "b", "c", ""), RACK: ("r1", "r2", "r9"), NUMBER: NUMBERS}
    return world.one(choices.get(key, ("", "gold", "silver", "north")))


def features(world: World) -> None:
    """NodeDeclaredFeatures: the two that pods can require, and names that mean nothing."""
    names = (
        "RestartAllContainersOnContainerExits",
        "UserNamespacesHostNetworkSupport",
        "InPlacePodLevelResourcesVerticalScaling",
        "NoSuchFeature",
    )
    for node in world.nodes:
        if world.chance(0.8):
            node["status"]["declaredFeatures"] = sorted(world.some(names))
    spec = world.pod["spec"]
    if world.chance(0.6):
        rule = {
            "action": world.one(("RestartAllContainers", "RestartAllContainers", "Restart")),
            "exitCodes": {"operator": "In", "values": [42]},
        }
        extra = {"name": "rules", "image": "i", "restartPolicyRules": [rule]}
        extra["restartPolicy"] = world.one(("Never", "Always"))
        spec.setdefault(world.one(("containers", "initContainers")), []).append(extra)
    if world.chance(0.5):
        spec["hostNetwork"] = world.chance(0.8)
    if world.chance(0.6):
        spec["hostUsers"] = world.chance(0.3)


def gates(world: World) -> None:
    """SchedulingGates: never queued, whatever the nodes say."""
    if world.chance(0.6):
        names = world.one((["b.example/one"], ["b.example/one", "a.example/two"]))
        world.pod["spec"]["schedulingGates"] = [{"name": name} for name in names]
    elif world.chance(0.3):
        world.pod["spec"]["schedulingGates"] = []


def _taint(node: Json, taint: Json) -> None:
    node["spec"].setdefault("taints", []).append(taint)


def _tolerate(pod: Json, toleration: Json) -> None:
    pod["spec"].setdefault("tolerations", []).append(toleration)
