"""Metrics: their names, what they count, and that the document lists all of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from scheduler.metrics import SIZES, Metrics, documented_metrics, size_of

ROOT = Path(__file__).resolve().parents[1]


def samples(metrics: Metrics) -> dict[tuple[str, ...], float]:
    """(name, label values..) -> value of everything that is rendered."""
    families = text_string_to_metric_families(metrics.render().decode())
    return {
        (sample.name, *(f"{k}={v}" for k, v in sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def test_batches_are_counted() -> None:
    """Counters add up, gauges show the last value."""
    metrics = Metrics()
    metrics.binds("bound", 500)
    metrics.binds("bound")
    metrics.binds("gone", 2)
    metrics.overcommit_races()
    metrics.events_dropped(3)
    metrics.reserved(7, 1)
    metrics.watch_lag("Node", 1_500_000)
    shown = samples(metrics)
    assert shown["muster_binds_total", "outcome=bound"] == 501
    assert shown["muster_binds_total", "outcome=gone"] == 2
    assert shown["muster_overcommit_races_total",] == 1
    assert shown["muster_events_dropped_total",] == 3
    assert (shown["muster_holds",], shown["muster_claims",]) == (7, 1)
    assert shown["muster_watch_lag_seconds", "kind=Node"] == 1.5


def test_a_state_that_nobody_is_in_any_more_shows_zero() -> None:
    """A gauge must not go on showing what was."""
    metrics = Metrics()
    metrics.gangs({"pending": 3, "placed": 1})
    metrics.gangs({"placed": 4})
    shown = samples(metrics)
    assert shown["muster_gangs", "state=pending"] == 0
    assert shown["muster_gangs", "state=placed"] == 4


def test_durations_are_seconds() -> None:
    """Histograms take microseconds and show seconds."""
    metrics = Metrics()
    metrics.placed(500, 400_000)
    metrics.phase("plan", 2_000)
    shown = samples(metrics)
    assert shown["muster_gang_place_seconds_sum", "size=65-512"] == 0.4
    assert shown["muster_gang_place_seconds_bucket", "le=0.3", "size=65-512"] == 0
    assert shown["muster_gang_place_seconds_bucket", "le=1.0", "size=65-512"] == 1
    assert shown["muster_cycle_seconds_sum", "phase=plan"] == 0.002


@pytest.mark.parametrize(
    ("members", "label"),
    [(1, "1"), (2, "2-8"), (8, "2-8"), (9, "9-64"), (512, "65-512"), (4096, "513-4096"),
     (4097, "4097-"), (100_000, "4097-")],
)  # fmt: skip
def test_sizes_fall_into_few_labels(members: int, label: str) -> None:
    """Every label names its own bounds."""
    assert size_of(members) == label
    assert all(text.endswith(str(largest)) for largest, text in SIZES)


def test_two_schedulers_in_a_process_do_not_share_numbers() -> None:
    """Every instance has a registry of its own, with the process's numbers."""
    first, second = Metrics(), Metrics()
    first.binds("bound")
    assert ("muster_binds_total", "outcome=bound") not in samples(second)
    assert samples(second)["process_resident_memory_bytes",] > 0


def test_the_document_lists_every_metric() -> None:
    """docs/operations.md: name, type and meaning are those of the code."""
    text = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(muster_\w+)[^`]*` \| (\w+) \| (.*?) \|$", text, re.MULTILINE)
    assert rows == documented_metrics()
