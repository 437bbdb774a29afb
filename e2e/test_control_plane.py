"""The test bed itself: controllers, kwok, a real kubelet's admission, and every provider."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from e2e import invariants
from e2e.api import JSON, MERGE, STRATEGIC, Api, ApiError
from e2e.cluster import Cluster
from e2e.objects import Machine, Template, pod
from e2e.provider import Provider

KUBERNETES = "v1.36."
SMALL = Machine(pods=20)
HERE = Path(__file__).resolve().parent


@pytest.mark.providers("local")
def test_the_control_plane_is_the_pinned_one(provider: Provider) -> None:
    """The API server is of the release that the tests are written for, and asks who is there."""
    assert provider.api.get("/version")["gitVersion"].startswith(KUBERNETES)
    assert "rbac.authorization.k8s.io" in str(provider.api.get("/apis"))


@pytest.mark.fake_nodes
def test_a_statefulset_runs_on_fake_nodes(cluster: Cluster) -> None:
    """The real controllers create 20 pods, kube-scheduler binds them, kwok makes them Ready."""
    nodes = cluster.create_nodes(20, spines=4, leaves=1)
    cluster.statefulset("web", 20, Template(gpus=8), scheduler="default-scheduler")
    pods = cluster.wait_ready(20, app="web")
    assert {each.spec.node_name for each in pods} == set(nodes)
    assert cluster.spines(pods) == {f"{cluster.prefix}spine-{n}": 5 for n in range(1, 5)}


@pytest.mark.hollow_nodes
def test_a_kubelet_refuses_what_does_not_fit(cluster: Cluster) -> None:
    """A real kubelet runs the first pod of 8 GPUs and fails the second one bound to its node."""
    (node,) = cluster.start_hollow_nodes(1, machine=SMALL)
    _bind_by_hand(cluster, "first", node)
    cluster.wait_pods("running", 1, lambda each: each.status.phase == "Running")
    _bind_by_hand(cluster, "second", node)
    pods = cluster.wait_pods("judged", 2, lambda each: each.status.phase in {"Running", "Failed"})
    assert [(each.metadata.name, each.status.phase) for each in pods] == [
        ("first", "Running"),
        ("second", "Failed"),
    ]
    assert pods[1].status.reason == "OutOfnvidia.com/gpu"
    # Had it been ours, the checker would have said so.
    changes = list(cluster.recorder.changes)
    (violation,) = invariants.overcommitted(changes, {"by-hand"})
    assert violation.endswith(f"/second puts {node} over its nvidia.com/gpu: 16 of 8")


def test_muster_may_do_what_it_needs_and_nothing_else(
    cluster: Cluster, muster_kubeconfig: Path
) -> None:
    """Its service account reads the cluster, binds pods and writes their status; no more."""
    muster = Api(muster_kubeconfig)
    pods = cluster.path("v1", "Pod")
    for path in (pods, "/api/v1/nodes", "/apis/scheduling.k8s.io/v1/priorityclasses"):
        assert "items" in muster.get(path)
    cluster.create_pods([pod("waits", cluster.own())])
    message = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
    muster.patch(f"{pods}/waits/status", {"status": {"conditions": [message]}}, STRATEGIC)
    cluster.wait_reason(1, "Unschedulable")
    forbidden = (
        ("GET", "/api/v1/secrets", None),
        ("POST", pods, pod("more", cluster.own())),
        ("PATCH", f"{pods}/waits", {"metadata": {"labels": {"a": "b"}}}),
        ("DELETE", "/api/v1/nodes/any", None),
    )
    for method, path, body in forbidden:
        with pytest.raises(ApiError) as refusal:
            muster.request(method, path, body, MERGE if method == "PATCH" else JSON)
        assert refusal.value.status == 403, (method, path)


def _bind_by_hand(cluster: Cluster, name: str, node: str) -> None:
    """Creates a pod of 8 GPUs and binds it as a careless scheduler would."""
    cluster.create_pods([pod(name, cluster.own(scheduler="by-hand"))])
    binding = {
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"name": name},
        "target": {"kind": "Node", "name": node},
    }
    cluster.api.create(f"{cluster.path('v1', 'Pod')}/{name}/binding", binding)


@pytest.mark.providers("local")
def test_an_existing_cluster_serves_as_well(provider: Provider) -> None:
    """With MUSTER_E2E=existing the same tests run on the current kubeconfig and leave nothing."""
    before = _names(provider)
    tests = "statefulset_runs or kubelet_refuses or muster_may"
    file = str(HERE / "test_control_plane.py")
    command = [sys.executable, "-m", "pytest", file, "-p", "no:cacheprovider", "-k", tests]
    environment = {
        **os.environ,
        "MUSTER_E2E": "existing",
        "MUSTER_E2E_FAKE_NODES": "1",
        "KUBECONFIG": str(provider.kubeconfig),
    }
    environment.pop("STORY", None)
    result = subprocess.run(
        command, cwd=HERE.parent, env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "2 passed, 1 skipped" in result.stdout
    assert _names(provider) <= before


def _names(provider: Provider) -> set[str]:
    """Nodes, cluster roles and namespaces that are not about to go."""
    found = set()
    for version, kind in (
        ("v1", "Node"),
        ("v1", "Namespace"),
        ("rbac.authorization.k8s.io/v1", "ClusterRole"),
        ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"),
    ):
        for item in provider.api.items(provider.api.path_of(version, kind, "")):
            if "deletionTimestamp" not in item["metadata"]:
                found.add(f"{kind}/{item['metadata']['name']}")
    return found
