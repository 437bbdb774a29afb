"""Muster at work, to look at: `python -m e2e.demo` (`make live-demo`).

Starts the local control plane with fake nodes, runs Muster beside it, applies a StatefulSet, shows
where its pods went and how long each step took, and takes everything down again.
"""

from __future__ import annotations

import shutil
import signal
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from rich.bar import Bar
from rich.console import Console
from rich.table import Table
from rich.text import Text

from e2e.binaries import BinariesError
from e2e.cluster import Cluster
from e2e.local import Options
from e2e.muster import Muster, default_config, install_access
from e2e.objects import LEAF, SPINE, Template
from e2e.processes import ProcessError
from e2e.provider import LocalProvider
from e2e.watch import Pod, Recorder
from scheduler.serve.pages import explain_lines

NODES, SPINES, LEAVES = 1_000, 20, 5
PODS = 500
NAME = "train"
TEMPLATE = Template(gpus=0, cpu="2", memory="8Gi")
"""16 to a node of 32 CPUs: one spine has room for 800."""
FOLLOWED_S = 120.0
"""Far more than the pods take."""
BAR = 24


@dataclass
class Steps:
    """What took how long, in order; says on stderr what is being waited for."""

    said: Console
    taken: list[tuple[str, float]] = field(default_factory=list)

    @contextmanager
    def step(self, doing: str, done: str) -> Iterator[None]:
        """Times the block as `done`."""
        begun = time.monotonic()
        with self.said.status(f"{doing} ..."):
            yield
        self.add(done, time.monotonic() - begun)
        self.said.print(f"  {self.taken[-1][1]:6.2f} s  {done}", highlight=False)

    def add(self, done: str, seconds: float) -> None:
        """A step that was timed elsewhere."""
        self.taken.append((done, seconds))


def main() -> int:
    """Exit code: 0, 1 after a failure (the logs are kept), 130 after Ctrl-C."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    said, shown = Console(stderr=True), Console()
    folder = Path(tempfile.mkdtemp(prefix="muster-demo-"))
    keep = False
    try:
        show(folder, Steps(said), shown)
    except KeyboardInterrupt:
        said.print("interrupted; everything is stopped")
        return 130
    except BinariesError as error:
        said.print(f"error: {error}", highlight=False, markup=False)
        return 1
    except (ProcessError, AssertionError) as error:
        keep = True
        said.print(f"error: {error}\nlogs: {folder / 'logs'}", highlight=False, markup=False)
        return 1
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
    return 0


def show(folder: Path, steps: Steps, shown: Console) -> None:
    """The whole demonstration; whatever it started is stopped when it returns or raises."""
    with steps.step("etcd, kube-apiserver, controllers, kwok", "the control plane is ready"):
        provider = LocalProvider(folder, Options(scheduler=False))
    recorder = Recorder(provider.api)
    try:
        recorder.start()
        cluster = Cluster(provider, "demo", recorder).open()
        with steps.step(f"{NODES:,} nodes in {SPINES} spines", f"{NODES:,} nodes are ready"):
            cluster.create_nodes(NODES, spines=SPINES, leaves=LEAVES)
        with steps.step("Muster reads the cluster", "Muster is ready"):
            muster = _start_muster(cluster)
        begun = time.monotonic()
        with steps.step(f"a StatefulSet of {PODS}", "apply -> all run"):
            cluster.statefulset(NAME, PODS, TEMPLATE)
            pods = _followed(cluster, steps, begun)
        sentence = explain_lines(muster.json(f"/explain/{cluster.namespace}/StatefulSet/{NAME}"))
        _print(shown, cluster, pods, steps, sentence)
    finally:
        with steps.said.status("stopping ..."):
            recorder.stop()
            provider.close()


def _start_muster(cluster: Cluster) -> Muster:
    """Muster with the rights that tests give it, ready."""
    provider = cluster.provider
    config = provider.folder / "muster.yaml"
    config.write_text(yaml.safe_dump(default_config(cluster.scheduler_name)))
    return Muster(provider.processes, install_access(provider), config, "muster").start()


def _followed(cluster: Cluster, steps: Steps, begun: float) -> list[Pod]:
    """Waits until all pods run; the steps on the way are read off the watch afterwards."""
    pods = cluster.wait_ready(PODS, app=NAME, seconds=FOLLOWED_S)
    seen: dict[str, float] = {}
    bound: dict[str, float] = {}
    running: dict[str, float] = {}
    for change in list(cluster.recorder.changes):
        item = change.item
        if isinstance(item, Pod) and item.metadata.namespace == cluster.namespace:
            uid = item.metadata.uid
            seen.setdefault(uid, change.at)
            if item.spec.node_name:
                bound.setdefault(uid, change.at)
            if item.ready:
                running.setdefault(uid, change.at)
    created, first = max(seen.values()), min(bound.values())
    steps.add("  apply -> all pods created", created - begun)
    steps.add("  last pod seen -> first bind seen", first - created)
    steps.add("  first bind -> all bound", max(bound.values()) - first)
    steps.add("  all bound -> all run", max(running.values()) - max(bound.values()))
    return pods


def _print(
    shown: Console, cluster: Cluster, pods: list[Pod], steps: Steps, sentence: list[str]
) -> None:
    """Where the pods went, what each step took, and what Muster says."""
    shown.print()
    shown.print(_places(cluster, pods))
    times = Table("step", title="How long it took", title_justify="left", box=None)
    times.add_column("seconds", justify="right")
    for done, seconds in steps.taken:
        times.add_row(done, f"{seconds:.2f}")
    shown.print()
    shown.print(times)
    shown.print()
    shown.print(Text(f"$ muster explain {cluster.namespace}/StatefulSet/{NAME}", style="dim"))
    for line in sentence:
        shown.print(line, highlight=False, markup=False)


def _places(cluster: Cluster, pods: list[Pod]) -> Table:
    """A row per spine that is used, and below it one per leaf."""
    ranks: dict[tuple[str, str], list[int]] = defaultdict(list)
    nodes: dict[tuple[str, str], set[str]] = defaultdict(set)
    by_name = {node.metadata.name: node for node in cluster.recorder.nodes.values()}
    for pod in pods:
        node = by_name[pod.spec.node_name]
        labels = node.metadata.labels
        for place in ((labels[SPINE], ""), (labels[SPINE], labels[LEAF])):
            ranks[place].append(int(pod.metadata.name.rpartition("-")[2]))
            nodes[place].add(node.metadata.name)
    used = len({spine for spine, _leaf in ranks})
    title = f"{len(pods)} pods on {used} of {SPINES} spines"
    table = Table(title=title, title_justify="left", box=None)
    table.add_column("place")
    for name in ("pods", "nodes"):
        table.add_column(name, justify="right")
    table.add_column("")
    table.add_column("ranks")
    for spine, leaf in sorted(ranks, key=lambda place: (min(ranks[place[0], ""]), *place)):
        mine = sorted(ranks[spine, leaf])
        bar = Bar(len(pods), 0, len(mine), width=BAR, color="cyan" if leaf else "green")
        taken = f"{len(nodes[spine, leaf])}"
        table.add_row(f"  {leaf}" if leaf else spine, f"{len(mine)}", taken, bar, _runs(mine))
    return table


def _runs(ranks: list[int]) -> str:
    """`0-159` and so on; few runs mean neighbours in rank are neighbours on the network."""
    runs: list[list[int]] = []
    for rank in ranks:
        if runs and runs[-1][1] == rank - 1:
            runs[-1][1] = rank
        else:
            runs.append([rank, rank])
    shown = [f"{first}-{last}" if last > first else f"{first}" for first, last in runs[:4]]
    return ", ".join(shown) + (", ..." if len(runs) > 4 else "")


if __name__ == "__main__":
    sys.exit(main())
