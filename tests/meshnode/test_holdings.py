"""The signed answer to what a device holds."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from meshnode.holdings import HoldingsReport, read_signed_untrusted, report_of, sign
from meshnode.store.purging import RULES, Holding
from meshnode.vault.kinds import DataKind
from protocol.canonical import encode
from protocol.errors import AuthenticationError, RemoteProtocolError

KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
PUBLIC = KEY.public_key().public_bytes_raw()
FIGURES = st.integers(0, 2**62)
HOLDINGS = st.lists(
    st.builds(Holding, st.sampled_from(DataKind), *[FIGURES] * 6), max_size=len(DataKind)
)


def signed(found: list[Holding]) -> tuple[HoldingsReport, bytes]:
    report = report_of(b"n" * 16, 1_800_000_000_000, found)
    return report, sign(report, KEY.sign)


@given(HOLDINGS)
def test_a_signed_report_is_read_again(found: list[Holding]) -> None:
    report, raw = signed(found)
    assert read_signed_untrusted(raw, PUBLIC) == report
    assert [line.rule for line in report.lines] == [RULES[each.kind].sentence for each in found]


@given(st.data())
def test_any_changed_bit_is_refused(data: st.DataObject) -> None:
    raw = bytearray(signed([Holding(DataKind.MESSAGE, 3, 1, 2, 3, 4, 5)])[1])
    bit = data.draw(st.integers(0, 8 * len(raw) - 1))
    raw[bit // 8] ^= 1 << bit % 8
    with pytest.raises(RemoteProtocolError):
        read_signed_untrusted(bytes(raw), PUBLIC)


@given(st.binary(max_size=300))
def test_any_bytes_are_refused(raw: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        read_signed_untrusted(raw, PUBLIC)


def test_another_hand_is_refused() -> None:
    other = Ed25519PrivateKey.from_private_bytes(b"o" * 32)
    with pytest.raises(AuthenticationError):
        read_signed_untrusted(signed([])[1], other.public_key().public_bytes_raw())


@pytest.mark.parametrize(
    "record", [[2, b"n" * 16, 1, []], [1, b"n", 1, []], [1, b"n" * 16, 1, [[99, b"", *[0] * 6]]]]
)
def test_a_record_of_another_form_is_refused(record: list[object]) -> None:
    raw = encode(record)  # type: ignore[arg-type]
    signature = KEY.sign(b"meshnode holdings 1\0" + raw)
    with pytest.raises(RemoteProtocolError):
        read_signed_untrusted(encode([raw, signature]), PUBLIC)


def test_a_report_is_plain_values() -> None:
    report, _raw = signed([Holding(DataKind.MESSAGE, 3, 1, 2, 4, 5, 6)])
    (line,) = report.as_json()["held"]
    assert line == {
        "kind": "message",
        "tier": "agent",
        "rule": RULES[DataKind.MESSAGE].sentence,
        "count": 3,
        "oldest_ms": 1,
        "last_purge_ms": 2,
        "next_purge_ms": 4,
        "purged_rows": 5,
        "dropped_keys": 6,
    }
