"""What-if files on hand-made traces: every change, the order of events, and what is refused."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from scheduler.errors import BadInputError, UsageError
from scheduler.model.plan import Cause
from scheduler.replay.generate import GenerateOptions, generate
from scheduler.replay.metrics import analyse
from scheduler.replay.result import RunResult, Status
from scheduler.replay.run_dir import write_gangs
from scheduler.replay.simulate import ReplayOptions, replay
from scheduler.replay.what_if import read_what_if
from tests.replay.test_simulate import S, four_nodes, make, starts


def run(tmp_path: Path, gangs: list[str], text: str, options: ReplayOptions | None = None,
        nodes: str = "") -> RunResult:  # fmt: skip
    """A hand-made trace on four nodes (two spines), under a what-if."""
    trace = make(tmp_path / "trace", nodes or four_nodes(), gangs)
    file = tmp_path / "changes.yaml"
    file.write_text(text, encoding="utf-8")
    plain = options or ReplayOptions(order="fifo")
    fields = {name: getattr(plain, name) for name in plain.__slots__}
    return replay(trace, ReplayOptions(**{**fields, "what_if": read_what_if(file)}))


def refused(tmp_path: Path, text: str, name: str = "changes.yaml") -> str:
    """What is said about a file, without the directory."""
    trace = make(tmp_path / "trace", four_nodes(), ["a 1 8 0 1"])
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    with pytest.raises(BadInputError) as caught:
        replay(trace, ReplayOptions(what_if=read_what_if(file)))
    return str(caught.value).removeprefix(f"{tmp_path}/")


def test_a_failed_node_restarts_its_gangs_from_scratch(tmp_path: Path) -> None:
    """The gang begins again at once on other nodes, and runs its whole time."""
    result = run(tmp_path, ["b 2 8 0 10"], "failures: [{at_s: 4, nodes: [p0]}]")
    assert starts(result) == {"b": 4}
    assert result.end_us.tolist() == [14 * S]
    assert result.row.tolist() == [2, 3]
    assert result.time_us.tolist() == [0, 4 * S, 14 * S]


def test_a_restart_waits_for_room(tmp_path: Path) -> None:
    """All four nodes are taken: the failed node's gang waits, and for its repair if need be."""
    rows = ["all 4 8 0 10"]
    result = run(tmp_path, rows, "failures: [{at_s: 4, until_s: 7.5, nodes: [p2]}]")
    assert result.start_us.tolist() == [7_500_000]
    assert result.end_us.tolist() == [17_500_000]
    assert result.restarts is not None
    assert result.restarts.tolist() == [1]
    assert result.time_us.tolist() == [0, 4 * S, 7_500_000, 17_500_000]
    assert result.waiting_gangs.tolist() == [0, 1, 0, 0]
    # 24 GPUs are left of the 32 that it wants.
    assert result.blocked[1].tolist() == [0, 1, 0, 0]


def test_a_gang_that_ends_as_its_node_fails_has_ended(tmp_path: Path) -> None:
    """Completions come before failures of the same instant."""
    result = run(tmp_path, ["all 4 8 0 4"], "failures: [{at_s: 4, nodes: [p2]}]")
    assert result.end_us.tolist() == [4 * S]
    assert result.restarts is not None
    assert result.restarts.tolist() == [0]


def test_a_failure_comes_before_arrivals_of_its_instant(tmp_path: Path) -> None:
    """Who arrives as the node fails does not get it."""
    result = run(tmp_path, ["all 4 8 4 5"], "failures: [{at_s: 4, until_s: 6, nodes: [p2]}]")
    assert starts(result) == {"all": 6}
    assert result.restarts is not None
    assert result.restarts.tolist() == [0]


def test_a_node_that_never_comes_back_leaves_its_gang_unplaced(tmp_path: Path) -> None:
    """The run ends; the gang has neither start nor end nor rows."""
    rows = ["all 4 8 0 10", "one 1 8 20 5"]
    result = run(tmp_path, rows, "failures: [{at_s: 4, nodes: [p2]}]")
    assert result.status.tolist() == [Status.UNPLACED, Status.PLACED]
    assert starts(result) == {"all": -1, "one": 20}
    assert result.row[:4].tolist() == [-1] * 4


def test_a_restart_takes_back_the_late_members_too(tmp_path: Path) -> None:
    """A gang that began with its minimum waits again as a whole, not twice."""
    rows = ["a 1 8 0 20", "b 4 8 0 10 min=2"]
    text = "failures: [{at_s: 4, until_s: 5, domains: {spine: [s1], leaf: [s2/l1]}}]"
    result = run(tmp_path, rows, text)
    assert starts(result)["b"] == 5
    assert result.end_us[1] == 15 * S
    assert result.waiting_members.tolist()[1] == 5


def test_a_drain_lets_gangs_run_on(tmp_path: Path) -> None:
    """Nobody new comes to the node until the drain ends; who is there stays."""
    rows = ["all 4 8 0 10", "next 4 8 1 3"]
    result = run(tmp_path, rows, "drains: [{at_s: 4, until_s: 30, domains: {spine: [s1]}}]")
    assert starts(result) == {"all": 0, "next": 30}
    assert result.restarts is not None
    assert result.restarts.tolist() == [0, 0]
    blocked = dict(zip((result.time_us // S).tolist(), result.blocked.tolist(), strict=True))
    assert blocked[10] == [0, 1, 0, 0]  # 16 of 32 GPUs are on nodes that take gangs


def test_a_node_is_out_while_any_outage_lasts(tmp_path: Path) -> None:
    """The failure ends at 6, the drain at 9: the node takes gangs from 9 on."""
    text = "failures: [{at_s: 2, until_s: 6, nodes: [p0]}]\n"
    text += "drains: [{at_s: 1, until_s: 9, nodes: [p0]}]"
    result = run(tmp_path, ["all 4 8 3 5"], text)
    assert starts(result) == {"all": 9}


def test_nobody_decides_while_the_scheduler_is_down(tmp_path: Path) -> None:
    """Completions and arrivals happen; the first pass is at the end of the span."""
    rows = ["a 4 8 0 10", "b 4 8 3 5", "c 4 8 25 1"]
    result = run(tmp_path, rows, "scheduler_down: [{from_s: 10, to_s: 20}, {from_s: 15, to_s: 22}]")
    assert starts(result) == {"a": 0, "b": 22, "c": 27}
    waits = dict(zip((result.time_us // S).tolist(), result.blocked.tolist(), strict=True))
    assert waits[3][Cause.CAPACITY - 1] == 1
    assert waits[10] == [1, 0, 0, 0]


def test_the_span_without_a_scheduler_is_half_open(tmp_path: Path) -> None:
    """At `from_s` there is no cycle, at `to_s` there is one."""
    text = "scheduler_down: [{from_s: 1, to_s: 2}]"
    result = run(tmp_path, ["a 1 8 0 1", "b 1 8 1 1", "c 1 8 2 1"], text)
    assert starts(result) == {"a": 0, "b": 2, "c": 2}


def test_a_required_level_is_relaxed_after_a_time(tmp_path: Path) -> None:
    """Two free nodes under two spines: the gang takes them once its spine is only preferred."""
    rows = ["a 1 8 0 90 model=x", "b 1 8 0 90 model=y", "c 2 8 1 5 required=spine"]
    nodes = four_nodes().replace("p0,p,m,", "p0,p,x,").replace("p2,p,m,", "p2,p,y,")
    plain = run(tmp_path, rows, "{}", nodes=nodes)
    assert starts(plain)["c"] == 90
    relaxed = run(tmp_path, rows, "relax_required: {after_s: 30}", nodes=nodes)
    assert starts(relaxed)["c"] == 31
    assert sorted(relaxed.row[2:4].tolist()) == [1, 3]
    text = "relax_required: {after_s: 30, levels: [leaf]}"
    assert starts(run(tmp_path, rows, text, nodes=nodes))["c"] == 90


def test_a_gang_too_big_for_its_level_waits_for_the_relaxation(tmp_path: Path) -> None:
    """Three nodes never fit a spine of two; relaxed they do."""
    rows = ["c 3 8 1 5 required=spine"]
    assert run(tmp_path, rows, "{}").status.tolist() == [Status.NEVER_FITS]
    assert starts(run(tmp_path, rows, "relax_required: {after_s: 2}")) == {"c": 3}


def test_arrivals_are_scaled_exactly(tmp_path: Path) -> None:
    """Submit times times 2/3, rounded down to whole microseconds."""
    result = run(tmp_path, ["a 1 8 1 1", "b 1 8 3 1"], "arrival_scale: 2/3")
    assert result.start_us.tolist() == [666_666, 2 * S]
    result = run(tmp_path, ["a 1 8 1 1", "b 1 8 3 1"], "arrival_scale: 0.1")
    assert result.start_us.tolist() == [100_000, 300_000]


def test_nodes_come_and_go_before_the_run(tmp_path: Path) -> None:
    """Removed and added nodes are another cluster from the first instant."""
    text = """
nodes:
  remove: {nodes: [p0], domains: {spine: [s2]}}
  add:
    - {like: p1, name: new, count: 4, labels: {spine: s9}}
"""
    result = run(tmp_path, ["a 4 8 0 5 required=spine", "b 6 8 0 5"], text)
    assert result.trace.nodes.names == ("new-1", "new-2", "new-3", "new-4", "p1")
    assert result.trace.nodes.labels[0] == ("s9",) * 4 + ("s1",)
    assert result.status.tolist() == [Status.PLACED, Status.NEVER_FITS]


def test_levels_are_laid_anew(tmp_path: Path) -> None:
    """Leaves of one node each, numbered over the cluster; or as many as are named."""
    result = run(tmp_path, ["a 2 8 0 5 required=leaf"], "levels: [{level: leaf, size: 1}]")
    assert result.trace.nodes.labels[1] == ("leaf-1", "leaf-2", "leaf-3", "leaf-4")
    assert result.status.tolist() == [Status.NEVER_FITS]
    text = "levels: [{level: spine, sizes: [4]}, {level: leaf, sizes: [3, 1]}]"
    result = run(tmp_path, ["a 3 8 0 5 required=leaf"], text)
    assert result.trace.levels == ("spine", "leaf")
    assert result.trace.nodes.labels[1] == ("leaf-1",) * 3 + ("leaf-2",)
    assert result.status.tolist() == [Status.PLACED]


def test_the_run_says_what_was_asked(tmp_path: Path) -> None:
    """The name stands among the options, restarts among the counts and in gangs.csv."""
    result = run(tmp_path, ["all 4 8 0 10"], "failures: [{at_s: 4, until_s: 6, nodes: [p2]}]")
    analysis = analyse(result)
    assert analysis.summary["options"]["what_if"] == "changes"
    assert analysis.summary["counts"]["restarts"] == 1
    write_gangs(analysis, tmp_path / "gangs.csv")
    with (tmp_path / "gangs.csv").open(encoding="utf-8") as file:
        assert [row["restarts"] for row in csv.DictReader(file)] == ["1"]


def test_an_empty_what_if_changes_nothing(tmp_path: Path) -> None:
    """The same instants, places and waits as without the file."""
    rows = ["a 3 8 0 10", "b 2 8 1 5", "c 1 4 2 3", "d 2 4 3 9 required=spine"]
    plain = replay(make(tmp_path / "t", four_nodes(), rows), ReplayOptions(order="fifo"))
    same = run(tmp_path, rows, "name: nothing")
    for column in ("start_us", "end_us", "row", "time_us", "waiting_gangs", "blocked"):
        assert getattr(plain, column).tolist() == getattr(same, column).tolist(), column


def test_seeded_names_fail_the_node_that_was_meant(tmp_path: Path) -> None:
    """Ties broken by a seed rename nodes inside the engine, not in the file."""
    options = ReplayOptions(order="fifo", tie_break="seeded", seed=3)
    text = "drains: [{at_s: 0, nodes: [p1, p3]}]"
    result = run(tmp_path, ["a 2 8 0 5"], text, options)
    assert sorted(result.row.tolist()) == [0, 2]


def test_fill_takes_another_cluster_but_no_times(tmp_path: Path) -> None:
    """Nodes and levels may change; a failure at a time has no meaning."""
    options = ReplayOptions(order="fifo", fill=1.0)
    done = run(tmp_path, ["a 1 8 0 1"], "nodes: {remove: {nodes: [p0]}}", options)
    assert len(done.trace.nodes) == 3
    with pytest.raises(UsageError, match="no times of its own"):
        run(tmp_path, ["a 1 8 0 1"], "failures: [{at_s: 4, nodes: [p2]}]", options)


REFUSED = {
    "unknown key": ("name: x\nfailure: []", "2: has no key failure; did you mean failures?"),
    "unknown key below": (
        "drains:\n  - at_s: 1\n    node: [p0]", "3: has no key node; did you mean nodes?",
    ),
    "given twice": ("name: a\nname: b", "2: gives name twice; leave one out"),
    "wrong kind": ("failures:\n  - at_s: [1]", "2: failures[0].at_s: Expected `int | str`, got"),
    "missing": ("drains:\n  - nodes: [p0]", "2: drains[0]: Object missing required field `at_s`"),
    "not YAML": ("a: [1", "1: is not YAML: "),
    "empty": ("", " is empty; "),
    "unknown node": (
        "failures:\n  - at_s: 1\n    nodes:\n    - p00",
        "4: the trace has no node p00; did you mean p0?",
    ),
    "unknown level": ("drains: [{at_s: 1, domains: {spin: [s]}}]", "spin; did you mean spine?"),
    "unknown domain": ("drains: [{at_s: 1, domains: {spine: [s3]}}]", "s3; known: s1, s2"),
    "two domains": ("drains: [{at_s: 1, domains: {leaf: [l1]}}]", "1: l1 may be s1/l1 or s2/l1"),
    "no node": ("drains: [{at_s: 1}]", "1: names no node; give nodes or domains"),
    "no time": ("drains: [{at_s: soon, nodes: [p0]}]", "1: 'soon' is no number of seconds"),
    "no whole microsecond": ("drains: [{at_s: 0.0000001, nodes: [p0]}]", "whole number of micro"),
    "endless": ("drains: [{at_s: .inf, nodes: [p0]}]", "no number of seconds"),
    "before": ("drains: [{at_s: 5, until_s: 5, nodes: [p0]}]", "1: until_s is not after at_s"),
    "down before": ("scheduler_down: [{from_s: 5, to_s: 4}]", "1: to_s is not after from_s"),
    "scale of nothing": ("arrival_scale: 1/0", "1: arrival_scale 1/0 divides by 0"),
    "scale 0": ("arrival_scale: 0", "1: arrival_scale 0 is not from"),
    "scale below 0": ("arrival_scale: '-1'", "1: arrival_scale: "),
    "taken": ("nodes: {add: [{like: p0, name: p}]}\nlevels: [{level: spine, size: 1}]",
              "2: changes spine, but not the levels below it"),
    "half a level": ("levels: [{level: leaf}]", "1: level leaf needs either size or sizes"),
    "twice": ("levels: [{level: leaf, size: 1}, {level: leaf, size: 2}]", "1: names leaf twice"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_names_its_line(tmp_path: Path, case: str) -> None:
    """One sentence: file, line, what is wrong, what to do."""
    text, said = REFUSED[case]
    found = refused(tmp_path, text)
    assert found.startswith("changes.yaml:")
    assert said in found


def test_json_is_read_too(tmp_path: Path) -> None:
    """With tabs between values; a mistake is named with its line all the same."""
    text = json.dumps({"failures": [{"at_s": 1, "nodes": ["p9"]}]}, indent="\t")
    found = refused(tmp_path, text, "changes.json")
    assert found.startswith("changes.json:6: the trace has no node p9")
    assert refused(tmp_path, '{\n"a": }', "changes.json").startswith("changes.json:2: is not JSON")


def test_the_example_is_a_what_if() -> None:
    """examples/what-if.yaml suits the cluster that it names."""
    file = Path(__file__).resolve().parents[2] / "examples/what-if.yaml"
    trace = generate(
        GenerateOptions(nodes=64, spines=4, leaf_size=8, gangs=60, sizes=(1, 8), load=0.9)
    )
    result = replay(trace, ReplayOptions(what_if=read_what_if(file)))
    assert len(result.trace.nodes) == 66
    assert result.options["what_if"] == "a bad day"
