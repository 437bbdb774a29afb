"""The other end of `server.py`: what `muster status`, `explain` and `snapshot` ask."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote
from urllib.request import ProxyHandler, build_opener

from scheduler.errors import ApiUnavailableError, MusterError, NotFoundError, UsageError

TIMEOUT_S = 30.0
"""For the connection, and for every piece of the answer."""


class Client:
    """Asks one running scheduler."""

    def __init__(self, address: str) -> None:
        """address: `HOST:PORT`."""
        self.address = address
        # It is on this machine, or at the end of a port-forward: never behind a proxy.
        self._opener = build_opener(ProxyHandler({}))

    def status(self) -> Any:
        """GET /status."""
        return self._json("/status")

    def gangs(self) -> Any:
        """GET /gangs."""
        return self._json("/gangs")

    def ready(self) -> Any:
        """GET /readyz: {ok, checks}, also while it is not ready."""
        return self._json("/readyz", wanted=(HTTPStatus.OK, HTTPStatus.SERVICE_UNAVAILABLE))

    def explain(self, name: str) -> Any:
        """GET /explain/NAMESPACE/KIND/NAME. Raises NotFoundError."""
        return self._json("/explain/" + "/".join(quote(part, safe="") for part in name.split("/")))

    @contextmanager
    def snapshot(self, scheduler: str = "") -> Iterator[http.client.HTTPResponse]:
        """GET /snapshot: the tar while it comes.

        Raises UsageError if no scheduler is named and it is several, NotFoundError if it is none
        that is called so.
        """
        query = f"?scheduler={quote(scheduler, safe='')}" if scheduler else ""
        with self._get(f"/snapshot{query}", "application/x-tar") as response:
            yield response

    def _json(self, path: str, wanted: tuple[int, ...] = (HTTPStatus.OK,)) -> Any:
        with self._get(path, "application/json", wanted) as response:
            data = response.read()
        try:
            return json.loads(data)
        except ValueError as error:
            raise self._no_scheduler("what answers is no scheduler") from error

    @contextmanager
    def _get(
        self, path: str, kind: str, wanted: tuple[int, ...] = (HTTPStatus.OK,)
    ) -> Iterator[Any]:
        """The answer; raises MusterErrors, also for a connection that breaks while it is read."""
        self._opener.addheaders = [("Accept", kind)]
        try:
            try:
                response = self._opener.open(f"http://{self.address}{path}", timeout=TIMEOUT_S)
            except HTTPError as error:
                if error.code not in wanted:
                    raise self._refusal(error) from error
                response = error
            with response:
                yield response
        except URLError as error:
            reason = getattr(error.reason, "strerror", None) or error.reason
            raise self._no_scheduler(str(reason).lower()) from error
        except (OSError, http.client.HTTPException) as error:
            raise self._no_scheduler(str(error) or type(error).__name__) from error
        except ValueError as error:
            raise self._no_scheduler("it is no address") from error

    def _no_scheduler(self, why: str) -> ApiUnavailableError:
        do = "start `muster run`, forward its port, or name another --address"
        return ApiUnavailableError(f"no scheduler answers at {self.address}: {why}", do)

    def _refusal(self, error: HTTPError) -> MusterError:
        try:
            said = json.loads(error.read())
            what, hint = str(said["error"]), str(said["hint"])
        except (ValueError, KeyError, TypeError, OSError):
            what, hint = f"{self.address} says {error.code} {error.reason}", ""
        if error.code == HTTPStatus.NOT_FOUND:
            return NotFoundError(what, hint)
        if error.code == HTTPStatus.BAD_REQUEST:
            return UsageError(what, hint)
        return ApiUnavailableError(what, hint)
