"""Cursor-on-Target: what is written is read back, and what a server sends is bounded."""

from __future__ import annotations

from xml.dom import minidom

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshnode.tak.cot import (
    EVENT_BYTES_MAX,
    Chat,
    CotEvent,
    Element,
    EventStream,
    Point,
    read_event_untrusted,
    write_event,
)
from protocol.errors import LimitExceededError, MalformedError, RemoteProtocolError

HERE = Point(44.8934567, -6.6412345, 12.5)
CHAT = (
    '<event version="2.0" uid="GeoChat.ANDROID-1.All Chat Rooms.77" type="b-t-f" how="h-g-i-g-o"'
    ' time="2026-01-31T12:00:00Z" start="2026-01-31T12:00:00.250Z" stale="2026-02-01T12:00:00Z">'
    '<point lat="0.0" lon="0.0" hae="9999999.0" ce="9999999.0" le="9999999.0"/><detail>'
    '<__chat parent="RootContactGroup" groupOwner="false" messageId="77" '
    'chatroom="All Chat Rooms" id="All Chat Rooms" senderCallsign="RESCUE 1">'
    '<chatgrp uid0="ANDROID-1" uid1="All Chat Rooms" id="All Chat Rooms"/></__chat>'
    '<link uid="ANDROID-1" type="a-f-G-U-C" relation="p-p"/>'
    '<remarks source="BAO.F.ATAK.ANDROID-1" to="All Chat Rooms">On est au col</remarks>'
    "</detail></event>"
)


def event(**more: object) -> CotEvent:
    fields: dict[str, object] = {
        "uid": "meshnode.X",
        "type": "a-f-G-U-C",
        "time_ms": 1_769_860_800_123,
        "start_ms": 1_769_860_799_000,
        "stale_ms": 1_769_861_160_000,
        "point": HERE,
        "detail": (Element("contact", (("callsign", "anna"),)),),
        **more,
    }
    return CotEvent(**fields)  # type: ignore[arg-type]


legal = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), max_size=60
)


@given(name=legal, text=legal, latitude=st.floats(-90, 90), longitude=st.floats(-180, 180))
def test_what_is_written_is_read_back(
    name: str, text: str, latitude: float, longitude: float
) -> None:
    detail = (Element("contact", (("callsign", name),)), Element("remarks", (), text))
    written = event(point=Point(latitude, longitude, 3.0), detail=detail)
    found = read_event_untrusted(write_event(written))
    assert (found.callsign, found.detail) == (name, detail)
    assert (found.time_ms, found.start_ms, found.stale_ms) == (
        written.time_ms,
        written.start_ms,
        written.stale_ms,
    )
    assert found.point.latitude == pytest.approx(latitude, abs=1e-7)
    assert found.point.longitude == pytest.approx(longitude, abs=1e-7)


@given(st.text(max_size=200))
def test_any_text_makes_a_document_that_others_read(text: str) -> None:
    """A control character in a message must not end the connection."""
    raw = write_event(event(detail=(Element("remarks", (("x", text),), text),)))
    minidom.parseString(raw).unlink()
    assert b"\n" not in raw or "\n" in text
    read_event_untrusted(raw)


def test_a_line_of_chat_is_found() -> None:
    found = read_event_untrusted(CHAT.encode())
    assert found.chat == Chat("All Chat Rooms", "RESCUE 1", "ANDROID-1", "77", "On est au col")
    assert found.start_ms - found.time_ms == 250
    assert event().chat is None


@given(st.binary(max_size=400))
def test_any_bytes_are_an_event_or_refused(raw: bytes) -> None:
    for data in (raw, b"<event " + raw, CHAT.encode()[:300] + raw):
        try:
            read_event_untrusted(data)
        except RemoteProtocolError:
            continue


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('lat="0.0"', 'lat="91"'),
        ('lat="0.0"', 'lat="nan"'),
        ('lat="0.0"', ""),
        ('lon="0.0"', 'lon="1e400"'),
        ('time="2026-01-31T12:00:00Z"', 'time="yesterday"'),
        ('time="2026-01-31T12:00:00Z"', 'time="0001-01-01T00:00:00+14:00"'),
        ('time="2026-01-31T12:00:00Z"', 'time="1969-01-01T00:00:00Z"'),
        ('type="b-t-f"', f'type="{"a" * 257}"'),
        ('uid="GeoChat.ANDROID-1.All Chat Rooms.77"', 'uid=""'),
        ("<point", "<pint"),
        ("<event ", '<!DOCTYPE event [<!ENTITY a "b">]><event '),
        ("<event ", '<!DOCTYPE event SYSTEM "file:///etc/passwd"><event '),
        ("On est au col", "&a;"),
        ("On est au col", "\x00"),
    ],
)
def test_what_cannot_be_is_refused(old: str, new: str) -> None:
    assert old in CHAT
    with pytest.raises(MalformedError):
        read_event_untrusted(CHAT.replace(old, new).encode())


@pytest.mark.parametrize(
    "inside",
    ["<a>" * 20 + "</a>" * 20, "<a/>" * 300, "x" * 17_000],
    ids=["deep", "many", "long"],
)
def test_what_is_too_much_is_refused(inside: str) -> None:
    with pytest.raises(LimitExceededError):
        read_event_untrusted(CHAT.replace("On est au col", inside).encode())


@given(st.lists(st.integers(1, 500), max_size=40))
def test_a_stream_is_cut_wherever_it_breaks(lengths: list[int]) -> None:
    """Declarations stand before some events, and blank lines between them."""
    raws = [write_event(event(uid=f"u{number}")) for number in range(4)]
    stream = b"\n".join(b'<?xml version="1.0" encoding="UTF-8"?>\n' + raw for raw in raws)
    reader, found, at = EventStream(), list[str](), 0
    for length in [*lengths, len(stream)]:
        pieces = reader.receive_untrusted(stream[at : at + length])
        found += [read_event_untrusted(each).uid for each in pieces]
        at += length
    assert found == ["u0", "u1", "u2", "u3"]


def test_an_event_that_never_ends_is_refused_at_its_bound() -> None:
    reader = EventStream()
    assert list(reader.receive_untrusted(b"<event>" + bytes(EVENT_BYTES_MAX - 7))) == []
    with pytest.raises(LimitExceededError):
        list(reader.receive_untrusted(b"x"))
    with pytest.raises(LimitExceededError):
        list(EventStream().receive_untrusted(b" " * EVENT_BYTES_MAX + b"</event>"))
