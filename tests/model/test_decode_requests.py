"""What a pod asks for and takes on its node equals kube-scheduler's sums."""

from __future__ import annotations

from typing import Any

import pytest

from scheduler.model.decode import Controller, Node
from scheduler.model.pod_requests import counts
from tests.model.as_json import box, pod, read, sidecar

GIB = 2**30


@pytest.mark.parametrize(
    ("name", "counted"),
    [
        ("cpu", True),
        ("nvidia.com/gpu", True),
        ("hugepages-1Gi", True),
        ("attachable-volumes-aws-ebs", True),
        ("kubernetes.io/x", True),
        ("pods", False),
        ("gpu", False),
        ("requests.nvidia.com/gpu", False),
        ("Example.com/foo", False),
        ("example.com/a/b", False),
        ("example.com/-x", False),
        (f"{'a.' * 120}com/x", True),
        (f"{'a.' * 121}com/x", False),
    ],
)
def test_names_that_count(name: str, *, counted: bool) -> None:
    """Core resources, extended ones, huge pages and attachable volumes; nothing else."""
    assert counts(name) is counted


def test_request_of_containers_and_init_containers() -> None:
    """Main and sidecars are summed; an init container counts with the sidecars before it."""
    spec = {
        "containers": [box(cpu="1")],
        "initContainers": [box(cpu="5"), sidecar(cpu="2"), box(cpu="4")],
    }
    assert pod(spec).request == {"cpu": 6000}
    spec["initContainers"] = [sidecar(cpu="2"), box(cpu="500m")]
    assert pod(spec).request == {"cpu": 3000}


def test_quantities_are_summed_before_they_are_rounded() -> None:
    """Two requests of 0.5m are one milli, not two."""
    assert pod({"containers": [box(cpu="500u"), box(cpu="500u")]}).request == {"cpu": 1}


def test_pod_level_replaces_and_overhead_is_added() -> None:
    """Pod-level cpu, memory and huge pages replace the sum, even by 0; others do not."""
    spec = {
        "containers": [box(cpu="4", memory="1Gi", **{"nvidia.com/gpu": "2"})],
        "resources": {"requests": {"cpu": "0", "memory": "2Gi", "nvidia.com/gpu": "1"}},
        "overhead": {"cpu": "250m", "ephemeral-storage": "1Gi"},
    }
    assert pod(spec).request == {
        "cpu": 250, "memory": 2 * GIB, "nvidia.com/gpu": 2, "ephemeral-storage": GIB,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("condition", "cpu"),
    [
        ([], 9000),
        ([{"type": "PodResizePending", "reason": "Deferred"}], 9000),
        ([{"type": "PodResizePending", "reason": "Infeasible"}], 3000),
    ],
)
def test_a_resize_counts_on_the_node_at_its_largest(condition: list[Any], cpu: int) -> None:
    """On a node max(spec, status, allocated), an infeasible spec dropped; waiting: the spec."""
    status = {
        "conditions": condition,
        "containerStatuses": [
            {
                "name": "c",
                "resources": {"requests": {"cpu": "3"}},
                "allocatedResources": {"cpu": "2"},
            }
        ],
    }
    spec = {"containers": [box(cpu="9")]}
    assert pod({**spec, "nodeName": "n1"}, status).request == {"cpu": cpu}
    assert pod(spec, status).request == {"cpu": 9000}


def test_pod_level_resize() -> None:
    """Pod-level amounts of the status count only for names in the pod-level requests."""
    spec = {
        "nodeName": "n1",
        "containers": [box(memory="1Gi")],
        "resources": {"requests": {"cpu": "1"}},
    }
    status = {"resources": {"requests": {"cpu": "3", "memory": "8Gi"}}}
    assert pod(spec, status).request == {"cpu": 3000, "memory": GIB}


def test_templates_are_defaulted_as_the_api_server_would() -> None:
    """A template's missing request is its limit; a pod's missing request is none."""
    containers = [{"name": "c", "resources": {"limits": {"cpu": "2", "memory": "1Gi"}}}]
    containers[0]["resources"]["requests"] = {"cpu": "1"}  # type: ignore[index]
    found = read("StatefulSet", {"template": {"spec": {"containers": containers}}})
    assert isinstance(found, Controller)
    assert found.template.request == {"cpu": 1000, "memory": GIB}
    assert pod({"containers": containers}).request == {"cpu": 1000}


def test_allocatable_is_rounded_up_too() -> None:
    """Also devices in parts; names that do not count are left out, no `pods` is none."""
    amounts = {"cpu": "1500u", "example.com/x": "1.5", "odd": "1", "pods": "3.5"}
    found = read("Node", {}, {"allocatable": amounts})
    assert isinstance(found, Node)
    assert (found.allocatable, found.slots) == ({"cpu": 2, "example.com/x": 2}, 4)
    assert read("Node", {}, {}).slots == 0


def test_requests_written_as_numbers() -> None:
    """Manifests may write 2 or 0.5 where the API server writes text."""
    assert pod({"containers": [box(cpu=0.5, memory=2**30)]}).request == {"cpu": 500, "memory": GIB}
