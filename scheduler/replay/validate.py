"""Published results, reproduced: `muster validate helios|leaves|lingjun|openb`.

helios    Helios (SC'21), two virtual clusters of Venus in September 2020: mean completion times
          under strict FIFO, strict SJF and greedy FIFO, one pool and queue per virtual cluster.
leaves    The larger of the two with leaves of 8, 8 and 4 nodes laid over it: how many gangs that
          fit one leaf are in one, leaves per gang, node pairs that cross leaves.
lingjun   The real three-layer tree of Alibaba's Lingjun fabric (Crux, SIGCOMM'24) with a
          generated workload: every gang that one spine can hold when it is placed is in one.
openb     FGD (ATC'23) on Alibaba's pods that share GPUs: six policies, ten seeds, allocation and
          fragmentation while the cluster fills (`fgd/published.py`).

Where the reference values come from and which rules they need: docs/validation.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from scheduler.errors import NotFoundError
from scheduler.replay.fgd.experiment import Figures
from scheduler.replay.fgd.policy import POLICIES
from scheduler.replay.fgd.problem import problem_of
from scheduler.replay.fgd.published import BAND as OPENB_BAND
from scheduler.replay.fgd.published import PUBLISHED, measure, order_of
from scheduler.replay.generate import lingjun_workload
from scheduler.replay.importers.helios import import_helios
from scheduler.replay.importers.lingjun import import_lingjun
from scheduler.replay.importers.openb import import_openb
from scheduler.replay.metrics import analyse
from scheduler.replay.result import RunResult
from scheduler.replay.simulate import ReplayOptions, replay
from scheduler.replay.spine_check import gangs_split_needlessly
from scheduler.replay.traces_dir import traces_dir

Row = dict[str, Any]
Progress = Callable[[int, int], None]

HELIOS_JOBS = Path("helios/helios_venus_2vc_sept.csv")
LINGJUN_TOPO = Path("lingjun-2023/topo.csv")
OPENB_NODES = Path("openb/openb_node_list_gpu_node.csv")
OPENB_PODS = Path("openb/openb_pod_list_default.csv")

LEAVES = {
    ("strict", "first-fit"): (0.802, 1.942, 0.497),
    ("strict", "spread"): (0.021, 2.795, 0.713),
    ("greedy", "first-fit"): (0.909, 1.821, 0.447),
    ("greedy", "spread"): (0.000, 2.803, 0.713),
}
"""(scan, placement) -> one-leaf share, mean leaves per gang, cross-leaf pair share."""


def validate(
    experiment: str, traces: Path | None, on_progress: Progress | None = None
) -> list[Row]:
    """One row per figure: {figure, reference, measured, band, ok}.

    Raises NotFoundError if the real trace is not there.
    """
    root = traces if traces is not None else traces_dir()
    if root is None:
        raise NotFoundError("the real traces are not here", "set $MUSTER_TRACES, or give --traces")
    steps = {"helios": _helios, "leaves": _leaves, "lingjun": _lingjun, "openb": _openb}
    runs = steps[experiment](root)
    rows: list[Row] = []
    total = {"helios": 3, "leaves": 6, "lingjun": 3, "openb": len(POLICIES)}[experiment]
    for done, part in enumerate(runs, 1):
        rows += part
        if on_progress is not None:
            on_progress(done, total)
    return rows


def _helios(root: Path) -> Iterator[list[Row]]:
    trace = import_helios(_file(root, HELIOS_JOBS), {})
    for order, scan, reference in (
        ("fifo", "strict", 16_534),
        ("sjf", "strict", 6_273),
        ("fifo", "greedy", 5_902),
    ):
        options = ReplayOptions(order=order, scan=scan, placement="best-fit")
        mean = analyse(replay(trace, options)).summary["jct_s"]["mean"]
        yield [_within(f"{scan} {order}: mean completion s", reference, mean, 0.005 * reference)]


def _leaves(root: Path) -> Iterator[list[Row]]:
    trace = import_helios(_file(root, HELIOS_JOBS), {})
    for scan in ("strict", "greedy"):
        waits = {}
        for rule in ("first-fit", "spread", "muster"):
            options = ReplayOptions(
                order="fifo", scan=scan, placement=rule, pool="vcvGl",
                levels=(("leaf", (8, 8, 4)),),
            )  # fmt: skip
            summary = analyse(replay(trace, options)).summary
            leaf, waits[rule] = summary["locality"]["leaf"], summary["wait_s"]["mean"]
            name = f"{scan} {rule}"
            share, mean = leaf["single_share"], leaf["mean_domains"]
            if rule != "muster":
                wanted = LEAVES[scan, rule]
                yield [
                    _within(f"{name}: one-leaf share", wanted[0], share, 0.01),
                    _within(f"{name}: mean leaves", wanted[1], mean, 0.01),
                    _within(f"{name}: cross-leaf pairs", wanted[2], leaf["cross_pair_share"], 0.01),
                ]
                continue
            low, high = (0.84, 2.00) if scan == "strict" else (0.99, 1.78)
            first = waits["first-fit"]
            yield [
                _bound(f"{name}: one-leaf share", ">=", low, share),
                _bound(f"{name}: mean leaves", "<=", high, mean),
                _within(f"{name}: mean wait s, as first-fit", first, waits[rule], 0.005 * first),
            ]


def _lingjun(root: Path) -> Iterator[list[Row]]:
    cluster = import_lingjun(_file(root, LINGJUN_TOPO))
    trace = lingjun_workload(cluster)
    leaves: dict[str, float] = {}
    for rule in ("first-fit", "random", "muster"):
        result = replay(trace, ReplayOptions(order="fifo", placement=rule))
        leaves[rule] = analyse(result).summary["locality"]["leaf"]["mean_domains"]
        if rule != "muster":
            yield []
            continue
        yield _lingjun_rows(result, leaves)


def _lingjun_rows(result: RunResult, leaves: dict[str, float]) -> list[Row]:
    split, able = gangs_split_needlessly(result)
    return [
        _bound("muster: gangs that one spine could have held, split", "<=", 0, len(split)),
        _bound("muster: gangs that one spine could hold", ">=", 1, able),
        *(
            _bound(
                f"muster: mean leaves per gang, below {rule}", "<", leaves[rule], leaves["muster"]
            )
            for rule in ("first-fit", "random")
        ),
    ]


def _openb(root: Path) -> Iterator[list[Row]]:
    trace = import_openb(_file(root, OPENB_NODES), _file(root, OPENB_PODS))
    problem = problem_of(trace)
    measured: dict[str, Figures] = {}
    for name in PUBLISHED:
        measured[name] = measure(problem, name)
        rows = [
            _within(f"{name}: {what} % at {percent} %", reference, got[percent], OPENB_BAND)
            for what, published, got in (
                ("allocation", PUBLISHED[name].allocation, measured[name].allocation),
                ("fragmentation", PUBLISHED[name].fragmentation, measured[name].fragmentation),
            )
            for percent, reference in published.items()
        ]
        if name == list(PUBLISHED)[-1]:
            rows += [
                _bound(f"{better}: allocation % at {percent} %, above {worse}", ">", low, high)
                for better, worse, percent, low, high in order_of(measured)
            ]
        yield rows


def _file(root: Path, name: Path) -> Path:
    path = root / name
    if not path.is_file():
        raise NotFoundError(f"{name} is not under the traces directory", "give --traces DIR")
    return path


def _within(figure: str, reference: float, measured: float, band: float) -> Row:
    ok = abs(measured - reference) <= band
    return _row(figure, reference, measured, f"+- {band:.4g}", ok)


def _bound(figure: str, sign: str, reference: float, measured: float) -> Row:
    ok = {
        ">=": measured >= reference, "<=": measured <= reference,
        ">": measured > reference, "<": measured < reference,
    }[sign]  # fmt: skip
    return _row(figure, reference, measured, sign, ok)


def _row(figure: str, reference: float, measured: float, band: str, ok: bool) -> Row:
    return {
        "figure": figure,
        "reference": round(reference, 4),
        "measured": round(measured, 4),
        "band": band,
        "ok": ok,
    }
