"""The batch binder against the stub API server over loopback TLS, beside the raw Go generator.

Both bind one gang in turn, with the same pods and nodes, so that a busy machine slows both. What
is bounded is CPU, ours (binder and transport together) to the generator's: binds a second of a
stub say nothing about a real API server.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from pathlib import Path
from random import Random

import click
import go_tools
import measure
import numpy as np

from scheduler.clock import SystemClock
from scheduler.kube import connection
from scheduler.kube.batch import Batch, Outcome, Settled
from scheduler.kube.bind_request import DOMAIN, GANG, RANK, BindRequests
from scheduler.kube.binder import TIMEOUT_US, Binder
from scheduler.kube.curl import CurlTransport
from scheduler.kube.transport import Transport

MEMBERS = 20_000
NODES = 5_000
IN_FLIGHT = 32
BOUND = 2.6
"""Of our CPU time to that of the generator; it is about 1.8."""
GOAL_MS = 80.0
"""CPU milliseconds per 1,000 binds."""
BODY_BOUND = 0.7


class BindingError(RuntimeError):
    """Not every member was bound."""


def gang(members: int, number: int = 0) -> Batch:
    """Gang `number`: like the generator's pods, names, UIDs and annotations of usual length."""
    names = [f"train-{number}-{rank}" for rank in range(members)]
    uids = [f"b{rank:07d}-5c1e-4a2b-9d3f-{number:012x}" for rank in range(members)]
    nodes = [f"node-{rank % NODES:06d}" for rank in range(members)]
    return Batch(
        f"key-{number}", "bench", names, uids, nodes, np.arange(members, dtype=np.int32),
        "bench/StatefulSet/bench", "spine-0000/leaf-00000",
    )  # fmt: skip


class Muster:
    """Our binder over one transport, whose connections stay open from run to run."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._number = 0
        self.wall_s: list[float] = []

    def bind(self, members: int) -> float:
        """Binds a gang; CPU seconds of this process. Raises BindingError."""
        self._number += 1
        batch = gang(members, self._number)
        bound: list[Settled] = []
        clock = SystemClock()
        binder = Binder(self._transport, clock, bound.append, rng=Random(1))
        wall, cpu = time.perf_counter(), time.process_time()
        binder.submit(batch)
        binder.pump(clock.elapsed_us())
        while not binder.idle:
            self._transport.poll(1_000_000)
            binder.pump(clock.elapsed_us())
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        self.wall_s.append(wall)
        if any(settled.outcome is not Outcome.BOUND for settled in bound):
            raise BindingError(f"{batch.key}: {next(s for s in bound if s.text)}")
        return cpu


def generator(stub: go_tools.Stub, members: int) -> float:
    """CPU seconds of the generator for as many binds. Raises BindingError."""
    flags = ["-count", str(members), "-c", str(IN_FLIGHT), "-nodes", str(NODES)]
    answer = go_tools.generate(stub, flags)
    if answer["ok"] != members:
        raise BindingError(f"the generator: {answer}")
    return float(answer["cpu_s"])


def against_stub(runs: int, members: int = MEMBERS) -> measure.Result:
    """CPU per 1,000 binds beside the generator's. Raises NoGoError, GoToolsError, BindingError."""
    own: list[float] = []
    other: list[float] = []
    with tempfile.TemporaryDirectory() as folder, go_tools.stub(Path(folder)) as stub:
        link = connection.load(stub.kubeconfig, None)
        transport = CurlTransport(link, SystemClock())
        muster = Muster(transport)
        try:
            for run in range(runs + 1):
                ours, raw = muster.bind(members), generator(stub, members)
                if run:  # the first has opened connections
                    own.append(ours * 1e6 / members)
                    other.append(raw * 1e6 / members)
        finally:
            transport.close()
            link.close()
    per_s = round(members / statistics.median(muster.wall_s))
    return measure.compared(
        "bind, CPU of 1,000", {"members": members, "per_s": per_s}, own, other, BOUND,
        "CPU of the raw Go generator", GOAL_MS,
    )  # fmt: skip


def bodies(runs: int, members: int = MEMBERS) -> measure.Result:
    """Making the requests, beside json.dumps of the same Bindings."""
    batch = gang(members)

    def ours() -> None:
        requests = BindRequests(batch, TIMEOUT_US)
        for index in range(members):
            requests.bind(index)

    def plain() -> None:
        for rank in range(members):
            json.dumps(as_object(batch, rank))

    times = measure.take_turns([measure.Contender(ours), measure.Contender(plain)], runs)
    goal_ms = 0.002 * members
    return measure.compared(
        "bind, requests made", {"members": members}, *times, BODY_BOUND, "json.dumps", goal_ms
    )


def as_object(batch: Batch, rank: int) -> dict[str, object]:
    """The Binding of a member as a tree of dicts."""
    annotations = {GANG: batch.gang, DOMAIN: batch.domain, RANK: str(rank)}
    metadata = {
        "name": batch.names[rank], "namespace": batch.namespace, "uid": batch.uids[rank],
        "annotations": annotations,
    }  # fmt: skip
    target = {"apiVersion": "v1", "kind": "Node", "name": batch.nodes[rank]}
    return {"apiVersion": "v1", "kind": "Binding", "metadata": metadata, "target": target}


def bounded(runs: int) -> list[measure.Result]:
    """Everything here; without Go only what needs none, and a line that says so.

    Raises GoToolsError or BindingError.
    """
    results = [bodies(runs)]
    try:
        results.append(against_stub(max(3, min(runs, 7))))
    except go_tools.NoGoError as error:
        click.echo(f"binding: {error}", err=True)
    return results


if __name__ == "__main__":
    for result in bounded(5):
        print(result.row())
