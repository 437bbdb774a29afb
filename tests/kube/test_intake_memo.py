"""What the memo says of a pod is what decoding that pod says, whatever came before it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.kube.pod_memo import EPHEMERAL, MOST, MOST_RESOURCES, UNREADABLE, PodMemo, claims_of
from scheduler.model.decode import Pod, decode_pod
from scheduler.model.objects import PodObject
from scheduler.model.resources import CPU, GPU, MEMORY, ResourceOrder
from scheduler.model.shape import Shape
from scheduler.state.cache import Cache
from tests.model.as_json import box, sidecar

HOSTNAME = "kubernetes.io/hostname"
CAST = {"matchLabels": {"app": "a"}}


def some(values: dict[str, list[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """A dict with some of the keys, each with one of its values."""
    return st.fixed_dictionaries({}, optional={k: st.sampled_from(v) for k, v in values.items()})


amounts = some(
    {
        CPU: ["1", "100m", "0", 2, "500n"],
        MEMORY: ["1Gi", "1.5Gi", "0"],
        GPU: ["8", "1"],
        "example.com/nic": ["1", "0"],
        "hugepages-2Mi": ["4Mi"],
        "requests.cpu": ["9"],
        "pods": ["7"],
    }
)
containers = st.builds(
    lambda name, requests, port, policy: {
        "name": name,
        "resources": {"requests": requests, "limits": requests},
        "ports": [{"hostPort": port}] if port else [],
        **({"restartPolicy": policy} if policy else {}),
    },
    st.sampled_from("cd"), amounts, st.sampled_from((0, 0, 80)), st.sampled_from(("", "Always")),
)  # fmt: skip
node_terms = st.builds(
    lambda names, zone, key: {
        "nodeSelectorTerms": [
            {
                "matchFields": [{"key": key, "operator": "In", "values": [name]}],
                **({"matchExpressions": [{"key": "zone", "operator": "Exists"}]} if zone else {}),
            }
            for name in names
        ]
    },
    st.lists(st.sampled_from(("n1", "n2")), max_size=2),
    st.booleans(),
    st.sampled_from(("metadata.name", "metadata.name", "metadata.namespace")),
)
apart = st.builds(
    lambda key, selector, scope: [{"topologyKey": key, "labelSelector": selector, **scope}],
    st.sampled_from((HOSTNAME, "zone")),
    st.sampled_from((CAST, {}, None)),
    st.sampled_from(({}, {"namespaces": ["other"]}, {"namespaceSelector": {}})),
)
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
affinities = st.fixed_dictionaries(
    {},
    optional={
        "nodeAffinity": node_terms.map(lambda terms: {REQUIRED: terms}),
        "podAffinity": apart.map(lambda terms: {REQUIRED: terms}),
        "podAntiAffinity": apart.map(lambda terms: {REQUIRED: terms}),
    },
)
volumes = some(
    {
        "persistentVolumeClaim": [{"claimName": "data-0"}, {"claimName": "data-1"}],
        "ephemeral": [{"volumeClaimTemplate": {}}],
        "rbd": [{"image": "x", "monitors": ["a", "b"]}, {"image": "x", "monitors": ["b"]}],
        "gcePersistentDisk": [{"pdName": "x"}, {"pdName": "x", "readOnly": True}, {"pdName": 1}],
        "projected": [{}],
    }
)
statuses = st.builds(
    lambda name, requests, allocated: {
        "name": name, "resources": {"requests": requests}, "allocatedResources": allocated,
    },
    st.sampled_from("cd"), amounts, amounts,
)  # fmt: skip
pods = st.fixed_dictionaries(
    {
        "metadata": st.fixed_dictionaries(
            {
                "name": st.sampled_from(("a-0", "a-1")),
                "uid": st.just("u"),
                "namespace": st.sampled_from(("ns", "other")),
                "labels": st.sampled_from(({"app": "a"}, {"app": "b"}, {"app": "a", "i": "1"})),
            }
        ),
        "spec": st.fixed_dictionaries(
            {"containers": st.lists(containers, max_size=2)},
            optional={
                "initContainers": st.lists(containers, max_size=2),
                "nodeName": st.sampled_from(("n1", "n2")),
                "affinity": affinities,
                "nodeSelector": st.sampled_from(({"zone": "a"}, {"zone": "b"})),
                "tolerations": st.just([{"key": "gpu", "operator": "Exists"}]),
                "resources": amounts.map(lambda found: {"requests": found}),
                "overhead": amounts,
                "volumes": st.lists(volumes, max_size=2),
                "topologySpreadConstraints": st.sampled_from(
                    ([{"whenUnsatisfiable": "DoNotSchedule"}], [{"whenUnsatisfiable": "Any"}])
                ),
                "resourceClaims": st.just([{"name": "gpu"}]),
                "hostNetwork": st.booleans(),
                "hostUsers": st.booleans(),
            },
        ),
        "status": st.fixed_dictionaries(
            {},
            optional={
                "containerStatuses": st.lists(statuses, max_size=2),
                "initContainerStatuses": st.lists(statuses, max_size=2),
                "allocatedResources": amounts,
                "resources": amounts.map(lambda found: {"requests": found}),
                "conditions": st.just([{"type": "PodResizePending", "reason": "Infeasible"}]),
            },
        ),
    }
)


def typed(pod: dict[str, Any]) -> PodObject:
    """The pod as the watch would hand it on."""
    return msgspec.json.decode(json.dumps(pod), type=PodObject)


def memo(*names: str, kept: int = 100) -> tuple[Cache, PodMemo]:
    """An empty cache that counts CPU, memory and `names`."""
    cache = Cache(ResourceOrder.of(names))
    return cache, PodMemo(cache, kept)


def shape_of(pod: Pod, cache: Cache) -> Shape:
    """The shape in the order of the cache, from decoding alone."""
    return pod.shape_in(cache.shapes.resources)


def check(cache: Cache, known: PodMemo, pod: dict[str, Any]) -> None:
    """The memo says of this pod what decoding says."""
    reading, pins = known.read(typed(pod))
    plain = decode_pod(typed(pod))
    assert cache.shapes[reading.shape] == shape_of(plain, cache)
    assert pins == plain.pins
    assert claims_of(typed(pod).spec) == plain.claims
    assert reading.unsupported == tuple(sorted({*plain.unsupported} - {EPHEMERAL}))
    assert not reading.problem


@given(found=st.lists(pods, min_size=1, max_size=5), kept=st.integers(1, 4))
@settings(max_examples=100, deadline=None)
def test_memory_says_what_decoding_says(found: list[dict[str, Any]], kept: int) -> None:
    """Shape, pins, claims and rules of every pod, however little is remembered."""
    cache, known = memo(kept=kept)
    for pod in [*found, *found]:
        check(cache, known, pod)
        assert len(known) <= 2 * kept


def relatives(pod: dict[str, Any], other: dict[str, Any]) -> list[dict[str, Any]]:
    """Pods like `pod` but for one field, which is that of `other` or not there."""
    found = []
    for part in ("metadata", "spec", "status"):
        for name in sorted({*pod[part], *other[part]}):
            fields = {key: value for key, value in pod[part].items() if key != name}
            if name in other[part]:
                fields[name] = other[part][name]
            found.append({**pod, part: fields})
    return found


@given(pod=pods, other=pods)
@settings(max_examples=300, deadline=None)
def test_pods_that_differ_in_one_field_are_told_apart(
    pod: dict[str, Any], other: dict[str, Any]
) -> None:
    """Whatever that field is, what was remembered of the one is not said of the other."""
    cache, known = memo()
    check(cache, known, pod)
    for relative in relatives(pod, other):
        check(cache, known, relative)


def variant(**spec: Any) -> dict[str, Any]:
    """A pod of one controller, with what differs from member to member."""
    return {
        "metadata": {"name": "a", "namespace": "ns", "uid": "u", **spec.pop("metadata", {})},
        "spec": {"containers": [box(cpu="1")], **spec},
    }


def test_pods_that_differ_in_what_is_theirs_alone_are_worked_out_once() -> None:
    """Names, labels, claims, volumes and the node of a DaemonSet's pod make no new kind."""
    _, known = memo()
    for i in range(20):
        pin = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [f"n{i}"]}]}
        known.read(
            typed(
                variant(
                    metadata={"name": f"a-{i}", "uid": f"u{i}", "labels": {"i": str(i)}},
                    nodeName=f"n{i}",
                    volumes=[{"name": f"v{i}", "persistentVolumeClaim": {"claimName": f"c{i}"}}],
                    affinity={"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": [pin]}}},
                )
            )
        )
    assert len(known) == 1


def test_labels_count_where_a_rule_between_pods_reads_them() -> None:
    """Two pods with the same spec are of two kinds if a selector picks one of them."""
    cache, known = memo()
    term = [{"topologyKey": HOSTNAME, "labelSelector": CAST}]
    rule = {"podAntiAffinity": {REQUIRED: term}}
    like = typed(variant(metadata={"labels": {"app": "a"}}, affinity=rule))
    other = typed(variant(metadata={"labels": {"app": "b"}}, affinity=rule))
    mine, theirs = known.read(like)[0], known.read(other)[0]
    assert not mine.unsupported
    ask = cache.kinds.plan
    assert [len(cache.shapes[ask(r.shape)].rules.leaves) for r in (mine, theirs)] == [2, 1]
    assert not theirs.unsupported


def test_new_resources_widen_the_cache_and_those_nobody_wants_do_not() -> None:
    """Only a name with an amount is counted; what was known before keeps its number."""
    cache, known = memo()
    plain = known.read(typed(variant()))[0]
    wanted = box(**{GPU: "8", "example.com/nic": "0"})
    with_gpu = known.read(typed(variant(containers=[wanted])))[0]
    assert cache.shapes.resources.names == (CPU, MEMORY, GPU)
    assert cache.shapes[with_gpu.shape].requests == (0, 0, 8)
    assert known.read(typed(variant()))[0] is plain
    assert cache.shapes[plain.shape].requests == (1000, 0, 0)


def test_amounts_beyond_every_node_are_cut_off() -> None:
    """A thousand such pods on one node still add up within int64."""
    cache, known = memo()
    big = box(cpu="9007199254740992", memory="7Ei")
    reading = known.read(typed(variant(containers=[big, sidecar(memory="1Gi")])))[0]
    assert cache.shapes[reading.shape].requests == (MOST, MOST)
    assert not reading.problem
    assert not reading.unsupported
    assert MOST * 1024 < 2**63


def test_a_request_that_cannot_be_read_counts_as_all_that_it_names() -> None:
    """On its node it leaves nothing of these to others; while it waits it is not placed."""
    cache, known = memo()
    bad = variant(containers=[box(cpu="9E", **{GPU: "1"})], initContainers=[sidecar(memory="1Gi")])
    for node in ("", "n1"):
        bad["spec"]["nodeName"] = node
        reading = known.read(typed(bad))[0]
        assert cache.shapes.resources.names == (CPU, MEMORY, GPU)
        assert cache.shapes[reading.shape].requests == (MOST, MOST, MOST)
        assert reading.unsupported == (UNREADABLE,)
        assert "spec.cpu: 9E is out of range" in reading.problem


def test_kinds_of_resources_are_limited() -> None:
    """A pod that names too many is told so; what it names within the limit counts."""
    cache, known = memo()
    many = {f"example.com/d{i:03d}": "1" for i in range(MOST_RESOURCES)}
    reading = known.read(typed(variant(containers=[box(**many)])))[0]
    assert len(cache.shapes.resources) == MOST_RESOURCES
    assert sum(cache.shapes[reading.shape].requests) == MOST_RESOURCES - 2
    assert reading.unsupported == (UNREADABLE,)
    assert f"more than {MOST_RESOURCES} kinds" in reading.problem
    again = known.read(typed(variant()))[0]
    assert replace(cache.shapes[again.shape], requests=()) == Shape(())
