"""What a pod's spec asks of other pods, field by field."""

from __future__ import annotations

from typing import Any

import pytest

from scheduler.model.audience import Audience, Carried, Scope, meaning_of
from scheduler.model.constraints import Requirement, Term
from scheduler.model.decode import Node, Pod
from scheduler.model.pod_rules import NO_RULES, Spread
from scheduler.model.pod_terms import MEMBER_RULES, carried_by
from tests.model.as_json import box, pod, read

REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
APP = {"matchLabels": {"app": "a"}}
APP_A = (Requirement("app", "In", ("a",)),)


def spread(*constraints: dict[str, Any], **spec: Any) -> Pod:
    """A pod labelled app=a with these constraints, DoNotSchedule unless they say otherwise."""
    full = [
        {"topologyKey": "zone", "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule", **each}
        for each in constraints
    ]
    return pod({"topologySpreadConstraints": full, **spec}, labels={"app": "a", "rev": "2"})


def audience(mark: str) -> Audience:
    meaning = meaning_of(mark)
    assert isinstance(meaning, Audience)
    return meaning


def test_a_spread_constraint_is_read_with_its_defaults() -> None:
    """Node affinity is honoured, taints are ignored, one domain is enough."""
    (rule,) = spread({"labelSelector": APP, "maxSkew": 3}).shape.rules.spread
    assert rule == Spread("zone", 3, 1, rule.mark, own=True)
    assert audience(rule.mark) == Audience((Scope(APP_A, ("ns",)),), leaving=False)


def test_a_spread_constraint_is_read_with_all_that_it_says() -> None:
    """In the order in which constraints are declared; soft ones are no rules."""
    rules = spread(
        {"topologyKey": "b", "labelSelector": APP, "minDomains": 4},
        {"topologyKey": "soft", "labelSelector": APP, "whenUnsatisfiable": "ScheduleAnyway"},
        {
            "topologyKey": "a",
            "labelSelector": {"matchLabels": {"app": "b"}},
            "nodeAffinityPolicy": "Ignore",
            "nodeTaintsPolicy": "Honor",
        },
    ).shape.rules.spread
    assert [(r.key, r.min_domains, r.own) for r in rules] == [("b", 4, True), ("a", 1, False)]
    assert [(r.honor_affinity, r.honor_taints) for r in rules] == [(True, False), (False, True)]


@pytest.mark.parametrize(("selector", "own"), [(None, False), ({}, True)])
def test_a_spread_selector_that_is_null_or_empty_counts_nobody(selector: Any, own: bool) -> None:
    """But an empty one counts the pod itself."""
    (rule,) = spread({"labelSelector": selector}).shape.rules.spread
    assert (rule.mark, rule.own) == ("", own)


@pytest.mark.parametrize(
    ("selector", "keys", "asked", "own"),
    [
        (APP, ["rev"], {"app": "a", "rev": "2"}, True),
        (APP, ["rev", "none"], {"app": "a", "rev": "2"}, True),
        ({}, ["rev"], {"rev": "2"}, True),
        ({"matchLabels": {"app": "b"}}, ["rev"], {"app": "b", "rev": "2"}, False),
    ],
)
def test_match_label_keys_are_put_beside_the_selector(
    selector: Any,
    keys: list[str],
    asked: dict[str, str],
    own: bool,
) -> None:
    """With the pod's own values, for keys that it has."""
    found = spread({"labelSelector": selector, "matchLabelKeys": keys})
    (rule,) = found.shape.rules.spread
    (scope,) = audience(rule.mark).scopes
    assert scope.labels == tuple(Requirement(k, "In", (v,)) for k, v in sorted(asked.items()))
    assert rule.own is own


def test_a_pod_with_spread_keeps_its_node_names_in_the_affinity() -> None:
    """Which nodes count depends on them; they are pins as well."""
    field = {"key": "metadata.name", "operator": "In", "values": ["n1"]}
    affinity = {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": [{"matchFields": [field]}]}}}
    found = spread({"labelSelector": APP}, affinity=affinity)
    assert found.pins == ("n1",)
    term = Term(fields=(Requirement("metadata.name", "In", ("n1",)),))
    assert found.shape.affinity == (term,)


def between(kind: str, *terms: dict[str, Any], **meta: Any) -> Pod:
    """A pod labelled app=a with required terms of pod (anti-)affinity."""
    full = [{"topologyKey": "zone", "labelSelector": APP, **each} for each in terms]
    return pod({"affinity": {kind: {REQUIRED: full}}}, **{"labels": {"app": "a"}, **meta})


def test_affinity_terms_are_one_audience_whatever_their_order() -> None:
    """Only a pod that all of them mean counts; keys stay in the order of the terms."""
    one, other = {"topologyKey": "b"}, {"namespaces": ["y", "x"]}
    near = between("podAffinity", one, other).shape.rules.near
    swapped = between("podAffinity", other, one).shape.rules.near
    assert near is not None
    assert swapped is not None
    assert (near.keys, swapped.keys) == (("b", "zone"), ("zone", "b"))
    assert near.mark == swapped.mark
    assert audience(near.mark).leaving
    assert set(audience(near.mark).scopes) == {Scope(APP_A, ("ns",)), Scope(APP_A, ("x", "y"))}
    assert not near.own
    own = between("podAffinity", one).shape.rules.near
    assert own is not None
    assert own.own


@pytest.mark.parametrize(
    ("term", "scope"),
    [
        ({}, Scope(APP_A, ("ns",))),
        ({"namespaces": ["b", "a"]}, Scope(APP_A, ("a", "b"))),
        ({"namespaceSelector": {}}, Scope(APP_A, (), ())),
        ({"namespaces": ["x"], "namespaceSelector": APP}, Scope(APP_A, ("x",), APP_A)),
        ({"labelSelector": None}, Scope(None, ("ns",))),
        ({"labelSelector": {}}, Scope((), ("ns",))),
        (
            {"labelSelector": {"matchExpressions": [{"key": "app", "operator": "Exists"}]}},
            Scope((Requirement("app", "Exists"),), ("ns",)),
        ),
    ],
)
def test_anti_affinity_terms(term: dict[str, Any], scope: Scope) -> None:
    """The owner's namespace counts where none is named and none is selected."""
    rules = between("podAntiAffinity", term).shape.rules
    (rule,) = rules.apart
    assert (rule.key, audience(rule.mark)) == ("zone", Audience((scope,)))
    assert carried_by(rules) == (Carried("zone", scope),)
    assert (rules.leaves, rules.repelled) == ((), ())


def test_pods_without_rules_share_one_value() -> None:
    """Also those that only prefer something."""
    soft = {"podAffinity": {PREFERRED: [{"weight": 1, "podAffinityTerm": {"topologyKey": "zone"}}]}}
    assert pod({"affinity": soft}).shape.rules is NO_RULES


@pytest.mark.parametrize("kind", ["podAffinity", "podAntiAffinity"])
@pytest.mark.parametrize(
    "bad",
    [
        {"key": "app", "operator": "Gt", "values": ["1"]},
        {"key": "app", "operator": "In"},
        {"key": "app", "operator": "Exists", "values": ["a"]},
        {"key": "app", "operator": "In", "values": ["-"]},
        {"key": "-", "operator": "Exists"},
    ],
)
def test_a_list_with_a_term_that_does_not_parse_is_named(kind: str, bad: dict[str, Any]) -> None:
    """It asks for nothing, so that others are not kept away by it; the pod itself waits."""
    for where in ("labelSelector", "namespaceSelector"):
        found = between(kind, {}, {where: {"matchExpressions": [bad]}})
        assert found.shape.rules == NO_RULES
        assert f"unreadable {kind}" in found.unsupported


def test_a_spread_selector_that_does_not_parse_is_named() -> None:
    """Unless the constraint is soft."""
    bad = {"labelSelector": {"matchLabels": {"app": "no label"}}}
    assert "unreadable topologySpreadConstraints" in spread(bad).unsupported
    assert spread({**bad, "whenUnsatisfiable": "ScheduleAnyway"}).unsupported == ()


@pytest.mark.parametrize(
    "found",
    [
        between(
            "podAntiAffinity",
            {"labelSelector": {"matchLabels": {"apps.kubernetes.io/pod-index": "0"}}},
        ),
        spread({"labelSelector": APP, "matchLabelKeys": ["statefulset.kubernetes.io/pod-name"]}),
    ],
)
def test_rules_on_labels_of_single_members_are_named(found: Pod) -> None:
    """What they mean would differ inside one workload."""
    assert MEMBER_RULES in found.unsupported


def test_preferred_node_affinity_is_read() -> None:
    """Terms that say nothing or weigh nothing are left out; the order does not matter."""
    zone = {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]}
    disk = {"matchExpressions": [{"key": "disk", "operator": "Exists"}]}
    terms = [(9, zone), (1, disk), (5, {}), (0, zone)]
    listed = [{"weight": weight, "preference": term} for weight, term in terms]
    found = pod({"affinity": {"nodeAffinity": {PREFERRED: listed}}})
    swapped = pod({"affinity": {"nodeAffinity": {PREFERRED: listed[::-1]}}})
    assert found.shape.preferred == (
        (1, Term((Requirement("disk", "Exists"),))),
        (9, Term((Requirement("zone", "In", ("a",)),))),
    )
    assert found.shape == swapped.shape
    assert (found.shape.affinity, found.unsupported) == (None, ())


@pytest.mark.parametrize(
    ("spec", "features"),
    [
        ({"containers": [box()]}, ()),
        (
            {"initContainers": [{**box(), "restartPolicyRules": [
                {"action": "RestartAllContainers"}]}]},
            ("RestartAllContainersOnContainerExits",),
        ),
        ({"containers": [{**box(), "restartPolicyRules": [{"action": "Restart"}]}]}, ()),
        ({"hostNetwork": True, "hostUsers": False}, ("UserNamespacesHostNetworkSupport",)),
        ({"hostNetwork": True}, ()),
        ({"hostUsers": False}, ()),
    ],
)  # fmt: skip
def test_features_that_a_node_must_declare(spec: dict[str, Any], features: tuple[str, ...]) -> None:
    """The two that scheduling ever asks for."""
    assert pod(spec).shape.features == features


def test_features_that_a_node_declares() -> None:
    """Sorted, each once."""
    node: Node = read("Node", status={"declaredFeatures": ["b", "a", "b"]})
    assert node.features == ("a", "b")
    assert read("Node").features == ()
