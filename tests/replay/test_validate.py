"""Published results on real data, where this machine has it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from scheduler.errors import NotFoundError
from scheduler.replay.generate import lingjun_workload
from scheduler.replay.importers.lingjun import import_lingjun
from scheduler.replay.run_dir import write_run
from scheduler.replay.simulate import ReplayOptions, replay
from scheduler.replay.trace_io import write_trace
from scheduler.replay.validate import validate

CHECK = Path(__file__).parents[2] / "examples" / "check_spines.py"


@pytest.mark.parametrize(("experiment", "figures"), [("helios", 3), ("leaves", 18), ("lingjun", 4)])
def test_published_results_are_reproduced(real_traces: Path, experiment: str, figures: int) -> None:
    """Every figure lies inside its stated band."""
    rows = validate(experiment, real_traces)
    assert len(rows) == figures
    assert [row["figure"] for row in rows if not row["ok"]] == []


def test_a_witness_that_shares_no_code_agrees(real_traces: Path, tmp_path: Path) -> None:
    """A script that reads the files alone finds no split gang for Muster, and many for spread."""
    trace = lingjun_workload(import_lingjun(real_traces / "lingjun-2023" / "topo.csv"))
    write_trace(trace, tmp_path / "trace")
    codes = {}
    for rule in ("muster", "spread"):
        write_run(replay(trace, ReplayOptions(order="fifo", placement=rule)), tmp_path / rule)
        done = subprocess.run(
            [sys.executable, str(CHECK), str(tmp_path / "trace"), str(tmp_path / rule)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        codes[rule] = done.returncode, done.stdout
    assert codes["muster"][0] == 0, codes["muster"][1]
    assert "2000 gangs placed" in codes["muster"][1]
    assert codes["spread"][0] == 1


def test_traces_that_are_not_there(tmp_path: Path) -> None:
    """One clear error, not a traceback."""
    with pytest.raises(NotFoundError, match=r"topo\.csv"):
        validate("lingjun", tmp_path)
