"""What users are told, and above all what is not written: against a small API server."""

from __future__ import annotations

from scheduler.kube.batch import Outcome, Settled
from scheduler.state.lifecycle import GangState
from tests.kube.told_world import SECOND, ToldWorld, rejected

MINUTE = 60 * SECOND
BIG = {"n": 500}


def test_a_rejected_gang_is_told_once_and_the_numbers_go_to_the_lowest_rank() -> None:
    """500 members: 500 patches, one event on the owner, moving numbers on rank 0 alone."""
    world = ToldWorld(pod_events_per_s=0)
    rejected(world)
    told = world.told()
    assert len(told) == 500
    assert world.server.count["pods"] == 500
    numbers = "10 of 500 fit in the whole cluster, 490 short of nvidia.com/gpu"
    assert told["ml/train-0"] == ("Unschedulable", numbers)
    assert set(told.values()) - {told["ml/train-0"]} == {
        (
            "Unschedulable",
            "the nodes that may be used have too little room: short of nvidia.com/gpu",
        )
    }
    assert world.server.notes("GangPending") == [numbers]
    assert world.server.count["events"] == 1
    assert world.server.most_in_flight <= 8


def test_other_numbers_cost_one_patch_and_one_event_a_minute() -> None:
    """Rejected again and again: rank 0 and the owner hear of it, at most once a minute."""
    world = ToldWorld(pod_events_per_s=0)
    key = rejected(world)
    for gpu in range(3, 10):
        world.decide({"key": key, **BIG}, gpu=gpu)
        world.run(10 * SECOND)
    assert world.server.count == {"pods": 501, "events": 2}
    assert world.told()["ml/train-0"][1].startswith("45 of 500 fit")
    world.decide({"key": key, **BIG}, gpu=20)
    world.run(2 * MINUTE)
    assert world.server.count == {"pods": 502, "events": 3}
    assert world.told()["ml/train-0"][1].startswith("100 of 500 fit")
    world.run(10 * MINUTE)
    assert world.server.count == {"pods": 502, "events": 3}


def test_the_time_of_transition_stays_while_the_status_does() -> None:
    """Another reason is no transition of False; lastTransitionTime is kept."""
    world = ToldWorld(pod_events_per_s=0)
    key = rejected(world, members=11)
    first = world.server.condition("ml/train-3")["lastTransitionTime"]
    assert first == "2027-01-15T08:00:01Z"
    world.run(MINUTE)
    world.decide({"key": key, "n": 7, "required": "spine"})
    world.run(3 * SECOND)
    condition = world.server.condition("ml/train-3")
    assert condition["reason"] == "TopologyUnsatisfied"
    assert condition["lastTransitionTime"] == first
    assert world.server.count["pods"] == 22


def test_a_gang_that_is_placed_within_a_second_causes_no_word_of_failure() -> None:
    """Rejected, then a node comes: not one write but the event that it is placed."""
    world = ToldWorld(pod_events_per_s=0)
    key = world.gang("train", 8)
    world.decide({"key": key, "n": 8}, gpu=1)
    world.run(SECOND // 2)
    world.decide({"key": key, "n": 8})
    world.bind(key)
    world.run(5 * SECOND)
    assert world.told() == {}
    assert world.server.notes("GangPending") == []
    assert world.server.notes("GangPlaced") == ["8 of 8 on 2 spines in 0.5 s"]
    assert world.server.count == {"events": 1, "pods": 1}


def test_a_placed_gang_carries_its_condition_on_the_lowest_live_rank() -> None:
    """GangPlaced=True on rank 0; when rank 0 is gone for good, on rank 1."""
    world = ToldWorld(pod_events_per_s=0)
    key = world.gang("train", 4)
    world.decide({"key": key, "n": 4})
    world.bind(key)
    world.run(3 * SECOND)
    condition = world.server.condition("ml/train-0", "muster.dev/GangPlaced")
    assert (condition["status"], condition["message"]) == ("True", "4 of 4 on s2/l3")
    world.roster.gangs[key].gone.add(0)
    world.change(key, wanted=3, bound=3)
    world.run(3 * SECOND)
    assert world.server.condition("ml/train-1", "muster.dev/GangPlaced")["status"] == "True"
    assert world.server.count["pods"] == 2
    assert len(world.server.notes("GangPlaced")) == 1


def test_a_gang_in_pieces_is_said_to_be_degraded_and_whole_again() -> None:
    """False in place of True, one event; a member that is back within 5 s is not worth a word."""
    world = ToldWorld(pod_events_per_s=0)
    key = world.gang("train", 4)
    world.decide({"key": key, "n": 4})
    world.bind(key)
    world.run(3 * SECOND)
    world.change(key, state=GangState.DEGRADED, bound=3)
    world.run(3 * SECOND)
    world.change(key, state=GangState.PLACED, bound=4)
    world.run(10 * SECOND)
    assert world.server.notes("GangDegraded") == []
    world.change(key, state=GangState.DEGRADED, bound=2)
    world.run(10 * SECOND)
    assert world.server.notes("GangDegraded") == ["2 of 4 members are on nodes"]
    condition = world.server.condition("ml/train-0", "muster.dev/GangPlaced")
    assert (condition["status"], condition["reason"]) == ("False", "GangDegraded")
    world.change(key, state=GangState.PLACED, bound=4)
    world.run(3 * SECOND)
    condition = world.server.condition("ml/train-0", "muster.dev/GangPlaced")
    assert (condition["status"], condition["reason"]) == ("True", "GangPlaced")


def test_a_gang_never_whole_gets_no_condition_when_it_degrades() -> None:
    """The presence of the condition says that it was whole: it must not lie."""
    world = ToldWorld(pod_events_per_s=0)
    key = world.gang("train", 4)
    world.change(key, state=GangState.DEGRADED, bound=2, waiting=0)
    world.roster.gangs[key].waiting.clear()
    world.run(20 * SECOND)
    assert world.server.condition("ml/train-0", "muster.dev/GangPlaced") == {}
    assert len(world.server.notes("GangDegraded")) == 1


def test_a_set_that_is_being_created_is_not_told_pod_by_pod() -> None:
    """Members are said to be missing 2 s after the last one came, once."""
    world = ToldWorld(pod_events_per_s=0)
    key = world.gang("train", 10, state=GangState.WAITING, waiting=9)
    for there in range(4, 9):
        gang = world.roster.gangs[key]
        gang.waiting = set(range(there))
        world.change(key, waiting=there)
        world.run(SECOND)
        assert world.server.count == {}
    world.run(3 * SECOND)
    assert world.server.count == {"pods": 8, "events": 1}
    assert world.told()["ml/train-0"] == ("WaitingForMembers", "8 of 10 members exist")
    assert world.told()["ml/train-7"] == (
        "WaitingForMembers", "waiting for the other members of the gang",
    )  # fmt: skip


def test_new_members_of_a_gang_that_was_told_are_told_too() -> None:
    """One more patch for one more pod, also for one that takes a name again."""
    world = ToldWorld(pod_events_per_s=0)
    key = world.gang("train", 500)
    gang = world.roster.gangs[key]
    gang.waiting = set(range(499))
    world.decide({"key": key, **BIG})
    world.run(3 * SECOND)
    assert world.server.count["pods"] == 499
    gang.waiting.add(499)
    gang.uids[7] = "another"
    world.server.pod("ml", "train-7", "another")
    world.roster.put(gang)
    world.run(3 * SECOND)
    assert world.server.count["pods"] == 501
    assert len(world.told()) == 500
    assert world.server.count["events"] == 1


def test_nothing_but_events_of_owners_while_binds_are_on_their_way() -> None:
    """The owner hears of a rejection at once; the members when the binder is idle."""
    world = ToldWorld()
    world.idle = False
    rejected(world, members=20)
    assert world.server.count == {"events": 1}
    assert world.server.most_in_flight == 1
    world.idle = True
    world.run(3 * SECOND)
    assert world.server.count["pods"] == 20


def test_members_that_get_their_nodes_are_not_told_that_they_wait() -> None:
    """The pass over a rejected gang stops as soon as it is planned, not when it is bound."""
    world = ToldWorld(pod_events_per_s=0)
    key = world.gang("train", 10)
    world.decide({"key": key, "n": 10}, gpu=1)
    now = world.clock.now_us() + SECOND
    world.pump(world.clock.now_us())
    world.clock.set(now)
    world.pump(now)
    world.server.poll(0)
    told = len(world.told())
    assert 0 < told < 10
    world.decide({"key": key, "n": 10})
    for _ in range(5):
        world.pump(now)
        world.server.poll(0)
    assert len(world.told()) == told


def test_a_patch_that_came_after_the_bind_is_taken_back() -> None:
    """PodScheduled=False on a pod with a node is put right as soon as the answer shows it."""
    world = ToldWorld(pod_events_per_s=0)
    key = world.gang("train", 2)
    world.decide({"key": key, "n": 2}, gpu=0)
    world.server.pods["ml/train-1"]["spec"]["nodeName"] = "n1"
    world.run(3 * SECOND)
    assert list(world.told()) == ["ml/train-0"]
    condition = world.server.condition("ml/train-1")
    assert condition["status"] == "True"
    assert "reason" not in condition


def test_single_pods_are_told_as_kube_scheduler_tells_them() -> None:
    """FailedScheduling and Scheduled on the pod itself, the numbers in its condition."""
    world = ToldWorld()
    key = world.single("web")
    world.decide({"key": key, "n": 1, "single": True}, gpu=0)
    world.run(3 * SECOND)
    sentence = "0 of 1 fit in the whole cluster, 1 short of nvidia.com/gpu"
    assert world.told() == {"ml/web-0": ("Unschedulable", sentence)}
    assert world.server.notes("FailedScheduling") == [sentence]
    world.decide({"key": key, "n": 1, "single": True})
    world.bind(key)
    world.run(3 * SECOND)
    assert world.server.notes("Scheduled") == ["Successfully assigned ml/web-0 to n1"]
    assert world.server.count == {"pods": 1, "events": 2}
    (event,) = (e for e in world.server.events.values() if e["reason"] == "Scheduled")
    assert event["regarding"] == {
        "kind": "Pod", "name": "web-0", "namespace": "ml", "uid": key, "apiVersion": "v1",
    }  # fmt: skip
    assert (event["type"], event["action"]) == ("Normal", "Binding")
    assert (event["reportingController"], event["reportingInstance"]) == ("muster", "muster-host")


def test_a_rule_that_is_not_honoured_is_named() -> None:
    """Unsupported, with the rule, to everybody; it is no moving number."""
    world = ToldWorld(pod_events_per_s=0)
    world.gang("train", 2, state=None, unsupported=("podAffinity",))
    world.run(3 * SECOND)
    text = "not placed because of what is not supported: podAffinity"
    assert set(world.told().values()) == {("Unsupported", text)}
    assert world.server.notes("GangPending") == [text]


def test_problems_are_told_once_each() -> None:
    """A value that was ignored: one event per text, however often the gang is looked at."""
    world = ToldWorld(pod_events_per_s=0)
    key = world.gang("train", 2, problems=("a is ignored",))
    world.run(3 * SECOND)
    for _ in range(3):
        world.change(key, problems=("a is ignored", "b is ignored"))
        world.run(3 * SECOND)
    assert world.server.notes("GangProblem") == ["a is ignored", "b is ignored"]


def test_an_object_that_cannot_be_read_gets_one_event() -> None:
    """On the object, if it is known which; cluster-wide ones speak in namespace default."""
    world = ToldWorld()
    for _ in range(3):
        world.reporter.bad_object("StatefulSet", "ml", "odd", "u1", "replicas: not a number")
        world.reporter.bad_object("Node", "", "n9", "u2", "allocatable: not a quantity")
        world.reporter.bad_object("Pod", "ml", "lost", "", "who knows")
    world.run(3 * SECOND)
    assert world.server.notes("InvalidObject") == [
        "cannot be read: replicas: not a number",
        "cannot be read: allocatable: not a quantity",
    ]
    namespaces = [event["metadata"]["namespace"] for event in world.server.events.values()]
    assert namespaces == ["ml", "default"]


def test_a_bind_that_is_refused_is_told_once_a_minute() -> None:
    """The server's own words, on the pod and on the owner."""
    world = ToldWorld(pod_events_per_s=0)
    key = world.gang("train", 50)
    for rank in range(50):
        uid = f"u-train-{rank}"
        world.reporter.settled(Settled(key, rank, uid, Outcome.REFUSED, "quota is used up"))
    world.run(3 * SECOND)
    text = "the API server refused to bind ml/train-0: quota is used up"
    assert world.server.notes("FailedScheduling") == [text]
    assert world.server.notes("GangPending") == [text]


def test_per_pod_events_are_slow_and_the_oldest_are_dropped() -> None:
    """50 a second when all else is quiet; beyond 1,000 that wait they are counted as lost."""
    world = ToldWorld()
    key = world.gang("train", 3_000)
    world.bind(key)
    assert world.dropped == 2_000
    world.run(11 * SECOND)
    scheduled = world.server.notes("Scheduled")
    assert 540 <= len(scheduled) <= 552
    assert scheduled[0] == "Successfully assigned ml/train-2000 to n1"
    world.idle = False
    world.run(10 * SECOND)
    assert len(world.server.notes("Scheduled")) == len(scheduled)


def test_events_about_members_that_wait_no_more_are_not_written() -> None:
    """FailedScheduling is dropped when it is not true any more, and costs nothing."""
    world = ToldWorld()
    key = world.gang("train", 500)
    world.decide({"key": key, **BIG})
    world.run(3 * SECOND)
    said = len(world.server.notes("FailedScheduling"))
    assert 0 < said < 150
    world.bind(key)
    world.run(60 * SECOND)
    assert len(world.server.notes("FailedScheduling")) <= said + 50
    assert len(world.server.notes("Scheduled")) == 500


def test_an_event_that_is_still_true_is_repeated_before_it_expires() -> None:
    """As a series of the same event; if the server has forgotten it, as a new one."""
    world = ToldWorld(pod_events_per_s=0)
    rejected(world, members=11)
    world.run(65 * MINUTE)
    (event,) = world.server.events.values()
    assert event["series"]["count"] == 3
    world.server.events.clear()
    world.run(31 * MINUTE)
    assert len(world.server.notes("GangPending")) == 1


def test_nothing_is_due_when_nothing_waits() -> None:
    """A scheduler with only placed gangs sleeps."""
    world = ToldWorld()
    key = world.gang("train", 4)
    world.decide({"key": key, "n": 4})
    world.bind(key)
    world.run(60 * SECOND)
    assert world.reporter.next_time_us(world.clock.now_us()) is None


def test_thousands_of_pods_that_are_placed_cost_no_status_write() -> None:
    """Not writing what nobody reads: with per-pod events off, not one request."""
    world = ToldWorld(pod_events_per_s=0)
    keys = [world.single(f"web{i}") for i in range(1_000)]
    world.decide(*({"key": key, "n": 1, "single": True} for key in keys), gpu=500)
    for key in keys:
        world.bind(key)
    world.run(60 * SECOND)
    assert world.server.requests == []


LINE = "0/5 nodes are available: 5 Insufficient nvidia.com/gpu."


def test_kube_scheduler_s_line_stands_behind_ours_where_numbers_are_told() -> None:
    """On the lowest rank and in the owner's event; the other members hear no numbers."""
    world = ToldWorld(pod_events_per_s=0, line=LINE)
    rejected(world)
    told = world.told()
    text = f"10 of 500 fit in the whole cluster, 490 short of nvidia.com/gpu. {LINE}"
    assert told["ml/train-0"] == ("Unschedulable", text)
    assert world.server.notes("GangPending") == [text]
    assert not any("available" in told[f"ml/train-{rank}"][1] for rank in range(1, 500))


def test_when_only_the_nodes_numbers_move_nothing_is_written() -> None:
    """A node that goes changes kube-scheduler's line every minute; it is told with ours."""
    world = ToldWorld(pod_events_per_s=0, line=LINE)
    key = rejected(world)
    before = world.server.count.copy()
    world.line = "0/4 nodes are available: 4 Insufficient nvidia.com/gpu."
    world.decide({"key": key, **BIG})
    world.run(5 * MINUTE)
    assert world.server.count == before
    world.decide({"key": key, **BIG}, gpu=3)
    world.run(2 * MINUTE)
    assert world.told()["ml/train-0"][1].endswith(f"short of nvidia.com/gpu. {world.line}")


def test_a_single_pod_reads_it_in_its_own_event() -> None:
    """FailedScheduling; and a pod that waits for something else reads nothing of nodes."""
    world = ToldWorld(pod_events_per_s=0, line=LINE)
    key = world.single("lone")
    world.decide({"key": key, "n": 1, "single": True}, gpu=0)
    world.single("odd", unsupported=("volumes",))
    world.run(5 * SECOND)
    ours, other = sorted(world.server.notes("FailedScheduling"))
    assert ours.endswith(f". {LINE}")
    assert other == "not placed because of what is not supported: volumes"
