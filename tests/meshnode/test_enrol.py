"""The device's side: what waits, what is believed, and what a power cut leaves."""

from __future__ import annotations

import base64
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from meshnode.authority_home import AuthorityHome
from meshnode.enrol import (
    Pending,
    accept_answer,
    badge_key,
    finish,
    is_enrolled,
    load_identity,
    load_pending,
    make_keys,
    make_request,
    open_keys,
    read_invitation,
)
from meshnode.errors import LockedError
from meshnode.links.tls import TLSFiles, make_contexts
from meshnode.runtime import system_runtime
from meshnode.vault.keystore import KeyStore
from protocol.armour import TextForm, armour
from protocol.enrolment import build_answer, read_prekey_untrusted
from protocol.errors import EnrolmentError, MalformedError
from protocol.identity import verify_binding
from protocol.ids import node_id_of
from protocol.limits import INVITATION_LIFE_MS
from tests.meshnode.enrolling import (
    NOW_MS,
    SEALER,
    SECRET,
    enrol,
    invite,
    make_authority,
    opened,
    request,
    text_of,
    vault_of,
)


@pytest.fixture
def authority(tmp_path: Path) -> Iterator[AuthorityHome]:
    make_authority(tmp_path)
    with opened(tmp_path) as authority:
        yield authority


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "device"


def refused(reason: str) -> pytest.RaisesExc[EnrolmentError]:
    return pytest.RaisesExc(EnrolmentError, check=lambda error: error.reason == reason)


def test_an_enrolled_device_knows_itself(authority: AuthorityHome, home: Path) -> None:
    accepted = enrol(authority, home, "alice")
    identity = load_identity(home, vault_of(home))
    assert accepted.name == "alice"
    assert identity.node == accepted.enrolled.badge.node
    assert identity.badge_chain == accepted.enrolled.badge.chain
    assert identity.link_chain == accepted.enrolled.link_chain
    assert identity.root_hash == authority.state.root.digest
    link = identity.link_chain[0]
    verify_binding(accepted.enrolled.badge.public_key, link, identity.binding)
    key = badge_key(home, vault_of(home))
    assert key.public_key().public_bytes_raw() == accepted.enrolled.badge.public_key
    assert read_prekey_untrusted(
        accepted.pending.prekey.container, accepted.enrolled.badge.public_key, 7
    )


def test_keys_are_private_files(authority: AuthorityHome, home: Path) -> None:
    enrol(authority, home, "alice")
    for path in home.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)
    assert not (home / "enrolment" / "pending").exists()


def test_a_pending_request_is_shown_again(authority: AuthorityHome, home: Path) -> None:
    assert load_pending(home, vault_of(home)) is None
    pending = request(home, invite(authority, "alice"))
    again = load_pending(home, vault_of(home))
    assert again is not None
    assert again.text == pending.text
    assert again.request.code == pending.request.code
    assert again.keys.public == pending.keys.public
    assert again.invitation == pending.invitation
    assert stat.S_IMODE((home / "enrolment" / "pending").stat().st_mode) == 0o600


def test_a_new_invitation_replaces_a_pending_request(authority: AuthorityHome, home: Path) -> None:
    first = request(home, invite(authority, "alice"))
    second = request(home, invite(authority, "bob"))
    again = load_pending(home, vault_of(home))
    assert again is not None
    assert again.text == second.text
    assert again.keys.public != first.keys.public


def test_an_expired_invitation_makes_no_request(authority: AuthorityHome) -> None:
    text = text_of(invite(authority, "alice"))
    read_invitation(text, NOW_MS + INVITATION_LIFE_MS)
    with refused("expired"):
        read_invitation(text, NOW_MS + INVITATION_LIFE_MS + 1_000)
    with pytest.raises(MalformedError):
        read_invitation(text[:-1], NOW_MS)


def test_an_answer_can_be_accepted_until_it_is_finished(
    authority: AuthorityHome, home: Path
) -> None:
    pending = request(home, invite(authority, "alice"))
    text = armour(TextForm.ANSWER, authority.issue(pending.text, NOW_MS).encode())
    for _ in range(2):
        accepted = accept_answer(home, text, NOW_MS, SEALER, vault_of(home))
        assert not is_enrolled(home)
    finish(home, accepted, vault_of(home))
    assert is_enrolled(home)
    with refused("enrolled"):
        accept_answer(home, text, NOW_MS, SEALER, vault_of(home))


@pytest.mark.parametrize("step", range(1, 7))
def test_a_power_cut_while_finishing_loses_nothing(
    authority: AuthorityHome, home: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    pending = request(home, invite(authority, "alice"))
    text = armour(TextForm.ANSWER, authority.issue(pending.text, NOW_MS).encode())
    accepted = accept_answer(home, text, NOW_MS, SEALER, vault_of(home))
    left = step

    def cut(*_: object) -> None:
        nonlocal left
        left -= 1
        if left <= 0:
            raise OSError("the power is gone")

    with monkeypatch.context() as patch:
        patch.setattr("meshnode.files.os.fsync", cut)
        with pytest.raises(OSError, match="the power is gone"):
            finish(home, accepted, vault_of(home))
    assert not is_enrolled(home)
    finish(home, accept_answer(home, text, NOW_MS, SEALER, vault_of(home)), vault_of(home))
    assert load_identity(home, vault_of(home)).node == node_id_of(pending.keys.public[0])


def test_a_power_cut_before_the_last_step_is_cleaned_up(
    authority: AuthorityHome, home: Path
) -> None:
    pending = request(home, invite(authority, "alice"))
    left = (home / "enrolment" / "pending").read_bytes()
    text = armour(TextForm.ANSWER, authority.issue(pending.text, NOW_MS).encode())
    finish(home, accept_answer(home, text, NOW_MS, SEALER, vault_of(home)), vault_of(home))
    (home / "enrolment" / "pending").write_bytes(left)
    assert load_pending(home, vault_of(home)) is None
    assert not (home / "enrolment" / "pending").exists()


def test_an_enrolled_home_makes_no_second_request(authority: AuthorityHome, home: Path) -> None:
    accepted = enrol(authority, home, "alice")
    with refused("enrolled"):
        make_request(
            home, accepted.pending.invitation, make_keys(), accepted.pending.prekey, vault_of(home)
        )


def test_an_answer_without_a_request_is_refused(home: Path) -> None:
    with refused("no_request"):
        accept_answer(home, "MESHA1:", NOW_MS, SEALER, vault_of(home))


def test_an_answer_of_another_hand_changes_nothing(authority: AuthorityHome, home: Path) -> None:
    pending = request(home, invite(authority, "alice"))
    answer = authority.issue(pending.text, NOW_MS)
    thief = replace(pending.invitation, secret=b"?" * 20)
    forged = build_answer(
        thief,
        (answer.badge_chain, answer.link_chain),
        answer.documents,
        answer.prekeys,
        answer.sealed_secrets,
    )
    with refused("altered"):
        accept_answer(
            home, armour(TextForm.ANSWER, forged.encode()), NOW_MS, SEALER, vault_of(home)
        )
    assert not is_enrolled(home)
    assert load_pending(home, vault_of(home)) is not None


def test_damage_is_said(authority: AuthorityHome, home: Path) -> None:
    request(home, invite(authority, "alice"))
    path = home / "enrolment" / "pending"
    path.write_bytes(path.read_bytes()[:-1])
    with refused("damaged"):
        load_pending(home, vault_of(home))


@pytest.mark.parametrize(
    "name", ["identity/binding", "identity/badge-chain.pem", "identity/link-chain.pem"]
)
def test_a_damaged_identity_is_said(authority: AuthorityHome, home: Path, name: str) -> None:
    enrol(authority, home, "alice")
    (home / name).unlink()
    with refused("damaged"):
        load_identity(home, vault_of(home))


def test_odd_identities_are_said(authority: AuthorityHome, home: Path) -> None:
    with refused("not_enrolled"):
        load_identity(home, vault_of(home))
    enrol(authority, home, "alice")
    (home / "identity" / "root").write_text("not hexadecimal")
    with refused("damaged"):
        load_identity(home, vault_of(home))
    (home / "identity" / "root").write_text("00" * 32)
    load_identity(home, vault_of(home))
    (home / "identity" / "badge-chain.pem").write_text("")
    with refused("damaged"):
        load_identity(home, vault_of(home))


def test_a_damaged_badge_key_is_said(authority: AuthorityHome, home: Path) -> None:
    enrol(authority, home, "alice")
    path = home / "keys" / "badge.sealed"
    path.write_bytes(path.read_bytes()[:-1])
    with refused("damaged"):
        badge_key(home, vault_of(home))
    path.unlink()
    with refused("damaged"):
        badge_key(home, vault_of(home))


def test_a_locked_device_knows_itself_and_cannot_speak(
    authority: AuthorityHome, home: Path
) -> None:
    pending = request(home, invite(authority, "alice"))
    locked = KeyStore.open(home).open_vault()
    assert locked.is_locked
    with pytest.raises(LockedError):
        load_pending(home, locked)
    text = armour(TextForm.ANSWER, authority.issue(pending.text, NOW_MS).encode())
    accepted = accept_answer(home, text, NOW_MS, SEALER, vault_of(home))
    with pytest.raises(LockedError):
        finish(home, accepted, locked)
    finish(home, accepted, vault_of(home))
    identity = load_identity(home, locked)
    assert identity == load_identity(home, vault_of(home))
    make_contexts(TLSFiles.in_home(home, identity.link_password), accepted.enrolled.root.anchors)
    with pytest.raises(LockedError):
        badge_key(home, locked)


def test_no_key_lies_in_clear(authority: AuthorityHome, home: Path) -> None:
    def in_clear(pending: Pending) -> list[bytes]:
        own = pending.keys
        secrets = [own.badge.private_bytes_raw(), own.link.private_bytes_raw()]
        secrets += [pending.prekey.secret.private, pending.invitation.secret, b"alice"]
        secrets += [base64.b64encode(each)[:40] for each in secrets[:2]]
        raws = [path.read_bytes() for path in home.rglob("*") if path.is_file()]
        return [each for each in secrets if any(each in raw for raw in raws)]

    pending = request(home, invite(authority, "alice"))
    assert in_clear(pending) == []
    text = armour(TextForm.ANSWER, authority.issue(pending.text, NOW_MS).encode())
    finish(home, accept_answer(home, text, NOW_MS, SEALER, vault_of(home)), vault_of(home))
    assert in_clear(pending) == []
    assert b"ENCRYPTED" in (home / "keys" / "link.pem").read_bytes()
    assert open_keys(home, system_runtime()).unlocked_vault(SECRET)


def test_nothing_secret_is_printed(authority: AuthorityHome, home: Path) -> None:
    accepted = enrol(authority, home, "alice")
    pending = accepted.pending
    secrets = (
        pending.invitation.secret,
        pending.keys.badge.private_bytes_raw(),
        pending.keys.link.private_bytes_raw(),
        pending.prekey.secret.private,
        accepted.enrolled.secrets.network_key,
        accepted.enrolled.secrets.sos_key,
    )
    for shown in (repr(accepted), repr(load_identity(home, vault_of(home)))):
        assert "Ed25519PrivateKey" not in shown
        for secret in secrets:
            assert repr(secret)[2:-1] not in shown
