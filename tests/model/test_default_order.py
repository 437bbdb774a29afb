"""kube-scheduler's plugins, codes and texts over columns equal its rules for one node at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.model.arrays import I64
from scheduler.model.constraints import Requirement, Taint, Term, Toleration
from scheduler.model.filters import default_order as order
from scheduler.model.filters import pod_affinity, rule_reference, spread
from scheduler.model.filters.default_order import Code, Member, Verdict, Verdicts
from scheduler.model.filters.node_affinity import named_nodes
from scheduler.model.filters.reference import NodeFacts, first_verdict, pinned
from scheduler.model.filters.rule_reference import PlacedPod
from scheduler.model.pod_rules import Apart, Near, PodRules, Spread
from scheduler.model.resources import ResourceOrder
from scheduler.model.shape import Shape
from scheduler.model.snapshot import CORDONED, Snapshot
from scheduler.model.volumes import outcome
from scheduler.model.volumes.outcome import Outcome, Refusal
from scheduler.model.volumes.verdicts import VolumeVerdicts
from tests.builders import RESOURCES, snapshot

NODES = [f"n{i}" for i in range(5)]
NAMES = ResourceOrder(RESOURCES)
TOKENS = ["port:TCP/80", "port:TCP/80@10.0.0.1", "disk:ebs/v", "disk:gce-pd/d", "disk:gce-pd:ro/d"]
FEATURES = ["RestartAllContainersOnContainerExits", "UserNamespacesHostNetworkSupport"]

amounts = st.tuples(*[st.integers(0, 3)] * 3)
taints = st.builds(
    Taint,
    st.sampled_from(["gpu", "node.kubernetes.io/unschedulable"]),
    st.sampled_from(["", "a"]),
    st.sampled_from(["NoSchedule", "NoExecute", "PreferNoSchedule"]),
)
tolerations = st.builds(
    Toleration,
    st.sampled_from(["", "gpu", "node.kubernetes.io/unschedulable"]),
    st.sampled_from(["Equal", "Exists"]),
    st.sampled_from(["", "a"]),
    st.sampled_from(["", "NoSchedule"]),
)
expressions = st.builds(
    Requirement, st.just("pool"), st.sampled_from(["In", "NotIn"]), st.sampled_from([("a",), ()])
)
names = st.builds(
    Requirement,
    st.sampled_from(["metadata.name", "metadata.name", "spec.other"]),
    st.sampled_from(["In", "In", "NotIn"]),
    st.lists(st.sampled_from([*NODES[:3], "gone"]), max_size=2).map(tuple),
)
terms = st.builds(
    Term,
    st.lists(expressions, max_size=1).map(tuple),
    st.lists(names, max_size=2).map(tuple),
)
affinities = st.one_of(st.none(), st.lists(terms, max_size=3).map(tuple))
shapes = st.builds(
    Shape,
    amounts,
    st.sampled_from([(), (), (("pool", "a"),)]),
    affinities,
    st.lists(tolerations, max_size=2).map(tuple),
    st.lists(st.sampled_from(TOKENS), max_size=2, unique=True).map(lambda t: tuple(sorted(t))),
    st.lists(st.sampled_from(FEATURES), max_size=2, unique=True).map(lambda f: tuple(sorted(f))),
)
members = st.builds(
    Member,
    pins=st.sampled_from([None, None, None, ("n1", "gone")]),
    node_name=st.sampled_from(["", "", "", "n0", "gone"]),
)
facts = st.builds(
    NodeFacts,
    st.just(""),
    st.booleans().map(lambda cordoned: cordoned),
    st.lists(taints, max_size=1).map(tuple),
    st.sampled_from([{}, {"pool": "a"}, {"pool": "a", "zone": "x"}, {"pool": "b", "zone": "y"}]),
    st.frozensets(st.sampled_from(TOKENS), max_size=1),
    st.sampled_from([(), (FEATURES[0],), tuple(FEATURES)]),
    amounts,
    st.tuples(*[st.integers(-1, 3)] * 3),
    st.sampled_from([-1, 0, 1, 1, 9]),
)
clusters = st.lists(facts, min_size=1, max_size=len(NODES))
rules = st.builds(
    PodRules,
    st.sampled_from([(), (), (Spread("zone", 1, 1, "seen:a", True),)]),
    st.sampled_from([None, None, Near(("zone",), "seen:a", False)]),
    st.sampled_from([(), (Apart("zone", "seen:b"),)]),
    st.sampled_from([(), (Apart("pool", "kept:b"),)]),
)
marks = st.frozensets(st.sampled_from(["seen:a", "seen:b", "kept:b"]), max_size=2)


def columns(found: Sequence[NodeFacts]) -> Snapshot:
    """These nodes as a snapshot."""
    each = {node.name: node for node in found}
    sets = sorted({node.features for node in found})
    snap = snapshot(
        ": " + " ".join(each),
        allocatable={name: node.allocatable for name, node in each.items()},
        slots={name: node.slots for name, node in each.items()},
        taints={name: node.taints for name, node in each.items()},
        labels={name: node.labels for name, node in each.items()},
        flags={name: CORDONED if node.cordoned else 0 for name, node in each.items()},
        tokens={
            token: [name for name, node in each.items() if token in node.tokens]
            for token in sorted(frozenset().union(*(node.tokens for node in found)))
        },
    )
    return replace(
        snap,
        free=np.array([node.free for node in found], np.int64).T,
        features=tuple(sets),
        feature_set=np.array([sets.index(node.features) for node in found], np.int32),
    )


def nobody(mark: str) -> I64:
    """No pod has any mark."""
    del mark
    return np.zeros(len(NODES), np.int64)


def named(found: Sequence[NodeFacts]) -> list[NodeFacts]:
    """n0, n1, .."""
    return [replace(node, name=name) for name, node in zip(NODES, found, strict=False)]


@given(shapes, clusters, members, rules, st.lists(st.tuples(st.integers(0, 4), marks), max_size=4))
def test_columns_say_what_the_rules_say_of_one_node(
    shape: Shape,
    cluster: list[NodeFacts],
    member: Member,
    between: PodRules,
    there: list[tuple[int, frozenset[str]]],
) -> None:
    """Per row the first plugin that refuses, its code, and all its reasons."""
    nodes = named(cluster)
    shape = replace(shape, rules=between)
    pods = [PlacedPod(nodes[at % len(nodes)], marked) for at, marked in there]

    def counted(mark: str) -> I64:
        return np.array([sum(p.node is n and mark in p.marks for p in pods) for n in nodes])

    def rule(node: NodeFacts) -> Verdict | None:
        found = rule_reference.spread_code(shape, node, nodes, pods)
        if found:
            return {spread.MISSING: order.NO_KEY, spread.SKEW: order.SKEW}[found]
        texts = (None, order.NOT_NEAR, order.NOT_APART, order.REPELLED)
        return texts[rule_reference.affinity_code(shape, node, pods)]

    found = order.verdicts(shape, columns(nodes), counted, member)
    wanted = [first_verdict(shape, n, NAMES, member, lambda n=n: rule(n)) for n in nodes]  # type: ignore[misc]
    assert [found.at(row) for row in range(len(nodes))] == wanted
    counts: dict[str, int] = {}
    for verdict in wanted:
        for reason in verdict.reasons if verdict else ():
            counts[reason] = counts.get(reason, 0) + 1
    assert found.counts() == counts


@given(affinities)
def test_names_that_affinity_leaves_over(affinity: tuple[Term, ...] | None) -> None:
    """The union over terms of what each term's lists of names have in common."""
    names_left = named_nodes(affinity)
    wanted = pinned(affinity)
    assert names_left == (None if wanted is None else frozenset(wanted))
    conflict = order.refusal(Shape((0, 0, 0), affinity=affinity)) is order.CONFLICT
    assert conflict == (names_left == frozenset())


def one(shape: Shape, member: Member = order.ANYBODY, **node: Any) -> Verdict | None:
    """What a node n1 says to `shape`, through the columns."""
    facts = {"allocatable": (4, 4, 4), "free": (4, 4, 4), **node}
    return order.verdicts(shape, columns([NodeFacts("n1", **facts)]), nobody, member).at(0)


FREE = (0, 0, 0)


@pytest.mark.parametrize(
    ("shape", "node", "plugin", "code", "reasons"),
    [
        (Shape(FREE), {"cordoned": True}, "NodeUnschedulable", "UnschedulableAndUnresolvable",
         ["node(s) were unschedulable"]),
        (Shape(FREE), {"taints": (Taint("gpu", "a"),)}, "TaintToleration",
         "UnschedulableAndUnresolvable", ["node(s) had untolerated taint(s)"]),
        (Shape(FREE, selector=(("a", "b"),)), {}, "NodeAffinity", "UnschedulableAndUnresolvable",
         ["node(s) didn't match Pod's node affinity/selector"]),
        (Shape(FREE, affinity=()), {}, "NodeAffinity", "UnschedulableAndUnresolvable",
         ["node(s) didn't match Pod's node affinity/selector"]),
        (Shape(FREE, tokens=("port:TCP/80",)), {"tokens": frozenset({"port:TCP/80@::"})},
         "NodePorts", "Unschedulable",
         ["node(s) didn't have free ports for the requested pod ports"]),
        (Shape(FREE), {"slots": 0}, "NodeResourcesFit", "Unschedulable", ["Too many pods"]),
        (Shape((1, 0, 1)), {"free": (-1, -1, 0)}, "NodeResourcesFit", "Unschedulable",
         ["Insufficient cpu", "Insufficient nvidia.com/gpu"]),
        (Shape((1, 1, 5)), {"slots": -1, "free": (4, 0, 4)}, "NodeResourcesFit",
         "UnschedulableAndUnresolvable",
         ["Too many pods", "Insufficient memory", "Insufficient nvidia.com/gpu"]),
        (Shape(FREE, tokens=("disk:ebs/v",)), {"tokens": frozenset({"disk:ebs/v"})},
         "VolumeRestrictions", "Unschedulable", ["node(s) had no available disk"]),
        (Shape(FREE, features=("Feature",)), {}, "NodeDeclaredFeatures",
         "UnschedulableAndUnresolvable", ["node(s) didn't match Pod's required features"]),
    ],
)  # fmt: skip
def test_each_plugin_in_its_own_words(
    shape: Shape, node: dict[str, Any], plugin: str, code: str, reasons: list[str]
) -> None:
    """Plugin, code and reasons as kube-scheduler 1.36 gives them."""
    assert one(shape, **node) == Verdict(plugin, Code(code), tuple(reasons))
    assert one(Shape(FREE)) is None


def test_words_for_names_of_nodes() -> None:
    """By name: another node than asked for, none of the narrowed list, terms that exclude all."""
    elsewhere = one(Shape(FREE), Member(node_name="n2"))
    assert elsewhere == Verdict(
        "NodeName", Code.UNRESOLVABLE, ("node(s) didn't match the requested node name",)
    )
    for pins, affinity in ((("n2",), None), (None, (_by_name("n2"),))):
        cut = one(Shape(FREE, affinity=affinity), Member(pins=pins))
        text = "node(s) didn't satisfy plugin(s) [NodeAffinity]"
        assert cut == Verdict("NodeAffinity", Code.UNRESOLVABLE, (text,))
    # Two names in one list narrow the nodes, but such a term never matches (one value only).
    both = Term((), (Requirement("metadata.name", "In", ("n1", "n2")),))
    assert one(Shape(FREE, affinity=(both,))) is order.MISMATCH
    apart = Term((), (*_by_name("n1").fields, *_by_name("n2").fields))
    refused = order.refusal(Shape(FREE, affinity=(apart,)))
    assert refused == Verdict("NodeAffinity", Code.UNRESOLVABLE, ("pod affinity terms conflict",))
    assert order.refusal(Shape(FREE, affinity=(apart, Term()))) is None


def _by_name(name: str) -> Term:
    return Term((), (Requirement("metadata.name", "In", (name,)),))


def test_words_for_rules_between_pods() -> None:
    """Spread and affinity in their own words, spread first."""
    assert order.NO_KEY.reasons == (
        "node(s) didn't match pod topology spread constraints (missing required label)",
    )
    assert order.SKEW.reasons == ("node(s) didn't match pod topology spread constraints",)
    assert order.NOT_NEAR.reasons == ("node(s) didn't match pod affinity rules",)
    assert order.NOT_APART.reasons == ("node(s) didn't match pod anti-affinity rules",)
    text = "node(s) didn't satisfy existing pods anti-affinity rules"
    assert order.REPELLED.reasons == (text,)
    codes = [v.code for v in (order.NO_KEY, order.SKEW, order.NOT_NEAR, order.NOT_APART)]
    hard, soft = Code.UNRESOLVABLE, Code.UNSCHEDULABLE
    assert [*codes, order.REPELLED.code] == [hard, soft, hard, soft, soft]
    shape = Shape(FREE, rules=PodRules((Spread("zone", 1, 1, "", own=False),), near=None))
    assert one(shape) == order.NO_KEY
    assert one(replace(shape, rules=PodRules(near=Near(("zone",), "", own=True)))) == order.NOT_NEAR
    assert pod_affinity.NEAR == 1


def test_gates_come_first() -> None:
    """A gated pod is refused before its affinity is read; gates are listed as written."""
    shape = Shape(FREE, affinity=(Term((), (*_by_name("a").fields, *_by_name("b").fields)),))
    gated = Verdict("SchedulingGates", Code.UNRESOLVABLE, ("waiting for scheduling gates: [b a]",))
    assert order.refusal(shape, Member(gates=("b", "a"))) == gated


MISSING = Verdict("VolumeRestrictions", Code.UNRESOLVABLE, ('persistentvolumeclaim "x" not found',))
CLAIMS = Verdict("DynamicResources", Code.UNRESOLVABLE, ("no",))


def volumes(plugin: str, codes: list[int], *outcomes: Outcome) -> VolumeVerdicts:
    """What one volume plugin says."""
    verdict = outcome.Verdict(plugin, (None, *outcomes), np.array(codes, np.int16))
    return VolumeVerdicts(None, (verdict,))


def test_volumes_are_asked_between_resources_and_spread() -> None:
    """PreFilter: after NodeAffinity, before DynamicResources; Filter: after NodeResourcesFit."""
    refused = Refusal(MISSING.plugin, MISSING.code, MISSING.reasons[0])
    member = Member(volumes=VolumeVerdicts(refused), claims=CLAIMS)
    assert order.refusal(Shape(FREE), member) == MISSING
    assert order.refusal(Shape(FREE), Member(claims=CLAIMS)) is CLAIMS
    nodes = [NodeFacts(f"n{i}", allocatable=FREE, free=FREE, slots=i) for i in range(4)]
    shape = Shape(FREE, rules=PodRules((Spread("zone", 1, 1, "", own=False),)))
    full = Outcome(Code.UNSCHEDULABLE, ("node(s) exceed max volume count",))
    far = Outcome(Code.UNRESOLVABLE, ("one", "two"))
    asking = Member(volumes=volumes("NodeVolumeLimits", [1, 1, 0, 2], full, far))
    found: Verdicts = order.verdicts(shape, columns(nodes), nobody, asking)
    texts = [verdict.plugin for row in range(4) if (verdict := found.at(row))]
    fit, limits = "NodeResourcesFit", "NodeVolumeLimits"
    assert texts == [fit, limits, "PodTopologySpread", limits]
    assert found.at(3) == Verdict("NodeVolumeLimits", Code.UNRESOLVABLE, ("one", "two"))
    assert found.counts() == {
        "Too many pods": 1,
        "node(s) exceed max volume count": 1,
        spread.MISSING_REASON: 1,
        "one": 1,
        "two": 1,
    }


def test_room_for_volumes_is_no_resource_of_kubernetes() -> None:
    """A live cluster counts it like one; who lacks it exceeds NodeVolumeLimits."""
    names = ("cpu", "memory", "volumes of ebs.csi.aws.com")
    snap = snapshot(": n1..3", resources=names, allocatable=[4, 4, 4])
    snap = replace(snap, free=np.array([[4, 0, 4], [4, 4, 4], [0, 0, 1]], np.int64))
    found = order.verdicts(Shape((1, 0, 1)), snap, nobody)
    text = ("node(s) exceed max volume count",)
    assert found.at(0) == Verdict("NodeVolumeLimits", Code.UNSCHEDULABLE, text)
    fit = found.at(1)
    assert fit is not None
    assert fit.reasons == ("Insufficient cpu",)
    assert found.at(2) is None


def test_a_shape_of_very_many_resources() -> None:
    """Rows that lack different ones of many resources keep their own reasons."""
    many = tuple(f"example.com/r{i:03}" for i in range(100))
    snap = snapshot(": n1..3", resources=many, allocatable=[1] * 100)
    free = np.ones((100, 3), np.int64)
    free[99, 0] = free[0, 1] = free[99, 2] = 0
    found = order.verdicts(Shape((1,) * 100), replace(snap, free=free), nobody)
    assert [found.which[0] == found.which[2], found.which[0] == found.which[1]] == [True, False]
    assert [v.reasons for v in found.given] == [
        (f"Insufficient {many[0]}",), (f"Insufficient {many[99]}",),
    ] or [v.reasons for v in found.given] == [
        (f"Insufficient {many[99]}",), (f"Insufficient {many[0]}",),
    ]  # fmt: skip


def test_the_sentence_users_know() -> None:
    """Counts per reason, sorted as texts; a PreFilter refusal stands alone; no node at all."""
    counts = {"node(s) had untolerated taint(s)": 2, "Insufficient cpu": 10, "Too many pods": 10}
    assert order.available_text(30, counts) == (
        "0/30 nodes are available: 10 Insufficient cpu, 10 Too many pods,"
        " 2 node(s) had untolerated taint(s)."
    )
    text = 'persistentvolumeclaim "x" not found'
    assert order.available_text(3, MISSING) == f"0/3 nodes are available: {text}."
    assert order.available_text(0, {}) == "no nodes available to schedule pods"
    assert order.available_text(3, {}) == "0/3 nodes are available:"
