"""Random histories, clients that are cut off anywhere: the sink ends with what the server has."""

from __future__ import annotations

from random import Random

import pytest

from scheduler.kube.reflector import Mode, Reflector
from scheduler.kube.resources import PODS
from scheduler.kube.transport import NO_ANSWER, Response
from tests.kube.model_server import HIDDEN, ModelServer, Stream, Thing, bookmark, line, status
from tests.kube.recording_sink import RecordingSink

SEEDS = 60
STEPS = 300
KEYS = [f"team-{i % 2}/pod-{i}" for i in range(7)]
REFUSALS = (NO_ANSWER, 401, 403, 429, 500, 503, 504)


class World:
    """One server, one reflector, and a network that does what it likes."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.server = ModelServer(self.rng)
        self.sink = RecordingSink()
        self.reflector = Reflector(PODS, self.sink, Random(seed + 1))
        self.now_us = 1
        self.stream: Stream | None = None
        self.requests = 0
        self.sink.on_synced = self.compare_with_list
        self.modes: set[Mode] = set()

    def step(self) -> None:
        """Something happens."""
        happen = self.rng.choices(
            [self.mutate, self.deliver, self.cut, self.request, self.disturb, self.wait],
            weights=[40, 30, 5, 25, 12, 12],
        )[0]
        happen()
        self.check()

    def mutate(self) -> None:
        """The cluster changes."""
        key = self.rng.choice(KEYS)
        dice = self.rng.random()
        if dice < 0.45:
            self.server.create(key)
        elif dice < 0.7:
            self.server.delete(key)
        elif dice < 0.85:
            self.server.change(key)
        elif dice < 0.93:
            self.server.change(key, phase=HIDDEN)
        else:
            self.server.change(key, odd=True)

    def disturb(self) -> None:
        """The server changes its ways."""
        dice = self.rng.random()
        if dice < 0.4:
            self.server.compact(self.server.version - self.rng.randrange(4))
        elif dice < 0.6:
            self.server.streams_lists = not self.server.streams_lists
        elif dice < 0.8:
            self.server.duplicates = not self.server.duplicates
        elif self.stream is not None and not self.stream.ended:
            self.server.write(self.stream)
            self.stream.out += self.rng.choice(
                [
                    bookmark(self.stream.position),
                    b"not json\n",
                    line("SURPRISE", {"metadata": {}}),
                    line("ERROR", status(500, "InternalError")),
                ]
            )

    def wait(self) -> None:
        """Time passes."""
        self.now_us += self.rng.choice([1_000, 100_000, 5_000_000, 60_000_000])

    def request(self, *, refuse: bool = True) -> None:
        """The reflector may send what it wants."""
        if self.stream is not None:
            return
        ask = self.reflector.next(self.now_us)
        if ask is None:
            return
        self.requests += 1
        self.modes.add(self.reflector.mode)
        if refuse and self.rng.random() < 0.15:
            code = self.rng.choice(REFUSALS)
            wait = self.rng.choice([None, 2_000_000])
            self.reflector.ended(Response(code, b"", wait, "refused"), self.now_us)
            return
        answer = self.server.watch(ask.path) if ask.stream else self.server.page(ask.path)
        if isinstance(answer, Stream):
            self.stream = answer
            self.reflector.status(200, self.now_us)
        else:
            self.reflector.ended(answer, self.now_us)

    def deliver(self) -> None:
        """Some bytes come through, cut anywhere."""
        if self.stream is None:
            return
        self.server.write(self.stream)
        size = self.rng.choice([1, 50, 300, 2_000, len(self.stream.out)])
        data = bytes(self.stream.out[:size])
        del self.stream.out[:size]
        if data and not self.reflector.heard(data, self.now_us):
            self.stream = None
            self.reflector.ended(Response(200), self.now_us)
        elif self.stream.ended and not self.stream.out:
            self.end(Response(200))

    def cut(self) -> None:
        """The connection breaks, or the server closes it: what was on its way is lost."""
        if self.stream is not None:
            self.end(Response(200, error=self.rng.choice(["", "connection reset"])))

    def end(self, response: Response) -> None:
        """The stream is over."""
        self.stream = None
        self.reflector.ended(response, self.now_us)

    def check(self) -> None:
        """Whatever is shown was so on the server at some time."""
        for key, (uid, version) in self.sink.view.items():
            assert any(
                (thing.key, thing.uid, thing.version) == (key, uid, version)
                for _, _, thing in self.server.past
            ), f"{key} was never like this"

    def compare_with_list(self) -> None:
        """A list is complete: the sink has what it held, neither more nor less."""
        assert_same(self.sink, self.server.visible_at(int(self.reflector._version)))

    def settle(self) -> None:
        """Faults end; the reflector catches up."""
        self.server.duplicates = False
        for _ in range(60):
            if self.stream is not None and self.reflector.mode is not Mode.WATCH:
                # A stream from before may be deaf by now; the idle time-out would end it.
                self.server.write(self.stream)
            while self.stream is not None and (self.stream.out or self.stream.ended):
                self.deliver()
            if self.stream is not None:
                self.server.write(self.stream)
                if not self.stream.out and not self.stream.ended:
                    return
                continue
            self.now_us += 60_000_000
            self.request(refuse=False)
        raise AssertionError("never quiet")


def assert_same(sink: RecordingSink, server: dict[str, Thing]) -> None:
    """The sink has what the server has; of what cannot be decoded, an older version or nothing."""
    for key, thing in server.items():
        seen = sink.view.get(key)
        if thing.odd:
            assert seen is None or (seen[0] == thing.uid and seen[1] < thing.version)
        else:
            assert seen == (thing.uid, thing.version), key
    assert set(sink.view) <= set(server)


@pytest.mark.parametrize("block", range(6))
def test_any_history_ends_in_the_servers_view(block: int) -> None:
    """Nothing is lost, doubled, resurrected or shown older, whatever breaks; then all is there."""
    modes: set[Mode] = set()
    syncs = 0
    for seed in range(block * SEEDS, (block + 1) * SEEDS):
        world = World(seed)
        for _ in range(STEPS):
            world.step()
        world.settle()
        assert_same(world.sink, {t.key: t for t in world.server.visible_now()})
        modes |= world.modes
        syncs += world.sink.syncs
    assert modes == set(Mode), "the fuzz does not reach every state"
    assert syncs > 2 * SEEDS, "the fuzz hardly ever lists anew"
