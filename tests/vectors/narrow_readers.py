"""How the vectors of the narrow form are read: by the node, and by the reference."""

from __future__ import annotations

from typing import Any

from protocol import brief as briefs
from protocol import hlc
from protocol.bundle import Header, Scope, Suite
from protocol.limits import KINDS, Kind
from protocol.narrow.form import Background, Whole, decode_form_untrusted, restored
from protocol.narrow.radio import radio_key, unwrap_untrusted
from protocol.payloads import Position, Sos
from tests.reference import briefs as reference_briefs
from tests.reference import narrow as reference

__all__ = [
    "brief",
    "form",
    "radio",
    "reference_brief",
    "reference_form",
    "reference_radio",
]

Input = Any
"""JSON: an object of hexadecimal texts and numbers."""

AUTHOR, SCOPE = bytes(16), Scope.for_zone(7)


def _known(item: Input) -> tuple[bytes, int, bytes, bytes]:
    author, scope, keyref = (bytes.fromhex(item[name]) for name in ("author", "scope", "keyref"))
    return author, item["incarnation"], scope, keyref


def form(item: Input) -> object:
    """Return the container of a narrow form, and the name that it should have."""
    heard = decode_form_untrusted(bytes.fromhex(item["form"]))
    if isinstance(heard, Whole):
        return {"container": heard.raw}
    author, incarnation, scope, keyref = _known(item)
    known = Background(author, incarnation, Scope.decode_untrusted(scope), keyref)
    assert heard.name == known.name(heard.form)
    return {"container": restored(heard, known, item["now_ms"]), "name": heard.name}


def reference_form(item: Input) -> object:
    """Do as `form` does, by the page."""
    raw, known = bytes.fromhex(item["form"]), _known(item)
    output = {"container": reference.restore(raw, known, item["now_ms"])}
    if raw[0] // 64 < 3:
        output["name"] = reference.name(raw[0] // 64, known)
    return output


def radio(item: Input) -> object:
    """Return the form in a frame."""
    return unwrap_untrusted(bytes.fromhex(item["frame"]), [radio_key(bytes.fromhex(item["key"]))])


def reference_radio(item: Input) -> object:
    """Do as `radio` does, by RFC 5297."""
    return reference.open_siv(bytes.fromhex(item["key"]), bytes.fromhex(item["frame"]))


def brief(item: Input) -> object:
    """Return what a brief body says."""
    raw, kind = bytes.fromhex(item["plaintext"]), Kind(item["kind"])
    stamp, life_s = hlc.pack(item["stamp_ms"], 0), KINDS[kind].lifetime_s
    header = Header(Suite.ZONE, kind, AUTHOR, 1, 1, stamp, life_s, SCOPE, bytes(8))
    if kind is Kind.POSITION:
        found = briefs.open_position_untrusted(raw, header)
        assert isinstance(found, Position)
        return [found.taken_ms, found.latitude_e7, found.longitude_e7, found.accuracy_dm]
    sos = briefs.open_sos_untrusted(raw, header)
    assert isinstance(sos, Sos)
    said: dict[str, object] = {"step": sos.step, "round": sos.round, "alarm_id": sos.alarm_id}
    if sos.step:
        said |= {"basis": sos.basis, "outcome": sos.outcome, "raiser": sos.raiser}
    else:
        at = sos.place
        place = at and [at.taken_ms, at.latitude_e7, at.longitude_e7, at.accuracy_dm]
        said |= {"number": sos.number, "place": place}
    return said | {"text": sos.text}


def reference_brief(item: Input) -> object:
    """Do as `brief` does, by the page."""
    raw, stamp_ms = bytes.fromhex(item["plaintext"]), item["stamp_ms"]
    if item["kind"] == Kind.POSITION:
        return reference_briefs.read_place(raw, stamp_ms)
    return reference_briefs.read_sos(raw, stamp_ms)
