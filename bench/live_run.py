"""One run of one contender of `make bench-live`, from a new control plane to its last CPU second.

What happens to the pods is read from a watch of our own, as raw as Python can, so that all
contenders are measured by the same clock at the same place.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import yaml
from live_plane import (
    GATES,
    KUBE_SCHEDULER,
    MUSTER,
    NAMESPACE,
    NODE_WIDTH,
    LiveError,
    Plane,
    cpu_s,
    peak_bytes,
)

from e2e import binaries
from e2e.api import Api
from e2e.muster import default_config
from e2e.objects import Template
from e2e.processes import Process, free_port

PODS = NODES = 5_000
LIMIT_S = {"single pods": 180.0, "one gang": 900.0, "binds": 180.0}
QUIET_S = 5.0
QUIET_SHARE = 0.006
"""Of one core: a process that uses less for QUIET_S is quiet."""
LONGEST_TAIL_S = 150.0
SAMPLE_S = 0.1
QPS = 100_000
"""Of kube-scheduler's client: no limit."""
TEMPLATE = Template(gpus=1, cpu="1", memory="1Gi")
"""An eighth of a node's GPUs: room to spare, so that nobody has to look for it. With pods that fill
a node, kube-scheduler takes several times as long, because it looks at ever more full nodes."""


@dataclass(frozen=True, slots=True)
class Case:
    """A row of the result."""

    scenario: str
    contender: str

    @property
    def gang(self) -> bool:
        """All pods are one gang."""
        return self.scenario == "one gang"

    @property
    def name(self) -> str:
        """`SCENARIO/CONTENDER`, as --only takes it."""
        return f"{self.scenario}/{self.contender}".replace(" ", "-")


CASES = (
    Case("binds", "generator 16"),
    Case("binds", "generator 32"),
    Case("single pods", "muster"),
    Case("single pods", "kube-scheduler"),
    Case("one gang", "muster"),
    Case("one gang", "kube-scheduler"),
)
SLOW = CASES[-1]
"""About 5 minutes a run."""


@dataclass(frozen=True, slots=True)
class Run:
    """What was measured; seconds from the start of the scheduler's process."""

    bound: int
    first_s: float
    last_s: float
    per_s: float
    """Between the first and the last bind."""
    quiet_s: float
    """When the scheduler had nothing more to do."""
    cpu_s: dict[str, float]
    """Process -> CPU seconds until then."""
    peak_mib: float
    """Of the scheduler."""
    nodes_used: int


class _Meta(msgspec.Struct):
    uid: str = ""
    version: str = msgspec.field(default="", name="resourceVersion")


class _Spec(msgspec.Struct):
    node: str = msgspec.field(default="", name="nodeName")


class _Pod(msgspec.Struct):
    metadata: _Meta = msgspec.field(default_factory=_Meta)
    spec: _Spec = msgspec.field(default_factory=_Spec)


class _Event(msgspec.Struct):
    type: str
    object: msgspec.Raw


_decode_event = msgspec.json.Decoder(_Event).decode
_decode_pod = msgspec.json.Decoder(_Pod).decode
PODS_PATH = f"/api/v1/namespaces/{NAMESPACE}/pods"


@dataclass
class Watch:
    """When each pod of the namespace was first seen with a node (monotonic seconds)."""

    api: Api
    bound: dict[str, tuple[float, str]] = field(default_factory=dict)
    error: str = ""
    """Why it has lost its place."""

    def start(self) -> None:
        """Watches from now on, on a thread."""
        version = self.api.get(PODS_PATH, limit="1")["metadata"]["resourceVersion"]
        self._stopping = threading.Event()
        self._stream = self.api.watch(PODS_PATH, resourceVersion=version)
        self._thread = threading.Thread(target=self._follow, args=(version,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends it."""
        self._stopping.set()
        while self._thread.is_alive():
            self._stream.stop()
            self._thread.join(0.2)

    def _follow(self, version: str) -> None:
        try:
            while not self._stopping.is_set():
                version = self._take(version)
                if not self._stopping.is_set():  # the server ends a watch when it likes
                    self._stream = self.api.watch(PODS_PATH, resourceVersion=version)
        except Exception as error:  # noqa: BLE001 -- told to whoever waits
            self.error = repr(error)

    def _take(self, version: str) -> str:
        for line in self._stream:
            event = _decode_event(line)
            if event.type == "ERROR":
                raise LiveError(bytes(event.object).decode())
            if event.type == "BOOKMARK":
                continue
            pod = _decode_pod(event.object)
            version = pod.metadata.version
            if pod.spec.node:
                self.bound.setdefault(pod.metadata.uid, (time.monotonic(), pod.spec.node))
        return version


def run(case: Case) -> Run:
    """Measures `case` once. Raises LiveError, NoGoError, BinariesError or ProcessError."""
    with tempfile.TemporaryDirectory(prefix="muster-bench-") as folder:
        plane = Plane(Path(folder), gang=case.gang)
        try:
            plane.start()
            plane.create_nodes(NODES)
            scheduler = KUBE_SCHEDULER if case.contender == "kube-scheduler" else MUSTER
            plane.create_pods(PODS, scheduler, TEMPLATE)
            watch = Watch(plane.api)
            watch.start()
            try:
                return _measured(case, plane, watch)
            finally:
                watch.stop()
        finally:
            plane.stop()


def _measured(case: Case, plane: Plane, watch: Watch) -> Run:
    if case.contender.startswith("generator"):
        return _generator(case, plane, watch)
    starts = {"muster": start_muster, "kube-scheduler": start_kube_scheduler}
    before = _cpu(plane.servers)
    begun = time.monotonic()
    process = starts[case.contender](plane, gang=case.gang)
    processes = {**plane.servers, "scheduler": process}
    _until_bound(watch, process, LIMIT_S[case.scenario])
    cpu, quiet, peak = _until_quiet(processes)
    spent = {name: cpu[name] - before.get(name, 0.0) for name in cpu}
    return _result(watch, begun, quiet, spent, peak)


def _generator(case: Case, plane: Plane, watch: Watch) -> Run:
    """The ceiling: the same binds without a scheduler."""
    flags = ["-mode", "bind", "-pending", "-namespace", NAMESPACE, "-watch"]
    flags += ["-nodes", str(NODES), "-node-width", str(NODE_WIDTH), "-c", case.contender.split()[1]]
    before = _cpu(plane.servers)
    begun = time.monotonic()
    answer: dict[str, Any] = plane.generate(flags, plane.user)
    if answer["ok"] != PODS:
        raise LiveError(f"the generator: {answer['codes']}")
    _wait(lambda: len(watch.bound) == PODS, 30, lambda: "the watch has not seen all binds")
    cpu, quiet, _peak = _until_quiet(plane.servers)
    spent = {name: cpu[name] - before[name] for name in cpu} | {"scheduler": answer["cpu_s"]}
    return _result(watch, begun, quiet, spent, 0)


def _result(watch: Watch, begun: float, quiet: float, cpu: dict[str, float], peak: int) -> Run:
    times = sorted(at for at, _node in watch.bound.values())
    first, last = times[0], times[-1]
    return Run(
        bound=len(times),
        first_s=round(first - begun, 3),
        last_s=round(last - begun, 3),
        per_s=round((len(times) - 1) / (last - first), 1),
        quiet_s=round(quiet - begun, 1),
        cpu_s={name: round(seconds, 2) for name, seconds in cpu.items()},
        peak_mib=round(peak / 2**20, 1),
        nodes_used=len({node for _at, node in watch.bound.values()}),
    )


# ---- the schedulers


def start_muster(plane: Plane, *, gang: bool) -> Process:
    """`muster run` with two levels, and nothing else configured."""
    del gang
    config = plane.folder / "muster.yaml"
    config.write_text(yaml.safe_dump(default_config(MUSTER)), encoding="utf-8")
    command = [
        sys.executable, "-P", "-m", "scheduler", "run",
        "--config", str(config),
        "--kubeconfig", str(plane.kubeconfig),
        "--listen", f"127.0.0.1:{free_port()}",
    ]  # fmt: skip
    return plane.local.processes.start("muster", command)


def start_kube_scheduler(plane: Plane, *, gang: bool) -> Process:
    """kube-scheduler with its default profile, without a client limit or health server."""
    program = binaries.find_or_build([KUBE_PROGRAM])[KUBE_PROGRAM]
    config = plane.folder / "kube-scheduler.yaml"
    kubeconfig = plane.local.kubeconfig_for(f"system:{KUBE_PROGRAM}")
    document = {
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "leaderElection": {"leaderElect": False},
        "clientConnection": {"kubeconfig": str(kubeconfig), "qps": QPS, "burst": QPS},
    }
    config.write_text(yaml.safe_dump(document), encoding="utf-8")
    command = [str(program), f"--config={config}", "--secure-port=0"]
    if gang:
        command.append(f"--feature-gates={GATES}")
    return plane.local.processes.start(KUBE_PROGRAM, command)


KUBE_PROGRAM = "kube-scheduler"


# ---- waiting


def _until_bound(watch: Watch, process: Process, seconds: float) -> None:
    def missing() -> str:
        if not process.running():
            return f"the scheduler has ended; its log ends with:\n{process.tail()}"
        return f"{len(watch.bound)} of {PODS} pods are bound {watch.error}"

    alive = lambda: process.running() and not watch.error  # noqa: E731
    _wait(lambda: len(watch.bound) == PODS, seconds, missing, alive)


def _wait(
    done: Callable[[], bool],
    seconds: float,
    missing: Callable[[], str],
    alive: Callable[[], bool] = lambda: True,
) -> None:
    """Raises LiveError with what is missing."""
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline or not alive():
            raise LiveError(f"after {seconds:.0f} s at most: {missing()}")
        time.sleep(SAMPLE_S)


def _until_quiet(processes: dict[str, Process]) -> tuple[dict[str, float], float, int]:
    """(CPU seconds of each process, time, peak memory) when the scheduler became quiet.

    Without a scheduler among them: a moment later, when the servers have nothing left to send.
    """
    scheduler = processes.get("scheduler")
    if scheduler is None:
        time.sleep(1.0)
        return _cpu(processes), time.monotonic(), 0
    begun = since = time.monotonic()
    mark = _cpu(processes)
    while time.monotonic() - begun < LONGEST_TAIL_S:
        time.sleep(SAMPLE_S)
        used = cpu_s(scheduler.pid) - mark["scheduler"]
        now = time.monotonic()
        if used > QUIET_SHARE * QUIET_S:
            since, mark = now, _cpu(processes)
        elif now - since >= QUIET_S:
            break
    return mark, since, peak_bytes(scheduler.pid)


def _cpu(processes: dict[str, Process]) -> dict[str, float]:
    return {name: cpu_s(process.pid) for name, process in processes.items()}


def machine() -> dict[str, Any]:
    """What it ran on."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {"cpus": len(os.sched_getaffinity(0)), "model": names[0] if names else ""}
