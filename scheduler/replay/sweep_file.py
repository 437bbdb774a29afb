"""The schema of a sweep file: traces, policies, seeds. docs/sweep.md has every key."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec

from scheduler.errors import UsageError
from scheduler.replay.fgd.policy import PLACEMENTS as SHARED_GPU_PLACEMENTS
from scheduler.replay.fgd.problem import problem_of
from scheduler.replay.generate import GenerateOptions
from scheduler.replay.placements import NAMES
from scheduler.replay.trace import narrow_pool
from scheduler.replay.trace_io import read_trace
from scheduler.settings_file import Where, nearest, read_settings

Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_-]*$")]
Positive = Annotated[int, msgspec.Meta(ge=1)]
Ratio = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,6}([.][0-9]{1,6})?$")] | Positive
"""A number such as 0.85; kept as text, so that the file says what the report prints."""


class Generate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A generated trace: options of `muster generate`; the run's seed makes it."""

    nodes: Positive
    spines: Positive | None = None
    leaf_size: Positive | None = None
    gangs: Positive = 1000
    sizes: tuple[Positive, Positive] = (1, 128)
    load: Ratio = "0.85"
    whole_hosts: bool = False
    longest_s: Positive = 86_400

    def options(self, seed: int) -> GenerateOptions:
        """As the generator takes them."""
        return GenerateOptions(
            nodes=self.nodes,
            spines=self.spines,
            leaf_size=self.leaf_size,
            gangs=self.gangs,
            sizes=self.sizes,
            load=float(self.load),
            seed=seed,
            whole_hosts=self.whole_hosts,
            longest_s=self.longest_s,
        )


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One trace: a directory, or a generator."""

    name: Name
    dir: str | None = None
    generate: Generate | None = None


class LevelSizes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`--levels`: domains of `sizes` consecutive nodes."""

    level: Name
    sizes: tuple[Positive, ...]


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One policy: options of `muster replay`, with its defaults."""

    name: Name
    order: Literal["fifo", "sjf", "priority"] = "priority"
    scan: Literal["strict", "greedy"] = "greedy"
    placement: str = "muster"
    pack: Literal["leaf", "spine"] = "leaf"
    tie_break: Literal["name", "seeded"] = "name"
    levels: tuple[LevelSizes, ...] = ()
    pool: str | None = None
    fill: Ratio | None = None
    what_if: str | None = None

    @property
    def fill_ratio(self) -> float | None:
        """`fill` as a number."""
        return None if self.fill is None else float(self.fill)


class SweepFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A grid: every trace with every policy and every seed."""

    traces: tuple[Source, ...]
    policies: tuple[Policy, ...]
    seeds: tuple[Annotated[int, msgspec.Meta(ge=0)], ...] = (1,)


def read_sweep(path: Path) -> SweepFile:
    """The file at `path`. Raises BadInputError naming file and line."""
    found, where = read_settings(path, SweepFile)
    for key in ("traces", "policies", "seeds"):
        items = getattr(found, key)
        if not items:
            raise where.error(f"$.{key}", f"{key} is empty", "give one at least")
        names = [getattr(item, "name", item) for item in items]
        for at, name in enumerate(names):
            if name in names[:at]:
                raise where.error(f"$.{key}[{at}]", f"{key} has {name} twice", "rename one")
    if len(found.traces) * len(found.policies) * len(found.seeds) < 2:
        raise where.error("$", "is a single run", "add a policy or a seed, or use muster replay")
    _check(found, path.parent, where)
    return found


def _check(found: SweepFile, base: Path, where: Where) -> None:
    """What would fail in the middle of a sweep fails before it."""
    for at, source in enumerate(found.traces):
        here = f"$.traces[{at}]"
        if (source.dir is None) == (source.generate is None):
            raise where.error(here, f"trace {source.name} needs either dir or generate")
        if source.dir is not None and not (base / source.dir).is_dir():
            what = f"there is no directory {source.dir}"
            raise where.error(f"{here}.dir", what, "paths are relative to the sweep file")
    for at, policy in enumerate(found.policies):
        here = f"$.policies[{at}]"
        known = [*NAMES, *SHARED_GPU_PLACEMENTS]
        if policy.placement not in known:
            what = f"has no placement {policy.placement}"
            raise where.error(f"{here}.placement", what, nearest(policy.placement, known))
        if policy.what_if is not None and not (base / policy.what_if).is_file():
            what = f"there is no file {policy.what_if}"
            raise where.error(f"{here}.what_if", what, "paths are relative to the sweep file")
        if policy.placement in SHARED_GPU_PLACEMENTS:
            _check_fill(policy, found.traces, base, where, here)


def _check_fill(
    policy: Policy, sources: tuple[Source, ...], base: Path, where: Where, here: str
) -> None:
    """The placements of the fill experiment take single pods of one pool, and nobody leaves."""
    name = policy.placement
    if policy.fill is None:
        what = f"placement {name} only fills a cluster"
        raise where.error(f"{here}.placement", what, "give fill too, 1.3 as published")
    for at, source in enumerate(sources):
        what = f"placement {name} of policy {policy.name} cannot fill trace {source.name}"
        if source.dir is None:
            do = "a generated trace has gangs; give a dir with single pods, or leave the policy out"
            raise where.error(f"$.traces[{at}]", what, do)
        trace = read_trace(base / source.dir)
        try:
            problem_of(trace if policy.pool is None else narrow_pool(trace, policy.pool))
        except UsageError as error:
            raise where.error(f"$.traces[{at}].dir", f"{what}: {error.what}", error.hint) from error
