"""What reads bytes of the air: narrow forms, their seal, and the brief bodies inside."""

from __future__ import annotations

from protocol import brief, hlc
from protocol.bundle import Header, Scope, Suite
from protocol.errors import (
    AuthenticationError,
    LimitExceededError,
    MalformedError,
    TamperedError,
)
from protocol.limits import KINDS, Kind
from protocol.narrow import form, radio
from protocol.payloads import Position, Sos, SosPlace
from tests.properties.table import Parser

__all__ = ["NARROW_PARSERS"]

NOW_MS = 1_800_000_000_000
NODE, SQUAD = bytes(range(16)), Scope.for_squad(7, bytes(8))
SHORT = bytes([form.Form.POSITION << 6]) + bytes(range(1, 105))
ALARM = bytes([form.Form.SOS << 6]) + bytes(range(1, 120))
RADIO_KEY = radio.radio_key(bytes(32))
HEADER = Header(
    Suite.CHAIN,
    Kind.POSITION,
    NODE,
    1,
    1,
    hlc.pack(NOW_MS, 0),
    KINDS[Kind.POSITION].lifetime_s,
    SQUAD,
    bytes(8),
)
POSITION = brief.seal_position(Position(NODE, SQUAD.encode(), NOW_MS - 9, 1, 2, 3), HEADER)
PLACE = SosPlace(NOW_MS - 70_000, 1, 2, 3)
RAISED = brief.seal_sos(
    Sos(NODE, SQUAD.encode(), "À l'aide", b"alarm-id", 0, number=1, place=PLACE), HEADER
)
CLOSED = brief.seal_sos(
    Sos(NODE, SQUAD.encode(), "", b"alarm-id", 4, raiser=NODE, basis=1, outcome=1), HEADER
)
OPENING = (MalformedError, LimitExceededError, TamperedError)


def _container(data: bytes) -> bytes:
    heard = form.decode_form_untrusted(data)
    if isinstance(heard, form.Whole):
        return heard.raw
    return form.restored(heard, form.Background(NODE, 1, SQUAD, bytes(8)), NOW_MS)


NARROW_PARSERS: tuple[Parser, ...] = (
    Parser(
        "narrow.form.decode_form_untrusted",
        _container,
        (SHORT, ALARM, bytes([form.Form.WHOLE << 6]) + SHORT),
    ),
    Parser(
        "narrow.radio.unwrap_untrusted",
        lambda data: radio.unwrap_untrusted(data, [RADIO_KEY]),
        (radio.wrap(RADIO_KEY, SHORT, 0),),
        (MalformedError, LimitExceededError, AuthenticationError),
    ),
    Parser(
        "brief.open_position_untrusted",
        lambda data: brief.open_position_untrusted(data, HEADER),
        (POSITION,),
        OPENING,
    ),
    Parser(
        "brief.open_sos_untrusted",
        lambda data: brief.open_sos_untrusted(data, HEADER),
        (RAISED, CLOSED),
        OPENING,
    ),
)
