"""`Answers` of a running scheduler: every look at the cache is a question to the loop thread.

Long answers are asked for in slices, so that no question holds the loop for long; between two
slices a gang may come or go, as between two looks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol, TypeVar

from scheduler.errors import NotFoundError, UsageError
from scheduler.metrics import Metrics
from scheduler.serve import views
from scheduler.serve.explain import explain
from scheduler.serve.protocol import Check, Document, Loop, NoAnswerError
from scheduler.serve.views import Scene
from scheduler.settings_file import nearest
from scheduler.state.gang_view import GangView

T = TypeVar("T")

SLICE = 500
"""Gangs looked at in one question: a few milliseconds."""
FAILURES = 3
"""Failed tries in a row after which a watch counts as broken: one may fail any time."""
COUNTED = 10_000
"""Gangs whose states are counted in one question."""
MOST_NAMES = 20_000
"""Names that a wrong one is compared with."""
MOST_SINGLES = 1_000
"""Single pods that /gangs lists; gangs are listed all."""


class Roster(views.Gangs, Protocol):
    """What the answers ask of the roster besides."""

    def keys(self) -> Sequence[str]:
        """Keys of everybody known; a copy."""
        ...

    def key_of(self, name: str) -> str | None:
        """The key of NAMESPACE/KIND/NAME, or None."""
        ...


@dataclass(frozen=True, slots=True)
class Watch:
    """How one watch is doing; of kinds that the API server serves."""

    kind: str
    synced: bool
    """Its first list is complete."""
    lag_us: int
    """Time since the API server was last heard on it."""
    failures: int = 0
    """Tries that failed since the last good one."""
    error: str = ""
    """What the last failure said."""


@dataclass(frozen=True, slots=True)
class BinderNumbers:
    """How the binder is doing."""

    waiting: int
    """Binds that were not sent yet."""
    in_flight: int
    window: int
    """Most that may be under way now."""
    worry: str = ""
    """What comes instead of answers; empty if all is well."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What the loop shows of itself at one moment; made anew for every question."""

    scene: Scene
    roster: Roster
    watches: Sequence[Watch]
    binder: BinderNumbers
    cycles: int


class LiveAnswers:
    """The only implementation of `Answers` besides those of tests."""

    def __init__(
        self,
        loop: Loop,
        sight: Callable[[], Sight],
        metrics: Metrics,
        snapshot: Callable[[Loop, str], Iterator[tuple[str, bytes]]],
    ) -> None:
        """sight: called on the loop thread. snapshot: files of a snapshot, asking the loop."""
        self._loop = loop
        self._sight = sight
        self._metrics = metrics
        self._snapshot = snapshot

    def metrics(self) -> bytes:
        """See `Answers.metrics`. Gauges of the moment are set if the loop answers."""
        with suppress(NoAnswerError):  # a busy loop is when the other numbers are wanted most
            self._gauges()
        return self._metrics.render()

    def _gauges(self) -> None:
        self._metrics.gangs(self._counts())

        def look() -> tuple[int, int, Sequence[Watch]]:
            sight = self._sight()
            return len(sight.scene.cache.holds), len(sight.scene.cache.claims), sight.watches

        holds, claims, watches = self._loop.ask(look)
        self._metrics.reserved(holds, claims)
        for watch in watches:
            self._metrics.watch_lag(watch.kind, watch.lag_us)

    def alive(self) -> Check:
        """See `Answers.alive`."""
        try:
            self._loop.ask(lambda: None)
        except NoAnswerError as error:
            return Check("loop", ok=False, text=str(error))
        return Check("loop", ok=True)

    def ready(self) -> Sequence[Check]:
        """See `Answers.ready`: a check per watch, and one for the binds."""
        try:
            sight = self._loop.ask(self._sight)
        except NoAnswerError as error:
            return [Check("loop", ok=False, text=str(error))]
        worry = sight.binder.worry
        return [*map(_check, sight.watches), Check("binds", ok=not worry, text=worry)]

    def status(self) -> Document:
        """See `Answers.status`."""
        return {**self._loop.ask(lambda: _status(self._sight())), "gangs": self._counts()}

    def gangs(self) -> list[Document]:
        """See `Answers.gangs`: gangs, and single pods that wait; those who wait longest first."""

        def rows(scene: Scene, found: list[GangView]) -> list[Document]:
            shown = [v for v in found if not v.single or v.waiting]
            return [{**views.gang_row(scene, v), "single": v.single} for v in shown]

        listed = sorted(self._sliced(rows), key=views.order_of)
        singles = 0
        kept = []
        for row in listed:
            singles += row["single"]
            if not row["single"] or singles <= MOST_SINGLES:
                kept.append(row)
        return kept

    def explain(self, name: str) -> Document:
        """See `Answers.explain`."""

        def look() -> Document | None:
            sight = self._sight()
            key = sight.roster.key_of(name)
            view = None if key is None else sight.roster.view(key)
            return None if view is None else explain(sight.scene, view)

        found = self._loop.ask(look)
        if found is None:
            raise NotFoundError(f"no gang is called {name}", self._hint(name))
        return found

    def snapshot(self, scheduler: str = "") -> Iterator[tuple[str, bytes]]:
        """See `Answers.snapshot`."""
        return self._snapshot(self._loop, scheduler)

    def _hint(self, name: str) -> str:
        """The names most like it: those of its namespace first."""
        names = [view.name for view in self._views(MOST_NAMES)]
        space = name.partition("/")[0] + "/"
        return nearest(name, [n for n in names if n.startswith(space)] or names)

    def _views(self, most: int | None = None) -> list[GangView]:
        return list(self._sliced(lambda _, found: found, most))

    def _counts(self) -> dict[str, int]:
        """Gangs, and single pods that wait or are being bound, by state."""
        found: Counter[str] = Counter()
        keys = self._keys()
        for start in range(0, len(keys), COUNTED):

            def look(some: Sequence[str] = keys[start : start + COUNTED]) -> list[str]:
                return views.states(self._sight().scene.cache, some)

            found.update(self._loop.ask(look))
        return dict(sorted(found.items()))

    def _keys(self) -> list[str]:
        def everybody() -> list[str]:
            return list(self._sight().roster.keys())

        return self._loop.ask(everybody)

    def _sliced(
        self, work: Callable[[Scene, list[GangView]], list[T]], most: int | None = None
    ) -> Iterator[T]:
        """`work` over all gangs, SLICE of them in a question."""
        keys = self._keys()[:most]
        for start in range(0, len(keys), SLICE):

            def look(some: Sequence[str] = keys[start : start + SLICE]) -> list[T]:
                sight = self._sight()
                found = [view for key in some if (view := sight.roster.view(key)) is not None]
                return work(sight.scene, found)

            yield from self._loop.ask(look)


def chosen(schedulers: Sequence[str], name: str) -> int:
    """The profile called `name`; the only one if that is empty.

    Raises UsageError if there are several, NotFoundError if none is called so.
    """
    if not name and len(schedulers) == 1:
        return 0
    all_ = ", ".join(schedulers)
    if not name:
        what = f"this process is {len(schedulers)} schedulers, and a snapshot is of one"
        raise UsageError(what, f"name it with --scheduler: {all_}")
    if name not in schedulers:
        raise NotFoundError(f"no scheduler is called {name} here", f"there is {all_}")
    return schedulers.index(name)


def _check(watch: Watch) -> Check:
    heard = f"last heard {watch.lag_us / 1e6:.1f} s ago"
    trouble = f"; {watch.failures} failed tries: {watch.error}" if watch.failures else ""
    if not watch.synced:
        return Check(watch.kind, ok=False, text=f"the first list is not complete{trouble}")
    return Check(watch.kind, ok=watch.failures < FAILURES, text=heard + trouble)


def _status(sight: Sight) -> Document:
    scene, binder = sight.scene, sight.binder
    return {
        "now_us": scene.now_us,
        "cycles": sight.cycles,
        **views.nodes(scene.cache),
        "domains": views.domains(scene.topology(0)),
        "profiles": views.profiles(scene),
        "pods": views.members(scene.cache),
        "binder": {
            "waiting": binder.waiting,
            "in_flight": binder.in_flight,
            "window": binder.window,
            "worry": binder.worry,
        },
        "watches": [
            {
                "kind": watch.kind,
                "synced": watch.synced,
                "lag_s": watch.lag_us / 1e6,
                "failures": watch.failures,
                "error": watch.error,
            }
            for watch in sight.watches
        ],
    }
