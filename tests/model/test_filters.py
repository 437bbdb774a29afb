"""Static filters over columns equal kube-scheduler's rules for one node at a time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.model.constraints import Requirement, Taint, Term, Toleration
from scheduler.model.filters import Eligibility, resources, slots
from scheduler.model.filters.columns import OTHER, Reasons
from scheduler.model.filters.node_affinity import parse_int64, parses
from scheduler.model.filters.reference import NodeFacts, first_reason
from scheduler.model.filters.taints import matches
from scheduler.model.filters.tokens import clash, port_token
from scheduler.model.resources import ResourceOrder
from scheduler.model.shape import Shape
from scheduler.model.snapshot import CORDONED, SETTLING, LabelColumn, Snapshot
from tests.builders import snapshot

NODES = [f"n{i}" for i in range(6)]
KEYS = ["zone", "gen", "absent"]
VALUES = ["a", "b", "7", "007", "12", "1_0", "9223372036854775808", ""]
FEATURES = ["RestartAllContainersOnContainerExits", "UserNamespacesHostNetworkSupport"]
TOKENS = [
    *("port:TCP/80", "port:TCP/80@10.0.0.1", "port:TCP/80@::", "port:UDP/80"),
    *("disk:ebs/v", "disk:gce-pd/d", "disk:gce-pd:ro/d"),
]

taints = st.builds(
    Taint,
    st.sampled_from(["gpu", "node.kubernetes.io/unschedulable"]),
    st.sampled_from(["", "a", "b"]),
    st.sampled_from(["NoSchedule", "NoExecute", "PreferNoSchedule", "Strange"]),
)
tolerations = st.builds(
    Toleration,
    st.sampled_from(["", "gpu", "node.kubernetes.io/unschedulable"]),
    st.sampled_from(["", "Equal", "Exists", "Lt", "Gt"]),
    st.sampled_from(["", "a", "5"]),
    st.sampled_from(["", "NoSchedule", "NoExecute"]),
)
requirements = st.builds(
    Requirement,
    st.sampled_from([*KEYS, "bad key"]),
    st.sampled_from(["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt", "Near"]),
    st.lists(st.sampled_from([*VALUES, "8", "-5", "x y"]), max_size=2).map(tuple),
)
fields = st.builds(
    Requirement,
    st.sampled_from(["metadata.name", "spec.other"]),
    st.sampled_from(["In", "NotIn", "Exists"]),
    st.lists(st.sampled_from([*NODES[:3], "gone", ""]), max_size=2).map(tuple),
)
terms = st.builds(
    Term,
    st.lists(requirements, max_size=2).map(tuple),
    st.one_of(st.just(()), st.lists(fields, max_size=2).map(tuple)),
)
shapes = st.builds(
    Shape,
    st.just((0, 0, 0)),
    st.dictionaries(st.sampled_from(KEYS), st.sampled_from(VALUES), max_size=2).map(
        lambda pairs: tuple(sorted(pairs.items()))
    ),
    st.one_of(st.none(), st.lists(terms, max_size=2).map(tuple)),
    st.lists(tolerations, max_size=3).map(tuple),
    st.lists(st.sampled_from(TOKENS), max_size=2, unique=True).map(tuple),
    st.lists(st.sampled_from(FEATURES), max_size=2, unique=True).map(tuple),
)
nodes = st.lists(
    st.builds(
        NodeFacts,
        st.just(""),
        st.booleans(),
        st.lists(taints, max_size=2, unique=True).map(lambda found: tuple(sorted(found))),
        st.dictionaries(st.sampled_from(KEYS[:2]), st.sampled_from(VALUES)),
        st.frozensets(st.sampled_from(TOKENS), max_size=2),
        st.sampled_from([(), (), tuple(FEATURES), (FEATURES[1],)]),
    ),
    min_size=1,
    max_size=len(NODES),
)


def columns(facts: list[NodeFacts]) -> Snapshot:
    """The nodes n0, n1, .. with these facts as a snapshot."""
    names = NODES[: len(facts)]
    each = dict(zip(names, facts, strict=True))
    snap = snapshot(
        ": " + " ".join(names),
        taints={name: node.taints for name, node in each.items()},
        labels={name: node.labels for name, node in each.items()},
        flags={name: CORDONED if node.cordoned else SETTLING for name, node in each.items()},
        tokens={t: [n for n, node in each.items() if t in node.tokens] for t in TOKENS},
    )
    sets = sorted({node.features for node in facts})
    if sets == [()]:  # there is a column only once some node declares something
        return snap
    return replace(
        snap,
        features=tuple(sets),
        feature_set=np.array([sets.index(node.features) for node in facts], np.int32),
    )


@given(shapes, nodes, st.data())
def test_columns_equal_the_rule_for_one_node(
    shape: Shape, facts: list[NodeFacts], data: st.DataObject
) -> None:
    """Each row's reason is the first refusal of the plain rule, for all rows and for some."""
    snap = columns(facts)
    wanted = [first_reason(shape, replace(f, name=n)) for n, f in zip(NODES, facts, strict=False)]
    eligibility = Eligibility(shape)
    codes = eligibility.evaluate(snap)
    assert codes.dtype == np.int16
    assert [eligibility.reasons[code] for code in codes] == wanted
    assert [code == 0 for code in codes] == [not text for text in wanted]
    some = data.draw(st.lists(st.integers(0, len(facts) - 1)))
    of_some = eligibility.evaluate(snap, np.array(some, np.int32))
    assert of_some.tolist() == codes[some].tolist()


def test_reasons_are_counted_by_number_and_keep_it() -> None:
    """np.bincount over the codes gives the counts of the sentence, call after call."""
    snap = snapshot(
        ": n1..7",
        taints={n: [Taint("gpu", "reserved")] for n in ("n1", "n2", "n3")},
        flags={"n3": CORDONED, "n4": CORDONED},
        labels={"n5": {"pool": "a"}, "n6": {"pool": "b"}},
    )
    eligibility = Eligibility(Shape((0, 0, 0), selector=(("pool", "a"),)))
    counts = np.bincount(eligibility.evaluate(snap), minlength=len(eligibility.reasons))
    named = dict(zip(eligibility.reasons, counts.tolist(), strict=True))
    assert named == {"": 1, "cordoned": 2, "taint gpu=reserved": 2, "node selector pool=a": 2}
    before = list(eligibility.reasons)
    eligibility.evaluate(snapshot(": n1", taints={"n1": [Taint("other")]}))
    assert eligibility.reasons == [*before, "taint other"]


@pytest.mark.parametrize(
    ("toleration", "taint", "covered"),
    [
        (Toleration("k", "Equal", "v"), Taint("k", "v"), True),
        (Toleration("k", "Equal", "w"), Taint("k", "v"), False),
        (Toleration("k", "Exists"), Taint("k", "v", "NoExecute"), True),
        (Toleration("k", "Exists", "", "NoSchedule"), Taint("k", "v", "NoExecute"), False),
        (Toleration("", "Exists"), Taint("any", "v"), True),
        (Toleration("", "Equal", "v"), Taint("any", "v"), True),
        (Toleration("k", "", "v"), Taint("k", "v"), True),
        (Toleration("k", "Lt", "9"), Taint("k", "5"), False),
    ],
)
def test_tolerations_match_as_the_api_says(
    toleration: Toleration, taint: Taint, *, covered: bool
) -> None:
    """Empty key and effect match all, only Equal and Exists are operators."""
    assert matches(toleration, taint) is covered


def reason(shape: Shape, **node: object) -> str:
    """Why one node n1 refuses `shape`, through the columns."""
    eligibility = Eligibility(shape)
    snap = snapshot(": n1", **{key: {"n1": value} for key, value in node.items()})  # type: ignore[arg-type]
    return eligibility.reasons[int(eligibility.evaluate(snap)[0])]


def test_a_cordon_needs_its_own_toleration() -> None:
    """Tolerating everything with NoExecute does not open a cordoned node; NoSchedule does."""
    no_execute = (Toleration("", "Exists", "", "NoExecute"),)
    assert reason(Shape((0, 0, 0), tolerations=no_execute), flags=CORDONED) == "cordoned"
    for effect in ("", "NoSchedule"):
        opens = (Toleration("node.kubernetes.io/unschedulable", "Exists", "", effect),)
        assert reason(Shape((0, 0, 0), tolerations=opens), flags=CORDONED) == ""


def test_settling_is_no_filter() -> None:
    """A node younger than nodeSettle is the planner's matter."""
    assert reason(Shape((0, 0, 0)), flags=SETTLING) == ""


def test_affinity_edges() -> None:
    """No terms, empty terms and terms that do not parse match nothing; others still may."""
    bad = Term((Requirement("pool", "Near", ("a",)),))
    good = Term((Requirement("pool", "In", ("a",)),))
    labels = {"pool": "a"}
    for affinity in ((), (Term(),), (bad,), (bad, Term())):
        assert reason(Shape((0, 0, 0), affinity=affinity), labels=labels) == "node affinity"
    assert reason(Shape((0, 0, 0), affinity=(bad, good)), labels=labels) == ""
    both = Term((*bad.expressions, *good.expressions))
    assert reason(Shape((0, 0, 0), affinity=(both,)), labels=labels) == "node affinity"


def test_comparisons_read_int64_as_go_does() -> None:
    """Leading zeros count, underscores and values beyond int64 are no numbers, absent fails."""
    assert [parse_int64(t) for t in ("007", "1_0", "-3", "", " 1")] == [7, None, -3, None, None]
    assert parse_int64(str(2**63 - 1)) == 2**63 - 1
    assert parse_int64(str(2**63)) is None
    more = Shape((0, 0, 0), affinity=(Term((Requirement("gen", "Gt", ("6",)),)),))
    assert [reason(more, labels=at) for at in ({"gen": "007"}, {"gen": "6"}, {"gen": "x"}, {})] == [
        "", *["node affinity"] * 3,
    ]  # fmt: skip
    longest = "0" * 58 + "12345"  # as long as a label value may be
    assert parse_int64(longest) == 12345
    assert parse_int64("0" * 10**6) is None
    assert not parses(Requirement("gen", "Gt", ("x",)))
    assert not parses(Requirement("gen", "Gt", ("-5",)))  # no label value: the API refuses it


def test_host_ports_clash_by_protocol_and_address() -> None:
    """0.0.0.0 and an empty address are every address; `::` is one address of its own."""
    every, zero = port_token(80), port_token(80, "TCP", "0.0.0.0")
    one, two, six = (port_token(80, "TCP", ip) for ip in ("10.0.0.1", "10.0.0.2", "::"))
    assert every == zero == "port:TCP/80"
    assert all(clash(every, other) and clash(other, every) for other in (every, one, two, six))
    assert not clash(one, two)
    assert not clash(one, six)
    assert clash(six, six)
    assert not clash(every, port_token(80, "UDP"))
    assert not clash(every, port_token(8, "TCP"))


def test_declared_features() -> None:
    """A node that declares fewer is counted under the first that it lacks."""
    shape = Shape((0, 0, 0), features=tuple(FEATURES))
    snap = snapshot(": n1..3")
    eligibility = Eligibility(shape)
    assert [eligibility.reasons[c] for c in eligibility.evaluate(snap)] == [
        f"feature {FEATURES[0]}"
    ] * 3
    sets = ((), ("Another", *FEATURES), (FEATURES[0],))
    snap = replace(snap, features=sets, feature_set=np.array([2, 1, 0], np.int32))
    assert [eligibility.reasons[c] for c in eligibility.evaluate(snap)] == [
        f"feature {FEATURES[1]}", "", f"feature {FEATURES[0]}",
    ]  # fmt: skip


def test_resources_that_are_not_asked_for_are_not_looked_at() -> None:
    """A negative remainder refuses only those who want some of it."""
    order = ResourceOrder.of(["nvidia.com/gpu"])
    assert resources.fits((-5, 10, 0), (0, 10, 0))
    assert not resources.fits((-5, 10, 0), (1, 10, 0))
    assert resources.reasons((-5, 9, 0), (1, 10, 1), order) == [
        *("Insufficient cpu", "Insufficient memory", "Insufficient nvidia.com/gpu")
    ]
    assert [slots.fits(free) for free in (-1, 0, 1)] == [False, False, True]


def test_a_taint_of_its_own_on_every_node_does_not_overflow_the_codes() -> None:
    """Beyond a bound, texts are counted together; codes stay int16."""
    reasons = Reasons()
    codes = [reasons.code(f"taint host={i}") for i in range(40_000)]
    assert max(codes) < 2**15
    assert reasons.texts[codes[-1]] == OTHER
    assert reasons.code("taint host=17") == codes[17]


def test_a_value_no_node_carries_any_more_is_harmless() -> None:
    """Label columns may list values that no row uses."""
    snap = snapshot(": n1 n2", labels={"n1": {"pool": "a"}})
    column = LabelColumn("pool", ("gone", "a"), np.array([1, -1], np.int32))
    stale = {**snap.labels, "pool": column}
    shape = Shape((0, 0, 0), affinity=(Term((Requirement("pool", "NotIn", ("gone",)),)),))
    assert Eligibility(shape).evaluate(replace(snap, labels=stale)).tolist() == [0, 0]
