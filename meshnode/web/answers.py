"""What the web interface answers: JSON with its schema, and errors in the reader's language.

Every error of the node has a family, which gives the status and the stable word. What is not in
the table counts as its nearest base.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from starlette.responses import Response

from meshnode.directory import UnknownNameError
from meshnode.errors import (
    ControlError,
    KeystoreError,
    LeaseEndedError,
    LinkError,
    LockedError,
    QuotaError,
    SecretDelayedError,
    SendError,
    StoreError,
    WebError,
    WipedError,
    WrongSecretError,
)
from meshnode.language import translated
from meshnode.stick import StickError
from protocol.errors import (
    EnvelopeError,
    LimitExceededError,
    MeshError,
    ProtocolError,
    RemoteProtocolError,
)

__all__ = [
    "FAMILIES",
    "REFUSALS",
    "SCHEMA",
    "Family",
    "RefusedError",
    "bare",
    "error_answer",
    "family_of",
    "language_of",
    "told",
]

SCHEMA: Final = 1
"""Version of every answer; it rises when a field changes its meaning or goes."""


@dataclass(frozen=True, slots=True)
class Family:
    """How an error is answered."""

    status: int
    """HTTP status."""
    kind: str
    """Stable word for programs; empty where the error's own reason is the word."""


REFUSALS: Final[Mapping[str, tuple[int, str]]] = MappingProxyType(
    {
        "body": (400, "the body is not what this route takes: {what}"),
        "depth": (400, "the body is nested deeper than {what}"),
        "no_session": (401, "sign in first: 'meshnode web open' gives the address"),
        "wrong_key": (401, "this code, token or secret is wrong, used or too old"),
        "origin": (403, "this request comes from another site"),
        "csrf": (403, "this request lacks the word of its session"),
        "role": (403, "this needs the role {what}"),
        "person": (403, "this takes {what}"),
        "typed": (400, "type the name {what}, which is the first one, to go on"),
        "unknown_request": (404, "no such request: it was ended, or its time is over"),
        "request_state": (409, "this request is {what} already"),
        "order_other": (409, "this order is not what was confirmed: {what}"),
        "order_refused": (409, "this node does not take the order: {what}"),
        "requests_full": (429, "{what} requests wait: bring one to its end first"),
        "unknown_route": (404, "there is nothing at this address"),
        "method": (405, "this address does not take that method"),
        "size": (413, "this is larger than {what} bytes"),
        "host": (421, "this node is not served under that name"),
        "locked": (423, "the device is locked"),
        "streams": (429, "too many screens follow this node already"),
        "defect": (500, "a defect of this program; the node goes on"),
        "busy": (503, "too many requests at once: try again in a moment"),
        "slow": (503, "this took too long: try again in a moment"),
    }
)
"""What the web interface itself refuses: status and sentence by its stable word."""

FAMILIES: Final[Mapping[type[MeshError], Family]] = MappingProxyType(
    {
        UnknownNameError: Family(404, "unknown_name"),
        SendError: Family(409, ""),
        LimitExceededError: Family(413, "limit"),
        RemoteProtocolError: Family(400, "malformed"),
        LockedError: Family(423, "locked"),
        LeaseEndedError: Family(423, "lease_ended"),
        WipedError: Family(423, "wiped"),
        WrongSecretError: Family(403, "wrong_secret"),
        SecretDelayedError: Family(429, "secret_delayed"),
        KeystoreError: Family(503, "keystore"),
        QuotaError: Family(429, "quota"),
        StoreError: Family(503, "store"),
        StickError: Family(409, "stick"),
        EnvelopeError: Family(409, "envelope"),
        LinkError: Family(503, "link"),
        ControlError: Family(409, ""),
        WebError: Family(409, "web"),
        ProtocolError: Family(500, "defect"),
        MeshError: Family(409, "refused"),
    }
)
"""Status and word of each kind of error of the node."""

_STATUS_BY_REASON: Final[Mapping[str, int]] = MappingProxyType(
    {
        **dict.fromkeys(("unknown", "unknown_file", "unknown_sheet", "alarm"), 404),
        **dict.fromkeys(("priority", "place", "state", "who", "device", "hours", "lifetime"), 400),
        **dict.fromkeys(("empty", "params", "part", "self", "zone"), 400),
        **dict.fromkeys(("long", "too_large", "file_size"), 413),
        "no_right": 403,
    }
)
"""Where the reason says more than the class: bad input, an unknown name, a missing right."""


class RefusedError(WebError):
    """The web interface refused a request; `kind` is a word of `REFUSALS`."""

    def __init__(self, kind: str, what: object = "") -> None:
        self.status, self.sentence = REFUSALS[kind]
        super().__init__(self.sentence.format(what=what))
        self.kind = kind
        self.what = what


def told(**fields: Any) -> Response:
    """Return an answer that holds these fields beside its schema."""
    return _json({"schema": SCHEMA, **fields}, 200)


def bare(record: Mapping[str, Any], media: str = "application/json") -> Response:
    """Return an answer whose fields another standard names."""
    return _json(record, 200, media)


def error_answer(error: MeshError, language: str) -> Response:
    """Return the answer for an error, with its sentence in `language`."""
    family = family_of(error)
    found = {"kind": family.kind, "message": translated(language, str(error)) or family.kind}
    answer = _json({"schema": SCHEMA, "error": found}, family.status)
    if isinstance(error, SecretDelayedError):
        answer.headers["Retry-After"] = str(-(-error.wait_ms // 1000))
    elif family.status in (429, 503):
        answer.headers["Retry-After"] = "1"
    if family.status == 401:
        answer.headers["WWW-Authenticate"] = "Bearer"
    return answer


def family_of(error: MeshError) -> Family:
    """Return how an error is answered: by its class, or by its reason where that says more."""
    if isinstance(error, RefusedError):
        return Family(error.status, error.kind)
    found = next(FAMILIES[each] for each in type(error).__mro__ if each in FAMILIES)
    reason = getattr(error, "kind" if isinstance(error, ControlError) else "reason", "")
    word = found.kind or str(reason)
    return Family(_STATUS_BY_REASON.get(word, found.status), word)


def language_of(accepted: str) -> str:
    """Return the language that an `Accept-Language` prefers of French and English; French if none.

    The order of the list counts, as every browser writes it; weights do not.
    """
    for part in accepted[:200].split(","):
        name = part.split(";")[0].split("-")[0].strip().lower()
        if name in ("fr", "en"):
            return name
    return "fr"


def _json(record: Mapping[str, Any], status: int, media: str = "application/json") -> Response:
    text = json.dumps(record, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    # Half a character, which a message may hold, becomes its JSON escape again.
    raw = text.encode("utf-8", "backslashreplace")
    return Response(raw, status, media_type=media)
