# ruff: noqa: D102  (a double is named after what it stands for)
"""A scheduler at one moment, made of the real parts but for the API server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from scheduler.clock import ManualClock
from scheduler.engine import Decision, Engine
from scheduler.metrics import Metrics
from scheduler.model.policy import Policy
from scheduler.replay.cluster_file import ProfileEntry
from scheduler.replay.live_snapshot import live_files
from scheduler.serve.live import BinderNumbers, LiveAnswers, Sight, Watch, chosen
from scheduler.serve.protocol import Loop, NoAnswerError
from scheduler.serve.server import Server
from scheduler.serve.views import Scene
from scheduler.state.availability import Availability
from scheduler.state.cache import Cache
from scheduler.state.verdicts import Verdicts
from tests.state.roster_helpers import Desk, controller, sighting

T = TypeVar("T")

CLUSTER = "s1/l1: n1 n2 | s1/l2: n3 n4 | s2/l3: n5 n6 | : n7"
SECOND = 1_000_000


class Here:
    """A loop without a thread: the question is answered at once, or never."""

    def __init__(self) -> None:
        self.busy = False
        self.asked = 0

    def ask(self, question: Callable[[], T]) -> T:
        if self.busy:
            raise NoAnswerError("the scheduler is busy")
        self.asked += 1
        return question()


class Running:
    """Cache, roster, verdicts and engine; binds are sent nowhere."""

    def __init__(self, text: str = CLUSTER, desk: Desk | None = None) -> None:
        self.desk = desk or Desk(text)
        self.schedulers = self.desk.roster.wishes.schedulers or ("muster",)
        self.cache, self.roster = self.desk.cache, self.desk.roster
        self.verdicts, self.metrics, self.loop = Verdicts(), Metrics(), Here()
        self.availability = Availability(self.cache)
        self.clock = ManualClock(100 * SECOND)
        self.worry = ""
        self.watches = [Watch("Node", synced=True, lag_us=2 * SECOND)]
        others = [Policy() for _ in self.schedulers[1:]]
        self.engine = Engine(
            self.cache, Policy(), self.clock, self, self, self.verdicts, others=others
        )
        self.answers = LiveAnswers(self.loop, self.sight, self.metrics, self.snapshot)

    # the engine's ends

    def gather(self, cache: Cache, now_us: int) -> None:
        del cache
        self.roster.settle(now_us)

    def commit(self, decision: Decision) -> None:
        self.cache.send(decision.key)

    # what happens

    def gang(self, name: str, wanted: int, there: int | None = None, **pod: Any) -> None:
        """A StatefulSet and its pods appear."""
        self.roster.put_controller(controller(name, wanted), self.clock.now_us())
        for rank in range(wanted if there is None else there):
            self.pod(f"{name}-{rank}", name, **pod)

    def pod(self, name: str, owner: str = "", **rest: Any) -> None:
        """A pod appears, or changes."""
        self.roster.put_pod(
            sighting(name, owner, **{"created_us": self.clock.now_us(), **rest}),
            self.clock.now_us(),
        )

    def cycle(self, after_us: int = SECOND) -> None:
        """Time passes, and one cycle."""
        self.clock.advance(after_us)
        for profile in range(len(self.schedulers)):
            self.engine.cycle(profile)

    def bind(self, name: str, ranks: range, **pod: Any) -> None:
        """The watch shows members where they were assumed."""
        record = self.cache.book.get(name)
        pods = self.cache.book.pods
        at = dict(zip(pods.rank[record.slots].tolist(), pods.nid[record.slots].tolist(),
                      strict=True))  # fmt: skip
        for rank in ranks:
            self.pod(f"{name}-{rank}", name, node=self.cache.nodes.names[at[rank]], **pod)

    # what is shown

    def scene(self) -> Scene:
        return Scene(self.cache, self.roster, self.verdicts, self.clock.now_us(), self.unsettled,
                     self.schedulers, self.line)  # fmt: skip

    def line(self, key: str, /, *, must: bool = False) -> str:
        return self.availability.of(key, self.clock.now_us(), must=must)

    def unsettled(self, key: str) -> int:
        record = self.cache.book.find(key)
        return 0 if record is None else record.assumed

    def sight(self) -> Sight:
        numbers = BinderNumbers(5, 32, 64, self.worry)
        return Sight(self.scene(), self.roster, self.watches, numbers, self.verdicts.cycles)

    def snapshot(self, loop: Loop, scheduler: str) -> Iterator[tuple[str, bytes]]:
        number = chosen(self.schedulers, scheduler)
        entry = ProfileEntry(scheduler_name=self.schedulers[number])
        return live_files(loop.ask, self.cache, self.roster, self.clock.now_us, entry, number)

    @contextmanager
    def serving(self) -> Iterator[str]:
        """An HTTP server over it; its address."""
        server = Server("127.0.0.1:0", self.answers)
        server.start()
        try:
            yield server.address
        finally:
            server.stop()


def busy() -> Running:
    """One gang on nodes, one that does not fit, one without all members, one not supported."""
    running = Running()
    running.gang("train", 6)
    running.cycle()
    running.bind("train", range(6))
    running.gang("going", 2)
    running.cycle()
    running.bind("going", range(1))
    running.gang("huge", 40)
    running.gang("part", 3, 2)
    running.gang("odd", 1, unsupported=("volumes",))
    running.pod("lone")
    running.pod("placed", node="n7")
    running.cycle()
    running.gang("later", 2)
    running.roster.settle(running.clock.now_us())
    running.clock.advance(75 * SECOND)
    return running
