"""Makes a cluster and a gang workload for it: the same options, the same bytes, everywhere.

Sizes follow the Lublin-Feitelson model, durations the published mean and median of Helios,
arrivals are Poisson; docs/traces.md has the sources. Draws are rounded to whole hosts, whole
seconds and millionths of a mean gap, so that the last bit of a CPU's exp() does not show.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from scheduler.errors import UsageError
from scheduler.model.arrays import I64
from scheduler.replay.hosts import hosts
from scheduler.replay.trace import (
    WHOLE_GPU,
    GangColumns,
    NodeColumns,
    ShapeRows,
    Trace,
    column,
)

SECOND = 1_000_000
LONGEST_SPAN_US = 10**15
"""What gangs.csv can hold: 31 years."""

POWER_OF_TWO = 0.6686
LOWER_STAGE = 0.875
UPPER_STAGE_BITS = 2.0
"""Lublin and Feitelson, JPDC 63(11), 2003, batch jobs of lublin99.c: POW2_PROB, UPROB, and
UHI - UMED: log2 of the size is uniform below UMED with probability UPROB, else above."""

MEDIAN_S = 206.0
MEAN_S = 6651.681
"""Duration of the GPU jobs of Helios (SC'21), from AcmeTrace's cluster_summary.csv."""

SMALL_GPUS = (1, 2, 4, 8)
SMALL_WEIGHTS = (8, 4, 2, 1)
"""GPUs of a job on one node: each doubling half as often, so that most ask for one, which is
the median in Helios, Philly, Seren and Kalos."""

CPU_MILLI_PER_GPU = 20_000
MEMORY_PER_GPU = 100 * 2**30

_GAP_UNITS = 10**6


@dataclass(frozen=True, slots=True)
class GenerateOptions:
    """What to generate; field by field an option of `muster generate`.

    nodes, spines, leaf_size: the cluster; without spines or leaf_size it has no such level.
    gangs: how many, >= 0. sizes: least and greatest, in whole hosts.
    load: GPU time asked for / (GPUs x time from the first to the last arrival), > 0.
    cluster: take the nodes from this trace instead; it must be of one pool.
    whole_hosts: no small jobs even where sizes begin at 1: each member takes all GPUs of a host.
    small_share: of the gangs, the share that are jobs of 1 to 8 GPUs on one node, if sizes
        begin at 1 and not whole_hosts.
    longest_s: durations are drawn again above this; a day keeps one job from being the trace.
    """

    nodes: int | None = None
    spines: int | None = None
    leaf_size: int | None = None
    gangs: int = 1000
    sizes: tuple[int, int] = (1, 128)
    load: float = 0.85
    seed: int = 1
    cluster: Trace | None = None
    whole_hosts: bool = False
    small_share: float = 0.5
    longest_s: int = 86_400


def generate(options: GenerateOptions) -> Trace:
    """The trace that `options` describe. Raises UsageError if they cannot be met."""
    levels, nodes = _cluster(options)
    host = _host(nodes, options)
    rng = np.random.Generator(np.random.PCG64(options.seed))
    members = _sizes(rng, options)
    gpu = np.full(options.gangs, int(nodes.gpu[host]), np.int64)
    if options.sizes[0] == 1 and not options.whole_hosts:
        members, gpu = _with_small_jobs(rng, options, members, gpu)
    duration_us = _durations_s(rng, options) * SECOND
    demand = _dot(members * gpu, duration_us)
    submit_us = _arrivals(rng, options, demand, int(nodes.gpu.sum()))
    gangs, rows = _gang_columns(nodes, host, members, gpu, submit_us, duration_us)
    return Trace(
        name=f"generated-{options.seed}",
        source=_source(options),
        licence=options.cluster.licence if options.cluster else "Apache-2.0",
        levels=levels,
        nodes=nodes,
        gangs=gangs,
        rows=rows,
    )


def lingjun_workload(topology: Trace, gangs: int = 2000, seed: int = 1) -> Trace:
    """Gangs of 1 to 128 whole hosts at load 0.85 on the nodes of `topology`."""
    return generate(
        GenerateOptions(
            gangs=gangs, sizes=(1, 128), load=0.85, seed=seed, cluster=topology, whole_hosts=True
        )
    )


def _cluster(options: GenerateOptions) -> tuple[tuple[str, ...], NodeColumns]:
    if options.cluster:
        nodes = options.cluster.nodes
        if len(set(nodes.pool)) > 1:
            have = ", ".join(options.cluster.pools)
            raise UsageError(f"the cluster has several pools ({have})", "take a trace of one pool")
        return options.cluster.levels, nodes
    count, spines, leaf = options.nodes or 0, options.spines, options.leaf_size
    if any(number is not None and number < 1 for number in (count, spines, leaf)):
        raise UsageError("nodes, spines and leaf size must be at least 1")
    if spines and spines > count:
        raise UsageError(f"{spines} spines for {count} nodes", "give each spine a node at least")
    # Contiguous spines whose sizes differ by at most one; leaves are numbered in each spine.
    spine = np.arange(count) * (spines or 1) // count
    within = np.arange(count) - np.searchsorted(spine, spine)
    labels = []
    if spines:
        labels.append([f"spine-{s + 1}" for s in spine.tolist()])
    if leaf:
        labels.append([f"leaf-{at // leaf + 1}" for at in within.tolist()])
    levels = tuple(name for name, on in (("spine", spines), ("leaf", leaf)) if on)
    width = len(str(count))
    names = [f"node-{n:0{width}d}" for n in range(1, count + 1)]
    return levels, hosts(names, ["default"] * count, labels)


def _host(nodes: NodeColumns, options: GenerateOptions) -> int:
    """Row of a typical host: of the commonest GPU count, the least CPU (then the first)."""
    low, high = options.sizes
    if not 1 <= low <= high:
        raise UsageError(f"sizes {low}:{high} are not MIN:MAX with 1 <= MIN <= MAX")
    counts, times = np.unique(nodes.gpu[nodes.gpu > 0], return_counts=True)
    if not len(counts):
        raise UsageError("the cluster has no GPUs", "take one with GPUs")
    gpus = int(counts[::-1][times[::-1].argmax()])
    alike = np.flatnonzero(nodes.gpu == gpus)
    if high > len(alike):
        what = f"gangs of up to {high} hosts, but the cluster has {len(alike)} hosts of {gpus} GPUs"
        raise UsageError(what, f"give --sizes {min(low, len(alike))}:{len(alike)}, or more nodes")
    return int(alike[nodes.cpu_milli[alike].argmin()])


def _sizes(rng: np.random.Generator, options: GenerateOptions) -> I64:
    """[G] hosts of each gang, in the given bounds."""
    low, high = options.sizes
    least, most = math.log2(low), math.log2(high)
    middle = max(least, most - UPPER_STAGE_BITS)
    lower = rng.random(options.gangs) < LOWER_STAGE
    even = rng.random(options.gangs) < POWER_OF_TWO
    bits = rng.random(options.gangs)
    bits = np.where(lower, least + bits * (middle - least), middle + bits * (most - middle))
    size = np.rint(np.exp2(bits)).astype(np.int64)
    power = np.int64(1) << np.rint(bits).astype(np.int64)
    size = np.where(even & (power >= low) & (power <= high), power, size)
    return np.clip(size, low, high)


def _with_small_jobs(
    rng: np.random.Generator, options: GenerateOptions, members: I64, gpu: I64
) -> tuple[I64, I64]:
    small = rng.random(options.gangs) < options.small_share
    weights = np.cumsum(SMALL_WEIGHTS)
    drawn = rng.integers(0, weights[-1], options.gangs)
    wanted = np.array(SMALL_GPUS, np.int64)[np.searchsorted(weights, drawn, side="right")]
    return np.where(small, 1, members), np.where(small, np.minimum(wanted, gpu), gpu)


def _durations_s(rng: np.random.Generator, options: GenerateOptions) -> I64:
    """[G] whole seconds, log-normal of the published median and mean, at most longest_s."""
    sigma = math.sqrt(2 * math.log(MEAN_S / MEDIAN_S))
    if options.longest_s < MEDIAN_S:
        raise UsageError(f"longest_s is {options.longest_s}", f"give at least {MEDIAN_S:.0f}")
    limit = math.log(options.longest_s / MEDIAN_S) / sigma
    normal = rng.standard_normal(options.gangs)
    while (over := np.flatnonzero(normal > limit)).size:
        normal[over] = rng.standard_normal(over.size)
    seconds: I64 = np.rint(MEDIAN_S * np.exp(sigma * normal)).astype(np.int64)
    return np.clip(seconds, 1, options.longest_s)


def _arrivals(rng: np.random.Generator, options: GenerateOptions, demand: int, gpus: int) -> I64:
    """[G] microseconds: Poisson arrivals stretched so that the load comes out, first at 0.

    demand: GPU-microseconds that all gangs ask for.
    """
    if options.load <= 0:
        raise UsageError(f"load is {options.load}", "give a load above 0")
    gaps = np.rint(rng.standard_exponential(options.gangs) * _GAP_UNITS).astype(np.int64)
    at = np.cumsum(gaps)
    at -= at[:1].sum()
    total = int(at[-1]) if len(at) else 0
    load = Fraction(str(options.load))
    span = round(Fraction(demand) / (gpus * load))
    if span > LONGEST_SPAN_US:
        what = f"at load {options.load} the arrivals would be spread over more than 31 years"
        raise UsageError(what, "give a larger --load, or fewer --gangs")
    # Python integers: the product of two spans does not fit int64.
    stretched = (unit * span // total if total else 0 for unit in at.tolist())
    return np.fromiter(stretched, np.int64, len(at))


def _dot(a: I64, b: I64) -> int:
    """The exact sum of products."""
    return sum(x * y for x, y in zip(a.tolist(), b.tolist(), strict=True))


def _gang_columns(
    nodes: NodeColumns, host: int, members: I64, gpu: I64, submit_us: I64, duration_us: I64
) -> tuple[GangColumns, ShapeRows]:
    count = len(members)
    width = len(str(count))
    zeros = column(np.zeros(count, np.int64))
    gangs = GangColumns(
        keys=tuple(f"gang-{g:0{width}d}" for g in range(1, count + 1)),
        pool=(nodes.pool[host],) * count,
        submit_us=column(submit_us),
        duration_us=column(duration_us),
        priority=zeros,
        minimum=column(members),
        segment_size=zeros,
        required=("",) * count,
        preferred=("",) * count,
        offset=column(np.arange(count + 1)),
    )
    rows = ShapeRows(
        gang=column(np.arange(count)),
        shape=("worker",) * count,
        count=column(members),
        cpu_milli=column(np.minimum(gpu * CPU_MILLI_PER_GPU, nodes.cpu_milli[host])),
        memory_bytes=column(np.minimum(gpu * MEMORY_PER_GPU, nodes.memory_bytes[host])),
        gpu=column(gpu),
        gpu_milli=column(np.full(count, WHOLE_GPU)),
        model=("",) * count,
    )
    return gangs, rows


def _source(options: GenerateOptions) -> str:
    where = (
        f"nodes of {options.cluster.name} ({options.cluster.source})"
        if options.cluster
        else f"{options.nodes} nodes, {options.spines or 0} spines, leaves of "
        f"{options.leaf_size or 0}"
    )
    small = 0 if options.whole_hosts or options.sizes[0] > 1 else options.small_share
    return (
        f"muster generate: {options.gangs} gangs of {options.sizes[0]}:{options.sizes[1]} hosts, "
        f"small jobs {small}, load {options.load}, seed {options.seed}, at most "
        f"{options.longest_s} s, on {where}"
    )
