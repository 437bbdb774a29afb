"""Which rows the rules of one shape refuse now, kept up to date as gangs leave marks.

A rule looks at one label of a node only, so it is a table over the label's values; rows are
looked at again only where the answer for their value has changed.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from scheduler.model.arrays import I16, I32
from scheduler.model.filters.pod_affinity import APART_TEXT, NEAR_TEXT, REPELLED_TEXT
from scheduler.model.filters.spread import Mask, short_key, spread_reason
from scheduler.model.reasons import unlabelled_text
from scheduler.model.shape import Shape
from scheduler.plan.marks import NO_ROWS, Key, Marks, Tally, least

NEAR = -1
"""Names the affinity terms among the open rules; a spread is named by its place."""

ALL_ROWS = 4
"""From one in so many rows on, all are looked at again."""


@dataclass(eq=False, slots=True)
class Check:
    """One answer per value of a label."""

    key: Key
    text: str
    refused: Mask
    """[V + 1]; the last is the answer for nodes without the label."""
    tally: Tally | None = None
    """Where `refused` is what is there, whose it is: it changes by itself, and says where."""
    flips: int = 0
    """How many of the tally's flips had been seen."""

    def since(self, before: Check) -> I32:
        """Rows of the values of which the answer is no longer that of `before`."""
        if self.refused is not before.refused:
            values = np.flatnonzero(self.refused[:-1] != before.refused[:-1])
            return self.key.rows(values.astype(np.int32))
        if self.tally is None or self.flips == before.flips:
            return NO_ROWS
        return self.key.rows(np.concatenate(self.tally.flips[before.flips : self.flips]))


@dataclass(eq=False, slots=True)
class RuleCodes:
    """The rules of one shape over all rows.

    waived: rules of which only the missing label counts (see NEAR): those of a gang that its
    own members may come to satisfy.
    """

    marks: Marks
    shape: Shape
    waived: frozenset[int]
    texts: list[str] = field(default_factory=list)
    """Distinct texts; code i + 1 stands for texts[i]."""
    code: I16 = field(default_factory=lambda: np.empty(0, np.int16))
    """[N] 0, or what refuses the row."""
    _tallies: list[Tally] = field(default_factory=list)
    """What the checks read, in their order."""
    _checks: list[Check] = field(default_factory=list)
    _seen: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._tallies = self._read()
        self._seen = [t.cursor for t in self._tallies]
        self._checks = self._ask()
        self.texts = list(dict.fromkeys(check.text for check in self._checks))
        self.code = self._of(None)

    def refresh(self) -> I32:
        """Brings `code` up to date; the rows that were looked at again (none = nothing new)."""
        for tally in self._tallies:
            self.marks.catch_up(tally)
        seen = [tally.cursor for tally in self._tallies]
        if seen == self._seen:
            return NO_ROWS
        before, self._checks, self._seen = self._checks, self._ask(), seen
        rows = [now.since(was) for was, now in zip(before, self._checks, strict=True)]
        some = np.concatenate(rows) if rows else NO_ROWS
        if some.size == 0:
            return NO_ROWS
        if some.size * ALL_ROWS > self.code.size:
            some = np.arange(self.code.size, dtype=np.int32)
            self.code = self._of(None)
        else:
            self.code[some] = self._of(some)
        return some

    def _of(self, rows: I32 | None) -> I16:
        code: I16 = np.zeros(self.marks.snapshot.topology.nodes if rows is None else rows.size, "h")
        for check in reversed(self._checks):  # the first that refuses is the one that counts
            of = check.key.code if rows is None else check.key.code[rows]
            code[check.refused[of]] = self.texts.index(check.text) + 1
        return code

    def _read(self) -> list[Tally]:
        rules, marks = self.shape.rules, self.marks
        found = [marks.spread(self.shape, rule) for rule in rules.spread]
        if rules.near is not None:
            found += [marks.near(key, rules.near.mark) for key in rules.near.keys]
        return found + [marks.near(r.key, r.mark) for r in (*rules.apart, *rules.repelled)]

    def _ask(self) -> list[Check]:
        """In kube-scheduler's order: spread, affinity, anti-affinity, that of others."""
        rules, checks, turn = self.shape.rules, list[Check](), iter(self._tallies)
        for i, rule in enumerate(rules.spread):
            tally = next(turn)
            key = tally.key
            checks.append(Check(key, unlabelled_text(short_key(key.name)), key.missing))
            if rule.mark and i not in self.waived:
                over = tally.counts + int(rule.own) - least(tally, rule) > rule.max_skew
                over[-1] = False
                checks.append(Check(key, spread_reason(key.name), over))
        if rules.near is not None:
            near = [next(turn) for _ in rules.near.keys]
            checks += [Check(t.key, NEAR_TEXT, t.key.missing) for t in near]
            if NEAR not in self.waived:
                # The first of its kind may go anywhere: then nothing is refused, as yet.
                ask = not rules.near.own or any(t.there.any() for t in near)
                checks += [Check(t.key, NEAR_TEXT, ~t.there & ask) for t in near]
        for text, apart in ((APART_TEXT, rules.apart), (REPELLED_TEXT, rules.repelled)):
            for _ in apart:
                tally = next(turn)
                checks.append(Check(tally.key, text, tally.there, tally, len(tally.flips)))
        return checks
