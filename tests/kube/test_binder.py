"""What the binder sends, in which order, and what it tells of each bind."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from random import Random

import numpy as np
import pytest

from scheduler.kube.batch import Outcome, Settled
from scheduler.kube.binder import TIMEOUT_US, TRIES, Binder
from scheduler.kube.transport import Request, Response
from scheduler.kube.window import Window
from tests.kube.bind_server import Fate, Server, batch, refusal

SECOND_US = 1_000_000


class Bench:
    """A server with pods, a binder with a window of fixed size, and what was told."""

    def __init__(
        self, pods: Iterable[str], *, window: int = 8, fate: Callable[[Request], Fate] | None = None
    ) -> None:
        self.server = Server()
        for name in pods:
            self.server.create(name)
        if fate is not None:
            self.server.fate = fate
        self.told: list[Settled] = []
        self.nodes_gone: set[str] = set()
        self.lease = True
        self.binder = Binder(
            self.server, self.server.clock, self.told.append, rng=Random(3),
            window=Window(Random(3), start=window, least=window, most=window),
            may_send=lambda: self.lease, node_exists=lambda name: name not in self.nodes_gone,
        )  # fmt: skip

    def run(self, limit_us: int = 300 * SECOND_US) -> None:
        """Turns of the loop until all is settled or the time has passed."""
        end = self.server.clock.elapsed_us() + limit_us
        while not self.binder.idle and self.server.clock.elapsed_us() < end:
            now = self.server.clock.elapsed_us()
            self.binder.pump(now)
            wanted = self.binder.next_time_us(now)
            assert wanted is None or wanted > now or self.server.sent, "nothing to do at once"
            left = end - now
            self.server.poll(left if wanted is None else min(max(wanted - now, 1), left))

    def posts(self) -> list[str]:
        """Names of pods in the order in which binds were sent."""
        return [r.path.split("/")[6] for r in self.server.sent if r.method == "POST"]

    def reads(self) -> int:
        """Requests that were reads."""
        return sum(request.method == "GET" for request in self.server.sent)

    def outcomes(self) -> list[Outcome]:
        """As they were told."""
        return [settled.outcome for settled in self.told]


def pods(gang: str, count: int) -> list[str]:
    return [f"{gang}-{rank}" for rank in range(count)]


def script(*fates: Fate) -> Callable[[Request], Fate]:
    """One fate after the other, then all goes well."""
    left = list(fates)
    return lambda _: left.pop(0) if left else Fate()


def said(response: Response) -> Fate:
    return Fate(None, response)


NOT_HEARD = Fate(at=1_000, back=1_500, broken=True)
"""The bind is done; the connection breaks before the answer."""


def test_a_gang_is_bound_in_the_order_of_ranks() -> None:
    """Every member is sent once, lowest rank first, and told as BOUND with its rank and UID."""
    bench = Bench(pods("a", 50))
    bench.binder.submit(batch("a", pods("a", 50)))
    assert bench.binder.unsettled("a") == bench.binder.waiting == 50
    assert bench.binder.next_time_us(7) == 7
    bench.run()
    assert bench.posts() == pods("a", 50)
    assert bench.outcomes() == [Outcome.BOUND] * 50
    assert [(told.key, told.rank, told.uid) for told in bench.told] == [
        ("a", rank, f"uid-a-{rank}") for rank in range(50)
    ]
    assert [bench.server.pods[f"a-{rank}"].node for rank in range(50)] == [
        f"n-{rank}" for rank in range(50)
    ]
    assert bench.server.most_outstanding == 8
    assert (bench.binder.waiting, bench.binder.in_flight) == (0, 0)
    assert bench.binder.next_time_us(7) is None


def test_answers_send_the_next_binds() -> None:
    """The window is filled from the answers, without another pump."""
    bench = Bench(pods("a", 40))
    bench.binder.submit(batch("a", pods("a", 40)))
    bench.binder.pump(0)
    for _ in range(12):
        bench.server.poll(SECOND_US)
    assert len(bench.told) == 40


def test_one_gang_larger_than_the_window_at_a_time() -> None:
    """The second large gang begins when every bind of the first is settled."""
    names = [*pods("a", 30), *pods("b", 30)]
    lost = {"a-3"}

    def fate(request: Request) -> Fate:
        name = request.path.split("/")[6]
        if name in lost:
            lost.discard(name)
            return Fate(None, back=None)
        return Fate()

    bench = Bench(names, fate=fate)
    bench.binder.submit(batch("a", pods("a", 30)))
    bench.binder.submit(batch("b", pods("b", 30)))
    bench.run(limit_us=2 * SECOND_US)
    assert bench.binder.unsettled("a") == 1
    assert set(bench.posts()) == set(pods("a", 30))
    bench.run()
    assert bench.posts()[31:] == pods("b", 30)
    assert len(bench.told) == 60


def test_a_gang_that_fits_goes_past_a_large_one_that_must_wait() -> None:
    """While one large gang has a straggler, small ones are sent and the next large one is not."""
    bench = Bench([*pods("a", 30), *pods("b", 30), *pods("c", 4)])
    bench.server.fate = script(Fate(None, back=None))
    for gang, size in (("a", 30), ("b", 30), ("c", 4)):
        bench.binder.submit(batch(gang, pods(gang, size)))
    bench.run(limit_us=2 * SECOND_US)
    assert bench.posts() == [*pods("a", 30), *pods("c", 4)]


def test_priority_comes_before_submission() -> None:
    """A gang of higher priority is sent next, also between the members of a large one."""
    bench = Bench([*pods("a", 30), *pods("b", 2), *pods("c", 5)])
    bench.binder.submit(batch("a", pods("a", 30)))
    bench.binder.pump(0)
    bench.binder.submit(batch("b", pods("b", 2)))
    bench.binder.submit(batch("c", pods("c", 5), priority=9))
    bench.run()
    order = bench.posts()
    first = order.index("c-0")
    assert order[:8] == pods("a", 8)
    assert order[first : first + 5] == pods("c", 5), "sent whole"
    assert first <= 16
    assert order[-2:] == pods("b", 2)


def test_unsent_binds_are_dropped() -> None:
    """What was not sent is told as DROPPED and never sent; what is in flight goes on."""
    bench = Bench(pods("a", 30))
    bench.binder.submit(batch("a", pods("a", 30)))
    bench.binder.pump(0)
    bench.binder.drop("a", np.array([2, 20, 21], np.int32))
    bench.binder.drop("a", np.array([20], np.int32))
    assert bench.binder.unsettled("a") == 30
    bench.run()
    dropped = {told.rank for told in bench.told if told.outcome is Outcome.DROPPED}
    assert dropped == {20, 21}
    assert len(bench.told) == 30
    assert not {"a-20", "a-21"} & set(bench.posts())


def test_a_whole_gang_is_dropped() -> None:
    """drop(key) takes all; another gang is not touched; an unknown key is nobody's."""
    bench = Bench([*pods("a", 30), *pods("b", 3)])
    bench.binder.submit(batch("a", pods("a", 30)))
    bench.binder.submit(batch("b", pods("b", 3)))
    bench.binder.drop("a")
    bench.binder.drop("nobody")
    bench.run()
    assert bench.posts() == pods("b", 3)
    assert bench.outcomes() == [Outcome.DROPPED] * 30 + [Outcome.BOUND] * 3


def test_an_unknown_outcome_is_sent_again_until_it_is_known() -> None:
    """After a reset the same bind goes again; 409 with our node says that it had landed."""
    bench = Bench(["a-0"], fate=script(NOT_HEARD))
    bench.binder.submit(batch("a", ["a-0"]))
    bench.run()
    assert bench.outcomes() == [Outcome.BOUND]
    first, second = bench.server.sent
    assert first == second


def test_a_dropped_bind_in_doubt_is_read_instead_of_sent_again() -> None:
    """It is settled by what the pod says once no late request can land any more."""
    for landed, outcome in ((True, Outcome.BOUND), (False, Outcome.DROPPED)):
        at = TIMEOUT_US + 100 if landed else None
        bench = Bench(["a-0"], fate=script(Fate(at, back=50_000, broken=True)))
        bench.binder.submit(batch("a", ["a-0"]))
        bench.binder.pump(0)
        bench.binder.drop("a")
        bench.run()
        assert bench.outcomes() == [outcome]
        assert (bench.posts(), bench.reads()) == (["a-0"], 1)
        assert bench.server.clock.elapsed_us() >= TIMEOUT_US + 50_000


def test_a_malformed_bind_ends_after_ten_tries() -> None:
    """500 for ever: ten tries, a read after the request time-out, then REFUSED with the words."""
    bench = Bench(["a-0", "b-0"])
    bench.binder.submit(batch("a", ["a-0"], nodes=[""]))
    bench.binder.submit(batch("b", ["b-0"]))
    bench.run()
    assert bench.outcomes() == [Outcome.BOUND, Outcome.REFUSED]
    assert "target.name: Required value" in bench.told[1].text
    assert bench.posts().count("a-0") == TRIES
    assert bench.reads() == 1
    assert bench.server.sent[-1].method == "GET"


def test_an_unreadable_conflict_is_decided_by_a_read() -> None:
    """Another 409: the pod is read at once; it is ours to bind still, so it is bound."""
    modified = refusal(409, "Conflict", "the object has been modified")
    bench = Bench(["a-0"], fate=script(said(modified)))
    bench.binder.submit(batch("a", ["a-0"]))
    bench.run()
    assert [request.method for request in bench.server.sent] == ["POST", "GET", "POST"]
    assert bench.outcomes() == [Outcome.BOUND]


def test_it_slows_down_as_told() -> None:
    """429 with Retry-After: that bind comes again no sooner, and the window is halved."""
    slow = refusal(429, "TooManyRequests", "slow down", 5 * SECOND_US)
    bench = Bench(["a-0"], fate=script(said(slow)))
    bench.binder.submit(batch("a", ["a-0"]))
    bench.run(limit_us=4 * SECOND_US)
    assert bench.posts() == ["a-0"]
    assert bench.binder.window == 4
    bench.run()
    assert bench.outcomes() == [Outcome.BOUND]


def test_refused_credentials_are_survived_and_said() -> None:
    """401 settles nothing: `worry` tells, and all is bound when the credentials are good again."""
    good: list[bool] = []
    denied = refusal(401, "Unauthorized", "Unauthorized")
    names = pods("a", 20)
    bench = Bench(names, fate=lambda _: Fate() if good else said(denied))
    bench.binder.submit(batch("a", names))
    bench.run(limit_us=120 * SECOND_US)
    assert bench.told == []
    assert "401: Unauthorized" in bench.binder.worry
    assert len(bench.server.sent) < 60, "a server that refuses everybody is not stormed"
    good.append(True)
    bench.run()
    assert bench.outcomes() == [Outcome.BOUND] * 20
    assert bench.binder.worry == ""


def test_an_outage_does_not_lose_the_gang() -> None:
    """No connection for minutes: nothing is given up, and no try is counted."""
    away = Response(0, error="connection refused", sent=False)
    names = pods("a", 40)
    bench = Bench(names)
    bench.server.fate = lambda _: (
        said(away) if bench.server.clock.elapsed_us() < 200 * SECOND_US else Fate()
    )
    bench.binder.submit(batch("a", names))
    bench.run()
    assert bench.outcomes() == [Outcome.BOUND] * 40
    assert bench.reads() == 0


def test_without_the_lease_nothing_is_sent() -> None:
    """may_send is asked before each bind, first tries and others; it goes on when it may again."""
    bench = Bench(pods("a", 20), fate=script(NOT_HEARD))
    bench.binder.submit(batch("a", pods("a", 20)))
    bench.binder.pump(0)
    bench.lease = False
    bench.run(limit_us=30 * SECOND_US)
    assert len(bench.posts()) == 8
    bench.lease = True
    bench.run()
    assert bench.outcomes() == [Outcome.BOUND] * 20


def test_no_bind_goes_to_a_node_that_has_vanished() -> None:
    """Unsent: refused at once. In doubt: waited out and read. Certainly not done: refused."""
    bench = Bench(pods("a", 3))
    slow = refusal(429, "TooManyRequests", "slow down")
    bench.server.fate = script(Fate(None, back=1_000, broken=True), said(slow))
    bench.binder.submit(batch("a", pods("a", 2)))
    bench.binder.pump(0)
    bench.server.poll(SECOND_US)
    bench.server.poll(5_000)
    bench.nodes_gone |= {"n-0", "n-1"}
    bench.binder.submit(batch("b", ["a-2"]))
    bench.run()
    assert bench.outcomes() == [Outcome.REFUSED] * 3
    assert all("does not exist any more" in told.text for told in bench.told)
    assert bench.posts() == ["a-0", "a-1"]
    assert bench.reads() == 1
    assert bench.server.clock.elapsed_us() >= TIMEOUT_US


def test_a_pod_is_taken_once() -> None:
    """A member that is not settled cannot be submitted again; afterwards it can."""
    bench = Bench(["a-0"])
    bench.binder.submit(batch("a", ["a-0"]))
    with pytest.raises(ValueError, match="gang a2 is being bound already"):
        bench.binder.submit(batch("a2", ["a-0"]))
    with pytest.raises(ValueError, match="being bound already"):
        bench.binder.submit(batch("x", ["x-0", "x-0"]))
    bench.run()
    bench.binder.submit(batch("a", ["a-0"]))
    bench.run()
    assert bench.outcomes() == [Outcome.BOUND] * 2
    bench.binder.submit(batch("empty", []))
    assert bench.binder.idle


def test_the_listener_may_submit_and_drop() -> None:
    """What is told may bring the next gang about."""
    bench = Bench([*pods("a", 12), *pods("b", 3)])
    told: list[Settled] = []

    def hear(settled: Settled) -> None:
        told.append(settled)
        if settled.key == "a" and settled.rank == 0:
            binder.drop("a")
            binder.submit(batch("b", pods("b", 3)))

    window = Window(Random(3), start=8, least=8, most=8)
    binder = bench.binder = Binder(bench.server, bench.server.clock, hear, window=window)
    binder.submit(batch("a", pods("a", 12)))
    bench.run()
    ended = [(settled.key, settled.outcome) for settled in told]
    assert ended.count(("a", Outcome.BOUND)) == 8
    assert ended.count(("a", Outcome.DROPPED)) == 4
    assert ended.count(("b", Outcome.BOUND)) == 3


def test_the_body_is_json_for_every_member() -> None:
    """What the fake server took, a strict parser takes."""
    bench = Bench(pods("a", 5))
    bench.binder.submit(batch("a", pods("a", 5)))
    bench.run()
    ranks = [
        json.loads(request.body)["metadata"]["annotations"]["muster.dev/placed-rank"]
        for request in bench.server.sent
    ]
    assert ranks == ["0", "1", "2", "3", "4"]
