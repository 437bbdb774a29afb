"""`muster trace check`: what is wrong with a trace directory, and what one should know of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from scheduler.model.arrays import I64
from scheduler.model.pending import NO_LEVEL
from scheduler.model.topology import Topology
from scheduler.model.topology_check import check_topology
from scheduler.replay.trace import WHOLE_GPU, Trace
from scheduler.replay.trace_io import changed_files, read_manifest, read_trace


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found: an error fails the check, a note does not."""

    error: bool
    text: str


@dataclass(frozen=True, slots=True)
class TraceCheck:
    """The trace, what was found, and its summary table (JSON-ready values)."""

    trace: Trace
    findings: tuple[Finding, ...]
    summary: dict[str, str | int | float]

    @property
    def ok(self) -> bool:
        """True if there is no error among the findings."""
        return not any(finding.error for finding in self.findings)


def check_trace(path: Path) -> TraceCheck:
    """Check the trace directory `path`. Raises BadInputError if it cannot be read as one.

    Errors: a file is not the one the manifest names; a gang of a pool without nodes, of a GPU
    model that its pool has not, or with a level that the trace has not. Notes: gangs that
    never fit, gaps of the topology, dropped rows.
    """
    changed = changed_files(path, read_manifest(path))
    trace = read_trace(path, verify=False)
    topology = trace.topology()
    findings = [
        *(
            Finding(True, f"{name} is not the file whose sha256 the manifest has")
            for name in changed
        ),
        *_unknown_names(trace),
        *_never_fit(trace, topology),
        *(Finding(False, note.text) for note in check_topology(topology)),
        *(
            Finding(False, f"{rows} rows of the source were dropped: {reason}")
            for reason, rows in sorted(trace.dropped_rows.items())
        ),
    ]
    return TraceCheck(trace, tuple(findings), summarise(trace, topology))


def summarise(trace: Trace, topology: Topology) -> dict[str, str | int | float]:
    """One row about `trace`: nodes, GPUs, domains, gangs, pods, span and offered load."""
    sizes = trace.sizes()
    load = offered_load(trace)
    domains = (f"{len(topology.by_level[at])} {level}" for at, level in enumerate(trace.levels))
    return {
        "trace": trace.name,
        "pools": len(trace.pools),
        "nodes": len(trace.nodes),
        "gpus": int(trace.nodes.gpu.sum()),
        "levels": ", ".join(domains) or "none",
        "gangs": len(trace.gangs),
        "pods": int(sizes.sum()),
        "multi_member": int(np.count_nonzero(sizes > 1)),
        "largest": int(sizes.max(initial=0)),
        "span_s": span_us(trace) / 10**6,
        "offered_load": 0.0 if load is None else round(float(load), 4),
        "dropped_rows": sum(trace.dropped_rows.values()),
    }


def span_us(trace: Trace) -> int:
    """Microseconds from the first to the last arrival."""
    submit = trace.gangs.submit_us
    return int(submit.max() - submit.min()) if len(submit) else 0


def offered_load(trace: Trace) -> Fraction | None:
    """GPU time asked for / (GPUs x span), exactly; None without GPUs or without a span.

    A share of a device counts as that share.
    """
    rows = trace.rows
    milli = (rows.count * rows.gpu * rows.gpu_milli).tolist()
    run = trace.gangs.duration_us[rows.gang].tolist()
    asked = sum(m * us for m, us in zip(milli, run, strict=True))
    offered = int(trace.nodes.gpu.sum()) * span_us(trace) * WHOLE_GPU
    return Fraction(asked, offered) if offered else None


def _unknown_names(trace: Trace) -> Iterator[Finding]:
    gangs, rows = trace.gangs, trace.rows
    models: dict[str, set[str]] = {}
    for pool, model in set(zip(trace.nodes.pool, trace.nodes.model, strict=True)):
        models.setdefault(pool, set()).add(model)
    for pool in sorted(set(gangs.pool) - set(models)):
        first = gangs.keys[gangs.pool.index(pool)]
        yield Finding(True, f"pool {pool!r} of gang {first} has no nodes")
    asked: dict[tuple[str, str], str] = {}
    for gang, model in zip(rows.gang.tolist(), rows.model, strict=True):
        if model:
            asked.setdefault((gangs.pool[gang], model), gangs.keys[gang])
    for (pool, model), first in sorted(asked.items()):
        if pool in models and not models[pool] & set(model.split("|")):
            text = f"gang {first} asks for GPU model {model}, of which pool {pool!r} has none"
            yield Finding(True, text)
    for level in sorted({*gangs.required, *gangs.preferred} - {"", *trace.levels}):
        have = ", ".join(trace.levels) or "no levels"
        yield Finding(True, f"gangs name the level {level!r}; the trace has {have}")


def _never_fit(trace: Trace, topology: Topology) -> Iterator[Finding]:
    """Gangs whose minimum no empty pool, or no empty domain of the required level, can hold."""
    gangs, rows = trace.gangs, trace.rows
    least = _least(trace)
    levels = np.array(trace.level_numbers(_known(gangs.required, trace.levels)))[rows.gang]
    pool_short = np.zeros(len(gangs), bool)
    domain_short = np.zeros(len(gangs), bool)
    for alike in _rows_by_kind(trace):
        cap = _capacity(trace, int(alike[0]))
        pool_short[rows.gang[alike[least[alike] > cap.sum()]]] = True
        for level in set(levels[alike].tolist()) - {NO_LEVEL}:
            bound = alike[levels[alike] == level]
            best = _best_domain(topology, cap, level)
            domain_short[rows.gang[bound[least[bound] > best]]] = True
    in_domain = domain_short & ~pool_short
    for chosen, where in ((pool_short, "their empty pool"), (in_domain, "any one domain required")):
        if chosen.any():
            key = gangs.keys[int(chosen.argmax())]
            text = f"{np.count_nonzero(chosen)} gangs never fit {where}; the first is {key}"
            yield Finding(False, text)


def _known(names: tuple[str, ...], levels: tuple[str, ...]) -> tuple[str, ...]:
    # A level that is not there is an error of its own.
    return tuple(name if name in levels else "" for name in names)


def _least(trace: Trace) -> I64:
    """[R] members of each row that must be placed for its gang to start at all.

    With several shapes and a minimum below all, any of them may make up the minimum: 0.
    """
    gangs, rows = trace.gangs, trace.rows
    one_shape = np.diff(gangs.offset) == 1
    all_wanted = gangs.minimum == trace.sizes()
    each = np.where(all_wanted[rows.gang], rows.count, 0)
    return np.where(one_shape[rows.gang], gangs.minimum[rows.gang], each)


def _rows_by_kind(trace: Trace) -> list[I64]:
    """Rows of equal pool, request and model, one array per kind."""
    rows = trace.rows
    if not len(rows):
        return []
    models = {model: at for at, model in enumerate(dict.fromkeys(rows.model))}
    columns = (
        trace.pool_codes()[1][rows.gang].astype(np.int64),
        np.fromiter((models[model] for model in rows.model), np.int64, len(rows)),
        *(rows.cpu_milli, rows.memory_bytes, rows.gpu, rows.gpu_milli),
    )
    order = np.lexsort(columns)
    steps = [np.diff(values[order]) != 0 for values in columns]
    return np.split(order, np.flatnonzero(np.logical_or.reduce(steps)) + 1)


def _capacity(trace: Trace, row: int) -> I64:
    """[N] members like `row` that each empty node of its pool holds."""
    nodes, rows = trace.nodes, trace.rows
    gpu, milli = int(rows.gpu[row]), int(rows.gpu_milli[row])
    cap = nodes.pods.copy()
    for have, want in (
        (nodes.cpu_milli, rows.cpu_milli[row]),
        (nodes.memory_bytes, rows.memory_bytes[row]),
        # Sharers of one device do not reach over to the next.
        (nodes.gpu * (WHOLE_GPU // milli if milli else 1), gpu),
    ):
        if want:
            cap = np.minimum(cap, have // want)
    pool = trace.gangs.pool[int(rows.gang[row])]
    models = set(rows.model[row].split("|")) if rows.model[row] else set(nodes.model)
    may = (p == pool and model in models for p, model in zip(nodes.pool, nodes.model, strict=True))
    return np.where(np.fromiter(may, bool, len(nodes)), cap, 0)


def _best_domain(topology: Topology, cap: I64, level: int) -> int:
    """The most members that one domain of `level` holds."""
    domain = topology.domains_at(np.arange(topology.nodes, dtype=np.int32), level)
    sums = np.zeros(topology.domains, np.int64)
    np.add.at(sums, domain[domain >= 0], cap[domain >= 0])
    return int(sums.max(initial=0))
