"""The error family: whose fault it is, what goes on the wire, which facts it carries."""

from __future__ import annotations

import pytest

from protocol import errors
from protocol.errors import (
    ClockDriftError,
    CloseCode,
    DocumentError,
    EnrolmentError,
    EnvelopeError,
    IdentityError,
    LimitExceededError,
    LocalProtocolError,
    MalformedError,
    MeshError,
    ProtocolError,
    RemoteProtocolError,
    UnsupportedVersionError,
)

CLASSES = [value for value in vars(errors).values() if isinstance(value, type)]
FAMILY = [cls for cls in CLASSES if issubclass(cls, MeshError)]


def test_every_error_can_be_caught_as_one_family() -> None:
    defined = [cls for cls in CLASSES if cls.__module__ == errors.__name__]
    assert [cls for cls in defined if issubclass(cls, Exception)] == FAMILY
    assert set(errors.__all__) == {cls.__name__ for cls in defined}


@pytest.mark.parametrize(
    ("parent", "children"),
    [
        (ProtocolError, "Local Remote"),
        (RemoteProtocolError, "Malformed LimitExceeded Authentication ClockDrift"),
        (EnvelopeError, "NoKey Tampered"),
        (IdentityError, "NotEnrolled Expired Rights WeakKey"),
        (DocumentError, "StaleDocument Equivocation Threshold"),
    ],
)
def test_branches_keep_fault_apart(parent: type[MeshError], children: str) -> None:
    named = {cls.__name__.removesuffix("Error").removesuffix("Protocol") for cls in FAMILY}
    assert set(children.split()) <= named
    for cls in FAMILY:
        is_child = cls.__name__.removesuffix("Error").removesuffix("Protocol") in children.split()
        assert not is_child or issubclass(cls, parent)
    assert not issubclass(LocalProtocolError, RemoteProtocolError)
    assert not issubclass(EnvelopeError, ProtocolError)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ProtocolError(), 9),
        (LocalProtocolError(), 9),
        (RemoteProtocolError(), 6),
        (MalformedError(), 2),
        (LimitExceededError("items", 1, 2), 3),
        (errors.AuthenticationError(), 4),
        (UnsupportedVersionError("HELLO", 2), 5),
        (ClockDriftError(2, 1), 11),
    ],
    ids=lambda value: type(value).__name__,
)
def test_close_codes_are_those_of_the_wire_format(error: ProtocolError, code: int) -> None:
    assert error.close_code == CloseCode(code)


def test_close_codes_have_no_gap() -> None:
    assert [code.value for code in CloseCode] == list(range(12))


def test_facts_are_in_fields_and_in_the_sentence() -> None:
    limit = LimitExceededError("bundle bytes", 65_000, 65_001)
    assert (limit.limit_name, limit.limit, limit.actual) == ("bundle bytes", 65_000, 65_001)
    assert str(limit) == "bundle bytes is 65001, the limit is 65000"
    drift = ClockDriftError(700_000, 600_000)
    assert (drift.ahead_ms, drift.drift_ms_max) == (700_000, 600_000)
    assert "700000 ms" in str(drift)
    version = UnsupportedVersionError("the peer's HELLO", 9)
    assert (version.what, version.version) == ("the peer's HELLO", 9)
    assert "version 9" in str(version)
    enrolment = EnrolmentError("used", "this invitation was used")
    assert (enrolment.reason, str(enrolment)) == ("used", "this invitation was used")
