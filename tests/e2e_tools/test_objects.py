"""The objects that stories make: fabrics that fill their domains evenly, pods that fit them."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2e.objects import GPU, LEAF, SPINE, Template, fabric, gang_pods, job, statefulset


@given(count=st.integers(1, 60), spines=st.integers(1, 12), leaves=st.integers(1, 7))
def test_a_fabric_is_even_and_in_order(count: int, spines: int, leaves: int) -> None:
    """Domains differ by at most one node, come in runs, and each leaf is in one spine."""
    nodes = fabric(count, spines=spines, leaves=leaves, first=5)
    labels = [node["metadata"]["labels"] for node in nodes]
    names = [node["metadata"]["name"] for node in nodes]
    assert names == [f"node-{index:05}" for index in range(5, 5 + count)]
    by_spine = Counter(each[SPINE] for each in labels)
    assert len(by_spine) == min(count, spines)
    assert max(by_spine.values()) - min(by_spine.values()) <= 1
    for spine, size in by_spine.items():
        inside = Counter(each[LEAF] for each in labels if each[SPINE] == spine)
        assert len(inside) == min(size, leaves)
        assert max(inside.values()) - min(inside.values()) <= 1
    order = list(dict.fromkeys(each[LEAF] for each in labels))
    runs = [leaf for index, leaf in enumerate(x[LEAF] for x in labels)
            if index == 0 or labels[index - 1][LEAF] != leaf]  # fmt: skip
    assert runs == order


def test_templates_add_up() -> None:
    """Later selectors and tolerations are added; other fields of the spec are replaced."""
    first = Template(spec={"nodeSelector": {"a": "1"}, "tolerations": [{"key": "a"}]})
    spec = first.with_spec(
        nodeSelector={"b": "2"}, tolerations=[{"key": "b"}], schedulerName="muster"
    ).render()["spec"]
    assert spec["nodeSelector"] == {"a": "1", "b": "2"}
    assert [each["key"] for each in spec["tolerations"]] == ["a", "b"]
    assert spec["schedulerName"] == "muster"
    assert first.spec["nodeSelector"] == {"a": "1"}


@pytest.mark.parametrize(("gpus", "wanted"), [(8, {GPU: "8"}), (0, {})])
def test_devices_are_requested_and_limited_alike(gpus: int, wanted: dict[str, str]) -> None:
    """The API server refuses an extended resource whose request is not its limit."""
    (container,) = Template(gpus=gpus).render()["spec"]["containers"]
    assert container["resources"]["limits"] == wanted
    requests = container["resources"]["requests"]
    assert {name: amount for name, amount in requests.items() if name == GPU} == wanted


def test_workloads_select_their_own_pods() -> None:
    """Selectors and labels agree, a Job restarts nothing, a label gang knows its size."""
    body = statefulset("web", 3)["spec"]
    assert body["selector"]["matchLabels"] == {"app": "web"}
    assert body["template"]["metadata"]["labels"] == {"app": "web"}
    assert body["podManagementPolicy"] == "Parallel"
    assert job("j", 4)["spec"]["template"]["spec"]["restartPolicy"] == "Never"
    pods = gang_pods("g", 2, size=5)
    assert [each["metadata"]["name"] for each in pods] == ["g-0", "g-1"]
    assert {each["metadata"]["labels"]["muster.dev/gang-size"] for each in pods} == {"5"}
