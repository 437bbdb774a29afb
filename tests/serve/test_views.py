"""What is shown: rows, explanations and sums say what the cache, roster and verdicts know."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from scheduler.errors import NotFoundError
from scheduler.model.policy import Policy
from scheduler.model.reasons import degraded_text
from scheduler.model.wishes import REQUIRED, SEGMENT_SIZE
from scheduler.plan.order import decide_order
from scheduler.serve import live, views
from scheduler.serve.explain import explain
from scheduler.state.gather import Gatherer
from scheduler.state.lifecycle import GangState
from tests.serve.running import SECOND, Running, busy
from tests.state.helpers import i32, spec


@pytest.fixture(scope="module")
def running() -> Running:
    """A scheduler that tests only read."""
    return busy()


def row(running: Running, name: str) -> dict[str, Any]:
    """The line about a gang of namespace ns."""
    return next(row for row in running.answers.gangs() if row["gang"] == f"ns/{name}")


@pytest.mark.parametrize(
    ("name", "want"),
    [
        ("StatefulSet/train", ("placed", 6, 0, 6, "s2/l3", None, "", "6 of 6 on s2/l3")),
        ("StatefulSet/going", ("binding", 2, 1, 1, "s2/l3/n6", 77, "",
         "1 bind is under way, 1 of 2 bound; it goes to s2/l3/n6")),
        ("StatefulSet/huge", ("pending", 40, 40, 0, "", 76, "Unschedulable",
         "18 of 40 fit in the whole cluster, 22 short of nvidia.com/gpu")),
        ("StatefulSet/part", ("waiting", 3, 2, 0, "", 76, "WaitingForMembers",
         "2 of 3 members exist")),
        ("StatefulSet/odd", ("waiting", 1, 1, 0, "", 76, "Unsupported",
         "not placed because of what is not supported: volumes")),
        ("StatefulSet/later", ("pending", 2, 2, 0, "", 75, "",
         "its members are there; the next cycle looks for a place")),
        ("Pod/lone", ("binding", 1, 1, 0, "n7", 76, "",
         "1 bind is under way, 0 of 1 bound; it goes to n7")),
    ],
)  # fmt: skip
def test_a_row_says_how_a_gang_stands(running: Running, name: str, want: tuple[Any, ...]) -> None:
    """State, members, place, waiting time, and the sentence."""
    shown = row(running, name)
    keys = ("state", "wanted", "waiting", "bound", "domain", "waits_s", "reason", "sentence")
    assert tuple(shown[key] for key in keys) == want


def test_those_who_wait_longest_come_first_and_bound_pods_are_left_out(running: Running) -> None:
    """Single pods on nodes are nobody's question; gangs are all there."""
    rows = running.answers.gangs()
    waits = [row["waits_s"] for row in rows]
    assert waits == [*sorted((w for w in waits if w is not None), reverse=True), None]
    assert "ns/Pod/placed" not in {row["gang"] for row in rows}


def test_few_of_many_single_pods_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A million waiting pods do not make a page of a million rows; gangs stay."""
    monkeypatch.setattr(live, "MOST_SINGLES", 2)
    running = Running()
    for i in range(5):
        running.pod(f"pod{i}")
    running.gang("set", 2)
    running.roster.settle(running.clock.now_us())
    assert sorted(row["gang"] for row in running.answers.gangs()) == [
        "ns/Pod/pod0", "ns/Pod/pod1", "ns/StatefulSet/set",
    ]  # fmt: skip


def test_a_long_list_is_asked_for_in_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """No question holds the loop for long, and slices miss nobody."""
    running = busy()
    whole = running.answers.gangs()
    monkeypatch.setattr(live, "SLICE", 2)
    running.loop.asked = 0
    assert running.answers.gangs() == whole
    assert running.loop.asked == 1 + -(-len(running.roster.keys()) // 2)


def test_before_the_first_cycle_there_is_no_place() -> None:
    """A scheduler that is still reading its lists answers all the same."""
    running = Running()
    running.gang("train", 2)
    running.pod("bound", node="n1")
    assert row(running, "StatefulSet/train")["domain"] == ""
    doc = running.answers.explain("ns/StatefulSet/train")
    assert (doc["placed"], doc["wishes"]["preferred"]) == ([], "spine")
    assert running.answers.status()["domains"] == {}
    assert running.answers.explain("ns/Pod/bound")["members"]["bound"] == 1


def test_a_gang_over_several_spines_is_counted() -> None:
    """Where no domain below the cluster holds it, the topmost level's domains are counted."""
    running = Running("s1/l1: n1 | s2/l2: n2")
    running.gang("wide", 8)
    running.cycle()
    running.bind("wide", range(8))
    assert row(running, "StatefulSet/wide")["domain"] == "2 spines"
    placed = running.answers.explain("ns/StatefulSet/wide")["placed"]
    assert placed[1] == {
        "level": "leaf",
        "domains": 2,
        "members": [{"domain": "s1/l1", "members": 4}, {"domain": "s2/l2", "members": 4}],
    }


def test_a_degraded_gang_says_what_is_missing() -> None:
    """Members were lost and their pods do not exist again yet."""
    running = busy()
    running.roster.drop_pod("uid-train-5", running.clock.now_us())
    running.roster.settle(running.clock.now_us())
    shown = row(running, "StatefulSet/train")
    assert (shown["state"], shown["sentence"]) == (
        "degraded", degraded_text(5, 6),
    )  # fmt: skip


def test_an_explanation_is_json_with_all_that_is_known(running: Running) -> None:
    """Members, place per level, wishes, queue; times since 1970 in microseconds."""
    doc = json.loads(json.dumps(running.answers.explain("ns/StatefulSet/huge")))
    assert doc["members"] == {
        "wanted": 40, "minimum": 40, "without_node": 40, "binding": 0, "bound": 0, "unsettled": 0,
    }  # fmt: skip
    assert doc["queue"] == {"place": 1, "of": 2, "not_before_us": None, "retry_us": None}
    assert doc["wishes"] == {
        "required": "", "preferred": "spine", "segment_size": 0, "segment_topology": "",
        "min_available": 0, "ordered": "hold", "on_loss": "wait",
    }  # fmt: skip
    assert (doc["now_us"] - doc["tried_us"], doc["reason"]) == (75 * SECOND, "Unschedulable")
    assert doc["owner"] == {
        "kind": "StatefulSet", "namespace": "ns", "name": "huge", "uid": "huge",
    }  # fmt: skip


def test_members_are_listed_by_rank_with_their_domains(running: Running) -> None:
    """Those on nodes, those being bound and those without a node, lowest rank first."""
    ranks = running.answers.explain("ns/StatefulSet/going")["ranks"]
    assert ranks == [
        {"rank": 0, "pod": "going-0", "state": "bound", "node": "n6", "spine": "s2", "leaf": "l3"},
        {"rank": 1, "pod": "going-1", "state": "binding", "node": "n6", "spine": "s2",
         "leaf": "l3"},
    ]  # fmt: skip
    part = running.answers.explain("ns/StatefulSet/part")["ranks"]
    assert [(one["pod"], one["state"], one["leaf"]) for one in part] == [
        ("part-0", "waiting", ""), ("part-1", "waiting", ""),
    ]  # fmt: skip


def test_only_the_lowest_ranks_are_listed(running: Running) -> None:
    """The document says how many there are in all."""
    view = running.roster.view("huge")
    assert view is not None
    doc = explain(running.scene(), view, most_ranks=3)
    assert [one["rank"] for one in doc["ranks"]] == [0, 1, 2]
    assert doc["ranks_in_all"] == 40


def test_a_member_s_pod_finds_its_gang(running: Running) -> None:
    """Nobody has to know what a pod belongs to."""
    assert running.answers.explain("ns/Pod/train-3")["gang"] == "ns/StatefulSet/train"
    assert running.answers.explain("ns/Pod/placed")["sentence"] == "1 of 1 on n7"


def test_an_unknown_name_gets_the_nearest_one(running: Running) -> None:
    """Of the same namespace first."""
    with pytest.raises(NotFoundError, match="did you mean ns/StatefulSet/huge"):
        running.answers.explain("ns/StatefulSet/hug")
    with pytest.raises(NotFoundError, match="no gang is called"):
        running.answers.explain("elsewhere/Job/x")
    with pytest.raises(NotFoundError, match="nothing is known here"):
        Running().answers.explain("ns/Job/x")


def test_wishes_problems_holds_claims_and_back_off_are_explained() -> None:
    """What was asked for as it was understood, and what stands in the way."""
    running = Running()
    running.gang("first", 4, annotations={REQUIRED: "leaf", SEGMENT_SIZE: "2"})
    running.gang("other", 2)
    running.cycle()
    running.cache.hold("other", "ns", ["n3"], i32(0), i32(7), running.clock.now_us())
    running.cache.claim(((0, "s1"), (1, "l2")), "other", 0, 10**12)
    running.gang("late", 30, priority=3)
    running.roster.settle(running.clock.now_us())
    running.cache.back_off("late", running.clock.now_us() + SECOND)
    other = running.answers.explain("ns/StatefulSet/other")
    assert [hold["node"] for hold in other["holds"]] == ["n3"]
    assert other["claims"] == [{"level": "leaf", "domain": "s1/l2", "until_us": 10**12}]
    late = running.answers.explain("ns/StatefulSet/late")
    assert late["queue"]["not_before_us"] == running.clock.now_us() + SECOND
    assert (late["state"], late["priority"]) == ("backing_off", 3)


def test_the_place_in_the_queue_is_the_planner_s_order() -> None:
    """Repairs, priority, those left out, age, name: as plan/order.py decides."""
    running = Running()
    rng = np.random.default_rng(1)
    for at in range(30):
        running.gang(f"g{at}", 2, priority=int(rng.integers(2)), created_us=int(rng.integers(3)))
    running.roster.settle(running.clock.now_us())
    cache = running.cache
    cache.queue.table["starved"] = rng.integers(0, 2, 30)
    cache.queue.table["repair"] = rng.integers(0, 2, 30)
    snapshot = cache.freeze(running.clock.now_us())
    gather = Gatherer(cache.queue, cache.book, cache.holds, cache.shapes, cache.frozen)
    pending, _ = gather.pending(np.arange(30), snapshot)
    order = [pending.name[g] for g in decide_order(pending, Policy().order).tolist()]
    places = {name: running.answers.explain(name)["queue"]["place"] for name in order}
    assert sorted(order, key=places.__getitem__) == order
    assert sorted(places.values()) == list(range(1, 31))


def test_status_counts_gangs_nodes_and_room() -> None:
    """Cordoned nodes offer nothing; a node over its allocatable does not count against others."""
    running = busy()
    running.cache.upsert_node(spec("n1", ("s1", "l1"), cordoned=True))
    for i in range(6):
        running.pod(f"over{i}", node="n7", ours=False)
    doc = running.answers.status()
    assert (doc["nodes"], doc["cordoned"], doc["cycles"]) == (7, 1, 3)
    assert doc["gangs"] == {"binding": 2, "pending": 2, "placed": 1, "waiting": 2}
    gpu = next(row for row in doc["resources"] if row["resource"] == "nvidia.com/gpu")
    assert gpu == {"resource": "nvidia.com/gpu", "allocatable": 28, "free": 12}
    assert doc["pods"]["assumed"] == 2
    assert doc["watches"] == [
        {"kind": "Node", "synced": True, "lag_s": 2.0, "failures": 0, "error": ""},
    ]  # fmt: skip


def test_absurd_amounts_do_not_wrap_around() -> None:
    """Sums are exact, whatever a node claims to have."""
    running = Running("s1/l1: n1 n2")
    for name in ("n1", "n2"):
        running.cache.upsert_node(spec(name, ("s1", "l1"), 2**62))
    gpu = next(r for r in views.nodes(running.cache)["resources"] if r["resource"][0] == "n")
    assert gpu["allocatable"] == gpu["free"] == 2**63


def test_states_are_those_that_metrics_count() -> None:
    """A gang that is nothing to the cache is waiting; every state is a word of the life cycle."""
    running = busy()
    states = {row["state"] for row in running.answers.gangs()}
    keys = running.roster.keys()
    found = [running.roster.view(key) for key in keys]
    want = [views.state_of(view) for view in found if view is not None]
    assert views.states(running.cache, keys) == want
    assert states <= {str(state) for state in GangState}
    assert len(states) > 3


def test_a_watch_that_fails_for_long_makes_it_unready() -> None:
    """One failed try is nothing; the first list must be complete."""
    running = Running()
    for watch, ok in (
        (live.Watch("Pod", synced=True, lag_us=0, failures=1, error="reset"), True),
        (live.Watch("Pod", synced=True, lag_us=0, failures=3, error="reset"), False),
        (live.Watch("Pod", synced=False, lag_us=0), False),
    ):
        running.watches = [watch]
        assert running.answers.ready()[0].ok == ok


def test_a_rejected_gang_has_kube_scheduler_s_line_beside_the_sentence(running: Running) -> None:
    """In rows and in explain; nobody else has one."""
    line = "5/7 nodes are available to a single member: 2 Insufficient nvidia.com/gpu."
    rows = {each["gang"]: each["available"] for each in running.answers.gangs()}
    assert {name for name, text in rows.items() if text} == {"ns/StatefulSet/huge"}
    assert rows["ns/StatefulSet/huge"] == line
    assert running.answers.explain("ns/StatefulSet/huge")["available"] == line
    assert running.answers.explain("ns/StatefulSet/part")["available"] == ""
