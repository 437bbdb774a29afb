"""What every test relies on: Hypothesis profiles, and real traces where there are any."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# No deadline: a slow machine is not a wrong result. Derandomized: what passes here passes there.
settings.register_profile(
    "repeatable",
    deadline=None,
    derandomize=True,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "thorough",
    settings.get_profile("repeatable"),
    derandomize=False,
    max_examples=2_000,
)
settings.load_profile(os.environ.get("MUSTER_HYPOTHESIS", "repeatable"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Adds up what tests recorded (`record_property`) over all workers, and prints it."""
    totals: Counter[str] = Counter()
    for report in terminalreporter.getreports("passed"):
        if report.when == "call":
            totals.update(dict(report.user_properties))
    if totals:
        terminalreporter.section("recorded")
        for name, total in sorted(totals.items()):
            terminalreporter.write_line(f"{name}: {total:,}")


@pytest.fixture(scope="session")
def real_traces() -> Path:
    """Directory of the real traces; skips where this machine has none."""
    from scheduler.replay.traces_dir import WHERE, traces_dir

    directory = traces_dir()
    if directory is None:
        pytest.skip(WHERE)
    return directory
