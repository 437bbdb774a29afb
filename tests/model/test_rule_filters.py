"""Rules between pods over columns equal kube-scheduler's rules for one node at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from scheduler.model.arrays import I64
from scheduler.model.constraints import Requirement, Taint, Term, Toleration
from scheduler.model.filters import pod_affinity, spread
from scheduler.model.filters.columns import Reasons
from scheduler.model.filters.reference import NodeFacts
from scheduler.model.filters.rule_reference import PlacedPod, affinity_code, spread_code
from scheduler.model.filters.spread import SpreadDomains
from scheduler.model.pod_rules import Apart, Near, PodRules, Spread
from scheduler.model.shape import Shape
from scheduler.model.snapshot import Snapshot
from tests.builders import snapshot

NODES = [f"n{i}" for i in range(6)]
KEYS = ["zone", "rack", "example.com/row", "absent"]
MARKS = ["seen:a", "seen:b", "kept:a"]
Pods = Sequence[tuple[int, frozenset[str]]]
"""(index of the node, marks)"""

marks = st.sampled_from([*MARKS, ""])
spreads = st.builds(
    Spread,
    st.sampled_from([*KEYS[:3], *KEYS]),
    st.integers(1, 2),
    st.integers(1, 4),
    marks,
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
nears = st.builds(
    Near,
    st.lists(st.sampled_from([*KEYS[:3], *KEYS]), min_size=1, max_size=3).map(tuple),
    marks,
    st.booleans(),
)
aparts = st.lists(st.builds(Apart, st.sampled_from(KEYS), marks), max_size=2).map(tuple)
rules = st.builds(
    PodRules,
    st.lists(spreads, max_size=3).map(tuple),
    st.one_of(st.none(), nears),
    aparts,
    aparts,
)
taints = st.builds(
    Taint, st.just("gpu"), st.sampled_from(["", "a"]), st.sampled_from(["NoSchedule", "NoExecute"])
)
shapes = st.builds(
    Shape,
    st.just((0, 0, 0)),
    selector=st.sampled_from([(), (), (("pool", "x"),), (("pool", "x"), ("zone", "a"))]),
    affinity=st.sampled_from(
        [None, None, (), (Term((Requirement("pool", "NotIn", ("x",)),)),)],
    ),
    tolerations=st.sampled_from([(), (Toleration("gpu", "Exists"),)]),
    rules=rules,
)
facts = st.builds(
    NodeFacts,
    st.just(""),
    st.just(False),
    st.one_of(st.just(()), st.lists(taints, max_size=1).map(tuple)),
    st.fixed_dictionaries(
        {},
        optional={
            "zone": st.sampled_from(["a", "b", "c"]),
            "rack": st.sampled_from(["1", "2", "10"]),
            "example.com/row": st.sampled_from(["a", ""]),
            "pool": st.sampled_from(["x", "y"]),
        },
    ),
)
clusters = st.lists(facts, min_size=1, max_size=len(NODES))
placed = st.lists(
    st.tuples(st.integers(0, 5), st.frozensets(st.sampled_from(MARKS), max_size=3)), max_size=8
)


SELF_ONLY = Shape((0, 0, 0), rules=PodRules(spread=(Spread("zone", 1, 1, "", True),)))
"""The selector `{}`, which counts nobody but the pod itself."""


def columns(cluster: Sequence[NodeFacts]) -> Snapshot:
    """The nodes n0, n1, .. with these facts as a snapshot."""
    names = NODES[: len(cluster)]
    each = dict(zip(names, cluster, strict=True))
    return snapshot(
        ": " + " ".join(names),
        taints={name: node.taints for name, node in each.items()},
        labels={name: node.labels for name, node in each.items()},
    )


def counter(pods: Pods, nodes: int) -> Callable[[str], I64]:
    """Dense pods per row of a mark."""

    def counted(mark: str) -> I64:
        found = np.zeros(nodes, np.int64)
        for i, marks_of in pods:
            found[i % nodes] += mark in marks_of
        return found

    return counted


@given(shapes, clusters, placed)
@example(SELF_ONLY, [NodeFacts("")], [])
def test_columns_equal_the_rule_for_one_node(
    shape: Shape, cluster: list[NodeFacts], pods: Pods
) -> None:
    """Each row's code is that of the plain rule, pods listed one by one."""
    snap, counted = columns(cluster), counter(pods, len(cluster))
    there = [PlacedPod(cluster[i % len(cluster)], marks_of) for i, marks_of in pods]
    of_spread = spread.codes(shape, snap, counted)
    assert of_spread.dtype == np.int16
    assert of_spread.tolist() == [spread_code(shape, node, cluster, there) for node in cluster]
    of_affinity = pod_affinity.codes(shape, snap, counted)
    assert of_affinity.dtype == np.int16
    assert of_affinity.tolist() == [affinity_code(shape, node, there) for node in cluster]


@given(shapes, clusters, placed)
def test_own_texts_stand_where_the_codes_do(
    shape: Shape, cluster: list[NodeFacts], pods: Pods
) -> None:
    """Numbered texts refuse the same rows, and say which of the rules it was."""
    snap, counted = columns(cluster), counter(pods, len(cluster))
    for module in (spread, pod_affinity):
        reasons = Reasons()
        found = module.verdict(shape, snap, counted, reasons)
        codes = module.codes(shape, snap, counted)
        if found is None:
            assert not codes.any()
            continue
        assert found.any()
        texts = [reasons.texts[code] for code in found]
        assert [_kind(text) for text in texts] == codes.tolist()


def _kind(text: str) -> int:
    """The code that a text belongs to."""
    affinity = [pod_affinity.NEAR_TEXT, pod_affinity.APART_TEXT, pod_affinity.REPELLED_TEXT]
    if text in affinity:
        return affinity.index(text) + 1
    return 0 if not text else spread.SKEW if text.startswith("spread over ") else spread.MISSING


@given(shapes, clusters, placed, st.integers(0, 3))
def test_room_is_how_many_more_pods_a_domain_stands(
    shape: Shape, cluster: list[NodeFacts], pods: Pods, more: int
) -> None:
    """With so many more pods of the mark in one counting domain it is full, with fewer not."""
    snap, counted = columns(cluster), counter(pods, len(cluster))
    for rule in shape.rules.spread:
        domains = SpreadDomains.of(shape, rule, snap)
        counts = domains.counts(counted)
        assert counts.dtype == np.int64
        assert not counts[~domains.counting].any()
        least, room = domains.least(counts), domains.room(counts)
        full = counts + more + rule.own - least > rule.max_skew
        assert (full == (room < more)).all()
        codes = domains.codes(counts)
        for row, value in enumerate(domains.code.tolist()):
            want = spread.MISSING if value < 0 else spread.SKEW if room[value] < 0 else 0
            assert codes[row] == want


def rows(text: str) -> Snapshot:
    """`a a b -`: a node per word with that zone, `-` = no label."""
    words = text.split()
    labels: Mapping[str, Mapping[str, str]] = {
        f"n{i}": {"zone": word} for i, word in enumerate(words) if word != "-"
    }
    return snapshot(": " + " ".join(f"n{i}" for i in range(len(words))), labels=labels)


def given_counts(**each: str) -> Callable[[str], I64]:
    """mark=`1 0 2`: pods per row."""
    return lambda mark: np.array(each[mark].split(), np.int64)


SKEW, MISSING = spread.SKEW, spread.MISSING


@pytest.mark.parametrize(
    ("zones", "counts", "rule", "want"),
    [
        ("a a b -", "1 0 0 5", Spread("zone", 1, 1, "m", True), [SKEW, SKEW, 0, MISSING]),
        ("a a b -", "1 0 0 5", Spread("zone", 1, 1, "m", False), [0, 0, 0, MISSING]),
        ("a b", "1 1", Spread("zone", 1, 2, "m", True), [0, 0]),
        ("a b", "1 1", Spread("zone", 1, 3, "m", True), [SKEW, SKEW]),
        ("a b", "3 3", Spread("zone", 1, 1, "", True), [0, 0]),
        ("- -", "1 1", Spread("zone", 1, 1, "m", True), [MISSING, MISSING]),
        ("a b b", "2 1 0", Spread("zone", 2, 1, "m", True), [0, 0, 0]),
    ],
)
def test_spread(zones: str, counts: str, rule: Spread, want: list[int]) -> None:
    """Skew against the least domain; minDomains; a selector that counts nobody; no key."""
    shape = Shape((0, 0, 0), rules=PodRules(spread=(rule,)))
    assert spread.codes(shape, rows(zones), given_counts(m=counts)).tolist() == want


def test_a_domain_without_a_counting_node_counts_nothing() -> None:
    """Pods in a zone that the selector leaves out neither count nor lower the least number."""
    snap = snapshot(
        ": n0 n1 n2",
        labels={"n0": {"zone": "a"}, "n1": {"zone": "b", "pool": "x"}, "n2": {"zone": "c"}},
    )
    rule = Spread("zone", 1, 1, "m", True)
    shape = Shape((0, 0, 0), selector=(("pool", "x"),), rules=PodRules(spread=(rule,)))
    counted = given_counts(m="7 1 0")
    domains = SpreadDomains.of(shape, rule, snap)
    assert domains.counts(counted).tolist() == [0, 1, 0]
    assert domains.least(domains.counts(counted)) == 1
    assert spread.codes(shape, snap, counted).tolist() == [0, 0, 0]


NEAR, APART, REPELLED = pod_affinity.NEAR, pod_affinity.APART, pod_affinity.REPELLED


@pytest.mark.parametrize(
    ("counts", "rules_of", "want"),
    [
        ("0 1 0 0", PodRules(near=Near(("zone",), "m", False)), [0, 0, NEAR, NEAR]),
        ("0 0 0 0", PodRules(near=Near(("zone",), "m", False)), [NEAR] * 4),
        ("0 0 0 0", PodRules(near=Near(("zone",), "m", True)), [0, 0, 0, NEAR]),
        # A pod that no key counts does not end the exception for the first of its kind.
        ("0 0 0 1", PodRules(near=Near(("zone",), "m", True)), [0, 0, 0, NEAR]),
        ("0 1 0 1", PodRules(apart=(Apart("zone", "m"),)), [APART, APART, 0, 0]),
        ("0 1 0 1", PodRules(repelled=(Apart("zone", "m"),)), [REPELLED, REPELLED, 0, 0]),
        (
            "1 0 0 0",
            PodRules((), Near(("zone",), "m", False), (Apart("zone", "m"),), (Apart("zone", "m"),)),
            [APART, APART, NEAR, NEAR],
        ),
    ],
)
def test_affinity(counts: str, rules_of: PodRules, want: list[int]) -> None:
    """Near, apart, repelled, in that order; a node without the key is near nobody."""
    shape = Shape((0, 0, 0), rules=rules_of)
    got = pod_affinity.codes(shape, rows("a a b -"), given_counts(m=counts))
    assert got.tolist() == want


def test_near_in_two_keys_needs_every_domain_but_one_pair_ends_the_exception() -> None:
    """A pod counted under one of two keys is enough to make the next one no longer the first."""
    snap = snapshot(
        ": n0 n1 n2",
        labels={"n0": {"zone": "a", "rack": "1"}, "n1": {"zone": "a"}, "n2": {"rack": "1"}},
    )
    shape = Shape((0, 0, 0), rules=PodRules(near=Near(("zone", "rack"), "m", True)))
    for counts, want in [
        ("0 0 0", [0, NEAR, NEAR]),
        ("0 1 0", [NEAR, NEAR, NEAR]),
        ("0 1 1", [0, NEAR, NEAR]),
    ]:
        codes = pod_affinity.codes(shape, snap, given_counts(m=counts))
        assert codes.tolist() == want


def test_texts_name_the_key_and_stand_only_where_something_is_refused() -> None:
    """Users read the last part of a key; a rule that refuses nobody has no text."""
    snap = snapshot(": n0 n1", labels={"n0": {"topology.kubernetes.io/zone": "a"}})
    counted = given_counts(m="1 0")
    key = "topology.kubernetes.io/zone"
    for min_domains, want in [
        (1, ["", "no zone label"]),
        (2, ["spread over zone", "no zone label"]),
    ]:
        rule = Spread(key, 1, min_domains, "m", True)
        reasons = Reasons()
        shape = Shape((0, 0, 0), rules=PodRules(spread=(rule, rule)))
        found = spread.verdict(shape, snap, counted, reasons)
        assert found is not None
        assert [reasons.texts[code] for code in found] == want
        assert sorted(reasons.texts) == sorted({"", *want})
    alone = Shape(
        (0, 0, 0), rules=PodRules(spread=(Spread("kubernetes.io/hostname", 2, 1, "m", True),))
    )
    assert spread.verdict(alone, snap, counted, Reasons()) is None
    assert pod_affinity.verdict(alone, snap, counted, Reasons()) is None
