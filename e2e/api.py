"""The tests' own client of the API server: JSON in and out, many requests at a time.

Connection and credentials are what the `kubernetes` package makes of a kubeconfig; its models are
left out, because tests create thousands of objects. Nothing of Muster is used here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import urllib3
from kubernetes.client import ApiClient, Configuration
from kubernetes.config import new_client_from_config
from urllib3.util import Retry, Timeout

Object = dict[str, Any]
"""A Kubernetes object or list as JSON."""

T = TypeVar("T")
R = TypeVar("R")

JSON = "application/json"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
WATCHES = 4
"""Connections that open watches keep besides."""
# The API server says when to come back (429); it has done nothing then, so a POST may be repeated.
RETRIES = Retry(
    total=None,
    connect=3,
    read=0,
    redirect=0,
    status=10,
    other=0,
    allowed_methods=None,
    status_forcelist=[429],
    backoff_factor=0.1,
    raise_on_status=False,
)


class ApiError(Exception):
    """The API server refused; `status` is the HTTP code, `reason` that of its Status object."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason


class Stream:
    """An open watch: iterate over its lines; `stop` ends the iteration from another thread."""

    def __init__(self, response: urllib3.BaseHTTPResponse) -> None:
        self._response = response
        self._stopped = False

    def __iter__(self) -> Iterator[bytes]:
        rest = b""
        try:
            for chunk in self._response.stream(65_536):
                if self._stopped:
                    return
                *lines, rest = (rest + chunk).split(b"\n")
                yield from lines
        except (urllib3.exceptions.HTTPError, OSError, ValueError):
            if not self._stopped:
                raise
        finally:
            self._response.close()

    def stop(self) -> None:
        """Ends a read that is waiting for the next event; what comes after is not to be read.

        The flag goes first: shutting a TLS socket down makes it hand out what is still encrypted.
        """
        self._stopped = True
        with suppress(ValueError, RuntimeError, OSError, urllib3.exceptions.HTTPError):
            self._response.shutdown()


class Api:
    """A client for one kubeconfig (None: $KUBECONFIG, then ~/.kube/config)."""

    def __init__(self, kubeconfig: Path | None = None, connections: int = 32) -> None:
        self.connections = connections
        configuration = Configuration()
        configuration.connection_pool_maxsize = connections + WATCHES
        self.client: ApiClient = new_client_from_config(  # type: ignore[no-untyped-call]
            config_file=str(kubeconfig) if kubeconfig else None,
            client_configuration=configuration,
        )
        self.server: str = configuration.host
        self.authority: str | None = configuration.ssl_ca_cert
        self._configuration = configuration
        self._pool: urllib3.PoolManager = self.client.rest_client.pool_manager
        self.resource = cache(self._resource)

    def request(
        self,
        method: str,
        path: str,
        body: Object | None = None,
        content_type: str = JSON,
        **query: str,
    ) -> Any:
        """The answer's JSON. Raises ApiError for every status from 300 on."""
        response = self._pool.request(
            method,
            self._url(path, query),
            body=None if body is None else json.dumps(body).encode(),
            headers={**self._headers(), "Content-Type": content_type},
            timeout=Timeout(connect=5, read=60),
            retries=RETRIES,
        )
        return _answer(response.status, response.data)

    def get(self, path: str, **query: str) -> Any:
        """GET."""
        return self.request("GET", path, None, JSON, **query)

    def items(self, path: str, **query: str) -> list[Object]:
        """The items of a list."""
        found: list[Object] = self.get(path, **query)["items"]
        return found

    def create(self, path: str, body: Object) -> Object:
        """POST."""
        created: Object = self.request("POST", path, body)
        return created

    def patch(self, path: str, body: Object, content_type: str = MERGE) -> Object:
        """PATCH; a merge patch unless `content_type` says otherwise."""
        patched: Object = self.request("PATCH", path, body, content_type=content_type)
        return patched

    def delete(self, path: str, body: Object | None = None, **query: str) -> None:
        """DELETE of an object or, with a selector, of a collection; what is gone is fine."""
        try:
            self.request("DELETE", path, body, JSON, **query)
        except ApiError as error:
            if error.status != 404:
                raise

    def create_all(self, path: str, bodies: Iterable[Object]) -> list[Object]:
        """Many POSTs at a time, answers in the order of `bodies`; the first refusal is raised."""
        return self.in_parallel(lambda body: self.create(path, body), bodies)

    def in_parallel(self, call: Callable[[T], R], arguments: Iterable[T]) -> list[R]:
        """Calls with up to `connections` in flight; answers in the order of `arguments`."""
        with ThreadPoolExecutor(self.connections) as pool:
            return list(pool.map(call, arguments))

    def watch(self, path: str, **query: str) -> Stream:
        """An open watch from `resourceVersion` on, with bookmarks. Raises ApiError."""
        query = {"watch": "1", "allowWatchBookmarks": "true", **query}
        response = self._pool.request(
            "GET",
            self._url(path, query),
            headers=self._headers(),
            timeout=Timeout(connect=5, read=None),
            preload_content=False,
            retries=RETRIES,
        )
        if response.status != 200:
            _answer(response.status, response.data)
        return Stream(response)

    def path_of(self, api_version: str, kind: str, namespace: str) -> str:
        """Path of the collection that holds objects of this kind (found by discovery)."""
        name, namespaced = self.resource(api_version, kind)
        root = _group_path(api_version)
        return f"{root}/namespaces/{namespace}/{name}" if namespaced else f"{root}/{name}"

    def _resource(self, api_version: str, kind: str) -> tuple[str, bool]:
        """Name of the kind's resource, and whether it has namespaces."""
        for found in self.get(_group_path(api_version))["resources"]:
            if found["kind"] == kind and "/" not in found["name"]:
                return found["name"], found["namespaced"]
        raise ApiError(404, "NotFound", f"the server has no {kind} in {api_version}")

    def _url(self, path: str, query: Mapping[str, str]) -> str:
        """The whole URL; a path may come with a query of its own."""
        return f"{self.server}{path}" + (f"?{urlencode(query, quote_via=quote)}" if query else "")

    def _headers(self) -> dict[str, str]:
        """Accept and, where the kubeconfig has a token, the token as it is now."""
        headers = {"Accept": "application/json"}
        token = self._configuration.auth_settings().get("BearerToken")
        if token:
            headers["Authorization"] = token["value"] or ""
        return headers


def _group_path(api_version: str) -> str:
    """`/api/v1` or `/apis/GROUP/VERSION`."""
    return f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"


def _answer(status: int, data: bytes) -> Any:
    """The JSON of a success. Raises ApiError with what the Status object says otherwise."""
    if status < 300:
        return json.loads(data)
    try:
        document = json.loads(data)
    except ValueError:
        document = {}
    if not isinstance(document, dict):
        document = {}
    message = document.get("message") or data[:500].decode(errors="replace")
    raise ApiError(status, document.get("reason", ""), message)
