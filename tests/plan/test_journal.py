"""What a reader of the ledger's journal sees."""

from __future__ import annotations

import numpy as np

from scheduler.plan.journal import FIRST, Journal


def test_a_reader_gets_what_came_since_it_last_read() -> None:
    """In order, across every time the journal grows, by little and by much."""
    journal, told, seen = Journal(), list[int](), list[int]()
    for size in (0, 3, FIRST, 1, 10 * FIRST, 7):
        rows = np.arange(size, dtype=np.int32) + journal.end
        at = journal.end
        journal.append(rows)
        told += rows.tolist()
        seen += journal.since(at).tolist()
    assert seen == told
    assert journal.end == len(told)
    assert journal.since(journal.end).size == 0


def test_what_was_read_stays_as_it_is() -> None:
    """A slice handed out is not written to by later entries, grown or not."""
    journal = Journal()
    journal.append(np.arange(5, dtype=np.int32))
    read = journal.since(2)
    journal.append(np.full(FIRST - 5, 9, np.int32))
    journal.append(np.full(FIRST, 9, np.int32))
    assert read.tolist() == [2, 3, 4]
