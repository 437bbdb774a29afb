"""Every metric of `muster run`, in one table, in a registry of its own.

Nothing here reads a clock: durations are handed in. Counting is per batch, not per pod, so that
thousands of binds a second cost one call per turn of the loop.
"""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

CONTENT_TYPE = CONTENT_TYPE_LATEST

SIZES = ((1, "1"), (8, "2-8"), (64, "9-64"), (512, "65-512"), (4096, "513-4096"))
"""(largest number of members, value of the label `size`); more is BEYOND."""
BEYOND = "4097-"

_PLACE_BUCKETS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 60, 180, 600, 1800, 3600, 14400, 86400)
_CYCLE_BUCKETS = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10)


class Metrics:
    """What the process counts. One thread writes; any thread may render."""

    def __init__(self) -> None:
        self.registry = registry = _registry()
        self._binds = Counter(
            "muster_binds", "Binds that are settled.", ["outcome"], registry=registry
        )
        self._gangs = Gauge(
            "muster_gangs", "Gangs and single pods known, by state.", ["state"], registry=registry
        )
        self._states: set[str] = set()
        self._place = Histogram(
            "muster_gang_place_seconds",
            "From the moment a gang was complete to its last bind, by its number of members.",
            ["size"],
            registry=registry,
            buckets=_PLACE_BUCKETS,
        )
        self._cycle = Histogram(
            "muster_cycle_seconds",
            "One step of a cycle.",
            ["phase"],
            registry=registry,
            buckets=_CYCLE_BUCKETS,
        )
        self._holds = Gauge("muster_holds", "Members whose room is held.", registry=registry)
        self._claims = Gauge("muster_claims", "Domains that are claimed.", registry=registry)
        self._races = Counter(
            "muster_overcommit_races",
            "Nodes found overcommitted because another scheduler bound there at the same time.",
            registry=registry,
        )
        self._events_dropped = Counter(
            "muster_events_dropped", "Events not written: too many.", registry=registry
        )
        self._lag = Gauge(
            "muster_watch_lag_seconds",
            "Time since the API server was last heard on the watch of a kind.",
            ["kind"],
            registry=registry,
        )

    def binds(self, outcome: str, count: int = 1) -> None:
        """`count` binds ended with this outcome."""
        self._binds.labels(outcome).inc(count)

    def gangs(self, by_state: Mapping[str, int]) -> None:
        """How many gangs are in each state now; a state that is left out has none."""
        self._states.update(by_state)
        for state in sorted(self._states):
            self._gangs.labels(state).set(by_state.get(state, 0))

    def placed(self, members: int, elapsed_us: int) -> None:
        """A gang of `members` was bound as a whole, `elapsed_us` after it was complete."""
        self._place.labels(size_of(members)).observe(elapsed_us / 1e6)

    def phase(self, name: str, elapsed_us: int) -> None:
        """A step of a cycle took so long: gather, freeze, plan, commit, record."""
        self._cycle.labels(name).observe(elapsed_us / 1e6)

    def reserved(self, holds: int, claims: int) -> None:
        """Members held and domains claimed now."""
        self._holds.set(holds)
        self._claims.set(claims)

    def overcommit_races(self, count: int = 1) -> None:
        """Nodes were found overcommitted by a race."""
        self._races.inc(count)

    def events_dropped(self, count: int = 1) -> None:
        """Events were given up."""
        self._events_dropped.inc(count)

    def watch_lag(self, kind: str, lag_us: int) -> None:
        """The API server was last heard on the watch of `kind` so long ago."""
        self._lag.labels(kind).set(lag_us / 1e6)

    def render(self) -> bytes:
        """All series as Prometheus text (`CONTENT_TYPE`)."""
        return generate_latest(self.registry)


def _registry() -> CollectorRegistry:
    """With the numbers of the process itself."""
    # No series per counter that says when it was made: twice the lines, and nobody asks.
    disable_created_metrics()  # type: ignore[no-untyped-call]
    registry = CollectorRegistry()
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=registry)
    return registry


def size_of(members: int) -> str:
    """The value of the label `size` for a gang of so many members."""
    for largest, label in SIZES:
        if members <= largest:
            return label
    return BEYOND


def documented_metrics() -> list[tuple[str, str, str]]:
    """(name, type, text) of every `muster_` series, in the order of the table above."""
    families = Metrics().registry.collect()
    total = {"counter": "_total"}
    return [
        (f.name + total.get(f.type, ""), f.type, f.documentation)
        for f in families
        if f.name.startswith("muster_")
    ]
