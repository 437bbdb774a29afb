"""Pods as many people would write them: random requests and rules, the same for the same seed.

Every kind of rule that a pod can have is drawn now and then, most pods have few. A gang's members
are alike. What is drawn is meant to be satisfiable more often than not.

Requests of a whole pod and an overhead are never drawn together: once such a pod runs, kubelet 1.36
reports both as allocated to the pod, and from then on counts the overhead a second time, as
kube-scheduler does. A pod that any scheduler binds before that report may be one too many.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from e2e.api import Object
from e2e.objects import GPU, IMAGE, LEAF, Template, gang_pods, pod

APP = "crowd"
HOSTNAME = "kubernetes.io/hostname"
ZONE, GENERATION = "example.com/zone", "example.com/generation"
ZONES = ("a", "b", "c")
COLORS = ("red", "green", "blue", "white")
PORTS = (7000, 7001, 7002)
ADDRESSES = ("127.0.0.1", "0.0.0.0")  # noqa: S104 (nobody listens there)
BOXED = "boxed"
"""The RuntimeClass with an overhead."""
CPUS = ("0", "50m", "100m", "333m", "500m", "1", "1500m", "2")
MEMORIES = ("0", "1M", "64Mi", "300Mi", "1Gi", "3Gi")
LARGEST = 8


class Crowd:
    """Draws pods. `own` puts a template on the test's nodes (Cluster.own)."""

    def __init__(self, seed: int, own: Callable[[Template], Template]) -> None:
        self._random = random.Random(seed)
        self._own = own
        self._made = 0

    def pods(self, count: int) -> Iterator[Object]:
        """So many; more than half of them in gangs."""
        while count:
            size = 1 if self._chance(0.8) else min(count, self._random.randint(2, LARGEST))
            template = self._own(self._template(size))
            self._made += 1
            if size == 1:
                yield pod(f"single-{self._made}", template.with_labels(app=APP))
            else:
                for body in gang_pods(f"gang-{self._made}", size, template):
                    body["metadata"]["labels"]["app"] = APP
                    yield body
            count -= size

    def leaving(self, pods: Sequence[Object], kept: int) -> list[Object]:
        """Of these pods, as many groups as leave `kept` of them; no gang goes in part."""
        groups: dict[str, list[Object]] = {}
        for body in pods:
            name = body["metadata"]["name"]
            gang = body["metadata"]["labels"].get("muster.dev/gang", name)
            groups.setdefault(gang, []).append(body)
        going: list[Object] = []
        for gang in self._random.sample(sorted(groups), len(groups)):
            if len(pods) - len(going) <= kept:
                break
            going += groups[gang]
        return going

    def _chance(self, share: float) -> bool:
        return self._random.random() < share

    def _template(self, size: int) -> Template:
        pick = self._random
        color = pick.choice(COLORS)
        containers = [self._container(f"c{n}") for n in range(pick.choice((1, 1, 1, 2, 3)))]
        if self._chance(0.25):
            gpus = {GPU: str(pick.choice((1, 1, 2, 4)))}
            containers[0]["resources"]["limits"] = gpus
            containers[0]["resources"]["requests"] |= gpus
        if self._chance(0.12):
            containers[-1]["ports"] = [self._port()]
        spec: Object = {"containers": containers}
        if self._chance(0.2):
            spec["initContainers"] = self._before()
        if self._chance(0.1):
            spec["runtimeClassName"] = BOXED
        elif self._chance(0.08):
            spec["resources"] = {"requests": {"cpu": "6", "memory": "10Gi"}}
        if self._chance(0.3):
            spec["tolerations"] = [self._toleration()]
        if self._chance(0.1):
            spec["nodeSelector"] = {ZONE: pick.choice(ZONES)}
        affinity = self._affinity(color, size)
        if affinity:
            spec["affinity"] = affinity
        if self._chance(0.1):
            spec["topologySpreadConstraints"] = [self._spread(color)]
        return Template(gpus=0, labels={"color": color}, spec=spec)

    def _container(self, name: str) -> Object:
        requests = {"cpu": self._random.choice(CPUS)}
        if self._chance(0.8):
            requests["memory"] = self._random.choice(MEMORIES)
        return {"name": name, "image": IMAGE, "resources": {"requests": requests}}

    def _before(self) -> list[Object]:
        """Init containers, sidecars among them. An ordinary one never ends here: it is the last."""
        sidecar = {**self._container("sidecar"), "restartPolicy": "Always"}
        last = self._container("load")
        last["resources"]["requests"]["cpu"] = self._random.choice(("1", "3", "4"))
        return self._random.choice(([sidecar], [last], [sidecar, last]))

    def _port(self) -> Object:
        number = self._random.choice(PORTS)
        port: Object = {"containerPort": number, "hostPort": number}
        port["protocol"] = self._random.choice(("TCP", "TCP", "UDP"))
        if self._chance(0.3):
            port["hostIP"] = self._random.choice(ADDRESSES)
        return port

    def _toleration(self) -> Object:
        return self._random.choice(
            (
                {"key": "gpu", "operator": "Exists", "effect": "NoSchedule"},
                {"key": "gpu", "operator": "Equal", "value": "reserved"},
                {"key": "gpu", "operator": "Equal", "value": "other"},
            )
        )

    def _affinity(self, color: str, size: int) -> Object:
        pick = self._random
        found: Object = {}
        if self._chance(0.15):
            terms = [{"matchExpressions": [self._expression()]} for _ in range(pick.choice((1, 2)))]
            found["nodeAffinity"] = {_REQUIRED: {"nodeSelectorTerms": terms}}
        if self._chance(0.1):
            key = HOSTNAME if size > 3 else pick.choice((HOSTNAME, LEAF))
            found["podAntiAffinity"] = {_REQUIRED: [_term(key, pick.choice(COLORS))]}
        elif self._chance(0.1):
            key = pick.choice((ZONE, LEAF))
            found["podAffinity"] = {_REQUIRED: [_term(key, pick.choice((color, *COLORS)))]}
        return found

    def _expression(self) -> Object:
        return self._random.choice(
            (
                {"key": ZONE, "operator": "NotIn", "values": [self._random.choice(ZONES)]},
                {"key": ZONE, "operator": "In", "values": ["b", "c"]},
                {"key": GENERATION, "operator": "Gt", "values": ["1"]},
                {"key": GENERATION, "operator": "Lt", "values": ["4"]},
                {"key": "example.com/nothing", "operator": "DoesNotExist"},
            )
        )

    def _spread(self, color: str) -> Object:
        return {
            "topologyKey": self._random.choice((ZONE, LEAF, HOSTNAME)),
            "maxSkew": self._random.choice((2, 3, 5)),
            "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": {"matchLabels": {"color": color}},
        }


def quarrels(pods: Iterable[Object], labels: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Pods that are where a required anti-affinity, of theirs or of another pod, forbids it.

    labels: node -> its labels. No order of binds and deletions excuses one.
    """
    there = [each for each in pods if each["spec"].get("nodeName")]
    found = []
    for one in there:
        rules = one["spec"].get("affinity", {}).get("podAntiAffinity", {})
        for term in rules.get(_REQUIRED, ()):
            key, wanted = term["topologyKey"], term["labelSelector"]["matchLabels"].items()
            place = labels[one["spec"]["nodeName"]].get(key)
            for other in there:
                near = place is not None and labels[other["spec"]["nodeName"]].get(key) == place
                if other is not one and near and wanted <= other["metadata"]["labels"].items():
                    names = [each["metadata"]["name"] for each in (one, other)]
                    found.append(f"{names[0]} is with {names[1]} in {key} {place}")
    return found


_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


def _term(key: str, color: str) -> Object:
    return {"topologyKey": key, "labelSelector": {"matchLabels": {"color": color}}}
