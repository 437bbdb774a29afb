"""`muster demo`: replaces what an earlier demo left, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scheduler import cli
from scheduler.errors import UsageError
from scheduler.replay import demo as module
from scheduler.replay.demo import MARK, PLACEMENTS, demo
from scheduler.replay.generate import GenerateOptions


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A workload of a moment."""
    options = GenerateOptions(
        nodes=16, spines=2, leaf_size=4, gangs=30, sizes=(1, 8), load=0.9, longest_s=3600
    )
    monkeypatch.setattr(module, "OPTIONS", options)


def files(root: Path) -> dict[str, bytes]:
    """Every file below `root`."""
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_a_demo_replaces_its_own_directory(tmp_path: Path) -> None:
    """The same seed gives the same bytes, another seed another trace; leftovers are gone."""
    out = tmp_path / "parent" / "demo"
    seen: list[tuple[int, int]] = []
    rows, report = demo(out, seed=3, on_progress=lambda done, total: seen.append((done, total)))
    assert report == out / "compare" / "report.html"
    assert [row["run"] for row in rows] == list(PLACEMENTS)
    assert seen[-1] == (90, 90)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    first = files(out)
    names = {"trace/gangs.csv", "compare/report.html", MARK}
    assert names | {f"{rule}/summary.json" for rule in PLACEMENTS} <= set(first)

    (out / "leftover").touch()
    demo(out, seed=3)
    assert files(out) == first
    demo(out, seed=4)
    assert files(out)["trace/gangs.csv"] != first["trace/gangs.csv"]


def test_every_run_places_every_gang_of_one_trace(tmp_path: Path) -> None:
    """The baseline comes first, and Muster keeps more gangs in one leaf than spreading does."""
    rows, _ = demo(tmp_path / "demo", seed=1)
    assert [row["placed"] for row in rows] == [30, 30, 30]
    assert rows[0]["wait +/-"] == ""
    share = {str(row["run"]): row["in one leaf"] for row in rows}
    assert float(share["muster"] or 0) > float(share["spread"] or 0)


def test_a_foreign_directory_is_refused_and_left_alone(tmp_path: Path) -> None:
    """Without the demo's mark nothing is removed, not even an empty directory or a file."""
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.tex").write_text("mine", encoding="utf-8")
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    for out in (foreign, tmp_path / "empty", tmp_path / "file"):
        with pytest.raises(UsageError, match="not from an earlier demo"):
            demo(out)
    assert files(tmp_path) == {"foreign/thesis.tex": b"mine", "file": b""}
    assert (tmp_path / "empty").is_dir()


def test_the_command_prints_the_comparison(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The table names the runs and who is best; JSON is a row per run; exit code 2 if refused."""
    out = tmp_path / "demo"
    assert cli.main(["demo", "--out", str(out)]) == 0
    printed = capsys.readouterr()
    assert printed.out.split()[: len(PLACEMENTS) + 1] == [*PLACEMENTS, "best"]
    assert printed.err == f"report: {out / 'compare' / 'report.html'}\n"
    assert cli.main(["demo", "--out", str(out), "-o", "json"]) == 0
    assert [row["run"] for row in json.loads(capsys.readouterr().out)] == list(PLACEMENTS)
    (out / MARK).unlink()
    assert cli.main(["demo", "--out", str(out)]) == 2
