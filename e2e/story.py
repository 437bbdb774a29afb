"""What stories look at: ranks and the network, the order of things in the history, Muster's log.

Nothing here knows Muster's code: it reads what a user could read.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from e2e.api import Object
from e2e.cluster import Cluster, eventually
from e2e.muster import Muster
from e2e.objects import LEAF, SPINE
from e2e.watch import Change, Pod

GANG_PLACED = "muster.dev/GangPlaced"
BESIDE = r"\. \d+/\d+ nodes are available.*$"
"""How a sentence goes on where kube-scheduler's line stands beside it; a pattern."""
QUIET_SECONDS = 3.0
"""How long nothing must happen before a story believes that nothing will."""
SETTLE_SECONDS = 6.0
"""More than the default `nodeSettle`."""
JSON_LOG = {"log": {"format": "json"}}
"""Configuration of a Muster whose log a story reads."""
SETTLED = {**JSON_LOG, "nodeSettle": "0s"}
"""The same, and new nodes take gangs at once."""


def rank_of(pod: Pod) -> int:
    """The number that its controller gave it."""
    return int(pod.metadata.name.rpartition("-")[2])


def by_rank(pods: Iterable[Pod]) -> list[Pod]:
    """Rank 0 first."""
    return sorted(pods, key=rank_of)


def node_numbers(pods: Iterable[Pod]) -> list[int]:
    """Number of each pod's node, by rank; `objects.fabric` numbers nodes in the network's order."""
    return [int(pod.spec.node_name.rpartition("-")[2]) for pod in by_rank(pods)]


def place_of(cluster: Cluster, pod: Pod) -> tuple[str, str]:
    """(spine, leaf) of a bound pod."""
    with cluster.recorder.news:
        nodes = list(cluster.recorder.nodes.values())
    node = next(each for each in nodes if each.metadata.name == pod.spec.node_name)
    return node.metadata.labels.get(SPINE, ""), node.metadata.labels.get(LEAF, "")


def runs_by(cluster: Cluster, pods: Iterable[Pod], level: int) -> list[tuple[str, list[int]]]:
    """(domain, its ranks) in the order of ranks, a new entry whenever the domain changes.

    level: 0 for spines, 1 for leaves. A domain that comes twice has ranks that are torn apart.
    """
    with cluster.recorder.news:
        labels = {
            node.metadata.name: node.metadata.labels for node in cluster.recorder.nodes.values()
        }
    runs: list[tuple[str, list[int]]] = []
    for pod in by_rank(pods):
        domain = labels[pod.spec.node_name].get((SPINE, LEAF)[level], "")
        if not runs or runs[-1][0] != domain:
            runs.append((domain, []))
        runs[-1][1].append(rank_of(pod))
    return runs


# --- the order of things ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class History:
    """When the API server stored what happened to some pods; numbers are resourceVersions."""

    created: dict[str, int]
    """name -> version"""
    bound: dict[str, int]

    @property
    def whole_before_first_bind(self) -> bool:
        """Every pod existed before the first one was bound."""
        return max(self.created.values()) < min(self.bound.values())


def history(cluster: Cluster, app: str) -> History:
    """Of the pods of a workload that exist now."""
    uids = {pod.metadata.uid for pod in cluster.pods(app)}
    created: dict[str, int] = {}
    bound: dict[str, int] = {}
    for change in _changes(cluster):
        pod = change.item
        if isinstance(pod, Pod) and pod.metadata.uid in uids:
            created.setdefault(pod.metadata.name, change.version)
            if pod.spec.node_name:
                bound.setdefault(pod.metadata.name, change.version)
    return History(created, bound)


def steps(cluster: Cluster, app: str) -> str:
    """How long it took from the first pod of a workload until all existed, were bound, were ready.

    As this process saw it on the watch.
    """
    uids = {pod.metadata.uid for pod in cluster.pods(app)}
    seen: dict[str, dict[str, float]] = {"exist": {}, "are bound": {}, "are ready": {}}
    for change in _changes(cluster):
        pod = change.item
        if isinstance(pod, Pod) and pod.metadata.uid in uids:
            holds = {"exist": True, "are bound": bool(pod.spec.node_name), "are ready": pod.ready}
            for step, true in holds.items():
                if true:
                    seen[step].setdefault(pod.metadata.uid, change.at)
    begun = min(seen["exist"].values())
    ends = [f"{step} after {max(at.values()) - begun:.1f} s" for step, at in seen.items() if at]
    first = min(seen["are bound"].values(), default=begun) - begun
    return f"all {len(uids)} {', '.join(ends)}; the first bind was seen after {first:.1f} s"


def _changes(cluster: Cluster) -> list[Change]:
    with cluster.recorder.news:
        changes = list(cluster.recorder.changes)
    return sorted(changes, key=lambda change: change.version)


def wait_settled(cluster: Cluster) -> None:
    """Returns when every node is older than the default `nodeSettle`.

    Ages count from when the watch showed the node, later than its creation.
    """
    seen: dict[str, float] = {}
    for change in _changes(cluster):
        if change.kind == "node":
            seen.setdefault(change.item.metadata.uid, change.at)
    until = max(seen.values()) + SETTLE_SECONDS
    eventually("nodes are old enough", lambda: time.monotonic() > until, 2 * SETTLE_SECONDS)


def nothing_bound(cluster: Cluster, app: str | None = None, seconds: float = QUIET_SECONDS) -> None:
    """For `seconds` no pod (of `app`) gets a node. Raises AssertionError with the first that does.

    Watching for a while is all that one can do about what must not happen.
    """
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for pod in cluster.pods(app):
            assert not pod.spec.node_name, f"{pod.metadata.name} is on {pod.spec.node_name}"
        time.sleep(0.1)


# --- what Muster says ------------------------------------------------------------------------


def log_of(muster: Muster, event: str) -> list[dict[str, Any]]:
    """Log lines of that name, in order. The configuration must have JSON_LOG."""
    found = []
    for line in muster.log.read_text().splitlines():
        if line.startswith("{"):
            entry = json.loads(line)
            if entry["event"] == event:
                found.append(entry)
    return found


def complaints(muster: Muster) -> list[dict[str, Any]]:
    """Log lines that are warnings or worse. The configuration must have JSON_LOG."""
    lines = [line for line in muster.log.read_text().splitlines() if line.startswith("{")]
    return [entry for entry in map(json.loads, lines) if entry["level"] not in {"info", "debug"}]


def events_about(cluster: Cluster, name: str, reason: str) -> list[Object]:
    """Events of that reason about the object of that name, oldest first."""
    return [each for each in cluster.events(name) if each.get("reason") == reason]


def our_events(cluster: Cluster) -> list[Object]:
    """Events of the namespace that Muster wrote."""
    name = cluster.scheduler_name
    return [each for each in cluster.events() if each.get("reportingController") == name]


def wait_event(
    cluster: Cluster, name: str, reason: str, text: str, seconds: float = 60.0
) -> Object:
    """Waits for an event whose note matches the pattern `text`; returns it."""
    deadline = time.monotonic() + seconds
    while True:
        found = events_about(cluster, name, reason)
        for event in found:
            if re.search(text, event.get("note", "")):
                return event
        if time.monotonic() > deadline:
            notes = [(each.get("reason"), each.get("note")) for each in cluster.events(name)]
            raise AssertionError(f"no event {reason} {text!r} about {name}; there are {notes}")
        time.sleep(0.1)


def wait_condition(
    cluster: Cluster, pod: str, condition: str, text: str, seconds: float = 60.0
) -> str:
    """Waits until the message of a pod's condition matches the pattern `text`; returns it."""

    def missing() -> str:
        found = cluster.pod(pod).condition(condition)
        if found is not None and re.search(text, found.message):
            return ""
        return f"{condition} of {pod} is {found}"

    cluster.recorder.wait_for(f"{condition} {text!r} on {pod}", missing, seconds)
    found = cluster.pod(pod).condition(condition)
    assert found is not None
    return found.message


def messages(pods: Sequence[Pod]) -> set[str]:
    """What PodScheduled says on these pods."""
    conditions = (pod.condition("PodScheduled") for pod in pods)
    return {condition.message for condition in conditions if condition is not None}


def told_waiting(cluster: Cluster, app: str) -> dict[str, list[str]]:
    """name -> the messages that PodScheduled=False had, a new entry for each change."""
    told: dict[str, list[str]] = {pod.metadata.name: [] for pod in cluster.pods(app)}
    for change in _changes(cluster):
        pod = change.item
        if isinstance(pod, Pod) and pod.metadata.namespace == cluster.namespace:
            said = pod.condition("PodScheduled")
            texts = told.get(pod.metadata.name)
            if texts is None or said is None or said.status != "False":
                continue
            if not texts or texts[-1] != said.message:
                texts.append(said.message)
    return told
