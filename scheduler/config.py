"""The configuration of `muster run`: one versioned YAML file, read once, then frozen.

Every key is declared here with what it means, its unit and its default; docs/configuration.md
and `muster config check` show these declarations. An unknown key, a value of another kind or
values that contradict each other are one BadInputError with file and line.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple

import msgspec
from msgspec import Meta, field

from scheduler.errors import UsageError
from scheduler.settings_file import SECOND_US, Duration, Where, read_settings

API_VERSION: Final = "muster.dev/v1alpha1"
KIND: Final = "MusterConfiguration"
DEFAULT_LISTEN = "127.0.0.1:10290"
MOST_LEVELS = 16
MOST_PROFILES = 16

_LABEL = re.compile(r"([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
_LEVEL_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
_TAKEN_NAMES = ("cluster", "node")
"""What sentences call the root of the tree, and what stands below its last level."""


def _key(text: str, unit: str = "", **limits: Any) -> Meta:
    return Meta(description=text, extra={"unit": unit}, **limits)


_VISITS = "node visits"


class _Section(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"
):
    """A part of the file; keys are the fields' names in camelCase, without `_us`."""


class LevelConfig(_Section, frozen=True, kw_only=True):
    """One tier of the network."""

    name: Annotated[str, _key("What annotations, messages and tables call the level.")]
    label: Annotated[str, _key("Key of the node label that names a node's domain there.")]


class SearchConfig(_Section, frozen=True, kw_only=True):
    """How much work a placement may be that is searched member by member."""

    per_gang: Annotated[
        int, _key("Most work for one gang; beyond it the answer is `not found`.", _VISITS, ge=1)
    ] = 2_000_000
    per_cycle: Annotated[
        int, _key("Most work for all gangs of one cycle; the others have their turn in the next.",
                  _VISITS, ge=1)
    ] = 20_000_000  # fmt: skip


class ProfileConfig(_Section, frozen=True, kw_only=True):
    """Which pods are meant, and how they are placed."""

    scheduler_name: Annotated[str, _key("Pods with this `spec.schedulerName` are scheduled.")]
    levels: Annotated[
        tuple[LevelConfig, ...], _key("The network's tiers above the nodes, root first.")
    ] = ()
    pack: Annotated[
        Literal["leaf", "spine"],
        _key(
            "What a gang is packed into: the lowest domain that holds it wherever it lies (`leaf`),"
            " or the tightest domain of the topmost level first (`spine`)."
        ),
    ] = "leaf"
    search: SearchConfig = SearchConfig()


class GatherConfig(_Section, frozen=True, kw_only=True):
    """When arrivals are looked at."""

    quiet_us: Annotated[
        Duration,
        _key(
            "While members of incomplete gangs arrive, a cycle waits until none came for so long."
        ),
    ] = field(default=Duration(50_000), name="quiet")
    max_us: Annotated[
        Duration,
        _key("But no longer than this; a gang that has its minimum waits as long for the others."),
    ] = field(default=Duration(1_000_000), name="max")


class LeaderElectionConfig(_Section, frozen=True, kw_only=True):
    """Several replicas, one of which schedules. Not implemented yet: run one replica."""

    enabled: Annotated[bool, _key("Must be `false` in this version.")] = False
    lease_duration_us: Annotated[
        Duration, _key("How long a lease is valid that is not renewed.")
    ] = field(default=Duration(15_000_000), name="leaseDuration")
    renew_deadline_us: Annotated[
        Duration, _key("The leader stops if it could not renew for this long.")
    ] = field(default=Duration(10_000_000), name="renewDeadline")
    retry_period_us: Annotated[Duration, _key("Pause between tries to get or renew the lease.")] = (
        field(default=Duration(2_000_000), name="retryPeriod")
    )


class WindowConfig(_Section, frozen=True, kw_only=True):
    """Binds under way at a time."""

    initial: Annotated[int, _key("At the start.", "requests", ge=1, le=4096)] = 32
    max: Annotated[
        int, _key("At most, however fast the API server answers.", "requests", ge=1, le=4096)
    ] = 200


class BindingConfig(_Section, frozen=True, kw_only=True):
    """How binds are sent."""

    timeout_us: Annotated[
        Duration,
        _key("A bind that has no answer after this long is sent again."),
    ] = field(default=Duration(4_000_000), name="timeout")
    window: WindowConfig = WindowConfig()


class EventsConfig(_Section, frozen=True, kw_only=True):
    """What is written as Kubernetes events, after binds and never before."""

    per_pod: Annotated[
        bool, _key("An event on each pod that is bound, besides the one on its controller.")
    ] = True
    rate: Annotated[int, _key("Most events sent.", "per second", ge=1, le=10_000)] = 50


class AutoscalerConfig(_Section, frozen=True, kw_only=True):
    """What a cluster autoscaler is told."""

    domains: Annotated[
        bool,
        _key(
            "`true`: it knows domains, so a gang that only lacks a domain is `Unschedulable` too,"
            " not `TopologyUnsatisfied`."
        ),
    ] = False


class LogConfig(_Section, frozen=True, kw_only=True):
    """What goes to stderr."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"], _key("Least severe event that is logged.")
    ] = "info"
    format: Annotated[
        Literal["text", "json"], _key("Lines for people, or one JSON object a line.")
    ] = "text"


class Config(_Section, frozen=True, kw_only=True):
    """The whole file."""

    api_version: Annotated[Literal["muster.dev/v1alpha1"], _key("The version of this format.")]
    kind: Annotated[Literal["MusterConfiguration"], _key("What the file is.")]
    profiles: Annotated[tuple[ProfileConfig, ...], _key("One to 16, each with a name of its own.")]
    gather: GatherConfig = GatherConfig()
    claim_after_us: Annotated[
        Duration,
        _key(
            "After this long the first gang in the queue reserves a domain; `0` = never. Not"
            " implemented yet: nothing is reserved."
        ),
    ] = field(default=Duration(600_000_000), name="claimAfter")
    node_settle_us: Annotated[
        Duration, _key("A node younger than this takes single pods, but no gang.")
    ] = field(default=Duration(5_000_000), name="nodeSettle")
    leader_election: LeaderElectionConfig = LeaderElectionConfig()
    binding: BindingConfig = BindingConfig()
    events: EventsConfig = EventsConfig()
    autoscaler: AutoscalerConfig = AutoscalerConfig()
    log: LogConfig = LogConfig()
    listen: Annotated[
        str, _key("Where metrics, health and explanations are served; a loopback address.",
                  "host:port")
    ] = DEFAULT_LISTEN  # fmt: skip


def read_config(path: Path) -> tuple[Config, Where]:
    """The configuration in file `path`, and the lines of its values.

    Raises BadInputError with file and line, FileNotFoundError as `open` does.
    """
    config, where = read_settings(path, Config, _decode)
    for at, what, do in _faults(config):
        raise where.error(at, what, do)
    return config, where


def _decode(kind: type, value: Any) -> Any:
    if kind is Duration:
        return Duration.read(value)
    raise NotImplementedError(kind)


class Fault(NamedTuple):
    """A value that parses, but cannot be meant."""

    at: str
    what: str
    do: str


def _faults(config: Config) -> Iterator[Fault]:
    """What contradicts itself, or is not there yet; the first one is told."""
    yield from _profile_faults(config.profiles)
    gather, lease, binding = config.gather, config.leader_election, config.binding
    if gather.quiet_us > gather.max_us:
        what = f"gather.quiet ({gather.quiet_us}) is more than gather.max ({gather.max_us})"
        yield Fault("$.gather.quiet", what, "make it less")
    if lease.enabled:
        what = "leader election comes later"
        yield Fault("$.leaderElection.enabled", what, "run one replica and leave the key out")
    if not lease.lease_duration_us > lease.renew_deadline_us > lease.retry_period_us > 0:
        what = "leaseDuration > renewDeadline > retryPeriod > 0 does not hold"
        yield Fault("$.leaderElection", what, "as with 15s, 10s, 2s")
    if binding.timeout_us < SECOND_US:
        yield Fault("$.binding.timeout", "is less than a second", "give at least 1s")
    if binding.timeout_us >= lease.lease_duration_us - lease.renew_deadline_us:
        what = "is not less than leaderElection.leaseDuration - renewDeadline"
        do = "a bind sent by the last leader must be settled before the next one begins"
        yield Fault("$.binding.timeout", what, do)
    if binding.window.initial > binding.window.max:
        yield Fault("$.binding.window.initial", "is more than binding.window.max", "make it less")
    try:
        parse_listen(config.listen)
    except UsageError as error:
        yield Fault("$.listen", error.what, error.hint)


def _profile_faults(profiles: tuple[ProfileConfig, ...]) -> Iterator[Fault]:
    if not profiles:
        yield Fault("$.profiles", "there is no profile", "give at least one")
    if len(profiles) > MOST_PROFILES:
        at = f"$.profiles[{MOST_PROFILES}]"
        yield Fault(at, f"more than {MOST_PROFILES} profiles", "leave some out")
    met: dict[str, int] = {}
    for index, profile in enumerate(profiles):
        at, name = f"$.profiles[{index}]", profile.scheduler_name
        yield from _name_faults(name, at)
        if met.setdefault(name, index) != index:
            what = f"profiles {met[name]} and {index} are both called {name}"
            yield Fault(f"{at}.schedulerName", what, "give every profile a name of its own")
        yield from _level_faults(profile, at)


def _name_faults(name: str, at: str) -> Iterator[Fault]:
    if name == "default-scheduler":
        what = "Muster does not stand in for default-scheduler"
        yield Fault(f"{at}.schedulerName", what, "give a name of its own, such as muster")
    if not name or name.split() != [name]:
        yield Fault(f"{at}.schedulerName", f"{name!r} is no name", "give one word, such as muster")


def _level_faults(profile: ProfileConfig, at: str) -> Iterator[Fault]:
    if len(profile.levels) > MOST_LEVELS:
        yield Fault(f"{at}.levels", f"more than {MOST_LEVELS} levels", "leave some out")
    met: dict[str, int] = {}
    for index, level in enumerate(profile.levels):
        place = f"{at}.levels[{index}]"
        if not _LEVEL_NAME.fullmatch(level.name) or level.name in _TAKEN_NAMES:
            what = f"{level.name!r} is no name for a level"
            do = f"letters, digits, `-`, `_`, `.`; not {' or '.join(_TAKEN_NAMES)}"
            yield Fault(f"{place}.name", what, do)
        if not _LABEL.fullmatch(level.label):
            what = f"{level.label!r} is no key of a label"
            yield Fault(f"{place}.label", what, "such as topology.example.com/spine")
        for key, value in (("name", level.name), ("label", level.label)):
            if met.setdefault(value, index) != index:
                what = f"levels {met[value]} and {index} both use {value}"
                yield Fault(
                    f"{place}.{key}", what, "give every level a name and a label of its own"
                )


def parse_listen(text: str) -> tuple[str, int]:
    """(host, port) of a loopback address such as `127.0.0.1:10290` or `[::1]:0`.

    Raises UsageError: what is served shows every tenant's workloads, and nobody who asks from
    another machine proves who they are yet.
    """
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not (port.isascii() and port.isdigit()) or int(port) > 65_535:
        raise UsageError(f"{text!r} is no address to listen on", f"as in {DEFAULT_LISTEN}")
    try:
        loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        what = f"{text} is not a loopback address, and access from outside is not checked yet"
        raise UsageError(what, f"listen on {DEFAULT_LISTEN} and use kubectl port-forward")
    return host, int(port)
