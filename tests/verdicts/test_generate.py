"""The cases that Muster and kube-scheduler are compared on."""

from __future__ import annotations

import msgspec
import pytest

from scheduler.model.objects import NodeObject, PodObject
from tests.verdicts.compare import LEGITIMATE, Difference, differences, excuse
from tests.verdicts.generate import AIMS, case, cases, line
from tests.verdicts.shrink import shrink
from tests.verdicts.world import Json

CPU = {"plugin": "NodeResourcesFit", "code": "Unschedulable", "reasons": ["Insufficient cpu"]}
BOTH = {**CPU, "reasons": ["Insufficient memory", "Insufficient cpu"]}


def test_the_same_seed_gives_the_same_bytes() -> None:
    """A case is found again from its id: seed and number."""
    first = [line(each) for each in cases(60, 7)]
    assert first == [line(each) for each in cases(60, 7)]
    assert first[41] == line(case(7, 41))
    assert first != [line(each) for each in cases(60, 8)]


@pytest.mark.parametrize("aim", AIMS)
def test_cases_are_objects_that_muster_reads(aim: str) -> None:
    """What aims at a filter is well-formed: both sides can read it."""
    for each in cases(25, 3, aim):
        assert aim in each["id"]
        for node in each["nodes"]:
            msgspec.convert(node, NodeObject)
        for pod in [*each["pods"], each["pod"]]:
            assert msgspec.convert(pod, PodObject).metadata.uid
        assert all(item["kind"] and item["metadata"]["name"] for item in each["objects"])


def test_reasons_are_compared_without_their_order() -> None:
    """kube-scheduler gives resources in the order of a map; everything else must be equal."""
    ours = {"id": 1, "verdicts": {"a": BOTH}}
    theirs = {"id": 1, "verdicts": {"a": {**BOTH, "reasons": sorted(BOTH["reasons"])}}}
    assert differences(ours, theirs) == []
    assert differences(ours, {"id": 1, "verdicts": {}}) == [Difference("a", BOTH, {})]
    assert differences({"id": 1, "verdicts": {"a": CPU}}, theirs)[0].node == "a"
    unread = differences({"id": 1, "error": "no pod"}, theirs)
    assert [each.node for each in unread] == ["*"]


def test_nothing_excuses_a_pod_that_kube_scheduler_would_refuse() -> None:
    """Every legitimate difference is on the safe side: Muster refuses, never the other way."""
    asks = {"spec": {"resourceClaims": [{"name": "c"}], "containers": []}}
    found: Json = {"id": "1", "nodes": [], "pods": [], "objects": [], "pod": asks}
    refused = {"plugin": "DynamicResources", "code": "UnschedulableAndUnresolvable", "reasons": []}
    assert excuse(found, Difference("*", {}, refused)) == ""
    assert excuse(found, Difference("*", refused, {})) == LEGITIMATE[0].name


def test_a_differing_case_is_made_small() -> None:
    """Only what the difference needs is left of a case."""
    big = next(each for each in cases(500, 2, "TaintToleration") if _tainted(each))
    small = shrink(big, lambda tried: [_tainted(each) for each in tried])
    assert _tainted(small)
    assert small["pods"] == small["objects"] == []
    assert len(small["nodes"]) == 1


def _tainted(found: Json) -> bool:
    return any(node["spec"].get("taints") for node in found["nodes"])
