"""Conditions on pods: PodScheduled=False on members that wait, muster.dev/GangPlaced on one.

Who was told what is kept as 8 bytes per waiting member (hashes of UIDs in one sorted column), and
nothing is queued for ever: what is said is worked out from how the gang stands now, and a pass
over its members is dropped as soon as the gang stands differently.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import msgspec
import numpy as np

from scheduler.kube import stamps
from scheduler.kube.transport import Request
from scheduler.kube.writes import Ended, Kind, Write
from scheduler.model.arrays import I64
from scheduler.state.gang_view import Members

POD_SCHEDULED = "PodScheduled"
GANG_PLACED = "muster.dev/GangPlaced"
STRATEGIC_MERGE = "application/strategic-merge-patch+json"
_NOBODY: I64 = np.empty(0, np.int64)


class _Uid(msgspec.Struct):
    uid: str


class _Condition(msgspec.Struct, rename="camel"):
    type: str
    status: Literal["True", "False"]
    reason: str | None
    message: str | None
    last_transition_time: str | msgspec.UnsetType = msgspec.UNSET
    observed_generation: int | msgspec.UnsetType = msgspec.UNSET


class _Conditions(msgspec.Struct):
    conditions: tuple[_Condition]


class _Patch(msgspec.Struct):
    metadata: _Uid
    status: _Conditions


class _Spec(msgspec.Struct, rename="camel"):
    node_name: str | None = None


class _Pod(msgspec.Struct):
    spec: _Spec = msgspec.field(default_factory=_Spec)


_encode = msgspec.json.Encoder().encode
_pod = msgspec.json.Decoder(_Pod)


def patch(
    namespace: str, name: str, uid: str, condition: str, *, status: bool, reason: str | None,
    message: str | None, changed_us: int | None, generation: int | None = None,
) -> Request:  # fmt: skip
    """Sets one condition of the pod with this UID (another one of that name answers 409).

    changed_us: when its status changed; None = it did not: the pod keeps the time that it has.
    generation: metadata.generation that was looked at, where it is known. None as reason or
    message takes it away.
    """
    body = _Condition(
        condition,
        "True" if status else "False",
        reason,
        message,
        msgspec.UNSET if changed_us is None else stamps.to_second(changed_us),
        msgspec.UNSET if generation is None else generation,
    )
    return Request(
        "PATCH",
        f"/api/v1/namespaces/{namespace}/pods/{name}/status",
        _encode(_Patch(_Uid(uid), _Conditions((body,)))),
        STRATEGIC_MERGE,
    )


@dataclass(slots=True)
class _Word:
    """What members of one gang are told now."""

    reason: str
    message: str
    sentence: str
    """For the lowest rank."""
    lowest_uid: str
    since_us: int
    told: I64
    """Hashes of UIDs, sorted: told this, or about to be."""
    before: I64
    """Hashes of UIDs that carry PodScheduled=False already."""


@dataclass(slots=True)
class _Pass:
    """Members who are to be told; m of them."""

    word: _Word
    namespace: str
    names: Sequence[str]
    uids: Sequence[str]
    before: Sequence[bool]
    """[m] whether the pod carries PodScheduled=False already."""
    at: int = 0


@dataclass(slots=True)
class _Open:
    """Unfinished passes of one gang, the next one first."""

    passes: deque[_Pass] = field(default_factory=deque)


class WaitingConditions:
    """PodScheduled=False on members that wait, once per transition."""

    def __init__(self) -> None:
        self._words: dict[str, _Word] = {}
        self._open: OrderedDict[str, _Open] = OrderedDict()
        self._hushed: dict[str, _Open] = {}
        self._mend: deque[tuple[str, str, str]] = deque()
        """(namespace, name, uid) of pods that had a node when they were told that they wait."""

    def __len__(self) -> int:
        return len(self._words)

    def keys(self) -> Iterable[str]:
        """Gangs whose members are told that they wait."""
        return self._words

    @property
    def quiet(self) -> bool:
        """Nothing to send, as far as it is known."""
        return not (self._open or self._mend)

    def reason(self, key: str) -> str:
        """What members of the gang are told at present, or empty."""
        word = self._words.get(key)
        return "" if word is None else word.reason

    def tell(
        self, key: str, reason: str, message: str, sentence: str, members: Members,
        shown: Sequence[str], now_us: int,
    ) -> list[int]:  # fmt: skip
        """These members wait, lowest rank first; those who were told so already are left alone.

        shown: reasons of PodScheduled=False that the watch showed, or empty: believed for pods
        that nothing was written to since this process started. Returns positions in `members`
        of those who are told now.
        """
        word = self._words.get(key)
        if word is None or word.reason != reason:
            before = _NOBODY if word is None else np.union1d(word.before, word.told)
            lowest = members.uids[0]
            word = _Word(reason, message, sentence, lowest, now_us, _NOBODY, before)
            self._words[key] = word
            self._open.pop(key, None)
            self._hushed.pop(key, None)
        hashes = np.fromiter(map(hash, members.uids), np.int64, len(members.uids))
        if shown:
            self._believe(word, hashes, shown)
        new = np.flatnonzero(~np.isin(hashes, word.told))
        if not new.size:
            return []
        places = new.tolist()
        opened = self._open.setdefault(key, self._hushed.pop(key, _Open()))
        opened.passes.append(
            _Pass(
                word, members.namespace,
                [members.names[i] for i in places], [members.uids[i] for i in places],
                np.isin(hashes[new], word.before).tolist(),
            )
        )  # fmt: skip
        word.told = np.union1d(word.told, hashes)
        return places

    def renumber(self, key: str, sentence: str, namespace: str, name: str, uid: str) -> None:
        """The numbers changed: the lowest rank that waits is told."""
        word = self._words[key]
        word.sentence, word.lowest_uid = sentence, uid
        opened = self._open.setdefault(key, self._hushed.pop(key, _Open()))
        opened.passes.append(_Pass(word, namespace, [name], [uid], [True]))

    def forget(self, key: str) -> None:
        """Nobody of the gang waits any more; what is under way is left to itself."""
        self._words.pop(key, None)
        self._open.pop(key, None)
        self._hushed.pop(key, None)

    def hush(self, key: str) -> None:
        """The gang may stand differently by now: nothing of it is sent until `resume`."""
        opened = self._open.pop(key, None)
        if opened is not None:
            self._hushed[key] = opened

    def resume(self, key: str) -> None:
        """It stands as it did."""
        opened = self._hushed.pop(key, None)
        if opened is not None:
            self._open[key] = opened

    def next(self, now_us: int) -> Write | None:
        """The next patch, or None."""
        if self._mend:
            return self._mended(*self._mend.popleft(), now_us)
        while self._open:
            key, opened = next(iter(self._open.items()))
            if not opened.passes:
                del self._open[key]
                continue
            current = opened.passes[0]
            at = current.at
            current.at += 1
            if current.at == len(current.uids):
                opened.passes.popleft()
                if not opened.passes:
                    del self._open[key]
            return self._write(key, current, at)
        return None

    def _write(self, key: str, current: _Pass, at: int) -> Write:
        word = current.word
        name, uid, before = current.names[at], current.uids[at], current.before[at]
        request = patch(
            current.namespace, name, uid, POD_SCHEDULED, status=False, reason=word.reason,
            message=word.sentence if uid == word.lowest_uid else word.message,
            changed_us=None if before else word.since_us,
        )  # fmt: skip

        def done(ended: Ended, body: bytes) -> None:
            if ended is Ended.DONE and _has_node(body):
                # A bind and this patch crossed, and the patch came last.
                self._mend.append((current.namespace, name, uid))
            elif ended is Ended.AGAIN and self._words.get(key) is word:
                one = _Pass(word, current.namespace, [name], [uid], [before])
                hushed = self._hushed.get(key)
                opened = hushed if hushed is not None else self._open.setdefault(key, _Open())
                opened.passes.appendleft(one)

        return Write(Kind.CONDITIONS, request, done)

    def _mended(self, namespace: str, name: str, uid: str, now_us: int) -> Write:
        def done(ended: Ended, _: bytes) -> None:
            if ended is Ended.AGAIN:
                self._mend.append((namespace, name, uid))

        request = patch(namespace, name, uid, POD_SCHEDULED, status=True, reason=None,
                        message=None, changed_us=now_us)  # fmt: skip
        return Write(Kind.CONDITIONS, request, done)

    @staticmethod
    def _believe(word: _Word, hashes: I64, shown: Sequence[str]) -> None:
        """Pods that a former process told: `word` counts them as its own."""
        fresh = ~np.isin(hashes, word.before) & ~np.isin(hashes, word.told)
        told = np.fromiter((reason == word.reason for reason in shown), np.bool_, len(shown))
        some = np.fromiter((bool(reason) for reason in shown), np.bool_, len(shown))
        word.before = np.union1d(word.before, hashes[fresh & some])
        word.told = np.union1d(word.told, hashes[fresh & told])


@dataclass(frozen=True, slots=True)
class Placed:
    """The condition muster.dev/GangPlaced as one pod carries it."""

    namespace: str
    name: str
    uid: str
    whole: bool
    reason: str
    message: str

    def same(self, other: Placed | None) -> bool:
        """On the same pod, with the same status: words alone are not worth a write."""
        return other is not None and (self.uid, self.whole) == (other.uid, other.whole)


class PlacedConditions:
    """muster.dev/GangPlaced on the lowest live rank of gangs that were whole once.

    False is only ever written in place of True, so that its presence alone says `was whole`.
    """

    def __init__(self) -> None:
        self._said: dict[str, Placed] = {}
        self._due: OrderedDict[str, Placed] = OrderedDict()

    @property
    def quiet(self) -> bool:
        """Nothing to send."""
        return not self._due

    def said(self, key: str) -> Placed | None:
        """What was written (or is about to be) for a gang."""
        return self._said.get(key)

    def found(self, key: str, placed: Placed) -> None:
        """A former process wrote this."""
        self._said[key] = placed

    def say(self, key: str, placed: Placed) -> None:
        """Writes it, unless that is what was written last."""
        if not placed.same(self._said.get(key)):
            self._said[key] = self._due[key] = placed

    def forget(self, key: str) -> None:
        """The gang is no more."""
        self._said.pop(key, None)
        self._due.pop(key, None)

    def next(self, now_us: int) -> Write | None:
        """The next patch, or None."""
        if not self._due:
            return None
        key, placed = self._due.popitem(last=False)

        def done(ended: Ended, _: bytes) -> None:
            # Another pod is the lowest by now, or will be seen to be: then it is said there.
            if ended is Ended.AGAIN and self._said.get(key) is placed:
                self._due.setdefault(key, placed)

        request = patch(placed.namespace, placed.name, placed.uid, GANG_PLACED,
                        status=placed.whole, reason=placed.reason, message=placed.message,
                        changed_us=now_us)  # fmt: skip
        return Write(Kind.CONDITIONS, request, done)


def _has_node(body: bytes) -> bool:
    try:
        return bool(_pod.decode(body).spec.node_name)
    except msgspec.DecodeError:
        return False
