"""What became of a bundle at a receiver: codes as the wire format numbers them."""

from __future__ import annotations

import re
from pathlib import Path

from protocol import reports
from protocol.reports import Reception

WORDS = {
    "duplicate": Reception.DUPLICATE,
    "malformed": Reception.MALFORMED,
    "signature": Reception.BAD_SIGNATURE,
    "unknown author": Reception.UNKNOWN_AUTHOR,
    "expired": Reception.EXPIRED,
    "too far in the future": Reception.TOO_FAR_AHEAD,
    "quota": Reception.QUOTA,
    "store full": Reception.STORE_FULL,
    "equivocation": Reception.EQUIVOCATION,
    "superseded": Reception.SUPERSEDED,
    "revoked": Reception.REVOKED,
    "hop limit": Reception.HOP_LIMIT,
    "already receipted by all it is for": Reception.DELIVERED,
    "no shift": Reception.NO_SHIFT,
}


def test_codes_are_those_of_the_wire_format() -> None:
    page = Path(reports.__file__).parents[1] / "docs" / "reference" / "wire-format.md"
    (listed,) = re.findall(r"^6\.8 .* Codes: ([^.]*)\.", page.read_text("utf-8"), re.MULTILINE)
    codes = dict(item.split(" ", 1)[::-1] for item in listed.split(", "))
    assert codes == {words: str(code.value) for words, code in WORDS.items()}


def test_codes_have_no_gap_and_0_is_stored() -> None:
    assert [code.value for code in Reception] == list(range(len(Reception)))
    assert set(WORDS.values()) == set(Reception) - {Reception.STORED}


def test_a_receiver_holds_what_it_stored_or_had() -> None:
    held = {code for code in Reception if code.is_held}
    assert held == {Reception.STORED, Reception.DUPLICATE}
