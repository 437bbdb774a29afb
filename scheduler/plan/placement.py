"""What a placement rule is: Muster's own, and the rules it is compared with in replay."""

from __future__ import annotations

from typing import Protocol

from scheduler.plan.gang import Gang, Outcome
from scheduler.plan.ledger import Ledger


class Placement(Protocol):
    """Chooses rows for one gang. Pure: it reads the ledger and never takes from it."""

    @property
    def name(self) -> str:
        """Name on the command line and in reports."""
        ...

    def place(self, ledger: Ledger, gang: Gang) -> Outcome:
        """Rows for `gang`, or the numbers of a rejection.

        May use `ledger.view`, `ledger.tree` and counts its work in `ledger.stats`.
        """
        ...
