"""The papers of a unit authority: each is one hand's word, and no byte of it can be changed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.armour import TextForm, armour, unarmour_untrusted
from protocol.canonical import encode
from protocol.delegation import (
    Issued,
    UnitGrant,
    UnitReport,
    UnitRequest,
    build_grant,
    build_report,
    build_unit_request,
    decode_grant_untrusted,
    decode_report_untrusted,
    decode_unit_request_untrusted,
    issuer_id_untrusted,
    load_unit_key_untrusted,
    verify_grant,
    verify_report,
)
from protocol.envelope import HpkeSealer
from protocol.errors import (
    AuthenticationError,
    IdentityError,
    LimitExceededError,
    MalformedError,
    RemoteProtocolError,
)
from protocol.ids import squad_id_of
from protocol.issuing import RegionalAuthority, make_regional, make_root, make_unit, public_key_der
from protocol.limits import MEMBERS_MAX, SQUADS_PER_BADGE_MAX
from protocol.orders import issuer_id

NOW_MS = 1_800_000_000_000
ROOT = make_root(NOW_MS)
REGION: RegionalAuthority = make_regional(ROOT, 7, NOW_MS)
KEY = ec.generate_private_key(ec.SECP256R1())
UNIT = make_unit(REGION, 7, [squad_id_of(7, "Queyras")], NOW_MS, KEY)
PUBLIC = public_key_der(KEY.public_key())
PREKEY = HpkeSealer().make_prekey(NOW_MS)[1]
ISSUED = Issued(b"badge", b"link", "Léa", ("Queyras",), b"prekey", NOW_MS, bytes(16))


def request() -> UnitRequest:
    return build_unit_request(KEY, PREKEY, b"12345678")


def grant() -> UnitGrant:
    return build_grant(
        b"12345678",
        (UNIT.badge_issuer, UNIT.link_issuer),
        UNIT.regional,
        (7, "Briançon", ("Queyras",)),
        b"sealed",
        REGION.key,
    )


def report(*issued: Issued) -> UnitReport:
    return build_report(issuer_id(PUBLIC), issued, KEY)


def read_grant(text: str) -> None:
    verify_grant(decode_grant_untrusted(text))


def read_report(text: str) -> None:
    verify_report(decode_report_untrusted(text), UNIT.badge_issuer)


def read_request(text: str) -> None:
    decode_unit_request_untrusted(text)


PAPERS: list[tuple[TextForm, str, Callable[[str], None]]] = [
    (TextForm.UNIT_REQUEST, request().text, read_request),
    (TextForm.UNIT_GRANT, grant().text, read_grant),
    (TextForm.UNIT_REPORT, report(ISSUED).text, read_report),
]


def test_papers_come_back_as_they_went() -> None:
    assert decode_unit_request_untrusted(request().text).public_key == PUBLIC
    sent = grant()
    assert decode_grant_untrusted(sent.text) == sent
    assert (sent.zone, sent.centre_name, sent.squads) == (7, "Briançon", ("Queyras",))
    for issued in ((), (ISSUED, ISSUED)):
        written = report(*issued)
        assert decode_report_untrusted(written.text) == written
        assert written.issued == issued
    for _form, text, read in PAPERS:
        read(text)


def test_a_code_stands_for_the_whole_request() -> None:
    first, other = request(), build_unit_request(KEY, PREKEY, b"87654321")
    assert first.code == decode_unit_request_untrusted(first.text).code
    assert len(first.code) == 20, "six digits are met by another request in a minute"
    assert first.inner != other.inner


@pytest.mark.parametrize(("form", "text", "read"), PAPERS, ids=lambda each: str(each)[:20])
def test_no_single_bit_can_be_changed(
    form: TextForm, text: str, read: Callable[[str], None]
) -> None:
    raw = unarmour_untrusted(form, text)
    step = max(1, len(raw) * 8 // 300)
    for bit in range(0, len(raw) * 8, step):
        changed = bytearray(raw)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises((RemoteProtocolError, IdentityError)):
            read(armour(form, bytes(changed)))


@given(st.binary(max_size=300))
@settings(deadline=None)
def test_any_bytes_are_a_paper_or_the_named_error(raw: bytes) -> None:
    for form, _text, read in PAPERS:
        for outer in (raw, encode([raw, b"signature"])):
            with pytest.raises((MalformedError, LimitExceededError)):
                read(armour(form, outer))


def test_another_hand_signs_nothing() -> None:
    stranger = ec.generate_private_key(ec.SECP256R1())
    with pytest.raises(AuthenticationError):
        read_report(build_report(issuer_id(PUBLIC), (ISSUED,), stranger).text)
    forged = build_grant(
        b"12345678",
        (UNIT.badge_issuer, UNIT.link_issuer),
        UNIT.regional,
        (7, "Briançon", ("Queyras",)),
        b"sealed",
        KEY,
    )
    with pytest.raises(AuthenticationError):
        read_grant(forged.text)


def test_only_a_p256_key_in_its_one_form_is_a_units() -> None:
    assert public_key_der(load_unit_key_untrusted(PUBLIC)) == PUBLIC
    other = ec.generate_private_key(ec.SECP384R1()).public_key()
    for der in (public_key_der(other), b"", PUBLIC + b"\0", PUBLIC[:-1]):
        with pytest.raises(MalformedError):
            load_unit_key_untrusted(der)
    assert issuer_id_untrusted(UNIT.badge_issuer) == issuer_id(PUBLIC)
    with pytest.raises(MalformedError):
        issuer_id_untrusted(ed25519.Ed25519PrivateKey.generate().private_bytes_raw())


def test_lists_in_papers_are_bounded() -> None:
    many = tuple(f"squad {number}" for number in range(SQUADS_PER_BADGE_MAX + 1))
    for squads in ((), many):
        with pytest.raises((LimitExceededError, MalformedError)):
            build_grant(b"12345678", (b"a", b"b"), (b"c", b"d"), (7, "x", squads), b"s", KEY)
    with pytest.raises(LimitExceededError):
        report(*[ISSUED] * (MEMBERS_MAX + 1))
    odd = Issued(b"badge", b"link", "Léa", ("Queyras",), b"prekey", NOW_MS, bytes(5))
    with pytest.raises(MalformedError):
        report(odd)
