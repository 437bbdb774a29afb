"""Kubernetes objects written as JSON and decoded, for tests of decoding."""

from __future__ import annotations

import json
from typing import Any

from scheduler.model.decode import (
    Pod,
    decode_claim,
    decode_item,
    decode_job,
    decode_node,
    decode_pod,
    decode_replica_set,
    decode_stateful_set,
    decode_volume,
)

READ: dict[str, Any] = {
    "Node": decode_node,
    "Pod": decode_pod,
    "StatefulSet": decode_stateful_set,
    "Job": decode_job,
    "ReplicaSet": decode_replica_set,
    "PersistentVolumeClaim": decode_claim,
    "PersistentVolume": decode_volume,
}


def read(kind: str, spec: Any = None, status: Any = None, **meta: Any) -> Any:
    """An object of this kind, written as JSON and decoded."""
    metadata = {"name": "x", "namespace": "" if kind == "Node" else "ns", "uid": "u", **meta}
    found = {"kind": kind, "metadata": metadata, "spec": spec or {}, "status": status or {}}
    name, decoded = decode_item(json.dumps(found).encode())
    assert name == kind
    return READ[kind](decoded)


def pod(spec: Any = None, status: Any = None, **meta: Any) -> Pod:
    """A pod."""
    found = read("Pod", spec, status, **meta)
    assert isinstance(found, Pod)
    return found


def box(**requests: Any) -> dict[str, Any]:
    """A container that requests this."""
    return {"name": "c", "resources": {"requests": requests}}


def sidecar(**requests: Any) -> dict[str, Any]:
    """An init container that goes on running."""
    return {**box(**requests), "restartPolicy": "Always"}
