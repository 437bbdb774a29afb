"""`muster trace import ...` and `muster replay --placement as-recorded`, as a user types them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scheduler import cli
from tests.replay.published import (
    ACME,
    LINGJUN_JOBS,
    LINGJUN_WORKERS,
    PHILLY,
    SPOT_JOBS,
    SPOT_NODES,
    SWF,
    TOPO,
    VC_NODES,
    file,
)

FILES = {
    "log.swf": SWF,
    "philly.csv": PHILLY,
    "vc.csv": VC_NODES,
    "acme.csv": ACME,
    "job_info_df.csv": SPOT_JOBS,
    "node_info_df.csv": SPOT_NODES,
    "topo.csv": TOPO,
    "job.csv": LINGJUN_JOBS,
    "worker.csv": LINGJUN_WORKERS,
}
LINGJUN = "lingjun --topo topo.csv --jobs job.csv --workers worker.csv"


@pytest.fixture(autouse=True)
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files stand in the working directory."""
    for name, text in FILES.items():
        file(tmp_path, name, text)
    monkeypatch.chdir(tmp_path)


def muster(words: str) -> int:
    return cli.main(words.split())


@pytest.mark.parametrize(
    ("words", "gangs"),
    [
        ("swf --jobs log.swf --nodes 4 --procs-per-node 8", 3),
        ("philly --jobs philly.csv --vc-nodes vc.csv", 3),
        ("acme --jobs acme.csv --nodes 16 --gpus-per-node 8", 3),
        ("spot --jobs job_info_df.csv --nodes node_info_df.csv", 3),
        ("lingjun --topo topo.csv", 0),
        (LINGJUN, 2),
    ],
)
def test_each_importer_makes_a_directory_that_checks(
    words: str, gangs: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """With its options as documented, and with --skip-bad."""
    assert muster(f"trace import {words} --out a") == 0
    assert muster(f"trace import {words} --skip-bad --out b") == 0
    capsys.readouterr()
    assert muster("trace check a -o json") == 0
    assert json.loads(capsys.readouterr().out)[0]["gangs"] == gangs
    assert Path("a/gangs.csv").read_bytes() == Path("b/gangs.csv").read_bytes()


def test_a_malformed_row_ends_the_import_unless_it_is_skipped() -> None:
    """Nothing is written without --skip-bad; with it the manifest says how many."""
    with Path("log.swf").open("a", encoding="utf-8") as log:
        log.write("nonsense\n")
    words = "trace import swf --jobs log.swf --nodes 4 --out a"
    assert muster(words) == 3
    assert not Path("a").exists()
    assert muster(f"{words} --skip-bad") == 0
    assert json.loads(Path("a/manifest.json").read_bytes())["dropped_rows"]["bad_columns"] == 1


def test_the_recorded_run_stands_beside_others(capsys: pytest.CaptureFixture[str]) -> None:
    """`compare` takes it like any run; the trace's hash covers the recording."""
    assert muster(f"trace import {LINGJUN} --out a") == 0
    assert muster("replay a --placement as-recorded --out recorded") == 0
    assert muster("replay a --placement muster --out ours") == 0
    assert muster("compare recorded ours --out both") == 0
    with Path("a/recorded.csv").open("a", encoding="utf-8") as recorded:
        recorded.write("dlc1,9,10.0.0.1,0,1\n")
    assert muster("replay a --placement as-recorded --out again") == 3
    assert "recorded.csv" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("trace import lingjun --topo topo.csv --jobs job.csv --out a", "--jobs and --workers"),
        ("replay a --placement as-recorded --levels leaf=4 --out b", "nothing of it can"),
    ],
)  # fmt: skip
def test_options_that_cannot_be_meant_together_are_refused(
    words: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One sentence says which."""
    if words.startswith("replay"):
        assert muster(f"trace import {LINGJUN} --out a") == 0
    assert muster(words) == 2
    assert message in capsys.readouterr().err
