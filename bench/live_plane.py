"""The cluster of `make bench-live`: the local control plane, static nodes, pods that wait.

Without controllers and kubelets, so that etcd, the API server and the scheduler have the machine;
ServiceAccount and TaintNodesByCondition admission are off, because nobody would make the service
account or take the taint away. Nodes and pods come from the Go generator: Python would be slower.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import go_tools
import yaml

from e2e import objects
from e2e.api import Api, Object
from e2e.local import LocalControlPlane, Options
from e2e.muster import RBAC
from e2e.objects import Machine, Template
from e2e.processes import Process

NAMESPACE = "bench"
GANG = "train"
MUSTER = "muster"
KUBE_SCHEDULER = "default-scheduler"
SPINES, LEAVES = 20, 10
CREATING = 32
"""Requests in flight while nodes and pods are made."""
NODE_WIDTH = 5
SETTLED_S = 6.0
"""Muster leaves nodes alone that are younger than 5 s."""
GATES = "GenericWorkload=true,GangScheduling=true"
ADMISSION_OFF = "--disable-admission-plugins=ServiceAccount,TaintNodesByCondition"
GANG_FLAGS = (
    "--runtime-config=scheduling.k8s.io/v1alpha2=true",
    f"--feature-gates={GATES}",
)


class LiveError(RuntimeError):
    """A run did not come to its end; the text says why."""


class Plane:
    """One control plane with `count` nodes and as many waiting pods; stopped by `stop`."""

    def __init__(self, folder: Path, *, gang: bool) -> None:
        """gang: the PodGroup API is served, and the pods are one gang."""
        flags = (ADMISSION_OFF, *(GANG_FLAGS if gang else ()))
        self.gang = gang
        self.local = LocalControlPlane(
            folder, Options(controllers=False, scheduler=False, kwok=False, apiserver_flags=flags)
        )
        self._nodes_made_s = 0.0

    @property
    def folder(self) -> Path:
        """Of certificates, data and logs."""
        return self.local.folder

    def start(self) -> None:
        """Starts it, and gives the user `muster` the rights that Muster needs."""
        self.local.start()
        self.api = Api(self.local.kubeconfig)
        self.api.create("/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
        role = next(iter(yaml.safe_load_all(RBAC.read_text(encoding="utf-8"))))
        version = "rbac.authorization.k8s.io/v1"
        self.api.create(self.api.path_of(version, "ClusterRole", ""), role)
        group = "rbac.authorization.k8s.io"
        binding = {
            "metadata": {"name": MUSTER},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": MUSTER},
            "subjects": [{"apiGroup": group, "kind": "User", "name": MUSTER}],
        }
        self.api.create(self.api.path_of(version, "ClusterRoleBinding", ""), binding)
        self.kubeconfig = self.local.kubeconfig_for(MUSTER)
        self.admin = self._credentials(self.local.kubeconfig)
        self.user = self._credentials(self.kubeconfig)

    def stop(self) -> None:
        """Stops every process; the folder stays."""
        self.local.stop()

    @property
    def servers(self) -> dict[str, Process]:
        """The processes that every scheduler shares."""
        return {name: self.local.processes.named(name) for name in ("kube-apiserver", "etcd")}

    # ---- objects

    def create_nodes(self, count: int) -> None:
        """Ready nodes in 20 spines of 10 leaves each; a call of the generator per leaf."""
        first: dict[tuple[str, str], Object] = {}
        many: dict[tuple[str, str], int] = {}
        start: dict[tuple[str, str], int] = {}
        fabric = objects.fabric(count, spines=SPINES, leaves=LEAVES, machine=Machine())
        for index, node in enumerate(fabric):
            labels = node["metadata"]["labels"]
            leaf = labels[objects.SPINE], labels[objects.LEAF]
            first.setdefault(leaf, node)
            start.setdefault(leaf, index)
            many[leaf] = many.get(leaf, 0) + 1
        for leaf, node in first.items():
            name = node["metadata"]["name"]
            body = json.dumps(node).replace(name, f"node-{{i:{NODE_WIDTH:02}}}")
            self._send("/api/v1/nodes", body, start[leaf], many[leaf])
        self._nodes_made_s = time.monotonic()

    def create_pods(self, count: int, scheduler: str, template: Template) -> None:
        """Waiting pods for `scheduler`: alone, or one gang in the way that it knows gangs."""
        spec: dict[str, Any] = {"schedulerName": scheduler}
        labels: dict[str, str] = {}
        if self.gang and scheduler == MUSTER:
            labels = {"muster.dev/gang": GANG, "muster.dev/gang-size": str(count)}
        elif self.gang:
            self._create_group(count)
            spec["schedulingGroup"] = {"podGroupName": GANG}
        pod = objects.pod(f"{GANG}-{{i}}", template.with_spec(**spec).with_labels(**labels))
        self._send(f"/api/v1/namespaces/{NAMESPACE}/pods", json.dumps(pod), 0, count)
        time.sleep(max(0.0, self._nodes_made_s + SETTLED_S - time.monotonic()))

    def _create_group(self, count: int) -> None:
        """The gang of kube-scheduler: a PodGroup that wants all of its pods."""
        version = "scheduling.k8s.io/v1alpha2"
        group = {
            "apiVersion": version,
            "kind": "PodGroup",
            "metadata": {"name": GANG},
            "spec": {"schedulingPolicy": {"gang": {"minCount": count}}},
        }
        self.api.create(self.api.path_of(version, "PodGroup", NAMESPACE), group)

    def _send(self, path: str, body: str, start: int, count: int) -> None:
        """POSTs `body` `count` times. Raises LiveError if one was refused."""
        file = self.folder / "body.json"
        file.write_text(body, encoding="utf-8")
        flags = ["-mode", "send", "-path", path, "-body", str(file)]
        flags += ["-from", str(start), "-count", str(count), "-c", str(CREATING)]
        answer = self.generate(flags, self.admin)
        if answer["ok"] != count:
            raise LiveError(f"POST {path}: {answer['codes']}")

    def generate(self, flags: Sequence[str], credentials: Sequence[str]) -> dict[str, Any]:
        """Runs the generator to its end; what it prints. Raises LiveError."""
        command = [*self.generator(credentials), *flags]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=600)
        if done.returncode:
            raise LiveError(f"the generator: {done.stderr.strip()}")
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def generator(self, credentials: Sequence[str]) -> list[str]:
        """The generator's command line up to what it is to do."""
        return [str(go_tools.build() / "generator"), "-server", self.local.server, *credentials]

    def _credentials(self, kubeconfig: Path) -> list[str]:
        """Flags of the generator."""
        user = yaml.safe_load(kubeconfig.read_text(encoding="utf-8"))["users"][0]["user"]
        authority = str(self.local.authority.certificate)
        return ["-ca", authority, "-cert", user["client-certificate"], "-key", user["client-key"]]


def cpu_s(pid: int) -> float:
    """CPU seconds of a process and of its children that have ended; 0 once it is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    except OSError:
        return 0.0
    fields = text.rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def peak_bytes(pid: int) -> int:
    """Highest resident memory of a process so far; 0 once it is gone."""
    try:
        text = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except OSError:
        return 0
    lines = (line.split() for line in text.splitlines() if line.startswith("VmHWM:"))
    return next((int(line[1]) << 10 for line in lines), 0)
