"""Random histories of a small cluster under rules, and a judge of every bind.

A `Chaos` is one history: nodes, namespaces, volumes, pods of others and gangs of ours come, change
and go between turns of a whole scheduler. After each turn the binds that were sent for the first
time are held against the judge: some order of them must pass every filter. At the end nothing
happens for a while, and nobody may wait for whom there is a place.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from scheduler.config import LevelConfig, ProfileConfig
from scheduler.kube.resources import NODES, PODS, STATEFUL_SETS
from scheduler.state.invariants import check_invariants
from tests.live.chaos_judge import Judge, World, is_leaving, is_over, key_of, node_of
from tests.live.chaos_objects import APPS, FOR_ONE_POD, SPACES, ZONE, Objects
from tests.live.cluster import LEVELS, Object, Scheduler

TRIES = 150
"""Pods that the judge is asked about before it gives up looking for a place for a gang."""


def mounts(pod: Object) -> set[tuple[str, str]]:
    """Claims of a pod."""
    volumes = pod["spec"].get("volumes", ())
    space = pod["metadata"]["namespace"]
    return {(space, each["persistentVolumeClaim"]["claimName"]) for each in volumes}


class Chaos(Objects):
    """One history."""

    def __init__(self, seed: int) -> None:
        rng = Random(seed)
        super().__init__(World(rng), rng)
        self.judge = Judge(self.world)
        self.wrong: list[str] = []
        self.log: list[str] = []
        self.believed: dict[str, tuple[str, str]] = {}
        """Binds that were sent and may not be settled: key -> (uid, node)."""
        self.bound = 0
        self.world.trouble = rng.choice((0.0, 0.0, 0.15))
        self.scheduler = self.started(seed)
        self.turns(20)

    def started(self, seed: int) -> Scheduler:
        """A scheduler with a profile for each name."""
        levels = (LEVELS, (LevelConfig(name="zone", label=ZONE),))
        profiles = [
            ProfileConfig(scheduler_name=name, levels=each)
            for name, each in zip(self.schedulers, levels, strict=False)
        ]
        return Scheduler(self.world, seed, profiles=tuple(profiles))

    def say(self, what: str) -> None:
        """Notes what happens, for whoever reads the history of a failure."""
        self.log.append(f"{self.world.clock.now_us() / 1e6:.3f} {what}")

    # ---- events

    def single(self) -> None:
        """A pod of ours without a controller."""
        space = self.rng.choice(SPACES)
        spec = {**self.spec(self.rng.choice(self.schedulers)), **self.claims()}
        pod = {"metadata": self.meta(self.name(), space), "spec": spec, "status": {}}
        self.world.put(PODS, pod)
        self.say(f"single {key_of(pod)}")

    def gang(self) -> None:
        """A StatefulSet with all of its pods, unless it is there."""
        name, space = f"g{self.rng.randrange(4)}", self.rng.choice(SPACES)
        if f"{space}/{name}" in self.world.objects["statefulsets"]:
            return
        count = self.rng.randint(2, 4)
        meta = self.meta(name, space, generation=1)
        template = {
            "metadata": {"labels": meta["labels"]},
            "spec": self.spec(self.rng.choice(self.schedulers)),
        }
        spec = {"replicas": count, "podManagementPolicy": "Parallel", "template": template}
        self.world.put(STATEFUL_SETS, {"metadata": meta, "spec": spec})
        self.say(f"gang {space}/{name} of {count}")
        self.members(self.world.objects["statefulsets"][f"{space}/{name}"])

    def members(self, owner: Object) -> None:
        """The controller makes what is missing."""
        meta, spec = owner["metadata"], owner["spec"]
        ref = {
            "apiVersion": "apps/v1", "kind": "StatefulSet", "name": meta["name"],
            "uid": meta["uid"], "controller": True,
        }  # fmt: skip
        for rank in range(spec["replicas"]):
            name = f"{meta['name']}-{rank}"
            if f"{meta['namespace']}/{name}" in self.world.objects["pods"]:
                continue
            labels = {
                **spec["template"]["metadata"]["labels"],
                "apps.kubernetes.io/pod-index": str(rank),
                "statefulset.kubernetes.io/pod-name": name,
            }
            pod = {
                "metadata": {
                    "name": name, "namespace": meta["namespace"], "labels": labels,
                    "ownerReferences": [ref],
                },
                "spec": {**spec["template"]["spec"]}, "status": {},
            }  # fmt: skip
            self.world.put(PODS, pod)

    def controllers(self) -> None:
        """Every StatefulSet makes the pods that it misses."""
        for owner in self.world.each(STATEFUL_SETS):
            self.members(owner)

    def other(self) -> None:
        """A pod of another scheduler: on a node, or with a promise."""
        names = [node["metadata"]["name"] for node in self.world.each(NODES)]
        spec, status = {**self.spec("other"), **self.claims()}, dict[str, str]()
        if names and self.rng.random() < 0.75:
            spec["nodeName"] = self.rng.choice(names)
            status = {"phase": "Running"}
        elif names:
            status = {"nominatedNodeName": self.rng.choice(names)}
        meta = self.meta(self.name(), self.rng.choice(SPACES))
        self.world.put(PODS, {"metadata": meta, "spec": spec, "status": status})
        self.say(f"other {meta['namespace']}/{meta['name']} {spec.get('nodeName')} {status}")

    def newcomer(self) -> None:
        """A pod of another scheduler without rules: no node gains room by it."""
        names = [node["metadata"]["name"] for node in self.world.each(NODES)]
        spec = {"schedulerName": "other", "nodeName": self.rng.choice(names), "containers": []}
        meta = self.meta(self.name(), self.rng.choice(SPACES))
        self.world.put(PODS, {"metadata": meta, "spec": spec, "status": {"phase": "Running"}})
        self.say(f"newcomer {meta['namespace']}/{meta['name']} on {spec['nodeName']}")

    def any_pod(self) -> Object | None:
        """One of all pods."""
        pods = self.world.each(PODS)
        return self.rng.choice(pods) if pods else None

    def terminate(self) -> None:
        """A pod begins to end."""
        pod = self.any_pod()
        if pod is not None and "deletionTimestamp" not in pod["metadata"]:
            pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
            self.world.put(PODS, pod)
            self.say(f"terminate {key_of(pod)}")

    def finish(self) -> None:
        """A pod on a node is done."""
        pod = self.any_pod()
        if pod is not None and node_of(pod):
            pod["status"]["phase"] = "Succeeded"
            self.world.put(PODS, pod)
            self.say(f"finish {key_of(pod)}")

    def relabel(self) -> None:
        """A pod's labels change."""
        pod = self.any_pod()
        if pod is not None:
            pod["metadata"]["labels"] = {
                **pod["metadata"].get("labels", {}), "app": self.rng.choice(APPS)
            }  # fmt: skip
            self.world.put(PODS, pod)
            self.say(f"relabel {key_of(pod)}")

    def delete(self) -> None:
        """A pod is gone."""
        pod = self.any_pod()
        if pod is not None:
            self.world.delete(PODS, key_of(pod))
            self.say(f"delete {key_of(pod)}")

    def end_gang(self) -> None:
        """A StatefulSet is gone, with its pods."""
        owners = self.world.each(STATEFUL_SETS)
        if not owners:
            return
        owner = self.rng.choice(owners)
        self.world.delete(STATEFUL_SETS, key_of(owner))
        for pod in self.world.each(PODS):
            refs = pod["metadata"].get("ownerReferences", [])
            if refs and refs[0]["uid"] == owner["metadata"]["uid"]:
                self.world.delete(PODS, key_of(pod))
        self.say(f"end {key_of(owner)}")

    def change_node(self) -> None:
        """A node has other labels, taints and amounts."""
        nodes = self.world.each(NODES)
        if nodes:
            name = self.rng.choice(nodes)["metadata"]["name"]
            self.node(name)
            self.say(f"change {name}")

    def new_node(self) -> None:
        """A node comes, or is another."""
        self.node()
        self.say("node")

    def drop_node(self) -> None:
        """A node is gone, with its pods."""
        nodes = self.world.each(NODES)
        if len(nodes) > 1:
            node = self.rng.choice(nodes)
            self.world.delete(NODES, key_of(node))
            for pod in self.world.each(PODS):
                if node_of(pod) == node["metadata"]["name"]:
                    self.world.delete(PODS, key_of(pod))
            self.say(f"drop {node['metadata']['name']}")

    def change_space(self) -> None:
        """A namespace's labels change."""
        self.namespace(self.rng.choice(SPACES))
        self.say("namespace")

    def change_volume(self) -> None:
        """A volume and its claims are others."""
        if self.volumes:
            self.volume(self.rng.randrange(4))
            self.say("volume")

    def restart(self) -> None:
        """Another process takes over."""
        self.world.watches.clear()
        self.world._answers.clear()
        self.believed.clear()
        self.scheduler = self.started(self.rng.randrange(1000))
        self.say("restart")
        self.turns(20)

    def wait(self) -> None:
        """Nothing happens for a while."""
        self.run(self.rng.choice((0.1, 1, 5, 30)))

    # ---- time

    def turn(self) -> None:
        """One turn, and what it has sent."""
        self.world.sent.clear()
        self.scheduler.app.loop.turn()
        sent = [each for each in self.world.sent if each[0] in self.world.objects["pods"]]
        if sent:
            self.judge_binds(sent)

    def judge_binds(self, sent: list[tuple[str, str]]) -> None:
        """Holds binds of one turn against the judge."""
        pods, binder = self.world.objects["pods"], self.scheduler.app.binder
        fresh = []
        for key, node in sent:
            uid = pods[key]["metadata"]["uid"]
            if self.believed.get(key) != (uid, node):
                fresh.append((key, node))
            self.believed.pop(key, None)
        known = {
            key: (uid, node)
            for key, (uid, node) in self.believed.items()
            if key in pods and pods[key]["metadata"]["uid"] == uid and uid in binder._uids
        }  # fmt: skip
        self.bound += len(fresh)
        before = self.judge.there({key for key, _ in sent})
        before.update((key, node) for key, (_, node) in known.items() if not node_of(pods[key]))
        old = [each for each in sent if each not in fresh]
        before.update(old)
        if fresh and not self.judge.has_order(fresh, before):
            self.fail(f"no order of {fresh} passes after {before}")
        for key, node in sent:
            known[key] = (pods[key]["metadata"]["uid"], node)
        self.say(f"sent {sent}")
        self.believed = known

    def fail(self, what: str) -> None:
        """Notes what is wrong."""
        self.wrong.append(what)
        self.say("WRONG " + what)

    def turns(self, count: int) -> None:
        """So many turns."""
        for _ in range(count):
            self.turn()

    def run(self, seconds: float) -> None:
        """Turns until so many seconds have passed."""
        until = self.world.clock.now_us() + int(seconds * 1e6)
        while self.world.clock.now_us() < until:
            self.turn()

    # ---- a whole history

    def play(self, steps: int) -> None:
        """Random events, then silence, then the question whether anybody waits in vain."""
        events = [event for event, _ in EVENTS]
        weights = [weight for _, weight in EVENTS]
        for _ in range(steps):
            for event in self.rng.choices(events, weights, k=self.rng.choice((1, 1, 2, 3))):
                event(self)
            self.turns(self.rng.choice((1, 2, 8)))
            check_invariants(self.scheduler.app.cache)
            if self.wrong:
                return
        self.world.trouble = 0.0
        self.calm()
        self.run(150)
        check_invariants(self.scheduler.app.cache)
        self.check_waiting()
        for _ in range(2):  # nothing else happens that would wake whoever waits
            self.newcomer()
            self.run(65)
            self.check_waiting()

    def calm(self) -> None:
        """What is under way ends; there is room; and some wait for the sake of rules."""
        for pod in self.world.each(PODS):
            owned = "ownerReferences" in pod["metadata"] and is_over(pod)
            if is_leaving(pod) or owned or pod["status"].get("nominatedNodeName"):
                self.world.delete(PODS, key_of(pod))
        self.controllers()
        for name in ("n0", "n3"):  # whoever waits now does so for the sake of rules
            self.node(name, cpus=32)
        for name in self.rng.sample(SPACES, 2):  # two that wait, most likely
            beside = {**self.spec(self.schedulers[0]), "affinity": {"podAffinity": self.near()}}
            meta = self.meta(self.name(), name)
            self.world.put(PODS, {"metadata": meta, "spec": beside, "status": {}})

    def check_waiting(self) -> None:
        """Nobody waits although there is room; and everybody who waits says so."""
        cache = self.scheduler.app.cache
        barred = {cache.nodes.names[hold.nid] for hold in cache.holds.all()}
        there = self.judge.there(set())
        in_use = set().union(*(mounts(pod) for pod in self.world.each(PODS) if node_of(pod)))
        gangs: dict[str, list[Object]] = {}
        for pod in self.world.each(PODS):
            if pod["spec"]["schedulerName"] == "other" or node_of(pod) or is_over(pod):
                continue
            told = {c["type"]: c for c in pod["status"].get("conditions", ())}
            if told.get("PodScheduled", {}).get("status") != "False":
                self.fail(f"{key_of(pod)} waits and nobody says why")
            refs = pod["metadata"].get("ownerReferences")
            gangs.setdefault(refs[0]["uid"] if refs else key_of(pod), []).append(pod)
        for pods in gangs.values():
            if any(mounts(pod) & in_use or FOR_ONE_POD in str(mounts(pod)) for pod in pods):
                # Stricter than kube-scheduler: a volume counts for each pod of a node, and a
                # claim for one pod is promised to the first that waits.
                continue
            mine = {key_of(pod).rpartition("-")[0] for pod in pods}
            found = self.judge.room_for(pods, there, barred, [TRIES])
            if found:
                said = [c["message"] for c in pods[0]["status"].get("conditions", ())]
                self.fail(f"{mine} waits in vain: {found}; it says {said}")


EVENTS: tuple[tuple[Callable[[Chaos], None], int], ...] = (
    (Chaos.single, 14),
    (Chaos.gang, 8),
    (Chaos.other, 14),
    (Chaos.terminate, 4),
    (Chaos.finish, 4),
    (Chaos.relabel, 3),
    (Chaos.delete, 8),
    (Chaos.end_gang, 4),
    (Chaos.change_node, 6),
    (Chaos.new_node, 4),
    (Chaos.drop_node, 2),
    (Chaos.change_space, 4),
    (Chaos.change_volume, 5),
    (Chaos.restart, 1),
    (Chaos.wait, 10),
    (Chaos.controllers, 8),
)
"""What happens between turns, and how often."""
