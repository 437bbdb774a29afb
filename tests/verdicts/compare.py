"""Two answers to one case, verdict by verdict, and the differences that are meant to be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.verdicts.world import Json, containers

EVERY = "*"
"""Stands for all nodes: a refusal that no node could change."""

Verdict = dict[str, Any]
"""`{plugin, code, reasons}`; {} = the node takes the pod."""


@dataclass(frozen=True, slots=True)
class Difference:
    """What the two say of one node (or of EVERY); {} = it passes."""

    node: str
    ours: Verdict
    theirs: Verdict

    @property
    def signature(self) -> str:
        """The kind of the difference, equal for cases that have the same cause."""
        return f"{_short(self.ours)} / {_short(self.theirs)}"


def _short(verdict: Verdict) -> str:
    return f"{verdict.get('plugin') or '-'} {verdict.get('code', 'passes')}"


def verdicts_of(answer: dict[str, Any]) -> dict[str, Verdict]:
    """Node -> refusal; a case that could not be read is a refusal of its own."""
    if "error" in answer:
        return {EVERY: {"plugin": "unreadable", "code": "Error", "reasons": [answer["error"]]}}
    found: dict[str, Verdict] = answer["verdicts"]
    return found


def differences(ours: dict[str, Any], theirs: dict[str, Any]) -> list[Difference]:
    """Nodes on which plugin, code or reasons differ. Reasons are compared sorted, because
    kube-scheduler gives those of several resources in the order of a Go map.
    """
    mine, other = verdicts_of(ours), verdicts_of(theirs)
    nodes = {*mine, *other}
    return [
        Difference(node, mine.get(node, {}), other.get(node, {}))
        for node in sorted({EVERY} if EVERY in nodes else nodes)
        if _plain(mine.get(node, {})) != _plain(other.get(node, {}))
    ]


def _plain(verdict: Verdict) -> tuple[Any, ...]:
    if not verdict:
        return ()
    return verdict["plugin"], verdict["code"], sorted(verdict["reasons"])


@dataclass(frozen=True, slots=True)
class Legitimate:
    """A difference that is meant to be. It must be on the safe side: Muster refuses more."""

    name: str
    cause: str
    holds: Callable[[Json, Difference], bool]


BEFORE_FIT = ("NodeUnschedulable", "NodeName", "TaintToleration", "NodeAffinity", "NodePorts")


def _asks_for_claims(case: Json, difference: Difference) -> bool:
    has_claims = bool(case["pod"]["spec"].get("resourceClaims"))
    instead = difference.theirs.get("plugin", "DynamicResources") == "DynamicResources"
    return has_claims and instead and difference.ours["plugin"] == "DynamicResources"


def _mapped_resource(case: Json, difference: Difference) -> bool:
    ours, theirs = difference.ours, difference.theirs
    if ours["plugin"] != "NodeResourcesFit" or theirs.get("plugin") in BEFORE_FIT:
        return False
    said = set(ours["reasons"]) - {f"Insufficient {name}" for name in _mapped_names(case)}
    return said == (set(theirs["reasons"]) if theirs.get("plugin") == ours["plugin"] else set())


def _mapped_names(case: Json) -> set[str]:
    """Requested resources that some DeviceClass offers."""
    offered: set[str] = set()
    for each in case["objects"]:
        if each["kind"] == "DeviceClass":
            offered.add(f"deviceclass.resource.kubernetes.io/{each['metadata']['name']}")
            offered.add(each["spec"].get("extendedResourceName", ""))
    asked: set[str] = set()
    for container in containers(case["pod"]):
        asked |= set(container.get("resources", {}).get("requests", {}))
    return offered & asked


LEGITIMATE: tuple[Legitimate, ...] = (
    Legitimate(
        "resource-claims",
        "a pod with spec.resourceClaims waits: Muster does not allocate devices (DynamicResources)",
        _asks_for_claims,
    ),
    Legitimate(
        "mapped-resource",
        "a resource that a DeviceClass maps and the node does not have is not allocated by Muster,"
        " so it is insufficient where kube-scheduler leaves it to DynamicResources",
        _mapped_resource,
    ),
)
"""Kept short on purpose: each of these is a promise in docs/filters.md."""


def excuse(case: Json, difference: Difference) -> str:
    """The name of the legitimate difference that this is; empty if it is a fault."""
    if not difference.ours:  # where Muster would bind, kube-scheduler must agree
        return ""
    for each in LEGITIMATE:
        if each.holds(case, difference):
            return each.name
    return ""
