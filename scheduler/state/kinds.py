"""Rules between pods: which marks pods of a kind leave, and what plan() reads of those that wait.

    kind that waits, with rules --its audiences are counted from now on--> Account.leaves, .marks
    any kind with anti-affinity --its terms are counted, and may repel others-->      "
    leaves + terms of others that match it  ->  plan shape  (a Shape with its rules filled in)

A mark is counted once over the pods that are there when it becomes known, and afterwards by
whoever charges pods. It stays known for as long as a kind that asked for it is, so that a gang
that comes and goes does not make the plan shapes of others come and go with it. Kinds are many
(one per workload, over months): those that nobody uses any more are swept away now and then.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import replace

import numpy as np

from scheduler.model.arrays import I32
from scheduler.model.audience import (
    Audience,
    Carried,
    Labels,
    Who,
    mark_of,
    matches,
    meaning_of,
    reads_namespaces,
    repels,
)
from scheduler.model.pod_rules import Apart, PodRules
from scheduler.model.pod_terms import carried_by
from scheduler.model.shape import Shape
from scheduler.state.account import GIVE, TAKE, Account
from scheduler.state.meanings import Handle, Kindred, Meanings, handles
from scheduler.state.pods import PodTable

_NO_LABELS: Labels = {}
SWEEP_AT = 16_384
"""Kinds that nobody looks through: 20 MB."""


class Kinds:
    """Kinds of pods, the marks that they leave, and their plan shapes."""

    def __init__(
        self, account: Account, pods: PodTable, hidden: Collection[str] = frozenset()
    ) -> None:
        """hidden: keys of labels that no Who has (they differ from member to member); a term of
        others that asks for one is taken to match.
        """
        self._shapes = account.shapes
        self._account = account
        self._pods = pods
        self.hidden = frozenset(hidden)
        self._spaces: dict[str, Labels] = {}
        self._kindred = Kindred()
        self._audiences: Meanings[Audience] = Meanings()
        self._terms: Meanings[Carried] = Meanings()
        self._asked: set[int] = set()
        self._stale: set[int] = set()
        self._reads: dict[int, tuple[str, ...]] = {}
        self._pinned: set[int] = set()
        """Numbers that were given to somebody who did not name a Who: kept for ever."""
        self._after_sweep = 0
        self.keepers: list[Callable[[], Iterable[int]]] = []
        """Each names the kinds that somebody outside the cache uses."""

    # ---- kinds

    def number(self, shape: Shape, who: Who | None = None, *, passing: bool = False) -> int:
        """The number of a kind, given now if it is new. Raises ValueError as ShapeRegistry.

        passing: whoever asks is a keeper; without it, a kind without Who is kept for ever.
        """
        if who is None and not passing:
            kind = self.number(shape, passing=True)
            self._pinned.add(kind)
            return kind
        known = self._shapes.find(shape, who)
        if known is not None:
            return known
        kind = self._shapes.number(shape, who)
        if who is None:
            if shape.rules.leaves:
                self._account.leaves[kind] = shape.rules.leaves
        else:
            self._welcome(kind, shape.rules, who)
        return kind

    def _welcome(self, kind: int, rules: PodRules, who: Who) -> None:
        """A kind is new: no pod of it is anywhere yet."""
        leaves = {mark for mark, each in self._audiences.near(who) if self._means(each, who)}
        for term in carried_by(rules):
            mark = mark_of(term)
            leaves.add(mark)
            if mark not in self._terms:
                under = self._handles(term)
                self._terms.add(mark, term, under)
                for other in self._asked.intersection(self._kindred.of(*under)):
                    if self.repels(term, other):
                        self._stale.add(other)
        self._kindred.add(kind, who)
        if leaves:
            self._account.leaves[kind] = tuple(sorted(leaves))

    def _handles(self, meaning: Audience | Carried) -> tuple[Handle, ...]:
        return handles(meaning, self.hidden, self._kindred.size)

    def _means(self, audience: Audience, who: Who) -> bool:
        space = self._spaces.get(who.namespace, _NO_LABELS)
        return matches(audience, who, space, self.hidden)

    def repels(self, term: Carried, kind: int) -> bool:
        """Whether a pod that carries `term` keeps pods of a kind away."""
        who = self._shapes.who(kind)
        if who is None:
            return False
        return repels(term, who, self._spaces.get(who.namespace, _NO_LABELS), self.hidden)

    def leaves_mark(self, kind: int, mark: str) -> bool:
        """Whether pods of a kind leave a mark, worked out from nothing: to check what is kept."""
        shape, who = self._shapes[kind], self._shapes.who(kind)
        if who is None:
            return mark in shape.rules.leaves
        meaning = meaning_of(mark)
        if isinstance(meaning, Carried):
            return meaning in carried_by(shape.rules)
        return self._means(meaning, who)

    # ---- kinds that wait or are held

    def plan(self, kind: int) -> int:
        """The plan shape of a kind that waits or is held; the audiences of its rules count now.

        Stays as it is until `settle`.
        """
        who = self._shapes.who(kind)
        if who is not None and kind not in self._asked:
            for mark in self._shapes[kind].rules.asks:
                if mark not in self._audiences:
                    self._hear(mark)
            self._asked.add(kind)
            self._shapes.plan_of[kind] = self._plan_shape(kind, who)
        return int(self._shapes.plan_of[kind])

    def plans(self, kinds: I32 | int) -> list[int]:
        """Distinct plan shapes of kinds that wait or are held, rising."""
        if isinstance(kinds, int):
            return [self.plan(kinds)]
        return sorted({self.plan(kind) for kind in np.unique(kinds).tolist()})

    def settle(self) -> set[int]:
        """Brings plan shapes up to date; kinds whose plan shape is another now."""
        changed: set[int] = set()
        for kind in sorted(self._stale):
            who = self._shapes.who(kind)
            if who is not None:
                plan = self._plan_shape(kind, who)
                if plan != self._shapes.plan_of[kind]:
                    self._shapes.plan_of[kind] = plan
                    changed.add(kind)
        self._stale.clear()
        return changed

    @property
    def is_stale(self) -> bool:
        """Whether `settle` has something to do."""
        return bool(self._stale)

    def reads(self, plan: int) -> tuple[str, ...]:
        """Marks that decide where pods of a plan shape may be, sorted; () if nothing does."""
        if self._shapes[plan].rules.free:
            return ()
        known = self._reads.get(plan)
        if known is None:
            rules = self._shapes[plan].rules
            marks = {*rules.asks, *(each.mark for each in rules.repelled)}
            known = self._reads[plan] = tuple(sorted(marks))
        return known

    def ruled(self, plan: int) -> bool:
        """Whether other pods decide where pods of a plan shape may be."""
        return not self._shapes[plan].rules.free

    def changes(self, plan: int) -> int:
        """Rises whenever a mark that the plan shape reads changes; below 0: any mark."""
        marks = self._account.marks
        return marks.clock if plan < 0 else marks.changes(self.reads(plan))

    def _plan_shape(self, kind: int, who: Who) -> int:
        """The number of the kind's Shape with what others make of its rules."""
        shape, base = self._shapes[kind], self._shapes.base(kind)
        leaves = self._account.leaves.get(kind, ())
        repelled = {
            Apart(term.key, mark) for mark, term in self._terms.near(who) if self.repels(term, kind)
        }
        rules = shape.rules
        if not leaves and not repelled and rules.free:
            return base
        near = rules.near
        filled = replace(
            rules,
            spread=tuple(
                replace(each, own=each.mark in leaves) if each.mark else each
                for each in rules.spread
            ),
            near=near if near is None else replace(near, own=near.mark in leaves),
            repelled=tuple(sorted(repelled)),
            leaves=leaves,
        )
        return base if filled == rules else self.number(replace(shape, rules=filled), passing=True)

    def _hear(self, mark: str) -> None:
        """An audience becomes known: kinds that it means leave its mark, and did before."""
        audience = meaning_of(mark)
        if not isinstance(audience, Audience):
            raise ValueError(f"mark {mark!r} is no audience's")  # noqa: TRY004
        under = self._handles(audience)
        self._audiences.add(mark, audience, under)
        self._account.marks.touch(mark)
        self._changed(mark, [k for k in self._kindred.of(*under) if self._meant(audience, k)], TAKE)

    def _meant(self, audience: Audience, kind: int) -> bool:
        who = self._shapes.who(kind)
        return who is not None and self._means(audience, who)

    def _changed(self, mark: str, kinds: list[int], sign: int) -> None:
        """From now on pods of `kinds` leave `mark` (TAKE), or no more (GIVE)."""
        leaves = self._account.leaves
        for kind in kinds:
            marks = set(leaves.get(kind, ()))
            marks ^= {mark}
            leaves[kind] = tuple(sorted(marks))
            if not marks:
                del leaves[kind]
        self._account.count(mark, kinds, sign, self._pods)
        self._stale.update(self._asked.intersection(kinds))

    # ---- kinds that nobody uses any more

    def is_due(self) -> bool:
        """Whether so many kinds have come since the last sweep that it is worth another."""
        return self._shapes.in_use > 2 * self._after_sweep + SWEEP_AT

    def sweep(self, live: Iterable[int]) -> set[int]:
        """Gives back the numbers of kinds that are not among `live`, kept or pinned.

        live: kinds of pods, of who waits and of what is held, and plan shapes that are wanted.
        Marks that were counted for a kind that is gone are forgotten. Returns the numbers.
        """
        shapes, leaves = self._shapes, self._account.leaves
        used = self._pinned.union(live, *(keeper() for keeper in self.keepers))
        used |= {int(shapes.plan_of[kind]) for kind in used} | {shapes.base(k) for k in used}
        dead = shapes.numbers() - used
        shapes.give_back(dead)
        for kind in dead:
            leaves.pop(kind, None)
            self._reads.pop(kind, None)
        self._asked -= dead
        self._file_anew(sorted(used))
        self._after_sweep = shapes.in_use
        return dead

    def _file_anew(self, kinds: list[int]) -> None:
        """Handles, audiences and terms of these kinds alone."""
        asked = {mark for kind in self._asked for mark in self._shapes[kind].rules.asks}
        known, leaves = self._audiences.items(), self._account.leaves
        carried = self._terms.items()
        terms: dict[str, Carried] = {}
        for index in (self._kindred, self._audiences, self._terms):
            index.clear()
        for kind in kinds:
            who = self._shapes.who(kind)
            if who is not None:
                self._kindred.add(kind, who)
                terms.update((mark_of(each), each) for each in carried_by(self._shapes[kind].rules))
        for mark, audience in known:
            if mark in asked:
                self._audiences.add(mark, audience, self._handles(audience))
        for mark, term in terms.items():
            self._terms.add(mark, term, self._handles(term))
        gone = {mark for mark, _ in known if mark not in asked}
        gone.update(mark for mark, _ in carried if mark not in terms)
        for kind in kinds:
            marks = leaves.get(kind, ())
            if self._shapes.who(kind) is not None and not gone.isdisjoint(marks):
                leaves[kind] = tuple(mark for mark in marks if mark not in gone)
        for mark in gone:
            self._account.marks.forget(mark)
        # A term that nobody carries any more repels nobody; who was repelled is another now.
        self._stale = set(self._asked)

    # ---- namespaces

    def put_namespace(self, name: str, labels: Labels) -> None:
        """A namespace appeared or has other labels; one that is not known counts as without."""
        if dict(self._spaces.get(name, _NO_LABELS)) != dict(labels):
            self._spaces[name] = dict(labels)
            self._read_again(name)

    def drop_namespace(self, name: str) -> None:
        """A namespace is gone."""
        if self._spaces.pop(name, None):
            self._read_again(name)

    def _read_again(self, namespace: str) -> None:
        kinds = list(self._kindred.of((namespace,)))
        if not kinds:
            return
        self._stale.update(self._asked.intersection(kinds))
        for mark, audience in self._audiences.items():
            if not reads_namespaces(audience):
                continue
            meant = {kind: self._meant(audience, kind) for kind in kinds}
            had = {kind: mark in self._account.leaves.get(kind, ()) for kind in kinds}
            self._changed(mark, [k for k in kinds if meant[k] and not had[k]], TAKE)
            self._changed(mark, [k for k in kinds if had[k] and not meant[k]], GIVE)
