"""The error family shared by every room, with the close codes that go on the wire.

MeshError                        every error that is meant to be caught
├── ProtocolError                .close_code for the wire
│   ├── LocalProtocolError       we called the protocol wrongly for its state
│   └── RemoteProtocolError      the peer is at fault; its session ends
│       ├── MalformedError       bytes do not decode, or not canonically
│       ├── LimitExceededError   .limit_name .limit .actual
│       ├── AuthenticationError  signature, certificate or channel is wrong
│       ├── ClockDriftError      a stamp is too far in the future
│       └── UnsupportedVersionError
├── EnvelopeError                NoKeyError (keep, retry later), TamperedError (drop)
├── IdentityError                NotEnrolledError, ExpiredError, RightsError, WeakKeyError
├── DocumentError                .reason: StaleDocumentError, EquivocationError, ThresholdError …
└── EnrolmentError               .reason: used, expired, tries, altered, known_key …

The node adds its own branches in `meshnode/errors.py`. Source: STYLE 17-20.
"""

from __future__ import annotations

from enum import IntEnum

__all__ = [
    "AuthenticationError",
    "ClockDriftError",
    "CloseCode",
    "DocumentError",
    "EnrolmentError",
    "EnvelopeError",
    "EquivocationError",
    "ExpiredError",
    "IdentityError",
    "LimitExceededError",
    "LocalProtocolError",
    "MalformedError",
    "MeshError",
    "NoKeyError",
    "NotEnrolledError",
    "ProtocolError",
    "RemoteProtocolError",
    "RightsError",
    "StaleDocumentError",
    "TamperedError",
    "ThresholdError",
    "UnsupportedVersionError",
    "WeakKeyError",
]


class CloseCode(IntEnum):
    """Reason a session ended, as it goes on the wire. Source: wire-format 6.9."""

    NORMAL = 0
    GOING_AWAY = 1
    MALFORMED = 2
    LIMIT_EXCEEDED = 3
    NOT_AUTHENTICATED = 4
    VERSION = 5
    UNEXPECTED_FRAME = 6
    TIMEOUT = 7
    DUPLICATE_SESSION = 8
    INTERNAL = 9
    REFUSED = 10
    CLOCK_DRIFT = 11


class MeshError(Exception):
    """Any error that the program is meant to catch and explain."""


class ProtocolError(MeshError):
    """A rule of the protocol was broken, by us or by the peer."""

    close_code = CloseCode.INTERNAL


class LocalProtocolError(ProtocolError):
    """We called the protocol in a way its state does not allow: a defect of ours."""


class RemoteProtocolError(ProtocolError):
    """The peer is at fault; its session ends and the fault is counted."""

    close_code = CloseCode.UNEXPECTED_FRAME


class MalformedError(RemoteProtocolError):
    """Bytes that do not decode, or that decode but are not the one canonical form."""

    close_code = CloseCode.MALFORMED


class LimitExceededError(RemoteProtocolError):
    """A stated bound of `protocol.limits` was passed."""

    close_code = CloseCode.LIMIT_EXCEEDED

    def __init__(self, limit_name: str, limit: int, actual: int) -> None:
        super().__init__(f"{limit_name} is {actual}, the limit is {limit}")
        self.limit_name = limit_name
        self.limit = limit
        self.actual = actual


class AuthenticationError(RemoteProtocolError):
    """A signature, a certificate or the binding to the channel is wrong."""

    close_code = CloseCode.NOT_AUTHENTICATED


class ClockDriftError(RemoteProtocolError):
    """A stamp lies further ahead of our clock than the stated bound."""

    close_code = CloseCode.CLOCK_DRIFT

    def __init__(self, ahead_ms: int, drift_ms_max: int) -> None:
        super().__init__(f"stamp is {ahead_ms} ms ahead, the bound is {drift_ms_max} ms")
        self.ahead_ms = ahead_ms
        self.drift_ms_max = drift_ms_max


class UnsupportedVersionError(RemoteProtocolError):
    """The peer or the bytes speak a version that this build does not know."""

    close_code = CloseCode.VERSION

    def __init__(self, what: str, version: int) -> None:
        super().__init__(f"{what} has version {version}, which this build does not know")
        self.what = what
        self.version = version


class EnvelopeError(MeshError):
    """Sealed content could not be opened."""


class NoKeyError(EnvelopeError):
    """The key for this content is not here; keep the bundle and retry later."""


class TamperedError(EnvelopeError):
    """The tag does not match: content or header was changed; drop it."""


class IdentityError(MeshError):
    """A badge does not allow what was asked."""


class NotEnrolledError(IdentityError):
    """No certificate chain leads from this badge to a trusted authority."""


class ExpiredError(IdentityError):
    """The certificate is not valid at this time."""


class RightsError(IdentityError):
    """A certificate claims rights that its issuer cannot give."""


class WeakKeyError(IdentityError):
    """A public key that must never be accepted (small order, or all zero)."""


class DocumentError(MeshError):
    """An authority document is not acceptable; `reason` is one stable word."""

    reason = "content"

    def __init__(self, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason or self.reason


class StaleDocumentError(DocumentError):
    """Its version is not above the one already held."""

    reason = "stale"


class EquivocationError(DocumentError):
    """Same version, other content: the signer said two things."""

    reason = "equivocal"


class ThresholdError(DocumentError):
    """Too few distinct signers that the root document names for this class."""

    reason = "signatures"


class EnrolmentError(MeshError):
    """An enrolment step was refused; `reason` is one stable word."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
