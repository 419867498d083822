"""Readers of the centre's orders and of what a chain proves, for the table of parsers."""

from __future__ import annotations

from collections.abc import Callable

from protocol import bundle, certificates, orders, witnessed
from protocol.canonical import Value, encode
from protocol.limits import Kind
from tests.properties.table import Parser, value_of
from tests.protocol.test_witnessed import BADGE, LINK, PASS, PROOF

__all__ = ["ORDER_PARSERS"]

ENTRY = encode([bytes(16), 1_800_000_000_000, 7, 12])
LIST = orders.RevocationBody((orders.Revocation(bytes(16), 5, 7, 12),)).encode()
WIPE = orders.WipeBody(orders.WipeLevel.ALL, (bytes(16), b"b" * 16)).encode()
BEACON = orders.BeaconBody(7, bytes(8)).encode()


def of_value(read: Callable[[Value], object]) -> Callable[[bytes], object]:
    """Read bytes as the canonical form of a value."""
    return lambda data: read(value_of(data))


ORDER_PARSERS: tuple[Parser, ...] = (
    Parser("orders.decode_revocation_untrusted", orders.decode_revocation_untrusted, (LIST,)),
    Parser("orders.decode_wipe_untrusted", orders.decode_wipe_untrusted, (WIPE,)),
    Parser("orders.decode_beacon_untrusted", orders.decode_beacon_untrusted, (BEACON,)),
    Parser("orders._entry_untrusted", of_value(orders._entry_untrusted), (ENTRY,)),
    Parser("orders._record_untrusted", orders._record_untrusted, (LIST, WIPE)),
    Parser(
        "witnessed.decode_erasure_untrusted",
        witnessed.decode_erasure_untrusted,
        (PROOF.encode(),),
    ),
    Parser("witnessed.decode_pass_untrusted", witnessed.decode_pass_untrusted, (PASS.encode(),)),
    Parser(
        "witnessed.member_of_pass_untrusted",
        lambda data: witnessed.member_of_pass_untrusted(witnessed.decode_pass_untrusted(data)),
        (PASS.encode(),),
    ),
    Parser(
        "witnessed._chain_untrusted",
        of_value(witnessed._chain_untrusted),
        (encode(BADGE), encode(LINK)),
    ),
    Parser("witnessed._record_untrusted", witnessed._record_untrusted, (PROOF.encode(),)),
    Parser(
        "certificates.issuer_key_untrusted", certificates.issuer_key_untrusted, (BADGE[1], LINK[1])
    ),
    Parser("certificates.badge_key_untrusted", certificates.badge_key_untrusted, (BADGE[0],)),
    Parser("certificates._parsed_untrusted", certificates._parsed_untrusted, BADGE),
    Parser(
        "bundle._lifetime_s_untrusted",
        lambda data: bundle._lifetime_s_untrusted(value_of(data), Kind.TEXT),
        (encode(0), encode(600), encode(604_800)),
    ),
)
