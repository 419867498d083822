"""The authority's folder: private, encrypted, and damage is noticed."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from meshnode.authority_cards import open_card
from meshnode.authority_home import AuthorityError, AuthorityHome, Network
from meshnode.authority_keys import PASSPHRASE_CHARACTERS_MIN, AuthorityKeys
from meshnode.authority_records import decode_state, encode_state
from meshnode.authority_state import JOURNAL_MAX
from protocol.canonical import as_array, decode_untrusted, encode
from protocol.errors import MalformedError, MeshError
from protocol.guards import NETWORK_EPOCH_MS
from protocol.network_keys import KeyPurpose, WeeklyKey
from tests.meshnode.enrolling import (
    NETWORK,
    NOW_MS,
    PASSPHRASE,
    CountedEntropy,
    enrol,
    invite,
    make_authority,
    opened,
)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    make_authority(tmp_path / "authority-home")
    return tmp_path / "authority-home"


# --- the folder --------------------------------------------------------------------------------


def test_files_are_private_and_encrypted(home: Path) -> None:
    folder = home / "authority"
    with opened(home) as authority:
        secret = authority.state.secrets.sos_key
        invite(authority, "alice")
    assert {path.name for path in folder.iterdir()} == {
        "passphrase.json",
        "regional.pem",
        "documents.pem",
        "documents-pq.pem",
        "state",
        "lock",
    }
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for path in folder.iterdir():
        if path.name != "lock":
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
        content = path.read_bytes()
        assert b"BEGIN PRIVATE KEY" not in content
        assert b"alice" not in content
        assert secret not in content


def test_what_is_done_is_there_after_reopening(home: Path, tmp_path: Path) -> None:
    with opened(home) as authority:
        enrol(authority, tmp_path / "alice", "alice")
        invite(authority, "bob")
        before = authority.state
    with opened(home) as authority:
        assert authority.state == before
        assert decode_state(encode_state(before)) == before


def test_a_wrong_or_empty_passphrase_opens_nothing(home: Path, tmp_path: Path) -> None:
    for passphrase in ("wrong", ""):
        with (
            pytest.raises(AuthorityError, match="passphrase"),
            AuthorityHome.open(home, passphrase, CountedEntropy()),
        ):
            pass
    for passphrase in ("", "x" * (PASSPHRASE_CHARACTERS_MIN - 1)):
        with pytest.raises(AuthorityError, match="at least"):
            AuthorityHome.create(tmp_path, passphrase, NETWORK, NOW_MS, CountedEntropy())
    enough = "x" * PASSPHRASE_CHARACTERS_MIN
    AuthorityHome.create(tmp_path, enough, NETWORK, NOW_MS, CountedEntropy(), scrypt_cost=2)


def test_an_authority_is_never_overwritten(home: Path) -> None:
    with pytest.raises(AuthorityError, match="never overwritten"):
        make_authority(home)


def test_a_half_made_authority_is_made_again(tmp_path: Path) -> None:
    (tmp_path / "authority.new").mkdir()
    (tmp_path / "authority.new" / "state").write_bytes(b"half")
    make_authority(tmp_path)
    with opened(tmp_path) as authority:
        assert authority.state.zone == 7


def test_there_must_be_an_authority(tmp_path: Path) -> None:
    with (
        pytest.raises(AuthorityError, match="authority init"),
        AuthorityHome.open(tmp_path, PASSPHRASE, CountedEntropy()),
    ):
        pass


def test_one_command_at_a_time(home: Path) -> None:
    with (
        opened(home),
        pytest.raises(AuthorityError, match="another command"),
        AuthorityHome.open(home, PASSPHRASE, CountedEntropy()),
    ):
        pass


@pytest.mark.parametrize("name", ["state", "passphrase.json"])
@pytest.mark.parametrize("damage", ["cut", "gone", "changed"])
def test_damage_is_noticed(home: Path, name: str, damage: str) -> None:
    path = home / "authority" / name
    content = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        half = len(content) // 2
        path.write_bytes(content[:half] + (b"" if damage == "cut" else b"!" + content[half + 1 :]))
    with pytest.raises(AuthorityError), AuthorityHome.open(home, PASSPHRASE, CountedEntropy()):
        pass


def test_keys_are_read_with_care(home: Path, tmp_path: Path) -> None:
    keys = AuthorityKeys.unlock(home / "authority", PASSPHRASE)
    assert isinstance(keys.read_ed25519("documents"), ed25519.Ed25519PrivateKey)
    assert keys.read_ec("regional").curve.key_size == 256
    for read, label in (
        (keys.read_ec, "documents"),
        (keys.read_ed25519, "regional"),
        (keys.read_ed25519, "nothing"),
    ):
        with pytest.raises(AuthorityError):
            read(label)
    with pytest.raises(AuthorityError):
        AuthorityKeys.unlock(home / "authority", "wrong").read_ec("regional")
    assert repr(keys) == f"AuthorityKeys(folder={home / 'authority'!r})"


def test_parameters_of_another_version_are_refused(home: Path) -> None:
    path = home / "authority" / "passphrase.json"
    text = path.read_text()
    for name, value in (("schema", 2), ("scrypt_cost", 2**21), ("scrypt_cost", 1)):
        path.write_text(json.dumps(json.loads(text) | {name: value}))
        with pytest.raises(AuthorityError, match="damaged"):
            AuthorityKeys.unlock(home / "authority", PASSPHRASE)


@pytest.mark.parametrize(
    "network",
    [
        Network("", 7, "zone"),
        Network("Alpes", 0, "zone"),
        Network("Alpes", 65_536, "zone"),
        Network("Alpes", 7, "a\nb"),
        Network("n" * 65, 7, "zone"),
    ],
)
def test_odd_networks_are_refused(tmp_path: Path, network: Network) -> None:
    with pytest.raises(MeshError):
        AuthorityHome.create(tmp_path, PASSPHRASE, network, NOW_MS, CountedEntropy(), scrypt_cost=2)
    assert not (tmp_path / "authority").exists()


def founded(home: Path, writes: int) -> bool:
    """Make an authority with power for so many renames of files; True if they were enough."""
    left = [writes]

    def cut(does: Callable[[Path, Path], None]) -> Callable[[Path, Path], None]:
        def renamed(old: Path, new: Path) -> None:
            if left[0] == 0:
                raise OSError("the power is gone")
            left[0] -= 1
            does(old, new)

        return renamed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("meshnode.files.os.replace", cut(os.replace))
        patch.setattr("meshnode.authority_founding.os.rename", cut(os.rename))
        try:
            make_authority(home)
        except (OSError, AuthorityError):
            return False
    return True


def test_a_power_cut_at_any_write_of_the_founding_leaves_none_or_all(tmp_path: Path) -> None:
    writes = 0
    while not founded(tmp_path, writes):
        assert not (tmp_path / "authority").exists()
        writes += 1
    assert writes > 10
    with opened(tmp_path) as authority:
        root = authority.state.root_body
    named = {key for rule in root.rules for key in rule.keys} | set(root.root_keys)
    for path in (tmp_path / "cards").iterdir():
        card = open_card(path, PASSPHRASE)
        assert {public for public, _pq in card.public} <= named


# --- weekly keys -------------------------------------------------------------------------------


def test_an_authority_hands_out_the_keys_of_the_week_that_operators_made(home: Path) -> None:
    with opened(home) as authority:
        first = authority.state.secrets
        week = first.knock_epoch
        fresh = [
            WeeklyKey(purpose, epoch, bytes([epoch % 251]) * 32)
            for purpose in (KeyPurpose.KNOCK, KeyPurpose.ZONE_SOS)
            for epoch in (week + 1, week + 2)
        ]
        assert authority.take_keys(fresh, NOW_MS) is False, "neither week has begun"
        later_ms = NOW_MS + NETWORK_EPOCH_MS
        assert authority.take_keys(fresh, later_ms) is True
        assert authority.take_keys(fresh, later_ms) is False
        kept = decode_state(encode_state(authority.state)).secrets
        assert kept.network_key == first.network_key
        assert [(each.epoch, each.key) for each in kept.weekly] == [
            (week + 1, bytes([(week + 1) % 251]) * 32)
        ] * 2


def test_refusals_are_counted_by_reason_also_where_their_lines_are_gone(home: Path) -> None:
    with opened(home) as authority:
        authority.note_refusal("code", NOW_MS)
        authority.note_refusal("used", NOW_MS)
        authority.note_refusal("code", NOW_MS)
        assert authority.state.refusals == (("code", 2), ("used", 1))
        state = authority.state
    for number in range(JOURNAL_MAX):
        state = state.with_note(NOW_MS, "issued", f"device {number}")
    assert not [each for each in state.journal if each.action == "refused"]
    assert state.refusals == (("code", 2), ("used", 1))
    assert decode_state(encode_state(state)) == state
    with opened(home) as authority:
        assert authority.state.refusals == (("code", 2), ("used", 1)), "they outlive the process"


def test_a_folder_from_before_the_counts_counts_what_its_journal_holds(home: Path) -> None:
    with opened(home) as authority:
        authority.note_refusal("code", NOW_MS)
        record = list(
            as_array(decode_untrusted(encode_state(authority.state), max_bytes=10**7), "", 15)
        )
        assert decode_state(encode([3, *record[1:14]])) == authority.state
        with pytest.raises(MalformedError):
            decode_state(encode([4, *record[1:14]]))
