"""The composition root of `muster run`: every part is made here, once, and given its neighbours."""

from __future__ import annotations

import signal
import socket
from collections import Counter
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from pathlib import Path
from random import Random
from types import FrameType

from scheduler import log
from scheduler.clock import Clock, SystemClock
from scheduler.config import Config, ProfileConfig
from scheduler.engine import Cycle, Engine
from scheduler.kube.answers import unavailable
from scheduler.kube.batch import Outcome, Settled
from scheduler.kube.binder import Binder
from scheduler.kube.committer import Committer
from scheduler.kube.connection import Connection
from scheduler.kube.connection import load as load_connection
from scheduler.kube.curl import CurlTransport
from scheduler.kube.intake import Intake
from scheduler.kube.owner_reads import OwnerReads
from scheduler.kube.reporter import Reporter
from scheduler.kube.resources import ALL
from scheduler.kube.transport import NO_ANSWER, Request, Response, Transport
from scheduler.kube.watcher import Health, Watcher
from scheduler.kube.window import LEAST, Window
from scheduler.loop import Loop, Parts
from scheduler.metrics import Metrics
from scheduler.model import wishes
from scheduler.model.audience import MEMBER_LABELS
from scheduler.model.policy import Pack, Policy
from scheduler.model.resources import ResourceOrder
from scheduler.serve.live import BinderNumbers, LiveAnswers, Sight, Watch, chosen
from scheduler.serve.mailbox import Mailbox
from scheduler.serve.protocol import Loop as Asked
from scheduler.serve.server import Server
from scheduler.serve.views import Scene
from scheduler.state import nodes
from scheduler.state.availability import Availability
from scheduler.state.cache import Cache
from scheduler.state.roster import Roster
from scheduler.state.verdicts import Verdicts
from scheduler.state.volume_room import VolumeRoom

_log = log.get(__name__)

GREETING_US = 10_000_000
"""How long the API server may take to say its version when the process starts."""


class RosterSource:
    """engine.Source: what the watches brought is in the roster; settling makes it wait."""

    def __init__(self, roster: Roster, room: VolumeRoom | None = None) -> None:
        self._roster = roster
        self._room = room

    def gather(self, cache: Cache, now_us: int) -> None:
        """Gangs that changed are put together again."""
        del cache
        self._roster.settle(now_us)
        if self._room is not None:
            self._room.refresh()


class App:
    """One scheduler over one API server, without its HTTP server: all of it on one thread."""

    def __init__(self, config: Config, transport: Transport, clock: Clock, rng: Random) -> None:
        self.config = config
        self.clock = clock
        self.metrics = Metrics()
        self.mailbox = Mailbox(transport.wake)
        self._outcomes: Counter[str] = Counter()
        self._phase = ("", 0)
        self.schedulers = tuple(profile.scheduler_name for profile in config.profiles)
        self.cache, self.roster = _model(config, self.schedulers)
        self.verdicts = Verdicts(autoscaler_domains=config.autoscaler.domains)
        self.availability = Availability(self.cache)
        intake = Intake(self.cache, self.roster, self.schedulers, clock, self._bad)
        self.watcher = Watcher(transport, clock, intake, ALL, rng)
        room = VolumeRoom(self.cache, intake.volumes.book)
        committer = Committer(self.cache, self.roster, clock, self._settled)
        self.roster.on_lost = committer.lost
        self.binder = Binder(
            transport, clock, committer.settled,
            timeout_us=config.binding.timeout_us, window=_window(config, rng), rng=rng,
            may_send=lambda: not self.loop.stopping, node_exists=self._node_exists,
        )  # fmt: skip
        committer.use(self.binder)
        self.reporter = self._reporter(transport, rng)
        policy, *others = map(_policy, config.profiles)
        engine = Engine(
            self.cache, policy, clock, RosterSource(self.roster, room), committer,
            self.verdicts, phase=self._step, others=others,
        )  # fmt: skip
        owners = OwnerReads(self.watcher, clock, self._no_owner)
        self.loop = Loop(
            Parts(
                clock, transport, self.watcher, self.cache, self.roster, owners, engine,
                self.binder, self.reporter,
                needed=ALL, quiet_us=config.gather.quiet_us,
                patience_us=config.gather.max_us, settled=room.follow,
                answer=self._between_turns, cycle_over=self._cycle_over,
            )
        )  # fmt: skip

    def _reporter(self, transport: Transport, rng: Random) -> Reporter:
        """Events name the first profile, whoever placed the gang: one process writes them."""
        name, events = self.schedulers[0], self.config.events
        return Reporter(
            transport, self.clock, self.roster, self.verdicts, lambda: self.binder.idle, rng=rng,
            controller=name, instance=f"{name}-{socket.gethostname()}",
            pod_events_per_s=events.rate if events.per_pod else 0,
            dropped=self.metrics.events_dropped, shown=self.roster.told,
            available=self._available,
        )  # fmt: skip

    def answers(self) -> LiveAnswers:
        """What the HTTP server asks."""
        return LiveAnswers(self.mailbox, self._sight, self.metrics, self._snapshot)

    # ---- told by the parts

    def _between_turns(self) -> None:
        self.mailbox.run()
        for outcome, count in self._outcomes.items():
            self.metrics.binds(outcome, count)
        self._outcomes.clear()

    def _settled(self, bind: Settled) -> None:
        self._outcomes[bind.outcome] += 1
        self.reporter.settled(bind)
        if bind.outcome is not Outcome.BOUND or self.binder.unsettled(bind.key):
            return
        since_us = self.roster.lone_since_us(bind.key)
        if since_us is not None:
            self.metrics.placed(1, max(self.clock.now_us() - since_us, 0))
            return
        view = self.roster.view(bind.key)
        if view is not None:
            took = max(self.clock.now_us() - view.since_us, 0)
            self.metrics.placed(view.wanted, took)
            _log.info("bound", gang=view.name, after_s=took / 1_000_000)

    def _no_owner(self, uid: str) -> None:
        self.roster.owner_absent(uid, self.clock.now_us())

    def _node_exists(self, name: str) -> bool:
        nid = self.cache.nodes.nid_of.get(name)
        return nid is not None and bool(self.cache.nodes.exists[nid])

    def _bad(self, kind: str, name: str, uid: str, what: str) -> None:
        _log.warning("an object cannot be read", kind=kind, name=name, what=what)
        space, _, own = name.rpartition("/")
        self.reporter.bad_object(kind, space, own, uid, what)

    def _step(self, name: str) -> None:
        """The engine begins a step: the one before it is over."""
        now = self.clock.elapsed_us()
        before, since = self._phase
        if before:
            self.metrics.phase(before, now - since)
        self._phase = (name, now)

    def _cycle_over(self, cycle: Cycle, took_us: int) -> None:
        del cycle, took_us
        self._step("")

    def _available(self, key: str, *, must: bool = False) -> str:
        return self.availability.of(key, self.clock.now_us(), must=must)

    # ---- asked by the HTTP server, on the loop's thread

    def _sight(self) -> Sight:
        scene = Scene(
            self.cache, self.roster, self.verdicts, self.clock.now_us(), self.binder.unsettled,
            self.schedulers, self._available,
        )  # fmt: skip
        binder = self.binder
        numbers = BinderNumbers(binder.waiting, binder.in_flight, binder.window, binder.worry)
        watches = [_watch(health) for health in self.watcher.health() if health.served is not False]
        return Sight(scene, self.roster, watches, numbers, self.loop.cycles)

    def _snapshot(self, loop: Asked, scheduler: str) -> Iterator[tuple[str, bytes]]:
        # Few schedulers are ever asked, and it takes a while to import.
        from scheduler.replay.cluster_file import ProfileEntry
        from scheduler.replay.live_snapshot import live_files

        number = chosen(self.schedulers, scheduler)
        profile = self.config.profiles[number]
        entry = ProfileEntry(
            scheduler_name=profile.scheduler_name,
            pack=profile.pack,
            search_per_gang=profile.search.per_gang,
            search_per_cycle=profile.search.per_cycle,
        )
        return live_files(loop.ask, self.cache, self.roster, self.clock.now_us, entry, number)


def _model(config: Config, schedulers: Sequence[str]) -> tuple[Cache, Roster]:
    """The mutable model; names of resources are learnt from nodes and pods."""
    trees = [profile.levels for profile in config.profiles]
    levels, *others = ([nodes.Level(each.name, each.label) for each in tree] for tree in trees)
    cache = Cache(
        ResourceOrder.of(()), levels,
        settle_us=config.node_settle_us, hidden=MEMBER_LABELS, others=others,
    )  # fmt: skip
    asked, *more = (tuple(wishes.Level(each.name, each.label) for each in tree) for tree in trees)
    return cache, Roster(
        cache, asked, gather_max_us=config.gather.max_us, others=more, schedulers=schedulers
    )


def _window(config: Config, rng: Random) -> Window:
    window = config.binding.window
    return Window(rng, start=window.initial, least=min(LEAST, window.initial), most=window.max)


def _policy(profile: ProfileConfig) -> Policy:
    return Policy(
        pack=Pack(profile.pack),
        budget=profile.search.per_gang,
        cycle_budget=profile.search.per_cycle,
    )


def _watch(health: Health) -> Watch:
    return Watch(
        kind=health.kind,
        synced=health.synced,
        lag_us=health.silent_us or 0,
        failures=health.failures,
        error=health.error,
    )


def run(config: Config, kubeconfig: Path | None, listen: str) -> None:
    """`muster run`: schedules until it is told to stop (SIGTERM, Ctrl-C).

    Raises ApiUnavailableError or BadInputError if there are no usable credentials, and UsageError
    if `listen` is taken.
    """
    connection = load_connection(kubeconfig)
    clock = SystemClock()
    transport = CurlTransport(connection, clock)
    try:
        _greet(transport, connection, clock)
        _run(App(config, transport, clock, Random()), connection, listen)
    finally:
        transport.close()
        connection.close()


def _greet(transport: Transport, connection: Connection, clock: Clock) -> None:
    """Somebody waits at a terminal: what cannot work is said at once, not in a log for ever.

    Raises ApiUnavailableError if the server does not answer, or refuses. Later on an API server
    that is away is waited for.
    """
    answers: list[Response] = []
    request = Request("GET", "/version", timeout_us=GREETING_US)
    transport.send(request, answers.append)
    until = clock.elapsed_us() + 2 * GREETING_US
    while not answers and clock.elapsed_us() < until:
        transport.poll(GREETING_US)
    answer = answers[0] if answers else Response(NO_ANSWER, error="no answer")
    if answer.status != HTTPStatus.OK:
        raise unavailable(connection.server, answer)


def _run(app: App, connection: Connection, listen: str) -> None:
    server = Server(listen, app.answers())
    _log.info("scheduling", scheduler=", ".join(app.schedulers), server=connection.server,
              listen=server.address)  # fmt: skip

    def stop(number: int, frame: FrameType | None) -> None:
        del frame
        _log.info("stopping", signal=signal.Signals(number).name)
        app.loop.stop()

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    server.start()
    try:
        app.loop.run()
    finally:
        app.mailbox.close()
        server.stop()
        app.watcher.close()
        for number, handler in before.items():
            signal.signal(number, handler)
