"""Random nodes, namespaces, volumes and pods with rules, so few of each that they meet."""

from __future__ import annotations

from random import Random
from typing import Any

from scheduler.kube.resources import CSI_NODES, NAMESPACES, NODES, VOLUME_CLAIMS, VOLUMES
from tests.live.chaos_judge import World
from tests.live.cluster import Object

SPACES = ("team", "lab")
APPS = ("a", "b", "c")
HOST, ZONE, SPINE = "kubernetes.io/hostname", "zone", "net/spine"
KEYS = (HOST, HOST, ZONE, SPINE)
FOR_ONE_POD = "c3"
"""The claim that one pod may use at a time."""


class Objects:
    """Writes random objects into a World."""

    def __init__(self, world: World, rng: Random) -> None:
        self.world, self.rng = world, rng
        self.names = 0
        self.schedulers = ("muster", "second")[: rng.choice((1, 1, 2))]
        self.volumes = rng.random() < 0.4
        self.unruly = rng.choice((0.3, 0.6, 0.9))
        """Share of pods that have rules."""
        for space in SPACES:
            self.namespace(space)
        for _ in range(rng.randint(2, 6)):
            self.node()
        for number in range(4):
            self.volume(number)

    def namespace(self, name: str) -> None:
        """A namespace, made or changed."""
        labels = {"env": self.rng.choice("xy")} if self.rng.random() < 0.7 else {}
        old = self.world.objects["namespaces"].get(f"/{name}")
        meta = {"name": name, "labels": labels}
        if old:
            meta["uid"] = old["metadata"]["uid"]
        self.world.put(NAMESPACES, {"metadata": meta})

    def near(self) -> Object:
        """Affinity to pods of one application."""
        return {"requiredDuringSchedulingIgnoredDuringExecution": [self.term()]}

    def node(self, name: str = "", cpus: int = 0) -> None:
        """A node, made or changed."""
        rng = self.rng
        if not name:
            name = f"n{rng.randrange(7)}"
        labels = {HOST: name, SPINE: f"s{int(name[1:]) // 3}", "net/leaf": f"l{name}"}
        if rng.random() < 0.85:
            labels[ZONE] = rng.choice(("z0", "z1", "z2"))
        if rng.random() < 0.6:
            labels["disk"] = rng.choice(("ssd", "hdd"))
        effects = ("NoSchedule", "NoExecute", "PreferNoSchedule")
        taints = [{"key": "t", "value": rng.choice("uv"), "effect": rng.choice(effects)}]
        spec: Object = {"taints": taints} if rng.random() < 0.25 else {}
        if rng.random() < 0.07:
            spec["unschedulable"] = True
        amounts = {
            "cpu": str(cpus or rng.randint(2, 5)),
            "memory": "64Gi",
            "pods": str(cpus or rng.randint(3, 6)),
        }
        meta: Object = {"name": name, "labels": labels}
        old = self.world.objects["nodes"].get(f"/{name}")
        if old:
            meta["uid"] = old["metadata"]["uid"]
        status = {"allocatable": amounts}
        self.world.put(NODES, {"metadata": meta, "spec": spec, "status": status})
        if self.volumes:
            limit = {"allocatable": {"count": rng.randint(1, 2)}} if rng.random() < 0.6 else {}
            drivers = [{"name": "d", "nodeID": name, **limit}]
            self.world.put(CSI_NODES, {"metadata": {"name": name}, "spec": {"drivers": drivers}})

    def volume(self, number: int) -> None:
        """A volume and claims of its number, some of them bound."""
        rng = self.rng
        terms = [{"key": ZONE, "operator": "In", "values": [rng.choice(("z0", "z1"))]}]
        where = {"required": {"nodeSelectorTerms": [{"matchExpressions": terms}]}}
        spec: Object = {
            "capacity": {"storage": "1Gi"},
            "csi": {"driver": "d", "volumeHandle": f"h{number}"},
        }
        if rng.random() < 0.5:
            spec["nodeAffinity"] = where
        self.world.put(VOLUMES, {"metadata": {"name": f"pv{number}"}, "spec": spec})
        bound = rng.random() < 0.7
        for space in SPACES:
            name = f"pv{number}" if bound and space == SPACES[number % 2] else ""
            notes = {"pv.kubernetes.io/bind-completed": "yes"} if name else {}
            meta = {"name": f"c{number}", "namespace": space, "annotations": notes}
            modes = ["ReadWriteOncePod"] if f"c{number}" == FOR_ONE_POD else []
            room = {"requests": {"storage": "1Gi"}}
            body = {"volumeName": name, "resources": room, "accessModes": modes}
            self.world.put(VOLUME_CLAIMS, {"metadata": meta, "spec": body, "status": {}})

    def selector(self) -> Object:
        """Whom a rule means."""
        rng = self.rng
        draw = rng.random()
        if draw < 0.7:
            return {"matchLabels": {"app": rng.choice(APPS)}}
        if draw < 0.8:
            return {"matchExpressions": [{"key": "app", "operator": "Exists"}]}
        if draw < 0.95:
            one = {"key": "app", "operator": rng.choice(("In", "NotIn"))}
            return {"matchExpressions": [{**one, "values": rng.sample(APPS, 2)}]}
        return {}

    def term(self) -> Object:
        """A term of (anti-)affinity."""
        rng = self.rng
        term: Object = {"topologyKey": rng.choice(KEYS), "labelSelector": self.selector()}
        draw = rng.random()
        if draw < 0.2:
            term["namespaces"] = [rng.choice(SPACES)]
        elif draw < 0.45:
            env = {"matchLabels": {"env": rng.choice("xy")}} if rng.random() < 0.8 else {}
            term["namespaceSelector"] = env
        return term

    def spec(self, owner: str) -> Object:
        """A pod for the scheduler `owner`."""
        rng = self.rng
        container: Object = {"name": "main", "resources": {"requests": {"cpu": "1"}}}
        spec: Object = {"schedulerName": owner, "containers": [container]}
        if rng.random() < 0.2:
            spec["priority"] = 5
        affinity: Object = {}
        required = "requiredDuringSchedulingIgnoredDuringExecution"
        if rng.random() < self.unruly:
            if rng.random() < 0.45:
                terms = [self.term() for _ in range(rng.choice((1, 1, 2)))]
                affinity["podAntiAffinity"] = {required: terms}
            if rng.random() < 0.35:
                terms = [self.term() for _ in range(rng.choice((1, 1, 2)))]
                affinity["podAffinity"] = {required: terms}
            if rng.random() < 0.35:
                spec["topologySpreadConstraints"] = [
                    self.spread() for _ in range(rng.choice((1, 1, 2)))
                ]
            if rng.random() < 0.2:
                container["ports"] = [{"containerPort": 80, "hostPort": rng.choice((80, 81))}]
            if rng.random() < 0.15:
                spec["nodeSelector"] = {"disk": "ssd"}
        if rng.random() < 0.3:
            spec["tolerations"] = [{"key": "t", "operator": "Exists"}]
        if affinity:
            spec["affinity"] = affinity
        return spec

    def spread(self) -> Object:
        """A spread constraint."""
        rng = self.rng
        found: Object = {
            "topologyKey": rng.choice(KEYS), "maxSkew": rng.choice((1, 1, 2)),
            "whenUnsatisfiable": "DoNotSchedule", "labelSelector": self.selector(),
        }  # fmt: skip
        if rng.random() < 0.2:
            found["minDomains"] = rng.randint(1, 3)
        if rng.random() < 0.15:
            found["matchLabelKeys"] = ["app"]
        if rng.random() < 0.2:
            found["nodeTaintsPolicy"] = "Honor"
        if rng.random() < 0.2:
            found["nodeAffinityPolicy"] = "Ignore"
        return found

    def name(self) -> str:
        """A name that nobody has."""
        self.names += 1
        return f"p{self.names}"

    def meta(self, name: str, space: str, **more: Any) -> Object:
        """Metadata with labels."""
        labels = {"app": self.rng.choice(APPS)} if self.rng.random() < 0.9 else {}
        return {"name": name, "namespace": space, "labels": labels, **more}

    def claims(self) -> Object:
        """Volumes of a pod, or none."""
        if not self.volumes or self.rng.random() < 0.6:
            return {}
        mount = {"claimName": f"c{self.rng.randrange(4)}"}
        return {"volumes": [{"name": "v", "persistentVolumeClaim": mount}]}
