"""InterPodAffinity: pods that must be near others, apart from others, or are kept away by them.

All three look at the domain of a label: a pod counts under the value of its own node, and not
at all where its node has no such label. Asked in this order:

    near      the node has every term's key, and in each of these domains is a pod that matches
              ALL terms. None of them counts anywhere, and the pod itself does: all keys suffice
    apart     own anti-affinity: no pod of the mark in the domain; without the key it passes
    repelled  the same, for terms of pods that are there

Pods that are being deleted count. Source: plugins/interpodaffinity/filtering.go (1.36).
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from scheduler.model.arrays import I16, I64
from scheduler.model.filters.columns import NodeColumns, Reasons
from scheduler.model.filters.spread import Counted, Mask, key_codes
from scheduler.model.pod_rules import Apart, Near
from scheduler.model.shape import Shape

NEAR = 1
"""UnschedulableAndUnresolvable, `NEAR_REASON`."""
APART = 2
"""Unschedulable, `APART_REASON`."""
REPELLED = 3
"""Unschedulable, `REPELLED_REASON`."""
NEAR_REASON = "node(s) didn't match pod affinity rules"
APART_REASON = "node(s) didn't match pod anti-affinity rules"
REPELLED_REASON = "node(s) didn't satisfy existing pods anti-affinity rules"

NEAR_TEXT = "affinity to other pods"
APART_TEXT = "anti-affinity to other pods"
REPELLED_TEXT = "anti-affinity of other pods"


def occupied(key: str, counted: I64, nodes: NodeColumns) -> Mask:
    """bool[V + 1]: is a pod on a node with this value of label `key`; the last (code -1) is False.

    counted: int64[N], pods per row.
    """
    code, values = key_codes(key, nodes)
    there: Mask = np.zeros(values + 1, np.bool_)
    there[code[np.flatnonzero(counted)]] = True
    there[-1] = False
    return there


def near_mask(rule: Near, nodes: NodeColumns, counted: Counted) -> Mask:
    """bool[N]: whether the pod's required affinity terms admit the node."""
    keyed: Mask = np.ones(len(nodes.names), np.bool_)
    near: Mask = np.ones(len(nodes.names), np.bool_)
    anywhere = False
    pods = counted(rule.mark) if rule.mark else np.zeros(len(nodes.names), np.int64)
    for key in rule.keys:
        code, _ = key_codes(key, nodes)
        there = occupied(key, pods, nodes)
        anywhere = anywhere or bool(there.any())
        keyed &= code >= 0
        near &= there[code]
    return keyed if rule.own and not anywhere else near


def apart_mask(rules: Iterable[Apart], nodes: NodeColumns, counted: Counted) -> Mask:
    """bool[N]: whether none of `rules` keeps the pod away from the node."""
    admitted: Mask = np.ones(len(nodes.names), np.bool_)
    for rule in rules:
        if not rule.mark:
            continue
        there = occupied(rule.key, counted(rule.mark), nodes)
        if there.any():
            admitted &= ~there[key_codes(rule.key, nodes)[0]]
    return admitted


def codes(
    shape: Shape,
    nodes: NodeColumns,
    counted: Counted,
    numbers: tuple[int, int, int] = (NEAR, APART, REPELLED),
) -> I16:
    """int16[N]: 0, or the number of the first of the three that refuses the row."""
    rules = shape.rules
    refused: I16 = np.zeros(len(nodes.names), np.int16)
    if rules.near is not None:
        refused[~near_mask(rules.near, nodes, counted)] = numbers[0]
    for terms, number in ((rules.apart, numbers[1]), (rules.repelled, numbers[2])):
        if terms:
            refused[~apart_mask(terms, nodes, counted) & (refused == 0)] = number
    return refused


def verdict(shape: Shape, nodes: NodeColumns, counted: Counted, reasons: Reasons) -> I16 | None:
    """int16[N] number of Muster's own text in `reasons`; 0 passes, None = all pass."""
    rules = shape.rules
    if rules.near is None and not rules.apart and not rules.repelled:
        return None
    refused = codes(shape, nodes, counted, (-1, -2, -3))
    for number, text in ((-1, NEAR_TEXT), (-2, APART_TEXT), (-3, REPELLED_TEXT)):
        where = refused == number
        if where.any():
            refused[where] = reasons.code(text)
    return refused if refused.any() else None
