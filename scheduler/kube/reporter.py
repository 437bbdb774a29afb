"""What users are told on the cluster: conditions, events, the status of PodGroups.

    roster, verdicts --changed keys--> due --a second later--> GangReports.look --> Desk
                                                                     |
                        Writes <--few at once, while no bind is on its way----------+

Nothing here is worth a bind: while binds are on their way only events about owners are sent. A
gang that is placed within `DEBOUNCE_US` of its rejection causes no write about it; a set whose
pods are still being created is not told pod by pod that others are missing.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from random import Random

from scheduler.clock import Clock
from scheduler.kube.batch import Outcome, Settled
from scheduler.kube.desk import Desk
from scheduler.kube.events import Event, Events
from scheduler.kube.gang_reports import Available, GangReports, Gangs, Shown
from scheduler.kube.transport import Transport
from scheduler.kube.writes import Kind, Writes
from scheduler.state.gang_view import OwnerRef
from scheduler.state.verdicts import Verdicts

SECOND_US = 1_000_000
DEBOUNCE_US = SECOND_US
"""From a change to what is said about it. Autoscalers look every 10 s."""
SWEEP_US = 10 * SECOND_US
"""How often gangs are looked for whose numbers may be told again."""
SWEEP_GANGS = 100
"""Gangs whose numbers are told per sweep, the oldest first: at most 20 writes a second."""
LOOKS = 200
"""Gangs looked at per call, so that the loop turns."""
BAD_OBJECTS = 10_000

_API_VERSIONS = {
    "StatefulSet": "apps/v1",
    "ReplicaSet": "apps/v1",
    "Job": "batch/v1",
    "PodGroup": "scheduling.x-k8s.io/v1alpha1",
    "LeaderWorkerSet": "leaderworkerset.x-k8s.io/v1",
    "PriorityClass": "scheduling.k8s.io/v1",
    "StorageClass": "storage.k8s.io/v1",
    "CSINode": "storage.k8s.io/v1",
    "CSIDriver": "storage.k8s.io/v1",
    "CSIStorageCapacity": "storage.k8s.io/v1",
    "VolumeAttachment": "storage.k8s.io/v1",
}


class Reporter:
    """Lives on the loop's thread; `pump` is called once per turn, from the first sync on."""

    def __init__(
        self,
        transport: Transport,
        clock: Clock,
        gangs: Gangs,
        verdicts: Verdicts,
        binder_idle: Callable[[], bool],
        *,
        rng: Random,
        controller: str = "muster",
        instance: str = "muster-0",
        pod_events_per_s: int = 50,
        dropped: Callable[[int], None] = lambda _: None,
        shown: Shown | None = None,
        available: Available = lambda _: "",
    ) -> None:
        """controller, instance: who events are from. pod_events_per_s: 0 = none about pods.

        dropped: told how many events were given up. shown: (key, ranks) -> the reason of
        PodScheduled=False that the watch showed of each member, or empty; without it, members
        that wait when the process starts are told again. available: key -> kube-scheduler's line
        about the nodes for a gang that was rejected, or empty.
        """
        self._clock = clock
        self._gangs = gangs
        self._verdicts = verdicts
        self._binder_idle = binder_idle
        self._writes = Writes(transport, clock, rng)
        self._desk = Desk(Events(controller, instance, pod_events_per_s, dropped))
        self._reports = GangReports(gangs, verdicts, self._desk, shown, available)
        self._due: dict[str, int] = {}
        self._last_change: dict[str, int] = {}
        """Of gangs that are due."""
        self._heap: list[tuple[int, str]] = []
        self._urgent: list[tuple[int, str]] = []
        """Rejected gangs: looked at even while binds are on their way. Both heaps may hold
        entries that `_due` has overtaken."""
        self._bad: dict[tuple[str, str], None] = {}
        self._swept_us = 0

    @property
    def in_flight(self) -> int:
        """Writes under way."""
        return self._writes.in_flight

    # ---- what happened

    def settled(self, bind: Settled) -> None:
        """A bind is over."""
        if bind.outcome is Outcome.BOUND:
            self._reports.bound(bind, self._clock.now_us())
        elif bind.outcome is Outcome.REFUSED:
            self._reports.refused(bind, self._clock.now_us())

    def bad_object(self, kind: str, namespace: str, name: str, uid: str, what: str) -> None:
        """An object could not be read; said once per object and text, if it is known which."""
        if not uid or (uid, what) in self._bad:
            return
        if len(self._bad) >= BAD_OBJECTS:
            self._bad.clear()
        self._bad[uid, what] = None
        about = OwnerRef(_API_VERSIONS.get(kind, "v1"), kind, namespace, name, uid)
        note = f"cannot be read: {what}"
        now = self._clock.now_us()
        self._desk.events.say(Event(about, "Warning", "InvalidObject", "Reading", note, now))

    # ---- the turn

    def pump(self, now_us: int) -> None:
        """Looks at what changed and sends what may be sent."""
        for key in self._gangs.changed():
            self._mark(key, now_us)
        for key in self._verdicts.changed():
            self._mark(key, now_us)
            if not self._verdicts.rejected(key):
                # Members are assumed on nodes by now: they are not told that they wait.
                self._desk.waiting.hush(key)
            elif self._is_gang(key):
                heapq.heappush(self._urgent, (self._due[key], key))
        idle = self._binder_idle()
        self._look_at_due(self._heap if idle else self._urgent, now_us)
        if idle:
            self._sweep(now_us)
        self._desk.send(self._writes, now_us, idle=idle)

    def next_time_us(self, now_us: int) -> int | None:
        """When `pump` has something to do, if nothing happens before; None = never.

        While binds are on their way, their end is what happens.
        """
        idle = self._binder_idle()
        heap = self._heap if idle else self._urgent
        times = [heap[0][0]] if heap else []
        paused = self._writes.next_time_us(now_us)
        calm = self._desk.calm
        if idle and len(self._desk.waiting):
            times.append(self._swept_us + SWEEP_US)
        if not calm and paused is not None:
            times.append(paused)
        # Forbidden ones are tried again by a turn that something else brings about.
        may = idle and calm and self._writes.may(Kind.EVENTS, now_us)
        pods = self._desk.events.next_pod_us() if may else None
        if pods is not None and self._writes.room(now_us):
            times.append(pods)
        elif pods is not None and paused is not None:
            times.append(max(pods, paused))
        return max(min(times), now_us) if times else None

    def _mark(self, key: str, now_us: int) -> None:
        """It may stand differently: it is looked at a little later."""
        self._last_change[key] = now_us
        if self._due.get(key, now_us + DEBOUNCE_US + 1) > now_us + DEBOUNCE_US:
            self._look_at(key, now_us + DEBOUNCE_US)

    def _look_at(self, key: str, when_us: int) -> None:
        self._due[key] = when_us
        heapq.heappush(self._heap, (when_us, key))

    def _look_at_due(self, heap: list[tuple[int, str]], now_us: int) -> None:
        looks = 0
        while heap and heap[0][0] <= now_us and looks < LOOKS:
            when, key = heapq.heappop(heap)
            if self._due.get(key) != when:
                continue
            looks += 1
            del self._due[key]
            last_change = self._last_change.pop(key, when)
            again = self._reports.look(key, last_change, now_us)
            if again is not None:
                self._last_change[key] = last_change
                self._look_at(key, again)

    def _is_gang(self, key: str) -> bool:
        view = self._gangs.view(key)
        return view is not None and not view.single

    def _sweep(self, now_us: int) -> None:
        """Gangs that wait: numbers that moved are told again, and events before they expire."""
        if now_us < self._swept_us + SWEEP_US:
            return
        self._swept_us = now_us
        due = self._reports.numbers_due(now_us)
        for _, key in heapq.nsmallest(SWEEP_GANGS, due):
            if key not in self._due and not self._reports.renumber(key, now_us):
                self._mark(key, now_us)
