"""Rules between pods of a cluster's dump: counted by the code that counts them in a live scheduler.

Everything goes into a cache as the API server would tell it; what comes out is the plan shape of
each member that waits, and how many pods of each mark are on each node.
"""

from __future__ import annotations

from scheduler.model.audience import MEMBER_LABELS, meaning_of, reads_namespaces, who_of
from scheduler.model.decode import Pod
from scheduler.model.resources import ResourceOrder
from scheduler.model.shape import Shape
from scheduler.replay.cluster_file import ClusterFile
from scheduler.replay.importers.kubectl_dump import Dump, seat_of
from scheduler.replay.node_entries import marks_read
from scheduler.state.cache import Cache
from scheduler.state.entry import Entry
from scheduler.state.nodes import NodeSpec

NO_NAMESPACES = (
    "rules with a namespaceSelector were read as if no namespace had labels: there is no Namespace"
    " in the dump (dump namespaces too)"
)


class RuledPods:
    """The pods of a dump, and what rules between them make of those that wait."""

    def __init__(self, dump: Dump, order: ResourceOrder) -> None:
        self._dump = dump
        self._order = order
        self._cache = Cache(order, hidden=MEMBER_LABELS)
        self._blind = False
        """Some rule asks for labels of namespaces, and none are known."""
        for space in dump.namespaces:
            self._cache.put_namespace(space.name, space.labels or {})
        for node in dump.nodes:
            vector = node.vector(order)
            spec = NodeSpec(node.name, vector, labels=node.labels, features=node.features)
            self._cache.upsert_node(spec)
        for at, pod in enumerate(dump.pods):
            if seat_of(pod) and not pod.finished:
                apart = (rule.mark for rule in pod.shape.rules.apart)
                self._cache.upsert_pod(str(at), seat_of(pod), self._kind(pod, *apart))

    def waits(self, pod: Pod) -> int:
        """The number of a kind of pods that waits; `settle` says what is planned of it."""
        kind = self._kind(pod, *pod.shape.rules.asks)
        if str(kind) not in self._cache.queue:
            self._cache.enqueue(Entry(str(kind), str(kind), 1, kind, 1))
        return kind

    def settle(self, file: ClusterFile) -> None:
        """Gangs of the file have kinds instead of shapes: gives it the shapes, and the marks."""
        snapshot = self._cache.freeze(0, shapes=())
        number: dict[Shape, int] = {}
        for gang in file.gangs:
            plans = (snapshot.shapes[self._cache.plan_shape(kind)] for kind in gang.shapes)
            gang.shapes = [number.setdefault(shape, len(number)) for shape in plans]
        file.shapes = list(number)
        file.marks = sorted(marks_read(file.shapes))
        entries = {node.name: node for node in file.nodes}
        for place, mark in enumerate(file.marks):
            column = snapshot.marks[mark]
            for row, count in zip(column.rows.tolist(), column.counts.tolist(), strict=True):
                entries[snapshot.names[row]].marks[str(place)] = count
        if self._blind:
            file.notes.append(NO_NAMESPACES)

    def _kind(self, pod: Pod, *marks: str) -> int:
        """marks: those that this pod's own rules read where it is."""
        if not self._dump.namespaces:
            self._blind |= any(mark and reads_namespaces(meaning_of(mark)) for mark in marks)
        who = who_of(pod.namespace, pod.labels, leaving=pod.deleting, hidden=MEMBER_LABELS)
        return self._cache.shape(pod.shape_in(self._order), who)
