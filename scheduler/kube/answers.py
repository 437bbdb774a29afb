"""What an answer of the API server says, in one sentence for logs, /readyz and errors."""

from __future__ import annotations

import msgspec

from scheduler.errors import ApiUnavailableError
from scheduler.kube.transport import NO_ANSWER, Response

LONGEST = 300
"""Characters of a server's own words that are repeated; proxies answer with whole pages."""


class Status(msgspec.Struct):
    """metav1.Status: the body of every refusal, and the object of an ERROR event."""

    code: int = 0
    reason: str | None = None
    message: str | None = None


_STATUS = msgspec.json.Decoder(Status)


def status_of(body: bytes | msgspec.Raw) -> Status | None:
    """The Status that `body` holds; None if it is something else."""
    try:
        return _STATUS.decode(body)
    except msgspec.DecodeError:
        return None


def said(response: Response) -> str:
    """Why a request came to nothing: `403: pods is forbidden ...`, or what broke."""
    if response.status == NO_ANSWER:
        return response.error or "no answer"
    status = status_of(response.body)
    words = status.message or status.reason if status else None
    if not words:
        words = response.error or response.body.decode("utf-8", "replace")
    words = " ".join(words.split())[:LONGEST]
    return f"{response.status}: {words}" if words else str(response.status)


def unavailable(server: str, response: Response) -> ApiUnavailableError:
    """The error of a command that cannot go on without this answer."""
    what = f"the API server {server} answered {said(response)}"
    if response.status == NO_ANSWER:
        what = f"the API server {server} cannot be reached: {said(response)}"
        return ApiUnavailableError(what, "check its address, the network and the CA bundle")
    if response.status == 401:
        return ApiUnavailableError(what, "the credentials are missing, wrong or expired")
    if response.status == 403:
        return ApiUnavailableError(what, "grant this user the rights that the manifests list")
    return ApiUnavailableError(what)
