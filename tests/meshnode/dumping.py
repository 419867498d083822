"""Things to explain, for tests of the explanation."""

from __future__ import annotations

import json
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from meshnode.dump import explain_untrusted
from protocol import authority
from protocol import bundle as bundles
from protocol.authority import DocumentClass, Member, RosterBody, Unit
from protocol.bundle import Bundle, Header, Scope, Suite
from protocol.identity import DeviceClass, Role
from protocol.ids import node_id_of, squad_id_of
from protocol.limits import (
    Kind,
)
from tests.meshnode.enrolling import (
    NOW_MS,
)

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key().public_bytes_raw()
AUTHOR = node_id_of(PUBLIC)
SQUAD = squad_id_of(7, "Queyras")
TEXT = b"come to the Col Agnel at noon"


def make_bundle(seq: int = 1, kind: Kind = Kind.TEXT, scope: Scope | None = None) -> Bundle:
    scope = scope or Scope.for_squad(7, SQUAD)
    header = Header(Suite.CLEAR, kind, AUTHOR, 5, seq, NOW_MS << 16 | 3, 3_600, scope, index=seq)
    return bundles.build(header, TEXT, KEY.sign)


def make_roster() -> bytes:
    member = Member(PUBLIC, Role.LEADER, DeviceClass.PHONE, "Marie")
    body = RosterBody(Unit.SQUAD, 7, SQUAD, "Queyras", (member,))
    signer = authority.document_signer(KEY)
    return authority.build(
        DocumentClass.ROSTER, body.scope, (1, 4), NOW_MS, body.encode(), [signer]
    ).raw


def explain(raw: bytes | str) -> dict[str, Any]:
    """Return what is said of `raw`, as it comes out of JSON."""
    data = raw.encode() if isinstance(raw, str) else raw
    found = explain_untrusted(data, "some file")
    assert (found["schema"], found["file"], found["file_bytes"]) == (1, "some file", len(data))
    assert json.loads(json.dumps(found)) == found
    loaded: dict[str, Any] = json.loads(json.dumps(found))
    return loaded


def assert_hides(found: dict[str, Any], *secrets: bytes | str) -> None:
    """Fail if a secret stands in the output in any of the forms that a program writes."""
    shown = json.dumps(found, ensure_ascii=False)
    for secret in secrets:
        raw = secret.encode() if isinstance(secret, str) else secret
        for form in (raw.hex(), repr(raw)[2:-1], raw.decode("utf-8", "replace"), f"{raw!r}"):
            assert form not in shown
