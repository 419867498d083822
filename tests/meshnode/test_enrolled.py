"""Enrolment with a store: one transaction, repeatable until it is whole, and a node at its end."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshnode.enrol import is_enrolled, load_pending, read_invitation
from meshnode.enrolled import complete, request_for
from meshnode.errors import HomeBusyError
from meshnode.home import Home, locked
from meshnode.running import open_home
from meshnode.store import bundles, documents, keyring
from meshnode.store.engine import open_store
from meshnode.store.keyring import KeyPurpose
from protocol.armour import TextForm, armour
from protocol.errors import EnrolmentError
from protocol.identity import DeviceClass, Role
from protocol.limits import Kind
from tests.meshnode.enrolling import NOW_MS, invite, make_authority, opened, text_of
from tests.meshnode.homes import ALONE, enrolled_home, runtime, vault_at

pytestmark = [pytest.mark.real, pytest.mark.slow]


async def test_an_answer_makes_a_member_with_all_it_needs(tmp_path: Path) -> None:
    _first, _ = await enrolled_home(tmp_path, "anna")
    home, accepted = await enrolled_home(tmp_path, "bruno")
    assert is_enrolled(home)
    async with open_store(Home(home).store, runtime(), vault=vault_at(home)) as store:
        network = await store.read(lambda conn: keyring.network_keys(conn, KeyPurpose.NETWORK))
        sos = await store.read(lambda conn: keyring.network_keys(conn, KeyPurpose.ZONE_SOS))
        own = await store.read(keyring.newest_own_prekey)
        held = await store.read(documents.all_raw)
        prekeys = await store.read(lambda conn: bundles.by_kind(conn, Kind.PREKEY))
    assert len(network) == len(sos) == 1
    assert own is not None
    assert own.prekey_id == accepted.pending.prekey.secret.prekey_id
    assert len(held) == len(accepted.enrolled.documents) > 1
    assert {each.is_own for each in prekeys} == {True, False}, "own one, and that of anna"
    async with open_home(home, ALONE, runtime()) as node:
        names = {entry.name for entry in node.membership.directory.members()}
        assert names == {"anna", "bruno"}
        known = await node.store.read(
            lambda conn: keyring.peer_prekeys(
                conn, [entry.node for entry in node.membership.directory.members()], NOW_MS
            )
        )
        assert len(known) == 1


async def test_a_box_gets_no_key_to_read_an_sos(tmp_path: Path) -> None:
    home, accepted = await enrolled_home(tmp_path, "box", Role.RELAY)
    assert accepted.enrolled.secrets.sos_key == b""
    async with open_store(Home(home).store, runtime(), vault=vault_at(home)) as store:
        assert await store.read(lambda c: keyring.network_keys(c, KeyPurpose.ZONE_SOS)) == {}


async def test_a_second_request_is_refused_once_enrolled(tmp_path: Path) -> None:
    home, _ = await enrolled_home(tmp_path, "anna")
    with opened(tmp_path / "authority home") as office:
        invitation = read_invitation(text_of(invite(office, "again", kind=DeviceClass.PC)), NOW_MS)
    with pytest.raises(EnrolmentError) as caught:
        await request_for(home, invitation, runtime())
    assert caught.value.reason == "enrolled"


async def test_an_answer_cut_off_by_a_crash_can_be_taken_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from meshnode import enrolled as module

    authority, home = tmp_path / "hq", tmp_path / "anna"
    make_authority(authority)
    with opened(authority) as office:
        invitation = read_invitation(text_of(invite(office, "anna", kind=DeviceClass.PC)), NOW_MS)
        pending = await request_for(home, invitation, runtime())
        answer = armour(TextForm.ANSWER, office.issue(pending.text, NOW_MS).encode())

    def crash(*_args: object) -> None:
        raise OSError("power cut")

    with monkeypatch.context() as patch:
        patch.setattr(module, "finish", crash)
        with pytest.raises(OSError, match="power cut"):
            await complete(home, answer, runtime())
    assert not is_enrolled(home)
    assert load_pending(home, vault_at(home)) is not None
    await complete(home, answer, runtime())
    async with open_home(home, ALONE, runtime()) as node:
        own = await node.store.read(bundles.own_ids)
        assert len(own) == 1


async def test_a_home_in_use_is_left_alone(tmp_path: Path) -> None:
    home, _ = await enrolled_home(tmp_path, "anna")
    with locked(Home(home)), pytest.raises(HomeBusyError):
        await complete(home, "anything", runtime())
