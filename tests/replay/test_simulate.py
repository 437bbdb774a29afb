"""Replay end to end on hand-made traces: instants, order, scans, refusals, partial gangs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from scheduler.errors import UsageError
from scheduler.model.plan import Cause
from scheduler.replay.generate import GenerateOptions, generate
from scheduler.replay.metrics import analyse
from scheduler.replay.result import RunResult, Status
from scheduler.replay.run_dir import write_run
from scheduler.replay.simulate import ReplayOptions, replay
from scheduler.replay.trace import Trace
from scheduler.replay.trace_io import read_trace

S = 1_000_000
NODES = "name,pool,model,cpu_milli,memory_bytes,gpu,pods,spine,leaf\n"
GANGS = (
    "gang,pool,shape,count,submit_us,duration_us,priority,cpu_milli,memory_bytes,gpu,gpu_milli,"
    "model,min,required,preferred,segment_size\n"
)


def make(tmp_path: Path, nodes: str, gangs: list[str]) -> Trace:
    """A trace of hand-written rows; a gang is `key count gpu submit_s duration_s [field=..]`."""
    lines = []
    for text in gangs:
        key, count, gpu, submit, duration, *rest = text.split()
        more = dict(part.split("=") for part in rest)
        lines.append(
            f"{key},{more.get('pool', 'p')},{more.get('shape', 'a')},{count},{int(submit) * S},"
            f"{int(duration) * S},{more.get('priority', '0')},0,0,{gpu},1000,"
            f"{more.get('model', '')},{more.get('min', '')},{more.get('required', '')},,"
            f"{more.get('segment', '0')}\n"
        )
    tmp_path.mkdir(exist_ok=True)
    (tmp_path / "nodes.csv").write_text(NODES + nodes)
    (tmp_path / "gangs.csv").write_text(GANGS + "".join(lines))
    (tmp_path / "manifest.json").write_text(
        '{"schema_version": 1, "name": "hand", "source": "test", "licence": "none",'
        ' "units": {}, "files": {}, "dropped_rows": {}}'
    )
    return read_trace(tmp_path, verify=False)


def four_nodes(pool: str = "p") -> str:
    """Two spines of two nodes with 8 GPUs each."""
    return "".join(
        f"{pool}{i},{pool},m,64000,1000000000,8,110,s{1 + i // 2},l1\n" for i in range(4)
    )


def starts(result: RunResult) -> dict[str, int]:
    """Start in seconds by gang; -1 if it never ran."""
    keys = result.trace.gangs.keys
    return {
        key: int(at) // S if at >= 0 else -1 for key, at in zip(keys, result.start_us, strict=True)
    }


def test_completions_come_before_arrivals(tmp_path: Path) -> None:
    """A gang that arrives as another ends gets its room in the same instant."""
    trace = make(tmp_path, four_nodes(), ["a 4 8 0 10", "b 4 8 10 5"])
    result = replay(trace, ReplayOptions())
    assert starts(result) == {"a": 0, "b": 10}
    assert result.time_us.tolist() == [0, 10 * S, 15 * S]


def test_orders(tmp_path: Path) -> None:
    """FIFO by submission, SJF by run time, priority by priority; names break ties as numbers."""
    rows = ["first 4 8 0 10", "g10 4 8 1 9", "g2 4 8 1 9", "long 4 8 1 20 priority=5"]
    trace = make(tmp_path, four_nodes(), rows)
    assert starts(replay(trace, ReplayOptions(order="fifo"))) == {
        "first": 0, "g2": 10, "g10": 19, "long": 28,
    }  # fmt: skip
    assert starts(replay(trace, ReplayOptions(order="sjf")))["long"] == 28
    assert starts(replay(trace, ReplayOptions(order="priority")))["long"] == 10


def test_strict_blocks_its_own_pool_only(tmp_path: Path) -> None:
    """Behind a blocked head nobody of its pool starts; other pools and greedy scans go on."""
    rows = ["a 3 8 0 10 pool=p", "big 2 8 1 5 pool=p", "small 1 8 1 5 pool=p", "o 1 8 1 5 pool=q"]
    trace = make(tmp_path, four_nodes("p") + four_nodes("q"), rows)
    strict = replay(trace, ReplayOptions(order="fifo", scan="strict"))
    assert starts(strict) == {"a": 0, "big": 10, "small": 10, "o": 1}
    assert starts(replay(trace, ReplayOptions(order="fifo")))["small"] == 1
    at = strict.time_us.tolist().index(1 * S)
    assert strict.blocked[at].tolist()[Cause.ORDER - 1] == 1
    assert strict.blocked[at].sum() == strict.waiting_gangs[at] == 2


def test_causes(tmp_path: Path) -> None:
    """Too little, enough in pieces, enough on nodes but in no one domain."""
    rows = ["half 4 5 0 10", "whole 1 8 1 1", "lots 5 3 2 1", "pair 2 3 3 1 required=leaf"]
    trace = make(tmp_path, four_nodes(), rows)
    result = replay(trace, ReplayOptions())
    by_time = dict(zip((result.time_us // S).tolist(), result.blocked.tolist(), strict=True))
    assert by_time[1] == [0, 0, 1, 0]  # 12 GPUs are free, 3 on each node
    assert by_time[2] == [0, 1, 1, 0]  # 15 GPUs wanted, 12 free
    assert starts(result)["pair"] == 3


def test_topology_is_a_cause(tmp_path: Path) -> None:
    """A free node under each of two spines is room enough, but no spine has room for two."""
    rows = ["a 1 8 0 9 model=x", "b 1 8 0 9 model=y", "c 2 8 1 1 required=spine"]
    nodes = four_nodes().replace("p0,p,m,", "p0,p,x,").replace("p2,p,m,", "p2,p,y,")
    result = replay(make(tmp_path, nodes, rows), ReplayOptions())
    assert starts(result) == {"a": 0, "b": 0, "c": 9}
    at = (result.time_us // S).tolist().index(1)
    assert result.blocked[at].tolist() == [0, 0, 0, 1]


def test_a_gang_too_big_for_the_empty_cluster_is_refused_at_arrival(tmp_path: Path) -> None:
    """It never waits, and blocks nobody."""
    rows = ["huge 5 8 0 1", "wide 3 8 0 1 required=spine", "fits 4 8 0 1"]
    result = replay(make(tmp_path, four_nodes(), rows), ReplayOptions(scan="strict"))
    assert result.status.tolist() == [Status.NEVER_FITS, Status.NEVER_FITS, Status.PLACED]
    assert result.waiting_gangs.max() == 0


def test_a_partial_gang_gets_its_late_members(tmp_path: Path) -> None:
    """It starts with its minimum; the others join when there is room, and all end together."""
    rows = ["a 2 8 0 5", "b 4 8 0 20 min=2"]
    result = replay(make(tmp_path, four_nodes(), rows), ReplayOptions(order="fifo"))
    assert starts(result) == {"a": 0, "b": 0}
    assert (result.row >= 0).all()
    assert result.end_us[1] == 20 * S
    assert set(result.row[2:6].tolist()) == {0, 1, 2, 3}


def test_several_shapes(tmp_path: Path) -> None:
    """One leader and its workers are one gang."""
    rows = ["g 1 4 0 5 shape=leader", "g 3 8 0 5 shape=worker"]
    result = replay(make(tmp_path, four_nodes(), rows), ReplayOptions())
    assert result.status.tolist() == [Status.PLACED]
    assert len(set(result.row.tolist())) == 4


def test_no_time_at_all(tmp_path: Path) -> None:
    """A gang of no duration ends in the instant in which it began."""
    result = replay(make(tmp_path, four_nodes(), ["a 4 8 0 0", "b 4 8 0 3"]), ReplayOptions())
    assert starts(result) == {"a": 0, "b": 0}
    assert result.time_us.tolist() == [0, 3 * S]


def test_fill(tmp_path: Path) -> None:
    """Arrivals one a second until 1.5 times the GPUs came; one attempt each; nobody leaves."""
    rows = [f"g{i} 1 {1 + i % 8} 0 1" for i in range(6)]
    trace = make(tmp_path, four_nodes(), rows)
    result = replay(trace, ReplayOptions(fill=1.5, seed=3))
    gpus = result.trace.gpus()
    assert 32 < int(gpus.sum()) <= 48
    placed = result.status == Status.PLACED
    assert int(gpus[placed].sum()) <= 32
    assert (result.start_us[placed] == result.trace.gangs.submit_us[placed]).all()
    assert (~placed).any()
    again = replay(trace, ReplayOptions(fill=1.5, seed=3))
    assert again.row.tolist() == result.row.tolist()


def test_shares_of_a_gpu_are_refused_in_one_sentence(tmp_path: Path) -> None:
    """Fractional GPUs belong to published experiments that come later."""
    trace = make(tmp_path, four_nodes(), ["a 1 1 0 1"])
    (tmp_path / "gangs.csv").write_text(
        (tmp_path / "gangs.csv").read_text().replace(",1,1000,", ",1,500,")
    )
    with pytest.raises(UsageError, match="gang a asks for a share of a GPU"):
        replay(read_trace(tmp_path, verify=False), ReplayOptions())
    assert len(trace.gangs) == 1


@pytest.mark.parametrize("rule", ["muster", "random", "spread"])
def test_a_run_is_the_same_bytes_every_time(tmp_path: Path, rule: str) -> None:
    """Two replays of one input write identical directories."""
    trace = generate(GenerateOptions(nodes=64, spines=4, leaf_size=4, gangs=150, sizes=(1, 32)))
    for name in ("one", "two"):
        write_run(replay(trace, ReplayOptions(placement=rule, seed=5)), tmp_path / name)
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert files == sorted(path.name for path in (tmp_path / "two").iterdir())
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_seeded_ties_move_gangs_and_keep_the_topology(tmp_path: Path) -> None:
    """Names are shuffled for the run only: other nodes, as few domains."""
    del tmp_path
    trace = generate(GenerateOptions(nodes=64, spines=4, leaf_size=4, gangs=80, sizes=(1, 16)))
    by_name = replay(trace, ReplayOptions())
    seeded = replay(trace, ReplayOptions(tie_break="seeded", seed=9))
    assert by_name.row.tolist() != seeded.row.tolist()
    first = analyse(seeded).summary["locality"]["spine"]
    assert first["single_share"] == 1.0


def test_no_node_is_ever_given_twice() -> None:
    """Every instant of a busy run: the GPUs of a node are never exceeded."""
    trace = generate(
        GenerateOptions(nodes=32, spines=2, leaf_size=4, gangs=300, sizes=(1, 16), load=1.2)
    )
    for rule in ("muster", "best-fit"):
        result = replay(trace, ReplayOptions(placement=rule))
        gpu = np.repeat(trace.rows.gpu, trace.rows.count)
        events = []
        for g in result.placed.tolist():
            members = slice(int(result.offset[g]), int(result.offset[g + 1]))
            events.append((int(result.start_us[g]), 1, members))
            events.append((int(result.end_us[g]), 0, members))
        used = np.zeros(len(trace.nodes), np.int64)
        for _, start, members in sorted(events, key=lambda event: event[:2]):
            sign = 1 if start else -1
            np.add.at(used, result.row[members], sign * gpu[members])
            assert used.max() <= 8
        assert used.max() == 0
