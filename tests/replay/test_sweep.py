"""Sweeps: the grid, the same bytes whoever computes them, what is kept, what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from scheduler.errors import BadInputError, UsageError
from scheduler.replay import run_dir
from scheduler.replay.generate import GenerateOptions, generate
from scheduler.replay.metrics import Analysis
from scheduler.replay.sweep import run_task, sweep, tasks_of
from scheduler.replay.sweep_file import SweepFile, read_sweep
from scheduler.replay.trace_io import write_trace
from tests.replay.toy_run import ask, toy_trace

ROOT = Path(__file__).resolve().parents[2]

GRID = """
traces:
  - name: made
    generate: {nodes: 8, spines: 2, leaf_size: 2, gangs: 12, sizes: [1, 4], load: 0.9}
policies:
  - {name: muster}
  - {name: chance, placement: random, order: fifo}
seeds: [1, 2]
"""


def grid(tmp_path: Path, text: str = GRID) -> SweepFile:
    """A sweep file that was read."""
    (tmp_path / "sweep.yaml").write_text(text, encoding="utf-8")
    return read_sweep(tmp_path / "sweep.yaml")


def contents(root: Path) -> dict[str, bytes]:
    """Every file below a directory."""
    files = (path for path in sorted(root.rglob("*")) if path.is_file())
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The grid, computed one run after the other in this process; tests only read it."""
    root = tmp_path_factory.mktemp("done")
    sweep(grid(root), root, root / "out")
    return root / "out"


def test_a_sweep_is_every_trace_with_every_policy_and_seed(done: Path) -> None:
    """Run directories, and one comparison over groups of seeds."""
    names = [f"made.{policy}.seed-{seed}" for policy in ("chance", "muster") for seed in (1, 2)]
    assert sorted(path.name for path in (done / "runs").iterdir()) == names
    summary = json.loads((done / "compare/summary.json").read_text(encoding="utf-8"))
    assert [(one["name"], one["seeds"]) for one in summary["groups"]] == [
        ("made.muster", [1, 2]), ("made.chance", [1, 2]),
    ]  # fmt: skip
    assert summary["runs"][0]["trace"] == "made"
    assert (done / "compare/report.html").is_file()


def test_processes_give_the_same_bytes(done: Path, tmp_path: Path) -> None:
    """Two processes, in whatever order they end."""
    sweep(grid(tmp_path), tmp_path, tmp_path / "out", jobs=2)
    assert contents(tmp_path / "out") == contents(done)


def test_a_dask_cluster_gives_the_same_bytes(
    done: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Workers of a cluster on this machine."""
    distributed = pytest.importorskip("distributed", reason="dask is not installed")
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None,
        protocol="tcp://",
    ) as cluster:  # fmt: skip
        sweep(grid(tmp_path), tmp_path, tmp_path / "out", dask=cluster.scheduler_address)
    assert contents(tmp_path / "out") == contents(done)


def test_finished_runs_are_kept_and_missing_ones_computed(done: Path, tmp_path: Path) -> None:
    """A run that was not there is computed again; the others are not touched."""
    out = tmp_path / "out"
    shutil.copytree(done, out)
    gone = out / "runs/made.chance.seed-2"
    shutil.rmtree(gone)
    (out / "runs/.made.chance.seed-2.x" / "half").mkdir(parents=True)
    kept = out / "runs/made.muster.seed-1/report.html"
    kept.write_text("kept", encoding="utf-8")
    heard: list[tuple[int, int]] = []
    sweep(grid(tmp_path), tmp_path, out, on_done=lambda *step: heard.append(step))
    assert heard == [(4, 4)]
    assert kept.read_text(encoding="utf-8") == "kept"
    assert contents(gone) == contents(done / "runs" / gone.name)
    assert not [path for path in (out / "runs").iterdir() if path.name.startswith(".")]


def test_more_seeds_add_runs(done: Path, tmp_path: Path) -> None:
    """The comparison is made anew over all of them."""
    out = tmp_path / "out"
    shutil.copytree(done, out)
    rows = sweep(grid(tmp_path, GRID.replace("[1, 2]", "[1, 2, 3]")), tmp_path, out)
    assert [row["seeds"] for row in rows] == [3, 3]


def test_runs_of_other_settings_are_not_mixed_in(done: Path, tmp_path: Path) -> None:
    """The same name with another order is refused, and nothing is changed."""
    out = tmp_path / "out"
    shutil.copytree(done, out)
    other = grid(tmp_path, GRID.replace("{name: muster}", "{name: muster, order: sjf}"))
    with pytest.raises(UsageError, match=r"made\.muster\.seed-1 of other settings"):
        sweep(other, tmp_path, out)
    assert contents(out) == contents(done)
    with pytest.raises(UsageError, match="not empty and not of a sweep"):
        sweep(other, tmp_path, tmp_path)


def test_an_interrupted_run_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs before it stand; the one that was interrupted is not there."""
    calls = []

    def interrupted(analysis: Analysis, path: Path) -> None:
        calls.append(path)
        if len(calls) == 2:
            raise KeyboardInterrupt
        original(analysis, path)

    original = run_dir.write_series
    monkeypatch.setattr(run_dir, "write_series", interrupted)
    with pytest.raises(KeyboardInterrupt):
        sweep(grid(tmp_path), tmp_path, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out/runs").iterdir()] == ["made.muster.seed-1"]


def test_traces_and_what_ifs_are_found_beside_the_file(tmp_path: Path) -> None:
    """Paths are relative to the sweep file; a changed trace is another run."""
    write_trace(generate(GenerateOptions(nodes=4, gangs=5, sizes=(1, 2))), tmp_path / "trace")
    (tmp_path / "less.yaml").write_text("nodes: {remove: {nodes: [node-1]}}", encoding="utf-8")
    text = """
traces: [{name: t, dir: trace}]
policies: [{name: all}, {name: less, what_if: less.yaml}]
"""
    file = grid(tmp_path, text)
    rows = sweep(file, tmp_path, tmp_path / "out")
    assert [row["run"] for row in rows] == ["t.all.seed-1", "t.less.seed-1"]
    (tmp_path / "less.yaml").write_text("name: other", encoding="utf-8")
    with pytest.raises(UsageError, match=r"less\.seed-1 of other settings"):
        sweep(file, tmp_path, tmp_path / "out")


def test_no_dask_at_an_address_is_one_sentence(tmp_path: Path) -> None:
    """An address that cannot be meant is refused before any run."""
    pytest.importorskip("distributed", reason="dask is not installed")
    with pytest.raises(UsageError, match="no scheduler answers"):
        sweep(grid(tmp_path), tmp_path, tmp_path / "out", dask="nowhere://x")


REFUSED = {
    "unknown": (GRID + "seed: 1", "9: has no key seed; did you mean seeds?"),
    "placement": (GRID.replace("random", "randon"), "7: has no placement randon; did you mean ra"),
    "fill alone": (
        GRID.replace("placement: random", "placement: fgd"),
        "7: placement fgd only fills a cluster; give fill too",
    ),
    "gangs": (
        GRID.replace("placement: random", "placement: fgd, fill: 1.3"),
        "3: placement fgd of policy chance cannot fill trace made; a generated trace has gangs",
    ),
    "order": (GRID.replace("fifo", "lifo"), "7: policies[1].order: Invalid enum value 'lifo'"),
    "twice": (GRID.replace("chance", "muster"), "7: policies has muster twice; rename one"),
    "no seeds": (GRID.replace("[1, 2]", "[]"), "8: seeds is empty"),
    "no source": ("traces: [{name: x}]\npolicies: [{name: a}, {name: b}]", "1: trace x needs"),
    "no trace": ("traces: [{name: x, dir: y}]\npolicies: [{name: a}, {name: b}]", "directory y"),
    "no file": (GRID.replace("order: fifo", "what_if: x"), "7: there is no file x"),
    "one run": (GRID.split("  - {name: chance", maxsplit=1)[0], "2: is a single run"),
    "no name": (GRID.replace("made", "a/b"), "3: traces[0].name: Expected `str` matching"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_names_its_line(tmp_path: Path, case: str) -> None:
    """File, line, what is wrong."""
    text, said = REFUSED[case]
    with pytest.raises(BadInputError) as caught:
        grid(tmp_path, text)
    assert said in str(caught.value)


def test_the_fill_experiment_is_swept(tmp_path: Path) -> None:
    """An fgd placement takes a trace of single pods; one with gangs is refused before any run."""
    text = """
traces: [{name: t, dir: t}]
policies: [{name: fgd, placement: fgd, fill: 1.3}]
seeds: [1, 2]
"""
    write_trace(toy_trace([("l0",)] * 2, [ask(0, 1, 1)] * 20, ("leaf",)), tmp_path / "t")
    rows = sweep(grid(tmp_path, text), tmp_path, tmp_path / "out")
    assert [(row["group"], row["seeds"]) for row in rows] == [("t.fgd", 2)]
    shutil.rmtree(tmp_path / "t")
    write_trace(toy_trace([("l0",)] * 2, [ask(0, 1, 2)], ("leaf",)), tmp_path / "t")
    with pytest.raises(BadInputError, match=r"cannot fill trace t: .*gangs of several members"):
        grid(tmp_path, text)


@pytest.mark.parametrize("out", ["taken", "nowhere/out"])
def test_an_out_that_cannot_be_made_is_refused_at_once(tmp_path: Path, out: str) -> None:
    """A file in its place, or no directory to make it in: no run begins."""
    (tmp_path / "taken").write_text("", encoding="utf-8")
    with pytest.raises(UsageError, match="another --out"):
        sweep(grid(tmp_path), tmp_path, tmp_path / out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["sweep.yaml", "taken"]


def test_the_example_is_a_sweep(tmp_path: Path) -> None:
    """examples/sweep.yaml is read, and its first run can be computed."""
    file = read_sweep(ROOT / "examples/sweep.yaml")
    tasks = tasks_of(file, ROOT / "examples", tmp_path)
    assert len(tasks) == 8
    (tmp_path / "runs").mkdir()
    assert run_task(tasks[0]) == "two-tier.spread.seed-1"
    assert (tmp_path / "runs/two-tier.spread.seed-1/summary.json").is_file()
