"""What stories put into the cluster beside gangs: pods of others, and many objects like one."""

from __future__ import annotations

import json
import re

from e2e.api import Object
from e2e.cluster import Cluster
from e2e.objects import Template, pod

BY_HAND = "by-hand"
"""The scheduler of pods that a story binds itself."""


def bind(cluster: Cluster, body: Object, node: str) -> Object:
    """Creates a pod and binds it to a node, whatever the node says to that; returns the pod.

    Its namespace is the test's unless it names one.
    """
    namespace = body["metadata"].get("namespace", cluster.namespace)
    pods = cluster.api.path_of("v1", "Pod", namespace)
    made = cluster.api.create(pods, body)
    name = made["metadata"]["name"]
    binding = {
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"name": name},
        "target": {"kind": "Node", "name": node},
    }
    cluster.api.create(f"{pods}/{name}/binding", binding)
    return made


def someone(cluster: Cluster, name: str, template: Template | None = None) -> Object:
    """A pod of nobody's scheduler, for `bind`; it asks for no GPU unless told to."""
    template = (template or Template(gpus=0)).with_labels(app=name)
    return pod(name, cluster.own(template, scheduler=BY_HAND))


def numbered(body: Object, count: int, first: int = 0) -> list[Object]:
    """Copies of an object called `NAME-0`: number `first` and on, in every name ending in `-0`."""
    text = json.dumps(body)
    return [
        json.loads(re.sub(r"\b([a-z][-a-z]*)-0\b", rf"\1-{number}", text))
        for number in range(first, first + count)
    ]


def bound_claims(cluster: Cluster) -> int:
    """PersistentVolumeClaims of the test that have their volume."""
    claims = cluster.api.items(cluster.path("v1", "PersistentVolumeClaim"))
    return sum(claim["status"].get("phase") == "Bound" for claim in claims)
