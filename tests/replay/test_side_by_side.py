"""The comparison on a terminal: measures down, runs across, and who is best at what."""

from __future__ import annotations

from scheduler.replay.side_by_side import BEST, Cell, side_by_side

ROWS: list[dict[str, Cell]] = [
    {
        "run": "first-fit", "placement": "first-fit", "scan": "greedy", "placed": 40,
        "wait s": 23.2, "GPUs": 0.598, "in one spine": 0.335, "spines": 2.765, "wait +/-": "",
    },
    {
        "run": "muster", "placement": "muster", "scan": "strict", "placed": 40,
        "wait s": 92.0, "GPUs": 0.601, "in one spine": 0.887, "spines": 1.31, "wait +/-": "+297%",
    },
]  # fmt: skip


def by_title() -> dict[str, dict[str, Cell]]:
    """The turned rows under their titles."""
    return {str(row[""]): row for row in side_by_side(ROWS)}


def test_a_measure_is_a_row_in_units_that_people_read() -> None:
    """Seconds become minutes, shares become percent; an option that is the run's name is left."""
    table = by_title()
    assert "placement" not in table
    assert table["scan"]["muster"] == "strict"
    assert table["mean wait"]["muster"] == "1 min 32 s"
    assert str(table["GPUs allocated, mean"]["first-fit"]).startswith("59.8")
    assert table["spines per gang"]["muster"] == "1.310"


def test_the_best_is_named_by_the_sense_of_the_measure() -> None:
    """Less wait and fewer spines, but more GPUs and more gangs in one spine."""
    best = {title: row[BEST] for title, row in by_title().items()}
    assert best["mean wait"] == "first-fit"
    assert best["spines per gang"] == "muster"
    assert best["GPUs allocated, mean"] == "muster"
    assert best["in one spine, if possible"] == "muster"


def test_nobody_is_best_where_all_read_alike_or_nothing_is_better() -> None:
    """Equal to the reader is equal; options and changes have no better and worse."""
    best = {title: row[BEST] for title, row in by_title().items()}
    assert best["gangs placed"] == best["scan"] == best["mean wait, change"] == ""


def test_a_tie_names_both_and_a_missing_number_wins_nothing() -> None:
    """What one run has no number for is left out of the contest."""
    waits: dict[str, float | None] = {"a": 1.0, "b": None, "c": 1, "d": 2}
    rows: list[dict[str, Cell]] = [{"run": run, "wait s": wait} for run, wait in waits.items()]
    assert side_by_side(rows)[0][BEST] == "a, c"
