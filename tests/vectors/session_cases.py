"""Inputs of the vectors of clauses 6 to 8: frames, documents, papers of enrolment."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace

from cryptography.hazmat.primitives.asymmetric import ed25519

from protocol import authority, bundle, canonical, enrolment, envelope
from protocol.armour import TextForm, armour
from protocol.bundle import Scope, Suite
from protocol.canonical import Value, encode
from protocol.documents import DocumentClass, Member, RosterBody, Unit
from protocol.identity import DeviceClass, Role, binding_message
from protocol.ids import squad_id_of
from protocol.limits import Kind
from tests.vectors.seeds import (
    HEADER,
    KEY,
    NOW_MS,
    PREKEY,
    PUBLIC,
    Case,
    accepted,
    refused,
)

__all__ = ["binding_cases", "document_cases", "frame_cases", "frame_payload_cases", "paper_cases"]

# --- session and documents ---------------------------------------------------------------------


def frame_cases() -> Iterator[Case]:
    """A stream with each type of frame, one that is cut, and types that do not exist."""
    types = (1, 2, 3, 4, *range(0x10, 0x16), *range(0x20, 0x24), 0x30, 0x31, 0x3F)
    stream = b"".join(bytes([number, 0, 2, number, 0]) for number in types)
    yield accepted("6.2", "every type", stream.hex())
    yield accepted("6.1", "an empty payload", "040000")
    yield accepted("6.1", "a frame that is not whole yet", "3000080011223344")
    for number in (0x00, 0x06, 0x16, 0x24, 0x3E, 0xFF):
        yield refused("6.1", f"type {number:#04x}", f"{number:02x}0000")


LINE = b"\2" + (5).to_bytes(4, "big") + bytes(range(8))


def frame_payload_cases() -> Iterator[Case]:
    """One payload of each type that has a record, and records that break a rule."""
    hello = (1, [b"badge", b"issuer"], bytes(64), bytes(8), bytes(16))
    good: dict[str, Value] = {
        "HELLO": hello,
        "DOCUMENT_VERSIONS": [[1, b"", 1, 3], [2, b"\1\0\7squad-id", 1, 9]],
        "SUMMARY": [1, [[7, LINE], [8, b"\1" + LINE[1:] + LINE]]],
        "SYMBOLS": [1, 7, 2, 5, bytes(8), 0, 1, bytes(13)],
        "MORE": [1, 7, 2, 64, 128],
        "LIST": [1, 7, 2, 1, bytes(16)],
        "EQUAL": [1, [[7, 2], [7, 3]]],
        "ROUND_END": [2**32 - 1],
        "ACK": [3, [[0, 1], [2, 13]]],
        "BYE": [0],
    }
    for frame, value in good.items():
        yield accepted("6.2", frame, {"frame": frame, "payload": encode(value).hex()})
    for frame in ("WANT", "OFFER"):
        yield accepted("6.2", frame, {"frame": frame, "payload": bytes(range(16)).hex()})
        yield refused("6.2", f"{frame}: half an id", {"frame": frame, "payload": bytes(12).hex()})
    odd: list[tuple[str, str, Value]] = [
        ("HELLO", "another version", (2, *hello[1:])),
        ("HELLO", "no badge", (1, [], *hello[2:])),
        ("HELLO", "five certificates", (1, [b"x"] * 5, *hello[2:])),
        ("HELLO", "a short signature", (*hello[:2], bytes(63), *hello[3:])),
        ("SUMMARY", "zones out of order", [1, [[8, LINE], [7, LINE]]]),
        ("SUMMARY", "a class twice", [1, [[7, LINE + LINE]]]),
        ("SUMMARY", "a line too short", [1, [[7, LINE[:-1]]]]),
        ("SUMMARY", "class 5", [1, [[7, b"\5" + LINE[1:]]]]),
        ("SUMMARY", "zone 0", [1, [[0, LINE]]]),
        ("SUMMARY", "round 0", [0, [[7, LINE]]]),
        ("SYMBOLS", "a short set hash", [1, 7, 2, 5, bytes(7), 0, 1, b""]),
        ("MORE", "a field too few", [1, 7, 2, 64]),
        ("LIST", "last is 2", [1, 7, 2, 2, b""]),
        ("EQUAL", "class 5", [1, [[7, 5]]]),
        ("ROUND_END", "round 0", [0]),
        ("ACK", "refusals out of order", [3, [[2, 1], [0, 1]]]),
        ("ACK", "a code that does not exist", [3, [[0, 14]]]),
        ("ACK", "stored is no refusal", [3, [[0, 0]]]),
        ("BYE", "two codes", [0, 0]),
    ]
    for frame, what, value in odd:
        yield refused("6.2", f"{frame}: {what}", {"frame": frame, "payload": encode(value).hex()})


def binding_cases() -> Iterator[Case]:
    """A badge vouches for a link certificate."""
    certificate = b"link certificate"
    item = {"public_key": PUBLIC.hex(), "link_certificate": certificate.hex()}
    signature = KEY.sign(binding_message(certificate)).hex()
    yield accepted("6.3", "a binding", item | {"signature": signature})
    other = item | {"signature": signature, "link_certificate": b"another".hex()}
    yield refused("6.3", "another certificate", other)
    bare = KEY.sign(hashlib.sha256(certificate).digest()).hex()
    yield refused("6.3", "a signature without the domain", item | {"signature": bare})


def _roster() -> authority.SignedDocument:
    member = Member(PUBLIC, Role.AGENT, DeviceClass.PHONE, "alice")
    body = RosterBody(Unit.SQUAD, 7, squad_id_of(7, "Queyras"), "Queyras", (member,))
    signer = authority.document_signer(KEY)
    version = (1, 3)
    return authority.build(
        DocumentClass.ROSTER, body.scope, version, NOW_MS, body.encode(), [signer]
    )


def document_cases() -> Iterator[Case]:
    """A signed roster, and documents whose form is broken."""
    roster = _roster()
    key = {"public_key": PUBLIC.hex()}
    yield accepted("7.1", "a roster", key | {"document": roster.raw.hex()})
    signature = roster.signatures[0][1]
    signer = roster.signatures[0][0]
    inner = canonical.decode_untrusted(roster.signed, max_bytes=60_000)
    assert isinstance(inner, tuple)

    def signed(*fields: Value) -> bytes:
        part = encode(fields)
        return encode([part, [[signer, KEY.sign(b"meshnode document 1\0" + part)]]])

    for clause, what, raw in (
        ("7.1", "no signature", encode([roster.signed, []])),
        ("7.1", "17 signatures", encode([roster.signed, [[signer, signature]] * 17])),
        ("7.1", "a long signature", encode([roster.signed, [[signer, bytes(3_310)]]])),
        ("7.2", "a signature of something else", encode([roster.signed, [[signer, bytes(64)]]])),
        ("1.2", "version 2 of the form", signed(2, *inner[1:])),
        ("7.1", "class 0", signed(1, 0, *inner[2:])),
        ("7.1", "class 8", signed(1, 8, *inner[2:])),
        ("7.1", "epoch 0", signed(*inner[:3], 0, *inner[4:])),
        ("7.1", "version 0", signed(*inner[:4], 0, *inner[5:])),
        ("7.1", "a field too many", signed(*inner, 0)),
        ("7.1", "a trailing byte", roster.raw + b"\0"),
    ):
        yield refused(clause, what, key | {"document": raw.hex()})


def paper_cases() -> Iterator[Case]:
    """An invitation, its request, an answer, documents; and texts that were damaged."""
    invitation = enrolment.Invitation(
        token=b"token-01",
        secret=b"s" * 20,
        expires_s=NOW_MS // 1_000,
        root_hash=bytes(32),
        zone=7,
        role=Role.AGENT,
        device_class=DeviceClass.PHONE,
        name="alice",
        squads=("Queyras",),
    )
    header = replace(
        HEADER, suite=Suite.CLEAR, kind=Kind.PREKEY, scope=Scope.for_zone(7), keyref=b"", index=0
    )
    prekey = bundle.build(header, envelope.encode_prekey(PREKEY), KEY.sign).raw
    link = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32))
    request = enrolment.build_request(invitation, KEY, link, prekey)
    roster = _roster().raw
    chains = [b"badge", b"issuer"], [b"link", b"issuer"]
    answer = enrolment.build_answer(invitation, chains, [roster], [prekey], b"sealed secrets")
    texts = {
        "INVITATION": armour(TextForm.INVITATION, invitation.encode()),
        "REQUEST": armour(TextForm.REQUEST, request.encode()),
        "ANSWER": armour(TextForm.ANSWER, answer.encode()),
        "DOCUMENTS": enrolment.encode_documents([roster]),
    }
    for form, text in texts.items():
        yield accepted("8.1", form.lower(), {"form": form, "text": text})
    text = texts["INVITATION"]
    wrong = "b" if text[-1] == "a" else "a"
    for what, damaged in {
        "another word": "MESHR1" + text[6:],
        "a wrong check": text[:-1] + wrong,
        "a changed letter": text.replace("s", "t", 1) if "s" in text else text[::-1],
        "no end": text.partition("~")[0],
        "padding": text.replace("~", "=~"),
    }.items():
        yield refused("8.1", what, {"form": "INVITATION", "text": damaged})
    version_2 = armour(TextForm.INVITATION, encode((2, b"token-01")))
    yield refused("1.2", "version 2", {"form": "INVITATION", "text": version_2})
