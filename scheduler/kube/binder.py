"""The batch binder: one POST per pod, many in flight, and every one of them settled for certain.

            submit                       201, 409 ours / elsewhere, 404, other UID, 4xx
    unsent --------> in flight --------------------------------------------------> settled
                      |     ^
     429, 5xx, no     v     | the same bind again, backing off
     answer, ...   in trouble ---> after 10 tries, or when the answer does not tell: read the pod

A bind whose fate is unknown may land late. So it is never given up before the request time-out
has passed since its last try; until then it is only sent again (which changes nothing if it has
landed) or read. There is one request per pod at a time.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from functools import partial
from random import Random

from scheduler import log
from scheduler.clock import Clock
from scheduler.kube import bind_answer
from scheduler.kube.backoff import Backoff
from scheduler.kube.batch import Batch, Outcome, Settled
from scheduler.kube.bind_answer import Meaning, Then
from scheduler.kube.bind_queue import BindQueue, Sending
from scheduler.kube.transport import Response, Transport
from scheduler.kube.window import Window
from scheduler.model.arrays import I32

_log = log.get(__name__)

TIMEOUT_US = 4_000_000
"""Of one request. A new leader waits this long before it trusts what it reads, so it is less than
lease duration - renew deadline (5 s by default)."""
TRIES = 10
"""Tries of unknown outcome after which the pod is read, and the read believed."""
FIRST_DELAY_US = 100_000
LONGEST_DELAY_US = 10_000_000
WITHOUT_LEASE_US = 100_000
"""How often it is asked again whether anything may be sent."""


_DROPPED = "its gang was dropped"


def _always() -> bool:
    return True


def _any_node(_: str) -> bool:
    return True


class _Trouble:
    """A bind whose first try settled nothing. Times of `Clock.elapsed_us`."""

    __slots__ = ("delays", "doubt_until_us", "index", "read", "sending", "text", "tries")

    def __init__(self, sending: Sending, index: int, rng: Random) -> None:
        self.sending = sending
        self.index = index
        self.delays = Backoff(rng, FIRST_DELAY_US, LONGEST_DELAY_US)
        self.tries = 0
        self.doubt_until_us = 0
        """Until then a try may still land; 0 = none is in doubt. Past it a read is believed."""
        self.read = False
        """Is the next request a read?"""
        self.text = ""

    @property
    def node(self) -> str:
        """Where it is to go."""
        return self.sending.batch.nodes[self.index]

    @property
    def unwanted(self) -> bool:
        """Was it dropped? Then it is not sent any more; a read settles what was sent."""
        return self.sending.is_unwanted(self.index)


class Binder:
    """Sends batches of binds and tells what became of each. Lives on the loop's thread.

    Durations are measured with `clock.elapsed_us`, whatever clock the caller's `now_us` is of: a
    wall clock that is set must not make a read believed too early.
    """

    def __init__(
        self, transport: Transport, clock: Clock, settled: Callable[[Settled], None], *,
        timeout_us: int = TIMEOUT_US, window: Window | None = None, rng: Random | None = None,
        may_send: Callable[[], bool] = _always, node_exists: Callable[[str], bool] = _any_node,
    ) -> None:  # fmt: skip
        """settled: called from `Transport.poll` or `pump`, once per member; may call `submit`.

        may_send: asked before each bind (the lease). node_exists: by name; no bind is sent to a
        node that does not.
        """
        self._transport = transport
        self._clock = clock
        self._settled = settled
        self._timeout_us = timeout_us
        self._rng = Random() if rng is None else rng
        self._window = Window(self._rng) if window is None else window
        self._may_send = may_send
        self._node_exists = node_exists
        self._queue = BindQueue()
        self._batches: dict[str, list[Sending]] = {}
        """Unsettled ones by gang key."""
        self._uids: set[str] = set()
        """Of unsettled members."""
        self._unsent = 0
        self._in_flight = 0
        self._due: list[tuple[int, int, _Trouble]] = []
        self._count = 0
        self._dropped: deque[tuple[Sending, int]] = deque()
        """To be told by the next `pump`."""
        self._fresh = False
        """Has something come that no `pump` has seen?"""
        self._held = False
        """Did `may_send` forbid something?"""
        self._worry = ""

    @property
    def waiting(self) -> int:
        """Binds that are not in flight now: unsent, or in trouble and waiting for their time."""
        return len(self._uids) - self._in_flight

    @property
    def in_flight(self) -> int:
        """Requests under way; never more than one for a pod."""
        return self._in_flight

    @property
    def idle(self) -> bool:
        """Is everything settled and told?"""
        return not self._uids

    @property
    def window(self) -> int:
        """Requests that may be in flight now."""
        return self._window.size

    @property
    def worry(self) -> str:
        """What comes from the API server instead of answers to binds; empty if they come."""
        return self._worry

    def unsettled(self, key: str) -> int:
        """Members of a gang that are not settled."""
        return sum(sending.unsettled for sending in self._batches.get(key, ()))

    def submit(self, batch: Batch) -> None:
        """Takes over the members of `batch`; the next `pump` sends them.

        Raises ValueError if one of them is here already: two requests for a pod could be in
        flight at once.
        """
        if not self._uids.isdisjoint(batch.uids) or len(set(batch.uids)) < len(batch.uids):
            raise ValueError(f"a member of gang {batch.key} is being bound already")
        if not batch.uids:
            return
        sending = Sending(batch, self._timeout_us)
        self._uids.update(batch.uids)
        self._unsent += sending.unsent
        self._batches.setdefault(batch.key, []).append(sending)
        self._queue.add(sending)
        self._fresh = True

    def drop(self, key: str, ranks: I32 | None = None) -> None:
        """Members of a gang (`ranks`, None = all) are not wanted on their nodes any more.

        Those that were never sent are told as DROPPED by the next `pump`. The others are settled
        by their answer; where it leaves doubt, by a read instead of another try.
        """
        wanted = None if ranks is None else set(ranks.tolist())
        for sending in self._batches.get(key, ()):
            indices = sending.drop(wanted)
            self._unsent -= len(indices)
            self._dropped.extend((sending, index) for index in indices)
        self._fresh = True

    def pump(self, now_us: int) -> None:  # noqa: ARG002 -- see the class: our own clock counts
        """Tells what was dropped and sends what the window allows. Cheap if there is nothing."""
        self._fresh = False
        while self._dropped:
            sending, index = self._dropped.popleft()
            self._settle(sending, index, Outcome.DROPPED, _DROPPED)
        self._fill(self._clock.elapsed_us())

    def next_time_us(self, now_us: int) -> int | None:
        """When `pump` has something to do that no answer will bring about, in the caller's time.

        None: only an answer, or a new batch, makes the next send possible.
        """
        if self._fresh:
            return now_us
        now = self._clock.elapsed_us()
        times = [self._due[0][0]] if self._due else []
        if self._held:
            times.append(now + WITHOUT_LEASE_US)
        paused_until = self._window.paused_until_us(now)
        if paused_until is not None:
            times = [max(paused_until, time) for time in times]
            if self._unsent:
                times.append(paused_until)
        elif not self._window.room(self._in_flight, now):
            return None
        return now_us + max(min(times) - now, 0) if times else None

    def _fill(self, now_us: int) -> None:
        """Sends what is due, then what was never sent, while the window has room."""
        self._held = False
        window = self._window
        while self._due and self._due[0][0] <= now_us and window.room(self._in_flight, now_us):
            trouble = heapq.heappop(self._due)[2]
            self._retry(trouble, now_us)
        while self._unsent and (room := window.room(self._in_flight, now_us)):
            sending = self._queue.next(room, window.size)
            if sending is None:
                return
            for _ in range(min(room, sending.unsent)):
                if not self._may_send():
                    self._held = True
                    return
                self._send(sending)

    def _send(self, sending: Sending) -> None:
        """The next member's first try."""
        index = sending.take()
        self._unsent -= 1
        node = sending.batch.nodes[index]
        if not self._node_exists(node):
            self._settle(sending, index, Outcome.REFUSED, _vanished(node))
            return
        self._in_flight += 1
        answered = partial(self._answered, sending, index)
        self._transport.send(sending.requests.bind(index), answered)

    def _retry(self, trouble: _Trouble, now_us: int) -> None:
        """The next request of a bind in trouble, or its end, or a later time."""
        if not trouble.read and self._given_up(trouble):
            if not trouble.doubt_until_us:
                self._give_up(trouble)
                return
            trouble.read = True
        if trouble.read and now_us < trouble.doubt_until_us:
            self._wait(trouble, trouble.doubt_until_us)
        elif not trouble.read and not self._may_send():
            self._held = True
            self._wait(trouble, now_us + WITHOUT_LEASE_US)
        else:
            self._in_flight += 1
            requests = trouble.sending.requests
            make = requests.read if trouble.read else requests.bind
            self._transport.send(make(trouble.index), partial(self._answered_again, trouble))

    def _answered(self, sending: Sending, index: int, response: Response) -> None:
        """The answer to a first try."""
        now = self._clock.elapsed_us()
        if response.status == 201:  # nearly all
            self._answer_came(now)
            self._settle(sending, index, Outcome.BOUND)
        else:
            trouble = _Trouble(sending, index, self._rng)
            meaning = bind_answer.of_bind(response, trouble.node, doubt=False)
            self._weigh(trouble, meaning, response, now)
        self._fill(now)

    def _answered_again(self, trouble: _Trouble, response: Response) -> None:
        """The answer to a later try, or to a read."""
        now = self._clock.elapsed_us()
        if trouble.read:
            uid = trouble.sending.batch.uids[trouble.index]
            meaning = bind_answer.of_read(response, uid, trouble.node)
        else:
            doubt = trouble.doubt_until_us > 0
            meaning = bind_answer.of_bind(response, trouble.node, doubt=doubt)
        self._weigh(trouble, meaning, response, now)
        self._fill(now)

    def _weigh(self, trouble: _Trouble, meaning: Meaning, response: Response, now_us: int) -> None:
        """What an answer means for the window and for this bind."""
        self._heed(meaning, response.retry_after_us, now_us)
        trouble.text = meaning.text or trouble.text
        delay = 0
        match meaning.then:
            case Then.SETTLE:
                self._end(trouble, meaning.outcome, meaning.text, meaning.node)
                return
            case Then.FREE:
                trouble.doubt_until_us = 0
                if trouble.tries >= TRIES or self._given_up(trouble):
                    self._give_up(trouble)
                    return
                trouble.read = False
            case Then.READ:
                trouble.tries += 1
                trouble.read = True
            case Then.AGAIN if not trouble.read:
                trouble.tries += 1
                trouble.doubt_until_us = now_us + self._timeout_us
                trouble.read = trouble.tries >= TRIES
        if meaning.then is not Then.READ:
            delay = max(trouble.delays.next_us(), response.retry_after_us or 0)
        self._wait(trouble, now_us + delay)

    def _heed(self, meaning: Meaning, retry_after_us: int | None, now_us: int) -> None:
        """Tells the window of an answer that is not 201."""
        if meaning.then is Then.SLOWER:
            self._in_flight -= 1
            self._window.busy(now_us, retry_after_us)
        elif meaning.away:
            self._in_flight -= 1
            self._window.silent(now_us)
            if self._window.away and not self._worry:
                _log.warning("the API server takes no binds", answer=meaning.text)
            self._worry = meaning.text if self._window.away else ""
            return
        else:
            self._answer_came(now_us)
        self._relieve()

    def _answer_came(self, now_us: int) -> None:
        full = self._in_flight >= self._window.size
        self._in_flight -= 1
        self._window.answered(now_us, full=full)
        self._relieve()

    def _relieve(self) -> None:
        if self._worry:
            _log.info("the API server takes binds again")
            self._worry = ""

    def _wait(self, trouble: _Trouble, until_us: int) -> None:
        self._count += 1
        heapq.heappush(self._due, (until_us, self._count, trouble))

    def _given_up(self, trouble: _Trouble) -> bool:
        return trouble.unwanted or not self._node_exists(trouble.node)

    def _give_up(self, trouble: _Trouble) -> None:
        """It is certainly not bound, and is not tried again."""
        if trouble.unwanted:
            self._end(trouble, Outcome.DROPPED, _DROPPED)
        elif not self._node_exists(trouble.node):
            self._end(trouble, Outcome.REFUSED, _vanished(trouble.node))
        else:
            text = f"not bound after {trouble.tries} tries; the last answer: {trouble.text}"
            self._end(trouble, Outcome.REFUSED, text)

    def _end(self, trouble: _Trouble, outcome: Outcome, text: str, node: str = "") -> None:
        self._settle(trouble.sending, trouble.index, outcome, text, node)

    def _settle(
        self, sending: Sending, index: int, outcome: Outcome, text: str = "", node: str = ""
    ) -> None:
        batch = sending.batch
        uid = batch.uids[index]
        self._uids.discard(uid)
        sending.unsettled -= 1
        if not sending.unsettled:
            left = self._batches[batch.key]
            left.remove(sending)
            if not left:
                del self._batches[batch.key]
        if outcome is Outcome.BOUND:
            node = batch.nodes[index]
        rank = int(batch.ranks[index])
        self._settled(Settled(batch.key, rank, uid, outcome, text, node))


def _vanished(node: str) -> str:
    return f"node {node} does not exist any more"
