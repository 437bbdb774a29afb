"""What a pod asks for and what it takes on its node, from its containers, in whole units.

Source: component-helpers/resource/helpers.go (1.36). Quantities are added exactly and rounded
once per pod: CPU up to milli, everything else up to whole units.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache

from scheduler.model.filters.node_affinity import is_label_key
from scheduler.model.objects import Amounts, Container, ContainerStatus, PodObject, PodSpec
from scheduler.model.quantity import QuantityError, parse_nano, to_milli, to_whole
from scheduler.model.resources import CPU, EPHEMERAL_STORAGE, MEMORY, PODS

Nanos = dict[str, int]
"""Resource name -> nano units."""

_NATIVE = "kubernetes.io/"
_POD_LEVEL = (CPU, MEMORY)
HUGE_PAGES = "hugepages-"


@lru_cache(maxsize=4096)
def counts(name: str) -> bool:
    """Whether kube-scheduler counts resource `name` at all (pod slots are counted apart)."""
    if name in (CPU, MEMORY, EPHEMERAL_STORAGE) or _NATIVE in name:
        return True
    if name.startswith((HUGE_PAGES, "attachable-volumes-")):
        return True
    # An extended resource; its name must do for a quota on it, too.
    quota = f"requests.{name}"
    return "/" in name and not name.startswith("requests.") and is_label_key(quota)


def nanos(amounts: Amounts | None, where: str) -> Nanos:
    """The amounts that count. Raises QuantityError naming `where` and the resource."""
    found: Nanos = {}
    for name, amount in (amounts or {}).items():
        if not counts(name):
            continue
        try:
            found[name] = parse_nano(str(amount).strip())
        except QuantityError as error:
            raise QuantityError(f"{where}.{name}: {error}") from None
        if found[name] < 0:
            raise QuantityError(f"{where}.{name}: {amount} is negative")
    return found


def in_units(amounts: Mapping[str, int], where: str) -> dict[str, int]:
    """Nano units as int64 in each resource's unit. Raises QuantityError if one is out of range."""
    units: dict[str, int] = {}
    for name, nano in amounts.items():
        try:
            units[name] = to_milli(nano) if name == CPU else to_whole(nano)
        except QuantityError as error:
            raise QuantityError(f"{where}.{name}: {error}") from None
    return units


def allocatable(amounts: Amounts | None) -> tuple[dict[str, int], int]:
    """A node's allocatable in each resource's unit, and its pod slots (0 if it names none)."""
    where = "status.allocatable"
    try:
        slots = to_whole(parse_nano(str((amounts or {}).get(PODS, 0)).strip()))
    except QuantityError as error:
        raise QuantityError(f"{where}.{PODS}: {error}") from None
    return in_units(nanos(amounts, where), where), slots


def asked(spec: PodSpec, *, template: bool = False) -> dict[str, int]:
    """The request of a pod that waits, by its spec alone.

    `template`: the API server has not copied limits to missing requests yet, so this does.
    """

    def of(container: Container, where: str) -> Nanos:
        given = container.resources
        if given is None:
            return {}
        requests = nanos(given.requests, f"{where}.requests")
        if template:
            return {**nanos(given.limits, f"{where}.limits"), **requests}
        return requests

    total = _containers(spec, {id(c): of(c, where) for c, where in _named(spec)})
    pod_level: Nanos = {}
    if spec.resources is not None:
        pod_level = nanos(spec.resources.requests, "spec.resources.requests")
        if template:
            limits = nanos(spec.resources.limits, "spec.resources.limits")
            pod_level = {**_template_pod_level(total, limits), **pod_level}
    return _finish(spec, total, pod_level)


def used(pod: PodObject) -> dict[str, int]:
    """What a pod takes on its node: a resize under way counts at its largest."""
    spec, status = pod.spec, pod.status
    statuses = {s.name: s for s in status.container_statuses or ()}
    statuses |= {s.name: s for s in status.init_container_statuses or ()}
    infeasible = _resize_is_infeasible(pod)

    def of(container: Container, where: str) -> Nanos:
        given = container.resources
        requests = nanos(given.requests if given else None, f"{where}.requests")
        seen = statuses.get(container.name)
        ordinary_init = where.startswith("initContainers") and not _is_sidecar(container)
        if ordinary_init or seen is None or seen.resources is None:
            return requests
        return _largest(({} if infeasible else requests), *_in_status(seen, where))

    total = _containers(spec, {id(c): of(c, where) for c, where in _named(spec)})
    pod_level: Nanos = {}
    if spec.resources is not None:
        pod_level = nanos(spec.resources.requests, "spec.resources.requests")
        if status.resources is not None:
            seen = _largest(
                ({} if infeasible else pod_level),
                nanos(status.resources.requests, "status.resources.requests"),
                nanos(status.allocated_resources, "status.allocatedResources"),
            )
            pod_level = {name: seen.get(name, 0) for name in pod_level}
    return _finish(spec, total, pod_level)


def _named(spec: PodSpec) -> Iterable[tuple[Container, str]]:
    for i, container in enumerate(spec.containers or ()):
        yield container, f"containers[{i}].resources"
    for i, container in enumerate(spec.init_containers or ()):
        yield container, f"initContainers[{i}].resources"


def _is_sidecar(container: Container) -> bool:
    return container.restart_policy == "Always"


def _containers(spec: PodSpec, request: Mapping[int, Nanos]) -> Nanos:
    """Main containers and sidecars together, or the largest moment of initialisation."""
    running: Nanos = {}
    for container in spec.containers or ():
        running = _sum(running, request[id(container)])
    sidecars: Nanos = {}
    peak: Nanos = {}
    for container in spec.init_containers or ():
        own = request[id(container)]
        if _is_sidecar(container):
            running = _sum(running, own)
            sidecars = own = _sum(sidecars, own)
        else:
            own = _sum(sidecars, own)
        peak = _largest(peak, own)
    return _largest(running, peak)


def _finish(spec: PodSpec, total: Nanos, pod_level: Nanos) -> dict[str, int]:
    """Pod-level requests replace the containers' (even by less), then overhead is added."""
    for name, amount in pod_level.items():
        if name in _POD_LEVEL or name.startswith(HUGE_PAGES):
            total[name] = amount
    total = _sum(total, nanos(spec.overhead, "spec.overhead"))
    return in_units(total, "spec")


def _template_pod_level(total: Nanos, limits: Nanos) -> Nanos:
    """Pod-level requests that the API server will fill in where only limits are given."""
    return {
        name: total[name] if name in _POD_LEVEL and name in total else amount
        for name, amount in limits.items()
    }


def _in_status(seen: ContainerStatus, where: str) -> tuple[Nanos, Nanos]:
    requests = seen.resources.requests if seen.resources else None
    return (
        nanos(requests, f"status of {where}.requests"),
        nanos(seen.allocated_resources, f"status of {where}.allocatedResources"),
    )


def _resize_is_infeasible(pod: PodObject) -> bool:
    for condition in pod.status.conditions or ():
        if condition.type == "PodResizePending":
            return condition.reason == "Infeasible"
    return False


def _sum(a: Nanos, b: Nanos) -> Nanos:
    return {name: a.get(name, 0) + b.get(name, 0) for name in {**a, **b}}


def _largest(*parts: Nanos) -> Nanos:
    merged: Nanos = {}
    for part in parts:
        for name, amount in part.items():
            merged[name] = max(merged.get(name, 0), amount)
    return merged
