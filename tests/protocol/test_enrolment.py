"""Invitation, request and answer: the way through, and each lie on it that is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.armour import TextForm, armour
from protocol.authority import (
    DocumentClass,
    build,
    root_signer,
)
from protocol.bundle import Scope
from protocol.canonical import Value, encode
from protocol.canonical import decode_untrusted as decode_record_untrusted
from protocol.enrolment import (
    Answer,
    Request,
    build_answer,
    build_request,
    check_request,
    decode_answer_untrusted,
    decode_documents_untrusted,
    decode_invitation_untrusted,
    decode_request_untrusted,
    encode_documents,
    read_prekey_untrusted,
    seal_secrets,
)
from protocol.envelope import (
    prekey_id_of,
)
from protocol.errors import (
    AuthenticationError,
    EnrolmentError,
    EnvelopeError,
    ExpiredError,
    LimitExceededError,
    MalformedError,
    NotEnrolledError,
    ThresholdError,
    WeakKeyError,
)
from protocol.identity import DeviceClass, Role
from protocol.ids import node_id_of
from protocol.issuing import (
    issue_badge,
    issue_link,
    make_regional,
    public_key_der,
    read_request_untrusted,
)
from protocol.limits import (
    ANSWER_DOCUMENTS_MAX,
    ANSWER_PREKEYS_MAX,
    BADGE_LIFE_MS,
    CERTIFICATES_PER_CHAIN_MAX,
    NAME_BYTES_MAX,
    PREKEY_BUNDLE_BYTES_MAX,
    SQUADS_PER_BADGE_MAX,
    Kind,
)
from protocol.network_keys import KeyPurpose, read_secrets
from tests.protocol.enrolling import (
    BADGE,
    INVITATION,
    KEYS,
    LINK,
    MATE,
    MATE_PREKEY,
    NOW_MS,
    OTHER,
    PREKEY,
    RECORD,
    REQUEST,
    RIGHTS,
    ROOT_BODY,
    ROOT_DOCUMENT,
    ROSTER,
    SEALER,
    SECRETS,
    STRANGER,
    ZONE,
    accept,
    make_answer,
    prekey_bundle,
    raw,
    roster,
)


def refuses(answer: Answer, reason: str) -> None:
    with pytest.raises(EnrolmentError) as caught:
        accept(answer)
    assert caught.value.reason == reason


# --- the way through ---------------------------------------------------------------------------


def test_papers_are_read_as_they_were_written() -> None:
    text = armour(TextForm.INVITATION, INVITATION.encode())
    assert decode_invitation_untrusted(text) == INVITATION
    text = armour(TextForm.REQUEST, REQUEST.encode())
    assert decode_request_untrusted(text) == REQUEST
    answer = make_answer()
    text = armour(TextForm.ANSWER, answer.encode())
    assert decode_answer_untrusted(text) == answer
    assert decode_documents_untrusted(encode_documents([ROSTER])) == (ROSTER,)


def test_papers_fit_where_they_are_carried() -> None:
    assert len(armour(TextForm.INVITATION, INVITATION.encode())) < 250
    assert len(armour(TextForm.REQUEST, REQUEST.encode())) < 2_900  # one QR code holds 2,953


def test_a_request_carries_proven_keys() -> None:
    check_request(REQUEST, INVITATION.secret)
    assert read_request_untrusted(REQUEST.badge_request, INVITATION.token) == KEYS[0]
    assert read_request_untrusted(REQUEST.link_request, INVITATION.token) == KEYS[1]
    assert read_prekey_untrusted(REQUEST.prekey, KEYS[0], ZONE) == RECORD


def test_an_answer_makes_a_member() -> None:
    enrolled = accept(make_answer())
    assert enrolled.badge.node == node_id_of(KEYS[0])
    assert enrolled.badge.squads == INVITATION.squad_ids
    assert enrolled.root == ROOT_BODY
    assert [document.raw for document in enrolled.documents] == [ROOT_DOCUMENT.raw, ROSTER]
    assert enrolled.prekeys == (MATE_PREKEY,)
    assert enrolled.secrets == SECRETS
    assert len(enrolled.link_chain) == 2


def test_a_relay_gets_no_sos_key() -> None:
    sealed = seal_secrets(RECORD, INVITATION.token, SECRETS.for_relay(), SEALER)
    got = accept(make_answer(sealed=sealed)).secrets
    assert got == replace(SECRETS, sos_key=b"", sos_epoch=0)
    assert [each.purpose for each in got.weekly] == [KeyPurpose.KNOCK]
    assert [each.purpose for each in SECRETS.weekly] == [KeyPurpose.ZONE_SOS, KeyPurpose.KNOCK]


def test_codes_have_six_digits_and_follow_the_request() -> None:
    other = build_request(INVITATION, BADGE, STRANGER, PREKEY)
    assert REQUEST.code != other.code
    assert len(REQUEST.code) == 6
    assert REQUEST.code.isdecimal()
    assert decode_request_untrusted(armour(TextForm.REQUEST, REQUEST.encode())).code == REQUEST.code
    small = Request(b"", b"", b"", b"", b"leading zero 6", b"")
    assert len(small.code) == 6


def test_nothing_secret_is_printed() -> None:
    for shown in (repr(INVITATION), repr(SECRETS), repr(accept(make_answer()))):
        assert "ssss" not in shown
        assert "nnnn" not in shown
        assert "zzzz" not in shown


# --- requests that are refused -----------------------------------------------------------------


def test_an_altered_request_is_refused() -> None:
    for request in (
        replace(REQUEST, inner=REQUEST.inner + b"\0"),
        replace(REQUEST, mac=bytes(32)),
        build_request(replace(INVITATION, secret=b"t" * 20), BADGE, LINK, PREKEY),
    ):
        with pytest.raises(EnrolmentError) as caught:
            check_request(request, INVITATION.secret)
        assert caught.value.reason == "altered"


@pytest.mark.parametrize(
    ("container", "error"),
    [
        (b"", MalformedError),
        (MATE_PREKEY, AuthenticationError),
        (prekey_bundle(BADGE, RECORD, kind=Kind.KEY_REQUEST), MalformedError),
        (prekey_bundle(BADGE, RECORD, scope=Scope.for_zone(8)), MalformedError),
        (prekey_bundle(BADGE, RECORD, scope=Scope.for_codt(ZONE)), MalformedError),
        (prekey_bundle(STRANGER, RECORD, author=node_id_of(KEYS[0])), AuthenticationError),
        (prekey_bundle(BADGE, replace(RECORD, prekey_id=b"another!")), MalformedError),
    ],
)
def test_odd_prekeys_are_refused(container: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        read_prekey_untrusted(container, KEYS[0], ZONE)


def test_weak_prekeys_are_refused() -> None:
    public = bytes(len(RECORD.public))
    record = replace(RECORD, public=public, prekey_id=prekey_id_of(public))
    container = prekey_bundle(BADGE, record)
    with pytest.raises(WeakKeyError):
        read_prekey_untrusted(container, KEYS[0], ZONE)


# --- answers that are refused ------------------------------------------------------------------


def test_an_answer_for_another_invitation_is_refused() -> None:
    refuses(make_answer(replace(INVITATION, token=b"token-02")), "altered")
    refuses(make_answer(replace(INVITATION, secret=b"t" * 20)), "altered")
    answer = make_answer()
    refuses(replace(answer, inner=answer.inner + b"\0"), "altered")
    refuses(replace(answer, mac=bytes(32)), "altered")


def test_another_root_is_refused() -> None:
    other = replace(
        ROOT_BODY,
        anchors=(OTHER.certificate,),
        root_keys=(public_key_der(OTHER.key.public_key()),),
    )
    document = build(
        DocumentClass.ROOT, b"", (1, 1), NOW_MS, other.encode(), [root_signer(OTHER.key)]
    )
    refuses(make_answer(documents=(document.raw, ROSTER)), "root")
    refuses(make_answer(documents=(ROSTER,)), "root")
    refuses(make_answer(documents=(ROOT_DOCUMENT.raw, document.raw, ROSTER)), "root")


def test_other_keys_are_refused() -> None:
    refuses(make_answer(badge_key=raw(STRANGER)), "key")
    refuses(make_answer(link_key=raw(STRANGER)), "key")


def test_other_rights_are_refused() -> None:
    for rights in (
        replace(RIGHTS, role=Role.LEADER),
        replace(RIGHTS, squads=()),
        replace(RIGHTS, device_class=DeviceClass.PC),
    ):
        refuses(make_answer(rights=rights), "rights")


def test_an_answer_must_make_the_device_known() -> None:
    refuses(make_answer(documents=(ROOT_DOCUMENT.raw, roster(MATE))), "roster")


def test_documents_are_checked() -> None:
    with pytest.raises(ThresholdError):
        accept(make_answer(documents=(ROOT_DOCUMENT.raw, roster(BADGE, signer=STRANGER))))
    with pytest.raises(MalformedError):
        accept(make_answer(documents=(ROOT_DOCUMENT.raw, ROSTER, roster(BADGE))))


def test_prekeys_are_checked() -> None:
    record = SEALER.make_prekey(NOW_MS)[1]
    refuses(make_answer(prekeys=(prekey_bundle(STRANGER, record),)), "roster")
    with pytest.raises(AuthenticationError):
        forged = prekey_bundle(STRANGER, record, author=node_id_of(raw(MATE)))
        accept(make_answer(prekeys=(forged,)))


def test_chains_and_dates_are_checked() -> None:
    answer = make_answer()
    with pytest.raises(ExpiredError):
        accept(answer, now_ms=NOW_MS + BADGE_LIFE_MS + 1)
    stranger = make_regional(OTHER, ZONE, NOW_MS)
    chains = (
        issue_badge(stranger, KEYS[0], RIGHTS, NOW_MS),
        issue_link(stranger, KEYS[1], NOW_MS),
    )
    documents = (ROOT_DOCUMENT.raw, ROSTER)
    for badge, link in ((chains[0], answer.link_chain), (answer.badge_chain, chains[1])):
        forged = build_answer(INVITATION, (badge, link), documents, (), answer.sealed_secrets)
        with pytest.raises(NotEnrolledError):
            accept(forged)


def test_secrets_open_for_the_right_prekey_and_invitation_only() -> None:
    with pytest.raises(EnvelopeError):
        accept(make_answer(), secret=SEALER.make_prekey(NOW_MS)[0])
    sealed = seal_secrets(RECORD, b"token-02", SECRETS, SEALER)
    with pytest.raises(EnvelopeError):
        accept(make_answer(sealed=sealed))


@pytest.mark.parametrize(
    "changes",
    [
        {"network_key": b"n" * 15},
        {"sos_key": b"z" * 31},
        {"sos_key": b""},
        {"sos_epoch": 2**32},
        {"knock_key": b""},
        {"knock_key": b"k" * 31},
        {"knock_epoch": 2**32},
    ],
    ids=str,
)
def test_odd_secrets_are_refused(changes: dict[str, Any]) -> None:
    odd = replace(SECRETS, **changes)
    sealed = seal_secrets(RECORD, INVITATION.token, odd, SEALER)
    with pytest.raises((MalformedError, LimitExceededError)):
        accept(make_answer(sealed=sealed))


@pytest.mark.parametrize("version", [0, 1, 3])
def test_secrets_of_another_version_are_refused(version: int) -> None:
    record = [version, *SECRETS.record()[1:]]
    with pytest.raises((MalformedError, LimitExceededError)):
        read_secrets(decode_record_untrusted(encode(record), max_bytes=256))


# --- form --------------------------------------------------------------------------------------


def invitation_text(**changes: Value) -> str:
    fields: dict[str, Value] = {
        "format": 1,
        "token": b"token-01",
        "secret": b"s" * 20,
        "expires_s": 1,
        "root": bytes(32),
        "zone": 7,
        "role": 1,
        "class": 1,
        "name": b"alice",
        "squads": [b"Queyras"],
    }
    return armour(TextForm.INVITATION, encode(list((fields | changes).values())))


@pytest.mark.parametrize(
    "changes",
    [
        {"format": 2},
        {"token": b""},
        {"secret": b""},
        {"expires_s": 2**48 + 1},
        {"root": bytes(31)},
        {"zone": 0},
        {"role": 6},
        {"class": 0},
        {"name": b""},
        {"squads": [b"\n"]},
        {"squads": b""},
        {"more": 1},
    ],
    ids=str,
)
def test_odd_invitations_are_refused(changes: dict[str, Value]) -> None:
    with pytest.raises((MalformedError, LimitExceededError)):
        decode_invitation_untrusted(invitation_text(**changes))


def test_the_longest_invitation_fits() -> None:
    squads: list[Value] = [b"q" * NAME_BYTES_MAX] * SQUADS_PER_BADGE_MAX
    text = invitation_text(name=b"n" * NAME_BYTES_MAX, squads=squads)
    assert len(decode_invitation_untrusted(text).squads) == SQUADS_PER_BADGE_MAX
    with pytest.raises(LimitExceededError):
        decode_invitation_untrusted(invitation_text(squads=[*squads, b"q"]))


def request_text(**changes: Value) -> str:
    fields: dict[str, Value] = {
        "format": 1,
        "token": b"token-01",
        "badge": b"b",
        "link": b"l",
        "prekey": bytes(PREKEY_BUNDLE_BYTES_MAX),
    }
    inner = encode(list((fields | changes).values()))
    return armour(TextForm.REQUEST, encode([inner, bytes(32)]))


def test_odd_requests_are_refused() -> None:
    decode_request_untrusted(request_text())
    odd: tuple[dict[str, Value], ...] = (
        {"format": 0},
        {"token": b""},
        {"badge": b""},
        {"link": b""},
        {"prekey": b""},
        {"prekey": bytes(PREKEY_BUNDLE_BYTES_MAX + 1)},
        {"more": 1},
    )
    for changes in odd:
        with pytest.raises((MalformedError, LimitExceededError)):
            decode_request_untrusted(request_text(**changes))
    with pytest.raises(MalformedError):
        decode_request_untrusted(armour(TextForm.REQUEST, encode([b"", bytes(31)])))


def answer_text(**changes: Value) -> str:
    fields: dict[str, Value] = {
        "format": 1,
        "token": b"token-01",
        "badge": [b"b"] * CERTIFICATES_PER_CHAIN_MAX,
        "link": [b"l"],
        "documents": [b"d"] * ANSWER_DOCUMENTS_MAX,
        "prekeys": [b"p"] * ANSWER_PREKEYS_MAX,
        "secrets": b"x",
    }
    inner = encode(list((fields | changes).values()))
    return armour(TextForm.ANSWER, encode([inner, bytes(32)]))


def test_odd_answers_are_refused() -> None:
    decode_answer_untrusted(answer_text())
    odd: tuple[dict[str, Value], ...] = (
        {"format": 2},
        {"token": b""},
        {"badge": []},
        {"badge": [b"b"] * (CERTIFICATES_PER_CHAIN_MAX + 1)},
        {"link": [b""]},
        {"documents": []},
        {"documents": [b"d"] * (ANSWER_DOCUMENTS_MAX + 1)},
        {"prekeys": [b"p"] * (ANSWER_PREKEYS_MAX + 1)},
        {"prekeys": [b""]},
        {"secrets": b""},
        {"more": 1},
    )
    for changes in odd:
        with pytest.raises((MalformedError, LimitExceededError)):
            decode_answer_untrusted(answer_text(**changes))


@given(st.binary(max_size=300))
def test_any_record_is_read_or_refused_by_name(record: bytes) -> None:
    for form, decode in (
        (TextForm.INVITATION, decode_invitation_untrusted),
        (TextForm.REQUEST, decode_request_untrusted),
        (TextForm.ANSWER, decode_answer_untrusted),
        (TextForm.DOCUMENTS, decode_documents_untrusted),
    ):
        with pytest.raises((MalformedError, LimitExceededError)):
            decode(armour(form, record))
