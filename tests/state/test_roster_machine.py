# ruff: noqa: D102  (a rule is named after its event)
"""Random histories: whatever the order of events, the cache is legal and the gangs are right."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from scheduler.model.decode import Controller, Owner, Pod
from scheduler.model.gang_rules import belongs_to
from scheduler.model.gangs import Gang, find_gangs
from scheduler.model.groups import Group
from scheduler.state.members import NONE
from scheduler.state.sighting import Sighting
from tests.model.test_decode_gangs import pod as decoded_pod
from tests.state.helpers import ONE_GPU
from tests.state.roster_helpers import LEVELS, SECOND, Desk, controller, sighting

KINDS = {
    "a": "StatefulSet", "j": "Job", "r": "ReplicaSet", "x": "JobSet", "": "",
}  # fmt: skip
NAMES = [f"{owner}-{i}" for owner in "ajrp" for i in range(3)]
NODES = ("n1", "n2", "n3", "n4", "gone")
TOGETHER = {"muster.dev/gang-workload": "true"}
INDEX = "apps.kubernetes.io/pod-index"
TWO_GPUS = replace(ONE_GPU, requests=(0, 0, 2))

names = st.sampled_from(NAMES)
owners = st.sampled_from(sorted(KINDS))
labels = st.sampled_from(
    [
        {}, {}, {}, {INDEX: "1"}, {INDEX: "2"}, {"muster.dev/gang": "g"},
        {"muster.dev/gang": "g", "muster.dev/gang-size": "3"},
        {"muster.dev/gang": "h", "muster.dev/gang-size": "2"},
        {"scheduling.x-k8s.io/pod-group": "pg"},
    ]
)  # fmt: skip
notes_of = st.sampled_from(
    [
        {}, {}, {}, {"muster.dev/min-available": "2"}, {"muster.dev/required-topology": "leaf"},
        {"muster.dev/required-topology": "nowhere"}, {"muster.dev/segment-size": "2"},
        TOGETHER,
    ]
)  # fmt: skip


class RosterMachine(RuleBasedStateMachine):
    """Events as the API server could send them, and a planner that places what it can."""

    def __init__(self) -> None:
        super().__init__()
        self.desk = Desk("s1/l1: n1 n2 | s1/l2: n3 | s2/l3: n4")
        self.desk.cache.shape(TWO_GPUS)
        self.pods: dict[str, Sighting] = {}
        self.ghosts: list[str] = []
        self.controllers: dict[str, Controller] = {}
        self.groups: dict[str, Group] = {}
        self.made = 0

    @initialize(own=st.booleans(), together=st.booleans(), least=st.integers(0, 2))
    def start(self, *, own: bool, together: bool, least: int) -> None:
        if own:
            self.own("a", 3, ordered=False, indexed=False, notes={})
            self.own("j", 2, ordered=False, indexed=True, notes={})
            self.own("r", 2, ordered=False, indexed=False, notes=TOGETHER if together else {})
        if least:
            self.put_group("pg1", least)

    # pods

    def show(self, pod: Sighting) -> None:
        self.pods[pod.name] = pod
        self.desk.roster.put_pod(pod, self.desk.now)
        self.check()

    def check(self, *, settled: bool = False) -> None:
        self.desk.check(settled=settled)

    @rule(
        owner=st.sampled_from("aaajrrp"), label=labels, notes=notes_of, node=st.booleans(),
        then=st.booleans(),
    )  # fmt: skip
    def create_all(self, owner: str, label: Any, notes: Any, *, node: bool, then: bool) -> None:
        """What a controller does: its pods appear one after the other, alike."""
        for name in NAMES:
            if name.startswith(owner) and name not in self.pods:
                self.made += 1
                mine = {} if owner == "a" and INDEX in label else label
                self.show(
                    sighting(
                        name, owner.strip("p"), KINDS[owner.strip("p")], uid=f"{name}#{self.made}",
                        labels=mine, annotations=notes, node="n4" if node and self.made % 2 else "",
                    )
                )  # fmt: skip
        if then:
            self.decide()

    @rule(name=names, owner=owners, label=labels, notes=notes_of, data=st.data())
    def create(self, name: str, owner: str, label: Any, notes: Any, data: st.DataObject) -> None:
        """A pod appears; one of the same name is gone, which may be told first or later."""
        self.made += 1
        if name in self.pods and data.draw(st.booleans()):
            self.ghosts.append(self.pods.pop(name).uid)
        elif name in self.pods:
            self.delete(name)
        own = owner if data.draw(st.integers(0, 3)) == 0 else name.partition("-")[0].strip("p")
        some = data.draw(st.integers(0, 20))
        self.show(
            sighting(
                name, own, KINDS[own], uid=f"{name}#{self.made}", labels=label, annotations=notes,
                created_us=1 + some % 3, priority=some % 2, gated=some == 1, ours=some != 2,
                unsupported=("spread",) if some == 3 else (),
                pins={4: ("n1",), 5: ("n2", "n3")}.get(some),
                node={6: "n1", 7: "n2", 8: "gone"}.get(some, ""),
            )
        )  # fmt: skip

    @precondition(lambda self: self.pods)
    @rule(data=st.data(), how=st.integers(0, 6))
    def change(self, data: st.DataObject, how: int) -> None:
        pod = self.one(data)
        owner = data.draw(owners)
        changes: tuple[dict[str, Any], ...] = (
            {"gated": False},
            {"deleting": True},
            {"labels": data.draw(labels)},
            {"owner": Owner(KINDS[owner], owner, owner) if owner else None},
            {"shape": data.draw(st.integers(0, 1))},
            {"priority": data.draw(st.integers(0, 1)), "running": pod.node != ""},
            {"finished": True},
        )
        self.show(replace(pod, **changes[how]))

    @precondition(lambda self: self.pods)
    @rule(data=st.data(), node=st.sampled_from(NODES))
    def bound_by_others(self, data: st.DataObject, node: str) -> None:
        pod = self.one(data)
        self.show(replace(pod, node=pod.node or node))

    @precondition(lambda self: self.pods)
    @rule(data=st.data())
    def delete_one(self, data: st.DataObject) -> None:
        self.delete(self.one(data).name)

    def one(self, data: st.DataObject) -> Sighting:
        """A pod; often one whose bind is under way, where there is one."""
        under_way = self.assumed()
        prefer = data.draw(st.integers(0, 1))
        some = under_way if under_way and prefer else sorted(self.pods)
        return self.pods[data.draw(st.sampled_from(some))]

    def delete(self, name: str) -> None:
        self.desk.roster.drop_pod(self.pods.pop(name).uid, self.desk.now)
        self.check()

    def ghosts_end(self) -> None:
        """What is gone is told at last."""
        for uid in self.ghosts:
            self.desk.roster.drop_pod(uid, self.desk.now)
            self.check()
        self.ghosts = []

    # what they belong to

    @rule(uid=st.sampled_from("aajrr"), wanted=st.integers(0, 4), some=st.integers(0, 7),
          notes=notes_of)  # fmt: skip
    def own_one(self, uid: str, wanted: int, some: int, notes: Any) -> None:
        """A controller appears, or is another now."""
        self.own(uid, wanted, ordered=some == 0, indexed=some % 2 == 1, notes=notes)

    def own(self, uid: str, wanted: int, *, ordered: bool, indexed: bool, notes: Any) -> None:
        kind = KINDS[uid]
        found = controller(
            uid, wanted, kind, ordered=ordered and kind == "StatefulSet",
            indexed=indexed and kind == "Job", annotations=notes,
        )  # fmt: skip
        self.controllers[uid] = found
        self.desk.roster.put_controller(found, self.desk.now)
        self.check()

    @rule(uid=st.sampled_from(("pg1", "pg2")), least=st.integers(1, 3))
    def put_group(self, uid: str, least: int) -> None:
        self.groups["pg"] = Group("ns", "pg", uid, 1, least)
        self.desk.roster.put_group(self.groups["pg"], self.desk.now)
        self.check()

    @rule(uid=st.sampled_from(("a", "j", "r", "pg1", "pg2", "")))
    def end(self, uid: str) -> None:
        """A controller or a group is gone, or pods that are gone are told at last."""
        if not uid:
            self.ghosts_end()
        elif uid.startswith("pg"):
            if self.groups.get("pg") is not None and self.groups["pg"].uid == uid:
                del self.groups["pg"]
            self.desk.roster.drop_group(uid, self.desk.now)
        else:
            self.controllers.pop(uid, None)
            self.desk.roster.drop_controller(uid, self.desk.now)
        self.check()

    # time, and what is decided

    @rule(us=st.sampled_from((1, SECOND, 11 * SECOND)))
    def settle(self, us: int) -> None:
        self.desk.settle(us)
        for ref in self.desk.roster.overdue_owners(self.desk.now):
            self.desk.roster.owner_absent(ref.uid, self.desk.now)
            self.check()

    @rule()
    def decide(self) -> None:
        self.desk.settle()
        for key, ranks in self.desk.cycle().items():
            found = self.desk.roster.members(key, np.array(ranks, np.int32))
            assert all(found.uids), (key, ranks)
            alive = {pod.uid: pod for pod in self.pods.values()}
            for name, uid in zip(found.names, found.uids, strict=True):
                if uid in self.ghosts:  # nobody has said that it is gone
                    after = self.pods.get(name)
                    assert after is None or self.key(after) != key
                    continue
                assert alive[uid].name == name
                assert alive[uid].member
                assert alive[uid].node == ""
                assert not alive[uid].unsupported

    def key(self, pod: Sighting) -> str:
        """Key of the gang that the roster has it in."""
        slot = self.desk.roster.table.slot(pod.uid)
        return "" if slot == NONE else self.desk.roster._key(slot)

    def assumed(self) -> list[str]:
        roster = self.desk.roster
        slots = {name: roster.table.slot(pod.uid) for name, pod in self.pods.items()}
        return sorted(n for n, slot in slots.items() if slot != NONE and roster._assumed(slot))

    @rule(data=st.data(), how=st.sampled_from(("bound", "bound", "refused")))
    def outcome(self, data: st.DataObject, how: str) -> None:
        """A bind is seen, or given up."""
        names = self.assumed()
        if not names:
            return
        pod = self.pods[data.draw(st.sampled_from(names))]
        if how == "bound":
            self.seen(pod)
            return
        roster = self.desk.roster
        slot = roster.table.slot(pod.uid)
        key = roster._key(slot)
        self.desk.cache.forget(key, roster.table.rank[[slot]], requeue=data.draw(st.booleans()))
        roster.touch(key)
        self.check()

    def seen(self, pod: Sighting) -> None:
        roster, cache = self.desk.roster, self.desk.cache
        slot = roster.table.slot(pod.uid)
        record = cache.book.get(roster._key(slot))
        place = record.slot_of_rank(cache.book.pods, int(roster.table.rank[slot]))
        assert place is not None
        self.show(replace(pod, node=cache.nodes.names[cache.book.pods.nid[place]]))

    # quiescence

    @rule()
    def quiet(self) -> None:
        """When nothing is under way, the gangs are those that `find_gangs` finds."""
        self.ghosts_end()
        for name in self.assumed():
            self.seen(self.pods[name])
        waits = self.desk.settle()
        pods = [self.decoded(pod) for pod in self.pods.values() if pod.ours and not pod.finished]
        found = find_gangs(pods, self.controllers.values(), LEVELS, self.groups.values())
        for gang in found.gangs:
            self.agrees(gang, pods, waits.get(gang.key, []))
        keys = {gang.key for gang in found.gangs}
        assert set(waits) <= keys
        bound = {pod.uid for pod in self.pods.values() if pod.node}
        there = {v.key for v in self.desk.roster.views() if v.waiting + v.bound}
        assert keys <= there | bound
        # Others wait for what they belong to: under its name, its key, or each on its own.
        orphans = [pods[at] for at in found.orphans]
        unseen = {pod.uid for pod in orphans} | {belongs_to(pod) for pod in orphans}
        assert there - keys <= unseen | ({"pg1", "pg2"} if "group:ns/pg" in unseen else set())

    def agrees(self, gang: Gang, pods: list[Pod], waits: list[int]) -> None:
        view = self.desk.roster.view(gang.key)
        assert view is not None, gang
        members = [pods[at] for at in gang.members]
        assert (view.name, view.wanted, view.priority) == (gang.name, gang.wanted, gang.priority)
        assert view.single == gang.single
        assert view.bound == sum(pod.node != "" for pod in members)
        assert view.waiting == len(members) - view.bound
        waiting = [pod for pod in members if not pod.node]
        late = view.bound > 0 and not gang.single
        blocked = view.unsupported or not waiting
        assert bool(waits) <= (not blocked)
        if not blocked and (len(members) >= gang.wanted or late):
            assert len(waits) == len(waiting)
        slots, ranks = self.desk.roster._ranked(gang.key)
        uids = [self.desk.roster.table.uids[s] for s in slots]
        if not gang.single and not view.bound:
            assert ranks.tolist() == list(gang.ranks)
            assert uids == [pod.uid for pod in members]
        if uids[0] == members[0].uid:  # whose annotations count
            assert (view.minimum, view.wishes) == (gang.minimum, gang.wishes)
            told = [p for p in view.problems if not p.startswith("its owner")]
            assert told == list(gang.problems)

    def decoded(self, pod: Sighting) -> Pod:
        """The same pod as a dump of the cluster would show it."""
        return decoded_pod(
            pod.name, uid=pod.uid, owner="", labels=pod.labels, annotations=pod.annotations,
            node=pod.node, deleting=pod.deleting, gates=("g",) if pod.gated else (),
            priority=pod.priority,
        ) if pod.owner is None else replace(
            decoded_pod(pod.name, uid=pod.uid), owner=pod.owner, labels=pod.labels,
            annotations=pod.annotations, node=pod.node, deleting=pod.deleting,
            gates=("g",) if pod.gated else (), priority=pod.priority,
        )  # fmt: skip

    def teardown(self) -> None:
        self.quiet()


TestRosterMachine = RosterMachine.TestCase
TestRosterMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
