"""Where the API server is and who we are, as kubectl and pods find it out.

The `kubernetes` package reads kubeconfigs (exec plugins, certificates, tokens) and the service
account of a pod; what is here says in one sentence what is wrong with them, and keeps
credentials fresh: `refresh` once a minute where they rotate, `renew` after a 401.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml
from kubernetes.client import Configuration
from kubernetes.config import ConfigException, incluster_config, kube_config

from scheduler.errors import ApiUnavailableError, BadInputError

REFRESH_US = 60_000_000
"""How often credentials that rotate are read again; the kubelet replaces a bound token early."""
# The package is half typed: its loaders are not.
_load_kubeconfig: Callable[..., None] = kube_config.load_kube_config
_load_in_pod: Callable[..., None] = incluster_config.load_incluster_config
DEFAULT = Path("~/.kube/config")
ROTATE = ("exec", "auth-provider", "tokenFile", "client-certificate")
"""Credentials of a kubeconfig's user that may change while we run."""
IN_POD = "KUBERNETES_SERVICE_HOST"


@dataclass(frozen=True, slots=True)
class Access:
    """How to speak to the server at the moment. What is empty was not given.

    ca, certificate, key: PEM. Their content, not their files: what has been replaced in its file
    must not be mistaken for what connections and TLS sessions were opened with.
    rotates: whether the credentials are to be looked at again once a minute.
    """

    server: str
    headers: tuple[str, ...] = field(default=(), repr=False)
    ca: bytes = field(default=b"", repr=False)
    certificate: bytes = field(default=b"", repr=False)
    key: bytes = field(default=b"", repr=False)
    verify: bool = True
    tls_server_name: str = ""
    proxy: str = ""
    rotates: bool = False


class Connection:
    """One API server. `access` is replaced as a whole, so that any thread may read it.

    load: reads everything anew. refresh: looks whether credentials have expired or changed.
    Both block (they read files and may start a credential plugin) and raise MusterError.
    """

    def __init__(
        self, load: Callable[[], Access], refresh: Callable[[Access], Access] | None = None
    ) -> None:
        self._load = load
        self._refresh = refresh or (lambda _: load())
        self.access = load()

    @property
    def server(self) -> str:
        """URL without a slash at its end."""
        return self.access.server

    def headers(self) -> list[str]:
        """Header lines that say who we are."""
        return list(self.access.headers)

    def renew(self) -> None:
        """The server did not accept the credentials: gets new ones. Raises MusterError."""
        self.access = self._load()

    def refresh(self) -> None:
        """Reads credentials that rotate; nothing happens if none do. Raises MusterError."""
        if self.access.rotates:
            fresh = self._refresh(self.access)
            if fresh != self.access:
                self.access = fresh

    def close(self) -> None:
        """Nothing more is asked of it; files made of inline certificates go with the process."""


def load(kubeconfig: Path | None = None, context: str | None = None) -> Connection:
    """The connection that kubectl would use.

    Taken: `kubeconfig`, else $KUBECONFIG (several files joined by colons are merged), else
    ~/.kube/config, else the service account of the pod that we run in. Nothing is sent yet.
    Raises BadInputError for a file that is missing or wrong, ApiUnavailableError where there is
    nothing to connect to, or a credential plugin fails.
    """
    files = _files(kubeconfig)
    if files:
        config = _KubeConfig(files, context)
        return Connection(config.load, config.refresh)
    if os.environ.get(IN_POD):
        return Connection(_in_pod)
    raise ApiUnavailableError(
        f"no API server: $KUBECONFIG is not set, {DEFAULT} does not exist, and this is no pod",
        "name a kubeconfig with --kubeconfig",
    )


def _files(kubeconfig: Path | None) -> list[Path]:
    if kubeconfig is not None:
        given = [kubeconfig]
    else:
        named = os.environ.get("KUBECONFIG", "")
        given = [Path(name) for name in named.split(os.pathsep) if name]
        if not given:
            default = DEFAULT.expanduser()
            return [default] if default.exists() else []
    found = [path.expanduser() for path in given if path.expanduser().exists()]
    if not found:
        raise BadInputError(given[0], None, "no such file", "name a kubeconfig that exists")
    return found


def _in_pod() -> Access:
    configuration = Configuration()
    try:
        _load_in_pod(client_configuration=configuration)
        access = _access(configuration, {})
    except (ConfigException, OSError) as error:
        raise ApiUnavailableError(f"the pod's service account cannot be used: {error}") from error
    return replace(access, rotates=True)


class _KubeConfig:
    """A kubeconfig and the context that is used of it."""

    def __init__(self, files: Sequence[Path], context: str | None) -> None:
        self._files = files
        self._context = context
        self._configuration = Configuration()

    @property
    def _file(self) -> Path:
        return self._files[0]

    def load(self) -> Access:
        """Everything, read anew; a credential plugin is run."""
        context, user, cluster = self._chosen()
        self._configuration = Configuration()
        with _errors() as heard:
            try:
                _load_kubeconfig(
                    config_file=os.pathsep.join(map(str, self._files)),
                    context=context,
                    client_configuration=self._configuration,
                    persist_config=False,
                )
                found = _access(self._configuration, user)
            except (ConfigException, OSError, ValueError, TypeError, KeyError) as error:
                raise BadInputError(self._file, None, str(error), "check this context") from error
        if "exec" in user and not found.headers and not found.certificate:
            raise self._no_credentials(user["exec"], heard)
        rotates = any(key in user for key in ROTATE)
        return replace(found, proxy=cluster.get("proxy-url") or "", rotates=rotates)

    def refresh(self, access: Access) -> Access:
        """Credentials that have expired, or whose file may have changed, read anew."""
        _, user, _ = self._chosen()
        if "exec" not in user and "auth-provider" not in user:
            return self.load()
        with _errors() as heard:
            # Asking for the key lets the package replace one that has expired.
            token = self._configuration.get_api_key_with_prefix("BearerToken")
        if heard:
            raise self._no_credentials(user.get("exec"), heard)
        return replace(access, headers=_headers(token, user))

    def _no_credentials(self, plugin: object, heard: Sequence[str]) -> ApiUnavailableError:
        command = plugin.get("command") if isinstance(plugin, Mapping) else None
        why = "; ".join(heard) or "it gave neither a token nor a certificate"
        return ApiUnavailableError(
            f"the credential plugin {command or 'of the kubeconfig'} of {self._file} failed: {why}",
            "run it by hand, or log in again",
        )

    def _chosen(self) -> tuple[str, dict[str, Any], dict[str, Any]]:
        """Name of the context, its user and its cluster. The first file that says it wins."""
        documents = [_read(path) for path in self._files]
        current = next((d["current-context"] for d in documents if d.get("current-context")), None)
        name = self._context or current
        if not name:
            raise BadInputError(self._file, None, "no current-context", "name one with --context")
        contexts = _by_name(documents, "contexts", "context")
        if name not in contexts:
            known = ", ".join(sorted(contexts)) or "none"
            raise BadInputError(self._file, None, f"no context named {name!r}", f"it has {known}")
        context = contexts[name]
        clusters = _by_name(documents, "clusters", "cluster")
        cluster = clusters.get(context.get("cluster"))
        if not cluster or not cluster.get("server"):
            what = f"context {name!r} names cluster {context.get('cluster')!r}, which has no server"
            raise BadInputError(self._file, None, what, "add it, or use another context")
        users = _by_name(documents, "users", "user")
        return str(name), users.get(context.get("user"), {}), cluster


def _read(path: Path) -> dict[str, Any]:
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise BadInputError(path, None, f"cannot be read: {error}") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        what = getattr(error, "problem", None) or "this is not YAML"
        raise BadInputError(path, mark and mark.line + 1, f"no valid YAML: {what}") from error
    if not isinstance(found, dict):
        raise BadInputError(path, None, "this is no kubeconfig", "it must hold contexts and users")
    return found


def _by_name(
    documents: Sequence[Mapping[str, Any]], section: str, part: str
) -> dict[Any, dict[str, Any]]:
    found: dict[Any, dict[str, Any]] = {}
    for document in documents:
        entries = document.get(section) or ()
        for entry in entries if isinstance(entries, list) else ():
            if isinstance(entry, dict) and "name" in entry:
                value = entry.get(part)
                found.setdefault(entry["name"], value if isinstance(value, dict) else {})
    return found


def _access(configuration: Configuration, user: Mapping[str, Any]) -> Access:
    return Access(
        server=str(configuration.host).rstrip("/"),
        headers=_headers(configuration.api_key.get("BearerToken"), user),
        ca=_content(configuration.ssl_ca_cert),
        certificate=_content(configuration.cert_file),
        key=_content(configuration.key_file),
        verify=bool(configuration.verify_ssl),
        tls_server_name=configuration.tls_server_name or "",
    )


def _content(file: str | None) -> bytes:
    return Path(file).read_bytes() if file else b""


def _headers(token: str | None, user: Mapping[str, Any]) -> tuple[str, ...]:
    """Authorization, and whom to impersonate (which the package does not read)."""
    found: list[tuple[str, str]] = []
    if token:
        # Files of tokens end in a line break.
        found.append(("Authorization", token.strip()))
    if user.get("as"):
        found.append(("Impersonate-User", user["as"]))
    if user.get("as-uid"):
        found.append(("Impersonate-Uid", user["as-uid"]))
    found += [("Impersonate-Group", group) for group in user.get("as-groups") or ()]
    for key, values in (user.get("as-user-extra") or {}).items():
        found += [(f"Impersonate-Extra-{quote(key, safe='')}", value) for value in values or ()]
    for name, value in found:
        if "\n" in str(value) or "\r" in str(value):
            raise ApiUnavailableError(f"the credentials hold a line break in {name}")
    return tuple(f"{name}: {value}" for name, value in found)


@contextmanager
def _errors() -> Iterator[list[str]]:
    """Collects what the package only logs: it swallows the errors of credential plugins."""
    heard: list[str] = []

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            heard.append(record.getMessage())

    ear = Ear(logging.ERROR)
    root = logging.getLogger()
    root.addHandler(ear)
    try:
        yield heard
    finally:
        root.removeHandler(ear)
