"""What the compiled fill computes, to be read: no caches, one node and one device at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from scheduler.model.arrays import I32, I64, U8
from scheduler.replay.fgd.policy import FillPolicy
from scheduler.replay.fgd.problem import Problem
from scheduler.replay.trace import WHOLE_GPU

MOST_CPU = 128_000
MOST_GPU = 8_000
"""Milli-CPU and GPU milli of the largest node; the policies use them whatever nodes there are."""


@dataclass
class Node:
    """A node's state. `groups`: what Clustering remembers, 0 for sharing pods, else their GPUs."""

    model: int
    cpu: int
    memory: int
    idle: list[int]
    """Milli of each device."""
    groups: set[int] = field(default_factory=set)


@dataclass(frozen=True)
class Pod:
    """A kind of pod, or a typical type (memory 0). `models`: one flag per GPU model."""

    cpu: int
    gpus: int
    milli: int
    memory: int
    models: Sequence[int]

    @property
    def shares(self) -> bool:
        """Whether it takes a part of one device."""
        return self.gpus == 1 and self.milli < WHOLE_GPU

    @property
    def group(self) -> int:
        """Of Clustering."""
        return 0 if self.shares else self.gpus

    def room(self, node: Node) -> list[int]:
        """Devices that have what the pod asks of each."""
        return [d for d, idle in enumerate(node.idle) if idle >= self.milli]

    def runs_on(self, node: Node) -> bool:
        """CPU, model and devices; a pod without GPU runs on any model."""
        if self.gpus == 0:
            return node.cpu >= self.cpu
        enough = len(self.room(node)) >= self.gpus
        return node.cpu >= self.cpu and bool(self.models[node.model]) and enough


Types = list[tuple[Pod, int]]
"""Typical types, and how many pods each stands for."""


def fragmentation(node: Node, types: Types) -> int:
    """F: over the types, weight x the idle milli that such a pod cannot use.

    All of it where the pod cannot run or needs no GPU, else that on devices with too little.
    """
    total = 0
    for pod, weight in types:
        useless = node.idle
        if pod.gpus and pod.runs_on(node):
            useless = [idle for idle in node.idle if idle < pod.milli]
        total += weight * sum(useless)
    return total


def after(node: Node, pod: Pod, device: int) -> Node:
    """The node with the pod on it: its share of `device`, or the lowest free devices."""
    idle = list(node.idle)
    if pod.shares:
        idle[device] -= pod.milli
    elif pod.gpus:
        for d in pod.room(node)[: pod.gpus]:
            idle[d] = 0
    groups = node.groups | {pod.group} if pod.gpus else node.groups
    return Node(node.model, node.cpu - pod.cpu, node.memory - pod.memory, idle, groups)


def tightest(node: Node, pod: Pod) -> int:
    """The device with the least room that holds the share; 0 for a pod that needs none."""
    return min(pod.room(node), key=lambda d: (node.idle[d], d), default=0)


def fgd_score(node: Node, pod: Pod, types: Types, threshold: I64) -> tuple[int, int]:
    """(score, device): thresholds that the fall of F reaches, on the best device, lowest first."""
    before = fragmentation(node, types)
    best = (-1, 0)
    for device in pod.room(node) if pod.shares else [0]:
        gain = before - fragmentation(after(node, pod, device), types)
        score = sum(gain >= value for value in threshold.tolist())
        if score > best[0]:
            best = score, device
    return best


def packing_score(node: Node, pod: Pod, devices: int) -> int:
    """Tight shared devices 50 .. 100, free ones of used nodes 33 .. 50, free nodes below 33."""
    if pod.gpus == 0:
        return 0
    if sum(node.idle) == WHOLE_GPU * devices:
        return max(33 - devices, 0)
    partly = sorted(node.idle[d] for d in pod.room(node) if node.idle[d] < WHOLE_GPU)
    more = max(0, pod.gpus - len(partly))
    if more > 0:
        return max(50 - more, 33)
    return max(100 - sum(partly[: pod.gpus]) // 100, 50)


def clustering_score(node: Node, pod: Pod) -> int:
    """Up to 25 for being full, up to 75 for holding the pod's group and no other."""
    if pod.gpus == 0:
        return 0
    if not node.groups:
        match = 25
    elif node.groups == {pod.group}:
        match = 75
    else:
        match = 50 if pod.group in node.groups else 0
    return match + max(25 * (MOST_GPU - sum(node.idle)) // MOST_GPU, 0)


def plain_score(policy: FillPolicy, node: Node, pod: Pod, devices: int) -> int:
    """The score of every policy but FGD; RANDOM's is 0."""
    gpu, idle = pod.gpus * pod.milli, sum(node.idle)
    if policy == FillPolicy.DOTPROD:
        # Both products over 128,000 squared, since 128,000 = 16 x 8,000.
        own = 50 * (node.cpu * pod.cpu + 16 * 16 * idle * gpu)
        return max((100 * MOST_CPU**2 - own) // MOST_CPU**2, 0)
    if policy == FillPolicy.BEST_FIT:
        own = 50 * (node.cpu - pod.cpu + 16 * (idle - gpu))
        return max((100 * MOST_CPU - own) // MOST_CPU, 0)
    if policy == FillPolicy.PACKING:
        return packing_score(node, pod, devices)
    if policy == FillPolicy.CLUSTERING:
        return clustering_score(node, pod)
    return 0


def choose(
    policy: FillPolicy, nodes: list[Node], pod: Pod, problem: Problem, order: list[int],
    draws: Sequence[int],
) -> tuple[int, int]:  # fmt: skip
    """(node, device) for the pod, or (-1, 0) where it fits nowhere."""
    able = [n for n, node in enumerate(nodes) if pod.runs_on(node) and node.memory >= pod.memory]
    if not able:
        return -1, 0
    if policy == FillPolicy.RANDOM:
        at = able[draws[0] * len(able) >> 31]
        room = pod.room(nodes[at])
        return at, room[draws[1] * len(room) >> 31] if pod.shares else 0
    if policy == FillPolicy.FGD:
        types = _types(problem)
        scored = {n: fgd_score(nodes[n], pod, types, problem.threshold) for n in able}
        at = max(able, key=lambda n: (scored[n][0], -n))
        return at, scored[at][1]
    devices = [int(problem.devices[row]) for row in order]
    at = max(able, key=lambda n: (plain_score(policy, nodes[n], pod, devices[n]), -n))
    return at, tightest(nodes[at], pod)


def fill(
    problem: Problem, policy: FillPolicy, nodes: I64, arrivals: I32, draws: I64
) -> tuple[list[int], list[int]]:
    """(node of each pod or -1, F of the cluster after each), as `kernel.fill`."""
    order = nodes.tolist()
    state = [
        Node(int(problem.model[n]), int(free[0]), int(free[1]), problem.idle[n].tolist())
        for n, free in zip(order, problem.free[nodes], strict=True)
    ]
    types = _types(problem)
    chosen: list[int] = []
    amount: list[int] = []
    for kind, draw in zip(arrivals.tolist(), draws.tolist(), strict=True):
        pod = _pod(problem.kinds[kind], problem.may_use[kind])
        at, device = choose(policy, state, pod, problem, order, draw)
        if at >= 0:
            state[at] = after(state[at], pod, device)
        chosen.append(at)
        amount.append(sum(fragmentation(node, types) for node in state))
    return chosen, amount


def _types(problem: Problem) -> Types:
    rows = zip(problem.typical, problem.typical_may_use, strict=True)
    return [(_pod(np.append(row[:3], 0), may), int(row[3])) for row, may in rows]


def _pod(row: I64, may_use: U8) -> Pod:
    cpu, gpus, milli, memory = row.tolist()
    return Pod(cpu, gpus, milli, memory, may_use.tolist())
