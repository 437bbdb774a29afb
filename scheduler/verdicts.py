"""What Muster says of one pod on each node of a small cluster, in kube-scheduler's words.

A case goes the way of a running scheduler: objects are decoded as from the API server, taken into
a cache, frozen into columns, and the pod's shape is asked of the filters over those columns. The
answers have the form of the differential oracle:

    {"id": 1, "nodes": [..], "pods": [..], "objects": [..], "pod": {..}}
    {"id": 1, "verdicts": {"n1": {"plugin": "NodePorts", "code": "..", "reasons": [".."]}}}

Nodes that take the pod are left out; what refuses it whatever the nodes stands under `*` alone.
Pods that were promised a node (status.nominatedNodeName) count there for pods of their priority
and below: such a node must take the pod with them and without them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np

from scheduler.errors import BadInputError
from scheduler.kube.node_memo import NodeMemo
from scheduler.kube.pod_memo import PodMemo, Reading
from scheduler.model.arrays import I64
from scheduler.model.decode import FINISHED, ObjectError
from scheduler.model.filters import default_order
from scheduler.model.filters.default_order import Code, Member, Verdict
from scheduler.model.filters.device_claims import NOT_ALLOCATED, unmade_claim
from scheduler.model.filters.pod_affinity import occupied
from scheduler.model.objects import Metadata, NamespaceObject, NodeObject, PodObject
from scheduler.model.pod_objects import Base
from scheduler.model.pod_rules import PodRules
from scheduler.model.pod_terms import unreadable
from scheduler.model.resources import INT64_MAX, ResourceOrder
from scheduler.model.volume_objects import VOLUME_KINDS
from scheduler.model.volumes.decode import pod_volumes, stored
from scheduler.model.volumes.storage import Storage
from scheduler.model.volumes.users import Users
from scheduler.model.volumes.values import PodVolumes
from scheduler.model.volumes.verdicts import VolumeFilters
from scheduler.state.cache import Cache
from scheduler.state.entry import Entry

EVERY_NODE = "*"
"""Stands for all nodes where a pod is refused as such."""
UNREADABLE = "rules that cannot be read"
NO_NODES = Verdict("", Code.UNSCHEDULABLE, ("no nodes available to schedule pods",))
_ASKS = "asks"
_PROMISED = "promised:"
"""The mark of promised pods in the namespace of the pod that asks."""

Answer = dict[str, dict[str, Any]]


class Case(msgspec.Struct):
    """One line of input. `objects`: what else filters read (namespaces, volumes, claims)."""

    id: Any = None
    nodes: list[NodeObject] = []
    pods: list[PodObject] = []
    objects: list[msgspec.Raw] = []
    pod: PodObject | None = None


class ClaimObject(Base):
    """resource.k8s.io/v1 ResourceClaim: whether it is there, and whose it is."""

    metadata: Metadata


class _Head(Base):
    kind: str = ""


_KINDS: dict[str, type[Base]] = {
    "Namespace": NamespaceObject,
    "ResourceClaim": ClaimObject,
    **VOLUME_KINDS,
}
_case = msgspec.json.Decoder(Case)
_head = msgspec.json.Decoder(_Head)
_objects = {kind: msgspec.json.Decoder(cls) for kind, cls in _KINDS.items()}


def verdicts_of(case: bytes | str | Mapping[str, Any]) -> dict[str, Any]:
    """{id, verdicts} of one case, a JSON text or what such a text holds.

    Raises BadInputError if it is no case.
    """
    text = case if isinstance(case, bytes | str) else msgspec.json.encode(case)
    try:
        found = _case.decode(text)
        if found.pod is None:
            raise BadInputError(f"case {found.id}", None, "there is no pod", "give it `pod`")
        return {"id": found.id, "verdicts": _World(found).judge(found.pod)}
    except msgspec.DecodeError as error:
        what = "see docs/filters.md for its form"
        raise BadInputError("case", None, f"it cannot be read: {error}", what) from None
    except ObjectError as error:
        raise BadInputError("case", None, str(error), "correct the object") from None


class _World:
    """A case, its objects sorted by what reads them."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.spaces: list[NamespaceObject] = []
        self.claims: dict[tuple[str, str], Metadata] = {}
        self.storage = Storage()
        for raw in case.objects:
            decoder = _objects.get(_head.decode(raw).kind)
            if decoder is None:
                continue  # devices: no filter of Muster reads them
            match decoder.decode(raw):
                case NamespaceObject() as space:
                    self.spaces.append(space)
                case ClaimObject() as claim:
                    self.claims[claim.metadata.namespace, claim.metadata.name] = claim.metadata
                case other:
                    self.storage.put(stored(other))
        self.running = [
            each for each in case.pods if each.spec.node_name and each.status.phase not in FINISHED
        ]

    def judge(self, pod: PodObject) -> Answer:
        """What refuses `pod`, per node or under EVERY_NODE."""
        nodes = [node.metadata.name for node in self.case.nodes]
        refused = self.gate(pod) or (None if nodes else NO_NODES)
        if refused is not None:
            return {EVERY_NODE: _told(refused)}
        asked = _Asked(self, pod)
        refused = default_order.refusal(asked.shape, asked.member)
        if refused is not None:
            return {EVERY_NODE: _told(refused)}
        answer = asked.answers()
        found = {node: answer(node) for node in nodes}
        for node, promised in self.promised(pod).items():
            if node in found:
                found[node] = _Asked(self, pod, asked, promised).answers()(node) or found[node]
        ended = next((v for v in found.values() if v is not None and v.code is Code.ERROR), None)
        if ended is not None:
            return {EVERY_NODE: _told(ended)}
        return {node: _told(verdict) for node, verdict in found.items() if verdict is not None}

    def gate(self, pod: PodObject) -> Verdict | None:
        """What keeps a pod from being queued at all (PreEnqueue)."""
        gates = tuple(gate.name for gate in pod.spec.scheduling_gates or ())
        if gates:
            return default_order.gated(gates)
        rules = unreadable(pod.spec)
        if rules:  # the API server admits no such pod
            return Verdict(UNREADABLE, Code.UNRESOLVABLE, rules)
        return unmade_claim(pod, self.claims)

    def promised(self, pod: PodObject) -> dict[str, list[PodObject]]:
        """Node -> pods that go there before `pod`, as if they were there already."""
        found: dict[str, list[PodObject]] = {}
        for each in self.case.pods:
            node = each.status.nominated_node_name
            if not node or each.spec.node_name or each.status.phase in FINISHED:
                continue
            ahead = (each.spec.priority or 0) >= (pod.spec.priority or 0)
            if ahead and each.metadata.uid != pod.metadata.uid and self.gate(each) is None:
                found.setdefault(node, []).append(_placed(each, node))
        return found


def _told(verdict: Verdict) -> dict[str, Any]:
    reasons = sorted(verdict.reasons)
    return {"plugin": verdict.plugin, "code": str(verdict.code), "reasons": reasons}


def _placed(pod: PodObject, node: str) -> PodObject:
    """A pod that waits as if it were on `node`; whether it is being deleted is not asked then."""
    metadata = msgspec.structs.replace(pod.metadata, deletion_timestamp=None)
    spec = msgspec.structs.replace(pod.spec, node_name=node)
    return msgspec.structs.replace(pod, metadata=metadata, spec=spec)


class _Asked:
    """A case in a cache of its own, and the pod that asks."""

    def __init__(
        self,
        world: _World,
        pod: PodObject,
        without: _Asked | None = None,
        promised: Sequence[PodObject] = (),
    ) -> None:
        """promised: pods that count besides; `without`: the same case without them."""
        # A pod that names its node already is asked all the same, by its spec.
        waits = msgspec.structs.replace(pod.spec, node_name=None)
        asks = msgspec.structs.replace(pod, spec=waits)
        self._promised = [p for p in promised if p.metadata.namespace == pod.metadata.namespace]
        cache = Cache(ResourceOrder.of(()))
        reading, pins = _fill(cache, world, [*world.running, *promised], asks)
        self.snapshot = cache.freeze(0, shapes=())
        self._row_of = {name: row for row, name in enumerate(self.snapshot.names)}
        self.shape = self.snapshot.shapes[cache.kinds.plan(reading.shape)]
        self.member = Member(
            pins=pins,
            node_name=pod.spec.node_name or "",
            claims=NOT_ALLOCATED if pod.spec.resource_claims else None,
        )
        volumes = pod_volumes(asks)
        if volumes is not None:
            filters = VolumeFilters(world.storage, self._users(world, promised), self.snapshot)
            self.member = replace(self.member, volumes=filters.verdicts(volumes))
        if without is not None:
            self.shape = replace(self.shape, rules=self._as_promised(without))

    def _users(self, world: _World, promised: Sequence[PodObject]) -> Users:
        there, added = self._mounts(world.running), self._mounts(promised)
        return Users(self.snapshot.names, there, world.storage, added=added)

    def _mounts(self, pods: Sequence[PodObject]) -> list[tuple[int, PodVolumes]]:
        found = []
        for each in pods:
            row = self._row_of.get(each.spec.node_name or "")
            volumes = None if row is None else pod_volumes(each)
            if row is not None and volumes is not None:
                found.append((row, volumes))
        return found

    def _as_promised(self, without: _Asked) -> PodRules:
        """Rules as kube-scheduler sees them while promised pods count.

        InterPodAffinity that had nothing to do is not asked again. Selector {} of a spread
        constraint means nobody among pods that are there, and everybody among promised ones.
        """
        rules = self.shape.rules
        if not without.affinity_asked():
            rules = replace(rules, repelled=())
        spread = (
            replace(each, mark=_PROMISED) if each.own and not each.mark else each
            for each in rules.spread
        )
        return replace(rules, spread=tuple(spread))

    def affinity_asked(self) -> bool:
        """Whether InterPodAffinity has anything to do."""
        rules = self.shape.rules
        return bool(rules.near or rules.apart) or any(
            occupied(each.key, self.counted(each.mark), self.snapshot).any()
            for each in rules.repelled
        )

    def counted(self, mark: str) -> I64:
        """int64[N], pods of `mark` on each row."""
        if mark != _PROMISED:
            return default_order.counted_in(self.snapshot)(mark)
        rows = [self._row_of[each.spec.node_name or ""] for each in self._promised]
        return np.bincount(np.array(rows, np.int64), minlength=len(self.snapshot.names))

    def answers(self) -> Callable[[str], Verdict | None]:
        """What a node answers, by its name."""
        found = default_order.verdicts(self.shape, self.snapshot, self.counted, self.member)
        return lambda name: found.at(self._row_of[name])


def _fill(
    cache: Cache, world: _World, pods: Sequence[PodObject], asks: PodObject
) -> tuple[Reading, tuple[str, ...] | None]:
    """Everything into the cache; returns the reading and the pins of the pod that asks."""
    node_memo, pod_memo = NodeMemo(cache, most=INT64_MAX), PodMemo(cache, most=INT64_MAX)
    for space in world.spaces:
        cache.put_namespace(space.metadata.name, space.metadata.labels or {})
    for node in world.case.nodes:
        node_memo.put(_with_uid(node))
    for i, each in enumerate(pods):
        reading, _ = pod_memo.read(each)
        cache.upsert_pod(str(i), each.spec.node_name or "", reading.shape)
    reading, pins = pod_memo.read(asks)
    cache.enqueue(Entry(_ASKS, _ASKS, 1, reading.shape, 1))
    return reading, pins


def _with_uid(node: NodeObject) -> NodeObject:
    """A case may leave out what only the API server gives."""
    if node.metadata.uid:
        return node
    metadata = msgspec.structs.replace(node.metadata, uid=f"node {node.metadata.name}")
    return msgspec.structs.replace(node, metadata=metadata)
