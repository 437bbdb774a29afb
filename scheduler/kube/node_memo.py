"""Nodes on their way into the cache; one that says what it said before goes no further.

A kubelet writes its node's status every few minutes and whenever an image or a condition
changes; nearly all of that is nothing to a scheduler. What counts is encoded and its digest kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b

import msgspec

from scheduler.kube.pod_memo import MOST, MOST_RESOURCES, widen_within_limit
from scheduler.model.decode import Node, ObjectError, decode_node
from scheduler.model.objects import NodeObject, NodeStatus
from scheduler.state.cache import Cache
from scheduler.state.nodes import NodeSpec

MOST_SLOTS = 10**6
"""Pods of one node that are counted at most."""
_DIGEST_BYTES = 16


@dataclass(slots=True)
class _Seen:
    uid: str
    digest: bytes


class NodeMemo:
    """What was last said of each node, and under which UID."""

    def __init__(self, cache: Cache, *, most: int = MOST - 1) -> None:
        """most: what amounts are cut off at; less than that of pods that cannot be read."""
        self._cache = cache
        self._most = most
        self._encode = msgspec.msgpack.Encoder().encode
        self._seen: dict[str, _Seen] = {}
        self._name_of: dict[str, str] = {}

    def put(self, node: NodeObject) -> str:
        """A node appeared or changed; returns what of it could not be read, or nothing.

        Raises ObjectError if it has no name or no UID.
        """
        meta = node.metadata
        if not meta.uid:
            raise ObjectError(f"Node {meta.name}", "metadata.uid is missing")
        spec, status = node.spec, node.status
        said = self._encode(
            (meta.labels, status.allocatable, spec.taints, spec.unschedulable,
             meta.creation_timestamp, status.declared_features)
        )  # fmt: skip
        digest = blake2b(said, digest_size=_DIGEST_BYTES).digest()
        seen = self._seen.get(meta.name)
        if seen is not None and seen.digest == digest and seen.uid == meta.uid:
            return ""
        problem = self._upsert(node)
        if seen is None:
            self._seen[meta.name] = _Seen(meta.uid, digest)
        else:
            if seen.uid != meta.uid:
                del self._name_of[seen.uid]
            seen.uid, seen.digest = meta.uid, digest
        self._name_of[meta.uid] = meta.name
        return problem

    def drop(self, uid: str) -> None:
        """A node is gone; nothing happens if another one has taken its name already."""
        name = self._name_of.pop(uid, None)
        if name is not None:
            del self._seen[name]
            self._cache.remove_node(name)

    def _upsert(self, node: NodeObject) -> str:
        problem = ""
        try:
            found = decode_node(node)
        except ObjectError as error:
            # Without amounts it can be read, unless it has no name.
            found = decode_node(msgspec.structs.replace(node, status=NodeStatus()))
            problem = error.what
        offered = [name for name, amount in found.allocatable.items() if amount]
        left_out = widen_within_limit(self._cache, offered)
        if left_out:
            problem = f"{left_out[0]}: more than {MOST_RESOURCES} kinds of resources"
        self._cache.upsert_node(self._spec(found, readable=not problem or bool(left_out)))
        return problem

    def _spec(self, node: Node, *, readable: bool) -> NodeSpec:
        names = self._cache.shapes.resources.names
        return NodeSpec(
            node.name,
            tuple(min(node.allocatable.get(name, 0), self._most) for name in names),
            slots=min(node.slots, MOST_SLOTS),
            labels=node.labels,
            taints=node.taints,
            cordoned=node.unschedulable or not readable,
            created_us=node.created_us,
            features=node.features,
        )
