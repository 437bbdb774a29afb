"""A whole control plane as processes on loopback: what tests run against by default.

Shaped as in production: TLS, Node and RBAC authorization, service-account tokens signed by a key,
admission and API Priority and Fairness at their defaults, the real controllers with their own
service accounts, the default scheduler for pods that are not Muster's. Different are only: one
etcd without fsync, client limits of the controllers raised, and no heartbeats of fake nodes.
"""

from __future__ import annotations

import ssl
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import yaml
from cryptography.hazmat.primitives.asymmetric import ec

from e2e import binaries
from e2e.certs import Authority, Pair, write_key
from e2e.processes import Process, Processes, free_port, wait_until

LOOPBACK = "127.0.0.1"
SERVICE_RANGE = "10.96.0.0/16"
SERVICE_ADDRESS = "10.96.0.1"
READY_SECONDS = 60.0
QPS, BURST = 2_000, 4_000
"""Of the controllers and of kube-scheduler: their defaults take 4 minutes for 5,000 pods."""
KWOK_CONFIG = Path(__file__).resolve().parent / "kwok.yaml"


@dataclass(frozen=True, slots=True)
class Options:
    """What runs, and flags on top of ours (a later flag of the same name wins)."""

    controllers: bool = True
    scheduler: bool = True
    kwok: bool = True
    etcd_flags: tuple[str, ...] = ()
    apiserver_flags: tuple[str, ...] = ()
    controller_flags: tuple[str, ...] = ()
    scheduler_flags: tuple[str, ...] = ()

    def programs(self) -> list[str]:
        """The binaries that this needs."""
        optional = {
            "kube-controller-manager": self.controllers,
            "kube-scheduler": self.scheduler,
            "kwok": self.kwok,
        }
        return ["etcd", "kube-apiserver", "kubectl", *(name for name, on in optional.items() if on)]


class LocalControlPlane:
    """etcd, kube-apiserver and what `options` adds, with everything under `folder`.

    `kubeconfig` is the administrator's; `processes` may be given more to run and stop.
    """

    def __init__(self, folder: Path, options: Options | None = None) -> None:
        self.options = options or Options()
        self.binaries = binaries.find_or_build(self.options.programs())
        self.folder = folder
        self.logs = folder / "logs"
        self.authority = Authority(folder / "certs")
        self.port = free_port()
        self.server = f"https://{LOOPBACK}:{self.port}"
        self.processes = Processes(self.logs)
        self.kubeconfig = self.kubeconfig_for("admin", "system:masters")
        self._tls = ssl.create_default_context(cafile=str(self.authority.certificate))
        self._hosts = [LOOPBACK, "localhost", "kubernetes.default.svc", SERVICE_ADDRESS]
        self._service_account_key = folder / "certs" / "service-accounts.key"
        write_key(self._service_account_key, ec.generate_private_key(ec.SECP256R1()))

    def start(self) -> None:
        """Returns when every component says that it is ready.

        Raises ProcessError with the end of the log of the one that does not.
        """
        serving = self.authority.issue("kube-apiserver", hosts=self._hosts)
        etcd = self._start_etcd()
        apiserver = self._start_apiserver(etcd, serving)
        wait_until(
            "kube-apiserver",
            self._answers(f"{self.server}/readyz"),
            seconds=READY_SECONDS,
            process=apiserver,
        )
        starts = {
            self._start_controllers: self.options.controllers,
            self._start_scheduler: self.options.scheduler,
            self._start_kwok: self.options.kwok,
        }
        started = [start() for start, wanted in starts.items() if wanted]
        for process, url in started:
            ready = self._answers(url)
            wait_until(process.name, ready, seconds=READY_SECONDS, process=process)

    def stop(self) -> None:
        """Stops every process, the clients of the API server before it; folders stay."""
        self.processes.stop_all()

    def kubeconfig_for(self, user: str, group: str = "") -> Path:
        """A kubeconfig with a client certificate of that user."""
        path = self.folder / f"{user.replace(':', '_')}.kubeconfig"
        return self.authority.kubeconfig(path, self.server, user, group)

    def _answers(self, url: str) -> Callable[[], bool]:
        """A check that the URL answers 200."""

        def check() -> bool:
            try:
                with urllib.request.urlopen(url, timeout=2, context=self._tls) as response:
                    return bool(response.status == 200)
            except (urllib.error.URLError, OSError):
                return False

        return check

    def _start_etcd(self) -> str:
        """Starts etcd; returns its client URL."""
        client, peer = (f"http://{LOOPBACK}:{free_port()}" for _ in range(2))
        command = [
            str(self.binaries["etcd"]),
            f"--data-dir={self.folder / 'etcd'}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--unsafe-no-fsync",  # the data is thrown away, and many machines' disks are slow
            "--quota-backend-bytes=8589934592",
            "--log-level=warn",
            *self.options.etcd_flags,
        ]
        etcd = self.processes.start("etcd", command, grace_seconds=2)
        wait_until("etcd", self._answers(f"{client}/readyz"), seconds=READY_SECONDS, process=etcd)
        return client

    def _start_apiserver(self, etcd: str, serving: Pair) -> Process:
        """kube-apiserver; admission and APF are what it does without being told."""
        authority, key = self.authority.certificate, self._service_account_key
        command = [
            str(self.binaries["kube-apiserver"]),
            f"--etcd-servers={etcd}",
            f"--bind-address={LOOPBACK}",
            f"--advertise-address={LOOPBACK}",
            f"--secure-port={self.port}",
            f"--cert-dir={self.folder / 'certs'}",
            f"--tls-cert-file={serving.certificate}",
            f"--tls-private-key-file={serving.key}",
            f"--client-ca-file={authority}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={key}",
            f"--service-account-signing-key-file={key}",
            f"--service-cluster-ip-range={SERVICE_RANGE}",
            "--endpoint-reconciler-type=none",  # nobody reaches it as a Service
            "--delete-collection-workers=8",
            *self.options.apiserver_flags,
        ]
        # It waits for open watches on SIGTERM; there is nothing here worth waiting for.
        return self.processes.start("kube-apiserver", command, grace_seconds=1)

    def _component(self, name: str, user: str) -> tuple[list[str], str]:
        """Flags that the two clients of the API server share, and their health URL."""
        serving = self.authority.issue(f"{name}-serving", hosts=self._hosts)
        port = free_port()
        kubeconfig = self.kubeconfig_for(user)
        flags = [
            str(self.binaries[name]),
            f"--authentication-kubeconfig={kubeconfig}",
            f"--authorization-kubeconfig={kubeconfig}",
            f"--bind-address={LOOPBACK}",
            f"--secure-port={port}",
            f"--tls-cert-file={serving.certificate}",
            f"--tls-private-key-file={serving.key}",
            "--leader-elect=false",
        ]
        return flags, f"https://{LOOPBACK}:{port}/healthz"

    def _start_controllers(self) -> tuple[Process, str]:
        """kube-controller-manager with all default controllers, each as its service account."""
        name = "kube-controller-manager"
        flags, health = self._component(name, f"system:{name}")
        command = [
            *flags,
            f"--kubeconfig={self.folder / f'system_{name}.kubeconfig'}",
            f"--service-account-private-key-file={self._service_account_key}",
            f"--root-ca-file={self.authority.certificate}",
            "--use-service-account-credentials=true",
            f"--kube-api-qps={QPS}",
            f"--kube-api-burst={BURST}",
            "--node-monitor-grace-period=24h",  # fake nodes send no heartbeats: see kwok.yaml
            "--pvclaimbinder-sync-period=1s",  # claims that wait are looked at again: default 15 s
            "--controllers=*,-ttl-controller",  # a write a node that kubelets alone read
            *self.options.controller_flags,
        ]
        return self.processes.start(name, command, grace_seconds=2), health

    def _start_scheduler(self) -> tuple[Process, str]:
        """kube-scheduler with its default profile."""
        name = "kube-scheduler"
        flags, health = self._component(name, f"system:{name}")
        config = self.folder / "kube-scheduler.yaml"
        document = {
            "apiVersion": "kubescheduler.config.k8s.io/v1",
            "kind": "KubeSchedulerConfiguration",
            "leaderElection": {"leaderElect": False},
            "clientConnection": {
                "kubeconfig": str(self.folder / f"system_{name}.kubeconfig"),
                "qps": QPS,
                "burst": BURST,
            },
        }
        config.write_text(yaml.safe_dump(document))
        command = [*flags[:-1], f"--config={config}", *self.options.scheduler_flags]
        return self.processes.start(name, command, grace_seconds=2), health

    def _start_kwok(self) -> tuple[Process, str]:
        """kwok for the nodes annotated as fake; its stages must be given, it has none itself."""
        port = free_port()
        command = [
            str(self.binaries["kwok"]),
            f"--kubeconfig={self.kubeconfig_for('kwok', 'system:masters')}",
            f"--config={KWOK_CONFIG}",
            "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake",
            "--node-lease-duration-seconds=0",
            f"--server-address={LOOPBACK}:{port}",
        ]
        process = self.processes.start("kwok", command, grace_seconds=2)
        return process, f"http://{LOOPBACK}:{port}/healthz"
