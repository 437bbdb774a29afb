"""Whatever the network, the server and other schedulers do, every bind is settled, once, truly."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from random import Random

import numpy as np
import pytest

from scheduler.kube.batch import Batch, Outcome, Settled
from scheduler.kube.binder import Binder
from scheduler.kube.transport import Request, Response
from scheduler.kube.window import Window
from tests.kube.bind_server import OURS, Fate, Pod, Server, batch, refusal

SECOND_US = 1_000_000
TIMEOUT_US = 4 * SECOND_US
TROUBLED_US = 60 * SECOND_US
"""The network misbehaves for so long."""
PATIENCE_US = 600 * SECOND_US
MOST = 24

REFUSED_AT_ONCE = (
    refusal(429, "TooManyRequests", "slow down", SECOND_US),
    refusal(429, "TooManyRequests", "slow down"),
    refusal(401, "Unauthorized", "Unauthorized"),
    refusal(403, "Forbidden", "not now"),
    refusal(409, "Conflict", "the object has been modified; please apply your changes"),
    refusal(500, "InternalError", "webhook failed"),
    refusal(503, "ServiceUnavailable", "etcd is away", 2 * SECOND_US),
    Response(404, b"<html>no such page</html>"),
    Response(0, error="connection refused", sent=False),
)
"""The server does nothing and says so."""


@dataclass
class World:
    """One random history: a binder, its server, and what it was told."""

    seed: int
    trouble: float
    server: Server = field(default_factory=Server)
    settled: dict[str, Settled] = field(default_factory=dict)
    submitted: dict[str, tuple[Batch, int]] = field(default_factory=dict)
    vanished: set[str] = field(default_factory=set)
    lease: bool = True

    def __post_init__(self) -> None:
        self.rng = Random(self.seed)
        self.server.fate = self.fate
        self.binder = Binder(
            self.server, self.server.clock, self.told, timeout_us=TIMEOUT_US,
            window=Window(self.rng, start=8, least=2, most=MOST), rng=self.rng,
            may_send=lambda: self.lease, node_exists=lambda name: name not in self.vanished,
        )  # fmt: skip

    def told(self, settled: Settled) -> None:
        """The binder's callback."""
        assert settled.uid not in self.settled, "settled twice"
        self.settled[settled.uid] = settled

    def fate(self, request: Request) -> Fate:
        """What happens to this request: anything, while the trouble lasts."""
        rng = self.rng
        if request.method == "POST":
            assert self.lease, "sent without the lease"
            node = json.loads(request.body)["target"]["name"]
            assert node not in self.vanished, "sent to a node that does not exist"
        if self.server.clock.elapsed_us() > TROUBLED_US or rng.random() > self.trouble:
            at = rng.randrange(1, 3_000)
            return Fate(at, back=at + rng.randrange(1, 1_000))
        give_up = rng.choice([rng.randrange(1, TIMEOUT_US), TIMEOUT_US])
        late = rng.randrange(1, give_up + TIMEOUT_US)
        back = None if give_up == TIMEOUT_US else give_up
        match rng.randrange(5):
            case 0:
                return Fate(None, rng.choice(REFUSED_AT_ONCE), back=rng.randrange(1, 5_000))
            case 1:  # never arrives
                return Fate(None, back=back, broken=True)
            case 2:  # lands, sooner or later, after the client gave up or not
                return Fate(late, back=back, broken=True)
            case 3:  # lands, and a proxy says that it did not
                bad = refusal(rng.choice([500, 502, 503, 504]), "", "upstream")
                return Fate(min(late, give_up), bad, back=back)
            case _:  # slow
                at = rng.randrange(1, 2 * TIMEOUT_US)
                return Fate(min(at, TIMEOUT_US + 1), back=at + 1)

    def disturb(self) -> None:
        """Something happens to a pod, a node, the lease or a gang."""
        rng, server = self.rng, self.server
        names = sorted(server.pods)
        pod = server.pods[rng.choice(names)] if names else None
        match rng.randrange(9):
            case 0 if pod:
                del server.pods[pod.name]
            case 1 if pod:
                del server.pods[pod.name]
                server.create(pod.name, f"{pod.uid}+")
            case 2 if pod:
                pod.deleting = True
            case 3 if pod and not pod.node and not pod.deleting and not pod.gates:
                pod.node, pod.bound_by = rng.choice(["n-0", "n-1", "theirs"]), "others"
            case 4 if pod:
                pod.gates = ()
            case 5:
                self.vanished ^= {f"n-{rng.randrange(6)}"}
            case 6:
                self.lease = not self.lease
            case 7 if self.submitted:
                key = rng.choice(sorted(self.submitted))
                ranks = np.array([rng.randrange(6)], np.int32)
                self.binder.drop(key, rng.choice([None, ranks]))

    def submit(self, number: int) -> None:
        """A gang, sometimes with pods that are gated, gone, or refused for ever."""
        rng = self.rng
        names = [f"g{number}-{i}" for i in range(rng.choice([1, 1, 2, 5, 20, 60]))]
        nodes = [f"n-{rng.randrange(6)}" for _ in names]
        for i, name in enumerate(names):
            if rng.random() < 0.03:
                nodes[i] = ""  # a malformed Binding
            if rng.random() < 0.97:
                self.server.create(name, gates=("wait",) if rng.random() < 0.05 else ())
        made = batch(f"g{number}", names, nodes=nodes, priority=rng.randrange(3))
        self.submitted[made.key] = (made, len(names))
        self.binder.submit(made)

    def turn(self) -> None:
        """One turn of the loop."""
        now = self.server.clock.elapsed_us()
        self.binder.pump(now)
        wanted = self.binder.next_time_us(now)
        wait = SECOND_US if wanted is None else min(max(wanted - now, 1), SECOND_US)
        self.server.poll(wait)

    def run(self, gangs: int) -> None:
        """Until everything is settled and every late request has landed."""
        submitted = 0
        while not self.binder.idle or submitted < gangs:
            if submitted < gangs and self.rng.random() < 0.1:
                self.submit(submitted)
                submitted += 1
            if self.server.clock.elapsed_us() > TROUBLED_US:
                self.lease = True
            elif self.rng.random() < 0.05:
                self.disturb()
            self.turn()
            assert self.server.clock.elapsed_us() < PATIENCE_US, "no progress"
        for _ in range(20):
            self.server.poll(TIMEOUT_US)

    def check(self) -> None:
        """What was told is true, and stays true."""
        for made, size in self.submitted.values():
            assert self.binder.unsettled(made.key) == 0
            for index in range(size):
                uid, node = made.uids[index], made.nodes[index]
                self.check_one(self.settled[uid], self.server.ever.get(uid), node)
        assert self.server.most_outstanding <= MOST
        assert (self.binder.waiting, self.binder.in_flight) == (0, 0)

    def check_one(self, told: Settled, pod: Pod | None, node: str) -> None:
        """One member against what the server really did."""
        if told.outcome is Outcome.BOUND:
            assert pod is not None
            assert pod.node == node
            return
        if pod is None:
            assert told.outcome in {Outcome.GONE, Outcome.REFUSED, Outcome.DROPPED}
            return
        gone = self.server.pods.get(pod.name) is not pod
        assert pod.bound_by != OURS or (gone and told.outcome is Outcome.GONE), told
        match told.outcome:
            case Outcome.ELSEWHERE:
                assert told.node == pod.node != node
            case Outcome.GONE:
                assert gone or pod.deleting


@pytest.mark.parametrize("trouble", [0.0, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("round_", range(5))
def test_every_bind_is_settled_truly(round_: int, trouble: float) -> None:
    """Settled once; never on two nodes; not BOUND means not bound by us, now or later; progress."""
    for seed in range(12):
        world = World(1_000 * round_ + seed, trouble)
        world.run(gangs=6)
        world.check()


def test_every_outcome_occurs() -> None:
    """The histories above are varied enough to end in every way there is."""
    seen: set[Outcome] = set()
    for seed in range(40):
        world = World(seed, 0.5)
        world.run(gangs=6)
        seen |= {told.outcome for told in world.settled.values()}
    assert seen == set(Outcome)
