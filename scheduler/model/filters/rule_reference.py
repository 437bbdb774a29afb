"""Rules between pods for one node, written down plainly: the definition that columns must match.

A pod that is placed is its node and its marks; nothing is counted beforehand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scheduler.model.filters import pod_affinity, spread, taints
from scheduler.model.filters.reference import NodeFacts, term_admits
from scheduler.model.pod_rules import Near, Spread
from scheduler.model.shape import Shape


@dataclass(frozen=True, slots=True)
class PlacedPod:
    """A pod on a node, by what rules of others see of it."""

    node: NodeFacts
    marks: frozenset[str]


def spread_code(
    shape: Shape, node: NodeFacts, nodes: Sequence[NodeFacts], pods: Sequence[PlacedPod]
) -> int:
    """0, MISSING or SKEW for one more pod of `shape` on `node`, beside `pods` on `nodes`."""
    for rule in shape.rules.spread:
        value = node.labels.get(rule.key)
        if value is None:
            return spread.MISSING
        match = {each.labels[rule.key]: 0 for each in nodes if counts_for(shape, rule, each)}
        for pod in pods:
            if rule.mark in pod.marks and counts_for(shape, rule, pod.node):
                match[pod.node.labels[rule.key]] += 1
        least = 0 if not match or len(match) < rule.min_domains else min(match.values())
        if match.get(value, 0) + (1 if rule.own else 0) - least > rule.max_skew:
            return spread.SKEW
    return 0


def counts_for(shape: Shape, rule: Spread, node: NodeFacts) -> bool:
    """Whether pods on `node` count for `rule`, and its domain is one that must be even."""
    if any(each.key not in node.labels for each in shape.rules.spread):
        return False
    if rule.honor_affinity:
        if any(node.labels.get(key) != value for key, value in shape.selector):
            return False
        if shape.affinity is not None and not any(term_admits(t, node) for t in shape.affinity):
            return False
    if rule.honor_taints:
        for taint in node.taints:
            hard = taint.effect in ("NoSchedule", "NoExecute")
            if hard and not any(taints.matches(each, taint) for each in shape.tolerations):
                return False
    return True


def affinity_code(shape: Shape, node: NodeFacts, pods: Sequence[PlacedPod]) -> int:
    """0, NEAR, APART or REPELLED for one more pod of `shape` on `node`, beside `pods`."""
    rules = shape.rules
    if rules.near is not None and not _is_near(rules.near, node, pods):
        return pod_affinity.NEAR
    for rule in rules.apart:
        if _in_domain(rule.key, rule.mark, node, pods):
            return pod_affinity.APART
    for rule in rules.repelled:
        if _in_domain(rule.key, rule.mark, node, pods):
            return pod_affinity.REPELLED
    return 0


def _is_near(rule: Near, node: NodeFacts, pods: Sequence[PlacedPod]) -> bool:
    if any(key not in node.labels for key in rule.keys):
        return False
    if all(_in_domain(key, rule.mark, node, pods) for key in rule.keys):
        return True
    counted = any(
        rule.mark in pod.marks and key in pod.node.labels for pod in pods for key in rule.keys
    )
    return rule.own and not counted


def _in_domain(key: str, mark: str, node: NodeFacts, pods: Sequence[PlacedPod]) -> bool:
    """Is a pod of `mark` on a node with the same value of label `key`?"""
    value = node.labels.get(key)
    return value is not None and any(
        mark in pod.marks and pod.node.labels.get(key) == value for pod in pods
    )
