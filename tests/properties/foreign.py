"""Functions that read what a TAK server sends, with seeds; a part of the table of parsers."""

from __future__ import annotations

from meshnode.tak import cot
from protocol.errors import LimitExceededError, MalformedError
from tests.properties.table import Parser

__all__ = ["FOREIGN_PARSERS"]

_ERRORS = (MalformedError, LimitExceededError)
_EVENT = cot.write_event(
    cot.CotEvent(
        "ANDROID-1",
        "a-f-G-U-C",
        1_769_860_800_123,
        1_769_860_799_000,
        1_769_861_160_000,
        point=cot.Point(44.89, 6.64, 12.5),
        detail=(cot.Element("contact", (("callsign", "RESCUE 1"),)),),
    )
)


def _stream(data: bytes) -> object:
    return list(cot.EventStream().receive_untrusted(data))


def _point(data: bytes) -> object:
    names = ("lat", "lon", "ce")
    values = [*data.decode("utf-8", "replace").split(), "", "", ""]
    return cot._point_untrusted(cot.Element("point", tuple(zip(names, values, strict=False))))


def _time(data: bytes) -> object:
    return cot._time_ms_untrusted(data.decode("utf-8", "replace"))


FOREIGN_PARSERS: tuple[Parser, ...] = (
    Parser("meshnode.tak.cot.EventStream.receive_untrusted", _stream, (_EVENT,), _ERRORS),
    Parser("meshnode.tak.cot.read_event_untrusted", cot.read_event_untrusted, (_EVENT,), _ERRORS),
    Parser("meshnode.tak.cot._point_untrusted", _point, (b"44.89 6.64 12.5",), _ERRORS),
    Parser("meshnode.tak.cot._time_ms_untrusted", _time, (b"2026-01-31T12:00:00Z",), _ERRORS),
)
