"""One process that reads a cluster as `muster run` does, and says what it cost: see reading.py.

    python reading_worker.py KUBECONFIG MODIFIED ADDED

Everything but pods is listed first, then pods, then MODIFIED and ADDED events of pods are let go.
Prints one line of JSON: CPU seconds of this process for each step, and its most memory.
"""

from __future__ import annotations

import gc
import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

from scheduler import log
from scheduler.clock import SystemClock
from scheduler.kube.connection import load
from scheduler.kube.curl import CurlTransport
from scheduler.kube.intake import Intake
from scheduler.kube.resources import ALL, PODS, STATEFUL_SETS, Resource
from scheduler.kube.transport import Request, Response
from scheduler.kube.watcher import Watcher
from scheduler.model import wishes
from scheduler.model.audience import MEMBER_LABELS
from scheduler.model.objects import Base, Metadata, PodObject, StatefulSetObject, StatefulSetSpec
from scheduler.model.resources import ResourceOrder
from scheduler.state.cache import Cache
from scheduler.state.nodes import Level
from scheduler.state.roster import Roster

LEVELS = {"spine": "network.example.com/spine", "leaf": "network.example.com/leaf"}
SET_SIZE = 100
"""Bound pods in a StatefulSet of the stub."""
GATHER_US = 30_000_000
LONGEST_US = 300_000_000
"""A kind that the stub does not serve is never in step."""
POLL_US = 100_000


class CountingIntake(Intake):
    """Counts pods, and notes the CPU time at which some of them had come.

    A StatefulSet that the stub does not list is made when the first of its pods comes: without
    one they would never become the gangs that they are on a real cluster.
    """

    pods = 0
    marks: dict[int, float]
    owners: set[str]

    def put(self, resource: Resource, obj: Base) -> None:
        """One object more."""
        if isinstance(obj, PodObject):
            self._own(obj.metadata)
        elif isinstance(obj, StatefulSetObject):
            self.owners.add(obj.metadata.uid)
        super().put(resource, obj)
        if resource is PODS:
            self.pods += 1
            if self.pods in self.marks:
                self.marks[self.pods] = time.process_time()

    def _own(self, pod: Metadata) -> None:
        for owner in pod.owner_references or ():
            if owner.uid not in self.owners:
                meta = Metadata(name=owner.name, namespace=pod.namespace, uid=owner.uid)
                spec = StatefulSetSpec(replicas=SET_SIZE, pod_management_policy="Parallel")
                self.put(STATEFUL_SETS, StatefulSetObject(meta, spec))


class Reader:
    """The reading half of the scheduler, without what plans and binds."""

    def __init__(self, kubeconfig: Path) -> None:
        self.clock = SystemClock()
        self.transport = CurlTransport(load(kubeconfig, None), self.clock)
        tree = [Level(*pair) for pair in LEVELS.items()]
        self.cache = Cache(ResourceOrder.of(()), tree, hidden=MEMBER_LABELS)
        levels = tuple(wishes.Level(*pair) for pair in LEVELS.items())
        self.roster = Roster(self.cache, levels, gather_max_us=GATHER_US)
        self.intake = CountingIntake(self.cache, self.roster, ["muster"], self.clock, _refuse)
        self.intake.marks, self.intake.owners = {}, set()
        self.kinds = [resource for resource in ALL if resource is not PODS]
        self.others = Watcher(self.transport, self.clock, self.intake, self.kinds, Random(0))
        self.pods = Watcher(self.transport, self.clock, self.intake, [PODS], Random(0))

    def until(self, done: Callable[[], bool]) -> None:
        """Turns until `done`; ends the process if that takes too long."""
        deadline = self.clock.elapsed_us() + LONGEST_US
        while not done():
            if self.clock.elapsed_us() > deadline:
                behind = [
                    health.kind for health in (*self.others.health(), *self.pods.health())
                    if not health.synced
                ]  # fmt: skip
                raise SystemExit(f"not in step with the server after a while: {behind}")
            self.transport.poll(POLL_US)
            self.others.pump()
            self.pods.pump()

    def settled(self) -> None:
        """What every turn of the loop ends with, and the freeze of a cycle."""
        now_us = self.clock.now_us()
        self.roster.settle(now_us)
        self.cache.freeze(now_us)


def main(kubeconfig: Path, modified: int, added: int) -> dict[str, float]:
    """CPU seconds by step."""
    reader = Reader(kubeconfig)
    gc.disable()  # as the loop does until the first lists are complete
    begin = time.process_time()
    reader.others.start()
    reader.until(lambda: reader.others.synced(reader.kinds))
    nodes = time.process_time()
    reader.pods.start()
    reader.until(lambda: reader.pods.synced([PODS]))
    pods = time.process_time()
    reader.settled()
    snapshot = time.process_time()
    gc.collect()
    gc.freeze()
    gc.enable()

    listed = reader.intake.pods
    reader.intake.marks = {listed + modified: 0.0, listed + modified + added: 0.0}
    go = time.process_time()
    reader.transport.send(Request("POST", "/stub/go"), _ignore)
    reader.until(lambda: reader.intake.pods >= listed + modified + added)
    changed, appeared = reader.intake.marks.values()
    reader.settled()
    return {
        "nodes_s": nodes - begin,
        "pods_s": pods - nodes,
        "freeze_s": snapshot - pods,
        "snapshot_s": snapshot - begin,
        "modified_s": changed - go,
        "added_s": appeared - changed,
        "settle_s": time.process_time() - appeared,
        "nodes": len(reader.cache.nodes),
        "labels": len(reader.cache.nodes.labels),
        "pods": len(reader.cache.live),
        "waiting": sum(entry.count for entry in reader.cache.queue),
        "peak_bytes": _peak_bytes(),
    }


def _peak_bytes() -> int:
    """Most memory this process had; the kernel's count where it has one of this program alone."""
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) << 10
    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale


def _refuse(kind: str, name: str, uid: str, what: str) -> None:
    del uid
    raise SystemExit(f"{kind} {name}: {what}")


def _ignore(response: Response) -> None:
    del response


if __name__ == "__main__":
    log.configure()
    print(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))))
