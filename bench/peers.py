"""Muster's rule beside its peers', on the same workloads: an experiment, not a bound.

    python bench/peers.py                the documented run: 5 seeds, three loads, four clusters
    python bench/peers.py --quick        two small clusters, one load, one seed
    python bench/peers.py --jobs 2 --seeds 2 --clusters helios tree

Each (cluster, load, rule, seed) is one replay: greedy, first in first out. Finished ones are kept
in bench/out/peers-rows.json and are not run again; `--fresh` throws them away. Writes the
tables to bench/out/peers.json and peers.md, the plots to bench/out/peers*.svg.

A generated workload is another one for every seed. The Helios slice is one recorded month, its
arrivals stretched or squeezed to the load, and the seed breaks ties between equal nodes.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Self

import numpy as np
import peers_plots
from peers_plots import RULES, Table

from scheduler import engine
from scheduler.replay.generate import GenerateOptions, generate
from scheduler.replay.groups import STUDENT_T
from scheduler.replay.importers.helios import import_helios
from scheduler.replay.importers.lingjun import import_lingjun
from scheduler.replay.metrics import analyse
from scheduler.replay.simulate import ReplayOptions, replay
from scheduler.replay.trace import Trace, lay_levels, narrow_pool
from scheduler.replay.traces_dir import WHERE, real_trace

OUT = Path(__file__).resolve().parent / "out"
HELIOS, HELIOS_POOL = "helios/helios_venus_2vc_sept.csv", "vcvGl"
LINGJUN = "lingjun-2023/topo.csv"

LOADS = (0.70, 0.85, 0.95)
OURS = "muster (leaf)"
GANGS = {"helios": 0, "tree": 2000, "lingjun": 1000, "large": 1000}
"""Gangs of a generated workload; the Helios slice has its own."""


@dataclass(frozen=True, slots=True)
class Run:
    """One replay of the experiment."""

    cluster: str
    gangs: int
    load: float
    rule: str
    seed: int

    @property
    def key(self) -> str:
        """Name under which its row is kept."""
        return "/".join(str(part) for part in asdict(self).values())


@cache
def workload(cluster: str, gangs: int, load: float, seed: int) -> Trace:
    """The trace of one cluster. Raises FileNotFoundError if it needs a file that is not here."""
    if cluster == "helios":
        trace = narrow_pool(import_helios(_real(HELIOS), {}), HELIOS_POOL)
        return at_load(lay_levels(trace, "leaf", (8, 8, 4)), load)
    if cluster == "lingjun":
        fabric = import_lingjun(_real(LINGJUN))
        options = GenerateOptions(
            gangs=gangs, load=load, seed=seed, sizes=(1, 128), cluster=fabric, whole_hosts=True
        )
        return generate(options)
    if cluster == "tree":  # 4 blocks x 4 spines x 4 leaves x 8 nodes
        nodes, sizes, hosts = 512, {"block": 128, "spine": 32, "leaf": 8}, (1, 128)
    else:  # 25 spines x 20 leaves x 20 nodes; gangs large enough to fill it
        nodes, sizes, hosts = 10_000, {"spine": 400, "leaf": 20}, (8, 2048)
    trace = generate(GenerateOptions(nodes=nodes, gangs=gangs, load=load, seed=seed, sizes=hosts))
    for level, size in sizes.items():
        trace = lay_levels(trace, level, (size,) * (nodes // size))
    return trace


def at_load(trace: Trace, load: float) -> Trace:
    """The same gangs, their arrivals stretched until they ask for this share of the GPUs."""
    gangs, rows = trace.gangs, trace.rows
    gpus = np.zeros(len(gangs), np.int64)
    np.add.at(gpus, rows.gang, rows.count * rows.gpu * rows.gpu_milli)
    asked = float((gpus / 1000 * gangs.duration_us).sum())
    first = int(gangs.submit_us.min())
    span = int(gangs.submit_us.max()) - first
    now = asked / (float(trace.nodes.gpu.sum()) * span)
    submit = first + np.rint((gangs.submit_us - first) * (now / load)).astype(np.int64)
    return replace(trace, gangs=replace(gangs, submit_us=submit))


def _real(name: str) -> Path:
    path = real_trace(name)
    if path is None:
        raise FileNotFoundError(f"{name}: {WHERE}")
    return path


class _Stopwatch:
    """CPU time inside plan() and gangs it decided, while a replay runs."""

    def __init__(self) -> None:
        self.ns = self.gangs = 0
        self._plan: Any = vars(engine)["plan"]

    def __call__(self, *args: Any, **options: Any) -> Any:
        """plan(), timed."""
        begin = time.process_time_ns()
        got = self._plan(*args, **options)
        self.ns += time.process_time_ns() - begin
        self.gangs += got.stats.gangs_tried
        return got

    def __enter__(self) -> Self:
        """From here on the engine is timed."""
        vars(engine)["plan"] = self
        return self

    def __exit__(self, *_: object) -> None:
        """As it was."""
        vars(engine)["plan"] = self._plan


def measure(run: Run) -> tuple[str, dict[str, float]]:
    """(key, figures) of one replay."""
    trace = workload(run.cluster, run.gangs, run.load, run.seed)
    placement, pack = RULES[run.rule]
    options = ReplayOptions(
        order="fifo", scan="greedy", placement=placement, pack=pack, seed=run.seed,
        tie_break="seeded" if run.cluster == "helios" else "name",
    )  # fmt: skip
    with _Stopwatch() as watch:
        result = replay(trace, options)
    s = analyse(result).summary
    row: dict[str, float] = {"plan_us": watch.ns / 1e3 / max(watch.gangs, 1)}
    for level, figures in s["locality"].items():
        row[f"{level}s / ideal"] = figures["mean_domains"] / figures["mean_ideal"]
        row[f"in one {level}"] = figures["single_share"] or 0.0
    for level, slots in s["slots"].items():
        row.update({f"slots {level} {size}": count for size, count in slots.items()})
    row["wait s"] = s["wait_s"]["mean"]
    row.update({f"wait s {w['from']}+": w["mean"] for w in s["wait_by_size"]})
    row["stranded"] = s["fragmentation"]["amount"]
    return run.key, row


def measured(runs: list[Run], jobs: int, fresh: bool) -> dict[str, dict[str, float]]:
    """Rows of all runs; what an earlier call finished is read, the rest is run and kept."""
    kept = OUT / "peers-rows.json"
    rows: dict[str, dict[str, float]] = {}
    if kept.exists() and not fresh:
        rows = json.loads(kept.read_text(encoding="utf-8"))
    todo = [run for run in runs if run.key not in rows]
    with ProcessPoolExecutor(max_workers=jobs) as pool:
        for n, done in enumerate(as_completed([pool.submit(measure, run) for run in todo]), 1):
            key, row = done.result()
            rows[key] = row
            kept.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
            print(f"{n}/{len(todo)} {key}", flush=True)
    return rows


def tables(
    runs: list[Run], rows: dict[str, dict[str, float]]
) -> Iterator[tuple[str, float, Table]]:
    """(cluster, load, table) in the order of the runs."""
    grouped: dict[tuple[str, float], Table] = {}
    for run in runs:
        table = grouped.setdefault((run.cluster, run.load), {})
        figures = table.setdefault(run.rule, defaultdict(list))
        for name, value in rows[run.key].items():
            figures[name].append(value)
    for (cluster, load), table in grouped.items():
        ours = statistics.fmean(table[OURS]["plan_us"])
        for figures in table.values():
            figures["time ratio"] = [us / ours for us in figures["plan_us"]]
        yield cluster, load, table


def as_text(values: list[float]) -> str:
    """Mean and, of several seeds, the sample standard deviation."""
    mean = statistics.fmean(values)
    digits = 0 if abs(mean) >= 100 else 1 if abs(mean) >= 10 else 2 if abs(mean) >= 2 else 3
    text = f"{mean:.{digits}f}"
    return text if len(values) < 2 else f"{text} ± {statistics.stdev(values):.{digits}f}"


def _columns(table: Table) -> list[str]:
    names = list(table[OURS])
    slots = [name for name in names if name.startswith("slots")]
    slots = [name for name in slots if name.split()[1] != "cluster"]
    wanted = [name for name in names if name.endswith("/ ideal")]
    # Of the slot sizes of a level: one in the middle and the largest.
    for level in dict.fromkeys(name.split()[1] for name in slots):
        sizes = [name for name in slots if name.split()[1] == level]
        wanted += dict.fromkeys((sizes[len(sizes) // 2], sizes[-1]))
    waits = [name for name in names if name.startswith("wait s ")]
    return [*wanted, "wait s", *waits[-1:], "stranded", "time ratio"]


def markdown(found: list[tuple[str, float, Table]]) -> str:
    """One table per cluster and load."""
    parts = []
    for cluster, load, table in found:
        columns = _columns(table)
        heads = " | ".join(column.replace("leafs", "leaves") for column in columns)
        lines = [f"**{cluster}, load {load:.2f}**", "", f"| rule | {heads} |"]
        lines.append("|---" * (len(columns) + 1) + "|")
        for rule, figures in table.items():
            cells = [as_text(figures[c]) if figures.get(c) else "-" for c in columns]
            lines.append(f"| {rule} | {' | '.join(cells)} |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def sizes(found: list[tuple[str, float, Table]]) -> str:
    """Two tables per cluster and load: slots of every level and size, and waiting by size."""
    parts = []
    for cluster, load, table in found:
        names = list(table[OURS])
        for title, prefix in (("slots", "slots "), ("mean wait in s by members", "wait s ")):
            columns = [n for n in names if n.startswith(prefix) and " cluster " not in n]
            heads = " | ".join(name.removeprefix(prefix) for name in columns)
            lines = [f"**{cluster}, load {load:.2f}: {title}**", "", f"| rule | {heads} |"]
            lines.append("|---" * (len(columns) + 1) + "|")
            for rule, figures in table.items():
                cells = [as_text(figures[c]) if figures.get(c) else "-" for c in columns]
                lines.append(f"| {rule} | {' | '.join(cells)} |")
            parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def paired(found: list[tuple[str, float, Table]], wanted: str) -> str:
    """Figures whose name ends or begins with `wanted`, less those of muster (leaf), seed by seed.

    Mean and standard error; in brackets where zero is inside Student's 95 % interval of that
    mean (`muster compare` judges the same way), bold where the other rule is ahead beyond it.
    """
    others = list(RULES)[1:]
    lines = [f"| cluster, load, figure | {' | '.join(others)} |", "|---" * len(RULES) + "|"]
    for cluster, load, table in found:
        for figure in paired_figures(table, wanted):
            cells = []
            for rule in others:
                pairs = zip(table[rule][figure], table[OURS][figure], strict=True)
                apart = [theirs - own for theirs, own in pairs]
                cells.append(judged(apart, more_is_better=figure.startswith("slots")))
            name = figure.removesuffix(" / ideal").replace("leafs", "leaves")
            lines.append(f"| {cluster}, {load:.2f}, {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def paired_figures(table: Table, wanted: str) -> list[str]:
    """Names of the figures that `paired` shows; of slots the largest size of each level."""
    names = [name for name in table[OURS] if name.startswith(wanted) or name.endswith(wanted)]
    if wanted != "slots":
        return [name for name in names if not name.endswith("+")]  # one bucket of the waits
    largest = {name.split()[1]: name for name in names}  # sizes rise
    return [name for level, name in largest.items() if level != "cluster"]


def judged(apart: list[float], *, more_is_better: bool) -> str:
    """One cell of `paired`."""
    mean = statistics.fmean(apart)
    digits = 3 if abs(mean) < 1 else 2 if abs(mean) < 100 else 0
    if len(apart) < 2:
        return f"{mean:+.{digits}f}"
    error = statistics.stdev(apart) / len(apart) ** 0.5
    text = f"{mean:+.{digits}f} ± {error:.{digits}f}"
    if abs(mean) <= STUDENT_T[min(len(apart) - 1, len(STUDENT_T)) - 1] * error:
        return f"({text})"
    return f"**{text}**" if (mean > 0) == more_is_better and mean else text


def main() -> None:
    """Runs what is missing, then writes table and plot."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--loads", type=float, nargs="+", default=LOADS)
    parser.add_argument("--clusters", nargs="+", choices=list(GANGS), default=list(GANGS))
    parser.add_argument("--gangs", type=int, help="of a generated workload")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--fresh", action="store_true", help="run everything again")
    args = parser.parse_args()
    if args.quick:
        args.seeds, args.loads, args.clusters, args.gangs = 1, (0.85,), ["helios", "tree"], 300
    OUT.mkdir(exist_ok=True)
    runs = []
    for cluster in args.clusters:
        name = {"helios": HELIOS, "lingjun": LINGJUN}.get(cluster)
        if name and real_trace(name) is None:
            print(f"{cluster} is left out: {WHERE}")
            continue
        gangs = min(GANGS[cluster], args.gangs or GANGS[cluster])
        runs += [
            Run(cluster, gangs, load, rule, seed)
            for load in args.loads for seed in range(1, args.seeds + 1) for rule in RULES
        ]  # fmt: skip
    found = list(tables(runs, measured(runs, args.jobs, args.fresh)))
    report = [{"cluster": c, "load": load, "rules": table} for c, load, table in found]
    (OUT / "peers.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    parts = [paired(found, wanted) for wanted in (" / ideal", "slots", "wait s", "stranded")]
    text = "\n".join([*parts, markdown(found), sizes(found)])
    (OUT / "peers.md").write_text(text, encoding="utf-8")
    if found:
        peers_plots.draw_all(found, OUT)


if __name__ == "__main__":
    main()
