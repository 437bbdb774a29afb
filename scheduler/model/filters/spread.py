"""PodTopologySpread: in how many domains of a label the pods of a set must be even.

Constraints with DoNotSchedule only. A node counts for a constraint if it has the keys of all
of them and the constraint's policies let it in: cordoned and full nodes form domains, too.

    match(d) = pods of the mark on counting nodes of d      least = lowest match(d) of domains
    refused if match(d) + self - least > maxSkew            that have one; 0 if < minDomains

A node whose domain has no counting node is judged by match = 0. Source:
plugins/podtopologyspread/{common,filtering}.go (1.36).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from scheduler.model.arrays import I16, I32, I64
from scheduler.model.filters.columns import NodeColumns, Reasons
from scheduler.model.filters.node_affinity import SelectorFilter, affinity_mask
from scheduler.model.filters.taints import Tolerances
from scheduler.model.pod_rules import Spread
from scheduler.model.reasons import unlabelled_text
from scheduler.model.shape import Shape

MISSING = 1
"""The node lacks the key: UnschedulableAndUnresolvable, `MISSING_REASON`."""
SKEW = 2
"""One more pod there would be too many: Unschedulable, `SKEW_REASON`."""
SKEW_REASON = "node(s) didn't match pod topology spread constraints"
MISSING_REASON = f"{SKEW_REASON} (missing required label)"

Counted = Callable[[str], I64]
"""mark -> int64[N], pods of that mark on each row."""
Mask = npt.NDArray[np.bool_]


def short_key(key: str) -> str:
    """The last part of a label key, as sentences name it: `zone`."""
    return key.rpartition("/")[2] or key


def spread_reason(key: str) -> str:
    """How a node is counted where one more pod would be too many."""
    return f"spread over {short_key(key)}"


def key_codes(key: str, nodes: NodeColumns) -> tuple[I32, int]:
    """(int32[N] value of label `key` per row, -1 = no such label; how many values there are)."""
    column = nodes.labels.get(key)
    if column is None:
        return np.full(len(nodes.names), -1, np.int32), 0
    return column.code, len(column.values)


def eligible(shape: Shape, rule: Spread, nodes: NodeColumns) -> Mask:
    """bool[N]: whether a node counts for `rule`, one of shape.rules.spread."""
    keep: Mask = np.ones(len(nodes.names), np.bool_)
    for key in {each.key for each in shape.rules.spread}:
        keep &= key_codes(key, nodes)[0] >= 0
    if rule.honor_affinity:
        unselected = SelectorFilter().verdict(shape, nodes, None, Reasons())
        if unselected is not None:
            keep &= unselected == 0
        if shape.affinity is not None:
            keep &= affinity_mask(shape.affinity, nodes)
    if rule.honor_taints:
        tolerances = Tolerances(shape.tolerations)
        sets = [tolerances.first_missing(taints) is None for taints in nodes.taint_sets]
        keep &= np.array(sets, np.bool_)[nodes.taint_set]
    return keep


@dataclass(frozen=True, eq=False, slots=True)
class SpreadDomains:
    """The domains of one rule of one shape: all about it that placing pods does not change.

    N rows, V values of the rule's key. Kept by whoever asks more than once.
    """

    rule: Spread
    code: I32
    """[N] value of the key per row, -1 = the node has no such label."""
    bucket: npt.NDArray[np.intp]
    """[N] the same where the node counts for the rule, else V."""
    counting: Mask
    """[V] whether the domain has a node that counts."""

    @classmethod
    def of(cls, shape: Shape, rule: Spread, nodes: NodeColumns) -> SpreadDomains:
        """For `rule`, one of shape.rules.spread."""
        code, values = key_codes(rule.key, nodes)
        bucket = np.where(eligible(shape, rule, nodes), code, values).astype(np.intp)
        counting = np.bincount(bucket, minlength=values + 1)[:values] > 0
        return cls(rule, code, bucket, counting)

    def counts(self, counted: Counted) -> I64:
        """[V] pods of the rule's mark per domain, on nodes that count."""
        values = self.counting.size
        if not self.rule.mark:
            return np.zeros(values, np.int64)
        # Sums of whole numbers below 2**53: exact, though bincount adds them up as floats.
        sums = np.bincount(self.bucket, counted(self.rule.mark), values + 1)
        return sums[:values].astype(np.int64)

    def least(self, counts: I64) -> int:
        """The number that all domains are measured by."""
        if np.count_nonzero(self.counting) < max(1, self.rule.min_domains):
            return 0
        return int(counts[self.counting].min())

    def room(self, counts: I64) -> I64:
        """[V] pods of the mark that may come before the one that is refused; negative = it is."""
        return self.least(counts) + self.rule.max_skew - int(self.rule.own) - counts

    def codes(self, counts: I64, missing: int = MISSING, skew: int = SKEW) -> I16:
        """int16[N]: 0, `missing` or `skew` per row."""
        table = np.full(self.counting.size + 1, missing, np.int16)  # code -1 is the last one
        table[:-1] = np.where(self.room(counts) < 0, skew, 0)
        return table[self.code]


def codes(shape: Shape, nodes: NodeColumns, counted: Counted) -> I16:
    """int16[N]: 0, MISSING or SKEW, of the first rule in declared order that refuses the row."""
    refused: I16 = np.zeros(len(nodes.names), np.int16)
    for rule in shape.rules.spread:
        domains = SpreadDomains.of(shape, rule, nodes)
        np.copyto(refused, domains.codes(domains.counts(counted)), where=refused == 0)
    return refused


def verdict(shape: Shape, nodes: NodeColumns, counted: Counted, reasons: Reasons) -> I16 | None:
    """int16[N] number of Muster's own text in `reasons`; 0 passes, None = all pass."""
    refused: I16 | None = None
    for rule in shape.rules.spread:
        domains = SpreadDomains.of(shape, rule, nodes)
        here = domains.codes(domains.counts(counted), -1, -2)
        if not here.any():
            continue
        if (here == -1).any():
            here[here == -1] = reasons.code(unlabelled_text(short_key(rule.key)))
        if (here == -2).any():
            here[here == -2] = reasons.code(spread_reason(rule.key))
        refused = here if refused is None else np.where(refused != 0, refused, here)
    return refused
