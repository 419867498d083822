"""What a squad message costs beyond its plaintext: header, signature, seal and framing, exactly.

The plaintext is the payload of wire-format 4.10 before padding. Source: wire-format 4.18.
"""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from protocol import bundle as bundles
from protocol import hlc, payloads
from protocol.bundle import Bundle, Header, Scope, Suite
from protocol.chains import new_chain
from protocol.envelope import pad, seal_message
from protocol.ids import node_id_of, squad_id_of
from protocol.limits import (
    CHAIN_MESSAGES_MAX,
    KINDS,
    MESSAGE_LIFETIME_S_MAX,
    TEXT_BYTES_MAX,
    Kind,
)

NOW_MS = 1_800_000_000_000
KEY = ed25519.Ed25519PrivateKey.from_private_bytes(bytes([7]) * 32)
AUTHOR = node_id_of(KEY.public_key().public_bytes_raw())
SCOPE = Scope.for_squad(7, squad_id_of(7, "Queyras"))
CHAIN = new_chain(bytes(32))
USUAL_S = KINDS[Kind.TEXT].lifetime_s
SHORT, LONG = 91, TEXT_BYTES_MAX
"""The longest text whose body has its length in one byte, and the longest of all."""
PROMISED_BYTES = 150


def payload_of(text_bytes: int) -> bytes:
    return payloads.encode(payloads.Text(AUTHOR, SCOPE.encode(), "x" * text_bytes))


def message(text_bytes: int, seq: int, index: int, lifetime_s: int = USUAL_S) -> Bundle:
    """Return a squad text as a node makes it."""
    header = Header(
        suite=Suite.CHAIN,
        kind=Kind.TEXT,
        author=AUTHOR,
        incarnation=2**32 - 1,
        seq=seq,
        hlc=hlc.pack(NOW_MS, 0),
        lifetime_s=lifetime_s,
        scope=SCOPE,
        keyref=CHAIN.chain_id,
        index=index,
    )
    sealed = seal_message(bytes(32), header.encode(), pad(payload_of(text_bytes)))
    return bundles.build(header, sealed, KEY.sign)


def cost(text_bytes: int, seq: int, index: int, lifetime_s: int = USUAL_S) -> int:
    """Return the bytes of a container beyond plaintext and padding."""
    made = message(text_bytes, seq, index, lifetime_s)
    return len(made.raw) - len(pad(payload_of(text_bytes)))


@pytest.mark.parametrize("text_bytes", [1, 20, 60, SHORT, SHORT + 1, 200, 1_000, LONG])
@pytest.mark.parametrize("seq", [1, 127, 128, 255, 256, 2**15, 2**16 - 1])
@pytest.mark.parametrize("index", [0, 127, 128, 255, 256, CHAIN_MESSAGES_MAX - 1])
def test_a_squad_message_costs_150_bytes_at_most(text_bytes: int, seq: int, index: int) -> None:
    assert cost(text_bytes, seq, index) <= PROMISED_BYTES


@pytest.mark.parametrize(
    ("text_bytes", "seq", "index", "lifetime_s", "bytes_beyond"),
    [
        (SHORT, 1, 0, USUAL_S, 145),
        (SHORT, 2**16 - 1, 2**7 - 1, USUAL_S, 147),
        (LONG, 2**16 - 1, 2**7 - 1, USUAL_S, 148),
        (SHORT, 2**16 - 1, CHAIN_MESSAGES_MAX - 1, USUAL_S, 149),
        (LONG, 2**16 - 1, CHAIN_MESSAGES_MAX - 1, USUAL_S, 150),
        # Beyond the promise: more than 65,535 bundles of one store, and a lifetime written out.
        (LONG, 2**32 - 1, CHAIN_MESSAGES_MAX - 1, MESSAGE_LIFETIME_S_MAX, 156),
        (LONG, 2**64 - 1, CHAIN_MESSAGES_MAX - 1, MESSAGE_LIFETIME_S_MAX, 160),
    ],
)
def test_every_byte_beyond_the_plaintext_is_accounted_for(
    text_bytes: int, seq: int, index: int, lifetime_s: int, bytes_beyond: int
) -> None:
    assert cost(text_bytes, seq, index, lifetime_s) == bytes_beyond


def test_the_payload_around_a_text_has_36_or_37_bytes() -> None:
    """Author and scope are repeated inside: wire-format 4.10."""
    assert len(payload_of(255)) == 255 + 36
    assert len(payload_of(256)) == 256 + 37


def test_a_body_of_a_short_text_has_its_length_in_one_byte() -> None:
    assert len(message(SHORT, 1, 0).body) == 128 + 16
    assert len(message(SHORT + 1, 1, 0).body) == 256 + 16
