"""Requests of the binder: the Bindings of a batch, and the read of one pod.

What all members of a batch share is escaped once; a bind then costs a few string additions.
"""

from __future__ import annotations

import re
from urllib.parse import quote

import msgspec

from scheduler.kube.batch import Batch
from scheduler.kube.transport import Request

GANG = "muster.dev/placed-gang"
RANK = "muster.dev/placed-rank"
DOMAIN = "muster.dev/placed-domain"
"""Annotations that ride along and are merged into the pod; the rank is a decimal number."""

_escaped = msgspec.json.Encoder().encode
_all_plain = re.compile(r"[a-z0-9.-]*").fullmatch
"""Names put together: what DNS names are made of needs no quoting."""


class BindRequests:
    """The requests of one batch, made when they are needed.

    `?timeout=` ends a bind on the server when the client gives up waiting for it, so that it
    cannot land long after.
    """

    __slots__ = ("_after_name", "_after_uid", "_batch", "_before_name", "_path", "_plain", "_query",
                 "_ranks", "_timeout_us")  # fmt: skip

    def __init__(self, batch: Batch, timeout_us: int) -> None:
        """timeout_us: of each request, at least 1,000."""
        self._batch = batch
        self._timeout_us = timeout_us
        self._ranks: list[int] = batch.ranks.tolist()
        self._plain = _all_plain("".join(batch.names)) is not None
        self._path = f"/api/v1/namespaces/{quote(batch.namespace, safe='')}/pods/"
        self._query = f"/binding?timeout={timeout_us // 1_000}ms"
        annotations = _escaped({GANG: batch.gang, DOMAIN: batch.domain})[:-1]
        self._before_name = (
            b'{"apiVersion":"v1","kind":"Binding","metadata":{"annotations":'
            + annotations + b',"' + RANK.encode() + b'":"'
        )  # fmt: skip
        self._after_name = b',"namespace":' + _escaped(batch.namespace) + b',"uid":'
        self._after_uid = b'},"target":{"apiVersion":"v1","kind":"Node","name":'

    def bind(self, index: int) -> Request:
        """POST of the Binding of member `index` of the batch."""
        batch = self._batch
        name = batch.names[index]
        body = (
            b'%b%d"},"name":%b%b%b%b%b}}' % (
                self._before_name, self._ranks[index], _escaped(name), self._after_name,
                _escaped(batch.uids[index]), self._after_uid, _escaped(batch.nodes[index]),
            )
        )  # fmt: skip
        path = self._path + self._segment(name) + self._query
        return Request("POST", path, body, timeout_us=self._timeout_us)

    def read(self, index: int) -> Request:
        """GET of the pod of member `index`: a consistent read, not one from a cache."""
        path = self._path + self._segment(self._batch.names[index])
        return Request("GET", path, timeout_us=self._timeout_us)

    def _segment(self, name: str) -> str:
        return name if self._plain else quote(name, safe="")
